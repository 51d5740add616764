//! What is to be looked at, and when. In memory only: the truth is in the rows, and a start fills it anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::{ResourceId, Timestamp};

/// Something to be looked at. A key, never a change: who handles it reads the rows again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// An open process.
    Process(i64),
    /// A resource that is not as its owner may want it.
    Look(ResourceId),
}

#[derive(Default)]
struct State {
    due: BTreeSet<(Timestamp, Key)>,
    at: HashMap<Key, Timestamp>,
    /// What runs, and when it is to run again because something happened meanwhile.
    running: HashMap<Key, Option<Timestamp>>,
}

impl State {
    fn insert(&mut self, key: Key, at: Timestamp) {
        if let Some(old) = self.at.get(&key).copied() {
            if old <= at {
                return;
            }
            self.due.remove(&(old, key));
        }
        self.at.insert(key, at);
        self.due.insert((at, key));
    }
}

/// A queue of keys by time: each key is in it once, and never handled by two at the same time.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a key in, or brings it forward. One that runs is run again.
    pub(crate) fn push(&self, key: Key, at: Timestamp) {
        {
            let mut state = self.lock();
            match state.running.get_mut(&key) {
                Some(again) => *again = Some(again.map_or(at, |a| a.min(at))),
                None => state.insert(key, at),
            }
        }
        self.changed.notify_one();
    }

    /// Takes out what is due, at most `limit`, and marks it as running.
    pub(crate) fn take_due(&self, now: Timestamp, limit: usize) -> Vec<Key> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some((at, key)) = state.due.first().copied() else {
                break;
            };
            if at > now {
                break;
            }
            state.due.pop_first();
            state.at.remove(&key);
            state.running.insert(key, None);
            taken.push(key);
        }
        taken
    }

    /// Ends the run of a key; if something happened meanwhile it goes back in, not before `earliest`.
    pub(crate) fn finish(&self, key: Key, earliest: Timestamp) {
        {
            let mut state = self.lock();
            if let Some(Some(again)) = state.running.remove(&key) {
                state.insert(key, again.max(earliest));
            }
        }
        self.changed.notify_one();
    }

    /// When the next key is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.lock().due.first().map(|(at, _)| *at)
    }

    /// Waits until something was put in or finished.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::Process(1);

    #[test]
    fn a_key_is_taken_once_and_at_its_earliest_time() {
        let queue = Queue::default();
        queue.push(KEY, Timestamp(20));
        queue.push(KEY, Timestamp(10));
        queue.push(KEY, Timestamp(30));
        assert_eq!(queue.take_due(Timestamp(9), 8), []);
        assert_eq!(queue.take_due(Timestamp(10), 8), [KEY]);
        assert_eq!(queue.take_due(Timestamp(99), 8), []);
    }

    #[test]
    fn what_happens_during_a_run_causes_another() {
        let queue = Queue::default();
        queue.push(KEY, Timestamp(1));
        assert_eq!(queue.take_due(Timestamp(1), 8), [KEY]);
        queue.push(KEY, Timestamp(2));
        assert_eq!(queue.take_due(Timestamp(5), 8), []);
        queue.finish(KEY, Timestamp(4));
        assert_eq!(queue.next_at(), Some(Timestamp(4)));
        assert_eq!(queue.take_due(Timestamp(5), 8), [KEY]);
        queue.finish(KEY, Timestamp(0));
        assert_eq!(queue.next_at(), None);
    }
}
