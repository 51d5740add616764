//! Nodes: the hosts of the project. Each is what Docker calls a manager.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::caller::{Caller, Deed, fields, given_labels, hostname, labels};
use super::keys::canonical;
use super::query::Query;
use super::reader;
use super::record::nanos;
use super::refusal::{Outcome, Refusal};
use crate::engine::Input;
use crate::model::{Resource, State};
use crate::schema::validate::Purpose;

/// The field of a host that says that it was emptied, if it takes nothing.
const EVACUATED: &str = "evacuated";

/// `GET /nodes`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let filters = query.filters(&["id", "name", "label", "node.label", "role", "membership"])?;
    filters.check("role", &["manager", "worker"])?;
    filters.check("membership", &["accepted", "pending"])?;
    let mut out = Vec::new();
    let hosts = caller.lasting("host").await?;
    let leader = hosts.first().map(|host| host.id);
    for row in &hosts {
        let (engines, own): (BTreeMap<_, _>, BTreeMap<_, _>) = labels(&fields(row)?, "labels")?
            .into_iter()
            .partition(|(key, _)| is_engines(key));
        let is_asked = filters.fits("id", |id| caller.ids.of(row.id).starts_with(id))
            && filters.fits("name", |name| hostname(row).starts_with(name))
            && filters.fits("role", |role| role.eq_ignore_ascii_case("manager"))
            && filters.fits("membership", |membership| membership.eq_ignore_ascii_case("accepted"))
            && filters.labels("label", &engines)
            && filters.labels("node.label", &own);
        if is_asked {
            out.push(shown(caller, row, leader == Some(row.id))?);
        }
    }
    Ok(Value::Array(out))
}

/// `GET /nodes/{id}`.
pub async fn inspect(caller: &Caller, id: &str) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let hosts = caller.lasting("host").await?;
    let row = caller.pick(&hosts, "node", id, hostname)?;
    let is_leader = hosts.first().is_some_and(|first| first.id == row.id);
    shown(caller, row, is_leader)
}

/// `DELETE /nodes/{id}`: a host that is down goes, and with `force` any but the last one, with all that runs on it.
pub async fn remove(caller: &mut Caller, id: &str, query: &Query) -> Outcome<()> {
    let ty = caller.may("host", Deed::Remove)?;
    let hosts = caller.lasting("host").await?;
    let row = caller.pick(&hosts, "node", id, hostname)?.clone();
    let own = caller.ids.of(row.id);
    let refuse = |why: String| {
        let words = format!("rpc error: code = FailedPrecondition desc = node {own} {why}");
        Err(Refusal::bad(words))
    };
    // As a swarm keeps its last manager.
    if hosts.len() == 1 {
        let why =
            "is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal";
        return refuse(why.to_owned());
    }
    if is_there(&row)? && !query.truth("force")? {
        return refuse("is not down and can't be removed".to_owned());
    }
    caller.note(&ty.def, Some(&row), "delete", &Input::new());
    caller.engine.remove_host(&caller.scope, &row).await?;
    Ok(())
}

/// `POST /nodes/{id}/update`.
pub async fn update(caller: &mut Caller, id: &str, query: &Query, body: Value) -> Outcome<()> {
    let ty = caller.may("host", Deed::Update)?;
    let body = canonical(body);
    let types = [
        ("Role", "string"),
        ("Availability", "string"),
        ("Labels", "map[string]string"),
    ];
    reader::check_types(&body, "NodeSpec", &types)?;
    let version = query.version("node")?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let role = text("Role").to_ascii_lowercase();
    if !matches!(role.as_str(), "manager" | "worker") {
        return Err(Refusal::bad(format!("invalid Role: {:?}", text("Role"))));
    }
    let wanted = text("Availability").to_ascii_lowercase();
    if !matches!(wanted.as_str(), "active" | "pause" | "drain") {
        let words = format!("invalid Availability: {:?}", text("Availability"));
        return Err(Refusal::bad(words));
    }
    let hosts = caller.lasting("host").await?;
    let row = caller.pick(&hosts, "node", id, hostname)?.clone();
    if version != index(&row)? {
        return Err(Refusal::stale());
    }
    if role == "worker" {
        return Err(Refusal::not_built("Role: every node is a manager here"));
    }
    let mut new = Map::new();
    // What this server itself says of a host is not Docker's to take away.
    let kept = labels(&fields(&row)?, "labels")?
        .into_iter()
        .filter(|(key, _)| is_engines(key));
    new.extend(kept.map(|(key, value)| (key, json!(value))));
    new.extend(given_labels(&body)?.as_object().cloned().unwrap_or_default());
    let changed = caller
        .validated(&ty, json!({"labels": new}), Purpose::Update, Some(row.id))
        .await?;
    let was = availability(&row)?;
    let action = leads_to(was, &wanted).unwrap_or("update");
    if action != "update" {
        caller.may_act(&ty, action)?;
    }
    caller.note(&ty.def, Some(&row), action, &changed);
    let labels = changed.get("labels").cloned().unwrap_or_default();
    // Between two states labels cannot be written alone: that is asked again, as where somebody else was faster.
    let is_settled = matches!(
        row.state,
        State::ACTIVE | State::INACTIVE | State::UPDATING_ACTIVE | State::UPDATING_INACTIVE
    );
    if action == "update" && !is_settled {
        return Err(Refusal::stale());
    }
    let row = caller.engine.change_host(&caller.scope, &row, action, labels).await?;
    if action == "update" && was != wanted {
        let input = Input::from_iter([(EVACUATED.to_owned(), json!(false))]);
        caller.engine.write_row(&caller.scope, &row, input).await?;
    }
    Ok(())
}

