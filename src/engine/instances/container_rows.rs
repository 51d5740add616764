//! Container rows: what the engine keeps about them, and how a service makes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::core::{Core, new_row, write_notes};
use crate::engine::labels;
use crate::model::id::new_uuid;
use crate::model::launch::LaunchConfig;
use crate::model::own_labels::Restarts;
use crate::model::port::PortSpec;
use crate::model::{DockerIds, Error, Fields, Resource, ResourceId, Result, State, Timestamp};
use crate::plan;
use crate::runtime::BoundPort;
use crate::schema::render::wire_id;
use crate::schema::{Source, Type};
use crate::store::{Changes, NewProcess, NewResource, Tx};

use super::naming::NamesBy;
use super::templates;

/// On containers of managed networks: the project's uuid.
pub(super) const PROJECT_LABEL: &str = "io.rancher.environment.uuid";

/// What a container is called instead.
pub(super) const DISPLAY_NAME: &str = "io.rancher.container.display_name";

/// What its host name is made of.
const HOSTNAME_OVERRIDE: &str = "io.rancher.container.hostname_override";

/// The kind of a port that was asked for.
const USER_PORT: &str = "userPort";

/// The kind of a port that the image listens on.
pub(super) const IMAGE_PORT: &str = "imagePort";

/// The engine's own notes of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InstanceNotes {
    /// The index of its unit: the `n` of its name. 0 for a container of no service.
    pub(crate) index: u32,
    /// The launch configuration that made it; none is the primary.
    pub(crate) config: Option<String>,
    /// Its name on the engine, fixed with the intent to create it.
    pub(crate) docker_name: String,
    /// The address it holds until it is removed.
    pub(crate) ip: Option<String>,
    /// The hardware address that the engine gave it when it last started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    /// When it last started, in the engine's words.
    pub(crate) started_at: String,
    /// Whether it was ever started.
    pub(crate) ran: bool,
    /// Whether the engine has it.
    pub(crate) is_made: bool,
    /// Whether its address was asked for: then no other one will do.
    pub(crate) keeps_ip: bool,
    /// When it last started, by our clock.
    pub(crate) up_since: Option<Timestamp>,
    /// How often in a row it ended by itself soon after a start.
    pub(crate) exits: u32,
    /// When it last ended by itself, and with which code.
    pub(crate) exited_at: Option<Timestamp>,
    pub(crate) exit_code: Option<i64>,
    /// How often it was started again after it had ended by itself.
    #[serde(skip_serializing_if = "Restarts::is_none")]
    pub(crate) restarts: Restarts,
    /// How often in a row one in its place could not be started, itself included.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) failures: u32,
    /// When it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed_at: Option<Timestamp>,
    /// Whether somebody else made it: it is left alone.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) is_native: bool,
    /// By what it is found, and finds others; none where there is only one way, or before it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) names: Option<NamesBy>,
    /// Whether it is a balancer, which is told what to do.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) balances: bool,
    /// For how many milliseconds connections through balancers may go on once it is to be stopped.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) drain_ms: u32,
    /// The run of its service's schedule that it was last started for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheduled_run: Option<Timestamp>,
    /// Whether it goes because it did not become healthy in the time that it had.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) was_never_well: bool,
    /// The account of the key by which it asks the API, once it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_key: Option<ResourceId>,
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What planning reads of a container's own fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct InstanceFacts {
    pub(crate) deployment_unit_uuid: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) create_index: Option<i64>,
    pub(crate) start_count: Option<i64>,
}

/// What the planner calls a container's state.
pub(crate) fn plan_state(state: State) -> plan::InstanceState {
    use plan::InstanceState as S;
    match state {
        State::RUNNING | State::UPDATING_RUNNING | State::MIGRATING => S::Running,
        State::STOPPING => S::Stopping,
        State::STOPPED | State::UPDATING_STOPPED => S::Stopped,
        State::ERROR | State::ERRORING => S::Broken,
        State::REMOVING | State::REMOVED | State::PURGING | State::PURGED => S::Removing,
        _ => S::Starting,
    }
}

/// What the planner calls a container's health.
pub(crate) fn plan_health(health: &str) -> plan::Health {
    match health {
        "healthy" | "updating-healthy" => plan::Health::Healthy,
        "unhealthy" | "updating-unhealthy" => plan::Health::Unhealthy,
        "initializing" | "reinitializing" | "updating-reinitializing" => plan::Health::Initializing,
        _ => plan::Health::None,
    }
}

