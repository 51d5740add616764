//! Keeping one name server: it is made, looked after, and sent what is new. Every step may be cut short and repeated.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::core::{ChangedRows, Core, Served, Serving};
use crate::engine::instances::InstanceNotes;
use crate::model::network_table::{Answer, Delta, Feed, Table};
use crate::model::{Error, Resource, ResourceId, Result};
use crate::runtime::{self, FirstTable, NameFeed, NameServerSpec, Runtime};

use super::changes::{Found, changes};
use super::table::Place;
use super::told::Told;

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
    told: Option<Told>,
    is_doubted: bool,
    /// What it was not told yet.
    untold: ChangedRows,
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
            told: None,
            is_doubted: true,
            untold: ChangedRows::Any,
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
        self.untold.add(due.changed);
        if due.is_cut || self.way.as_ref().is_some_and(|way| way.is_broken()) {
            self.way = None;
        }
        let there = |id| -> Result<Option<Resource>> { Ok(core.store.find(id)?.filter(|row| row.removed.is_none())) };
        let (Some(host), Some(project)) = (there(self.served.host)?, there(self.served.project)?) else {
            core.name_servers.forget(self.served);
            return Ok(Next::Never);
        };
        let Some(runtime) = core.runtime(self.served.host) else {
            return Ok(Next::After(ENGINE_WAIT));
        };
        if self.is_doubted || self.place.is_none() {
            match self.ensure(core, &host, &project, &*runtime).await {
                Ok(()) => {}
                Err(Trouble::Now(error)) => return Err(error),
                Err(Trouble::Never(why)) => return Ok(self.give_up(core, &project, &host, why)),
            }
        }
        if !self.untold.is_nothing() || self.way.is_none() {
            self.tell(core, project, &*runtime).await?;
            self.untold = ChangedRows::default();
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
        project: &Resource,
        runtime: &dyn Runtime,
    ) -> Result<(), Trouble> {
        runtime
            .prepare_name_servers()
            .await
            .map_err(|e| self.refused(core, e))?;
        let network = core.managed_network(project, self.served.host).await;
        let network = network.map_err(|e| self.refused(core, e))?;
        let place = Place {
            host_uuid: host.uuid.clone(),
            subnet: network.subnet(),
            gateway: network.gateway(),
        };
        let told = told_address(core, host)?;
        let known = match &told {
            Some(_) => told.clone(),
            None => found_address(runtime, project)
                .await
                .map_err(|e| self.refused(core, e))?,
        };
        let mut known = known.filter(|address| network.has(address));
        for _ in 0..ADDRESSES {
            let address = core.reserve_address((project.id, host.id), &network, known.as_deref())?;
            let Some(address) = address else {
                return Err(Trouble::Never("no address is left in the project's network".into()));
            };
            let spec = NameServerSpec {
                project_uuid: project.uuid.clone(),
                name: server_name(&project.uuid),
                network_id: network.id().to_owned(),
                address: address.clone(),
                table: first_table(core, project.id, &place, self.next_number(core)),
            };
            match runtime.ensure_name_server(&spec).await {
                Ok(()) => {
                    self.is_running_at(core, project, address);
                    if self.place.as_ref() != Some(&place) {
                        self.untold = ChangedRows::Any;
                    }
                    self.place = Some(place);
                    self.is_doubted = false;
                    return Ok(());
                }
                // Its clients know it by this one.
                Err(runtime::Error::AddressTaken(why)) if told.is_some() => return Err(Trouble::Never(why)),
                Err(runtime::Error::AddressTaken(_)) => {
                    core.addresses.avoid(project.id, &address);
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
    async fn tell(&mut self, core: &Arc<Core>, project: Resource, runtime: &dyn Runtime) -> Result<()> {
        let Some(place) = self.place.clone() else { return Ok(()) };
        let number = self.next_number(core);
        // Without a way nothing can follow what was told. What goes wrong from here on leads to a whole table.
        let told = self.told.take().filter(|_| self.way.is_some());
        let News { told, delta, table } = news(core, &project, place.clone(), told, &self.untold).await?;
        if let Some(mut delta) = delta
            && let Some(way) = self.way.as_mut()
        {
            if delta.is_empty() {
                self.told = Some(told);
                return Ok(());
            }
            (delta.after, delta.number) = (told.rest.number, number);
            match way.send(&Feed::Delta(Box::new(delta))).await {
                Ok(Answer::Applied(applied)) if applied == number => {
                    self.told = Some(told.numbered(number));
                    return Ok(());
                }
                // It was begun anew, or something else came in between: it gets all of it.
                Ok(_) | Err(_) => self.way = None,
            }
        }
        let opened = runtime.feed_name_server(&project.uuid).await;
        let mut way = opened.map_err(|error| {
            // Perhaps it does not run.
            self.is_doubted = true;
            not_now(error)
        })?;
        let (told, table) = match table {
            Some(table) => (told, table),
            None => {
                let core = core.clone();
                aside(move || all(&core, project.id, &place)).await?
            }
        };
        let sent = Feed::Snapshot(Box::new(Table { number, ..table }));
        let answer = way.send(&sent).await.map_err(not_now)?;
        if answer != Answer::Applied(number) {
            return Err(Error::bug(format!(
                "the name server answered a whole table by {answer:?}"
            )));
        }
        (self.way, self.told) = (Some(way), Some(told.numbered(number)));
        Ok(())
    }

    /// Numbers grow, also from one start of the server to the next.
    fn next_number(&self, core: &Core) -> u64 {
        let now = u64::try_from(core.now().0).unwrap_or(0);
        let after = self.told.as_ref().map_or(0, |told| told.rest.number + 1);
        now.max(after)
    }
}

/// What there is to tell.
struct News {
    /// What will have been told then, but for its number.
    told: Told,
    /// What makes it of what was told.
    delta: Option<Delta>,
    /// All of it, if it was made.
    table: Option<Table>,
}

/// What changed rows make of what was told. Reading many takes a while: not on a thread that others wait for.
async fn news(
    core: &Arc<Core>,
    project: &Resource,
    place: Place,
    told: Option<Told>,
    changed: &ChangedRows,
) -> Result<News> {
    let (core, project) = (core.clone(), project.clone());
    let rows: Option<Vec<ResourceId>> = match changed {
        ChangedRows::Rows(rows) => Some(rows.iter().copied().collect()),
        ChangedRows::Any => None,
    };
    aside(move || {
        let found = match (told, rows) {
            (None, _) => Found::Unknown,
            (Some(told), None) => Found::More(told),
            (Some(told), Some(rows)) => changes(&core, &project, told, &rows)?,
        };
        if let Found::These(told, delta) = found {
            let (delta, table) = (Some(delta), None);
            return Ok(News { told, delta, table });
        }
        let (next, table) = all(&core, project.id, &place)?;
        let (told, delta) = match found {
            Found::More(told) => {
                let delta = told.delta_to(&next, &table);
                (next.numbered(told.rest.number), Some(delta))
            }
            Found::These(..) | Found::Unknown => (next, None),
        };
        let table = Some(table);
        Ok(News { told, delta, table })
    })
    .await
}

/// All of a project, and what is kept of it.
fn all(core: &Core, project: ResourceId, place: &Place) -> Result<(Told, Table)> {
    let rows = core.rows_of_names(project)?;
    let rows = rows.ok_or_else(|| Error::internal("reading rows", std::io::Error::other("the project is gone")))?;
    Told::all(&rows, place)
}

/// The table that a name server begins with.
fn first_table(core: &Arc<Core>, project: ResourceId, place: &Place, number: u64) -> FirstTable {
    let (core, place) = (core.clone(), place.clone());
    FirstTable::new(move || {
        let (_, table) = all(&core, project, &place).map_err(|error| runtime::Error::Failed(error.to_string()))?;
        Ok(Table { number, ..table })
    })
}

/// Reading and making much takes a while: not on a thread that others wait for.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let working = tokio::task::spawn_blocking(work);
    working.await.map_err(|e| Error::internal("making a table", e))?
}

fn not_now(error: runtime::Error) -> Error {
    Error::internal("the name server is waited for", error)
}

/// The address that containers on a host were told when they were made: it stays.
fn told_address(core: &Core, host: &Resource) -> Result<Option<String>> {
    let here = core.store.on_hosts(&[host.id], "instance")?;
    let mut told = here.iter().rev().filter_map(|slim| {
        let notes: InstanceNotes = serde_json::from_str(&slim.internal).ok()?;
        notes.names?.server().map(str::to_owned)
    });
    Ok(told.next())
}

/// The address of the one that is there, which a server that is gone may have told to containers.
async fn found_address(runtime: &dyn Runtime, project: &Resource) -> runtime::Result<Option<String>> {
    let found = runtime.name_servers().await?.into_iter();
    let mut own = found.filter(|there| there.project_uuid == project.uuid);
    Ok(own.find_map(|there| there.address))
}

/// As people find it. The uuid begins with a clock, which other projects share: its end is random.
fn server_name(project_uuid: &str) -> String {
    format!(
        "drover-names-{}",
        project_uuid.rsplit('-').next().unwrap_or(project_uuid)
    )
}
