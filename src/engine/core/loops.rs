//! How the loops of the background fare: kept in memory, for whoever looks after the server.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::model::{Result, Timestamp};

/// How one loop fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopStatus {
    /// `sweep`, `pings` …, and for each host the watch over its engine.
    pub name: String,
    /// How often it ran since the server started.
    pub runs: u64,
    /// When it ran last.
    pub last_run: Timestamp,
    /// Whether it failed then.
    pub is_failing: bool,
    /// What it said when it failed last; none if it never did.
    pub last_error: Option<String>,
}

/// All loops that ran since the server started.
#[derive(Default)]
pub(crate) struct Loops(Mutex<BTreeMap<String, LoopStatus>>);

impl Loops {
    /// Notes a run. The log tells a failure once, as long as it stays the same, and that it is over.
    pub(crate) fn ran(&self, name: &str, now: Timestamp, result: Result<()>) {
        let failure = result.err().map(|error| error.chain());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = all.entry(name.to_owned()).or_insert_with(|| LoopStatus {
            name: name.to_owned(),
            runs: 0,
            last_run: now,
            is_failing: false,
            last_error: None,
        });
        match &failure {
            Some(why) if !status.is_failing || status.last_error.as_ref() != Some(why) => log::warn!("{name}: {why}"),
            None if status.is_failing => log::info!("{name}: works again"),
            _ => {}
        }
        status.runs += 1;
        status.last_run = now;
        status.is_failing = failure.is_some();
        status.last_error = failure.or(status.last_error.take());
    }

    /// Forgets one that is no more.
    pub(crate) fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
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
            all.iter()
                .map(|l| (l.name.as_str(), l.runs, l.last_run, l.is_failing))
                .collect::<Vec<_>>(),
            [("sweep", 2, Timestamp(2), false)]
        );
        assert!(
            all.iter()
                .all(|l| l.last_error.as_deref().is_some_and(|e| e.contains("no disk")))
        );
    }
}
