//! Processes: what the engine is doing, for whoever wants to know why something is not done yet. Read-only.
//!
//! They are no resources (they live in a table of their own), so their lists and rows are written here.

use std::sync::Arc;

use actix_web::http::StatusCode;

use super::collection::{self, Head, Paging};
use super::handler::action_not_built;
use super::reply;
use crate::api::wire::call::{Call, Reply, block};
use crate::api::wire::query;
use crate::api::wire::request::Query;
use crate::api::wire::route::PathId;
use crate::engine::{ProcessDefinition, ProcessInstance, StateTransition};
use crate::http::json::{push_comma, push_escaped, push_key, push_lower, push_option, push_str};
use crate::model::{Error, Result, Timestamp, WireId};
use crate::schema::TypeView;

/// The link to the single runs of a process, which is the plural of their type as well.
const RUNS: &str = "processExecutions";

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
                preset: None,
            },
        );
        Ok(Reply::ok(out))
    })
    .await
}

fn find(call: &Call<'_>, ty: &TypeView, id: &str) -> Result<ProcessInstance> {
    let wire = match PathId::parse(id) {
        Some(PathId::Row(wire)) if format!("1{}", wire.letters) == ty.def.prefix => wire,
        _ => return Err(Error::not_found()),
    };
    call.engine
        .find_process(call.scope, wire.id.0)?
        .ok_or_else(Error::not_found)
}

/// `/processinstances/<id>/account`, and `…/processexecutions`.
pub fn link(call: &Call<'_>, ty: &TypeView, id: &str, link: &str) -> Result<Reply> {
    let process = find(call, ty, id)?;
    if ty.links.iter().any(|shown| shown.name == RUNS) && link.eq_ignore_ascii_case(RUNS) {
        return runs(call, &format!("{}{}", ty.def.prefix, process.id));
    }
    let account = process.account.filter(|_| link.eq_ignore_ascii_case("account"));
    let account = account.and_then(|wire| WireId::parse(&wire).map(|wire| wire.id));
    let row = account
        .map(|id| call.engine.find(call.scope, id))
        .transpose()?
        .flatten();
    reply::row(call, StatusCode::OK, &*row.ok_or_else(Error::not_found)?)
}

/// The single runs of a process: an empty list, as they are not kept. Rancher's interface follows the link all the same.
fn runs(call: &Call<'_>, process: &str) -> Result<Reply> {
    let ty = call.find_type(RUNS)?;
    let list = query::list(call.view.version, ty, call.query);
    let mut out = String::with_capacity(1024);
    collection::open_plain(&mut out, call, &ty.id);
    let paging = Paging {
        ty,
        query: call.query,
        list: &list,
        next: None,
        filters: &list.filters,
        preset: Some(("processInstanceId", process)),
    };
    collection::close_page(&mut out, &call.url(), &paging);
    Ok(Reply::ok(out))
}

/// `/processinstances/<id>`.
pub fn one(call: &Call<'_>, ty: &TypeView, id: &str) -> Result<Reply> {
    let process = find(call, ty, id)?;
    let mut out = String::with_capacity(640);
    push(&mut out, ty, &call.base.root, call.actions_key, &process);
    Ok(Reply::ok(out))
}

/// An action of one. There is `replay`.
pub async fn act(call: &Call<'_>, ty: &TypeView, id: &str, name: &str) -> Result<Reply> {
    if !ty.actions.contains_key(name) {
        return Err(Error::invalid("InvalidAction", "action"));
    }
    let process = find(call, ty, id)?;
    if name != "replay" {
        return Err(action_not_built(ty, name));
    }
    call.engine.replay_process(call.scope, process.id).await?;
    one(call, ty, id)
}

/// `/processdefinitions`: all at once, whatever the limit, as in the original.
pub fn definitions(call: &Call<'_>, ty: &TypeView) -> Reply {
    let root = call.base.root.as_str();
    let all = call.engine.process_definitions();
    let mut out = String::with_capacity(1024 + all.len() * 900);
    collection::open_plain(&mut out, call, &ty.id);
    for definition in &all {
        push_comma(&mut out);
        push_definition(&mut out, ty, root, call.actions_key, definition);
    }
    collection::close(&mut out, None);
    Reply::ok(out)
}

/// `/processdefinitions/<name>`, with the prefix of ids before it or without.
pub fn definition(call: &Call<'_>, ty: &TypeView, id: &str) -> Result<Reply> {
    let prefix = format!("{}!", ty.def.prefix);
    let name = id.strip_prefix(&prefix).unwrap_or(id);
    let all = call.engine.process_definitions();
    let definition = all.iter().find(|definition| definition.name == name);
    let definition = definition.ok_or_else(Error::not_found)?;
    let mut out = String::with_capacity(1024);
    push_definition(&mut out, ty, &call.base.root, call.actions_key, definition);
    Ok(Reply::ok(out))
}

