//! Deployments of services in BRIDGEPORT's sense, as they are made, changed and removed: a template on a server, under a name, with
//! variables of its own. What runs of it is a service of the engine's own, of one container, on that host; it is made when it is first
//! deployed.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller};
use super::fields::text;
use super::native;
use super::placed::{KIND, LETTERS, Placed, RUN, all, find};
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use super::servers;
use super::services::{self, Template, server_of};
use super::things::{named, taken};
use crate::engine::{Input, ObjectChange, Unique};
use crate::model::{Resource, ResourceId};

/// One template is on a server once, and a name is there once.
const UNIQUE: Unique = &[&["serverId", "serviceId"], &["serverId", "containerName"]];
/// What is asked of deployments of services.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    let (mut caller, template) = services::reach_to_change(asker, call).await?;
    match deed {
        Deed::Create => {
            check_own(template.is_own(), "serverId")?;
            let placed = create(&mut caller, &template, &call.body).await?;
            Ok(json!({"deployment": placed.shown(&caller, false)}))
        }
        Deed::Update => update(&mut caller, &template, call).await,
        Deed::Remove => {
            let placed = find(&caller, &template, call.param("depId")).await?;
            check_own(placed.is_own(), "depId")?;
            stop(&mut caller, &placed).await?;
            let def = caller.hidden(KIND)?;
            caller.note(&def, Some(&placed.row), "delete", &Input::new());
            caller
                .engine
                .drop_objects(&caller.scope, &placed.row, Vec::new())
                .await?;
            Ok(json!({"success": true}))
        }
        Deed::List | Deed::Read => Err(Refusal::missing("Route")),
    }
}

/// A template on one more server.
async fn create(caller: &mut Caller<'_>, template: &Template, body: &Map<String, Value>) -> Outcome<Placed> {
    let server = server_of(caller, &text(body, "serverId").unwrap_or_default()).await?;
    let name = text(body, "containerName").unwrap_or_default();
    native::check_name(&name)?;
    let mut kept = Map::new();
    kept.insert("serviceId".into(), json!(template.id()));
    kept.insert("serverId".into(), json!(server.id));
    for (field, or) in [
        ("containerName", Value::Null),
        ("composePath", Value::Null),
        ("envOverrides", Value::Null),
    ] {
        kept.insert(field.into(), body.get(field).cloned().unwrap_or(or));
    }
    let def = caller.hidden(KIND)?;
    caller.note(&def, None, "create", &named(Some(&name)));
    let made = ObjectChange {
        name: Some(name),
        spec: kept,
        unique: UNIQUE,
    };
    let row = caller.engine.add_object(&caller.scope, KIND, made).await;
    let row = row.map_err(|error| taken_there(taken(error, "Deployment")))?;
    let id = format!("1{LETTERS}{}", row.id);
    find(caller, template, &id).await
}

/// In words of what is on a server already.
fn taken_there(refusal: Refusal) -> Refusal {
    let words = match refusal.field.as_deref() {
        Some("serviceId") => "This service is on this server already",
        Some("containerName") => "A container of this name is on this server already",
        _ => return refusal,
    };
    Refusal {
        message: words.to_owned(),
        ..refusal
    }
}

/// 501 for what is changed where a service was made: how many containers it has, and what they are called.
fn check_own(is_own: bool, field: &str) -> Outcome<()> {
    match is_own {
        true => Ok(()),
        false => {
            let why = "This container's service was made, or scaled, elsewhere: how many it has is said there";
            Err(Refusal::not_built(why).about(field))
        }
    }
}

async fn update(caller: &mut Caller<'_>, template: &Template, call: &Call) -> Outcome<Value> {
    let placed = find(caller, template, call.param("depId")).await?;
    check_own(placed.is_own(), "depId")?;
    let mut kept = call.body.clone();
    let name = text(&kept, "containerName");
    if let Some(name) = &name {
        native::check_name(name)?;
    }
    kept.insert("updatedAt".into(), json!(caller.engine.clock().now().to_wire_millis()));
    let def = caller.hidden(KIND)?;
    caller.note(&def, Some(&placed.row), "update", &named(name.as_deref()));
    let change = ObjectChange {
        name,
        spec: kept,
        unique: UNIQUE,
    };
    let row = caller.engine.change_object(&caller.scope, &placed.row, change).await;
    row.map_err(|error| taken_there(taken(error, "Deployment")))?;
    let placed = find(caller, template, call.param("depId")).await?;
    let mut out = placed.shown(caller, true);
    out.insert("service".into(), Value::Object(template.shown(caller)));
    Ok(json!({"deployment": out}))
}

/// Removes what runs of a deployment.
pub async fn stop(caller: &mut Caller<'_>, placed: &Placed) -> Outcome<()> {
    match &placed.service {
        Some(service) => end(caller, service).await,
        None => Ok(()),
    }
}

/// Removes a service of the engine's.
pub async fn end(caller: &mut Caller<'_>, service: &Resource) -> Outcome<()> {
    let ty = caller.view_of("service")?;
    caller.may_create(&ty)?;
    caller.note(&ty.def, Some(service), "delete", &Input::new());
    caller.engine.delete(&caller.scope, &ty, service.id).await?;
    Ok(())
}

