//! Which hosts there are, and how many containers live on each: the state alone, in memory. What keeps it is with the containers.
//!
//! Whoever places a container needs to know this of all hosts. To count all containers for that, each time a service is looked at,
//! is what many of them would cost most: here only those are looked at that changed since the last time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::ResourceId;
use crate::plan;

/// What was counted so far.
#[derive(Default)]
pub(crate) struct Counted {
    /// Up to which event of the outbox; none before the first count.
    pub(crate) read: Option<i64>,
    /// The hosts that are not removed, as the planner sees them, but for what is on them; and whose they are.
    hosts: BTreeMap<ResourceId, (Option<ResourceId>, plan::Host)>,
    /// The host of each container that lives on one.
    places: HashMap<ResourceId, ResourceId>,
    loads: HashMap<ResourceId, u32>,
}

impl Counted {
    /// A host as it is now; none if it is gone.
    pub(crate) fn note_host(&mut self, id: ResourceId, host: Option<(Option<ResourceId>, plan::Host)>) {
        match host {
            Some(host) => self.hosts.insert(id, host),
            None => self.hosts.remove(&id),
        };
    }

    /// Where a container lives now; none if it does not.
    pub(crate) fn note_container(&mut self, id: ResourceId, host: Option<ResourceId>) {
        let before = match host {
            Some(host) => self.places.insert(id, host),
            None => self.places.remove(&id),
        };
        if before == host {
            return;
        }
        if let Some(before) = before {
            let load = self.loads.entry(before).or_default();
            *load = load.saturating_sub(1);
            if *load == 0 {
                self.loads.remove(&before);
            }
        }
        if let Some(host) = host {
            *self.loads.entry(host).or_default() += 1;
        }
    }

    /// The hosts of a project, or all, by id, each with how many containers live on it.
    pub(crate) fn hosts_of(&self, account: Option<ResourceId>) -> Vec<plan::Host> {
        let own = self
            .hosts
            .values()
            .filter(|(of, _)| account.is_none() || *of == account);
        own.map(|(_, host)| plan::Host {
            live_instances: self.loads.get(&host.id).copied().unwrap_or(0),
            ..host.clone()
        })
        .collect()
    }
}

/// Hosts and how many live on each.
#[derive(Default)]
pub(crate) struct Census(Mutex<Counted>);

impl Census {
    /// Held while rows are read: whoever counts next to us must not see a half of them.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
