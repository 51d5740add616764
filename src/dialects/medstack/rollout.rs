//! How a service goes to a new version and back: policies as the strategy of an upgrade in place, and as the labels that watch over
//! one.

use serde_json::{Map, Value, json};

use super::spec::{Policy, Spec};
use crate::dialects::pace::{self, Pace};
use crate::model::launch::LABEL_PULL_IMAGE;

/// The label by which containers pull their image whenever they are made.
const PULL: (&str, &str) = (LABEL_PULL_IMAGE, "always");

/// Whether a label says how a service goes to another version, and nothing of what it is.
pub fn is_pace(label: &str) -> bool {
    label == PULL.0 || pace::LABELS.contains(&label)
}

/// The strategy of an upgrade in place to `launch`, by the policies of `spec`; with new images if they are pulled.
pub fn strategy(mut launch: Map<String, Value>, spec: &Spec, pulls: bool) -> Map<String, Value> {
    if let (true, Some(Value::Object(labels))) = (pulls, launch.get_mut("labels")) {
        labels.insert(PULL.0.to_owned(), json!(PULL.1));
    }
    let all = spec.replicas.max(1).unsigned_abs();
    pace::strategy(launch, &pace_of(&spec.update), &pace_of(&spec.rollback), all)
}

fn pace_of(policy: &Policy) -> Pace {
    Pace {
        parallelism: policy.parallelism.unsigned_abs(),
        delay: policy.delay.saturating_mul(1_000),
        start_first: policy.order == "start-first",
        failure_action: policy.failure_action.clone(),
        monitor: policy.monitor.saturating_mul(1_000),
        max_failure_ratio: policy.max_failure_ratio,
    }
}
