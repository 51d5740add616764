//! Processes that were asked for just now, for whoever runs them first: what a commit wrote need not be read right after it.
//!
//! Each is given once, and only as long as nothing happened to it; whoever comes later reads the database.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::process::{NewProcess, Process};
use crate::model::{ResourceId, Timestamp};

/// More than these are not kept: they will wait, and are read when their turn comes.
const MOST: usize = 1_024;

/// What a transaction did to processes.
#[derive(Debug)]
pub(super) enum ProcessNote {
    /// This one was asked for.
    Asked(Process),
    /// This one is not as it was.
    Changed(i64),
    /// All of a resource ended.
    EndedOf(ResourceId),
}

/// A process as it is written when it is asked for, by this start of this server.
pub(super) fn just_asked(id: i64, new: &NewProcess<'_>, now: Timestamp, (server, epoch): (&str, i64)) -> Process {
    Process {
        id,
        resource_id: new.resource.id.0,
        process: new.process.to_owned(),
        attempts: 0,
        run_after_ms: now.0,
        claimed_by: server.to_owned(),
        epoch,
        data: new.data.to_owned(),
        message: String::new(),
        started_ms: now.0,
        ended_ms: None,
        exit_reason: String::new(),
    }
}

/// Those that nobody has run yet.
#[derive(Default)]
pub(super) struct Started(Mutex<HashMap<i64, Process>>);

impl Started {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a commit did, in its order.
    pub(super) fn take_over(&self, notes: Vec<ProcessNote>) {
        if notes.is_empty() {
            return;
        }
        let mut kept = self.lock();
        for note in notes {
            match note {
                ProcessNote::Asked(process) if kept.len() < MOST => {
                    kept.insert(process.id, process);
                }
                ProcessNote::Asked(_) => {}
                ProcessNote::Changed(id) => {
                    kept.remove(&id);
                }
                ProcessNote::EndedOf(resource) => kept.retain(|_, process| process.resource() != resource),
            }
        }
    }

    /// The process, if it is kept; from then on it is not.
    pub(super) fn take(&self, id: i64) -> Option<Process> {
        self.lock().remove(&id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn process(id: i64, resource_id: i64) -> Process {
        Process {
            id,
            resource_id,
            process: "stack.create".to_owned(),
            attempts: 0,
            run_after_ms: 0,
            claimed_by: String::new(),
            epoch: 1,
            data: "{}".to_owned(),
            message: String::new(),
            started_ms: 0,
            ended_ms: None,
            exit_reason: String::new(),
        }
    }

    #[test]
    fn each_is_given_once_and_as_long_as_nothing_happened_to_it() {
        let started = Started::default();
        let asked = |id, resource| ProcessNote::Asked(process(id, resource));
        started.take_over(vec![
            asked(1, 10),
            asked(2, 20),
            asked(3, 30),
            asked(4, 30),
            asked(5, 50),
        ]);
        assert_eq!(started.take(1), Some(process(1, 10)));
        assert_eq!(started.take(1), None);
        started.take_over(vec![
            ProcessNote::Changed(2),
            ProcessNote::EndedOf(ResourceId(30)),
            asked(6, 30),
        ]);
        assert_eq!([2, 3, 4].map(|id| started.take(id)), [None, None, None]);
        assert_eq!(started.take(6), Some(process(6, 30)), "what came after the end stays");
        started.take_over((100..100 + 2 * 1_024).map(|id| asked(id, 1)).collect());
        assert!(started.lock().len() <= MOST, "no more than a bound is kept");
    }
}
