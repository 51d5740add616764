//! Services as Hyper's clients read them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::caller::{Caller, blocking, fields, object, tenant};
use super::native;
use super::spec::Spec;
use crate::model::launch::parse_reference;
use crate::model::{Error, Resource, ResourceId, Result, State};

/// The field of a service that is kept beside the engine's own row. No view of Rancher's shows it.
pub const FIELD: &str = "hyperSpec";
/// What is told of a service that was just made.
pub const MADE: &str = "Service is created";

/// What Hyper's clients wrote of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// The service as written, with what was left out.
    pub spec: Spec,
    /// Whether the last change made its containers anew.
    pub was_rolled: bool,
}

/// A service.
pub struct Service {
    /// Its row.
    pub row: Resource,
    /// What is kept of it, as it is stored.
    pub stored: Value,
    /// The same, read.
    pub kept: Kept,
}

impl Service {
    /// Reads a row; none for one that is none of Hyper's.
    pub fn read(row: Resource) -> Result<Option<Self>> {
        let stored: Value = fields(&row)?.read(FIELD)?.unwrap_or_default();
        if row.kind != "service" || !stored.is_object() {
            return Ok(None);
        }
        let kept = Kept::deserialize(&stored).map_err(|e| Error::internal("reading a service of Hyper's", e))?;
        Ok(Some(Self { row, stored, kept }))
    }
}

/// All services of the project that were made here.
pub async fn all(caller: &Caller) -> Result<Vec<Service>> {
    let mut services = Vec::new();
    for row in caller.lasting("service").await? {
        services.extend(Service::read(row)?);
    }
    Ok(services)
}

/// What is around services: balancers, containers, addresses.
#[derive(Default)]
pub struct Around {
    balancers: HashMap<ResourceId, Resource>,
    containers: HashMap<ResourceId, Vec<Resource>>,
    addresses: HashMap<ResourceId, String>,
}

impl Around {
    /// Reads what is around these services.
    pub async fn read(caller: &Caller, services: &[Service]) -> Result<Self> {
        let ids: Vec<ResourceId> = services.iter().map(|service| service.row.id).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let (engine, asked) = (caller.engine.clone(), ids.clone());
        let balancers = blocking(move || engine.balancers_before(&asked)).await?;
        let mut containers: HashMap<ResourceId, Vec<Resource>> = HashMap::new();
        for row in caller.lasting("instance").await? {
            if let Some(parent) = row.parent_id {
                containers.entry(parent).or_default().push(row);
            }
        }
        let mut addresses = HashMap::new();
        for row in caller.lasting("floatingAddress").await? {
            let own = fields(&row)?;
            let service = own.text("serviceId").and_then(|wire| parse_reference(&wire));
            if let Some(service) = service.filter(|id| ids.contains(id)) {
                addresses.insert(service, own.text("address").unwrap_or_default());
            }
        }
        Ok(Self {
            balancers,
            containers,
            addresses,
        })
    }

    /// A service as it is now.
    pub fn spec(&self, service: &Service) -> Result<Spec> {
        let own = fields(&service.row)?;
        let scale = own.read("scale")?.unwrap_or(1);
        let mut spec = native::overlay(
            &service.kept.spec,
            &service.row.name,
            &object(&own, "launchConfig")?,
            scale,
        );
        if let Some(balancer) = self.balancers.get(&service.row.id) {
            let own = fields(balancer)?;
            native::overlay_balancer(&mut spec, &object(&own, "launchConfig")?, &object(&own, "lbConfig")?);
        }
        Ok(spec)
    }

    /// The floating address of a service, or empty.
    pub fn address(&self, service: &Service) -> &str {
        self.addresses.get(&service.row.id).map_or("", String::as_str)
    }

