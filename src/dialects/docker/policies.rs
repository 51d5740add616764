//! Docker's policies as labels of the engine's own: what becomes of a container that ended, and where containers are.

use serde_json::{Map, Value, json};

use super::project::{Others, unbuilt};
use super::refusal::{Outcome, Refusal};
use super::spec::{Placement, RestartPolicy};
use crate::dialects::words::{architecture, host_label};
use crate::model::launch::{LABEL_HOST, LABEL_HOST_NE, LABEL_START_ONCE};
use crate::model::own_labels::{CONDITION, DELAY, HOST, MAX_ATTEMPTS, MAX_PER_HOST, MOST_IN_WINDOW, SPREAD, WINDOW};

/// What becomes of a container that ended, by labels.
pub fn put_restart(labels: &mut Map<String, Value>, policy: &RestartPolicy, is_job: bool) -> Outcome<()> {
    match policy.condition.as_str() {
        "none" => {
            labels.insert(LABEL_START_ONCE.into(), json!("true"));
            return Ok(());
        }
        // A job is over when it has succeeded, whatever its policy says.
        "on-failure" if !is_job => {
            labels.insert(CONDITION.into(), json!("on-failure"));
        }
        _ => {}
    }
    let time = |nanos: i64| json!(format!("{}ms", (nanos / 1_000_000).max(1)));
    let given = |nanos: Option<i64>| nanos.filter(|nanos| *nanos > 0);
    if let Some(delay) = given(policy.delay) {
        labels.insert(DELAY.into(), time(delay));
    }
    if policy.max_attempts == 0 {
        return Ok(());
    }
    labels.insert(
        MAX_ATTEMPTS.into(),
        json!(policy.max_attempts.min(u32::MAX.into()).to_string()),
    );
    if let Some(window) = given(policy.window) {
        if policy.max_attempts > MOST_IN_WINDOW.into() {
            return Err(unbuilt(
                "TaskTemplate.RestartPolicy",
                &format!("a Window with MaxAttempts of more than {MOST_IN_WINDOW} is not part of this build"),
            ));
        }
        labels.insert(WINDOW.into(), time(window));
    }
    Ok(())
}

/// Where containers are, by labels.
pub fn put_placement(labels: &mut Map<String, Value>, placement: &Placement, others: &dyn Others) -> Outcome<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for text in &placement.constraints {
        let (key, is_same, value) = constraint(text)?;
        let not_built = || unbuilt("Placement.Constraints", &format!("{text:?} is not part of this build"));
        if value.contains(',') {
            return Err(not_built());
        }
        let of_host = |name: &str, value: &str| format!("{HOST}{name}={value}");
        let rule = match key {
            // Whom nobody is called so waits for one, as in a swarm.
            "node.id" => of_host("id", &others.node(value).unwrap_or_else(|| value.to_owned())),
            "node.hostname" => of_host("name", value),
            // Each host of this server is what Docker calls a manager, on Linux.
            "node.role" if is_same == (value == "manager") => continue,
            "node.role" => of_host("role", value),
            "node.platform.os" if is_same == (value == "linux") => continue,
            "node.platform.os" => of_host("os", value),
            "node.platform.arch" => of_host("arch", architecture(value)),
            key => match host_label(key) {
                Some(label) => format!("{label}={value}"),
                None => return Err(not_built()),
            },
        };
        if is_same { with.push(rule) } else { without.push(rule) }
    }
    for (label, all) in [(LABEL_HOST, with), (LABEL_HOST_NE, without)] {
        if !all.is_empty() {
            labels.insert(label.into(), json!(all.join(",")));
        }
    }
    let spread = placement.preferences.iter().map(|preference| {
        let descriptor = preference
            .spread
            .as_ref()
            .map(|spread| spread.spread_descriptor.as_str());
        let label = descriptor.and_then(host_label).filter(|label| !label.contains(','));
        let why = || {
            unbuilt(
                "Placement.Preferences",
                "only Spread over labels of nodes is part of this build",
            )
        };
        label.ok_or_else(why)
    });
    let spread = spread.collect::<Outcome<Vec<_>>>()?;
    if !spread.is_empty() {
        labels.insert(SPREAD.into(), json!(spread.join(",")));
    }
    if let Some(most) = placement.max_replicas.filter(|most| *most > 0) {
        labels.insert(MAX_PER_HOST.into(), json!(most.min(u32::MAX.into()).to_string()));
    }
    Ok(())
}

/// `key == value`, or `key != value`.
fn constraint(text: &str) -> Outcome<(&str, bool, &str)> {
    let parts = text.split_once("==").map(|(key, value)| (key, true, value));
    let parts = parts.or_else(|| text.split_once("!=").map(|(key, value)| (key, false, value)));
    let (key, is_same, value) = parts.ok_or_else(|| {
        Refusal::argument(format!(
            "constraint expected one operator from ==, !=: {text:?} has none"
        ))
    })?;
    Ok((key.trim(), is_same, value.trim()))
}
