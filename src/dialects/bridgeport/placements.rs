//! Deployments of services in BRIDGEPORT's sense: a template on a server, under a name, with variables of its own. What runs of it is
//! a service of the engine's own, of one container, on that host; it is made when it is first deployed.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, fields, spec};
use super::fields::text;
use super::native::{self, FIELD};
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use super::servers::{self, Server};
use super::services::{self, Template, on_the_wire, server_of};
use super::things::{named, taken};
use crate::engine::{Input, ObjectChange, RolloutOf, Unique};
use crate::model::{Resource, ResourceId, State, WireId};

/// The type of their rows.
pub const KIND: &str = "bridgeportPlacement";
/// The letters of their ids.
pub const LETTERS: &str = "bpd";
/// One template is on a server once, and a name is there once.
const UNIQUE: Unique = &[&["serverId", "serviceId"], &["serverId", "containerName"]];
/// What of a deployment stands in lists of templates, too.
pub const RUN: [&str; 10] = [
    "status",
    "containerStatus",
    "healthStatus",
    "discoveryStatus",
    "exposedPorts",
    "lastDeployedAt",
    "containerName",
    "composePath",
    "serverId",
    "envOverrides",
];

/// A template on a server, with what there is of it.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its row.
    pub row: Resource,
    /// Its template.
    pub template: ResourceId,
    /// All that is kept of it.
    pub kept: Map<String, Value>,
    /// Where it is; none if that is gone.
    pub server: Option<Server>,
    /// What runs of it, in the engine's words.
    pub service: Option<Resource>,
    /// The container.
    pub container: Option<Resource>,
    /// When it was last brought there.
    deployed: Option<String>,
}

impl Placed {
    /// What it is called in paths and bodies.
    pub fn id(&self) -> String {
        format!("1{LETTERS}{}", self.row.id)
    }

    /// The name of its container.
    pub fn container_name(&self) -> String {
        text(&self.kept, "containerName").unwrap_or_default()
    }

    /// Its own variables.
    pub fn overrides(&self) -> Map<String, Value> {
        self.kept
            .get("envOverrides")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    /// How the container is, in Docker's words.
    fn container_status(&self) -> &'static str {
        match self.container.as_ref().map(|row| row.state) {
            None => "not_found",
            Some(State::RUNNING | State::UPDATING_RUNNING | State::STOPPING) => "running",
            Some(State::RESTARTING) => "restarting",
            Some(State::STOPPED | State::UPDATING_STOPPED) => "exited",
            Some(State::ERROR | State::ERRORING) => "dead",
            Some(_) => "created",
        }
    }

    fn health_status(&self) -> &'static str {
        let Some(container) = &self.container else {
            return "unknown";
        };
        match container.health.as_str() {
            "healthy" => "healthy",
            "unhealthy" => "unhealthy",
            "" => "none",
            _ => "unknown",
        }
    }

    fn status(&self) -> &'static str {
        match (self.health_status(), self.container_status()) {
            ("healthy", "running") => "healthy",
            ("unhealthy", _) => "unhealthy",
            (_, "running") => "running",
            (_, "exited" | "dead") => "stopped",
            _ => "unknown",
        }
    }

    fn discovery_status(&self) -> &'static str {
        match (&self.container, &self.deployed) {
            (Some(_), _) => "found",
            (None, Some(_)) => "missing",
            (None, None) => "pending",
        }
    }

    /// The ports of the container, as they are published.
    fn ports(&self) -> Value {
        let ports = self
            .container
            .as_ref()
            .and_then(|row| fields(row).ok()?.read::<Vec<String>>("ports").ok()?);
        match ports {
            Some(ports) if !ports.is_empty() => json!(json!(ports).to_string()),
            _ => Value::Null,
        }
    }

    /// As clients see it.
    pub fn shown(&self, caller: &Caller<'_>, with_server: bool) -> Map<String, Value> {
        let shows = caller.shows("environment");
        let created = self.row.created.to_wire_millis();
        let changed = self.kept.get("updatedAt").cloned().unwrap_or_else(|| json!(created));
        let out = json!({
            "id": self.id(), "serviceId": format!("1{}{}", services::LETTERS, self.template),
            "serverId": self.kept.get("serverId"), "containerName": self.kept.get("containerName"),
            "composePath": self.kept.get("composePath"),
            "envOverrides": on_the_wire(self.kept.get("envOverrides").filter(|_| shows)),
            "status": self.status(), "containerStatus": self.container_status(), "healthStatus": self.health_status(),
            "discoveryStatus": self.discovery_status(), "exposedPorts": self.ports(), "imageDigestId": null,
            "lastDeployedAt": self.deployed, "createdAt": created, "updatedAt": changed,
        });
        let mut out = out.as_object().cloned().unwrap_or_default();
        if with_server {
            let server = self
                .server
                .as_ref()
                .map(|server| json!({"id": server.id, "name": server.name}));
            out.insert("server".into(), json!(server));
        }
        out
    }
}

