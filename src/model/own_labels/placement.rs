//! Labels about hosts that Rancher's scheduler has no words for: `io.drover.scheduler.…`, and what rules can ask of a host beside
//! its labels.

use std::collections::BTreeMap;

use super::{bad, only_known};
use crate::model::Result;

/// What all labels about places begin with.
pub(super) const SCHEDULER: &str = "io.drover.scheduler.";
/// The most units of the service on one host.
pub const MAX_PER_HOST: &str = "io.drover.scheduler.max_per_host";
/// Host labels, over whose values units are spread evenly, the first one first.
pub const SPREAD: &str = "io.drover.scheduler.spread";

/// What rules about host labels find of each host as if they were labels of it.
pub const HOST: &str = "io.drover.host.";
/// The most labels that are spread over.
const MOST_SPREAD: usize = 8;

/// What the labels of a primary say of places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacementRule {
    /// The most units on one host.
    pub max_per_host: Option<u32>,
    /// Labels of hosts.
    pub spread: Vec<String>,
}

impl PlacementRule {
    /// Reads the labels.
    ///
    /// # Errors
    /// 422 that names the label if one says nothing that can be done.
    pub fn of(labels: &BTreeMap<String, String>) -> Result<Self> {
        only_known(labels, SCHEDULER, &[MAX_PER_HOST, SPREAD])?;
        let most = labels.get(MAX_PER_HOST).map(|text| {
            let most = text.trim().parse().ok().filter(|most: &u32| *most > 0);
            most.ok_or_else(|| bad(MAX_PER_HOST, "is a number of containers, at least 1"))
        });
        let spread = labels.get(SPREAD).map(|text| {
            let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
            let is_good = names.len() <= MOST_SPREAD && names.iter().all(|name| !name.is_empty());
            let why = || {
                bad(
                    SPREAD,
                    "is one name of a label of hosts, or some, with commas between them",
                )
            };
            is_good.then_some(names).ok_or_else(why)
        });
        Ok(Self {
            max_per_host: most.transpose()?,
            spread: spread.transpose()?.unwrap_or_default(),
        })
    }

    /// What labels say that were checked before.
    pub fn checked(labels: &BTreeMap<String, String>) -> Self {
        Self::of(labels).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn labels_say_how_many_and_over_what() {
        let rule = |key: &str, value: &str| PlacementRule::of(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
        assert_eq!(rule(MAX_PER_HOST, " 2 ").unwrap().max_per_host, Some(2));
        assert_eq!(rule(SPREAD, "zone, rack").unwrap().spread, ["zone", "rack"]);
        for (key, value) in [
            (MAX_PER_HOST, "0"),
            (MAX_PER_HOST, "few"),
            (SPREAD, ""),
            (SPREAD, "zone,,rack"),
            ("io.drover.scheduler.max", "1"),
        ] {
            let said = rule(key, value).unwrap_err().external.unwrap_or_default();
            assert!(said.contains(&format!("{key}:")), "{said}");
        }
    }
}
