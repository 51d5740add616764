//! Networks. All containers of a project are on one; those that Docker's clients make are names for it.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields, given_labels, is_plain_name, labels};
use super::check::check_name;
use super::keys::canonical;
use super::query::{Filters, Query};
use super::reader;
use super::record::nanos;
use super::refusal::{Outcome, Refusal};
use super::spec::ServiceSpec;
use super::things::hidden;
use crate::engine::Input;
use crate::model::{Resource, ResourceId};
use actix_web::http::StatusCode;

/// The root of networks that Docker's clients made.
const OWN: &str = "dockerNetwork";
const LABELS: &str = "dockerLabels";
/// Networks that there are without being made, by name: what they are for is the engine's own affair here.
const BUILT_IN: [(&str, &str); 1] = [(INGRESS, "overlay")];
const INGRESS: &str = "ingress";

/// Puts ids in the place of names, as Docker keeps them.
pub async fn resolve(caller: &Caller, spec: &mut ServiceSpec) -> Outcome<()> {
    if spec.networks.is_empty() && spec.task_template.networks.is_empty() {
        return Ok(());
    }
    let rows = caller.lasting(OWN).await?;
    for network in spec.networks.iter_mut().chain(&mut spec.task_template.networks) {
        let found = caller.pick(&rows, "network", &network.target, |row| row.name.clone());
        let missing = |_| {
            let words = format!("network {} not found", network.target);
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words)
        };
        network.target = caller.ids.of(found.map_err(missing)?.id);
    }
    Ok(())
}

/// `GET /networks`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("network", Deed::Read)?;
    let filters = query.filters(&["id", "name", "label", "driver", "scope", "type", "dangling"])?;
    check_filters(&filters)?;
    let used = match filters.of("dangling") {
        None => HashSet::new(),
        Some(_) => used(caller).await?,
    };
    let is_asked = |one: &Value, own: &std::collections::BTreeMap<String, String>| {
        let text = |name: &str| one[name].as_str().unwrap_or_default();
        filters.fits("id", |id| text("Id").starts_with(id))
            && filters.fits("name", |name| match text("Scope") {
                // Those of a swarm are found by their whole names.
                "swarm" => text("Name") == name,
                _ => text("Name").contains(name),
            })
            && filters.fits("driver", |driver| text("Driver") == driver)
            && filters.fits("scope", |scope| text("Scope") == scope)
            && filters.fits("type", |kind| (kind == "builtin") == (one["Ingress"] == true))
            && filters.fits("dangling", |on| {
                (text("Name") != INGRESS && !used.contains(text("Id"))) == matches!(on, "true" | "1")
            })
            && filters.labels("label", own)
    };
    let mut out: Vec<Value> = BUILT_IN
        .iter()
        .map(|network| built_in(caller, network))
        .filter(|one| is_asked(one, &Default::default()))
        .collect();
    for row in caller.lasting(OWN).await? {
        let one = shown(caller, &row)?;
        if is_asked(&one, &labels(&fields(&row)?, LABELS)?) {
            out.push(one);
        }
    }
    Ok(Value::Array(out))
}

/// `GET /networks/{id}`.
pub async fn inspect(caller: &Caller, id: &str, query: &Query) -> Outcome<Value> {
    caller.may("network", Deed::Read)?;
    let is_it = |name: &str| name == id || ingress(caller) == id;
    let found = match BUILT_IN.iter().find(|(name, _)| is_it(name)) {
        Some(network) => built_in(caller, network),
        None => {
            let rows = caller.lasting(OWN).await?;
            shown(caller, pick(caller, &rows, id)?)?
        }
    };
    match query.first("scope").filter(|scope| !scope.is_empty()) {
        Some(scope) if found.get("Scope").is_none_or(|own| own != scope) => Err(Refusal::missing("network", id)),
        _ => Ok(found),
    }
}

fn check_filters(filters: &Filters) -> Outcome<()> {
    let strange = |name: &str, known: &[&str]| {
        let values = filters.of(name).unwrap_or_default();
        values.iter().find(|value| !known.contains(&value.as_str())).cloned()
    };
    if let Some(other) = strange("type", &["builtin", "custom"]) {
        let words = format!("invalid filter: 'type'='{other}'");
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words));
    }
    match strange("dangling", &["true", "1", "false", "0"]) {
        None => Ok(()),
        Some(_) => Err(Refusal::bad(
            "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")",
        )),
    }
}