/// One container that a plan asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) service: &'a Resource,
    pub(crate) stack: &'a Resource,
    pub(crate) project_uuid: &'a str,
    /// The launch configuration as stored, parsed, and as text pieces.
    pub(crate) launch: &'a LaunchConfig,
    pub(crate) raw: &'a BTreeMap<String, Box<serde_json::value::RawValue>>,
    pub(crate) config: Option<String>,
    pub(crate) version: String,
    pub(crate) unit: String,
    pub(crate) index: u32,
    pub(crate) host: ResourceId,
    pub(crate) host_is_global: bool,
    pub(crate) name: String,
    pub(crate) create_index: i64,
    /// Address to ask for, if the service retains addresses.
    pub(crate) requested_ip: Option<String>,
    /// The containers of the same unit, by configuration.
    pub(crate) siblings: &'a BTreeMap<Option<String>, ResourceId>,
    pub(crate) is_system: bool,
    /// Whether another container of the service still has the plain name on the engine.
    pub(crate) name_is_taken: bool,
    /// How often in a row those before it in its place could not be started.
    pub(crate) failures: u32,
    /// Whether it is a balancer.
    pub(crate) balances: bool,
}

/// Types that a container needs beside its own.
pub(crate) struct InstanceTypes {
    pub(crate) container: std::sync::Arc<Type>,
    pub(crate) expose_map: std::sync::Arc<Type>,
    pub(crate) port: std::sync::Arc<Type>,
    pub(crate) label: std::sync::Arc<Type>,
    pub(crate) link: std::sync::Arc<Type>,
    pub(crate) service_prefix: String,
    pub(crate) instance_prefix: String,
    pub(crate) host_prefix: String,
    /// How Docker's clients call rows.
    pub(crate) docker_ids: DockerIds,
    pub(crate) driver_prefix: String,
    pub(crate) template_prefix: String,
}

impl Core {
    pub(crate) fn instance_types(&self) -> Result<InstanceTypes> {
        let container = self.type_of("container")?.clone();
        Ok(InstanceTypes {
            instance_prefix: container.prefix.clone(),
            container,
            expose_map: self.type_of("serviceExposeMap")?.clone(),
            port: self.type_of("port")?.clone(),
            label: self.type_of("label")?.clone(),
            link: self.type_of("instanceLink")?.clone(),
            service_prefix: self.type_of("service")?.prefix.clone(),
            host_prefix: self.type_of("host")?.prefix.clone(),
            docker_ids: DockerIds::new(self.store.server_uuid()),
            driver_prefix: self.type_of("storageDriver")?.prefix.clone(),
            template_prefix: self.type_of("volumeTemplate")?.prefix.clone(),
        })
    }
}

/// The labels that every service container carries, over the user's own.
fn service_labels(wanted: &Wanted<'_>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in wanted.launch.labels.iter().flatten() {
        let key = if key.to_ascii_lowercase().starts_with("io.rancher") {
            key.to_ascii_lowercase()
        } else {
            key.clone()
        };
        labels.insert(key, value.clone());
    }
    let stack = &wanted.stack.name;
    let service = match &wanted.config {
        None => format!("{stack}/{}", wanted.service.name),
        Some(sidekick) => format!("{stack}/{}/{sidekick}", wanted.service.name),
    };
    let config = wanted
        .config
        .as_deref()
        .unwrap_or("io.rancher.service.primary.launch.config");
    for (key, value) in [
        ("io.rancher.stack.name", stack.as_str()),
        ("io.rancher.project.name", stack),
        ("io.rancher.stack_service.name", &service),
        ("io.rancher.project_service.name", &service),
        ("io.rancher.service.deployment.unit", &wanted.unit),
        ("io.rancher.service.launch.config", config),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    if wanted.launch.network_launch_config.is_none() && wanted.launch.network_mode.as_deref() == Some("managed") {
        labels.insert(PROJECT_LABEL.into(), wanted.project_uuid.to_owned());
    }
    if wanted.host_is_global {
        labels.insert("io.rancher.service.requested.host.id".into(), wanted.host.0.to_string());
    }
    if wanted.is_system {
        labels.insert("io.rancher.container.system".into(), "true".into());
    }
    labels
}

