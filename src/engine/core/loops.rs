//! How the loops of the background fare: kept in memory, for whoever looks after the server.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{Result, Timestamp};

/// How one loop fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopStatus {
    /// `sweep`, `pings` …
    pub name: &'static str,
    /// How often it ran since the server started.
    pub runs: u64,
    /// When it ran last.
    pub last_run: Timestamp,
    /// What it said when it failed last; none if it never did.
    pub last_error: Option<String>,
}

/// All loops that ran since the server started.
#[derive(Default)]
pub(crate) struct Loops(Mutex<BTreeMap<&'static str, LoopStatus>>);

impl Loops {
    /// Notes a run, and logs its failure.
    pub(crate) fn ran(&self, name: &'static str, now: Timestamp, result: Result<()>) {
        let failure = result.err().map(|error| error.chain());
        if let Some(why) = &failure {
            log::warn!("{name}: {why}");
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = all.entry(name).or_insert(LoopStatus {
            name,
            runs: 0,
            last_run: now,
            last_error: None,
        });
        status.runs += 1;
        status.last_run = now;
        status.last_error = failure.or(status.last_error.take());
    }

    /// In order of their names.
    pub(crate) fn all(&self) -> Vec<LoopStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Error;

    #[test]
    fn a_loop_is_remembered_with_its_last_failure() {
        let loops = Loops::default();
        loops.ran("sweep", Timestamp(1), Err(Error::bug("no disk")));
        loops.ran("sweep", Timestamp(2), Ok(()));
        let all = loops.all();
        assert_eq!(
            all.iter().map(|l| (l.name, l.runs, l.last_run)).collect::<Vec<_>>(),
            [("sweep", 2, Timestamp(2))]
        );
        assert!(
            all.iter()
                .all(|l| l.last_error.as_deref().is_some_and(|e| e.contains("no disk")))
        );
    }
}
