//! What is there for a service alone: a balancer that publishes its ports of the mesh, a balancer before it, the certificate that this
//! one shows. Such **parts** name their service by a field that no view shows, and which says what for; interfaces of services do not show
//! them, and they go when the service does, whoever removes it and whatever kept them.

use std::sync::Arc;

use crate::engine::core::{Core, PARTS, fenced, notes, publishes_for, request, whole_of};
use crate::model::{Resource, ResourceId, Result, State};
use crate::schema::Machine;
use crate::store::{Changes, Tx};

use super::snapshot::ServiceNotes;

/// Whether a row is there, and not on its way out.
pub(super) fn is_staying(row: &Resource) -> bool {
    row.removed.is_none() && row.state != State::REMOVING
}

/// The machines of what can be a part.
pub(super) struct Machines {
    balancer: Arc<Machine>,
    certificate: Arc<Machine>,
}

impl Machines {
    /// Asks for the removal of a part, unless it is on its way out.
    pub(super) fn let_go(&self, tx: &mut Tx<'_>, id: ResourceId) -> Result<()> {
        let Some(part) = tx.find(id)?.filter(|part| part.removed.is_none()) else {
            return Ok(());
        };
        let machine = match part.root.as_str() {
            "service" => &self.balancer,
            _ => &self.certificate,
        };
        match machine.start("remove", part.state) {
            Some(_) => request(tx, machine, &part, "remove", "{}", Changes::default()).map(drop),
            None => Ok(()),
        }
    }
}

impl Core {
    pub(super) fn machines_of_parts(&self) -> Result<Machines> {
        Ok(Machines {
            balancer: self.machine_of("loadBalancerService")?.clone(),
            certificate: self.machine_of("certificate")?.clone(),
        })
    }

    /// The parts of a service go with it.
    pub(super) async fn remove_parts(&self, process: i64, service: ResourceId) -> Result<()> {
        let mut parts = Vec::new();
        for field in PARTS {
            parts.extend(self.store.many(&self.store.referrers(service, field)?)?);
        }
        let parts: Vec<ResourceId> = parts
            .iter()
            .filter(|part| is_staying(part))
            .map(|part| part.id)
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let machines = self.machines_of_parts()?;
        self.write_each(parts, move |tx, part| match fenced(tx, process, service)? {
            Some(_) => machines.let_go(tx, part),
            None => Ok(()),
        })
        .await
    }

    /// Lets a part go whose service is gone, or has another one in its place.
    pub(super) async fn follow_whole(&self, part: &Resource) -> Result<()> {
        let Some(service) = whole_of(part) else {
            return Ok(());
        };
        let row = self.store.find(service)?.filter(|row| row.removed.is_none());
        let has_it = |row: &Resource| {
            publishes_for(part).is_none() || notes::<ServiceNotes>(row).mesh.map(ResourceId) == Some(part.id)
        };
        if row.as_ref().is_some_and(has_it) {
            return Ok(());
        }
        let (machines, id) = (self.machines_of_parts()?, part.id);
        self.write(move |tx| machines.let_go(tx, id)).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::{testkit, write_notes};
    use crate::model::Fields;

    #[tokio::test]
    async fn a_part_goes_when_its_service_is_gone_and_not_before() {
        let (_folder, core) = testkit::empty();
        for field in PARTS {
            let service = testkit::insert(&core, "service", State::ACTIVE, Fields::default()).await;
            let mut fields = Fields::default();
            fields.set(field, &core.wire_id("service", service.id)).unwrap();
            let part = testkit::insert(&core, "loadBalancerService", State::ACTIVE, fields).await;
            assert_eq!(whole_of(&part), Some(service.id));
            let note = ServiceNotes {
                mesh: Some(part.id.0),
                ..ServiceNotes::default()
            };
            let changes = Changes {
                internal: Some(write_notes(&note).unwrap()),
                ..Changes::default()
            };
            let service = core.write(move |tx| tx.update_if(&service, &changes)).await.unwrap();
            let state = || core.store.find(part.id).unwrap().unwrap().state;
            core.follow_whole(&part).await.unwrap();
            assert_eq!(state(), State::ACTIVE, "{field}");
            testkit::remove(&core, &service).await;
            core.follow_whole(&part).await.unwrap();
            assert_eq!(state(), State::REMOVING, "{field}");
        }
    }
}
