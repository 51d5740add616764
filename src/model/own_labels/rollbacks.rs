//! Labels by which a service goes back otherwise than it went forth: `io.drover.rollback.parallelism: "2"`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::watches::{FailureAction, Named, Watch};
use super::{LONGEST_MONITOR, bad, only_known, parse_duration};
use crate::model::Result;

/// What they begin with.
pub(super) const ROLLBACK: &str = "io.drover.rollback.";
/// So many units at a time: a whole number, or `all`.
pub const PARALLELISM: &str = "io.drover.rollback.parallelism";
/// How long it is waited between two batches: `10s`.
pub const ROLLBACK_DELAY: &str = "io.drover.rollback.delay";
/// `start-first` or `stop-first`.
pub const ORDER: &str = "io.drover.rollback.order";
/// What is done when too many of those that come back fail: `continue`, `pause`.
pub const ROLLBACK_FAILURE_ACTION: &str = "io.drover.rollback.failure_action";
/// How long one that came back has to stay up before it counts as good: `10s`.
pub const ROLLBACK_MONITOR: &str = "io.drover.rollback.monitor";
/// Which share of them may fail: 0 to 1.
pub const ROLLBACK_MAX_FAILURE_RATIO: &str = "io.drover.rollback.max_failure_ratio";

/// All labels of rollbacks.
const ALL: [&str; 6] = [
    PARALLELISM,
    ROLLBACK_DELAY,
    ORDER,
    ROLLBACK_FAILURE_ACTION,
    ROLLBACK_MONITOR,
    ROLLBACK_MAX_FAILURE_RATIO,
];

/// How a service goes back; what is not said of its pace is as in the upgrade.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollbackPace {
    /// So many units at a time.
    pub size: Option<u32>,
    /// Between two batches.
    pub interval: Option<Duration>,
    /// Whether those that come back are started before the others are stopped.
    pub start_first: Option<bool>,
    /// How those that come back are watched.
    pub watch: Watch,
}

impl RollbackPace {
    /// Reads the labels of the version that is left.
    ///
    /// # Errors
    /// 422 that names the label if one says nothing that can be done.
    pub fn of(labels: &BTreeMap<String, String>) -> Result<Self> {
        only_known(labels, ROLLBACK, &ALL)?;
        let names = Named {
            action: ROLLBACK_FAILURE_ACTION,
            monitor: ROLLBACK_MONITOR,
            ratio: ROLLBACK_MAX_FAILURE_RATIO,
        };
        let watch = Watch::of(labels, &names, &[FailureAction::Pause])?;
        let label = |name: &str| labels.get(name).map(|value| value.trim());
        let size = label(PARALLELISM).map(|text| match text {
            "all" => Ok(u32::MAX),
            text => {
                let size = text.parse().ok().filter(|size| *size > 0);
                size.ok_or_else(|| bad(PARALLELISM, "is a number of containers, from 1 on, or all"))
            }
        });
        let interval = label(ROLLBACK_DELAY).map(|text| {
            let time = parse_duration(text).filter(|time| *time <= LONGEST_MONITOR);
            time.ok_or_else(|| bad(ROLLBACK_DELAY, "is a time such as 500ms, 10s or 2m, and at most 1h"))
        });
        let start_first = label(ORDER).map(|text| match text {
            "start-first" => Ok(true),
            "stop-first" => Ok(false),
            _ => Err(bad(ORDER, "is start-first or stop-first")),
        });
        Ok(Self {
            size: size.transpose()?,
            interval: interval.transpose()?,
            start_first: start_first.transpose()?,
            watch,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn pace(pairs: &[(&str, &str)]) -> Result<RollbackPace> {
        let labels = pairs
            .iter()
            .map(|(key, value)| (format!("{ROLLBACK}{key}"), (*value).to_owned()));
        RollbackPace::of(&labels.collect())
    }

    #[test]
    fn labels_say_how_a_service_goes_back() {
        assert_eq!(pace(&[]).unwrap(), RollbackPace::default());
        let all = [("parallelism", "all"), ("delay", "2s"), ("order", "start-first")];
        let expected = RollbackPace {
            size: Some(u32::MAX),
            interval: Some(Duration::from_secs(2)),
            start_first: Some(true),
            ..RollbackPace::default()
        };
        assert_eq!(pace(&all).unwrap(), expected);
        let watched = [
            ("failure_action", "pause"),
            ("monitor", "2s"),
            ("max_failure_ratio", "0.5"),
        ];
        let watch = Watch {
            failure_action: FailureAction::Pause,
            monitor: Duration::from_secs(2),
            max_failed_ppm: 500_000,
        };
        assert_eq!(pace(&watched).unwrap().watch, watch);
        assert_eq!(
            pace(&[("failure_action", "continue")]).unwrap(),
            RollbackPace::default()
        );
        for (label, value) in [
            ("parallelism", "0"),
            ("parallelism", "many"),
            ("delay", "2"),
            ("delay", "2h"),
            ("order", "first"),
            ("ordre", "stop-first"),
            ("failure_action", "rollback"),
            ("monitor", "soon"),
            ("max_failure_ratio", "0.5"),
        ] {
            let said = pace(&[(label, value)]).unwrap_err().external.unwrap_or_default();
            assert!(said.contains(&format!("label {ROLLBACK}{label}:")), "{said}");
        }
    }
}
