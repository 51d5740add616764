//! How much there is to do, in numbers: for whoever asks why something is not done yet.

use std::collections::BTreeMap;

use crate::model::{Member, Result, Timestamp};

use super::queue::Key;
use super::state::Core;

/// So many things are handled side by side, and at most half of them of one project: enough to fill a group commit, few enough
/// to keep memory small.
pub(crate) const HANDS: usize = 256;

/// The open processes of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessCount {
    /// `service.upgrade`
    pub name: String,
    /// Those that run.
    pub running: u64,
    /// Those that could, and wait for a hand.
    pub ready: u64,
    /// Those whose time has not come: they wait for something, or failed and are tried again.
    pub delayed: u64,
}

/// The worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFigures {
    /// How many things run.
    pub active: usize,
    /// How many may at once.
    pub most: usize,
    /// How many wait whose time has come.
    pub waiting: usize,
    /// How many runs have ended since the server started.
    pub ended: u64,
}

/// This server, as one of those that have its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFigures {
    /// Made with the database.
    pub uuid: String,
    /// Now: it answers.
    pub heartbeat: Timestamp,
    /// All of them, where several share it.
    pub members: Vec<Member>,
}

impl Core {
    /// In order of the names; none without an open process.
    pub(crate) fn process_counts(&self) -> Result<Vec<ProcessCount>> {
        let now = self.now();
        let running: Vec<i64> = self
            .queue
            .figures(now)
            .running
            .into_iter()
            .filter_map(process)
            .collect();
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        if !running.is_empty() {
            for name in self.store.names_of_open_processes(&running)? {
                *names.entry(name).or_default() += 1;
            }
        }
        let counts = self.store.count_open_processes(now)?.into_iter();
        Ok(counts
            .map(|(name, due, later)| {
                let (due, later) = (due.unsigned_abs(), later.unsigned_abs());
                // One that runs may have put its own next run off already.
                let running = names.get(&name).copied().unwrap_or(0).min(due + later);
                let ready = due.saturating_sub(running);
                ProcessCount {
                    name,
                    running,
                    ready,
                    delayed: due + later - running - ready,
                }
            })
            .collect())
    }

    pub(crate) fn worker_figures(&self) -> WorkerFigures {
        let figures = self.queue.figures(self.now());
        WorkerFigures {
            active: figures.running.len(),
            most: HANDS,
            waiting: figures.waiting,
            ended: figures.ended,
        }
    }

    pub(crate) fn server_figures(&self) -> ServerFigures {
        ServerFigures {
            uuid: self.store.server_uuid().to_owned(),
            heartbeat: self.now(),
            members: self.config.members.all(),
        }
    }
}

fn process(key: Key) -> Option<i64> {
    match key {
        Key::Process(id) => Some(id),
        Key::Look(_) => None,
    }
}
