//! Name servers of a simulated engine: none, unless tests ask for them. One takes in what it is fed, and shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Shared, Sim, SimWorld};
use crate::model::network_table::{Answer, Feed, Table};
use crate::runtime::{Error, NameFeed, NameServerFound, NameServerSpec, Result, RuntimeEvent};

/// The name servers of a simulated engine.
#[derive(Default)]
pub(super) struct NameServers {
    pub(super) are_possible: bool,
    /// Why they cannot run all the same.
    refusal: Option<String>,
    by_project: BTreeMap<String, Server>,
    /// Grows when all ways are cut.
    cuts: u64,
    /// The last way that was opened to each: how many cuts there were then.
    ways: BTreeMap<String, u64>,
    /// How often each was asked for a probe.
    probes: BTreeMap<String, u64>,
    /// What each was sent.
    told: BTreeMap<String, Told>,
}

/// What a name server was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Whole tables.
    pub snapshots: u64,
    /// Differences.
    pub deltas: u64,
    /// Containers and services in differences.
    pub entries: u64,
}

struct Server {
    address: String,
    network: String,
    table: Table,
}

impl Sim {
    /// Lets it have name servers, as a Docker Engine has.
    pub fn allow_name_servers(&self) {
        self.shared.lock().names.are_possible = true;
    }

    /// From now on name servers cannot run, for this reason; or can again.
    pub fn refuse_name_servers(&self, why: Option<&str>) {
        self.shared.lock().names.refusal = why.map(str::to_owned);
    }

    /// What the name server of a project answers from.
    pub fn name_table(&self, project_uuid: &str) -> Option<Table> {
        let world = self.shared.lock();
        world.names.by_project.get(project_uuid).map(|s| s.table.clone())
    }

    /// The projects that have a name server, each with its address.
    pub fn name_server_addresses(&self) -> Vec<(String, String)> {
        let world = self.shared.lock();
        let all = world.names.by_project.iter();
        all.map(|(project, server)| (project.clone(), server.address.clone()))
            .collect()
    }

    /// The name server of a project vanishes, as if somebody had removed it by hand.
    pub fn forget_name_server(&self, project_uuid: &str) {
        self.shared.lock().names.by_project.remove(project_uuid);
        let project_uuid = project_uuid.to_owned();
        self.shared.send(RuntimeEvent::NameServer { project_uuid });
    }

    /// How often the name server of a project was asked to probe a container.
    pub fn probes_beside(&self, project_uuid: &str) -> u64 {
        self.shared.lock().names.probes.get(project_uuid).copied().unwrap_or(0)
    }

    /// What the name server of a project was sent so far.
    pub fn told_names(&self, project_uuid: &str) -> Told {
        let world = self.shared.lock();
        world.names.told.get(project_uuid).copied().unwrap_or_default()
    }

    /// Every way to a name server breaks.
    pub fn cut_feeds(&self) {
        self.shared.lock().names.cuts += 1;
    }
}

impl SimWorld {
    pub(super) fn found_name_servers(&self) -> Vec<NameServerFound> {
        let all = self.names.by_project.iter().map(|(project, server)| NameServerFound {
            project_uuid: project.clone(),
            address: Some(server.address.clone()),
        });
        all.collect()
    }

    pub(super) fn prepare_name_servers(&self) -> Result<()> {
        match (&self.names.refusal, self.names.are_possible) {
            (Some(why), _) => Err(Error::Failed(why.clone())),
            (None, false) => Err(Error::Failed("a simulated engine has no name servers".to_owned())),
            (None, true) => Ok(()),
        }
    }

    pub(super) fn ensure_name_server(&mut self, spec: &NameServerSpec) -> Result<()> {
        self.prepare_name_servers()?;
        let is_right = |server: &Server| server.address == spec.address && server.network == spec.network_id;
        if self.names.by_project.get(&spec.project_uuid).is_some_and(is_right) {
            return Ok(());
        }
        if self.state.has_address(&spec.address) {
            return Err(Error::AddressTaken(format!("{}: Address already in use", spec.address)));
        }
        let server = Server {
            address: spec.address.clone(),
            network: spec.network_id.clone(),
            table: spec.table.make()?,
        };
        self.names.by_project.insert(spec.project_uuid.clone(), server);
        Ok(())
    }

    /// Notes that a project's name server is asked for a probe; why it cannot be.
    pub(super) fn probe_beside(&mut self, project_uuid: &str) -> std::result::Result<(), String> {
        let names = &mut self.names;
        let is_open = names.ways.get(project_uuid) == Some(&names.cuts);
        if !is_open || !names.by_project.contains_key(project_uuid) {
            return Err("no way to the name server is open".to_owned());
        }
        *names.probes.entry(project_uuid.to_owned()).or_default() += 1;
        Ok(())
    }

    pub(super) fn remove_name_server(&mut self, project_uuid: &str) {
        self.names.by_project.remove(project_uuid);
    }
}

pub(super) fn open(shared: &Arc<Shared>, world: &mut SimWorld, project_uuid: &str) -> Result<Box<dyn NameFeed>> {
    if !world.names.by_project.contains_key(project_uuid) {
        return Err(Error::Gone("the name server does not run".to_owned()));
    }
    let cuts = world.names.cuts;
    world.names.ways.insert(project_uuid.to_owned(), cuts);
    Ok(Box::new(Way {
        shared: Arc::clone(shared),
        project_uuid: project_uuid.to_owned(),
        cuts,
    }))
}

struct Way {
    shared: Arc<Shared>,
    project_uuid: String,
    cuts: u64,
}

#[async_trait]
impl NameFeed for Way {
    async fn send(&mut self, news: &Feed) -> Result<Answer> {
        let mut world = self.shared.lock();
        let is_cut = world.names.cuts != self.cuts || world.is_silent();
        let names = &mut world.names;
        let server = names.by_project.get_mut(&self.project_uuid);
        let Some(server) = server.filter(|_| !is_cut) else {
            return Err(Error::Unreachable("the way to the name server is cut".to_owned()));
        };
        let told = names.told.entry(self.project_uuid.clone()).or_default();
        match news {
            Feed::Snapshot(_) => told.snapshots += 1,
            Feed::Delta(delta) => {
                told.deltas += 1;
                told.entries += (delta.containers.len() + delta.services.len()) as u64;
            }
            Feed::Probe(_) => {}
        }
        Ok(match news {
            Feed::Snapshot(table) => {
                server.table = Table::clone(table);
                Answer::Applied(server.table.number)
            }
            Feed::Delta(delta) => match server.table.apply(delta.as_ref().clone()) {
                true => Answer::Applied(server.table.number),
                false => Answer::Behind(server.table.number),
            },
            Feed::Probe(_) => return Err(Error::Failed("probes are asked of the engine".to_owned())),
        })
    }

    fn is_broken(&self) -> bool {
        self.shared.lock().names.cuts != self.cuts
    }
}
