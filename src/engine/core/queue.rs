//! What is to be looked at, and when. In memory only: the truth is in the rows, and a start fills it anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
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

/// Whose work a key is: a project's number, `None` where that is not known yet or nobody's.
pub(crate) type Lane = Option<i64>;

/// Where a key waits.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: Timestamp,
    lane: Lane,
    /// Whose it is, as whoever put it in said. It is put there only where that matters: while little is to be done, what is due goes
    /// by its time and kind alone, so that processes come before looks at what they are about to change.
    told: Lane,
}

#[derive(Default)]
struct State {
    /// What waits, by whose it is.
    due: BTreeMap<Lane, BTreeSet<(Timestamp, Key)>>,
    at: HashMap<Key, Place>,
    /// What runs, whose it is, and when it is to run again because something happened meanwhile.
    running: HashMap<Key, (Lane, Option<Timestamp>)>,
    /// How much of each runs.
    hands: HashMap<Lane, usize>,
    /// Whose turn it was last.
    turn: Lane,
    /// How many runs have ended.
    ended: u64,
}

impl State {
    fn insert(&mut self, key: Key, at: Timestamp, lane: Lane, told: Lane) {
        let mut place = Place { at, lane, told };
        if let Some(old) = self.at.get_mut(&key) {
            old.told = old.told.or(told);
            if old.at <= at {
                return;
            }
            place = Place { at, ..*old };
            let old = *old;
            self.leave(old.lane, &(old.at, key));
        }
        self.at.insert(key, place);
        self.due.entry(place.lane).or_default().insert((at, key));
    }

    fn introduce(&mut self, key: Key, lane: i64) {
        if let Some(place) = self.at.get(&key).copied().filter(|place| place.lane.is_none()) {
            self.leave(None, &(place.at, key));
            self.at.remove(&key);
            self.insert(key, place.at, Some(lane), place.told);
        }
    }

    fn leave(&mut self, lane: Lane, entry: &(Timestamp, Key)) {
        if let Some(waiting) = self.due.get_mut(&lane) {
            waiting.remove(entry);
            if waiting.is_empty() {
                self.due.remove(&lane);
            }
        }
    }

    /// Whose turn it is: the next that has something due, and has no more hands than are left free.
    fn next_lane(&self, now: Timestamp, free: usize) -> Option<(Lane, (Timestamp, Key))> {
        let after = self.due.range((Bound::Excluded(self.turn), Bound::Unbounded));
        let lanes = after.chain(self.due.range(..=self.turn));
        let first = |(lane, waiting): (&Lane, &BTreeSet<(Timestamp, Key)>)| Some((*lane, *waiting.first()?));
        lanes
            .filter(|(lane, _)| self.hands.get(*lane).copied().unwrap_or(0) < free)
            .filter_map(first)
            .find(|(_, (at, _))| *at <= now)
    }
}

/// How a queue fares.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueueFigures {
    /// What runs.
    pub running: Vec<Key>,
    /// How many keys wait for a hand.
    pub waiting: usize,
    /// How many runs have ended.
    pub ended: u64,
}

