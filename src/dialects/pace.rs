//! How services go to another version and back, for interfaces that say it as swarms do: the strategy of an upgrade in place, and the
//! labels that watch over one.

use serde_json::{Map, Value, json};

use crate::model::own_labels::{FAILURE_ACTION, MAX_FAILURE_RATIO, MONITOR, ORDER, PARALLELISM, ROLLBACK_DELAY};

/// The shortest wait between two batches, in milliseconds.
const SHORTEST_WAIT: i64 = 100;
/// The longest time for which new containers are watched, in milliseconds.
const LONGEST_WATCH: i64 = 3_600_000;

/// How a service goes one way.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// So many containers at a time; 0 is all.
    pub parallelism: u64,
    /// Between two batches, in milliseconds.
    pub delay: i64,
    /// Whether new containers are started before the others are stopped.
    pub start_first: bool,
    /// `continue`, `pause` or `rollback`.
    pub failure_action: String,
    /// For how long new ones are watched, in milliseconds.
    pub monitor: i64,
    /// Which share of them may fail.
    pub max_failure_ratio: f64,
}

/// The strategy of an upgrade of `all` containers to `launch`, which goes `forth` so, and `back` so where that is said.
pub fn strategy(mut launch: Map<String, Value>, forth: &Pace, back: Option<&Pace>, all: u64) -> Map<String, Value> {
    if let Some(Value::Object(labels)) = launch.get_mut("labels") {
        let mut put = |label: &str, value: String| drop(labels.insert(label.to_owned(), json!(value)));
        put(FAILURE_ACTION, forth.failure_action.clone());
        put(MONITOR, format!("{}ms", forth.monitor.clamp(1, LONGEST_WATCH)));
        if forth.failure_action != "continue" {
            put(MAX_FAILURE_RATIO, format!("{:.6}", forth.max_failure_ratio));
        }
        if let Some(back) = back {
            let parallelism = match back.parallelism {
                0 => "all".to_owned(),
                some => some.min(u32::MAX.into()).to_string(),
            };
            put(PARALLELISM, parallelism);
            put(
                ROLLBACK_DELAY,
                format!("{}ms", back.delay.clamp(SHORTEST_WAIT, LONGEST_WATCH)),
            );
            put(
                ORDER,
                if back.start_first { "start-first" } else { "stop-first" }.to_owned(),
            );
        }
    }
    let batch = match forth.parallelism {
        0 => all,
        some => some.min(all),
    };
    Map::from_iter([
        ("launchConfig".to_owned(), Value::Object(launch)),
        ("batchSize".to_owned(), json!(batch)),
        ("intervalMillis".to_owned(), json!(forth.delay.max(SHORTEST_WAIT))),
        ("startFirst".to_owned(), json!(forth.start_first)),
    ])
}