/// The ids of networks that services name.
async fn used(caller: &Caller) -> Outcome<HashSet<String>> {
    let mut used = HashSet::new();
    for service in super::services::all(caller).await? {
        let spec = service.spec;
        let named = spec.networks.into_iter().chain(spec.task_template.networks);
        used.extend(named.map(|network| network.target));
    }
    Ok(used)
}

fn pick<'r>(caller: &Caller, rows: &'r [Resource], id: &str) -> Outcome<&'r Resource> {
    caller.pick(rows, "network", id, |row| row.name.clone())
}

/// `POST /networks/{id}/connect`: a container of the project is on its network, whatever that is called.
pub async fn connect(caller: &Caller, id: &str, body: Value) -> Outcome<()> {
    caller.may("network", Deed::Read)?;
    inspect(caller, id, &Query::parse("")).await?;
    let body = canonical(body);
    let wanted = body.get("Container").and_then(Value::as_str).unwrap_or_default();
    let settings = body.get("EndpointConfig").and_then(Value::as_object);
    let said = |value: &Value| {
        !matches!(value, Value::Null | Value::Bool(false)) && *value != json!("") && *value != json!({})
    };
    if let Some((field, _)) = settings.into_iter().flatten().find(|(_, value)| said(value)) {
        return Err(Refusal::not_built(format!(
            "EndpointConfig.{field}: names and addresses of containers are the project network's"
        )));
    }
    let row = super::containers::find(caller, wanted).await?;
    match mode_of(&row)?.as_str() {
        MANAGED => Ok(()),
        "none" => Err(Refusal::bad(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        )),
        "host" | "container" => Err(Refusal::bad(
            "container sharing network namespace with another container or host cannot be connected to any other network",
        )),
        other => Err(Refusal::not_built(format!(
            "Container: {} is on the engine's network {other} alone",
            row.name
        ))),
    }
}

/// Of a container that is on the network of its project.
const MANAGED: &str = "managed";

/// How a container is on networks: by that of its project, or otherwise.
fn mode_of(row: &Resource) -> Outcome<String> {
    Ok(fields(row)?.text("networkMode").unwrap_or_else(|| MANAGED.to_owned()))
}

/// `POST /networks/{id}/disconnect`: why a container stays on the network of its project, whatever that is called.
pub async fn disconnect(caller: &Caller, id: &str, body: Value) -> Outcome<Refusal> {
    caller.may("network", Deed::Read)?;
    let network = inspect(caller, id, &Query::parse("")).await?;
    let body = canonical(body);
    reader::check_types(
        &body,
        "NetworkDisconnect",
        &[("Container", "string"), ("Force", "bool")],
    )?;
    let wanted = body.get("Container").and_then(Value::as_str).unwrap_or_default();
    let row = super::containers::find(caller, wanted).await?;
    let network = network.get("Name").and_then(Value::as_str).unwrap_or(id);
    let container = fields(&row)?.text("externalId").unwrap_or_default();
    Ok(match mode_of(&row)?.as_str() {
        MANAGED => Refusal::new(
            StatusCode::FORBIDDEN,
            format!(
                "container {container} cannot be disconnected from network {network}: it is the network of its project"
            ),
        ),
        // As Docker has it.
        _ => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("container {container} is not connected to network {network}"),
        ),
    })
}

/// `POST /networks/create`.
pub async fn create(caller: &mut Caller, body: Value) -> Outcome<Value> {
    caller.may("service", Deed::Create)?;
    let body = canonical(body);
    let types = [
        ("Name", "string"),
        ("Labels", "map[string]string"),
        ("Driver", "string"),
        ("Options", "map[string]string"),
        ("Internal", "bool"),
        ("Attachable", "bool"),
    ];
    reader::check_types(&body, "NetworkCreateRequest", &types)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = text("Name");
    if name.is_empty() {
        let words = "invalid name: ";
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words));
    }
    let labels = given_labels(&body)?;
    match text("Driver") {
        "" | "overlay" => check_name(name)?,
        "bridge" if is_plain_name(name) => {}
        "bridge" => return Err(Refusal::bad(format!("invalid network name {name:?}"))),
        other => {
            let words = format!("plugin {other:?} not found");
            return Err(Refusal::new(StatusCode::NOT_FOUND, words));
        }
    }
    check_apart(&body)?;
    let rows = caller.lasting(OWN).await?;
    if BUILT_IN.iter().any(|(own, _)| *own == name) || rows.iter().any(|row| row.name == name) {
        let words = format!("network with name {name} already exists");
        return Err(Refusal::new(StatusCode::CONFLICT, words));
    }
    if rows.iter().any(|row| row.name.eq_ignore_ascii_case(name)) {
        let words = "rpc error: code = Unknown desc = name conflicts with an existing object";
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words));
    }
    let input = Input::from_iter([
        ("name".to_owned(), json!(name)),
        (
            "driver".to_owned(),
            json!(if text("Driver").is_empty() {
                "overlay"
            } else {
                text("Driver")
            }),
        ),
        ("attachable".to_owned(), json!(is_on(&body, "Attachable"))),
        ("options".to_owned(), body.get("Options").cloned().unwrap_or(json!({}))),
        (LABELS.to_owned(), labels),
    ]);
    let def = hidden(caller, OWN)?;
    caller.note(&def, None, "create", &input);
    let row = caller.engine.create_row(&caller.scope, OWN, input).await?;
    Ok(json!({"Id": caller.ids.of(row.id), "Warning": ""}))
}

