//! Addresses that projects can be given to be reached at: which there are. Who has which stands in rows.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::model::{Error, Result};

/// The shortest prefix of a network that addresses are taken from: so many addresses can be looked through.
const SHORTEST_PREFIX: u8 = 16;

/// The addresses, in the order in which they are given out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FloatingPool(Vec<(u32, u32)>);

impl FloatingPool {
    /// Reads addresses and networks (CIDR).
    ///
    /// # Errors
    /// 422 with a sentence that quotes what is neither.
    pub(crate) fn parse(texts: &[String]) -> Result<Self> {
        let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        texts.map(range).collect::<Result<_>>().map(Self)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that is not taken.
    pub(crate) fn first_free(&self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let all = self.0.iter().flat_map(|(first, last)| *first..=*last);
        all.map(Ipv4Addr::from).find(|address| !taken.contains(address))
    }
}

/// The first and the last address. Those that stand for a network itself are none.
fn range(text: &str) -> Result<(u32, u32)> {
    let bad = || {
        Error::invalid("InvalidFormat", "floatingPool").with_message(format!(
            "{text:?} is no IPv4 address and no network such as 203.0.113.0/28, of at most /{SHORTEST_PREFIX}"
        ))
    };
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let address = u32::from(address.parse::<Ipv4Addr>().map_err(|_| bad())?);
    let prefix = prefix
        .parse::<u8>()
        .ok()
        .filter(|prefix| (SHORTEST_PREFIX..=32).contains(prefix));
    let host_bits = 32 - prefix.ok_or_else(bad)?;
    let size = 1_u32 << host_bits;
    let first = address & !(size - 1);
    Ok(match host_bits {
        0 | 1 => (first, first + (size - 1)),
        _ => (first + 1, first + (size - 2)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn pool(text: &str) -> Result<FloatingPool> {
        FloatingPool::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn addresses_are_given_out_in_order_until_none_is_left() {
        let pool = pool("203.0.113.9 203.0.113.5/30 203.0.113.2/31").unwrap();
        let mut taken = BTreeSet::new();
        let mut given = Vec::new();
        while let Some(address) = pool.first_free(&taken) {
            taken.insert(address);
            given.push(address.to_string());
        }
        assert_eq!(
            given,
            [
                "203.0.113.9",
                "203.0.113.5",
                "203.0.113.6",
                "203.0.113.2",
                "203.0.113.3"
            ]
        );
        assert!(!pool.is_empty() && super::FloatingPool::parse(&[String::new()]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_pool_is_said() {
        for text in ["1.2.3", "1.2.3.4/8", "1.2.3.4/33", "::1", "1.2.3.4/x", "1.2.3.4/"] {
            let refused = pool(text).unwrap_err().external.unwrap();
            assert!(
                refused.starts_with(&format!("{text:?} is no IPv4 address")),
                "{refused}"
            );
        }
    }
}
