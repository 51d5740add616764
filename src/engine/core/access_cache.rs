//! What is kept in memory about who may ask for what.
//!
//! It is read once and kept until a commit touches an account, a credential, a membership, a session or a setting: then
//! all of it is forgotten at once, before the writer of that commit is answered. So a key that was removed proves nothing
//! from then on.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tokio::sync::watch;

use crate::model::{ResourceId, Timestamp};
use crate::schema::Role;
use crate::store::Session;

use super::request::{Account, Reach};

/// Entries of each thing kept: beyond that it begins anew.
pub(crate) const KEPT: usize = 10_000;

/// How access is controlled now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether callers have to prove who they are.
    pub is_on: bool,
    /// Who checks logins, if anybody does.
    pub provider: Option<String>,
    /// What a challenge says.
    pub realm: String,
    /// The roles that may change what runs everything else.
    pub(crate) infrastructure: Vec<String>,
    /// The kinds of credentials that prove an account by HTTP Basic.
    pub(crate) key_kinds: Vec<String>,
}

/// What is kept in memory about who may ask for what.
pub(crate) struct Access {
    generation: AtomicU64,
    pub(crate) changes: watch::Sender<u64>,
    known: RwLock<Arc<Known>>,
    pub(crate) passwords: Mutex<HashMap<ResourceId, (String, Timestamp)>>,
}

impl Default for Access {
    fn default() -> Self {
        let changes = watch::Sender::new(0);
        Self {
            generation: AtomicU64::new(0),
            changes,
            known: RwLock::default(),
            passwords: Mutex::default(),
        }
    }
}

impl Access {
    /// Forgets everything: something about it changed.
    pub(crate) fn forget(&self) {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        self.changes.send_replace(generation);
    }

    /// What is known since the last change. What is read into it is at least as new.
    pub(crate) fn known(&self) -> Arc<Known> {
        let generation = self.generation.load(Ordering::SeqCst);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.generation == generation {
            return known;
        }
        let fresh = Arc::new(Known {
            generation,
            ..Known::default()
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.generation < generation {
            *known = fresh;
        }
        known.clone()
    }
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) generation: u64,
    pub(crate) policy: OnceLock<Arc<Policy>>,
    pub(crate) first_admin: OnceLock<Option<ResourceId>>,
    pub(crate) keys: Cache<String, Arc<[KnownKey]>>,
    pub(crate) sessions: Cache<String, Option<Session>>,
    pub(crate) standings: Cache<(ResourceId, Option<ResourceId>), Standing>,
}

/// A bounded map.
pub(crate) struct Cache<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(crate) fn keep(&self, key: K, value: V) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= KEPT {
            map.clear();
        }
        map.insert(key, value);
    }
}

/// An active credential of an active account.
pub(crate) struct KnownKey {
    pub(crate) id: ResourceId,
    pub(crate) kind: String,
    pub(crate) secret: String,
    pub(crate) account: ResourceId,
}

/// What an account is for a project, or by itself.
#[derive(Clone)]
pub(crate) enum Standing {
    /// No account that may ask for anything.
    Nobody,
    /// The project is none of its own, or none.
    Foreign,
    /// This.
    Holder(Arc<Holder>),
}

pub(crate) struct Holder {
    pub(crate) user: Account,
    pub(crate) effective: Account,
    pub(crate) project: Option<ResourceId>,
    pub(crate) role: Role,
    pub(crate) reach: Reach,
}
