//! What the audit log is told of a request before it is served.

use crate::api::wire::request::{Query, Verb};
use crate::api::wire::route::Target;
use crate::engine::{Asked, Input};
use crate::schema::View;

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
