//! Stacks: removing one removes all in it.

use std::time::Duration;

use crate::model::{Resource, Result};
use crate::store::{Changes, Process};

use super::super::core::Core;
use super::super::process::{Outcome, request};

impl Core {
    pub(crate) async fn remove_stack(&self, _process: &Process, row: &Resource) -> Result<Outcome> {
        let services = self.store.children(row.id, "service")?;
        if services.is_empty() {
            return self.remove_stack_rest(row).await;
        }
        let machine = self.machine_of("service")?.clone();
        let id = row.id;
        self.write(move |tx| {
            for service in tx.children(id, "service")? {
                if machine.start("remove", &service.state).is_some() {
                    request(tx, &machine, &service, "remove", "{}", Changes::default())?;
                }
            }
            Ok(())
        })
        .await?;
        // Each service that is gone wakes its stack; the time is only a safety net.
        Ok(Outcome::Again(Duration::from_secs(15), "Removing services".into()))
    }

    /// What lives in the stack beside services: templates of volumes.
    async fn remove_stack_rest(&self, row: &Resource) -> Result<Outcome> {
        let id = row.id;
        let keep = self.keep_removed();
        self.write(move |tx| {
            for template in tx.children(id, "volumeTemplate")? {
                super::instance::retire(tx, &template, keep)?;
            }
            Ok(())
        })
        .await?;
        Ok(Outcome::done())
    }
}
