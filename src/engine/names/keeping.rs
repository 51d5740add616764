//! Keeping one name server: it is made, looked after, and sent what is new. Every step may be cut short and repeated.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::core::{Core, Served, Serving, notes};
use crate::engine::instances::InstanceNotes;
use crate::model::network_table::{Answer, Feed, Table};
use crate::model::{Error, Resource, ResourceId, Result};
use crate::runtime::{self, NameFeed, NameServerSpec, Runtime};

use super::rows::Rows;
use super::table::{Place, table};

/// Before it is tried again where it could not run.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// Before an engine is looked for again that is not there.
const ENGINE_WAIT: Duration = Duration::from_secs(2);

/// Addresses tried, if strangers have them.
const ADDRESSES: usize = 8;

/// When the next step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Never: nobody wants it any more.
    Never,
    /// When something happens.
    News,
    /// When something happens, or after this time.
    After(Duration),
}

/// One name server, and how far it has been told.
pub(crate) struct Kept {
    served: Served,
    /// Where it was found to be as it should.
    place: Option<Place>,
    way: Option<Box<dyn NameFeed>>,
    /// What it answers from, as it said itself.
    applied: Option<Table>,
    is_doubted: bool,
    is_stale: bool,
    /// What was logged last.
    said: Option<String>,
}

/// Why it could not be made.
enum Trouble {
    /// It cannot run there, whatever is done.
    Never(String),
    /// Not this time.
    Now(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Now(error)
    }
}

impl Kept {
    pub(crate) fn new(served: Served) -> Self {
        Self {
            served,
            place: None,
            way: None,
            applied: None,
            is_doubted: true,
            is_stale: true,
            said: None,
        }
    }

