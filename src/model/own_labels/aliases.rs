//! The label by which a service has more names than its own: `io.drover.network.aliases: "db, cache"`.

use std::collections::BTreeMap;

use super::{bad, only_known};
use crate::model::Result;

/// What all labels about networks begin with.
const NETWORK: &str = "io.drover.network.";
/// Other names of a service, with commas between them.
pub const ALIASES: &str = "io.drover.network.aliases";
/// The most of them.
const MOST: usize = 50;
/// The longest of them.
const LONGEST: usize = 63;

/// The other names of a service, in lower case. Labels were checked before.
pub fn aliases(labels: &BTreeMap<String, String>) -> Vec<String> {
    let text = labels.get(ALIASES).map(String::as_str).unwrap_or_default();
    let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| is_name(name)).take(MOST).collect()
}

/// Checks the label of whatever launch configuration. 422 that names it.
pub fn check_aliases(labels: &BTreeMap<String, String>) -> Result<()> {
    only_known(labels, NETWORK, &[ALIASES])?;
    let Some(text) = labels.get(ALIASES) else {
        return Ok(());
    };
    let is_good = text.split(',').all(|name| is_name(name.trim())) && text.split(',').count() <= MOST;
    let why =
        "is one name, or up to 50 with commas between them, each of letters, digits, dots, hyphens and underscores";
    is_good.then_some(()).ok_or_else(|| bad(ALIASES, why))
}

fn is_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_whole = name.len() <= LONGEST && !name.contains("..");
    is_whole && name.chars().all(is_inner) && is_edge(name.chars().next()) && is_edge(name.chars().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_can_be_asked_for() {
        let labels = |value: &str| BTreeMap::from([(ALIASES.to_owned(), value.to_owned())]);
        assert!(check_aliases(&labels("db, Cache.v_1")).is_ok());
        assert_eq!(aliases(&labels("db, Cache.v_1")), ["db", "cache.v_1"]);
        for value in [
            "",
            "a b",
            "-a",
            "a,,b",
            "a..b",
            &"x".repeat(64),
            &vec!["a"; 51].join(","),
        ] {
            assert!(check_aliases(&labels(value)).is_err(), "{value}");
        }
        let other = BTreeMap::from([("io.drover.network.alias".to_owned(), "db".to_owned())]);
        assert!(check_aliases(&other).is_err());
    }
}
