//! The messages of outgoing webhooks: events as objects of this interface.

use serde_json::{Map, Value, json};

use super::ids::Ids;
use crate::engine::{Message, Written};

/// The header for the signature of a subscription that has a secret.
const SIGNATURE: &str = "x-drover-signature";

/// A message in these words. The same message is the same text each time.
pub fn written(ids: &Ids, message: &Message) -> Written {
    let (kind, object) = match message.event.as_str() {
        "host.down" => ("node.down", Some("node")),
        "host.up" => ("node.up", Some("node")),
        "service.upgradeFailed" => ("service.update_failed", Some("service")),
        other => (other, None),
    };
    let mut data = Map::new();
    if let (Some(object), Some(subject)) = (object, message.subject) {
        let name = message.data.get("name").cloned().unwrap_or_default();
        data.insert(object.to_owned(), json!({"id": ids.of(object, subject), "name": name}));
    }
    if let Some(said) = message.data.get("message") {
        data.insert("message".to_owned(), said.clone());
    }
    let body = json!({
        "id": format!("event_{}", message.id.replace('-', "")),
        "object": "event",
        "type": kind,
        "company_id": ids.of("company", message.account),
        "cluster_id": message.project.map(|id| ids.of("cluster", id)),
        "created": message.occurred.to_wire_millis(),
        "data": Value::Object(data),
    });
    Written {
        body: body.to_string(),
        headers: Vec::new(),
        signature_header: SIGNATURE,
    }
}
