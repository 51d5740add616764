//! Deployments of services in BRIDGEPORT's sense, as they are read: those that were made here, and the containers of services that
//! were made, or scaled, elsewhere.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::caller::{Caller, fields, spec};
use super::elsewhere;
use super::fields::text;
use super::refusal::{Outcome, Refusal};
use super::servers::{self, Server};
use super::services::{Template, on_the_wire};
use crate::dialects::caller::blocking;
use crate::engine::RolloutOf;
use crate::model::{Resource, ResourceId, State, WireId};

/// The type of their rows.
pub const KIND: &str = "bridgeportPlacement";
/// The letters of their ids.
pub const LETTERS: &str = "bpd";
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

/// A template on a server, with what there is of it. Containers of a service that was made elsewhere are such, too, and those that a
/// service of one's own was scaled to elsewhere: each has its service's id and its number there for an id.
#[derive(Debug, Clone)]
pub struct Placed {
    id: String,
    /// Its row; the container's own, if it is none that was made here.
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
        self.id.clone()
    }

    /// Whether it was made here.
    pub fn is_own(&self) -> bool {
        self.row.root == KIND
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
            "id": self.id, "serviceId": self.kept.get("serviceId"),
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
    Ok(blocking(move || engine.rollouts(&scope)).await?)
}

/// What runs in a project: the containers of services, by the service and their number there.
type Units = BTreeMap<(ResourceId, u32), Resource>;

async fn units(caller: &Caller<'_>) -> Outcome<Units> {
    let mut units = Units::new();
    for container in caller.lasting("instance").await? {
        let unit = caller.engine.unit_of(&container);
        if let (Some(parent), None) = (container.parent_id, unit.config) {
            // The newest one is what an upgrade brought.
            units.insert((parent, unit.index), container);
        }
    }
    Ok(units)
}

/// When each deployment, and each service, was last brought anywhere, by their ids.
async fn last_deployed(caller: &Caller<'_>) -> Outcome<HashMap<String, String>> {
    let mut deployed = HashMap::new();
    for rollout in rollouts(caller).await? {
        let Some(ended) = rollout.ended.filter(|_| rollout.outcome.as_deref() == Some("success")) else {
            continue;
        };
        for about in ["deployment", "service"] {
            let id = rollout.about.get(about).and_then(Value::as_str);
            deployed.extend(id.map(|id| (id.to_owned(), ended.to_wire_millis())));
        }
    }
    Ok(deployed)
}

/// A service of the engine's, and whose containers its are: a template's, by its row and by what it is called.
type Owned = (Resource, ResourceId, Value);

/// All deployments of a project, by id; after those that were made here, containers of services in their order.
pub async fn all(caller: &Caller<'_>) -> Outcome<Vec<Placed>> {
    let rows = caller.lasting(KIND).await?;
    let services = caller.lasting(elsewhere::ROOT).await?;
    if rows.is_empty() && services.is_empty() {
        return Ok(Vec::new());
    }
    let servers = servers::all(caller).await?;
    let (mut units, deployed) = (units(caller).await?, last_deployed(caller).await?);
    let mut native: HashMap<String, Resource> = HashMap::new();
    let mut others: Vec<Owned> = Vec::new();
    for service in services {
        match text(&elsewhere::mark(&service)?, "deployment") {
            Some(placement) => drop(native.insert(placement, service)),
            None => {
                let (id, wire) = (service.id, caller.engine.wire_id(&service));
                others.push((service, id, json!(wire)));
            }
        }
    }
    let mut out = Vec::new();
    for row in rows {
        let kept = spec(&row)?;
        let id = format!("1{LETTERS}{}", row.id);
        let template = text(&kept, "serviceId").and_then(|id| WireId::parse(&id).map(|wire| wire.id));
        let template = template.unwrap_or(ResourceId(0));
        let server = text(&kept, "serverId").unwrap_or_default();
        let server = servers
            .iter()
            .find(|one| one.is(|host| caller.engine.wire_id(host), &server));
        let service = native.remove(&id);
        let first = service.as_ref().and_then(|service| {
            let all = (service.id, 0)..=(service.id, u32::MAX);
            units.range(all).next().map(|(key, _)| *key)
        });
        if let Some(service) = &service {
            let wire = kept.get("serviceId").cloned().unwrap_or_default();
            others.push((service.clone(), template, wire));
        }
        out.push(Placed {
            template,
            server: server.cloned(),
            container: first.and_then(|key| units.remove(&key)),
            service,
            deployed: deployed.get(&id).cloned(),
            id,
            row,
            kept,
        });
    }
    for owned in others {
        out.extend(of_service(caller, owned, &units, &servers, &deployed));
    }
    Ok(out)
}

/// The containers of a service that nobody placed here.
fn of_service(
    caller: &Caller<'_>,
    (service, template, wire): Owned,
    units: &Units,
    servers: &[Server],
    deployed: &HashMap<String, String>,
) -> Vec<Placed> {
    let id = caller.engine.wire_id(&service);
    let mut out = Vec::new();
    for ((_, index), container) in units.range((service.id, 0)..=(service.id, u32::MAX)) {
        let server = servers
            .iter()
            .find(|one| one.host.as_ref().map(|host| host.id) == container.host_id);
        let kept = json!({
            "serviceId": wire, "serverId": server.map(|server| &server.id), "containerName": container.name,
            "composePath": null, "envOverrides": null,
        });
        out.push(Placed {
            id: format!("{id}-{index}"),
            row: container.clone(),
            template,
            kept: kept.as_object().cloned().unwrap_or_default(),
            server: server.cloned(),
            service: Some(service.clone()),
            container: Some(container.clone()),
            deployed: wire.as_str().and_then(|wire| deployed.get(wire)).cloned(),
        });
    }
    out
}

/// The deployment of a path among those of a template.
pub async fn find(caller: &Caller<'_>, template: &Template, id: &str) -> Outcome<Placed> {
    let all = all(caller).await?;
    let found = all
        .into_iter()
        .find(|one| one.id() == id && one.template == template.row.id);
    found.ok_or_else(|| Refusal::missing("Deployment"))
}
