//! Which containers are balancers, and what each has been told: in memory, found again from rows after a start. What keeps them
//! is in the room `balancers`; who stops a container asks here whether somebody is still sent there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::ResourceId;

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Balancers {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// By their containers.
    known: BTreeMap<ResourceId, Known>,
    /// Hosts whose rows were looked at since the start.
    seen: BTreeSet<ResourceId>,
    /// Servers that nobody is to be sent to any more, by the uuids of their containers.
    released: BTreeSet<String>,
    /// Processes that wait until nobody is sent to a server.
    waiting: BTreeMap<String, i64>,
}

struct Known {
    project: ResourceId,
    host: ResourceId,
    /// Wakes whoever keeps it.
    news: Arc<Notify>,
    /// To be told anew.
    is_stale: bool,
    /// Nobody knows whether it does as it was told.
    is_doubted: bool,
    /// Servers that it may send somebody to; none if that is not known.
    serves: Option<BTreeSet<String>>,
    /// Servers on their way out, and how many connections they have there.
    draining: BTreeMap<String, u64>,
}

/// What is due for one balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// To make its table anew.
    pub(crate) is_stale: bool,
    /// To tell it all again, whether there is something new or not.
    pub(crate) is_doubted: bool,
}

/// Whether balancers send somebody to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// None does.
    Free,
    /// Some do, or may.
    Held,
    /// All of those that did only keep who is there: so many connections.
    Draining(u64),
}

impl Balancers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is a balancer.
    pub(crate) fn want(&self, container: ResourceId, project: ResourceId, host: ResourceId) {
        let mut state = self.lock();
        if state.known.contains_key(&container) {
            return;
        }
        let known = Known {
            project,
            host,
            news: Arc::default(),
            is_stale: true,
            is_doubted: true,
            serves: None,
            draining: BTreeMap::new(),
        };
        state.known.insert(container, known);
        self.changed.notify_one();
    }

    /// A container is none any more.
    pub(crate) fn forget(&self, container: ResourceId) {
        if let Some(known) = self.lock().known.remove(&container) {
            known.news.notify_one();
        }
        self.changed.notify_one();
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<ResourceId> {
        self.lock().known.keys().copied().collect()
    }

    /// The rows of a host were looked at: balancers there are known. Processes that waited for that are given back.
    #[must_use]
    pub(crate) fn saw(&self, host: ResourceId) -> Vec<i64> {
        let mut state = self.lock();
        match state.seen.insert(host) {
            true => std::mem::take(&mut state.waiting).into_values().collect(),
            false => Vec::new(),
        }
    }

    /// What wakes whoever keeps it.
    pub(crate) fn news_of(&self, container: ResourceId) -> Option<Arc<Notify>> {
        self.lock().known.get(&container).map(|known| known.news.clone())
    }

    /// Rows of these projects changed.
    pub(crate) fn outdate(&self, projects: &BTreeSet<ResourceId>) {
        for known in self
            .lock()
            .known
            .values_mut()
            .filter(|known| projects.contains(&known.project))
        {
            known.is_stale = true;
            known.news.notify_one();
        }
    }

    /// It is time to tell all of them everything again.
    pub(crate) fn doubt_all(&self) {
        for known in self.lock().known.values_mut() {
            (known.is_stale, known.is_doubted) = (true, true);
            known.news.notify_one();
        }
    }

    /// Takes what is due for one; none if it is none any more.
    pub(crate) fn take_due(&self, container: ResourceId) -> Option<Due> {
        let mut state = self.lock();
        let known = state.known.get_mut(&container)?;
        Some(Due {
            is_stale: std::mem::take(&mut known.is_stale),
            is_doubted: std::mem::take(&mut known.is_doubted),
        })
    }

    /// It is about to be told of these servers: from now on it may send somebody there.
    pub(crate) fn telling(&self, container: ResourceId, servers: &BTreeSet<String>) {
        if let Some(known) = self.lock().known.get_mut(&container)
            && let Some(serves) = &mut known.serves
        {
            serves.extend(servers.iter().cloned());
        }
    }

    /// It goes by a table with these servers. Processes that may go on now are given back.
    #[must_use]
    pub(crate) fn told(
        &self,
        container: ResourceId,
        servers: BTreeSet<String>,
        draining: BTreeMap<String, u64>,
    ) -> Vec<i64> {
        let mut state = self.lock();
        let may_go_on = |server: &String| !servers.contains(server) || draining.get(server) == Some(&0);
        let free = state.waiting.iter().filter(|(server, _)| may_go_on(server));
        let free: Vec<(String, i64)> = free.map(|(server, process)| (server.clone(), *process)).collect();
        for (server, _) in &free {
            state.waiting.remove(server);
        }
        if let Some(known) = state.known.get_mut(&container) {
            known.serves = Some(servers);
            known.draining = draining;
        }
        free.into_iter().map(|(_, process)| process).collect()
    }

    /// It does not run: it sends nobody anywhere.
    #[must_use]
    pub(crate) fn is_down(&self, container: ResourceId) -> Vec<i64> {
        self.told(container, BTreeSet::new(), BTreeMap::new())
    }

    /// A process waits until nobody is sent to a server.
    pub(crate) fn wait_for(&self, server: &str, process: i64) {
        self.lock().waiting.insert(server.to_owned(), process);
    }

    /// Whether balancers of a project send somebody to a server on a host.
    pub(crate) fn use_of(&self, project: ResourceId, host: ResourceId, server: &str) -> Use {
        let state = self.lock();
        if !state.seen.contains(&host) {
            return Use::Held;
        }
        let own = state.known.values().filter(|known| known.project == project);
        let mut connections = None;
        for known in own {
            match &known.serves {
                // What it did before this server began it still does.
                None if known.host == host => return Use::Held,
                None => {}
                Some(serves) if !serves.contains(server) => {}
                Some(_) => match known.draining.get(server) {
                    None => return Use::Held,
                    Some(count) => *connections.get_or_insert(0) += count,
                },
            }
        }
        connections.map_or(Use::Free, Use::Draining)
    }

    /// Nobody is to be sent to a server any more.
    pub(crate) fn release(&self, project: ResourceId, server: &str) {
        if self.lock().released.insert(server.to_owned()) {
            self.outdate(&BTreeSet::from([project]));
        }
    }

    /// A server that was released is down, or is to serve again.
    pub(crate) fn forget_released(&self, server: &str) {
        let mut state = self.lock();
        state.released.remove(server);
        state.waiting.remove(server);
    }

    /// Servers that nobody is to be sent to.
    pub(crate) fn released(&self) -> BTreeSet<String> {
        self.lock().released.clone()
    }

    /// A host has an engine now.
    pub(crate) fn hosts_changed(&self) {
        self.changed.notify_one();
    }

    /// Waits until there is another one, or one less.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
