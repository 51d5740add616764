//! The feed: after a commit, whoever listens is told which resources changed.
//!
//! What is passed on is a key, never the change: the listener reads the row when it needs it, so what it shows is as new
//! as can be and the order of two changes of one resource does not matter. The outbox is the only memory. A listener that
//! was away, or too slow, reads what it missed from there, by the position it had reached; so nothing is lost by a
//! restart, and nothing is kept for those who do not listen.
//!
//! Of one resource at most one event per second is passed on; what comes sooner waits, and the last of several stands for
//! all. An event that waits holds back the *position*: everything up to it has been told, so it is where to go on from.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use crate::model::{ResourceId, Result, Timestamp};
use crate::store::{ChangeEvent, Store};

use super::request::Input;
use super::state::Core;

/// A resource is told about at most once in this time (cattle: `task.resource.change.publish.schedule`).
const SPACING: Duration = Duration::from_secs(1);

/// Events read at once.
const PAGE: i64 = 1000;

/// Announcements that a listener may leave lying; it then reads the outbox itself.
const BACKLOG: usize = 256;

/// Who missed more events than this is sent to the lists, which are quicker to read.
const MAX_MISSED: i64 = 100_000;

/// What listeners are told.
#[derive(Debug, Clone)]
pub enum News {
    /// Resources changed.
    Changes(Arc<Changed>),
    /// An event that somebody published.
    Published(Arc<Published>),
}

/// Changes that are told at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// In the order of the outbox, each resource once.
    pub changes: Vec<Change>,
    /// Everything up to this event has been told, now that these are.
    pub position: i64,
}

/// That a resource changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The newest event about it.
    pub event: i64,
    /// The resource.
    pub resource: ResourceId,
    /// Whose it is.
    pub account: Option<ResourceId>,
}

/// An event that is no change of a resource: passed on to those who listen now, and kept nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// `service.kubernetes.change`
    pub name: String,
    /// For whom; none is for those who see everything.
    pub account: Option<ResourceId>,
    /// The rest of what was published, as it came.
    pub fields: Input,
}

/// What a listener missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// These changes, and nothing else.
    Changes(Changed),
    /// It cannot be said any more, or there never was such an event: whoever asks has to read the lists again.
    Gone,
}

/// Who reads the outbox by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The keeper of name servers.
    Names,
    /// The keeper of balancers.
    Balancers,
}

/// The state of the feed.
pub(crate) struct Feed {
    news: broadcast::Sender<News>,
    pump: Mutex<Pump>,
    /// Whether the pump follows the outbox: only while somebody listens.
    is_running: AtomicBool,
    grown: Notify,
    /// The same for those who follow the outbox without being told what is new.
    also_grown: [Notify; 2],
}

impl Default for Feed {
    fn default() -> Self {
        let (news, _) = broadcast::channel(BACKLOG);
        Self {
            news,
            pump: Mutex::default(),
            is_running: AtomicBool::new(false),
            grown: Notify::new(),
            also_grown: Default::default(),
        }
    }
}

impl Feed {
    /// Says that the outbox has grown. Called after commits, so it must cost nothing.
    pub(crate) fn grow(&self) {
        if self.is_running.load(Ordering::Acquire) {
            self.grown.notify_one();
        }
        self.also_grown.iter().for_each(Notify::notify_one);
    }

    /// Waits until the outbox has grown.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// The same for one that reads the outbox by itself, whoever listens.
    pub(crate) async fn grown_for(&self, reader: Reader) {
        let [names, balancers] = &self.also_grown;
        match reader {
            Reader::Names => names.notified().await,
            Reader::Balancers => balancers.notified().await,
        }
    }

    /// Tells those who listen what was published. Nobody listening is no failure.
    pub(crate) fn publish(&self, published: Published) {
        let _ = self.news.send(News::Published(Arc::new(published)));
    }

