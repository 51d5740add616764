//! Nodes: the hosts of the project. Each is what Docker calls a manager.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields, hostname, labels};
use super::keys::canonical;
use super::query::Query;
use super::record::nanos;
use super::refusal::{Outcome, Refusal};
use super::services::validated;
use crate::engine::Input;
use crate::model::{Resource, State};
use crate::schema::validate::Purpose;

/// `GET /nodes`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let filters = query.filters(&["id", "name", "label", "node.label", "role", "membership"])?;
    let mut out = Vec::new();
    let hosts = caller.lasting("host").await?;
    let leader = hosts.first().map(|host| host.id);
    for row in &hosts {
        let own = labels(&fields(row)?, "labels")?;
        let is_asked = filters.fits("id", |id| caller.ids.of(row.id).starts_with(id))
            && filters.fits("name", |name| hostname(row).starts_with(name))
            && filters.fits("role", |role| role == "manager")
            && filters.fits("membership", |membership| membership == "accepted")
            && filters.labels("label", &BTreeMap::new())
            && filters.labels("node.label", &own);
        if is_asked {
            out.push(shown(caller, row, leader == Some(row.id))?);
        }
    }
    Ok(Value::Array(out))
}

/// `GET /nodes/{id}`; `self` is the first.
pub async fn inspect(caller: &Caller, id: &str) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let hosts = caller.lasting("host").await?;
    let row = pick(caller, &hosts, id)?;
    let is_leader = hosts.first().is_some_and(|first| first.id == row.id);
    shown(caller, row, is_leader)
}

fn pick<'r>(caller: &Caller, hosts: &'r [Resource], id: &str) -> Outcome<&'r Resource> {
    match (id, hosts.first()) {
        ("self", Some(first)) => Ok(first),
        _ => caller.pick(hosts, "node", id, hostname),
    }
}

/// `POST /nodes/{id}/update`.
pub async fn update(caller: &mut Caller, id: &str, query: &Query, body: Value) -> Outcome<()> {
    let ty = caller.may("host", Deed::Update)?;
    let version = query.version("node")?;
    let hosts = caller.lasting("host").await?;
    let row = pick(caller, &hosts, id)?.clone();
    if version != index(&row) {
        return Err(Refusal::stale());
    }
    let body = canonical(body);
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !matches!(text("Role").as_str(), "manager" | "") {
        return Err(Refusal::not_built("Role: every node is a manager here"));
    }
    let wanted = match text("Availability").as_str() {
        "active" | "" => "activate",
        "pause" => "deactivate",
        "drain" => "evacuate",
        other => return Err(Refusal::bad(format!("invalid Availability: {other:?}"))),
    };
    let own = fields(&row)?;
    let mut new = Map::new();
    // What this server itself says of a host is not Docker's to take away.
    let kept = labels(&own, "labels")?
        .into_iter()
        .filter(|(key, _)| key.starts_with("io."));
    new.extend(kept.map(|(key, value)| (key, json!(value))));
    new.extend(
        body.get("Labels")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    );
    let changed = validated(caller, &ty, json!({"labels": new}), Purpose::Update, Some(row.id)).await?;
    caller.note(&ty.def, Some(&row), "update", &changed);
    let row = caller.engine.update(&caller.scope, &ty, row.id, changed).await?;
    if wanted == availability(&row) {
        return Ok(());
    }
    // A host that is drained is empty and takes nothing: what is on it leaves once it is not active.
    let action = match (wanted, row.state) {
        ("activate", State::ACTIVE) | ("deactivate", State::INACTIVE) => return Ok(()),
        (action, _) => action,
    };
    caller.may_act(&ty, action)?;
    caller.note(&ty.def, Some(&row), action, &Input::new());
    let acted = caller.engine.act(&caller.scope, &ty, row.id, action, Input::new());
    acted.await?;
    Ok(())
}

/// The action that leads to how a host is.
fn availability(row: &Resource) -> &'static str {
    match row.state {
        State::INACTIVE | State::DEACTIVATING => "deactivate",
        _ => "activate",
    }
}

/// Only what Docker's clients can change counts: its labels, and whether it takes containers.
fn index(row: &Resource) -> u64 {
    row.version.unsigned_abs()
}

fn shown(caller: &Caller, row: &Resource, is_leader: bool) -> Outcome<Value> {
    let own = fields(row)?;
    let labels = labels(&own, "labels")?;
    let address = own.text("agentIpAddress").unwrap_or_default();
    let number = |name: &str| own.read::<i64>(name).ok().flatten().unwrap_or(0);
    let info: Value = own.read("info")?.unwrap_or_default();
    let engine = info
        .pointer("/osInfo/dockerVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let engine = engine
        .trim_start_matches("Docker version ")
        .split(',')
        .next()
        .unwrap_or_default()
        .to_owned();
    let architecture = info
        .pointer("/osInfo/architecture")
        .and_then(Value::as_str)
        .unwrap_or("x86_64");
    let availability = match row.state {
        State::INACTIVE | State::DEACTIVATING => "pause",
        _ => "active",
    };
    let is_there = matches!(own.text("agentState").as_deref(), None | Some("" | "active"))
        && matches!(
            row.state,
            State::ACTIVE | State::INACTIVE | State::UPDATING_ACTIVE | State::UPDATING_INACTIVE
        );
    let mut out = json!({
        "ID": caller.ids.of(row.id),
        "Version": {"Index": index(row)},
        "CreatedAt": nanos(row.created),
        "UpdatedAt": nanos(row.created),
        "Spec": {"Labels": labels, "Role": "manager", "Availability": availability},
        "Description": {
            "Hostname": hostname(row),
            "Platform": {"Architecture": architecture, "OS": "linux"},
            "Resources": {
                "NanoCPUs": number("milliCpu").saturating_mul(1_000_000),
                "MemoryBytes": number("memory"),
            },
            "Engine": {"EngineVersion": engine},
            "TLSInfo": {},
        },
        "Status": {"State": if is_there { "ready" } else { "down" }, "Addr": address},
    });
    if let Some(out) = out.as_object_mut() {
        let mut status = json!({"Reachability": if is_there { "reachable" } else { "unreachable" }, "Addr": format!("{address}:2377")});
        if let Some(status) = status.as_object_mut().filter(|_| is_leader) {
            status.insert("Leader".into(), json!(true));
        }
        out.insert("ManagerStatus".into(), status);
    }
    Ok(out)
}