/// A queue of keys by time: each key is in it once, and never handled by two at the same time.
///
/// Where more is due than there are hands for, projects take turns, and none has more hands than it leaves to others.
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
        self.push_all([(key, at, None)]);
    }

    /// The same for many, with whose they are where that is known; whoever waits is woken once.
    pub(crate) fn push_all(&self, keys: impl IntoIterator<Item = (Key, Timestamp, Lane)>) {
        {
            let mut state = self.lock();
            for (key, at, lane) in keys {
                match state.running.get_mut(&key) {
                    Some((_, again)) => *again = Some(again.map_or(at, |a| a.min(at))),
                    None => state.insert(key, at, None, lane),
                }
            }
        }
        self.changed.notify_one();
    }

    /// What is due and not known to be anybody's, at most `limit`, where more is done than `calm`: whose it is should be told.
    pub(crate) fn strangers(&self, now: Timestamp, limit: usize, calm: usize) -> Vec<Key> {
        let mut state = self.lock();
        let Some(waiting) = state.due.get(&None) else {
            return Vec::new();
        };
        let due = waiting.iter().take_while(|(at, _)| *at <= now);
        let mut keys: Vec<Key> = due.take(limit).map(|(_, key)| *key).collect();
        if keys.len() + state.running.len() <= calm {
            return Vec::new();
        }
        keys.retain(|key| match state.at.get(key).and_then(|place| place.told) {
            Some(lane) => {
                state.introduce(*key, lane);
                false
            }
            None => true,
        });
        keys
    }

    /// Tells whose these keys are.
    pub(crate) fn introduce(&self, keys: impl IntoIterator<Item = (Key, i64)>) {
        let mut state = self.lock();
        for (key, project) in keys {
            state.introduce(key, project);
        }
    }

    /// Takes out what is due, at most `free`, and marks it as running.
    pub(crate) fn take_due(&self, now: Timestamp, free: usize) -> Vec<Key> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while taken.len() < free {
            let Some((lane, entry)) = state.next_lane(now, free - taken.len()) else {
                break;
            };
            let (_, key) = entry;
            state.leave(lane, &entry);
            state.at.remove(&key);
            state.turn = lane;
            *state.hands.entry(lane).or_default() += 1;
            state.running.insert(key, (lane, None));
            taken.push(key);
        }
        taken
    }

    /// Ends the run of a key; if something happened meanwhile it goes back in, not before `earliest`.
    pub(crate) fn finish(&self, key: Key, earliest: Timestamp) {
        {
            let mut state = self.lock();
            if let Some((lane, again)) = state.running.remove(&key) {
                state.ended += 1;
                if let Some(hands) = state.hands.get_mut(&lane) {
                    *hands -= 1;
                    if *hands == 0 {
                        state.hands.remove(&lane);
                    }
                }
                if let Some(again) = again {
                    state.insert(key, again.max(earliest), lane, lane);
                }
            }
        }
        self.changed.notify_one();
    }

    /// What runs, how many wait whose time has come, and how many have ended since the start.
    pub(crate) fn figures(&self, now: Timestamp) -> QueueFigures {
        let state = self.lock();
        let due = |waiting: &BTreeSet<(Timestamp, Key)>| waiting.iter().take_while(|(at, _)| *at <= now).count();
        QueueFigures {
            running: state.running.keys().copied().collect(),
            waiting: state.due.values().map(due).sum(),
            ended: state.ended,
        }
    }

    /// When the next key is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        let state = self.lock();
        let firsts = state.due.values().filter_map(|waiting| waiting.first());
        firsts.map(|(at, _)| *at).min()
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

    #[test]
    fn whose_a_key_is_may_be_said_with_it_or_later() {
        let queue = Queue::default();
        let known = Key::Process(2);
        queue.push(KEY, Timestamp(5));
        let looked_at = Key::Look(ResourceId(1));
        queue.push_all([(known, Timestamp(5), Some(7)), (looked_at, Timestamp(5), None)]);
        assert_eq!(
            queue.strangers(Timestamp(9), 64, 3),
            [],
            "while there is little to do nobody asks"
        );
        assert_eq!(
            queue.strangers(Timestamp(9), 64, 2),
            [KEY, looked_at],
            "one was told with it"
        );
        queue.push_all([(KEY, Timestamp(9), Some(7))]);
        assert_eq!(queue.strangers(Timestamp(9), 64, 0), [looked_at], "and one later");
        queue.push(known, Timestamp(0));
        assert_eq!(queue.next_at(), Some(Timestamp(0)), "brought forward");
        assert_eq!(queue.take_due(Timestamp(4), 8), [known]);
        queue.push(looked_at, Timestamp(4));
        assert_eq!(
            queue.take_due(Timestamp(5), 2),
            [looked_at],
            "of two hands a project has one"
        );
        assert_eq!(queue.take_due(Timestamp(5), 8), [KEY], "nothing was put off");
    }

    #[test]
    fn projects_take_turns_and_leave_hands_to_others() {
        let queue = Queue::default();
        let key = |project: i64, n: i64| Key::Process(project * 100 + n);
        for project in [1, 2] {
            // The second came when the first had filled the queue.
            (0..20).for_each(|n| queue.push(key(project, n), Timestamp(project)));
        }
        assert_eq!(queue.strangers(Timestamp(2), 64, 40), []);
        assert_eq!(queue.strangers(Timestamp(2), 64, 39).len(), 40);
        queue.introduce([1, 2].into_iter().flat_map(|p| (0..20).map(move |n| (key(p, n), p))));
        assert_eq!(
            queue.take_due(Timestamp(2), 4),
            [key(1, 0), key(2, 0), key(1, 1)],
            "a fourth would leave none free"
        );
        queue.finish(key(1, 0), Timestamp(0));
        queue.finish(key(1, 1), Timestamp(0));
        // One runs, of the second: with two hands free each may have another.
        assert_eq!(queue.take_due(Timestamp(2), 3), [key(2, 1), key(1, 2)]);
    }
}
