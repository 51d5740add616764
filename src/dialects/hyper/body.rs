//! Bodies: objects whose keys may be written in any case, as Go reads them. Null is as good as absent.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::refusal::{Outcome, Refusal};
use actix_web::http::StatusCode;

/// The most entries of a list or a map.
const MOST: usize = 1_000;

/// The body of a request.
#[derive(Debug)]
pub struct Body(Map<String, Value>);

impl Body {
    /// Reads it; an empty one is an object without anything.
    ///
    /// # Errors
    /// 400 for what is no JSON object.
    pub fn parse(sent: &[u8]) -> Outcome<Self> {
        if sent.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(sent) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "the body has to be a JSON object",
            )),
            Err(error) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("the body is no JSON: {error}"),
            )),
        }
    }

    /// A value that is not null; what is written as its name stands before what is not.
    fn get(&self, name: &str) -> Option<&Value> {
        let other = || {
            self.0
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        self.0.get(name).or_else(other).filter(|value| !value.is_null())
    }

    /// A text; none if it is absent.
    pub fn text(&self, name: &str) -> Outcome<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::field(name, "a text is needed")),
        }
    }

    /// A whole number; none if it is absent.
    pub fn number(&self, name: &str) -> Outcome<Option<i64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| Refusal::field(name, "a whole number is needed")),
        }
    }

    /// A truth value; absent is false.
    pub fn truth(&self, name: &str) -> Outcome<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(is_on)) => Ok(*is_on),
            Some(_) => Err(Refusal::field(name, "true or false is needed")),
        }
    }

    /// Texts; none if they are absent. One text alone is a list of its words where `is_command`.
    pub fn texts(&self, name: &str, is_command: bool) -> Outcome<Option<Vec<String>>> {
        let bad = || Refusal::field(name, "a list of texts is needed");
        match self.get(name) {
            None => Ok(None),
            Some(Value::Array(list)) if list.len() <= MOST => {
                let texts = list.iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect::<Option<Vec<_>>>().map(Some).ok_or_else(bad)
            }
            Some(Value::Array(_)) => Err(Refusal::field(name, format!("at most {MOST}"))),
            Some(Value::String(text)) if is_command => Ok(Some(vec![text.clone()])),
            Some(_) => Err(bad()),
        }
    }

    /// A set of texts, as a list or as the keys of an object; none if it is absent.
    pub fn set(&self, name: &str) -> Outcome<Option<Vec<String>>> {
        match self.get(name) {
            Some(Value::Object(set)) if set.len() <= MOST => Ok(Some(set.keys().cloned().collect())),
            _ => self.texts(name, false),
        }
    }

    /// Labels, as an object or as a list of `key=value`; none if they are absent.
    pub fn labels(&self, name: &str) -> Outcome<Option<BTreeMap<String, String>>> {
        match self.get(name) {
            Some(Value::Object(map)) if map.len() <= MOST => {
                let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
                let read = map.iter().map(pair).collect::<Option<_>>();
                read.map(Some)
                    .ok_or_else(|| Refusal::field(name, "the value of a label is a text"))
            }
            _ => {
                let lines = self.texts(name, false)?;
                let pair = |line: String| match line.split_once('=') {
                    Some((key, value)) => (key.to_owned(), value.to_owned()),
                    None => (line, String::new()),
                };
                Ok(lines.map(|lines| lines.into_iter().map(pair).collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn keys_are_read_in_any_case_and_values_by_their_types() {
        let body =
            Body::parse(br#"{"TTY": true, "name": "a", "Labels": ["k=v", "x"], "Volumes": {"v:/a": {}}, "Env": null}"#);
        let body = body.unwrap();
        assert!(body.truth("Tty").unwrap());
        assert_eq!(body.text("Name").unwrap().as_deref(), Some("a"));
        assert_eq!(
            body.labels("Labels").unwrap().unwrap().get("k").map(String::as_str),
            Some("v")
        );
        assert_eq!(body.set("Volumes").unwrap(), Some(vec!["v:/a".to_owned()]));
        assert_eq!(body.texts("Env", false).unwrap(), None);
        for refusal in [
            body.text("TTY").unwrap_err(),
            body.number("Name").unwrap_err(),
            body.truth("Name").unwrap_err(),
            body.texts("Name", false).unwrap_err(),
            body.labels("TTY").unwrap_err(),
            Body::parse(b"[]").unwrap_err(),
            Body::parse(b"{").unwrap_err(),
        ] {
            assert_eq!(refusal.status.as_u16(), 400, "{}", refusal.message);
        }
        assert_eq!(
            body.number("Name").unwrap_err().message,
            "Name: a whole number is needed"
        );
    }
}
