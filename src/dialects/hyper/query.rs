//! Parameters, and filters in the two shapes that clients send: `{"name": ["x"]}` and `{"name": {"x": true}}`.

use std::collections::BTreeMap;

use serde_json::Value;
use url::form_urlencoded;

use super::refusal::{Outcome, Refusal};

/// The parameters of a request.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the question mark.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a name; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// A value that has to be there.
    pub fn needed(&self, name: &str) -> Outcome<&str> {
        match self.text(name) {
            "" => Err(Refusal::field(name, "this parameter is needed")),
            text => Ok(text),
        }
    }

    /// Nearly anything is true: all but nothing, `0`, `no`, `false` and `none`.
    pub fn is_on(&self, name: &str) -> bool {
        let value = self.text(name).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// The filters; those whose names are not among `known` are refused.
    pub fn filters(&self, known: &[&str]) -> Outcome<Filters> {
        let text = self.text("filters");
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let bad = || Refusal::field("filters", r#"JSON such as {"name": ["web"]} is needed"#);
        let Ok(Value::Object(given)) = serde_json::from_str(text) else {
            return Err(bad());
        };
        let mut all = BTreeMap::new();
        for (name, values) in given {
            if !known.contains(&name.as_str()) {
                return Err(Refusal::field(
                    "filters",
                    format!("there is no filter {name}, but {}", known.join(", ")),
                ));
            }
            let values: Option<Vec<String>> = match values {
                Value::Array(list) => list.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
                Value::Object(set) => {
                    let set = set.into_iter().filter(|(_, is_in)| *is_in != Value::Bool(false));
                    Some(set.map(|(value, _)| value).collect())
                }
                _ => None,
            };
            all.insert(name, values.ok_or_else(bad)?);
        }
        Ok(Filters(all))
    }
}

/// What is asked for of a list: all names have to fit, and of each name one value.
#[derive(Debug, Default)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Whether something fits a filter, or is not filtered by it.
    pub fn fits(&self, name: &str, mut is_like: impl FnMut(&str) -> bool) -> bool {
        let values = self.0.get(name).filter(|values| !values.is_empty());
        values.is_none_or(|values| values.iter().any(|value| is_like(value)))
    }

    /// Whether labels fit: `key`, or `key=value`; all that are asked for.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        };
        self.0.get("label").into_iter().flatten().all(has)
    }

    /// A truth value, if it is asked for.
    pub fn truth(&self, name: &str) -> Outcome<Option<bool>> {
        let Some(values) = self.0.get(name).filter(|values| !values.is_empty()) else {
            return Ok(None);
        };
        let read = |value: &String| match value.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        match values.as_slice() {
            [one] => read(one).map(Some),
            _ => None,
        }
        .ok_or_else(|| Refusal::field("filters", format!("{name} is true or false")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn filters(json: &str) -> Outcome<Filters> {
        let text: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("filters", json)
            .finish();
        Query::parse(&text).filters(&["name", "label", "dangling"])
    }

    #[test]
    fn filters_come_in_two_shapes() {
        for json in [
            r#"{"name": ["a", "b"]}"#,
            r#"{"name": {"a": true, "b": true, "c": false}}"#,
        ] {
            let filters = filters(json).unwrap();
            let fits = |name: &str| filters.fits("name", |wanted| wanted == name);
            assert!(
                fits("a") && fits("b") && !fits("c") && filters.fits("other", |_| false),
                "{json}"
            );
        }
        let labels = |text: &str| BTreeMap::from([(text.to_owned(), "1".to_owned())]);
        let both = filters(r#"{"label": ["x", "x=1"]}"#).unwrap();
        assert!(both.labels(&labels("x")) && !both.labels(&labels("y")));
        assert_eq!(
            filters(r#"{"dangling": ["true"]}"#).unwrap().truth("dangling").unwrap(),
            Some(true)
        );
        assert_eq!(
            filters(r#"{"dangling": {"false": true}}"#)
                .unwrap()
                .truth("dangling")
                .unwrap(),
            Some(false)
        );
        for bad in ["[", "[]", r#"{"nome": ["a"]}"#, r#"{"name": 1}"#, r#"{"name": [1]}"#] {
            assert_eq!(filters(bad).unwrap_err().status.as_u16(), 400, "{bad}");
        }
        assert!(
            filters(r#"{"dangling": ["maybe"]}"#)
                .unwrap()
                .truth("dangling")
                .is_err()
        );
    }
}