    fn pump(&self) -> MutexGuard<'_, Pump> {
        self.pump.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Goes through all changes behind the event of this number; gives the number of the last one.
    pub(crate) fn changed_since(&self, read: i64, mut each: impl FnMut(&ChangeEvent)) -> Result<i64> {
        let mut read = read;
        loop {
            let events = self.store.events_after(read, PAGE)?;
            for event in &events {
                read = event.id;
                each(event);
            }
            if i64::try_from(events.len()).is_ok_and(|n| n < PAGE) {
                return Ok(read);
            }
        }
    }

    /// See `Engine::listen`.
    pub(crate) fn listen(&self) -> Result<(broadcast::Receiver<News>, i64)> {
        let feed = &self.feed;
        let mut pump = feed.pump();
        if !feed.is_running.load(Ordering::Acquire) {
            // From here on commits wake the pump, and the pump begins at the newest event: nothing falls in between.
            feed.is_running.store(true, Ordering::Release);
            *pump = Pump {
                read: self.store.newest_event(),
                ..Pump::default()
            };
        }
        Ok((feed.news.subscribe(), pump.position()))
    }

    /// What happened behind a position, up to now.
    pub(crate) fn missed(&self, position: i64, account: Option<ResourceId>) -> Result<Missed> {
        missed(&self.store, position, account)
    }

    /// Tells what is due; says when something will be that waits.
    pub(crate) fn tell(&self) -> Option<Timestamp> {
        let feed = &self.feed;
        let mut pump = feed.pump();
        if feed.news.receiver_count() == 0 {
            feed.is_running.store(false, Ordering::Release);
            *pump = Pump::default();
        }
        if !feed.is_running.load(Ordering::Acquire) {
            return None;
        }
        loop {
            match self.store.events_after(pump.read, PAGE) {
                Ok(events) => {
                    let is_last = i64::try_from(events.len()).is_ok_and(|n| n < PAGE);
                    events.into_iter().for_each(|event| pump.take(event));
                    if is_last {
                        break;
                    }
                }
                Err(error) => {
                    log::error!("reading the outbox: {}", error.chain());
                    return Some(self.now().plus(SPACING));
                }
            }
        }
        let (changed, next) = pump.due(self.now());
        if !changed.changes.is_empty() {
            let _ = feed.news.send(News::Changes(Arc::new(changed)));
        }
        next
    }
}

/// Decides what is told when. Pure: events and times in, changes out.
#[derive(Debug, Default)]
struct Pump {
    /// The newest event that was read.
    read: i64,
    /// Newest event → its resource and whose that is: what has not been told yet.
    waiting: BTreeMap<i64, (ResourceId, Option<ResourceId>)>,
    /// Resource → its key in `waiting`.
    newest: HashMap<ResourceId, i64>,
    /// When a resource was told about, as long as that matters.
    told: HashMap<ResourceId, Timestamp>,
}

impl Pump {
    fn take(&mut self, event: ChangeEvent) {
        self.read = event.id;
        if let Some(older) = self.newest.insert(event.resource, event.id) {
            self.waiting.remove(&older);
        }
        self.waiting.insert(event.id, (event.resource, event.account));
    }

    /// Everything up to here has been told. An older event of a resource that waits is told by its newest one.
    pub(crate) fn position(&self) -> i64 {
        self.waiting.first_key_value().map_or(self.read, |(event, _)| event - 1)
    }

    /// What may be told now, and when something else may be.
    fn due(&mut self, now: Timestamp) -> (Changed, Option<Timestamp>) {
        // A clock that was put back delays nothing.
        self.told.retain(|_, at| *at <= now && at.plus(SPACING) > now);
        let mut changes = Vec::new();
        let mut next: Option<Timestamp> = None;
        self.waiting.retain(|event, (resource, account)| {
            if let Some(at) = self.told.get(resource) {
                let at = at.plus(SPACING);
                next = Some(next.map_or(at, |next| next.min(at)));
                return true;
            }
            self.newest.remove(resource);
            changes.push(Change {
                event: *event,
                resource: *resource,
                account: *account,
            });
            false
        });
        self.told.extend(changes.iter().map(|c| (c.resource, now)));
        (
            Changed {
                changes,
                position: self.position(),
            },
            next,
        )
    }
}