fn push_definition(out: &mut String, ty: &TypeView, root: &str, actions_key: &str, definition: &ProcessDefinition) {
    let id = format!("{}!{}", ty.def.prefix, definition.name);
    out.push_str(r#"{"id":"#);
    push_str(out, &id);
    out.push_str(r#","type":"processDefinition","links":{"self":""#);
    push_escaped(out, root);
    out.push_str("/processdefinitions/");
    out.push_str(&id);
    out.push_str("\"},");
    push_key(out, actions_key);
    out.push_str(r#"{},"baseType":"processDefinition""#);
    for name in ty.fields.keys().filter(|name| *name != "id") {
        match name.as_str() {
            "extensionBased" => push_text(out, name, "false"),
            "name" => push_maybe(out, name, Some(&definition.name)),
            "resourceType" => push_maybe(out, name, Some(&definition.resource_type)),
            "preProcessListeners" => push_listeners(out, name, &definition.name, "pre.listeners"),
            "processHandlers" => push_listeners(out, name, &definition.name, "handlers"),
            "postProcessListeners" => push_listeners(out, name, &definition.name, "post.listeners"),
            "stateTransitions" => {
                out.push(',');
                push_key(out, name);
                out.push('[');
                for step in &definition.transitions {
                    push_comma(out);
                    push_step(out, step);
                }
                out.push(']');
            }
            _ => push_text(out, name, "null"),
        }
    }
    out.push('}');
}

/// Where the original names its classes: nothing is plugged in here.
fn push_listeners(out: &mut String, field: &str, process: &str, which: &str) {
    out.push(',');
    push_key(out, field);
    out.push_str(r#"{"name":"#);
    push_str(out, &format!("process.{process}.{which}"));
    out.push_str(r#","excludeSetting":null,"implementations":[],"includeSetting":null,"listSetting":null}"#);
}

fn push_step(out: &mut String, step: &StateTransition) {
    out.push_str(r#"{"fromState":"#);
    push_str(out, step.from.as_str());
    out.push_str(r#","toState":"#);
    push_str(out, step.to.as_str());
    out.push_str(r#","field":"state","type":"#);
    out.push_str(if step.is_done {
        r#""DONE"}"#
    } else {
        r#""TRANSITIONING"}"#
    });
}

fn push(out: &mut String, ty: &TypeView, root: &str, actions_key: &str, process: &ProcessInstance) {
    let id = format!("{}{}", ty.def.prefix, process.id);
    out.push_str(r#"{"id":"#);
    push_str(out, &id);
    out.push_str(r#","type":"processInstance","links":{"self":""#);
    let push_own = |out: &mut String| {
        push_escaped(out, root);
        out.push_str("/processinstances/");
        out.push_str(&id);
    };
    push_own(out);
    out.push('"');
    for link in &ty.links {
        out.push(',');
        push_key(out, &link.name);
        out.push('"');
        push_own(out);
        out.push('/');
        push_lower(out, &link.name);
        out.push('"');
    }
    out.push_str("},");
    push_key(out, actions_key);
    out.push('{');
    if ty.actions.contains_key("replay") {
        push_key(out, "replay");
        out.push('"');
        push_own(out);
        out.push_str("/?action=replay\"");
    }
    out.push_str(r#"},"baseType":"processInstance""#);
    let is_open = process.end.is_none();
    // In order of name; what is not noted of a process is null.
    for name in ty.fields.keys().filter(|name| *name != "id") {
        match name.as_str() {
            "endTime" => push_date(out, name, process.end),
            "runAfter" => push_date(out, name, Some(process.run_after)),
            "startTime" => push_date(out, name, Some(process.start)),
            "executionCount" => push_text(out, name, &process.executions.to_string()),
            "accountId" => push_maybe(out, name, process.account.as_deref()),
            "exitReason" => push_maybe(out, name, Some(process.exit_reason.as_str()).filter(|r| !r.is_empty())),
            "message" => push_maybe(out, name, Some(process.message.as_str()).filter(|m| !m.is_empty())),
            "processName" => push_maybe(out, name, Some(&process.process_name)),
            "resourceId" => push_maybe(out, name, Some(&process.resource_id)),
            "resourceType" => push_maybe(out, name, Some(&process.resource_type)),
            "phase" => push_maybe(out, name, Some(if is_open { "STARTED" } else { "DONE" })),
            "result" => {
                let is_good = matches!(process.exit_reason.as_str(), "DONE" | "CHAIN");
                push_maybe(out, name, is_good.then_some("SUCCESS"));
            }
            "priority" => push_text(out, name, "0"),
            "startProcessServerId" => push_maybe(out, name, Some(&process.server)),
            "runningProcessServerId" => push_maybe(out, name, Some(process.server.as_str()).filter(|_| is_open)),
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
