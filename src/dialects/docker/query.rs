//! Parameters as Go reads them: truth values in two manners, and filters in two shapes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::reader;
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
        let is_number = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let why = if is_number {
            "value out of range"
        } else {
            "invalid syntax"
        };
        let parsed = text.parse().ok().filter(|_| is_number);
        parsed.ok_or_else(|| {
            Refusal::bad(format!(
                "invalid {what} version '{text}': strconv.ParseUint: parsing {text:?}: {why}"
            ))
        })
    }

    /// The filters; those whose names are not among `known` are refused, and so is, with 500, what is no JSON.
    pub fn filters(&self, known: &[&str]) -> Outcome<Filters> {
        self.filters_or(known, StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same with another status for what is no JSON.
    pub fn filters_or(&self, known: &[&str], broken: StatusCode) -> Outcome<Filters> {
        let Some(text) = self.first("filters").filter(|text| !text.is_empty()) else {
            return Ok(Filters::default());
        };
        let refuse = |why: String| Refusal::new(broken, why);
        let of_type = |value: &Value, ty: &str| {
            let kind = reader::kind(value);
            refuse(format!("json: cannot unmarshal {kind} into Go value of type {ty}"))
        };
        let read: Value = serde_json::from_str(text)
            .map_err(|e| refuse(reader::words(text.as_bytes(), &e, "unexpected end of JSON input")))?;
        let all = match read {
            Value::Null => Map::new(),
            Value::Object(all) => all,
            other => return Err(of_type(&other, "map[string]map[string]bool")),
        };
        let mut filters = BTreeMap::new();
        for (name, values) in all {
            let values = match values {
                Value::Null => Vec::new(),
                Value::Array(list) if list.iter().all(Value::is_string) => {
                    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                // Whether a value is said to be on or off makes no difference to Docker.
                Value::Object(set) => match set.values().find(|on| !on.is_boolean()) {
                    Some(other) => return Err(of_type(other, "bool")),
                    None => set.into_iter().map(|(key, _)| key).collect(),
                },
                other => return Err(of_type(&other, "map[string]bool")),
            };
            if !known.contains(&name.as_str()) {
                return Err(Refusal::bad(format!("Invalid filter '{name}'")));
            }
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

    /// 500, as Docker has it, unless all values of a filter are among these, in whatever case.
    pub fn check(&self, name: &str, known: &[&str]) -> Outcome<()> {
        let is_strange = |value: &&String| !known.iter().any(|known| known.eq_ignore_ascii_case(value));
        match self.of(name).and_then(|values| values.iter().find(is_strange)) {
            None => Ok(()),
            Some(other) => {
                let words = format!("Invalid {name} filter: '{other}'");
                Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words))
            }
        }
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
        Some((key, "")) => labels.contains_key(key),
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
        for (text, said) in [
            ("{", "unexpected end of JSON input"),
            ("{}x", "invalid character 'x' after top-level value"),
            (
                "[]",
                "json: cannot unmarshal array into Go value of type map[string]map[string]bool",
            ),
            (
                r#"{"name":"a"}"#,
                "json: cannot unmarshal string into Go value of type map[string]bool",
            ),
            (
                r#"{"name":[1]}"#,
                "json: cannot unmarshal array into Go value of type map[string]bool",
            ),
            (
                r#"{"name":{"a":1}}"#,
                "json: cannot unmarshal number into Go value of type bool",
            ),
        ] {
            let refusal = refused(&format!("filters={text}"));
            assert_eq!(
                (refusal.status.as_u16(), refusal.message.as_str()),
                (500, said),
                "{text}"
            );
        }
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