fn missed(store: &Store, position: i64, account: Option<ResourceId>) -> Result<Missed> {
    let newest = store.newest_event();
    let oldest = store.oldest_event()?.unwrap_or(newest + 1);
    // More than there ever was: of another database, or of this one before a backup was restored.
    if position > newest || position < oldest - 1 || newest - position > MAX_MISSED {
        return Ok(Missed::Gone);
    }
    let mut pump = Pump {
        read: position,
        ..Pump::default()
    };
    while pump.read < newest {
        let page = store.events_after(pump.read, PAGE)?;
        // Swept while this read: there is nothing left to begin with.
        if page.first().is_none_or(|first| first.id != pump.read + 1) {
            return Ok(Missed::Gone);
        }
        for event in page {
            let is_foreign =
                matches!((account, event.account), (Some(own), Some(of)) if own != of && own != event.resource);
            if is_foreign {
                pump.read = event.id;
            } else {
                pump.take(event);
            }
        }
    }
    let (mut changed, _) = pump.due(Timestamp::default());
    changed.position = pump.read;
    Ok(Missed::Changes(changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `(event, resource)` pass at a time in milliseconds; what is told as `resource@event`, the position, and when
    /// to look again.
    fn pass(pump: &mut Pump, now: i64, events: &[(i64, i64)]) -> String {
        events.iter().for_each(|(id, r)| {
            pump.take(ChangeEvent {
                id: *id,
                resource: ResourceId(*r),
                account: None,
            })
        });
        let (changed, next) = pump.due(Timestamp(now));
        let told: Vec<String> = changed
            .changes
            .iter()
            .map(|c| format!("{}@{}", c.resource, c.event))
            .collect();
        format!(
            "{} | {} | {}",
            told.join(" "),
            changed.position,
            next.map_or_else(String::new, |at| at.0.to_string())
        )
    }

    #[test]
    fn a_resource_is_told_about_at_once_and_then_once_a_second() {
        let mut pump = Pump::default();
        assert_eq!(pass(&mut pump, 0, &[(1, 7), (2, 8), (3, 7)]), "8@2 7@3 | 3 | ");
        assert_eq!(pass(&mut pump, 100, &[(4, 7)]), " | 3 | 1000");
        assert_eq!(pass(&mut pump, 200, &[(5, 9), (6, 7)]), "9@5 | 5 | 1000");
        assert_eq!(pass(&mut pump, 999, &[]), " | 5 | 1000");
        assert_eq!(pass(&mut pump, 1000, &[]), "7@6 | 6 | ");
        assert_eq!(pass(&mut pump, 1500, &[(7, 7)]), " | 6 | 2000");
        assert_eq!(pass(&mut pump, 2600, &[]), "7@7 | 7 | ");
        assert!(pump.waiting.is_empty() && pump.newest.is_empty());
        assert_eq!(pass(&mut pump, 9000, &[]), " | 7 | ");
        assert!(pump.told.is_empty(), "nothing is remembered longer than it matters");
    }

    #[test]
    fn what_waits_holds_the_position_back() {
        let mut pump = Pump::default();
        assert_eq!(pass(&mut pump, 0, &[(1, 7)]), "7@1 | 1 | ");
        assert_eq!(pass(&mut pump, 10, &[(2, 7), (3, 8)]), "8@3 | 1 | 1000");
        assert_eq!(pass(&mut pump, 20, &[(4, 9)]), "9@4 | 1 | 1000");
        assert_eq!(pass(&mut pump, 1000, &[]), "7@2 | 4 | ");
    }

    #[test]
    fn a_clock_that_was_put_back_delays_nothing() {
        let mut pump = Pump::default();
        assert_eq!(pass(&mut pump, 5000, &[(1, 7)]), "7@1 | 1 | ");
        assert_eq!(pass(&mut pump, 100, &[(2, 7)]), "7@2 | 2 | ");
    }
}
