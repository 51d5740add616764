//! What an interface's words cannot say of a launch configuration stays as it is when they change it.

use serde_json::{Map, Value};

use super::pace;

/// What a configuration is of which nothing is carried: that is the engine's.
const ENGINES: [&str; 3] = ["type", "kind", "version"];

/// Lays under `into`, a configuration that is to be in force, what is `now` in force beyond the interface's words: what is neither in
/// `then`, which the words became that describe it now, nor in `next`, which the words become that describe it from now on. Of labels
/// each stands for itself; those that say how the last upgrade went are not carried.
pub fn carry(
    now: &Map<String, Value>,
    then: &Map<String, Value>,
    next: &Map<String, Value>,
    into: &mut Map<String, Value>,
) {
    let is_said = |field: &str| then.contains_key(field) || next.contains_key(field);
    for (field, value) in now {
        if field != "labels" && !ENGINES.contains(&field.as_str()) && !is_said(field) {
            into.insert(field.clone(), value.clone());
        }
    }
    let said = [labels(then), labels(next)];
    let kept = labels(now).into_iter().flatten();
    let kept: Vec<(String, Value)> = kept
        .filter(|(name, _)| !pace::LABELS.contains(&name.as_str()))
        .filter(|(name, _)| !said.iter().flatten().any(|said| said.contains_key(*name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if !kept.is_empty()
        && let Value::Object(own) = into.entry("labels").or_insert_with(|| Value::Object(Map::new()))
    {
        own.extend(kept);
    }
}

fn labels(launch: &Map<String, Value>) -> Option<&Map<String, Value>> {
    launch.get("labels").and_then(Value::as_object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_words_cannot_say_stays_and_what_they_can_is_theirs() {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        let now = map(
            json!({"imageUuid": "docker:a", "privileged": true, "user": "root", "version": "1",
            "labels": {"io.rancher.x": "y", "tier": "front", "io.drover.upgrade.monitor": "5ms"}}),
        );
        let then = map(json!({"imageUuid": "docker:a", "user": "root", "labels": {"tier": "front"}}));
        let next = map(json!({"imageUuid": "docker:b", "labels": {"zone": "a"}}));
        // As checked: with defaults.
        let mut into = map(json!({"imageUuid": "docker:b", "privileged": false, "labels": {"zone": "a"}}));
        carry(&now, &then, &next, &mut into);
        let expected =
            json!({"imageUuid": "docker:b", "privileged": true, "labels": {"zone": "a", "io.rancher.x": "y"}});
        assert_eq!(Value::Object(into), expected);
    }
}
