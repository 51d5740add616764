//! Which room runs a process, and which looks at a row that was woken.

use crate::engine::commands::Room;
use crate::engine::core::{Core, Outcome, edge, is_project};
use crate::engine::{access, accounts, drivers, hosts, instances, services, webhooks};
use crate::model::{Resource, ResourceId, Result};
use crate::store::Process;

impl Core {
    /// Runs the handler of a process. A process without one only changes the state.
    ///
    /// What the rooms do is boxed: it takes tens of kilobytes, which would be moved about for each process, plain ones too.
    pub(super) async fn handle(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let machine = self.machine_of_row(row)?;
        if edge(machine, process, row).is_none() {
            // The row moved on: settling ends the process.
            return Ok(Outcome::done());
        }
        match Room::of(&row.root, &row.kind) {
            Room::Access => Box::pin(access::handle(self, process, row)).await,
            Room::Accounts => Box::pin(accounts::handle(self, process, row)).await,
            Room::Drivers => Box::pin(drivers::handle(self, process, row)).await,
            Room::Instances => Box::pin(instances::handle(self, process, row, services::let_container_go)).await,
            Room::Services => Box::pin(services::handle(self, process, row)).await,
            Room::Hosts => Box::pin(hosts::handle(self, process, row)).await,
            Room::Webhooks => Box::pin(webhooks::handle(self, process, row)).await,
            Room::Tasks | Room::Plain => Ok(Outcome::done()),
        }
    }

    /// Looks at something that was woken.
    pub(super) async fn look_at(&self, id: ResourceId) -> Result<()> {
        let Some(row) = self.store.find(id)? else { return Ok(()) };
        if self.aside.has(id) {
            return Ok(());
        }
        self.aside.marked(id, self.now(), self.look_at_row(&row)).await
    }

    async fn look_at_row(&self, row: &Resource) -> Result<()> {
        match Room::of(&row.root, &row.kind) {
            Room::Services => Box::pin(services::look_at(self, row)).await,
            Room::Hosts => Box::pin(hosts::look_at(self, row)).await,
            // Something that all services of a project depend on changed.
            Room::Accounts if is_project(row) => self.look_at_all(Some(row.id)),
            Room::Instances if row.root == "instance" => {
                if row.parent_id.is_none() {
                    // For the services that select it.
                    self.wake_selecting(row.account_id)?;
                }
                Box::pin(self.look_at_container(row)).await
            }
            _ => Ok(()),
        }
    }

    /// Whoever has to know when this row changes: a container's service, a service's stack. A container of no service
    /// is looked at itself, for the services that select it; so is a host, for all that may run there.
    pub(super) fn owner_of(&self, row: &Resource) -> Option<ResourceId> {
        match row.root.as_str() {
            "instance" => Some(row.parent_id.unwrap_or(row.id)),
            "service" | "serviceExposeMap" => row.parent_id,
            "volume" => instances::user_of_volume(row),
            "host" | "agent" => Some(row.id),
            _ => None,
        }
    }
}
