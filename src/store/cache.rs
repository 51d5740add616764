//! Rows that are asked for again and again, kept as they were read. The writer puts a row that it has changed into its
//! place, or empties that, before anybody is told: whoever heard of a change finds it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entries::AUDIT_LOG;
use crate::model::{Resource, ResourceId, Result};

/// Places; each is for many rows, and holds some of them.
const PLACES: usize = 4_096;
/// So many rows a place holds, and knows of so many that were asked for and not there.
const ROOM: usize = 4;
/// All that is kept together, in bytes.
const MOST: usize = 24 * 1024 * 1024;
/// Where there is no room, at most so many places are emptied for a new row, in turn.
const STEPS: usize = 64;
/// A longer row is not kept.
const LONGEST: usize = 16 * 1024;

#[derive(Default)]
struct Place {
    /// How often it was emptied: a row that was read before that is not put in after it.
    emptied: u64,
    /// Who was not there lately. What is asked for once is not worth a copy.
    asked: [Option<ResourceId>; ROOM],
    rows: [Option<Arc<Resource>>; ROOM],
    /// Which of each is given up next.
    next_asked: u8,
    next_row: u8,
}

impl Place {
    /// Notes that a row was asked for; whether it was before.
    fn note(&mut self, id: ResourceId) -> bool {
        if self.asked.contains(&Some(id)) {
            return true;
        }
        let at = usize::from(self.next_asked) % ROOM;
        self.next_asked = self.next_asked.wrapping_add(1);
        if let Some(slot) = self.asked.get_mut(at) {
            *slot = Some(id);
        }
        false
    }

    /// Where a row is to go: where an older form of it is, else where nothing is, else in turn.
    fn slot(&mut self, id: ResourceId) -> Option<&mut Option<Arc<Resource>>> {
        let own = self
            .rows
            .iter()
            .position(|row| row.as_ref().is_some_and(|row| row.id == id));
        let at = own
            .or_else(|| self.rows.iter().position(Option::is_none))
            .unwrap_or_else(|| {
                let at = usize::from(self.next_row) % ROOM;
                self.next_row = self.next_row.wrapping_add(1);
                at
            });
        self.rows.get_mut(at)
    }
}

/// What is there of a row that is asked for.
pub(super) enum Asked {
    Kept(Arc<Resource>),
    Missing(Missing),
}

/// The place of a row that was missing, at the time.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Missing {
    emptied: u64,
    /// Whether it was asked for before.
    pub(super) is_wanted: bool,
}

/// What a transaction did to a row.
#[derive(Debug)]
pub(super) struct Written {
    id: ResourceId,
    /// The row as it is now, if whoever wrote it knows all of it.
    row: Option<Arc<Resource>>,
    is_new: bool,
}

impl Written {
    /// It was made.
    pub(super) fn made(row: &Resource) -> Self {
        Self {
            is_new: true,
            ..Self::changed(row)
        }
    }

    /// It was changed to this.
    pub(super) fn changed(row: &Resource) -> Self {
        // One that a list was made of is without the engine's notes.
        let is_whole = is_kept(row) && !row.internal.is_empty();
        Self {
            id: row.id,
            row: is_whole.then(|| Arc::new(row.clone())),
            is_new: false,
        }
    }

    /// It is not as it was.
    pub(super) fn gone(id: ResourceId) -> Self {
        Self {
            id,
            row: None,
            is_new: false,
        }
    }
}

/// Kept rows.
pub(super) struct Cache {
    places: Box<[Mutex<Place>]>,
    bytes: AtomicUsize,
    /// The place that is emptied next.
    hand: AtomicUsize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            bytes: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
        }
    }
}

fn size(row: &Resource) -> usize {
    size_of::<Resource>() + row.fields.len() + row.internal.len() + row.name.len() + row.message.len()
}

