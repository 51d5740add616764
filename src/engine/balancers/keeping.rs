//! Keeping one balancer: a way to it is opened, and it is sent what is new. Every step may be cut short and repeated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::core::{Core, Key, notes};
use crate::engine::instances::{InstanceNotes, plan_state};
use crate::model::balancer_table::{Answer, Feed, Standing, Table};
use crate::model::{Error, Resource, ResourceId, Result, State};
use crate::plan::InstanceState;
use crate::runtime::{self, BalancerFeed, Runtime};
use crate::store::Changes;

use super::table::table;

/// Before an engine is looked for again that is not there.
const ENGINE_WAIT: Duration = Duration::from_secs(2);

/// Between two looks at servers that are on their way out.
const DRAIN_LOOK: Duration = Duration::from_millis(250);

/// When the next step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Never: it is no balancer any more.
    Never,
    /// When something happens.
    News,
    /// When something happens, or after this time.
    After(Duration),
}

/// One balancer, and how far it has been told.
pub(crate) struct Kept {
    container: ResourceId,
    way: Option<Box<dyn BalancerFeed>>,
    /// Which start of its container the way leads to.
    started: String,
    /// What it was told last and goes by, as far as it can.
    told: Option<Table>,
    drains: bool,
    /// What it cannot do.
    complaint: Option<String>,
    is_stale: bool,
    is_doubted: bool,
}

impl Kept {
    pub(crate) fn new(container: ResourceId) -> Self {
        Self {
            container,
            way: None,
            started: String::new(),
            told: None,
            drains: false,
            complaint: None,
            is_stale: true,
            is_doubted: true,
        }
    }

