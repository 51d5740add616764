//! What the server says of itself in lists: its worker, what there is to do, and which servers share the database. Read-only, no
//! rows, and as the original has them without order, filters and pages.

use serde_json::{Map, Value, json};

use super::collection;
use crate::api::wire::call::{Call, Reply, block};
use crate::engine::Engine;
use crate::http::json::{push_comma, push_escaped, push_key, push_option, push_str};
use crate::model::{Error, Member, Result};
use crate::schema::TypeView;

/// One of a list.
struct Figures {
    /// Quirk: only members of a cluster have one.
    id: Option<String>,
    fields: Map<String, Value>,
}

/// The types that are lists of figures.
pub fn are(ty: &TypeView) -> bool {
    ["clusterMembership", "processPool", "processSummary"].contains(&ty.def.id.as_str())
}

/// `/processsummary`, `/processpools`, `/clustermemberships`.
pub async fn list(call: &Call<'_>, ty: &TypeView) -> Result<Reply> {
    let all = read(call, ty).await?;
    let mut out = String::with_capacity(1024 + all.len() * 256);
    collection::open_plain(&mut out, call, &ty.id);
    for figures in &all {
        push_comma(&mut out);
        push(&mut out, call, ty, figures);
    }
    match ty.filters.is_empty() {
        true => collection::close(&mut out, None),
        false => collection::close_whole(&mut out, &call.url(), ty, call.query, &[]),
    }
    Ok(Reply::ok(out))
}

/// One of them, by its name.
pub async fn one(call: &Call<'_>, ty: &TypeView, id: &str) -> Result<Reply> {
    let all = read(call, ty).await?;
    let found = all.iter().find(|figures| figures.id.as_deref() == Some(id));
    let found = found.ok_or_else(Error::not_found)?;
    let mut out = String::with_capacity(512);
    push(&mut out, call, ty, found);
    Ok(Reply::ok(out))
}

async fn read(call: &Call<'_>, ty: &TypeView) -> Result<Vec<Figures>> {
    let engine = call.engine.clone();
    match ty.def.id.as_str() {
        "processSummary" => block(move || summaries(&engine)).await,
        "processPool" => Ok(vec![pool(&engine)]),
        _ => Ok(members(&engine, call, &ty.prefix)),
    }
}

fn summaries(engine: &Engine) -> Result<Vec<Figures>> {
    let counts = engine.process_counts()?.into_iter();
    Ok(counts
        .map(|count| Figures {
            id: None,
            fields: map(json!({
                "processName": count.name, "running": count.running, "ready": count.ready, "delay": count.delayed,
            })),
        })
        .collect())
}

/// There is one pool: whatever it is about, a process is run by the worker.
fn pool(engine: &Engine) -> Figures {
    let worker = engine.worker_figures();
    Figures {
        id: None,
        fields: map(json!({
            "name": "worker", "activeTasks": worker.active, "poolSize": worker.active, "minPoolSize": 0,
            "maxPoolSize": worker.most, "queueSize": worker.waiting, "completedTasks": worker.ended,
            // Its queue has no end, and turns nothing away.
            "queueRemainingCapacity": i32::MAX, "rejectedTasks": 0,
        })),
    }
}

/// The servers that have this database: this one alone, by the address that it was asked at, or all, by those that they advertise.
fn members(engine: &Engine, call: &Call<'_>, prefix: &str) -> Vec<Figures> {
    let server = engine.server_figures();
    if server.members.is_empty() {
        let alone = Member {
            id: 1,
            uuid: server.uuid,
            address: call.base.root.clone(),
            version: String::new(),
            heartbeat: server.heartbeat,
        };
        return vec![member(prefix, &alone, false)];
    }
    server.members.iter().map(|one| member(prefix, one, true)).collect()
}

fn member(prefix: &str, member: &Member, is_clustered: bool) -> Figures {
    let address = member.address.split("://").nth(1).unwrap_or_default();
    let host = address.split('/').next().unwrap_or_default();
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().unwrap_or(80)),
        _ => (host, if member.address.starts_with("https") { 443 } else { 80 }),
    };
    let config = json!({"advertiseAddress": name, "httpPort": port, "clustered": is_clustered});
    Figures {
        id: Some(format!("{prefix}{}", member.id)),
        fields: map(json!({
            "name": name, "uuid": member.uuid, "clustered": is_clustered, "config": config.to_string(),
            "heartbeat": member.heartbeat.0,
        })),
    }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn push(out: &mut String, call: &Call<'_>, ty: &TypeView, figures: &Figures) {
    out.push_str(r#"{"id":"#);
    push_option(out, figures.id.as_deref());
    out.push_str(r#","type":"#);
    push_str(out, &ty.id);
    out.push_str(r#","links":{"#);
    if let Some(id) = &figures.id {
        out.push_str(r#""self":""#);
        push_escaped(out, &call.base.root);
        out.push('/');
        out.push_str(&ty.plural.to_ascii_lowercase());
        out.push('/');
        push_escaped(out, id);
        out.push('"');
    }
    out.push_str("},");
    push_key(out, call.actions_key);
    out.push_str(r#"{},"baseType":"#);
    push_str(out, &ty.id);
    for name in ty.fields.keys().filter(|name| *name != "id") {
        out.push(',');
        push_key(out, name);
        out.push_str(&figures.fields.get(name).unwrap_or(&Value::Null).to_string());
    }
    out.push('}');
}
