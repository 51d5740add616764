//! What acts: the handlers of processes, and the one table that says which process has which.

mod instance;
mod ports;
mod service;
mod stack;

pub(crate) use instance::{StopData, retire};
pub(crate) use service::{ActivateData, draw_ports};

use crate::model::{Resource, Result};
use crate::store::Process;

use super::core::Core;
use super::process::{Outcome, edge};

impl Core {
    /// Runs the handler of a process: by the root of the row's type and the name of the process.
    /// A process without an entry here only changes the state.
    pub(crate) async fn handle(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let machine = self.machine_of_row(row)?;
        if edge(machine, process, row).is_none() {
            // The row moved on: settling ends the process.
            return Ok(Outcome::done());
        }
        match process.process.as_str() {
            "instance.create" => self.create_instance(process, row).await,
            "instance.start" => self.start_instance(process, row).await,
            "instance.restart" => self.restart_instance(process, row).await,
            "instance.stop" => self.stop_instance(process, row).await,
            "instance.remove" => self.remove_instance(process, row).await,
            "service.create" => self.create_service(process, row).await,
            "service.activate"
            | "service.update"
            | "service.upgrade"
            | "service.continueupgrade"
            | "service.rollback"
            | "service.finishupgrade"
            | "service.restart"
            | "service.deactivate" => self.reconcile_service(process, row).await,
            "service.remove" => self.remove_service(process, row).await,
            "stack.remove" => self.remove_stack(process, row).await,
            "volume.deactivate" => Ok(self.deactivate_volume(process)),
            "volume.remove" => self.remove_volume(row).await,
            "host.remove" => self.remove_host(row).await,
            _ => Ok(Outcome::done()),
        }
    }

    /// Removing a host removes its containers' rows; what runs on an engine that is gone cannot be asked to stop.
    async fn remove_host(&self, row: &Resource) -> Result<Outcome> {
        let machine = self.machine_of("container")?.clone();
        let containers = self.store.on_hosts(&[row.id], "instance")?;
        if containers.is_empty() {
            return Ok(Outcome::done());
        }
        self.write(move |tx| {
            for slim in containers {
                let Some(container) = tx.find(slim.id)? else { continue };
                super::commands::remove_container(tx, &machine, &container)?;
            }
            Ok(())
        })
        .await?;
        Ok(Outcome::Again(std::time::Duration::from_millis(500), "Waiting for containers to be removed".into()))
    }
}
