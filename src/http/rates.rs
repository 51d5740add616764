//! How many requests an address may send in a minute, for interfaces that limit that. Minutes begin at the same time for all, so
//! that what is counted is forgotten all at once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use crate::model::Timestamp;

/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;
/// Addresses that are counted apart in a minute; beyond that they share places.
const PLACES: usize = 16 * 1024;
/// Places that the others share.
const SHARED: u64 = 1_024;

/// How an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So many requests it may send in a minute.
    pub limit: u32,
    /// So many are left of them.
    pub remaining: u32,
    /// Seconds until it may send as many again.
    pub reset: u32,
    /// Whether this one is too much.
    pub is_exceeded: bool,
}

/// Counts requests by address.
#[derive(Default)]
pub struct Rates {
    minute: Mutex<Minute>,
    hasher: RandomState,
}

#[derive(Default)]
struct Minute {
    number: i64,
    sent: HashMap<u64, u32>,
}

impl Rates {
    /// Counts a request. Addresses of one network of IPv6 count as one.
    pub fn count(&self, from: IpAddr, limit: u32, now: Timestamp) -> Rate {
        let number = now.0.div_euclid(MINUTE);
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.number != number {
            *minute = Minute {
                number,
                sent: HashMap::new(),
            };
        }
        let mut place = self.hasher.hash_one(network(from));
        if minute.sent.len() >= PLACES && !minute.sent.contains_key(&place) {
            place %= SHARED;
        }
        let sent = minute.sent.entry(place).or_default();
        *sent = sent.saturating_add(1);
        let left = MINUTE - now.0.rem_euclid(MINUTE);
        Rate {
            limit,
            remaining: limit.saturating_sub(*sent),
            reset: u32::try_from(left.saturating_add(999) / 1_000).unwrap_or(60),
            is_exceeded: *sent > limit,
        }
    }
}

/// What of an address counts: all of it, or of IPv6 the half that says which network it is.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_number_in_each_minute() {
        let rates = Rates::default();
        let at = |ip: &str, ms: i64| rates.count(ip.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])), 2, Timestamp(ms));
        assert_eq!(
            (at("10.0.0.1", 59_000).remaining, at("10.0.0.1", 59_500).remaining),
            (1, 0)
        );
        let third = at("10.0.0.1", 59_900);
        assert_eq!((third.is_exceeded, third.reset, third.limit), (true, 1, 2));
        assert!(!at("10.0.0.2", 59_900).is_exceeded, "others have their own");
        assert!(!at("10.0.0.1", 60_000).is_exceeded, "a minute later");
        assert_eq!(at("fd00::1", 60_000).remaining, 1);
        assert_eq!(at("fd00::2", 60_000).remaining, 0, "one network");
        assert_eq!(at("fd00:0:0:1::2", 60_000).remaining, 1, "another one");
    }
}
