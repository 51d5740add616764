//! Places by number for entries that are known by a text, and lists of such numbers in some order. A number stays as long as
//! there is an entry, or somebody mentions one: entries can be named before they are there.

use std::cmp::Ordering;

use crate::netd::packed::{uuid_bits, uuid_text};

/// The text by which an entry is known: a uuid, a uuid with something behind it, or anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    uuid: Option<[u8; 16]>,
    rest: Box<str>,
}

/// Entries by number.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    by_key: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    key: Key,
    mentions: u32,
    held: Option<T>,
}

impl Key {
    /// The key of a text.
    pub fn of(text: &str) -> Self {
        let uuid = text.get(..36).and_then(uuid_bits);
        let rest = if uuid.is_some() { text.get(36..) } else { Some(text) };
        Self {
            uuid,
            rest: rest.unwrap_or_default().into(),
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        let uuid = self.uuid.map(uuid_text).unwrap_or_default();
        uuid + &self.rest
    }
}

impl Ord for Key {
    /// As their texts are.
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.uuid, &other.uuid) {
            (Some(one), Some(two)) => one.cmp(two).then_with(|| self.rest.cmp(&other.rest)),
            (None, None) => self.rest.cmp(&other.rest),
            (Some(_), None) | (None, Some(_)) => self.text().cmp(&other.text()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    fn slot(&self, id: u32) -> Option<&Slot<T>> {
        self.slots.get(usize::try_from(id).ok()?)
    }

    fn slot_mut(&mut self, id: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(usize::try_from(id).ok()?)
    }

    /// The entry of a number, if it is there.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.slot(id)?.held.as_ref()
    }

    /// The key of a number.
    pub fn key(&self, id: u32) -> Option<&Key> {
        self.slot(id).map(|slot| &slot.key)
    }

    /// The number of an entry that is there.
    pub fn find(&self, key: &str) -> Option<u32> {
        let id = *self.by_key.get(self.place(&Key::of(key)).ok()?)?;
        self.get(id).map(|_| id)
    }

    /// All that are there, by key.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.by_key.iter().copied().filter(move |id| self.get(*id).is_some())
    }

    /// Where a key stands in their order, or would.
    fn place(&self, key: &Key) -> Result<usize, usize> {
        let at = self
            .by_key
            .partition_point(|id| self.key(*id).is_some_and(|other| other < key));
        match self.by_key.get(at) {
            Some(id) if self.key(*id) == Some(key) => Ok(at),
            _ => Err(at),
        }
    }

    /// Mentions an entry, whether it is there or not: its number is nobody else's until it is [released](Self::release).
    pub fn mention(&mut self, key: &str) -> u32 {
        let key = Key::of(key);
        let place = self.place(&key);
        let known = place.ok().and_then(|at| self.by_key.get(at).copied());
        let id = known.unwrap_or_else(|| {
            let slot = Slot {
                key,
                mentions: 0,
                held: None,
            };
            let id = self.free.pop();
            let id = id.unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
            match self.slot_mut(id) {
                Some(place) => *place = slot,
                None => self.slots.push(slot),
            }
            self.by_key.insert(place.unwrap_or_else(|at| at), id);
            id
        });
        if let Some(slot) = self.slot_mut(id) {
            slot.mentions += 1;
        }
        id
    }

    /// Nobody mentions it any more, who did.
    pub fn release(&mut self, id: u32) {
        let Some(slot) = self.slot_mut(id) else { return };
        slot.mentions = slot.mentions.saturating_sub(1);
        if slot.mentions > 0 {
            return;
        }
        let key = slot.key.clone();
        if let Ok(at) = self.place(&key) {
            self.by_key.remove(at);
            self.free.push(id);
        }
    }

    /// Puts an entry where it was mentioned.
    pub fn put(&mut self, id: u32, entry: T) {
        if let Some(slot) = self.slot_mut(id) {
            slot.held = Some(entry);
        }
    }

    /// Takes an entry out. The mention of whoever put it is left.
    pub fn take(&mut self, id: u32) -> Option<T> {
        self.slot_mut(id)?.held.take()
    }
}

/// Puts a number into a list in order. `against` says how a number stands to the new one.
pub fn insert(list: &mut Vec<u32>, id: u32, against: impl Fn(u32) -> Ordering) {
    let at = list.partition_point(|other| against(*other) == Ordering::Less);
    list.insert(at, id);
}

/// Takes a number out of a list in order.
pub fn remove(list: &mut Vec<u32>, id: u32, against: impl Fn(u32) -> Ordering) {
    let at = list.partition_point(|other| against(*other) == Ordering::Less);
    if list.get(at) == Some(&id) {
        list.remove(at);
    }
}
