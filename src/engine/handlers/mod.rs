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
            "account.deactivate" => Ok(self.deactivated_account(process)),
            "account.remove" => self.remove_account_or_project(row).await,
            "credential.remove" | "secret.remove" => self.forget_credential(row).await.map(|()| Outcome::done()),
            "storagePool.remove" if row.kind == "registry" => self.remove_registry(row).await.map(|()| Outcome::done()),
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
            "networkDriver.activate" => self.activate_network_driver(process, row).await,
            "networkDriver.remove" => self.remove_network_driver(process, row).await,
            "network.create" => self.create_network(process, row).await,
            "storageDriver.activate" => self.activate_storage_driver(process, row).await,
            "storageDriver.remove" => self.remove_storage_driver(process, row).await,
            "volume.deactivate" => Ok(self.deactivate_volume(process)),
            "volume.remove" => self.remove_volume(row).await,
            "host.create" => Ok(self.create_host()),
            "host.deactivate" => Ok(self.deactivate_host(process)),
            "host.evacuate" => self.evacuate_host(process, row).await,
            "host.remove" => self.remove_host(row).await,
            "agent.activate" => self.activate_agent(row).await,
            "agent.disconnect" => self.sync_hosts(row).await.map(|()| Outcome::done()),
            "agent.reconnect" => self.reconnect_agent(row).await,
            "agent.finishreconnect" => self.finish_reconnect(row).await,
            "agent.deactivate" => Ok(self.deactivate_agent(process)),
            "agent.remove" => self.remove_agent(row).await,
            "genericObject.create" => self.create_generic_object(row).await,
            _ => Ok(Outcome::done()),
        }
    }
}
