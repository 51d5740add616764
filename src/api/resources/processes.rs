//! Processes: what the engine is doing, for whoever wants to know why something is not done yet. Read-only.
//!
//! They are no resources (they live in a table of their own), so their lists and rows are written here.

use std::sync::Arc;

use super::collection::{self, Head, Paging};
use super::handler::action_not_built;
use crate::api::wire::call::{Call, Reply, block};
use crate::api::wire::query;
use crate::api::wire::request::Query;
use crate::api::wire::route::PathId;
use crate::engine::ProcessInstance;
use crate::http::json::{push_comma, push_escaped, push_key, push_option, push_str};
use crate::model::{Error, Result, Timestamp};
use crate::schema::TypeView;

/// `/processinstances`.
pub async fn list(call: &Call<'_>, ty: &Arc<TypeView>) -> Result<Reply> {
    let parameters = query::list(call.view.version, ty, call.query);
    let (engine, scope, ty) = (call.engine.clone(), call.scope.clone(), ty.clone());
    let (url, root, query_text, actions_key) = (
        call.url(),
        call.base.root.clone(),
        call.query.raw().to_owned(),
        call.actions_key,
    );
    block(move || {
        let page = engine.processes(&scope, &parameters)?;
        let mut out = String::with_capacity(2048 + page.processes.len() * 640);
        collection::open(
            &mut out,
            &Head {
                resource_type: &ty.id,
                url: &url,
                create_types: None,
                root: &root,
                actions_key,
            },
        );
        for process in &page.processes {
            push_comma(&mut out);
            push(&mut out, &ty, &root, actions_key, process);
        }
        let query = Query::parse(&query_text);
        let next = page.next.as_deref();
        collection::close_page(
            &mut out,
            &url,
            &Paging {
                ty: &ty,
                query: &query,
                list: &parameters,
                next,
                filters: &parameters.filters,
            },
        );
        Ok(Reply::ok(out))
    })
    .await
}

/// `/processinstances/<id>`.
pub fn one(call: &Call<'_>, ty: &TypeView, id: &str) -> Result<Reply> {
    let wire = match PathId::parse(id) {
        Some(PathId::Row(wire)) if format!("1{}", wire.letters) == ty.def.prefix => wire,
        _ => return Err(Error::not_found()),
    };
    let process = call
        .engine
        .find_process(call.scope, wire.id.0)?
        .ok_or_else(Error::not_found)?;
    let mut out = String::with_capacity(640);
    push(&mut out, ty, &call.base.root, call.actions_key, &process);
    Ok(Reply::ok(out))
}

/// An action of one: schemas list some, and none is built.
pub fn act(call: &Call<'_>, ty: &TypeView, id: &str, name: &str) -> Result<Reply> {
    if !ty.actions.contains_key(name) {
        return Err(Error::invalid("InvalidAction", "action"));
    }
    one(call, ty, id)?;
    Err(action_not_built(ty, name))
}

fn push(out: &mut String, ty: &TypeView, root: &str, actions_key: &str, process: &ProcessInstance) {
    let id = format!("{}{}", ty.def.prefix, process.id);
    out.push_str(r#"{"id":"#);
    push_str(out, &id);
    out.push_str(r#","type":"processInstance","links":{"self":""#);
    push_escaped(out, root);
    out.push_str("/processinstances/");
    out.push_str(&id);
    out.push_str(r#""},"#);
    push_key(out, actions_key);
    out.push_str(r#"{},"baseType":"processInstance""#);
    // In order of name; what is not noted of a process is null.
    for name in ty.fields.keys().filter(|name| *name != "id") {
        match name.as_str() {
            "endTime" => push_date(out, name, process.end),
            "runAfter" => push_date(out, name, process.run_after),
            "startTime" => push_date(out, name, Some(process.start)),
            "executionCount" => push_text(out, name, &process.failures.to_string()),
            "accountId" => push_maybe(out, name, process.account.map(|a| format!("1a{a}")).as_deref()),
            "exitReason" => push_maybe(out, name, Some(process.exit_reason.as_str()).filter(|r| !r.is_empty())),
            "message" => push_maybe(out, name, Some(process.message.as_str()).filter(|m| !m.is_empty())),
            "processName" => push_maybe(out, name, Some(&process.process_name)),
            "resourceId" => push_maybe(out, name, Some(&process.resource_id)),
            "resourceType" => push_maybe(out, name, Some(&process.resource_type)),
            _ => push_text(out, name, "null"),
        }
    }
    out.push('}');
}

/// A member whose value is JSON already.
fn push_text(out: &mut String, name: &str, json: &str) {
    out.push(',');
    push_key(out, name);
    out.push_str(json);
}

fn push_maybe(out: &mut String, name: &str, text: Option<&str>) {
    out.push(',');
    push_key(out, name);
    push_option(out, text);
}

/// A date and its sibling in milliseconds, both cut to seconds as those of rows are.
fn push_date(out: &mut String, name: &str, at: Option<Timestamp>) {
    out.push(',');
    push_key(out, name);
    let at = at.map(Timestamp::floor_to_seconds);
    push_option(out, at.map(Timestamp::to_wire).as_deref());
    if let Some(at) = at {
        out.push(',');
        push_key(out, &format!("{name}TS"));
        out.push_str(&at.0.to_string());
    }
}
