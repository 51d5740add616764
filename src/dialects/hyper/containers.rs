//! Containers, as far as clients of services look at them.

use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields, object};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use crate::dialects::words::container_state;
use crate::model::{Resource, State, Timestamp};
use actix_web::http::StatusCode;

/// `GET /containers/json`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let filters = query.filters(&["id", "name", "label", "status"])?;
    let all = query.is_on("all");
    let mut out = Vec::new();
    for row in caller.lasting("instance").await? {
        let own = fields(&row)?;
        let (id, labels) = (own.text("externalId").unwrap_or_default(), own.texts("labels")?);
        let is_asked = (all || row.state == State::RUNNING)
            && !id.is_empty()
            && filters.fits("id", |wanted| id.starts_with(wanted))
            && filters.fits("name", |name| row.name.contains(name.trim_start_matches('/')))
            && filters.fits("status", |status| status == container_state(&row))
            && filters.labels(&labels);
        if is_asked {
            let address = own.text("primaryIpAddress").unwrap_or_default();
            let labels = if caller.shows("labels") {
                json!(labels)
            } else {
                json!({})
            };
            out.push(json!({
                "Id": id, "Names": [format!("/{}", row.name)], "Image": image(&own.text("imageUuid").unwrap_or_default()),
                "ImageID": "", "Command": "", "Created": row.created.0 / 1_000, "Ports": [], "Labels": labels,
                "State": container_state(&row), "Status": container_state(&row), "HostConfig": {"NetworkMode": "bridge"},
                "NetworkSettings": {"Networks": {"bridge": {"IPAddress": address}}},
            }));
        }
    }
    Ok(Value::Array(out))
}

fn image(uuid: &str) -> &str {
    uuid.trim_start_matches("docker:")
}

/// `GET /containers/{id}/json`.
pub async fn inspect(caller: &Caller, wanted: &str) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let row = find(caller, wanted).await?;
    let own = fields(&row)?;
    let unit = caller.engine.unit_of(&row);
    let environment = match caller.shows("environment") {
        true => object(&own, "environment")?,
        false => Map::new(),
    };
    let env = environment
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let env: Vec<String> = env.collect();
    let words = |field: &str| match caller.shows(field) {
        true => own.read::<Value>(field),
        false => Ok(None),
    };
    let at = |time: Option<Timestamp>| time.map_or("0001-01-01T00:00:00Z".to_owned(), Timestamp::to_wire_millis);
    let address = own.text("primaryIpAddress").unwrap_or_default();
    let labels = if caller.shows("labels") {
        own.texts("labels")?
    } else {
        Default::default()
    };
    Ok(json!({
        "Id": own.text("externalId").unwrap_or_default(), "Created": row.created.to_wire_millis(), "Path": "", "Args": [],
        "State": {
            "Status": container_state(&row), "Running": row.state == State::RUNNING, "Paused": false, "Restarting": false, "OOMKilled": false,
            "Dead": false, "Pid": 0, "ExitCode": unit.exit_code.unwrap_or(0), "Error": row.message, "StartedAt": at(unit.up_since),
            "FinishedAt": at(unit.exited_at),
        },
        "Image": "", "Name": format!("/{}", row.name), "RestartCount": 0, "Driver": "", "Mounts": [],
        "HostConfig": {"NetworkMode": "bridge"},
        "Config": {
            "Hostname": own.text("hostname").unwrap_or_default(), "Tty": own.read::<bool>("tty")?.unwrap_or(false), "Env": env,
            "Cmd": words("command")?, "Entrypoint": words("entryPoint")?, "Labels": labels,
            "Image": image(&own.text("imageUuid").unwrap_or_default()), "WorkingDir": own.text("workingDir").unwrap_or_default(),
        },
        "NetworkSettings": {"IPAddress": address, "Networks": {"bridge": {"IPAddress": address}}, "Ports": {}},
    }))
}

/// A container by how its engine's id begins, or by its name.
pub async fn find(caller: &Caller, wanted: &str) -> Outcome<Resource> {
    for row in caller.lasting("instance").await? {
        let id = fields(&row)?.text("externalId").unwrap_or_default();
        if row.name == wanted.trim_start_matches('/') || (wanted.len() > 2 && id.starts_with(wanted)) {
            return Ok(row);
        }
    }
    Err(Refusal::new(
        StatusCode::NOT_FOUND,
        format!("No such container: {wanted}"),
    ))
}
