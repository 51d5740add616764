//! Parameters as Go reads them: truth values in two manners, and filters in two shapes.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

use super::refusal::{Outcome, Refusal};
use actix_web::http::StatusCode;

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the question mark.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a name.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Nearly anything is true: all but nothing, `0`, `no`, `false` and `none`.
    pub fn is_on(&self, name: &str) -> bool {
        let value = self.first(name).unwrap_or_default().trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A truth value that has to be one; not given is false.
    pub fn truth(&self, name: &str) -> Outcome<bool> {
        match self.first(name) {
            None => Ok(false),
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Ok(false),
            // An empty one is as good as none.
            Some("") => Ok(false),
            Some(other) => Err(Refusal::bad(format!(
                "invalid value for {name}: {other}: strconv.ParseBool: parsing {other:?}: invalid syntax"
            ))),
        }
    }

    /// The number of a version, which has to be given.
    pub fn version(&self, what: &str) -> Outcome<u64> {
        let text = self.first("version").unwrap_or_default();
        text.parse().map_err(|_| {
            Refusal::bad(format!(
                "invalid {what} version '{text}': strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        })
    }

    /// The filters; those whose names are not among `known` are refused.
    pub fn filters(&self, known: &[&str]) -> Outcome<Filters> {
        let Some(text) = self.first("filters").filter(|text| !text.is_empty()) else {
            return Ok(Filters::default());
        };
        let broken = |why: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why);
        let all: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|e| broken(format!("invalid filters: {e}")))?;
        let mut filters = BTreeMap::new();
        for (name, values) in all {
            if !known.contains(&name.as_str()) {
                return Err(Refusal::bad(format!("Invalid filter '{name}'")));
            }
            let values = match values {
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Value::Object(set) => set
                    .into_iter()
                    .filter(|(_, on)| *on != Value::Bool(false))
                    .map(|(key, _)| key)
                    .collect(),
                _ => return Err(broken(format!("invalid filter {name}"))),
            };
            filters.insert(name, values);
        }
        Ok(Filters(filters))
    }
}

/// What a list is narrowed by: all names have to hold, of each name one value.
#[derive(Debug, Default)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// The values of a name, if it was given.
    pub fn of(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice).filter(|values| !values.is_empty())
    }

    /// Whether a filter is not given, or one of its values fits.
    pub fn fits(&self, name: &str, is_it: impl Fn(&str) -> bool) -> bool {
        self.of(name)
            .is_none_or(|values| values.iter().any(|value| is_it(value)))
    }

    /// Whether labels have all that the filter `name` asks for, as `key` or `key=value`.
    pub fn labels(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.of(name)
            .is_none_or(|wanted| wanted.iter().all(|wanted| has(labels, wanted)))
    }

    /// Whether labels have nothing of what the filter `name` asks for.
    pub fn lacks(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.of(name)
            .is_none_or(|wanted| !wanted.iter().any(|wanted| has(labels, wanted)))
    }
}

/// Whether labels have this `key` or `key=value`.
fn has(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        None => labels.contains_key(wanted),
        Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn filters_come_as_lists_and_as_sets() {
        for text in [r#"{"name":["a"]}"#, r#"{"name":{"a":true}}"#] {
            let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let filters = Query::parse(&format!("filters={text}")).filters(&["name"]).unwrap();
            assert_eq!(filters.of("name"), Some(&["a".to_owned()][..]));
            assert!(filters.fits("name", |name| name == "a") && !filters.fits("name", |name| name == "b"));
            assert!(filters.fits("id", |_| false));
        }
        let refused = |text: &str| Query::parse(text).filters(&["name"]).unwrap_err();
        assert_eq!(refused("filters={").status, 500);
        let unknown = refused("filters=%7B%22colour%22%3A%5B%22red%22%5D%7D");
        assert_eq!(
            (unknown.status.as_u16(), unknown.message.as_str()),
            (400, "Invalid filter 'colour'")
        );
    }

    #[test]
    fn truth_is_strict_for_some_and_not_for_others() {
        let query = Query::parse("a=True&b=null&c=no&d=yes&e=False");
        assert!(query.is_on("a") && query.is_on("b") && !query.is_on("c") && query.is_on("d") && !query.is_on("e"));
        assert!(query.truth("a").unwrap() && !query.truth("e").unwrap() && !query.truth("none").unwrap());
        assert_eq!(
            query.truth("b").unwrap_err().message,
            r#"invalid value for b: null: strconv.ParseBool: parsing "null": invalid syntax"#
        );
    }
}
