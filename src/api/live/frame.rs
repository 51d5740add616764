//! How an event looks on the wire: the same keys in the same order for every event (cattle: `EventVO`).

use std::fmt::Write as _;

use bytestring::ByteString;
use serde_json::Value;

use crate::engine::Input;
use crate::http::json::{push_key, push_option, push_str};
use crate::model::Timestamp;

/// An event as it is sent.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number in the outbox; the largest there is for what is not in there.
    pub event: i64,
    /// The text.
    pub text: ByteString,
}

/// The only key of the frame that ends a session.
pub const LOGOUT: &str = r#"{"name":"logout"}"#;

/// What an event says beside its name.
struct Envelope<'a> {
    id: &'a str,
    name: &'a str,
    /// Id and type.
    resource: Option<(&'a str, &'a str)>,
    time: Timestamp,
}

impl Envelope<'_> {
    /// Writes the keys up to `data`, what `data` writes, and the keys behind it.
    fn write(&self, out: &mut String, data: impl FnOnce(&mut String)) {
        out.push_str(r#"{"id":"#);
        push_str(out, self.id);
        out.push_str(r#","name":"#);
        push_str(out, self.name);
        out.push_str(r#","replyTo":null,"resourceId":"#);
        push_option(out, self.resource.map(|(id, _)| id));
        out.push_str(r#","resourceType":"#);
        push_option(out, self.resource.map(|(_, ty)| ty));
        out.push_str(r#","publisher":null,"transitioning":null,"transitioningMessage":null,"transitioningInternalMessage":null,"previousIds":null,"previousNames":null,"data":"#);
        data(out);
        // Writing to a String does not fail.
        let _ = write!(
            out,
            r#","time":{},"timeoutMillis":null,"transitioningProgress":null,"context":null}}"#,
            self.time.0
        );
    }
}

/// The id of an event, by which a client goes on after it: up to where everything has been told, and the event itself.
pub fn event_id(position: i64, event: i64) -> String {
    format!("{}-{event}", position.min(event))
}

/// Reads where to go on from: an event's id, a ping's, or a plain number.
pub fn parse_position(text: &str) -> Option<i64> {
    let (position, event) = text.split_once('-').unwrap_or((text, "0"));
    let is_number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (is_number(position) && is_number(event))
        .then(|| position.parse().ok())
        .flatten()
}

/// A change. `resource` writes the resource, or nothing and says so: then there is no event.
pub fn change(
    id: &str,
    resource_id: &str,
    resource_type: &str,
    time: Timestamp,
    resource: impl FnOnce(&mut String) -> bool,
) -> Option<ByteString> {
    let mut out = String::with_capacity(5120);
    let mut is_written = false;
    Envelope {
        id,
        name: super::names::RESOURCE_CHANGE,
        resource: Some((resource_id, resource_type)),
        time,
    }
    .write(&mut out, |out| {
        out.push_str(r#"{"resource":"#);
        is_written = resource(out);
        out.push('}');
    });
    // It waits for the slowest of many readers: not with room for more.
    out.shrink_to_fit();
    is_written.then(|| out.into())
}

/// Says that the connection lives, and up to where everything has been told.
pub fn ping(position: i64, time: Timestamp) -> ByteString {
    let mut out = String::with_capacity(400);
    Envelope {
        id: &position.to_string(),
        name: "ping",
        resource: None,
        time,
    }
    .write(&mut out, |out| out.push_str("{}"));
    out.into()
}

/// Says that what was missed cannot be told.
pub fn gone(position: i64, time: Timestamp) -> ByteString {
    let mut out = String::with_capacity(512);
    Envelope { id: &position.to_string(), name: "events.gone", resource: None, time }.write(&mut out, |out| {
        out.push_str(r#"{"code":"EventsGone","message":"the events behind this position are no longer kept: read the lists again"}"#);
    });
    out.into()
}

/// An event that was published: its own fields, in the order of the envelope.
pub fn published(name: &str, fields: &Input, time: Timestamp) -> ByteString {
    const KEYS: [&str; 16] = [
        "id",
        "name",
        "replyTo",
        "resourceId",
        "resourceType",
        "publisher",
        "transitioning",
        "transitioningMessage",
        "transitioningInternalMessage",
        "previousIds",
        "previousNames",
        "data",
        "time",
        "timeoutMillis",
        "transitioningProgress",
        "context",
    ];
    let mut out = String::with_capacity(512);
    out.push('{');
    for key in KEYS {
        crate::http::json::push_comma(&mut out);
        push_key(&mut out, key);
        match (key, fields.get(key)) {
            ("name", _) => push_str(&mut out, name),
            ("time", None | Some(Value::Null)) => out.push_str(&time.0.to_string()),
            (_, Some(value)) => out.push_str(&value.to_string()),
            (_, None) => out.push_str("null"),
        }
    }
    out.push('}');
    out.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn an_event_has_the_keys_of_the_wire_in_their_order() {
        let frame = change("7-9", "1s5", "service", Timestamp(1_458_323_656_472), |out| {
            out.push_str(r#"{"id":"1s5"}"#);
            true
        });
        let expected = r#"{"id":"7-9","name":"resource.change","replyTo":null,"resourceId":"1s5","resourceType":"service","publisher":null,"transitioning":null,"transitioningMessage":null,"transitioningInternalMessage":null,"previousIds":null,"previousNames":null,"data":{"resource":{"id":"1s5"}},"time":1458323656472,"timeoutMillis":null,"transitioningProgress":null,"context":null}"#;
        assert_eq!(frame.unwrap(), expected);
        assert!(
            change("1", "1s5", "service", Timestamp(0), |_| false).is_none(),
            "what cannot be seen is no event"
        );
        let ping: Value = serde_json::from_str(&ping(4, Timestamp(1))).unwrap();
        let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&ping), keys(&serde_json::from_str(expected).unwrap()));
        let mut fields = Input::new();
        fields.insert("data".into(), serde_json::json!({"a": 1}));
        fields.insert("secret".into(), "x".into());
        let published: Value = serde_json::from_str(&published("service.x", &fields, Timestamp(1))).unwrap();
        assert_eq!(keys(&published), keys(&ping));
        assert_eq!(published["data"]["a"], 1);
    }

    #[test]
    fn positions_are_read_from_what_events_are_called() {
        for (text, expected) in [
            ("17", Some(17)),
            ("17-20", Some(17)),
            ("0", Some(0)),
            ("", None),
            ("-1", None),
            ("17-", None),
            ("x", None),
            ("1.5", None),
            ("+1", None),
            ("99999999999999999999", None),
            ("a0513a91-7b0e", None),
        ] {
            assert_eq!(parse_position(text), expected, "{text}");
        }
        assert_eq!(event_id(7, 9), "7-9");
        assert_eq!(event_id(9, 7), "7-7");
    }
}
