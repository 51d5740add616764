//! How a service goes to a new version and back: policies as the strategy of an upgrade in place, and as the labels that watch over
//! one.

use serde_json::{Map, Value, json};

use super::spec::Spec;
use crate::model::own_labels::{FAILURE_ACTION, MAX_FAILURE_RATIO, MONITOR, ORDER, PARALLELISM, ROLLBACK_DELAY};

/// The label by which containers pull their image whenever they are made.
const PULL: (&str, &str) = ("io.rancher.container.pull_image", "always");
/// Labels that say how a service goes to another version, and nothing of what it is.
pub const PACE: [&str; 7] = [
    FAILURE_ACTION,
    MONITOR,
    MAX_FAILURE_RATIO,
    ORDER,
    ROLLBACK_DELAY,
    PARALLELISM,
    PULL.0,
];
/// The shortest wait between two batches, in milliseconds.
const SHORTEST_WAIT: i64 = 100;

/// The strategy of an upgrade in place to `launch`, by the policies of `spec`; with new images if they are pulled.
pub fn strategy(mut launch: Map<String, Value>, spec: &Spec, pulls: bool) -> Map<String, Value> {
    let (update, rollback) = (&spec.update, &spec.rollback);
    if let Some(Value::Object(labels)) = launch.get_mut("labels") {
        let mut put = |label: &str, value: String| drop(labels.insert(label.to_owned(), json!(value)));
        put(FAILURE_ACTION, update.failure_action.clone());
        put(
            MONITOR,
            format!("{}ms", (update.monitor.saturating_mul(1_000)).clamp(1, 3_600_000)),
        );
        if update.failure_action != "continue" {
            put(MAX_FAILURE_RATIO, format!("{:.6}", update.max_failure_ratio));
        }
        put(ORDER, rollback.order.clone());
        put(
            ROLLBACK_DELAY,
            format!("{}ms", rollback.delay.saturating_mul(1_000).max(SHORTEST_WAIT)),
        );
        let parallelism = match rollback.parallelism {
            0 => "all".to_owned(),
            some => some.to_string(),
        };
        put(PARALLELISM, parallelism);
        if pulls {
            put(PULL.0, PULL.1.to_owned());
        }
    }
    let all = spec.replicas.max(1);
    let batch = match update.parallelism {
        0 => all,
        some => some.min(all),
    };
    Map::from_iter([
        ("launchConfig".to_owned(), Value::Object(launch)),
        ("batchSize".to_owned(), json!(batch)),
        (
            "intervalMillis".to_owned(),
            json!(update.delay.saturating_mul(1_000).max(SHORTEST_WAIT)),
        ),
        ("startFirst".to_owned(), json!(update.order == "start-first")),
    ])
}
