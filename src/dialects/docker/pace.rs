//! How an update goes, and how it goes back: Docker's policies.

use serde_json::{Map, Value};

use super::check::SECOND;
use super::spec::UpdateConfig;
use crate::dialects::pace::{self, Pace};

/// Nanoseconds of a millisecond.
const MILLISECOND: i64 = 1_000_000;

/// How an update goes: the strategy of an upgrade in place to `launch`. `back` is how it goes back if it fails. What
/// is not said is as a swarm has it by default.
pub fn strategy(
    launch: Map<String, Value>,
    forth: Option<&UpdateConfig>,
    back: Option<&UpdateConfig>,
    scale: Option<u64>,
) -> Map<String, Value> {
    let default = UpdateConfig {
        parallelism: 1,
        ..UpdateConfig::default()
    };
    let all = scale.unwrap_or(u64::from(u16::MAX)).max(1);
    let [forth, back] = [forth, back].map(|policy| pace_of(policy.unwrap_or(&default)));
    pace::strategy(launch, &forth, &back, all)
}

fn pace_of(policy: &UpdateConfig) -> Pace {
    let action = match policy.failure_action.as_str() {
        "" => "pause",
        given => given,
    };
    let monitor = match policy.monitor {
        0 => 5 * SECOND,
        given => given,
    };
    Pace {
        parallelism: policy.parallelism,
        delay: policy.delay / MILLISECOND,
        start_first: policy.order == "start-first",
        failure_action: action.to_owned(),
        monitor: monitor / MILLISECOND,
        max_failure_ratio: policy.max_failure_ratio.0.as_f64().unwrap_or(0.0),
    }
}