    /// What its loop is called.
    pub(crate) fn name(served: Served) -> String {
        format!("names of project {} on host {}", served.project, served.host)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The engine or the name server does not answer: the next step begins where this one ended.
    pub(crate) async fn step(&mut self, core: &Arc<Core>) -> Result<Next> {
        let Some(due) = core.name_servers.take_due(self.served) else {
            return Ok(Next::Never);
        };
        self.is_doubted |= due.is_doubted;
        self.is_stale |= due.is_stale;
        if due.is_cut || self.way.as_ref().is_some_and(|way| way.is_broken()) {
            self.way = None;
        }
        let host = core.store.find(self.served.host)?.filter(|host| host.removed.is_none());
        let rows = rows_of(core, self.served.project).await?;
        let (Some(host), Some(rows)) = (host, rows) else {
            core.name_servers.forget(self.served);
            return Ok(Next::Never);
        };
        let Some(runtime) = core.runtime(self.served.host) else {
            return Ok(Next::After(ENGINE_WAIT));
        };
        if self.is_doubted || self.place.is_none() {
            match self.ensure(core, &host, &rows, &*runtime).await {
                Ok(()) => {}
                Err(Trouble::Now(error)) => return Err(error),
                Err(Trouble::Never(why)) => return Ok(self.give_up(core, &rows.project, &host, why)),
            }
        }
        if self.is_stale || self.way.is_none() {
            self.tell(core, rows, &*runtime).await?;
            self.is_stale = false;
        }
        Ok(Next::News)
    }

    /// Containers find each other without it; whoever looks after the server is told, once.
    fn give_up(&mut self, core: &Core, project: &Resource, host: &Resource, why: String) -> Next {
        if self.said.as_ref() != Some(&why) {
            log::warn!(
                "no name server for project {} on host {}: {why}; new containers find each other by the engine's aliases",
                project.name,
                host.id
            );
            self.said = Some(why.clone());
        }
        core.name_servers.note(self.served, Serving::Cannot(why));
        Next::After(TRY_AGAIN)
    }

    /// Makes sure that it is there, as it should be.
    async fn ensure(
        &mut self,
        core: &Arc<Core>,
        host: &Resource,
        rows: &Rows,
        runtime: &dyn Runtime,
    ) -> Result<(), Trouble> {
        runtime
            .prepare_name_servers()
            .await
            .map_err(|e| self.refused(core, e))?;
        let network = core.managed_network(&rows.project, self.served.host).await;
        let network = network.map_err(|e| self.refused(core, e))?;
        let place = Place {
            host_uuid: host.uuid.clone(),
            subnet: network.subnet(),
            gateway: network.gateway(),
        };
        let told = told_address(rows, host);
        let known = match &told {
            Some(_) => told.clone(),
            None => found_address(runtime, rows).await.map_err(|e| self.refused(core, e))?,
        };
        let mut known = known.filter(|address| network.has(address));
        for _ in 0..ADDRESSES {
            let address = core.reserve_address(rows.project.id, &network, known.as_deref())?;
            let Some(address) = address else {
                return Err(Trouble::Never("no address is left in the project's network".into()));
            };
            let spec = NameServerSpec {
                project_uuid: rows.project.uuid.clone(),
                name: server_name(&rows.project.uuid),
                network_id: network.id.clone(),
                address: address.clone(),
                table: self.numbered(core, table(rows, &place)?),
            };
            match runtime.ensure_name_server(&spec).await {
                Ok(()) => {
                    self.is_running_at(core, &rows.project, address);
                    self.place = Some(place);
                    self.is_doubted = false;
                    return Ok(());
                }
                // Its clients know it by this one.
                Err(runtime::Error::AddressTaken(why)) if told.is_some() => return Err(Trouble::Never(why)),
                Err(runtime::Error::AddressTaken(_)) => {
                    core.addresses.avoid(rows.project.id, &address);
                    known = None;
                }
                Err(error) => return Err(self.refused(core, error)),
            }
        }
        Err(Trouble::Never(
            "strangers have the addresses of the project's network".into(),
        ))
    }

    fn is_running_at(&mut self, core: &Core, project: &Resource, address: String) {
        let serving = Serving::At(address);
        if core.name_servers.serving(self.served).as_ref() != Some(&serving) {
            if let Serving::At(address) = &serving {
                log::info!("the name server of project {} is at {address}", project.name);
            }
            core.name_servers.note(self.served, serving);
        }
        self.said = None;
    }

    /// What an engine's refusal comes to.
    fn refused(&self, core: &Core, error: runtime::Error) -> Trouble {
        match error {
            runtime::Error::Unreachable(_) => {}
            runtime::Error::Gone(_) | runtime::Error::NetworkGone(_) => {
                core.forget_network(self.served.project, self.served.host);
            }
            runtime::Error::Failed(why)
            | runtime::Error::PortTaken(why)
            | runtime::Error::NameTaken(why)
            | runtime::Error::AddressTaken(why) => return Trouble::Never(why),
        }
        Trouble::Now(not_now(error))
    }

    /// Sends what is new since it last answered, or all of it.
    async fn tell(&mut self, core: &Arc<Core>, rows: Rows, runtime: &dyn Runtime) -> Result<()> {
        let Some(place) = self.place.clone() else { return Ok(()) };
        let project_uuid = rows.project.uuid.clone();
        let making = tokio::task::spawn_blocking(move || table(&rows, &place));
        let table = making.await.map_err(|e| Error::internal("making the table", e))??;
        let mut table = self.numbered(core, table);
        if let (Some(way), Some(applied)) = (self.way.as_mut(), &self.applied) {
            let delta = applied.delta_to(&table);
            if delta.is_empty() {
                return Ok(());
            }
            match way.send(&Feed::Delta(Box::new(delta))).await {
                Ok(Answer::Applied(number)) if number == table.number => {
                    self.applied = Some(table);
                    return Ok(());
                }
                // It was begun anew, or something else came in between: it gets all of it.
                Ok(_) | Err(_) => self.way = None,
            }
        }
        let opened = runtime.feed_name_server(&project_uuid).await;
        let mut way = opened.map_err(|error| {
            // Perhaps it does not run.
            self.is_doubted = true;
            not_now(error)
        })?;
        let sent = Feed::Snapshot(Box::new(table));
        let answer = way.send(&sent).await.map_err(not_now)?;
        let Feed::Snapshot(whole) = sent else { return Ok(()) };
        table = *whole;
        if answer != Answer::Applied(table.number) {
            return Err(Error::bug(format!(
                "the name server answered a whole table by {answer:?}"
            )));
        }
        (self.way, self.applied) = (Some(way), Some(table));
        Ok(())
    }

    /// Numbers grow, also from one start of the server to the next.
    fn numbered(&self, core: &Core, table: Table) -> Table {
        let now = u64::try_from(core.now().0).unwrap_or(0);
        let after = self.applied.as_ref().map_or(0, |applied| applied.number + 1);
        Table {
            number: now.max(after),
            ..table
        }
    }
}

/// Reading thousands of rows takes a while: not on a thread that others wait for.
async fn rows_of(core: &Arc<Core>, project: ResourceId) -> Result<Option<Rows>> {
    let core = core.clone();
    let reading = tokio::task::spawn_blocking(move || core.rows_of_names(project));
    reading.await.map_err(|e| Error::internal("reading rows", e))?
}

fn not_now(error: runtime::Error) -> Error {
    Error::internal("the name server is waited for", error)
}

/// The address that containers on a host were told when they were made: it stays.
fn told_address(rows: &Rows, host: &Resource) -> Option<String> {
    let here = rows.instances.iter().filter(|row| row.host_id == Some(host.id));
    let mut told = here.filter_map(|row| notes::<InstanceNotes>(row).names?.server().map(str::to_owned));
    told.next_back()
}

/// The address of the one that is there, which a server that is gone may have told to containers.
async fn found_address(runtime: &dyn Runtime, rows: &Rows) -> runtime::Result<Option<String>> {
    let found = runtime.name_servers().await?.into_iter();
    let mut own = found.filter(|there| there.project_uuid == rows.project.uuid);
    Ok(own.find_map(|there| there.address))
}

/// As people find it. The uuid begins with a clock, which other projects share: its end is random.
fn server_name(project_uuid: &str) -> String {
    format!(
        "drover-names-{}",
        project_uuid.rsplit('-').next().unwrap_or(project_uuid)
    )
}
