//! How much one request may ask for: the one table of numbers that multiply work, and of lists that do.
//!
//! Whoever may write shares the server with others. What a body may hold is bounded by its fields' names, in whatever type they
//! stand, and by what lists, maps and nested JSON may hold at most where the table names nothing narrower. docs/limits.md is
//! this table in words.

use serde_json::Value;

use crate::model::{Error, Result};

/// What of a field's value is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The number itself.
    Number,
    /// The elements of a list, or the keys of a map.
    Entries,
}

use Measure::{Entries, Number};

/// The largest number of containers that one service may have.
pub const SCALE: i64 = 10_000;

/// By field: what is bounded, and by how much.
pub const LIMITS: &[(&str, Measure, i64)] = &[
    ("scale", Number, SCALE),
    ("min", Number, SCALE),
    ("max", Number, SCALE),
    ("increment", Number, SCALE),
    ("batchSize", Number, SCALE),
    ("finalScale", Number, SCALE),
    ("capAdd", Entries, 64),
    ("capDrop", Entries, 64),
    ("dataVolumes", Entries, 100),
    ("dataVolumesFrom", Entries, 32),
    ("dataVolumesFromLaunchConfigs", Entries, 32),
    ("devices", Entries, 64),
    ("dns", Entries, 32),
    ("dnsSearch", Entries, 32),
    ("environment", Entries, 1_000),
    ("expose", Entries, 200),
    ("externalIpAddresses", Entries, 100),
    ("extraHosts", Entries, 200),
    ("instanceLinks", Entries, 100),
    ("labels", Entries, 100),
    ("members", Entries, 100),
    ("portRules", Entries, 200),
    ("ports", Entries, 64),
    ("secondaryLaunchConfigs", Entries, 32),
    ("secrets", Entries, 100),
    ("serviceLinks", Entries, 100),
    ("tmpfs", Entries, 64),
    ("ulimits", Entries, 64),
];

/// What a list or a map may hold that [`LIMITS`] does not name.
pub const ANY_ENTRIES: i64 = 1_000;

/// How many keys and passwords an account or a project may have.
pub const KEYS: usize = 200;

/// How many projects somebody may make, and have, who does not run the server.
pub const PROJECTS: usize = 100;

/// How many receivers a project may have.
pub const RECEIVERS: usize = 200;

/// How many values a field of type `json` may hold, on all levels together.
pub const JSON_VALUES: usize = 10_000;

/// Refuses a value that asks for too much: 422 `MaxLimitExceeded`.
pub(crate) fn check(name: &str, value: &Value) -> Result<()> {
    let limit = |measure| {
        let found = LIMITS.iter().find(|(field, of, _)| *field == name && *of == measure);
        found.map(|(_, _, most)| *most)
    };
    let is_over = match value {
        Value::Number(number) => limit(Number).is_some_and(|most| number.as_f64().is_some_and(|n| n > most as f64)),
        Value::Array(list) => exceeds(list.len(), limit(Entries).unwrap_or(ANY_ENTRIES)),
        Value::Object(map) => exceeds(map.len(), limit(Entries).unwrap_or(ANY_ENTRIES)),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    };
    if is_over || count(value, JSON_VALUES).is_none() {
        return Err(Error::invalid("MaxLimitExceeded", name));
    }
    Ok(())
}

fn exceeds(entries: usize, most: i64) -> bool {
    i64::try_from(entries).map_or(true, |entries| entries > most)
}

/// How many of `left` values are left when all of `value` are counted; `None` if they do not suffice.
fn count(value: &Value, left: usize) -> Option<usize> {
    let left = left.checked_sub(1)?;
    match value {
        Value::Array(list) => list.iter().try_fold(left, |left, value| count(value, left)),
        Value::Object(map) => map.values().try_fold(left, |left, value| count(value, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(left),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_limit_holds_to_the_last_one() {
        for (name, measure, most) in LIMITS {
            let most = usize::try_from(*most).unwrap_or(0);
            let (fits, does_not) = match measure {
                Number => (json!(most), json!(most + 1)),
                Entries => (json!(vec!["x"; most]), json!(vec!["x"; most + 1])),
            };
            assert!(check(name, &fits).is_ok(), "{name}");
            let refused = check(name, &does_not).err();
            assert_eq!(
                refused.and_then(|e| e.code).as_deref(),
                Some("MaxLimitExceeded"),
                "{name}"
            );
        }
        assert!(check("metadata", &json!(vec![vec![0; 500]; 19])).is_ok());
        assert!(check("metadata", &json!(vec![vec![0; 500]; 20])).is_err());
        assert!(check("whatever", &json!(vec![0; 1_001])).is_err());
    }
}
