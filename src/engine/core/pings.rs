//! When agents last answered, and their engines, simulated or brought along: the state alone, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{ResourceId, Timestamp};
use crate::runtime::Runtime;

/// When agents last answered. In memory: a server that starts gives everyone the whole time.
#[derive(Default)]
pub(crate) struct Pings {
    state: Mutex<PingState>,
}

#[derive(Default)]
pub(crate) struct PingState {
    pub(crate) first_round: Option<Timestamp>,
    pub(crate) last_round: Option<Timestamp>,
    pub(crate) heard: HashMap<ResourceId, Timestamp>,
    pub(crate) tunnelled: HashMap<ResourceId, Arc<dyn Runtime>>,
    pub(crate) sims: HashMap<ResourceId, (String, Arc<dyn Runtime>)>,
}

impl Pings {
    pub(crate) fn lock(&self) -> MutexGuard<'_, PingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