impl Cache {
    fn place(&self, id: ResourceId) -> Option<MutexGuard<'_, Place>> {
        // Numbers that follow each other lie in different places, whatever the step between them.
        let at = (id.0.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % self.places.len();
        let place = self.places.get(at)?;
        Some(place.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A row, kept or else read.
    pub(super) fn find(
        &self,
        id: ResourceId,
        read: impl FnOnce() -> Result<Option<Resource>>,
    ) -> Result<Option<Arc<Resource>>> {
        let asked = match self.ask(id, None) {
            Asked::Kept(row) => return Ok(Some(row)),
            Asked::Missing(asked) => asked,
        };
        let row = read()?.map(Arc::new);
        if let Some(row) = &row {
            self.offer(row, asked);
        }
        Ok(row)
    }

    /// A row, if it is kept in this version, or in whatever version it is kept.
    pub(super) fn ask(&self, id: ResourceId, version: Option<i64>) -> Asked {
        let Some(mut place) = self.place(id) else {
            return Asked::Missing(Missing::default());
        };
        let is_it = |row: &&Arc<Resource>| row.id == id && version.is_none_or(|version| row.version == version);
        if let Some(row) = place.rows.iter().flatten().find(is_it) {
            return Asked::Kept(row.clone());
        }
        Asked::Missing(Missing {
            emptied: place.emptied,
            is_wanted: place.note(id),
        })
    }

    /// A row that is kept. Who only looks by the way does not count as somebody who asks for it.
    pub(super) fn peek(&self, id: ResourceId) -> Option<Arc<Resource>> {
        let place = self.place(id)?;
        place.rows.iter().flatten().find(|row| row.id == id).cloned()
    }

    /// A row that was missing, and has been read since; it is kept if it was asked for before.
    pub(super) fn offer(&self, row: &Arc<Resource>, missing: Missing) {
        if missing.is_wanted && is_kept(row) {
            self.keep(row.clone(), missing.emptied);
        }
    }

    fn keep(&self, row: Arc<Resource>, emptied: u64) {
        let size = size(&row);
        self.make_room(size);
        let Some(mut place) = self.place(row.id) else { return };
        if place.emptied != emptied {
            return;
        }
        let Some(slot) = place.slot(row.id) else { return };
        self.clear(slot);
        if self.bytes.load(Ordering::Relaxed) + size <= MOST {
            self.bytes.fetch_add(size, Ordering::Relaxed);
            *slot = Some(row);
        }
    }

    /// What was kept long ago goes first, so that what nobody asks for any more does not stay for ever.
    fn make_room(&self, size: usize) {
        for _ in 0..STEPS {
            if self.bytes.load(Ordering::Relaxed) + size <= MOST {
                return;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % self.places.len();
            if let Some(place) = self.places.get(at) {
                let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
                place.rows.iter_mut().for_each(|slot| self.clear(slot));
            }
        }
    }

    fn clear(&self, slot: &mut Option<Arc<Resource>>) {
        if let Some(row) = slot.take() {
            self.bytes.fetch_sub(size(&row), Ordering::Relaxed);
        }
    }

    /// Takes over what a commit has written. A row that was made is kept at once, for its process reads it next; of those that
    /// were changed those that were kept before.
    pub(super) fn take_over(&self, written: Vec<Written>) {
        for Written { id, row, is_new } in written {
            let Some(mut place) = self.place(id) else { continue };
            place.emptied += 1;
            let emptied = place.emptied;
            let is_it = |slot: &&mut Option<Arc<Resource>>| slot.as_ref().is_some_and(|row| row.id == id);
            let old = place.rows.iter_mut().find(is_it);
            let is_wanted = is_new || old.is_some();
            if let Some(slot) = old {
                self.clear(slot);
            }
            drop(place);
            if let Some(row) = row.filter(|_| is_wanted) {
                self.keep(row, emptied);
            }
        }
    }
}

fn is_kept(row: &Resource) -> bool {
    row.root != AUDIT_LOG && size(row) <= LONGEST
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::cell::Cell;

    use super::*;
    use crate::model::{State, Timestamp};

    const ID: ResourceId = ResourceId(7);

    /// What is found, and whether it was read.
    fn find(cache: &Cache, name: &str) -> (String, bool) {
        let has_read = Cell::new(false);
        let row = cache.find(ID, || {
            has_read.set(true);
            Ok(Some(row(name)))
        });
        (row.unwrap().unwrap().name.clone(), has_read.get())
    }

    fn row(name: &str) -> Resource {
        Resource {
            id: ID,
            root: "stack".into(),
            kind: "stack".into(),
            account_id: None,
            parent_id: None,
            host_id: None,
            uuid: String::new(),
            name: name.into(),
            state: State::NONE,
            health: String::new(),
            message: String::new(),
            progress: None,
            version: 1,
            created: Timestamp(0),
            removed: None,
            purge_after: None,
            fields: "{}".into(),
            cuts: String::new(),
            internal: "{}".into(),
        }
    }

    #[test]
    fn what_is_asked_for_twice_is_kept_until_it_changes() {
        let cache = Cache::default();
        assert_eq!(find(&cache, "a"), ("a".into(), true));
        assert_eq!(find(&cache, "b"), ("b".into(), true));
        assert_eq!(find(&cache, "c"), ("b".into(), false));
        cache.take_over(vec![Written::gone(ID)]);
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(find(&cache, "d"), ("d".into(), true));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::default();
        find(&cache, "old");
        let late = cache.find(ID, || {
            cache.take_over(vec![Written::gone(ID)]);
            Ok(Some(row("old")))
        });
        assert_eq!(late.unwrap().unwrap().name, "old", "it was so when it was read");
        assert_eq!(find(&cache, "new"), ("new".into(), true));
    }

    #[test]
    fn what_was_made_is_kept_and_so_is_what_was_kept_before_it_changed() {
        let cache = Cache::default();
        cache.take_over(vec![Written::changed(&row("changed"))]);
        assert_eq!(find(&cache, "read"), ("read".into(), true), "nobody had asked for it");
        let cache = Cache::default();
        cache.take_over(vec![Written::made(&row("made")), Written::changed(&row("changed"))]);
        assert_eq!(find(&cache, "read"), ("changed".into(), false));
        let of_a_list = Resource {
            internal: String::new(),
            ..row("without notes")
        };
        cache.take_over(vec![Written::changed(&of_a_list)]);
        assert_eq!(find(&cache, "read"), ("read".into(), true));
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_new_finds_room() {
        let cache = Cache::default();
        let keep = |id: i64| {
            for _ in 0..2 {
                let big = Resource {
                    id: ResourceId(id),
                    fields: "x".repeat(LONGEST / 2),
                    ..row("big")
                };
                cache.find(ResourceId(id), || Ok(Some(big))).unwrap();
            }
        };
        (1..6_000).for_each(keep);
        assert!(cache.bytes.load(Ordering::Relaxed) <= MOST);
        let sizes = cache.places.iter().flat_map(|place| place.lock().unwrap().rows.clone());
        let kept: usize = sizes.flatten().map(|row| size(&row)).sum();
        assert_eq!(cache.bytes.load(Ordering::Relaxed), kept);
        let found = cache.find(ResourceId(5_999), || Ok(None)).unwrap();
        assert!(found.is_some(), "the last one is kept");
    }

    #[test]
    fn rows_that_are_long_or_of_the_audit_log_are_not_kept() {
        for kept in [
            Resource {
                fields: "x".repeat(LONGEST),
                ..row("long")
            },
            Resource {
                root: AUDIT_LOG.into(),
                ..row("audit")
            },
        ] {
            let cache = Cache::default();
            for _ in 0..3 {
                let read = Cell::new(false);
                cache
                    .find(ID, || {
                        read.set(true);
                        Ok(Some(kept.clone()))
                    })
                    .unwrap();
                assert!(read.get(), "{}", kept.name);
            }
        }
    }
}