/// All rollouts of a project, oldest first.
pub async fn rollouts(caller: &Caller<'_>) -> Outcome<Vec<RolloutOf>> {
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    let all = tokio::task::spawn_blocking(move || engine.rollouts(&scope)).await;
    Ok(all.map_err(|e| crate::model::Error::internal("waiting for a blocking thread", e))??)
}

/// All deployments of a project, by id.
pub async fn all(caller: &Caller<'_>) -> Outcome<Vec<Placed>> {
    let rows = caller.lasting(KIND).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let servers = servers::all(caller).await?;
    let mut native: HashMap<String, Resource> = HashMap::new();
    for service in caller.lasting("service").await? {
        let own: Option<Map<String, Value>> = fields(&service)?.read(FIELD)?;
        let placement = own.and_then(|own| text(&own, "deployment"));
        native.extend(placement.map(|placement| (placement, service)));
    }
    let mut containers: HashMap<ResourceId, Resource> = HashMap::new();
    for container in caller.lasting("instance").await? {
        if let Some(parent) = container.parent_id {
            // The newest one is what an upgrade brought.
            containers.insert(parent, container);
        }
    }
    let mut deployed: HashMap<String, String> = HashMap::new();
    for rollout in rollouts(caller).await? {
        let is_good = rollout.outcome.as_deref() == Some("success");
        let about = rollout
            .about
            .get("deployment")
            .and_then(Value::as_str)
            .filter(|_| is_good);
        if let (Some(placement), Some(ended)) = (about, rollout.ended) {
            deployed.insert(placement.to_owned(), ended.to_wire_millis());
        }
    }
    let mut out = Vec::new();
    for row in rows {
        let kept = spec(&row)?;
        let id = format!("1{LETTERS}{}", row.id);
        let template = text(&kept, "serviceId").and_then(|id| WireId::parse(&id).map(|wire| wire.id));
        let server = text(&kept, "serverId").unwrap_or_default();
        let server = servers
            .iter()
            .find(|one| one.is(|host| caller.engine.wire_id(host), &server));
        let service = native.remove(&id);
        out.push(Placed {
            template: template.unwrap_or(ResourceId(0)),
            server: server.cloned(),
            container: service.as_ref().and_then(|service| containers.remove(&service.id)),
            service,
            deployed: deployed.remove(&id),
            row,
            kept,
        });
    }
    Ok(out)
}

/// The deployment of a path among those of a template.
pub async fn find(caller: &Caller<'_>, template: &Template, id: &str) -> Outcome<Placed> {
    let all = all(caller).await?;
    let found = all
        .into_iter()
        .find(|one| one.id() == id && one.template == template.row.id);
    found.ok_or_else(|| Refusal::missing("Deployment"))
}

/// What is asked of deployments of services.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    let (mut caller, template) = services::reach_to_change(asker, call)?;
    match deed {
        Deed::Create => {
            let placed = create(&mut caller, &template, &call.body).await?;
            Ok(json!({"deployment": placed.shown(&caller, false)}))
        }
        Deed::Update => update(&mut caller, &template, call).await,
        Deed::Remove => {
            let placed = find(&caller, &template, call.param("depId")).await?;
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

async fn update(caller: &mut Caller<'_>, template: &Template, call: &Call) -> Outcome<Value> {
    let placed = find(caller, template, call.param("depId")).await?;
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
    let Some(service) = &placed.service else { return Ok(()) };
    let ty = caller.view_of("service")?;
    caller.may_create(&ty)?;
    caller.engine.delete(&caller.scope, &ty, service.id).await?;
    Ok(())
}

/// A deployment of the path that runs.
async fn running<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, Placed, Resource)> {
    let (caller, template) = services::reach_to_change(asker, call)?;
    let placed = find(&caller, &template, call.param("depId")).await?;
    let service = placed.service.clone().filter(|_| placed.container.is_some());
    let service = service.ok_or_else(|| Refusal::new(Code::Validation, "This has not been deployed"))?;
    Ok((caller, placed, service))
}

/// `POST …/restart`.
pub async fn restart(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, _, service) = running(asker, call).await?;
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
        .find(|template| template.row.name == name);
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
