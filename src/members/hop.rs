//! What a server says of a request that it passes on: who sent it. Signed with the key that all of them have, as the address of who
//! asks decides how often it may ask, and is in the audit log.

use std::net::IpAddr;

use crate::http::address::PassedOn;
use crate::model::Timestamp;
use crate::secret::{Keeper, is_same};

/// The header that says it. One that a client sent is not passed on.
pub(super) const HEADER: &str = "x-drover-passed-on";
/// On an answer: the server that was asked does not lead, and did nothing.
pub(super) const NOT_LEADING: &str = "x-drover-not-leading";
/// So long it is believed, in milliseconds: clocks of servers differ.
const GOOD_FOR_MS: i64 = 60_000;
const CONTEXT: &str = "a request that is passed on: ";

/// What is known of who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub from: PassedOn,
    /// Whether others than this machine's own programs reach the server where it arrived.
    pub is_outward: bool,
}

impl Hop {
    /// The header's value.
    pub fn written(&self, keeper: &Keeper, now: Timestamp) -> String {
        let said = format!(
            "{} {} {} {}",
            self.from.peer,
            if self.from.is_secured { "https" } else { "http" },
            if self.is_outward { "outward" } else { "inward" },
            now.0
        );
        let signature = keeper.signature(CONTEXT, &said);
        format!("{said} {signature}")
    }

    /// What a value says, if it was written with this key not long ago.
    pub fn read(value: &str, keeper: &Keeper, now: Timestamp) -> Option<Self> {
        let (said, signature) = value.rsplit_once(' ')?;
        if !is_same(keeper.signature(CONTEXT, said).as_bytes(), signature.as_bytes()) {
            return None;
        }
        let mut words = said.split(' ');
        let peer: IpAddr = words.next()?.parse().ok()?;
        let is_secured = words.next()? == "https";
        let is_outward = words.next()? == "outward";
        let at: i64 = words.next()?.parse().ok()?;
        (now.0.abs_diff(at) <= GOOD_FOR_MS.unsigned_abs()).then_some(Self {
            from: PassedOn { peer, is_secured },
            is_outward,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn only_who_has_the_key_says_who_asks_and_not_for_ever() {
        let (own, other) = (Keeper::new(&[1; 32]), Keeper::new(&[2; 32]));
        let now = Timestamp(1_000_000);
        for peer in ["192.0.2.7", "2001:db8::1"] {
            let hop = Hop {
                from: PassedOn {
                    peer: peer.parse().unwrap(),
                    is_secured: true,
                },
                is_outward: true,
            };
            let text = hop.written(&own, now);
            assert_eq!(Hop::read(&text, &own, now), Some(hop));
            assert_eq!(Hop::read(&text, &own, Timestamp(now.0 + 59_000)), Some(hop));
            assert_eq!(Hop::read(&text, &own, Timestamp(now.0 + 61_000)), None);
            assert_eq!(Hop::read(&text, &other, now), None);
            assert_eq!(Hop::read(&text.replace(peer, "192.0.2.8"), &own, now), None);
        }
        for nonsense in ["", " ", "192.0.2.7", "192.0.2.7 https outward 1"] {
            assert_eq!(Hop::read(nonsense, &own, now), None, "{nonsense}");
        }
    }
}