/// The action by which a host comes to this availability. One that is drained takes nothing new, as one that is paused.
fn leads_to(was: &str, wanted: &str) -> Option<&'static str> {
    match (was, wanted) {
        (was, wanted) if was == wanted => None,
        (_, "active") => Some("activate"),
        (_, "drain") => Some("evacuate"),
        ("drain", _) => None,
        _ => Some("deactivate"),
    }
}

/// What a host says of its engine, as labels of its own.
fn is_engines(label: &str) -> bool {
    label.starts_with("io.rancher.") || label.starts_with("io.drover.")
}

/// What a host takes: all, nothing new, or nothing.
fn availability(row: &Resource) -> Outcome<&'static str> {
    Ok(match row.state {
        State::INACTIVE | State::DEACTIVATING if fields(row)?.read(EVACUATED)? == Some(true) => "drain",
        State::INACTIVE | State::DEACTIVATING => "pause",
        _ => "active",
    })
}

/// Whether its engine answers, as far as is known.
fn is_there(row: &Resource) -> Outcome<bool> {
    let agent = fields(row)?.text("agentState");
    Ok(matches!(agent.as_deref(), None | Some("" | "active"))
        && matches!(
            row.state,
            State::ACTIVE | State::INACTIVE | State::UPDATING_ACTIVE | State::UPDATING_INACTIVE
        ))
}

/// The number that an update has to name. Only what Docker's clients can change counts, its labels and whether it takes containers:
/// what they read is what the number is made of, so it does not change while the engine does what it was asked for.
fn index(row: &Resource) -> Outcome<u64> {
    let own: BTreeMap<_, _> = labels(&fields(row)?, "labels")?
        .into_iter()
        .filter(|(key, _)| !is_engines(key))
        .collect();
    let mut digest = Sha256::new();
    for (key, value) in &own {
        digest.update(format!("{}:{key}{}:{value}", key.len(), value.len()));
    }
    digest.update(availability(row)?);
    // As much as every client takes for a number.
    let digest = digest.finalize();
    let number = digest.iter().take(4).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Ok((number >> 1) + 1)
}

fn shown(caller: &Caller, row: &Resource, is_leader: bool) -> Outcome<Value> {
    let own = fields(row)?;
    let (engines, labels): (BTreeMap<_, _>, BTreeMap<_, _>) = labels(&own, "labels")?
        .into_iter()
        .partition(|(key, _)| is_engines(key));
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
    let is_there = is_there(row)?;
    let mut out = json!({
        "ID": caller.ids.of(row.id),
        "Version": {"Index": index(row)?},
        "CreatedAt": nanos(row.created),
        "UpdatedAt": nanos(row.created),
        "Spec": {"Labels": labels, "Role": "manager", "Availability": availability(row)?},
        "Description": {
            "Hostname": hostname(row),
            "Platform": {"Architecture": architecture, "OS": "linux"},
            "Resources": {
                "NanoCPUs": number("milliCpu").saturating_mul(1_000_000),
                "MemoryBytes": number("memory"),
            },
            "Engine": {"EngineVersion": engine, "Labels": engines},
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