/// A deployment of the path that runs.
async fn running<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, Placed, Resource)> {
    let (caller, template) = services::reach_to_change(asker, call).await?;
    let placed = find(&caller, &template, call.param("depId")).await?;
    let service = placed.service.clone().filter(|_| placed.container.is_some());
    let service = service.ok_or_else(|| Refusal::new(Code::Validation, "This has not been deployed"))?;
    Ok((caller, placed, service))
}

/// `POST …/restart`.
pub async fn restart(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, placed, service) = running(asker, call).await?;
    if !placed.is_own() {
        return restart_alone(&mut caller, &placed.row).await;
    }
    let ty = caller.view_of("service")?;
    if !caller.engine.offers(caller.scope.version, &ty, &service, "restart") {
        return Err(Refusal::new(
            Code::Conflict,
            format!("This cannot be restarted while it is {}", service.state),
        ));
    }
    let strategy = json!({"batchSize": 1, "intervalMillis": 100});
    let input = Input::from_iter([("rollingRestartStrategy".to_owned(), strategy)]);
    caller.note(&ty.def, Some(&service), "restart", &input);
    caller
        .engine
        .act(&caller.scope, &ty, service.id, "restart", input)
        .await?;
    Ok(json!({"success": true}))
}

/// Starts one of a service's containers anew, and leaves the others alone.
async fn restart_alone(caller: &mut Caller<'_>, container: &Resource) -> Outcome<Value> {
    let ty = caller.view_of("container")?;
    if !caller.engine.offers(caller.scope.version, &ty, container, "restart") {
        let why = format!("This cannot be restarted while it is {}", container.state);
        return Err(Refusal::new(Code::Conflict, why));
    }
    caller.note(&ty.def, Some(container), "restart", &Input::new());
    let asked = caller
        .engine
        .act(&caller.scope, &ty, container.id, "restart", Input::new());
    asked.await?;
    Ok(json!({"success": true}))
}

/// `POST …/health`: how the container is, as its engine and the probes know it.
pub async fn health(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, placed, _) = running(asker, call).await?;
    let shown = placed.shown(&caller, false);
    Ok(json!({
        "status": shown.get("status"), "containerStatus": shown.get("containerStatus"),
        "healthStatus": shown.get("healthStatus"), "deployment": shown,
    }))
}

/// `GET /api/servers/{serverId}/services`.
pub async fn on_server(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, server) = servers::reach(asker, call.param("serverId")).await?;
    let templates: HashMap<ResourceId, Template> = services::all(&caller)
        .await?
        .into_iter()
        .map(|template| (template.row.id, template))
        .collect();
    let mut out = Vec::new();
    for placed in all(&caller).await? {
        let is_here = placed.server.as_ref().is_some_and(|one| one.id == server.id);
        if let Some(template) = templates.get(&placed.template).filter(|_| is_here) {
            out.push(flat(&caller, template, &placed));
        }
    }
    Ok(json!({"services": out}))
}

/// A template and its deployment as one object.
fn flat(caller: &Caller<'_>, template: &Template, placed: &Placed) -> Value {
    let mut out = template.shown(caller);
    let run = placed.shown(caller, true).into_iter();
    out.extend(run.filter(|(name, _)| RUN.contains(&name.as_str()) || name == "server"));
    out.insert("deploymentId".into(), json!(placed.id()));
    Value::Object(out)
}

/// `POST /api/servers/{serverId}/services`: a template and its deployment at once; a template that is there gets one more.
pub async fn create_on_server(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, server) = servers::reach(asker, call.param("serverId")).await?;
    caller.check_may_change()?;
    let name = text(&call.body, "name").unwrap_or_default();
    let container = text(&call.body, "containerName").unwrap_or_else(|| name.clone());
    native::check_name(&container)?;
    let mut body = call.body.clone();
    let mut placement = Map::new();
    placement.insert("serverId".into(), json!(server.id));
    placement.insert("containerName".into(), json!(container));
    body.shift_remove("containerName");
    for field in ["composePath", "envOverrides"] {
        placement.extend(body.shift_remove(field).map(|value| (field.to_owned(), value)));
    }
    let is_taken =
        |one: &Placed| one.server.as_ref().is_some_and(|one| one.id == server.id) && one.container_name() == container;
    if all(&caller).await?.iter().any(is_taken) {
        return Err(Refusal::taken(
            "containerName",
            "A container of this name is on this server already",
        ));
    }
    let known = services::all(&caller)
        .await?
        .into_iter()
        .find(|template| template.row.name == name && template.is_own());
    let template = match known {
        None => services::create(&mut caller, body).await?,
        Some(template) if template.text("containerImageId") == text(&body, "containerImageId") => template,
        Some(_) => {
            return Err(Refusal::taken(
                "name",
                "Service with this name and another image exists",
            ));
        }
    };
    let placed = create(&mut caller, &template, &placement).await?;
    Ok(json!({"service": flat(&caller, &template, &placed)}))
}
