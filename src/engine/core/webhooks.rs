//! What is kept in memory for webhooks: who puts messages into words, who sends them, and how many are on their way.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::model::{ResourceId, Timestamp};
use crate::outgoing::Sender;

/// So many messages are on their way at a time: who does not answer keeps a hand of the worker for ten seconds.
const AT_A_TIME: usize = 4;

/// An event for one subscriber.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The same at each attempt, and no other message's.
    pub id: String,
    /// `host.down`, `host.up`, `service.upgradeFailed`, `rollout.succeeded`, `rollout.failed`, `test`.
    pub event: String,
    /// The account whose subscription it is.
    pub account: ResourceId,
    /// Where it happened; none of a test for all projects.
    pub project: Option<ResourceId>,
    /// The host, the service or the rollout that it is about.
    pub subject: Option<ResourceId>,
    /// When it happened.
    pub occurred: Timestamp,
    /// What more there is to say: names, and sentences.
    pub data: Map<String, Value>,
}

/// A message in the words of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// JSON, the same whenever the same message is written.
    pub body: String,
    /// Headers beside the engine's own, by names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The header for the signature, where the subscription has a secret: `sha256=` and hexadecimal digits.
    pub signature_header: &'static str,
}

/// Puts messages into the words of an interface.
pub type WriteMessage = dyn Fn(&Message) -> Written + Send + Sync;

/// See the head of this file.
pub(crate) struct Webhooks {
    /// By the format that subscriptions name.
    writers: RwLock<HashMap<&'static str, Arc<WriteMessage>>>,
    /// Makes the requests.
    pub(crate) sender: Sender,
    places: Semaphore,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            writers: RwLock::default(),
            sender: Sender::default(),
            places: Semaphore::new(AT_A_TIME),
        }
    }
}

impl Webhooks {
    /// From now on `writer` writes what subscriptions of this format get.
    pub(crate) fn write_by(&self, format: &'static str, writer: Arc<WriteMessage>) {
        let mut writers = self.writers.write().unwrap_or_else(PoisonError::into_inner);
        writers.insert(format, writer);
    }

    /// Who writes for subscriptions of this format, if somebody does.
    pub(crate) fn writer(&self, format: &str) -> Option<Arc<WriteMessage>> {
        let writers = self.writers.read().unwrap_or_else(PoisonError::into_inner);
        writers.get(format).cloned()
    }

    /// A place for one more on its way, if there is one.
    pub(crate) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }
}
