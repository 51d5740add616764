//! How an update goes: Docker's policy as the strategy of an upgrade in place, and as the labels that watch over one.

use serde_json::{Map, Value, json};

use super::check::SECOND;
use super::spec::UpdateConfig;

const FAILURE_ACTION: &str = "io.drover.upgrade.failure_action";
const MONITOR: &str = "io.drover.upgrade.monitor";
const MAX_FAILURE_RATIO: &str = "io.drover.upgrade.max_failure_ratio";

/// How an update goes: the strategy of an upgrade in place to `launch`.
pub fn strategy(
    mut launch: Map<String, Value>,
    policy: Option<&UpdateConfig>,
    scale: Option<u64>,
) -> Map<String, Value> {
    let default = UpdateConfig {
        parallelism: 1,
        ..UpdateConfig::default()
    };
    let policy = policy.unwrap_or(&default);
    let action = match policy.failure_action.as_str() {
        "" => "pause",
        given => given,
    };
    let monitor = match policy.monitor {
        0 => 5 * SECOND,
        given => given,
    };
    if let Some(Value::Object(labels)) = launch.get_mut("labels") {
        labels.insert(FAILURE_ACTION.into(), json!(action));
        labels.insert(
            MONITOR.into(),
            json!(format!("{}ms", (monitor / 1_000_000).clamp(1, 3_600_000))),
        );
        if action != "continue" {
            let ratio = policy.max_failure_ratio.0.as_f64().unwrap_or(0.0);
            labels.insert(MAX_FAILURE_RATIO.into(), json!(format!("{ratio:.6}")));
        }
    }
    let all = scale.unwrap_or(u64::from(u16::MAX)).max(1);
    let batch = match policy.parallelism {
        0 => all,
        some => some.min(all),
    };
    let strategy = json!({
        "launchConfig": launch,
        "batchSize": batch,
        "intervalMillis": (policy.delay / 1_000_000).max(100),
        "startFirst": policy.order == "start-first",
    });
    match strategy {
        Value::Object(strategy) => strategy,
        _ => Map::new(),
    }
}
