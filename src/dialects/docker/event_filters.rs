//! What of all that happens is asked for.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::query::{Filters, Query};
use super::refusal::{Outcome, Refusal};
use crate::model::Timestamp;

/// The filters by which one object is meant, by its id or its name.
const OBJECTS: [&str; 9] = [
    "service",
    "node",
    "secret",
    "config",
    "network",
    "container",
    "volume",
    "plugin",
    "daemon",
];
/// The others.
const OTHERS: [&str; 5] = ["type", "event", "scope", "label", "image"];

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// To what.
    pub kind: &'static str,
    /// What.
    pub action: &'static str,
    /// The id of the object.
    pub id: String,
    /// What is said of it, its name among that.
    pub attributes: Map<String, Value>,
}

impl Event {
    fn scope(&self) -> &'static str {
        if self.kind == "container" { "local" } else { "swarm" }
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// As a line.
    pub fn line(&self, now: Timestamp) -> String {
        let mut line = Map::new();
        if self.kind == "container" {
            // What there was before there were types.
            line.insert("status".into(), json!(self.action));
            line.insert("id".into(), json!(self.id));
            line.insert("from".into(), json!(self.attribute("image")));
        }
        line.insert("Type".into(), json!(self.kind));
        line.insert("Action".into(), json!(self.action));
        line.insert("Actor".into(), json!({"ID": self.id, "Attributes": self.attributes}));
        line.insert("scope".into(), json!(self.scope()));
        line.insert("time".into(), json!(now.0 / 1_000));
        line.insert("timeNano".into(), json!(now.0.saturating_mul(1_000_000)));
        format!("{}\n", Value::Object(line))
    }
}

/// What is asked for.
pub struct Wanted {
    filters: Filters,
    /// From when on, if that is said.
    pub since: Option<Timestamp>,
    /// When to end.
    pub until: Option<Timestamp>,
}

impl Wanted {
    /// Reads it.
    ///
    /// # Errors
    /// 400 for a filter or a time that Docker does not know.
    pub fn read(query: &Query) -> Outcome<Self> {
        let known = [&OBJECTS[..], &OTHERS].concat();
        Ok(Self {
            since: time(query, "since")?,
            filters: query.filters(&known)?,
            until: time(query, "until")?,
        })
    }

    /// Whether an event is asked for.
    pub fn has(&self, event: &Event) -> bool {
        let filters = &self.filters;
        let is_meant = |wanted: &str| event.id.starts_with(wanted) || event.attribute("name").starts_with(wanted);
        let labels = event.attributes.iter();
        let labels = labels
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect();
        // A server has no name here that could be meant.
        OBJECTS
            .iter()
            .filter(|name| **name != "daemon")
            .all(|name| filters.fits(name, is_meant))
            && filters.fits("type", |kind| kind == event.kind)
            && filters.fits("event", |action| {
                event.action == action || event.action.starts_with(&format!("{action}:"))
            })
            && filters.fits("scope", |scope| scope == event.scope())
            && filters.fits("image", |image| event.attribute("image") == image)
            && filters.labels("label", &labels)
    }

    /// How long to go on; none is for ever.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.until.map(|until| until.since(now))
    }
}

/// Seconds since 1970, with a fraction, or a date.
fn time(query: &Query, name: &str) -> Outcome<Option<Timestamp>> {
    let Some(text) = query.first(name).filter(|text| !matches!(*text, "" | "0")) else {
        return Ok(None);
    };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let thousandths = format!("{fraction:0<3}")
        .get(..3)
        .and_then(|text| text.parse::<i64>().ok());
    let read = seconds.parse::<i64>().ok().zip(thousandths);
    let read = read.and_then(|(seconds, rest)| seconds.checked_mul(1_000)?.checked_add(rest));
    let read = read.map(Timestamp).or_else(|| Timestamp::parse(text));
    let wrong = || Refusal::new(StatusCode::BAD_REQUEST, format!("{name}: {text:?} is no time"));
    read.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn event(kind: &'static str, action: &'static str) -> Event {
        let attributes = json!({"name": "web", "image": "a:1", "tier": "front"});
        Event {
            kind,
            action,
            id: "abc".to_owned(),
            attributes: attributes.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn filters_are_met_all_at_once() {
        for (filters, kind, action, expected) in [
            ("{}", "service", "update", true),
            (r#"{"type":["service"]}"#, "service", "update", true),
            (r#"{"type":["node"]}"#, "service", "update", false),
            (r#"{"type":["service"],"event":["remove"]}"#, "service", "update", false),
            (r#"{"event":["update","remove"]}"#, "service", "update", true),
            (r#"{"service":["we"]}"#, "service", "update", true),
            (r#"{"service":["ab"]}"#, "service", "update", true),
            (r#"{"service":["other"]}"#, "service", "update", false),
            (r#"{"scope":["swarm"]}"#, "container", "start", false),
            (r#"{"scope":["local"],"image":["a:1"]}"#, "container", "start", true),
            (r#"{"label":["tier=front"]}"#, "container", "start", true),
            (r#"{"label":["tier=back"]}"#, "container", "start", false),
            (
                r#"{"event":["health_status"]}"#,
                "container",
                "health_status: healthy",
                true,
            ),
        ] {
            let text: String = url::form_urlencoded::byte_serialize(filters.as_bytes()).collect();
            let wanted = Wanted::read(&Query::parse(&format!("filters={text}"))).unwrap();
            assert_eq!(wanted.has(&event(kind, action)), expected, "{filters} {kind} {action}");
        }
        assert!(Wanted::read(&Query::parse("filters=%7B%22colour%22%3A%5B%22red%22%5D%7D")).is_err());
    }

    #[test]
    fn times_are_seconds_or_dates() {
        for (text, expected) in [
            ("until=1700000000", Some(1_700_000_000_000)),
            ("until=1700000000.250000000", Some(1_700_000_000_250)),
            ("until=2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("until=0", None),
            ("", None),
        ] {
            let wanted = Wanted::read(&Query::parse(text)).unwrap();
            assert_eq!(wanted.until.map(|until| until.0), expected, "{text}");
        }
        assert!(Wanted::read(&Query::parse("since=yesterday")).is_err());
    }
}
