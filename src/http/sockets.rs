//! Places for connections that stay open: how many there may be, and how many of one account.
//!
//! Every interface with WebSockets or streams asks the same [`Admission`], so that their sum is limited. What goes over a
//! connection does not belong here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Error, ErrorKind, ResourceId, Result};

/// Seconds after which whoever has too many connections may ask again.
const COME_AGAIN: u32 = 30;

/// How many connections may be open at a time. Each holds a file descriptor and some memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLimits {
    /// All.
    pub total: usize,
    /// Those of one account: while access is open everybody is the same.
    pub of_account: usize,
}

impl Default for SocketLimits {
    fn default() -> Self {
        // Ten thousand clients have room, whoever they are, and leave some to others.
        Self {
            total: 20_000,
            of_account: 15_000,
        }
    }
}

impl SocketLimits {
    /// The same where at most so many files may be open: some of them are left for requests and the database, for a server
    /// without any hears nobody.
    pub fn within(self, files: u64) -> Self {
        let most = usize::try_from(files - (files / 4).min(1_000)).unwrap_or(usize::MAX);
        Self {
            total: self.total.min(most),
            of_account: self.of_account.min(most),
        }
    }
}

/// Who has how many connections open.
#[derive(Debug)]
pub struct Admission {
    limits: SocketLimits,
    /// Open connections by account; accounts without any are not kept.
    open: Mutex<HashMap<ResourceId, usize>>,
}

/// A connection's right to be there, given back at its end.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    account: ResourceId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.admission.lock();
        if let Some(count) = open.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.account);
            }
        }
    }
}

impl Admission {
    /// Nobody is there yet.
    pub fn new(limits: SocketLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: Mutex::default(),
        })
    }

    /// A place for one more connection of an account.
    ///
    /// # Errors
    /// 429 if the account has as many as it may have, 503 if the server has.
    pub fn admit(self: &Arc<Self>, account: ResourceId) -> Result<Place> {
        let mut open = self.lock();
        if open.get(&account).is_some_and(|count| *count >= self.limits.of_account) {
            let words = format!(
                "{} WebSockets of this account are open: no more at a time",
                self.limits.of_account
            );
            return Err(Error::new(ErrorKind::TooMany(COME_AGAIN)).with_message(words));
        }
        if open.values().sum::<usize>() >= self.limits.total {
            let words = format!("{} WebSockets are open: no more at a time", self.limits.total);
            return Err(Error::new(ErrorKind::Unavailable).with_message(words));
        }
        *open.entry(account).or_default() += 1;
        Ok(Place {
            admission: self.clone(),
            account,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceId, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn places_are_counted_by_account_and_given_back() {
        let admission = Admission::new(SocketLimits {
            total: 3,
            of_account: 2,
        });
        let admit = |account| admission.admit(ResourceId(account)).map_err(|e| e.kind);
        let first = admit(1).unwrap();
        let _second = admit(1).unwrap();
        assert_eq!(admit(1).unwrap_err(), ErrorKind::TooMany(COME_AGAIN));
        let _other = admit(2).unwrap();
        assert_eq!(admit(3).unwrap_err(), ErrorKind::Unavailable);
        drop(first);
        assert!(admit(1).is_ok());
    }
}
