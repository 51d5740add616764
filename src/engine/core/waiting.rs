//! Who waits for another row: processes that go on when that row's process has ended, or when it got well.
//!
//! In memory only: it saves the time until somebody who waits looks again by itself, which every one of them does.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::ResourceId;

use super::queue::Key;
use super::state::Core;

/// See the module.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<ResourceId, BTreeSet<i64>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceId, BTreeSet<i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, row: ResourceId, process: i64) {
        self.lock().entry(row).or_default().insert(process);
    }

    fn take(&self, row: ResourceId) -> BTreeSet<i64> {
        self.lock().remove(&row).unwrap_or_default()
    }
}

impl Core {
    /// Notes that a process waits for a row. Whoever notes it reads the row once more afterwards: what happened to it before
    /// has woken nobody.
    pub(crate) fn wait_for(&self, row: ResourceId, process: i64) {
        self.waiting.add(row, process);
    }

    /// Wakes the processes that wait for this row, which each of them then reads. They are not noted any more.
    pub(crate) fn wake_waiting(&self, row: ResourceId) {
        let (waiting, now) = (self.waiting.take(row), self.now());
        if !waiting.is_empty() {
            self.queue
                .push_all(waiting.into_iter().map(|id| (Key::Process(id), now, None)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testkit;
    use super::*;

    #[test]
    fn each_that_waits_for_a_row_is_woken_once() {
        let (_folder, core) = testkit::empty();
        let [row, other] = [ResourceId(7), ResourceId(8)];
        for (row, process) in [(row, 1), (row, 2), (row, 1), (other, 3)] {
            core.wait_for(row, process);
        }
        let woken = || core.queue.take_due(core.now(), 8);
        core.wake_waiting(row);
        assert_eq!(woken(), [Key::Process(1), Key::Process(2)]);
        core.wake_waiting(row);
        assert_eq!(woken(), []);
        core.wake_waiting(other);
        assert_eq!(woken(), [Key::Process(3)]);
    }
}