/// Makes the rows of one service container and asks for its creation; returns its id.
pub(crate) fn insert_service_container(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    wanted: &Wanted<'_>,
) -> Result<ResourceId> {
    let mut fields = own_fields(types, wanted)?;
    let labels = service_labels(wanted);
    let name = labels.get(DISPLAY_NAME).unwrap_or(&wanted.name).clone();
    if let Some(host_name) = host_name_of(&name, &labels, wanted.launch.domain_name.as_deref()) {
        fields.set("hostname", &host_name)?;
    }
    fields.set("labels", &labels)?;
    fields.set("version", &wanted.version)?;
    fields.set("deploymentUnitUuid", &wanted.unit)?;
    fields.set("createIndex", &wanted.create_index)?;
    fields.set("startCount", &0)?;
    fields.set("startOnCreate", &true)?;
    fields.set("system", &wanted.is_system)?;
    fields.set("nativeContainer", &false)?;
    let uuid = new_uuid().to_string();
    let notes = InstanceNotes {
        index: wanted.index,
        config: wanted.config.clone(),
        docker_name: if wanted.name_is_taken {
            unique_name(&wanted.name, &uuid)
        } else {
            wanted.name.clone()
        },
        ip: wanted.requested_ip.clone(),
        keeps_ip: wanted.requested_ip.is_some(),
        failures: wanted.failures,
        balances: wanted.balances,
        drain_ms: wanted
            .launch
            .drain_timeout_ms
            .and_then(|ms| u32::try_from(ms).ok())
            .unwrap_or(0),
        ..InstanceNotes::default()
    };
    let row = tx.insert(NewResource {
        parent_id: Some(wanted.service.id),
        host_id: Some(wanted.host),
        uuid: Some(uuid),
        name,
        state: State::CREATING,
        internal: write_notes(&notes)?,
        ..new_row(&types.container, wanted.service.account_id, fields)
    })?;
    let row = match templates::fields_of(tx, types, wanted, &row)? {
        Some(fields) => tx.update_if(
            &row,
            &Changes {
                fields: Some(fields),
                ..Changes::default()
            },
        )?,
        None => row,
    };
    if let Some(labels) = &wanted.launch.labels {
        labels::tie(tx, &types.label, &row, labels)?;
    }
    insert_ports(tx, types, &row, wanted.launch.ports.as_deref().unwrap_or_default())?;
    insert_expose_map(tx, types, wanted.service, &row, wanted.config.as_deref(), true)?;
    tx.start_process(&NewProcess {
        resource: &row,
        process: "instance.create",
        data: "{}",
    })?;
    Ok(row.id)
}

/// What its launch configuration says of a container, with its siblings by their ids.
fn own_fields(types: &InstanceTypes, wanted: &Wanted<'_>) -> Result<Fields> {
    let ty = &types.container;
    let mut fields = Fields::default();
    for (key, value) in wanted.raw {
        if ty.fields.get(key).is_some_and(|f| f.source == Source::Fields) {
            fields.0.insert(key.clone(), value.clone());
        }
    }
    let sibling = |config: &Option<String>| {
        wanted
            .siblings
            .get(config)
            .map(|id| wire_id(&types.instance_prefix, *id))
    };
    let to_config = |name: &String| (!name.eq_ignore_ascii_case(&wanted.service.name)).then(|| name.clone());
    if let Some(provider) = &wanted.launch.network_launch_config {
        fields.set("networkContainerId", &sibling(&to_config(provider)))?;
        fields.set("networkMode", "container")?;
    }
    let from_siblings: Vec<String> = wanted
        .launch
        .data_volumes_from_launch_configs
        .iter()
        .flatten()
        .filter_map(|n| sibling(&to_config(n)))
        .collect();
    if !from_siblings.is_empty() {
        let mut all = wanted.launch.data_volumes_from.clone().unwrap_or_default();
        all.extend(from_siblings);
        fields.set("dataVolumesFrom", &all)?;
    }
    Ok(fields)
}