fn is_on(body: &Value, name: &str) -> bool {
    body.get(name) == Some(&Value::Bool(true))
}

/// Refuses what would set one network apart from others.
fn check_apart(body: &Value) -> Outcome<()> {
    // A project has one network: what would set one apart from the others would not be so.
    for field in ["Internal", "Ingress", "EnableIPv6", "ConfigOnly"] {
        if is_on(body, field) {
            return Err(Refusal::not_built(format!(
                "{field}: all containers of a project share one network"
            )));
        }
    }
    let takes_over = body
        .pointer("/ConfigFrom/Network")
        .and_then(Value::as_str)
        .is_some_and(|from| !from.is_empty());
    let ipam = body.pointer("/IPAM/Driver").and_then(Value::as_str).unwrap_or_default();
    if takes_over || !matches!(ipam, "" | "default") {
        return Err(Refusal::not_built(
            "ConfigFrom, IPAM.Driver: addresses are the project network's",
        ));
    }
    let has_subnets = body
        .pointer("/IPAM/Config")
        .and_then(Value::as_array)
        .is_some_and(|all| !all.is_empty());
    if has_subnets {
        return Err(Refusal::not_built("IPAM.Config: addresses are the project network's"));
    }
    Ok(())
}

/// `DELETE /networks/{id}`.
pub async fn remove(caller: &mut Caller, id: &str) -> Outcome<()> {
    caller.may("service", Deed::Remove)?;
    let rows = caller.lasting(OWN).await?;
    let row = pick(caller, &rows, id)?.clone();
    let own = caller.ids.of(row.id);
    for service in super::services::all(caller).await? {
        let spec = &service.spec;
        if spec
            .networks
            .iter()
            .chain(&spec.task_template.networks)
            .any(|network| network.target == own)
        {
            let service = caller.ids.of(service.row.id);
            let words =
                format!("rpc error: code = FailedPrecondition desc = network {own} is in use by service {service}");
            return Err(Refusal::bad(words));
        }
    }
    let def = hidden(caller, OWN)?;
    caller.note(&def, Some(&row), "delete", &Input::new());
    caller.engine.remove_row(&caller.scope, &row).await?;
    Ok(())
}

/// The id of the network that has no row.
fn ingress(caller: &Caller) -> String {
    caller.ids.of(ResourceId(0))
}

fn built_in(caller: &Caller, (name, driver): &(&str, &str)) -> Value {
    Value::Object(network(&ingress(caller), name, driver, "0001-01-01T00:00:00Z", true))
}

fn network(id: &str, name: &str, driver: &str, created: &str, is_ingress: bool) -> Map<String, Value> {
    let scope = if driver == "bridge" { "local" } else { "swarm" };
    let whole = json!({
        "Name": name, "Id": id, "Created": created, "Scope": scope, "Driver": driver, "EnableIPv6": false,
        "IPAM": {"Driver": "default", "Options": null, "Config": []}, "Internal": false, "Attachable": false,
        "Ingress": is_ingress, "ConfigFrom": {"Network": ""}, "ConfigOnly": false, "Containers": null, "Options": {}, "Labels": null,
    });
    whole.as_object().cloned().unwrap_or_default()
}

fn shown(caller: &Caller, row: &Resource) -> Outcome<Value> {
    let own = fields(row)?;
    let driver = own.text("driver").unwrap_or_default();
    let mut out = network(&caller.ids.of(row.id), &row.name, &driver, &nanos(row.created), false);
    out.insert(
        "Attachable".into(),
        json!(own.read::<bool>("attachable")?.unwrap_or(false)),
    );
    out.insert("Options".into(), json!(labels(&own, "options")?));
    let labels = labels(&own, LABELS)?;
    if !labels.is_empty() {
        out.insert("Labels".into(), json!(labels));
    }
    Ok(Value::Object(out))
}
