//! How services go to another version and back, for interfaces that say it as swarms do: the strategy of an upgrade in place, and the
//! labels that watch over one.

use serde_json::{Map, Value, json};

use crate::model::own_labels::{
    FAILURE_ACTION, JOB, MAX_FAILURE_RATIO, MONITOR, ORDER, PARALLELISM, ROLLBACK_DELAY, ROLLBACK_FAILURE_ACTION,
    ROLLBACK_MAX_FAILURE_RATIO, ROLLBACK_MONITOR,
};

/// The labels by which [`strategy`] says how a service goes to another version, and nothing of what it is.
pub const LABELS: [&str; 9] = [
    FAILURE_ACTION,
    MONITOR,
    MAX_FAILURE_RATIO,
    ORDER,
    ROLLBACK_DELAY,
    PARALLELISM,
    ROLLBACK_FAILURE_ACTION,
    ROLLBACK_MONITOR,
    ROLLBACK_MAX_FAILURE_RATIO,
];

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

/// The strategy of an upgrade of `all` containers to `launch`, which goes `forth` so, and `back` so.
pub fn strategy(mut launch: Map<String, Value>, forth: &Pace, back: &Pace, all: u64) -> Map<String, Value> {
    if let Some(Value::Object(labels)) = launch.get_mut("labels") {
        // What runs until it has succeeded is tried until it has.
        let is_job = labels.contains_key(JOB);
        let mut put = |label: &str, value: String| drop(labels.insert(label.to_owned(), json!(value)));
        let forth_and_back = [
            (forth, [FAILURE_ACTION, MONITOR, MAX_FAILURE_RATIO]),
            (
                back,
                [ROLLBACK_FAILURE_ACTION, ROLLBACK_MONITOR, ROLLBACK_MAX_FAILURE_RATIO],
            ),
        ];
        for (pace, [action, monitor, ratio]) in forth_and_back {
            put(monitor, format!("{}ms", pace.monitor.clamp(1, LONGEST_WATCH)));
            let (done, share) = match pace.failure_action.as_str() {
                "continue" if is_job => ("continue", None),
                // Whatever fails is left behind, as a swarm does: it is tried again, and nothing waits for it.
                "continue" => ("pause", Some(1.0)),
                other => (other, Some(pace.max_failure_ratio)),
            };
            put(action, done.to_owned());
            if let Some(share) = share {
                put(ratio, format!("{share:.6}"));
            }
        }
        let parallelism = match back.parallelism {
            0 => "all".to_owned(),
            some => some.min(u32::MAX.into()).to_string(),
        };
        put(PARALLELISM, parallelism);
        let delay = back.delay.clamp(SHORTEST_WAIT, LONGEST_WATCH);
        put(ROLLBACK_DELAY, format!("{delay}ms"));
        let order = if back.start_first { "start-first" } else { "stop-first" };
        put(ORDER, order.to_owned());
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