/// The port rows of a container: inactive until it runs.
pub(crate) fn insert_ports(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    container: &Resource,
    specs: &[String],
) -> Result<()> {
    for spec in specs {
        let port = PortSpec::parse(spec)?;
        let mut fields = Fields::default();
        fields.set("publicPort", &port.public)?;
        fields.set("privatePort", &port.private)?;
        fields.set("protocol", port.protocol)?;
        fields.set("bindAddress", &port.ip)?;
        fields.set("instanceId", &wire_id(&types.instance_prefix, container.id))?;
        tx.insert(NewResource {
            parent_id: Some(container.id),
            host_id: container.host_id,
            state: State::INACTIVE,
            kind: USER_PORT.into(),
            ..new_row(&types.port, container.account_id, fields)
        })?;
    }
    Ok(())
}

/// The rows of a container's links to others, by the names that it calls them.
pub(crate) fn insert_links(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    container: &Resource,
    links: &BTreeMap<String, String>,
) -> Result<()> {
    for (name, target) in links {
        let mut fields = Fields::default();
        fields.set("linkName", name)?;
        fields.set("targetInstanceId", target)?;
        fields.set("instanceId", &wire_id(&types.instance_prefix, container.id))?;
        tx.insert(NewResource {
            parent_id: Some(container.id),
            state: State::ACTIVE,
            ..new_row(&types.link, container.account_id, fields)
        })?;
    }
    Ok(())
}

/// The port rows of a container that was found with its ports bound.
pub(crate) fn insert_found_ports(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    container: &Resource,
    ports: &[BoundPort],
) -> Result<()> {
    for port in ports {
        let mut fields = Fields::default();
        fields.set("publicPort", &port.public)?;
        fields.set("privatePort", &port.private)?;
        fields.set("protocol", &port.protocol)?;
        let is_one = !matches!(port.ip.as_str(), "" | "0.0.0.0" | "::");
        fields.set("bindAddress", &Some(&port.ip).filter(|_| is_one))?;
        fields.set("instanceId", &wire_id(&types.instance_prefix, container.id))?;
        tx.insert(NewResource {
            parent_id: Some(container.id),
            host_id: container.host_id,
            state: State::ACTIVE,
            kind: USER_PORT.into(),
            ..new_row(&types.port, container.account_id, fields)
        })?;
    }
    Ok(())
}

/// Ties a container to a service.
pub(crate) fn insert_expose_map(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    service: &Resource,
    container: &Resource,
    dns_prefix: Option<&str>,
    managed: bool,
) -> Result<()> {
    let mut fields = Fields::default();
    fields.set("serviceId", &format!("{}{}", types.service_prefix, service.id))?;
    fields.set("instanceId", &wire_id(&types.instance_prefix, container.id))?;
    fields.set("dnsPrefix", &dns_prefix)?;
    fields.set("managed", &managed)?;
    fields.set("upgrade", &false)?;
    tx.insert(NewResource {
        parent_id: Some(service.id),
        state: State::ACTIVE,
        ..new_row(&types.expose_map, service.account_id, fields)
    })?;
    Ok(())
}

/// Reads a container's launch configuration from its own fields.
pub(crate) fn launch_of(row: &Resource) -> Result<LaunchConfig> {
    serde_json::from_str(&row.fields)
        .map_err(|e| Error::internal(format!("reading the launch configuration of {}", row.id), e))
}

/// The host name that the labels of a container ask for: its name.
pub(super) fn host_name_of(name: &str, labels: &BTreeMap<String, String>, domain: Option<&str>) -> Option<String> {
    let wanted = labels.get(HOSTNAME_OVERRIDE).map(String::as_str);
    (wanted == Some("container_name") && !name.is_empty()).then(|| host_name(name, domain))
}

/// A container's name as a host name: 63 characters, the index kept.
fn host_name(name: &str, domain: Option<&str>) -> String {
    let room = 63_usize.saturating_sub(domain.map_or(0, |d| d.len() + 1));
    if name.len() <= room {
        return name.to_owned();
    }
    let suffix = name.rfind('-').map_or("", |at| name.get(at..).unwrap_or_default());
    let head: String = name.chars().take(room.saturating_sub(suffix.len())).collect();
    format!("{head}{suffix}")
}

/// A name on the engine that nobody else has: the plain one and eight digits of the uuid's random end.
pub(crate) fn unique_name(name: &str, uuid: &str) -> String {
    let tail: String = uuid.chars().rev().filter(|c| *c != '-').take(8).collect();
    format!("{name}-{tail}")
}