    /// What its loop is called.
    pub(crate) fn name(container: ResourceId) -> String {
        format!("balancer {container}")
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The engine or the balancer does not answer: the next step begins where this one ended.
    pub(crate) async fn step(&mut self, core: &Arc<Core>) -> Result<Next> {
        let Some(due) = core.balancers.take_due(self.container) else {
            return Ok(Next::Never);
        };
        self.is_stale |= due.is_stale;
        self.is_doubted |= due.is_doubted;
        let row = core.store.find(self.container)?.filter(|row| row.removed.is_none());
        let Some(row) = row else {
            core.balancers.forget(self.container);
            return Ok(Next::Never);
        };
        if !matches!(plan_state(row.state), InstanceState::Running | InstanceState::Stopping) {
            self.lose();
            go_on(core, &core.balancers.is_down(self.container));
            return Ok(Next::News);
        }
        let Some(runtime) = row.host_id.and_then(|host| core.runtime(host)) else {
            self.lose();
            return Ok(Next::After(ENGINE_WAIT));
        };
        let note: InstanceNotes = notes(&row);
        if self.started != note.started_at {
            self.lose();
            self.started = note.started_at;
        }
        if self.is_doubted || self.is_stale || self.way.is_none() {
            self.tell(core, &row, &*runtime).await?;
            (self.is_stale, self.is_doubted) = (false, false);
        } else if self.drains {
            self.look(core, &row).await?;
        }
        Ok(if self.drains {
            Next::After(DRAIN_LOOK)
        } else {
            Next::News
        })
    }

    fn lose(&mut self) {
        (self.way, self.told, self.drains) = (None, None, false);
    }

    /// Sends its table, if that is another one than before, or if it is to be compared.
    async fn tell(&mut self, core: &Arc<Core>, row: &Resource, runtime: &dyn Runtime) -> Result<()> {
        let Some(table) = table_of(core, self.container).await? else {
            return Ok(());
        };
        let number = u64::try_from(core.now().0).unwrap_or(0);
        let number = number.max(self.told.as_ref().map_or(0, |told| told.number + 1));
        let table = Table { number, ..table };
        let is_same = |told: &Table| Table { number, ..told.clone() } == table;
        if !self.is_doubted && self.way.is_some() && self.told.as_ref().is_some_and(is_same) {
            return if self.drains {
                self.look(core, row).await
            } else {
                // Its service may have been busy when it was said.
                complain(core, row, self.complaint.clone()).await
            };
        }
        core.balancers.telling(self.container, &servers(&table));
        if self.way.is_none() {
            self.way = Some(runtime.feed_balancer(&row.uuid).await.map_err(not_now)?);
        }
        let standing = self.send(&Feed::Table(Box::new(table.clone()))).await?;
        if standing.number != number {
            return Err(Error::bug("a balancer goes by another table than it was sent"));
        }
        self.drains = !standing.draining.is_empty();
        let free = core
            .balancers
            .told(self.container, servers(&table), standing.draining.clone());
        go_on(core, &free);
        self.told = Some(table);
        self.complaint = standing.complaint;
        complain(core, row, self.complaint.clone()).await
    }

    /// Asks how servers stand that are on their way out.
    async fn look(&mut self, core: &Arc<Core>, row: &Resource) -> Result<()> {
        let standing = self.send(&Feed::Look).await?;
        let Some(told) = &self.told else { return Ok(()) };
        self.drains = !standing.draining.is_empty();
        let free = core
            .balancers
            .told(self.container, servers(told), standing.draining.clone());
        go_on(core, &free);
        self.complaint = standing.complaint;
        complain(core, row, self.complaint.clone()).await
    }

    /// A way that broke is opened anew by the next step.
    async fn send(&mut self, news: &Feed) -> Result<Standing> {
        let Some(way) = self.way.as_mut() else {
            return Err(Error::bug("no way to a balancer"));
        };
        match way.send(news).await {
            Ok(Answer::Stands(standing)) => Ok(standing),
            Ok(Answer::Refused(why)) => {
                self.lose();
                Err(not_now(runtime::Error::Failed(why)))
            }
            Err(error) => {
                self.lose();
                Err(not_now(error))
            }
        }
    }
}

/// Processes that waited look again.
pub(super) fn go_on(core: &Core, processes: &[i64]) {
    for process in processes {
        core.queue.push(Key::Process(*process), core.now());
    }
}

fn not_now(error: runtime::Error) -> Error {
    Error::internal("the balancer is waited for", error)
}

/// Who may be sent requests by a table.
fn servers(table: &Table) -> BTreeSet<String> {
    let rules = table.listeners.iter().flat_map(|listener| &listener.rules);
    rules.flat_map(|rule| rule.targets.keys().cloned()).collect()
}

/// Reading many rows takes a while: not on a thread that others wait for.
async fn table_of(core: &Arc<Core>, container: ResourceId) -> Result<Option<Table>> {
    let core = core.clone();
    let making = tokio::task::spawn_blocking(move || {
        let rows = core.rows_of_balancer(container)?;
        Ok::<_, Error>(rows.map(|rows| table(&rows)))
    });
    making
        .await
        .map_err(|e| Error::internal("making a balancer's table", e))?
}

/// Says of a balancer's service what it cannot do, or that it can again.
async fn complain(core: &Arc<Core>, container: &Resource, complaint: Option<String>) -> Result<()> {
    let Some(service) = container.parent_id else {
        return Ok(());
    };
    let says = complaint.map(|complaint| {
        COMPLAINT
            .chars()
            .chain(complaint.chars().take(LONGEST))
            .collect::<String>()
    });
    let is_said = |row: &Resource| match &says {
        Some(says) => row.message == *says,
        None => !row.message.starts_with(COMPLAINT),
    };
    // While it does something, it says what it waits for.
    let row = core.store.find(service)?.filter(|row| row.state == State::ACTIVE);
    if row.is_none_or(|row| is_said(&row)) {
        return Ok(());
    }
    if let Some(says) = &says {
        log::warn!("{}: {says}", container.name);
    }
    core.write(move |tx| {
        let Some(row) = tx.find(service)?.filter(|row| row.state == State::ACTIVE) else {
            return Ok(());
        };
        let changes = Changes {
            message: Some(says.unwrap_or_default()),
            ..Changes::default()
        };
        tx.update_if(&row, &changes).map(drop)
    })
    .await
}

/// So much of it is told: it is written by a program in a container.
const LONGEST: usize = 500;

/// What a message of a balancer begins with, by which it is known again.
const COMPLAINT: &str = "The balancer says: ";
