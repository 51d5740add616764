//! What the audit log is told of a request before it is served, and where its rows lead.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::resource::{Writer, shown_type};
use crate::api::wire::request::{Query, Verb};
use crate::api::wire::route::Target;
use crate::engine::{Asked, Input};
use crate::http::json::push_key;
use crate::model::json::push_string;
use crate::model::{Resource, WireId};
use crate::schema::{View, render};

/// What stands in the ids of rows; all else that a client wrote for one is no part of an address.
const OF_IDS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'!')
    .remove(b':');

/// What a row of the log names.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    resource_type: Option<String>,
    resource_id: Option<String>,
    authenticated_as_identity_id: Option<String>,
}

/// Puts into a row of the log, which begins at `start`, the links to what it is about and to who asked. They lead there
/// whether that is there still or not (cattle: `AuditLogOutputFilter`).
pub fn point(out: &mut String, start: usize, writer: &Writer<'_>, row: &Resource) {
    const LINKS: &str = "\"links\":{";
    if row.root != "auditLog" {
        return;
    }
    let Ok(named) = serde_json::from_str::<Named>(&row.fields) else {
        return;
    };
    let mut links = String::new();
    let mut push = |name: &str, plural: &str, id: &str| {
        push_key(&mut links, name);
        push_string(&mut links, &format!("{}/{plural}/{id}", writer.root));
        links.push(',');
    };
    if let (Some(kind), Some(id)) = (&named.resource_type, &named.resource_id)
        && let Some(ty) = shown_type(writer.engine.registry(), writer.view, kind)
    {
        let id = match WireId::parse(id) {
            Some(wire) => render::wire_id(render::id_prefix(writer.view, ty), wire.id),
            None => utf8_percent_encode(id, OF_IDS).to_string(),
        };
        push("resource", &ty.plural.to_ascii_lowercase(), &id);
    }
    if let Some(id) = named.authenticated_as_identity_id.filter(|id| !id.is_empty()) {
        push(
            "authenticatedAsIdentity",
            "identities",
            &utf8_percent_encode(&id, OF_IDS).to_string(),
        );
    }
    let head = out.get(start..).and_then(|text| text.find(LINKS));
    if let Some(at) = head {
        out.insert_str(start + at + LINKS.len(), &links);
    }
}

/// A request that asks for a change, in the words of the log; `None` if it asks for none, or is about no type.
pub fn asked<'a>(
    view: &'a View,
    target: &'a Target<'_>,
    verb: Verb,
    query: &'a Query<'_>,
    body: &'a Input,
    client_ip: &'a str,
) -> Option<Asked<'a>> {
    let action = query.first("action").filter(|_| verb == Verb::Post);
    let operation = match (verb, target) {
        (Verb::Get | Verb::Other, _) => return None,
        (Verb::Post, Target::Resource { .. }) => action?,
        (Verb::Post, _) => "create",
        (Verb::Put, _) => "update",
        (Verb::Delete, _) => "delete",
    };
    let (segment, id) = match target {
        Target::Collection(ty) => (ty.as_ref(), None),
        Target::Resource { ty, id } => (ty.as_ref(), Some(id.as_ref())),
        // One more row at the end of a link.
        Target::Link { link, .. } => (link.as_ref(), None),
        // A receiver is a generic object.
        Target::Receivers { id, .. } => ("genericobjects", id.as_deref()),
        _ => return None,
    };
    let ty = &view.find_by_path(segment)?.def;
    Some(Asked {
        ty,
        id,
        operation,
        body,
        client_ip,
    })
}
