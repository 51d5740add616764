//! How often one may be wrong: by address, and by address and name.
//!
//! Not by name alone: whoever knows a name could lock its owner out. A success gives nothing back, else a guesser with an
//! account of its own could guess on. What is kept is bounded: addresses and names are only hashed, and when there are
//! very many of them they share places.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::model::{Clock, Error, ErrorKind, Result, Timestamp};

/// Wrong attempts on one name from one address in a row.
const OF_NAME: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
/// One more every so often.
const NAME_EVERY: Duration = Duration::from_secs(10);
/// Wrong attempts from one address in a row, whatever the name.
const OF_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);
/// One more every so often.
const ADDRESS_EVERY: Duration = Duration::from_secs(2);
/// Places that are kept apart.
const PLACES: usize = 16 * 1024;
/// Places that the rest shares.
const SHARED: u64 = 4 * 1024;

/// The engine's clock, as governor wants it.
#[derive(Clone)]
struct Ticks(Arc<dyn Clock>);

impl governor::clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let Timestamp(ms) = self.0.now();
        Nanos::from(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }
}

type Keyed = RateLimiter<u64, DashMapStateStore<u64>, Ticks, NoOpMiddleware<Nanos>>;

/// Failures that are written down in a row; one more every second. The others only count.
const WRITTEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

type Plain = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Nanos>>;

/// Counts failures.
pub struct Limits {
    written: Plain,
    names: Keyed,
    addresses: Keyed,
    /// Until when somebody is turned away unheard.
    blocked: Mutex<HashMap<u64, Timestamp>>,
    clock: Arc<dyn Clock>,
    hasher: RandomState,
}

impl Limits {
    /// Nobody has failed yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let quota = |burst: NonZeroU32, every| {
            Quota::with_period(every)
                .unwrap_or(Quota::per_second(burst))
                .allow_burst(burst)
        };
        let keyed = |quota| RateLimiter::new(quota, DashMapStateStore::default(), Ticks(clock.clone()));
        Self {
            written: RateLimiter::direct_with_clock(quota(WRITTEN, Duration::from_secs(1)), Ticks(clock.clone())),
            names: keyed(quota(OF_NAME, NAME_EVERY)),
            addresses: keyed(quota(OF_ADDRESS, ADDRESS_EVERY)),
            blocked: Mutex::default(),
            clock: clock.clone(),
            hasher: RandomState::new(),
        }
    }

    /// 429 for those who have been wrong too often.
    pub fn check(&self, address: IpAddr, name: &str) -> Result<()> {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if blocked.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        // Where there are many, a place may be shared.
        for key in self.keys(address, name).into_iter().flat_map(|key| [key, key % SHARED]) {
            match blocked.get(&key) {
                Some(until) if *until > now => return Err(too_many(until.since(now))),
                Some(_) => drop(blocked.remove(&key)),
                None => {}
            }
        }
        Ok(())
    }

    /// Whether this failure is to be written down: not all are, for guesses would fill logs.
    pub fn is_written(&self) -> bool {
        self.written.check().is_ok()
    }

    /// Counts a failure; 429 if it is one too many.
    pub fn failed(&self, address: IpAddr, name: &str) -> Result<()> {
        let [of_name, of_address] = self.keys(address, name);
        let name = self.count(&self.names, of_name);
        let address = self.count(&self.addresses, of_address);
        name.and(address)
    }

    fn count(&self, limiter: &Keyed, key: u64) -> Result<()> {
        if limiter.len() >= PLACES {
            limiter.retain_recent();
        }
        let key = if limiter.len() >= PLACES { key % SHARED } else { key };
        let Err(refused) = limiter.check_key(&key) else {
            return Ok(());
        };
        let clock = Ticks(self.clock.clone());
        let wait: Duration = refused.earliest_possible().duration_since(clock.now()).into();
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if blocked.len() >= PLACES {
            blocked.retain(|_, until| *until > now);
        }
        if blocked.len() < PLACES {
            blocked.insert(key, now.plus(wait));
        }
        Err(too_many(wait))
    }

    /// The places of a name at an address, and of the address alone. A host has many addresses of IPv6.
    fn keys(&self, address: IpAddr, name: &str) -> [u64; 2] {
        let address = match address {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            },
            v4 => v4,
        };
        [
            self.hasher.hash_one((address, name.to_ascii_lowercase())),
            self.hasher.hash_one(address),
        ]
    }
}

fn too_many(wait: Duration) -> Error {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    Error::new(ErrorKind::TooMany(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::model::time::ManualClock;

    fn limits() -> (Arc<ManualClock>, Limits) {
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
        (clock.clone(), Limits::new(clock))
    }

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_wrong_too_often_waits() {
        let (clock, limits) = limits();
        for _ in 0..OF_NAME.get() {
            limits.check(at("10.0.0.1"), "admin").unwrap();
            limits.failed(at("10.0.0.1"), "admin").unwrap();
        }
        let refused = limits.failed(at("10.0.0.1"), "admin").unwrap_err();
        assert_eq!(refused.kind, ErrorKind::TooMany(10));
        assert!(limits.check(at("10.0.0.1"), "ADMIN").is_err(), "in any case");
        assert!(limits.check(at("10.0.0.1"), "other").is_ok() && limits.check(at("10.0.0.2"), "admin").is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(limits.check(at("10.0.0.1"), "admin").is_ok());
    }

    #[test]
    fn who_tries_many_names_waits_too_whatever_its_address_ends_in() {
        let (_, limits) = limits();
        for n in 0..OF_ADDRESS.get() {
            limits
                .failed(at(&format!("2001:db8::{n}")), &format!("name{n}"))
                .unwrap();
        }
        assert!(limits.failed(at("2001:db8::ffff"), "another").is_err());
        assert!(
            limits.check(at("2001:db8::1"), "anybody").is_err()
                && limits.check(at("2001:db8:0:1::1"), "anybody").is_ok()
        );
    }

    #[test]
    fn a_flood_of_names_takes_a_bounded_place() {
        let (_, limits) = limits();
        for n in 0..(PLACES + 3000) {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap()));
            let _ = limits.failed(address, "admin");
        }
        let most = PLACES + usize::try_from(SHARED).unwrap();
        assert!(
            limits.names.len() <= most && limits.addresses.len() <= most,
            "{} {}",
            limits.names.len(),
            limits.addresses.len()
        );
    }
}
