//! Which projects are to have a name server on which host, and how each stands: in memory, read anew from engines and rows
//! after a start. What keeps them is in the room `names`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::ResourceId;

/// A project, and a host that its containers are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Served {
    pub(crate) project: ResourceId,
    pub(crate) host: ResourceId,
}

/// How a name server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Serving {
    /// It is to be there, and is not known to be yet.
    Wanted,
    /// It runs at this address.
    At(String),
    /// It cannot run, for this reason.
    Cannot(String),
}

/// See the head of this file.
#[derive(Default)]
pub(crate) struct NameServers {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    known: BTreeMap<Served, Known>,
    /// Hosts whose engines are to be asked what is there.
    unseen: BTreeSet<ResourceId>,
}

struct Known {
    serving: Serving,
    /// Wakes whoever keeps it.
    news: Arc<Notify>,
    /// Nobody knows whether it is as it should be.
    is_doubted: bool,
    /// Something happened to it: the way to it is cut.
    is_cut: bool,
    /// Rows that changed since the last table.
    changed: ChangedRows,
}

/// Rows that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChangedRows {
    /// These; none if nothing did.
    Rows(BTreeSet<ResourceId>),
    /// Nobody knows which.
    Any,
}

impl Default for ChangedRows {
    fn default() -> Self {
        Self::Rows(BTreeSet::new())
    }
}

impl ChangedRows {
    /// Of more rows it is not remembered which they are: all of a table is made again.
    const MOST: usize = 4096;

    /// Whether nothing did.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Rows(rows) if rows.is_empty())
    }

    /// These changed, too.
    pub(crate) fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::Rows(rows), Self::Rows(more)) => {
                rows.extend(more);
                if rows.len() > Self::MOST {
                    *self = Self::Any;
                }
            }
            (Self::Any, _) => {}
            (Self::Rows(_), Self::Any) => *self = Self::Any,
        }
    }
}

/// What is due for one name server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// To look whether it is as it should be.
    pub(crate) is_doubted: bool,
    /// To open another way to it.
    pub(crate) is_cut: bool,
    /// To tell what became of these rows.
    pub(crate) changed: ChangedRows,
}

impl NameServers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands; none if nobody wants it.
    pub(crate) fn serving(&self, served: Served) -> Option<Serving> {
        self.lock().known.get(&served).map(|known| known.serving.clone())
    }

    /// Asks for one, unless it is known.
    pub(crate) fn want(&self, served: Served) {
        let mut state = self.lock();
        if state.known.contains_key(&served) {
            return;
        }
        let known = Known {
            serving: Serving::Wanted,
            news: Arc::default(),
            is_doubted: true,
            is_cut: false,
            changed: ChangedRows::Any,
        };
        state.known.insert(served, known);
        self.changed.notify_one();
    }

    /// Says how it stands, if somebody wants it still.
    pub(crate) fn note(&self, served: Served, serving: Serving) {
        if let Some(known) = self.lock().known.get_mut(&served) {
            known.serving = serving;
        }
    }

    /// Nobody wants it any more.
    pub(crate) fn forget(&self, served: Served) {
        if let Some(known) = self.lock().known.remove(&served) {
            known.news.notify_one();
        }
        self.changed.notify_one();
    }

    /// All that are wanted.
    pub(crate) fn all(&self) -> Vec<Served> {
        self.lock().known.keys().copied().collect()
    }

    /// What wakes whoever keeps it.
    pub(crate) fn news_of(&self, served: Served) -> Option<Arc<Notify>> {
        self.lock().known.get(&served).map(|known| known.news.clone())
    }

    /// Something happened to one.
    pub(crate) fn happened(&self, served: Served) {
        if let Some(known) = self.lock().known.get_mut(&served) {
            (known.is_doubted, known.is_cut) = (true, true);
            known.news.notify_one();
        }
    }

    /// Nobody knows whether one answers.
    pub(crate) fn doubt_one(&self, served: Served) {
        if let Some(known) = self.lock().known.get_mut(&served) {
            known.is_doubted = true;
            known.news.notify_one();
        }
    }

    /// Something may have happened to those on a host.
    pub(crate) fn doubt(&self, host: ResourceId) {
        let mut state = self.lock();
        for (_, known) in state.known.iter_mut().filter(|(served, _)| served.host == host) {
            known.is_doubted = true;
            known.news.notify_one();
        }
    }

    /// Rows of these projects changed.
    pub(crate) fn outdate(&self, projects: &BTreeMap<ResourceId, ChangedRows>) {
        let mut state = self.lock();
        for (served, known) in &mut state.known {
            if let Some(changed) = projects.get(&served.project) {
                known.changed.add(changed.clone());
                known.news.notify_one();
            }
        }
    }

    /// Takes what is due for one; none if nobody wants it any more.
    pub(crate) fn take_due(&self, served: Served) -> Option<Due> {
        let mut state = self.lock();
        let known = state.known.get_mut(&served)?;
        Some(Due {
            is_doubted: std::mem::take(&mut known.is_doubted),
            is_cut: std::mem::take(&mut known.is_cut),
            changed: std::mem::take(&mut known.changed),
        })
    }

    /// An engine answers (again), or it is time to ask it what is there.
    pub(crate) fn look_at_host(&self, host: ResourceId) {
        self.lock().unseen.insert(host);
        self.doubt(host);
        self.changed.notify_one();
    }

    /// Takes the hosts that are to be looked at.
    pub(crate) fn take_unseen(&self) -> BTreeSet<ResourceId> {
        std::mem::take(&mut self.lock().unseen)
    }

    /// Waits until something is wanted, or no longer, or to be looked at.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
