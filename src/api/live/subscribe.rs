//! `subscribe`: a request becomes a connection.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::channel::{Class, Hub};
use super::frame;
use super::names::{Confined, EventName};
use super::socket::{Limits, MAX_FRAME, Socket};
use crate::api::resources::chosen::Chosen;
use crate::api::resources::handler;
use crate::api::wire::call::{Call, Reply};
use crate::api::wire::request::Verb;
use crate::engine::{Input, MAX_PINGS, MAX_QUEUED, PING_MILLIS};
use crate::http::headers::is_websocket;
use crate::http::sockets::Admission;
use crate::model::{Error, ErrorKind, Result};
use crate::schema::{Role, TypeView};

/// The shortest time between two pings, whatever the setting says.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);
/// Event names, and types, that one connection may ask for.
const MAX_NAMES: usize = 64;

/// What a connection is made of.
pub struct Handshake<'r> {
    /// The request.
    pub request: &'r HttpRequest,
    /// What the client goes on to send; taken if it is taken.
    pub payload: &'r mut Option<web::Payload>,
    /// Who may have one more connection.
    pub sockets: &'r Arc<Admission>,
    /// Where the response goes.
    pub response: &'r mut Option<HttpResponse>,
}

/// `/subscribe`: 101, and from then on events.
pub async fn subscribe(
    call: &Call<'_>,
    ty: &Arc<TypeView>,
    hub: &Arc<Hub>,
    shake: Handshake<'_>,
    body: Input,
) -> Result<Reply> {
    call.require_collection_method(ty)?;
    let class = class(call, &body)?;
    let since = match call.query.first("since") {
        None | Some("") => None,
        Some(text) => Some(frame::parse_position(text).ok_or_else(|| Error::invalid("InvalidFormat", "since"))?),
    };
    match (call.verb, is_websocket(shake.request.headers())) {
        // Quirk: nothing takes these, and they are not the same nothing (cattle: no handler of `SubscribeManager` answers).
        (Verb::Get, false) => return handler::nothing(call, ty).await,
        (Verb::Post, false) => return Ok(Reply::new(StatusCode::CREATED, String::new())),
        (Verb::Get | Verb::Post, true) => {}
        (Verb::Put | Verb::Delete | Verb::Other, _) => return Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
    let no_handshake = |why: String| Error {
        detail: Some(why),
        ..Error::new(ErrorKind::BadRequest).with_code("InvalidHandshake")
    };
    if call.verb != Verb::Get {
        return Err(no_handshake("a WebSocket begins with a GET".to_owned()));
    }
    let limits = limits(call)?;
    let place = shake.sockets.admit(call.scope.user.id)?;
    // Listening before the answer: whoever has it misses nothing.
    let seat = hub.join(call.scope, call.view, class)?;
    let payload = shake
        .payload
        .take()
        .ok_or_else(|| Error::bug("a request without its payload"))?;
    let (response, session, stream) =
        actix_ws::handle(shake.request, payload).map_err(|e| no_handshake(e.to_string()))?;
    let stream = stream.max_frame_size(MAX_FRAME);
    actix_web::rt::spawn(
        Socket {
            session,
            stream,
            seat,
            place,
            limits,
            since,
        }
        .run(),
    );
    *shake.response = Some(response);
    Ok(Reply::new(StatusCode::SWITCHING_PROTOCOLS, String::new()))
}

fn limits(call: &Call<'_>) -> Result<Limits> {
    let millis = call.engine.setting_count(PING_MILLIS)?;
    Ok(Limits {
        beat: Duration::from_millis(millis.into()).max(SHORTEST_BEAT),
        pings: call.engine.setting_count(MAX_PINGS)?,
        queued: call.engine.setting_count(MAX_QUEUED)?.into(),
    })
}

/// What is asked for, by parameters and body.
fn class(call: &Call<'_>, body: &Input) -> Result<Class> {
    let mut names: Vec<&str> = values(call, "eventNames").collect();
    match body.get("eventNames") {
        Some(Value::Array(list)) => names.extend(list.iter().filter_map(Value::as_str)),
        Some(Value::String(one)) => names.push(one),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {}
    }
    // Not by the schema: a reader may subscribe, though it may write no field of any type.
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"*._;=".contains(&b);
    if names.iter().any(|name| name.is_empty()) {
        return Err(Error::invalid("MinLengthExceeded", "eventNames"));
    }
    if !names.iter().all(|name| name.bytes().all(is_allowed)) {
        return Err(Error::invalid("InvalidCharacters", "eventNames"));
    }
    if names.len() > MAX_NAMES {
        return Err(Error::invalid("MaxLimitExceeded", "eventNames"));
    }
    // Those two see everything, and say themselves what they want to hear.
    let is_raw = matches!(call.scope.role, Role::Superadmin | Role::Service);
    let own = confinement(call, body)?;
    let mut names: Vec<EventName> = names
        .iter()
        .map(|name| {
            if is_raw {
                EventName::raw(name)
            } else {
                EventName::confined(name, own)
            }
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let is_renamed =
        call.actions_key == "actionLinks" || call.query.first("_actionLinks").is_some_and(|v| v != "false");
    Ok(Class {
        viewer: call.scope.into(),
        root: call.base.root.clone(),
        actions_key: if is_renamed { "actionLinks" } else { "actions" },
        include: call
            .query
            .first("include")
            .filter(|i| !i.is_empty())
            .map(str::to_ascii_lowercase),
        chosen: Chosen::asked(call.view, call.query)?,
        kinds: kinds(call)?,
        names,
    })
}

/// Whose events a caller may hear of: those of the account it acts for; an agent's are its own.
fn confinement(call: &Call<'_>, body: &Input) -> Result<Confined> {
    if call.scope.role != Role::Agent {
        return Ok(Confined::To(call.scope.effective.id));
    }
    // An agent gets what is sent to it, and changes of resources are not.
    let own = call.engine.agents_of(call.scope)?;
    let named = call
        .query
        .first("agentId")
        .or_else(|| body.get("agentId").and_then(Value::as_str));
    match (own.as_slice(), named) {
        ([], _) => Err(Error::new(ErrorKind::Forbidden)),
        ([_, _, ..], None) => Err(Error::invalid("MissingRequired", "agentId")),
        (own, Some(id))
            if !own
                .iter()
                .any(|agent| crate::model::WireId::parse(id).is_some_and(|w| w.id == *agent)) =>
        {
            Err(Error::new(ErrorKind::Forbidden))
        }
        _ => Ok(Confined::Away),
    }
}

/// The types asked for, by their canonical ids.
fn kinds(call: &Call<'_>) -> Result<Vec<String>> {
    let mut kinds = Vec::new();
    for name in values(call, "resourceType").filter(|name| !name.is_empty()) {
        let ty = call
            .view
            .find_by_path(name)
            .ok_or_else(|| Error::invalid("InvalidOption", "resourceType"))?;
        kinds.push(ty.def.id.clone());
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

fn values<'c>(call: &'c Call<'_>, parameter: &'c str) -> impl Iterator<Item = &'c str> {
    call.query
        .pairs()
        .filter(move |(name, _)| *name == parameter)
        .map(|(_, value)| value)
}
