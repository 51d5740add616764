//! The processes of hosts: they come, are emptied, and go.

use crate::engine::core::{Core, Outcome, Served, is_node, notes, retire};
use crate::engine::drivers;
use crate::engine::instances::{InstanceNotes, abandon, dismiss};
use crate::model::{Resource, Result, State};
use crate::store::Process;

use super::agents;
use super::attaching::HostNotes;
use super::host::{LEAVING_WAIT, REMOVE, agent_of, parts};

/// What becomes of containers that somebody else made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Natives {
    Stay,
    /// Their rows go.
    LetGo,
}

impl Core {
    /// `host.deactivate`: nothing new comes to it.
    pub(crate) fn deactivate_host(&self, process: &Process) -> Outcome {
        if process.data == REMOVE {
            Outcome::Then(Box::default(), "remove", "{}".into())
        } else {
            Outcome::done()
        }
    }

    /// `host.evacuate`: the same, and everything leaves; containers of services come up elsewhere (cattle: `ExternalEventCreate`,
    /// host.evacuate).
    pub(crate) async fn evacuate_host(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        match self.empty(row, Natives::Stay).await? {
            true => Ok(self.deactivate_host(process)),
            false => Ok(Outcome::Again(LEAVING_WAIT, "Waiting for containers to leave".into())),
        }
    }

    /// Asks every container of a host to go; whether none is left that is to go.
    async fn empty(&self, row: &Resource, natives: Natives) -> Result<bool> {
        let machine = self.machine_of("container")?.clone();
        let mut containers = self.store.on_hosts(&[row.id], "instance")?;
        let is_native = |notes: &str| serde_json::from_str::<InstanceNotes>(notes).is_ok_and(|note| note.is_native);
        if natives == Natives::Stay {
            containers.retain(|slim| !is_native(&slim.internal));
        }
        if containers.is_empty() {
            return Ok(true);
        }
        let is_given_up = self.is_given_up(row)?;
        self.write_each(containers, move |tx, slim| match tx.find(slim.id)? {
            Some(container) if is_given_up => abandon(tx, &machine, &container),
            Some(container) => dismiss(tx, &machine, &container).map(drop),
            None => Ok(()),
        })
        .await?;
        Ok(false)
    }

    /// `host.remove`: its containers go first (what runs on an engine that is gone cannot be asked to stop), then what belongs
    /// to it alone, and its agent.
    pub(crate) async fn remove_host(&self, row: &Resource) -> Result<Outcome> {
        if !self.empty(row, Natives::LetGo).await? {
            return Ok(Outcome::Again(
                LEAVING_WAIT,
                "Waiting for containers to be removed".into(),
            ));
        }
        // A node that only stayed away is a host again as soon as it answers; its agent still leads there.
        let comes_back = is_node(row) && self.went_by_itself(row)?;
        if let (Some(followed), Some(node), false) = (self.followed.get(), notes::<HostNotes>(row).node(), comes_back) {
            followed.dismiss(node);
        }
        let (id, keep) = (row.id, self.keep_removed());
        let wire = self.wire_id("host", id);
        // An engine that was brought along is reached as long as its agent is there.
        let is_brought = agent_of(row).is_some();
        if is_brought {
            self.remove_name_server(row).await?;
        }
        let agents = self.machine_of("agent")?.clone();
        self.write(move |tx| {
            let Some(host) = tx.find(id)? else { return Ok(()) };
            for part in parts(tx, &host)? {
                retire(tx, &part, keep)?;
            }
            drivers::leave_pools(tx, &host, &wire)?;
            let Some(agent) = agent_of(&host).map(|id| tx.find(id)).transpose()?.flatten() else {
                return Ok(());
            };
            let others = tx.referrers(agent.id, "agentId")?;
            let others = tx.many(&others)?;
            let is_other = |other: &&Resource| other.id != host.id && other.root == "host" && other.removed.is_none();
            match others.iter().find(is_other) {
                None if !comes_back => agents::ask_to_remove(tx, &agents, &agent),
                _ => Ok(()),
            }
        })
        .await?;
        if !is_brought {
            self.remove_name_server(row).await?;
        }
        self.remove_runtime(row.id);
        Ok(Outcome::done())
    }

    /// Where containers found each other by a name server, it goes with the project's network, now that nothing is on it.
    /// An engine that does not answer keeps both.
    pub(super) async fn remove_name_server(&self, row: &Resource) -> Result<()> {
        let runtime = self.runtime(row.id).filter(|r| r.capabilities().network_services);
        let (Some(runtime), Some(project)) = (runtime, row.account_id) else {
            return Ok(());
        };
        self.name_servers.forget(Served { project, host: row.id });
        let Some(project) = self.store.find(project)? else {
            return Ok(());
        };
        // The network of a cluster goes with the last of its nodes: of several that go at once whichever is the last.
        let mut others = match is_node(row) {
            true => self.store.all("host", Some(project.id))?,
            false => Vec::new(),
        };
        others.retain(|other| other.id != row.id && is_node(other));
        let is_used = others.iter().any(|other| other.state != State::REMOVING);
        let removed = match runtime.remove_name_server(&project.uuid).await {
            Ok(()) if is_used => Ok(()),
            Ok(()) => runtime.remove_network(&project.uuid).await,
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if others.is_empty() => {
                let (project, host) = (&project.name, row.id);
                log::warn!("the network of project {project} stays on host {host}: {error}");
            }
            _ => {}
        }
        self.forget_network(project.id, row.id);
        Ok(())
    }
}
