//! Containers, as far as clients of services look at them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields, object};
use super::query::Query;
use super::record::{Service, nanos};
use super::refusal::{Outcome, Refusal};
use super::tasks;
use crate::dialects::words::container_state;
use crate::model::{Resource, ResourceId, State};

/// `GET /containers/json`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let filters = query.filters(&["id", "name", "label", "status"])?;
    let all = query.is_on("all");
    let services = super::services::all(caller).await?;
    let services: HashMap<ResourceId, Service> =
        services.into_iter().map(|service| (service.row.id, service)).collect();
    let mut out = Vec::new();
    for row in caller.containers().await? {
        let own = fields(&row)?;
        let labels = own.texts("labels")?;
        let id = own.text("externalId").unwrap_or_default();
        let is_running = row.state == State::RUNNING;
        let service = row.parent_id.and_then(|parent| services.get(&parent));
        // By the name that a swarm would give it, and by its own.
        let names = service
            .map(|service| tasks::container_name(caller, service, &row))
            .into_iter();
        let names: Vec<String> = names.chain([row.name.clone()]).map(|name| format!("/{name}")).collect();
        let is_asked = (all || is_running)
            && !id.is_empty()
            && filters.fits("id", |wanted| id.starts_with(wanted))
            && filters.fits("name", |wanted| names.iter().any(|name| name.contains(wanted)))
            && filters.fits("status", |status| status == container_state(&row))
            && filters.labels("label", &labels);
        if is_asked {
            let image = own.text("imageUuid").unwrap_or_default();
            out.push(json!({
                "Id": id, "Names": names, "Image": image.trim_start_matches("docker:"), "ImageID": "",
                "Command": "", "Created": row.created.0 / 1_000, "Ports": [], "Labels": labels, "State": container_state(&row),
                "Status": container_state(&row), "HostConfig": {"NetworkMode": "default"}, "NetworkSettings": {"Networks": {}}, "Mounts": [],
            }));
        }
    }
    Ok(Value::Array(out))
}

/// `GET /containers/{id}/json`.
pub async fn inspect(caller: &Caller, wanted: &str) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let row = find(caller, wanted).await?;
    let own = fields(&row)?;
    let unit = caller.engine.unit_of(&row);
    let image = own.text("imageUuid").unwrap_or_default();
    let environment = match caller.shows("environment") {
        true => object(&own, "environment")?,
        false => Map::new(),
    };
    let env: Vec<String> = environment
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let is_running = row.state == State::RUNNING;
    let at = |time: Option<crate::model::Timestamp>| time.map_or("0001-01-01T00:00:00Z".to_owned(), nanos);
    let address = own.text("primaryIpAddress").unwrap_or_default();
    let mut networks = Map::new();
    if !address.is_empty() {
        networks.insert("ingress".into(), json!({"IPAddress": address}));
    }
    Ok(json!({
        "Id": own.text("externalId").unwrap_or_default(), "Created": nanos(row.created), "Path": "", "Args": [],
        "State": {
            "Status": container_state(&row), "Running": is_running, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
            "Pid": 0, "ExitCode": unit.exit_code.unwrap_or(0), "Error": row.message, "StartedAt": at(unit.up_since),
            "FinishedAt": at(unit.exited_at),
        },
        "Image": "", "Name": format!("/{}", row.name), "RestartCount": 0, "Driver": "overlay2", "Platform": "linux",
        "Mounts": [], "HostConfig": {"NetworkMode": "default"},
        "Config": {
            "Hostname": own.text("hostname").unwrap_or_default(), "User": own.text("user").unwrap_or_default(),
            "Tty": own.read::<bool>("tty")?.unwrap_or(false), "Env": env, "Cmd": own.read::<Value>("command")?,
            "Image": image.trim_start_matches("docker:"), "Labels": own.texts("labels")?,
            "WorkingDir": own.text("workingDir").unwrap_or_default(), "Entrypoint": own.read::<Value>("entryPoint")?,
        },
        "NetworkSettings": {"IPAddress": address, "Networks": networks, "Ports": {}},
    }))
}

/// A container by how its engine's id begins, or by its name.
pub async fn find(caller: &Caller, wanted: &str) -> Outcome<Resource> {
    let missing = || {
        Refusal::new(
            actix_web::http::StatusCode::NOT_FOUND,
            format!("No such container: {wanted}"),
        )
    };
    for row in caller.containers().await? {
        let id = fields(&row)?.text("externalId").unwrap_or_default();
        if row.name == wanted.trim_start_matches('/') || (wanted.len() > 2 && id.starts_with(wanted)) {
            return Ok(row);
        }
    }
    Err(missing())
}
