//! The servers that share a database.

use std::sync::{Arc, PoisonError, RwLock};

use super::Timestamp;

/// One of them, as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The number of its row.
    pub id: i64,
    /// Made anew with each start.
    pub uuid: String,
    /// By which the others reach it: `http://HOST:PORT` or `https://HOST:PORT`.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When it was heard of last, by the database's clock.
    pub heartbeat: Timestamp,
}

/// Those that were there at the last look.
#[derive(Debug, Clone, Default)]
pub struct Members(Arc<RwLock<Vec<Member>>>);

impl Members {
    /// All of them, in the order in which they came.
    pub fn all(&self) -> Vec<Member> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// There are these now.
    pub fn set(&self, members: Vec<Member>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = members;
    }
}