    /// The ids of the containers that run, in the order of their numbers.
    fn ids(&self, caller: &Caller, service: ResourceId) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        for row in self.containers.get(&service).into_iter().flatten() {
            let unit = caller.engine.unit_of(row);
            let id = fields(row)?.text("externalId").filter(|id| !id.is_empty());
            if let (true, None, Some(id)) = (is_running(row), unit.config, id) {
                ids.push((unit.index, row.id, id));
            }
        }
        ids.sort();
        Ok(ids.into_iter().map(|(_, _, id)| id).collect())
    }

    /// Where the balancer of a service is reached, or empty.
    fn ip(&self, service: ResourceId) -> Result<String> {
        let balancer = self.balancers.get(&service).map(|row| row.id);
        let containers = balancer.and_then(|id| self.containers.get(&id));
        let running = containers.into_iter().flatten().find(|row| is_running(row));
        let address = running
            .map(fields)
            .transpose()?
            .and_then(|own| own.text("primaryIpAddress"));
        Ok(address.unwrap_or_default())
    }

    /// How a service is: a word and a sentence.
    pub fn status(&self, caller: &Caller, service: &Service, spec: &Spec) -> Result<(&'static str, String)> {
        let row = &service.row;
        let count = self.ids(caller, row.id)?.len();
        let has_all = i64::try_from(count).is_ok_and(|count| count >= spec.replicas);
        let rolls = matches!(
            row.state,
            State::UPGRADING | State::UPGRADED | State::FINISHING_UPGRADE | State::ROLLING_BACK
        );
        let settled = match service.kept.was_rolled {
            true => "Rolling update complete",
            false => "Scaling complete",
        };
        Ok(match row.state {
            State::REQUESTED | State::REGISTERING => ("created", MADE.to_owned()),
            State::INACTIVE | State::DEACTIVATING => ("inactive", "Service is stopped".to_owned()),
            State::ERROR => ("error", row.message.clone()),
            _ if rolls => ("active", self.rolling(row.id)),
            _ if has_all => ("active", settled.to_owned()),
            _ if row.message.is_empty() => ("updating", "Scaling".to_owned()),
            _ => ("updating", row.message.clone()),
        })
    }

    /// What is said of a rolling update: also what a container says that cannot get up.
    fn rolling(&self, service: ResourceId) -> String {
        let rolling = "Rolling update in progress";
        let mut containers = self.containers.get(&service).into_iter().flatten();
        match containers.find(|row| !is_running(row) && !row.message.is_empty()) {
            Some(row) => format!("{rolling}: {}: {}", row.name, row.message),
            None => rolling.to_owned(),
        }
    }

    /// A service as every answer but that of its create has it.
    pub fn to_json(&self, caller: &Caller, service: &Service) -> Result<Value> {
        let spec = self.spec(service)?;
        let (status, message) = self.status(caller, service, &spec)?;
        let mut shown = written(&spec);
        for (key, empty) in [("Entrypoint", json!([])), ("Cmd", json!([])), ("Env", json!([]))] {
            settle(&mut shown, key, empty);
        }
        for key in ["Volumes", "Labels", "SecurityGroups"] {
            settle(&mut shown, key, json!({}));
        }
        for (key, native) in [("Env", "environment"), ("Entrypoint", "entryPoint"), ("Cmd", "command")] {
            if !caller.shows(native) {
                shown.insert(key.into(), json!([]));
            }
        }
        for (key, native) in [("Labels", "labels"), ("Volumes", "dataVolumes")] {
            if !caller.shows(native) {
                shown.insert(key.into(), json!({}));
            }
        }
        shown.extend(about(
            caller,
            [
                ("SSLCert", json!("")),
                ("IP", json!(self.ip(service.row.id)?)),
                ("FIP", json!(self.address(service))),
                ("Message", json!(message)),
                ("Created", json!(service.row.created.to_wire_millis())),
                ("Status", json!(status)),
                ("Containers", json!(self.ids(caller, service.row.id)?)),
            ],
        ));
        Ok(ordered(shown))
    }
}

fn is_running(row: &Resource) -> bool {
    matches!(row.state, State::RUNNING | State::UPDATING_RUNNING)
}

/// A service as the answer to its create has it: nothing is there yet, and what was left out is null.
pub fn made(caller: &Caller, row: &Resource, spec: &Spec, certificate: &str) -> Value {
    let created = row.created.to_wire_millis();
    let created = created
        .strip_suffix('Z')
        .map_or(created.clone(), |text| format!("{text}000000Z"));
    let mut shown = written(spec);
    shown.extend(about(
        caller,
        [
            ("SSLCert", json!(certificate)),
            ("IP", json!("")),
            ("FIP", json!("")),
            ("Message", json!(MADE)),
            ("Created", json!(created)),
            ("Status", json!("created")),
            ("Containers", Value::Null),
        ],
    ));
    ordered(shown)
}

fn about<const N: usize>(caller: &Caller, known: [(&str, Value); N]) -> Map<String, Value> {
    let known = known.into_iter().map(|(key, value)| (key.to_owned(), value));
    known.chain([("Tenant".to_owned(), json!(tenant(caller)))]).collect()
}

/// What was written, with sets as objects.
fn written(spec: &Spec) -> Map<String, Value> {
    let mut shown = match serde_json::to_value(spec) {
        Ok(Value::Object(shown)) => shown,
        _ => Map::new(),
    };
    let volumes = spec.volumes.as_ref().map(|volumes| {
        let volumes = volumes.iter().map(|volume| (volume.clone(), json!({})));
        Value::Object(volumes.collect())
    });
    shown.insert("Volumes".into(), volumes.unwrap_or_default());
    shown.insert("SecurityGroups".into(), Value::Null);
    shown
}

fn settle(shown: &mut Map<String, Value>, key: &str, empty: Value) {
    if shown.get(key).is_none_or(Value::is_null) {
        shown.insert(key.into(), empty);
    }
}

/// The keys in the order in which Hyper writes them.
fn ordered(mut shown: Map<String, Value>) -> Value {
    const KEYS: [&str; 32] = [
        "Name",
        "Image",
        "WorkingDir",
        "ServiceSize",
        "ContainerSize",
        "SSLCert",
        "NetMode",
        "StopSignal",
        "ServicePort",
        "ContainerPort",
        "Replicas",
        "HealthCheckInterval",
        "HealthCheckFall",
        "HealthCheckRise",
        "Algorithm",
        "Protocol",
        "Stdin",
        "Tty",
        "SessionAffinity",
        "Entrypoint",
        "Cmd",
        "Env",
        "Volumes",
        "Labels",
        "SecurityGroups",
        "IP",
        "Tenant",
        "FIP",
        "Message",
        "Created",
        "Status",
        "Containers",
    ];
    let of = |key: &str| (key.to_owned(), shown.shift_remove(key).unwrap_or_default());
    Value::Object(KEYS.map(of).into_iter().collect())
}
