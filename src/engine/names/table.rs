//! From rows to the table that a name server answers from. Pure: rows and a place in, a table out.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::engine::core::notes;
use crate::engine::instances::{
    InstanceNotes, NAME_SERVER, PortFields, domains, launch_of, plan_state, search_list, wants_names,
};
use crate::model::launch::{HealthCheck, LaunchConfig, parse_reference};
use crate::model::network_table::{self as names, Table};
use crate::model::{Error, Resource, ResourceId, Result};
use crate::plan::InstanceState;

use super::rows::Rows;
use super::services;

/// Whose containers ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host_uuid: String,
    pub(super) subnet: String,
    pub(super) gateway: String,
}

/// What everything in a project is, as the containers of one host see it. The number is left to who sends it.
pub(super) fn table(rows: &Rows, place: &Place) -> Result<Table> {
    let index = Index::of(rows)?;
    let mut containers = BTreeMap::new();
    for row in &rows.instances {
        if let Some(container) = container(&index, row)? {
            containers.insert(row.uuid.clone(), container);
        }
    }
    Ok(Table {
        number: 0,
        environment: names::Environment {
            name: rows.project.name.clone(),
            uuid: rows.project.uuid.clone(),
        },
        host_uuid: place.host_uuid.clone(),
        subnet: place.subnet.clone(),
        gateway: place.gateway.clone(),
        services: services::services(rows, &index, |id| of_those(&index, &containers, *id), |_| true)?,
        containers,
        stacks: each(&rows.stacks, stack)?,
        hosts: each(&rows.hosts, host)?,
        networks: networks(rows)?,
    })
}

/// The uuid of a container, if it is one of those that are told of.
fn of_those(index: &Index<'_>, containers: &BTreeMap<String, names::Container>, id: ResourceId) -> Option<String> {
    let row = index.instances.get(&id)?;
    containers.contains_key(&row.uuid).then(|| row.uuid.clone())
}

/// The containers that the entry of one says something of: whose network it shares, and to which it links.
pub(super) fn targets_of(row: &Resource) -> Result<Vec<ResourceId>> {
    let launch = launch_of(row)?;
    let links = launch.instance_links.iter().flatten().map(|(_, wire)| wire.as_str());
    let targets = launch.network_container_id.as_deref().into_iter().chain(links);
    Ok(targets.filter_map(parse_reference).collect())
}

/// The network of a container.
pub(super) fn network_of(row: &Resource) -> Result<Option<ResourceId>> {
    let fields: ContainerFields = fields_of(row)?;
    Ok(fields.primary_network_id.as_deref().and_then(parse_reference))
}

/// The container that an expose map ties to a service.
pub(super) fn exposed(map: &Resource) -> Result<Option<ResourceId>> {
    let fields: MapFields = fields_of(map)?;
    Ok(fields.instance_id.as_deref().and_then(parse_reference))
}

/// Rows by what others call them.
pub(super) struct Index<'r> {
    pub(super) instances: HashMap<ResourceId, &'r Resource>,
    pub(super) services: HashMap<ResourceId, &'r Resource>,
    pub(super) stacks: HashMap<ResourceId, &'r Resource>,
    hosts: HashMap<ResourceId, (&'r Resource, HostFields)>,
    networks: HashMap<ResourceId, &'r str>,
    ports: HashMap<ResourceId, Vec<PortFields>>,
    /// Containers of services, parked ones left out: `(service, sidekick, container)` in the order in which they were made.
    pub(super) members: Vec<Member>,
    /// The first service of a container.
    pub(super) owner: HashMap<ResourceId, (ResourceId, Option<String>)>,
}

/// That a container is one of a service.
pub(super) struct Member {
    pub(super) service: ResourceId,
    /// The launch configuration; none is the primary.
    pub(super) config: Option<String>,
    pub(super) container: ResourceId,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MapFields {
    instance_id: Option<String>,
    dns_prefix: Option<String>,
    upgrade: Option<bool>,
}

impl<'r> Index<'r> {
    pub(super) fn of(rows: &'r Rows) -> Result<Self> {
        let mut members = Vec::new();
        let mut owner = HashMap::new();
        for map in &rows.expose_maps {
            let fields: MapFields = fields_of(map)?;
            let (Some(service), Some(container)) =
                (map.parent_id, fields.instance_id.as_deref().and_then(parse_reference))
            else {
                continue;
            };
            owner
                .entry(container)
                .or_insert_with(|| (service, fields.dns_prefix.clone()));
            if !fields.upgrade.unwrap_or(false) {
                members.push(Member {
                    service,
                    config: fields.dns_prefix,
                    container,
                });
            }
        }
        members.sort_by_key(|member| member.container);
        let mut ports: HashMap<ResourceId, Vec<PortFields>> = HashMap::new();
        for port in &rows.ports {
            if let Some(container) = port.parent_id {
                ports.entry(container).or_default().push(fields_of(port)?);
            }
        }
        let mut hosts = HashMap::new();
        for host in &rows.hosts {
            hosts.insert(host.id, (host, fields_of(host)?));
        }
        Ok(Self {
            instances: by_id(&rows.instances),
            services: by_id(&rows.services),
            stacks: by_id(&rows.stacks),
            hosts,
            networks: rows.networks.iter().map(|row| (row.id, row.uuid.as_str())).collect(),
            ports,
            members,
            owner,
        })
    }

    fn agent_ip(&self, host: ResourceId) -> Option<String> {
        self.hosts.get(&host)?.1.agent_ip_address.clone()
    }
}

fn by_id(rows: &[Resource]) -> HashMap<ResourceId, &Resource> {
    rows.iter().map(|row| (row.id, row)).collect()
}

/// A row's own fields, as far as they are read here.
pub(super) fn fields_of<T: DeserializeOwned>(row: &Resource) -> Result<T> {
    serde_json::from_str(&row.fields).map_err(|e| Error::internal(format!("reading {} {}", row.kind, row.id), e))
}

fn each<T>(rows: &[Resource], made: impl Fn(&Resource) -> Result<T>) -> Result<BTreeMap<String, T>> {
    rows.iter().map(|row| Ok((row.uuid.clone(), made(row)?))).collect()
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerFields {
    external_id: Option<String>,
    primary_ip_address: Option<String>,
    primary_network_id: Option<String>,
    create_index: Option<i64>,
    start_count: Option<i64>,
    system: Option<bool>,
}

/// None for one that has no place, or no network, or that goes.
pub(super) fn container(index: &Index<'_>, row: &Resource) -> Result<Option<names::Container>> {
    let launch = launch_of(row)?;
    let goes = matches!(plan_state(row.state), InstanceState::Removing | InstanceState::Broken);
    let mode = launch.network_mode.as_deref().unwrap_or("none");
    let Some((host_id, (host, _))) = row.host_id.and_then(|id| Some((id, index.hosts.get(&id)?))) else {
        return Ok(None);
    };
    if goes || mode == "none" {
        return Ok(None);
    }
    let fields: ContainerFields = fields_of(row)?;
    let note: InstanceNotes = notes(row);
    let target = launch.network_container_id.as_deref().and_then(parse_reference);
    let target = target
        .filter(|_| mode == "container")
        .and_then(|id| index.instances.get(&id));
    let primary_ip = match (mode, target) {
        ("host", _) => index.agent_ip(host_id),
        ("container", target) => target.map(|row| address(row)).transpose()?.flatten(),
        _ => address(row)?,
    };
    let (service, config) = match index.owner.get(&row.id) {
        Some((service, config)) => (index.services.get(service).copied(), config.clone()),
        None => (None, None),
    };
    let stack = service
        .and_then(|service| index.stacks.get(&service.parent_id?))
        .copied();
    let names = service.zip(stack).filter(|_| row.parent_id.is_some());
    let domains = if mode == "managed" && wants_names(&launch) {
        domains(names.map(|(service, stack)| (service.name.as_str(), stack.name.as_str())))
    } else {
        Vec::new()
    };
    let network = fields.primary_network_id.as_deref().and_then(parse_reference);
    let health_check = check_of(&launch).as_ref().map(checked);
    Ok(Some(names::Container {
        name: row.name.clone(),
        uuid: row.uuid.clone(),
        external_id: fields.external_id.unwrap_or_default(),
        hostname: launch.hostname.clone().filter(|name| !name.is_empty()),
        host_uuid: host.uuid.clone(),
        state: row.state.to_string(),
        health_state: Some(row.health.clone()).filter(|health| !health.is_empty()),
        // The server that runs on it checks it.
        health_check_hosts: health_check.iter().map(|_| host.uuid.clone()).collect(),
        health_check,
        ips: primary_ip.iter().cloned().collect(),
        primary_ip,
        primary_mac_address: hardware_address(row, mode, target),
        managed: mode == "managed",
        host_network: mode == "host",
        network_from_container_uuid: target.map(|target| target.uuid.clone()),
        network_uuid: network
            .and_then(|id| index.networks.get(&id))
            .map(|uuid| (*uuid).to_owned()),
        dns: launch
            .dns
            .iter()
            .flatten()
            .filter(|ip| *ip != NAME_SERVER)
            .cloned()
            .collect(),
        dns_search: search_list(&launch, &domains),
        ports: published(index, row, host_id),
        labels: launch.labels.clone().unwrap_or_default(),
        links: links(index, &launch),
        service_uuid: service.map(|service| service.uuid.clone()),
        service_name: service.map(|service| config.unwrap_or_else(|| service.name.clone())),
        service_index: (note.index > 0).then(|| note.index.to_string()),
        stack_uuid: stack.map(|stack| stack.uuid.clone()),
        stack_name: stack.map(|stack| stack.name.clone()),
        create_index: fields.create_index,
        start_count: fields.start_count,
        memory_reservation: launch.memory_reservation,
        milli_cpu_reservation: launch.milli_cpu_reservation,
        system: fields.system.unwrap_or(false) || is_system(stack)?,
    }))
}

/// What a container has on its network, whether it runs or not.
fn address(row: &Resource) -> Result<Option<String>> {
    let held = notes::<InstanceNotes>(row).ip;
    Ok(held.or(fields_of::<ContainerFields>(row)?.primary_ip_address))
}

/// The hardware address of a container: on another's network the other's, on the host's none that is told.
fn hardware_address(row: &Resource, mode: &str, target: Option<&&Resource>) -> Option<String> {
    match (mode, target) {
        ("host", _) => None,
        ("container", target) => notes::<InstanceNotes>(target?).mac,
        _ => notes::<InstanceNotes>(row).mac,
    }
}

fn is_system(stack: Option<&Resource>) -> Result<bool> {
    let fields = stack.map(fields_of::<StackFields>).transpose()?;
    Ok(fields.and_then(|fields| fields.system).unwrap_or(false))
}

fn published(index: &Index<'_>, row: &Resource, host: ResourceId) -> Vec<names::Port> {
    let host_ip = index.agent_ip(host).unwrap_or_default();
    let ports = index.ports.get(&row.id).into_iter().flatten();
    let published = ports.filter_map(|port| {
        Some(names::Port {
            ip: port
                .bind_address
                .clone()
                .filter(|ip| !matches!(ip.as_str(), "" | "0.0.0.0" | "::")),
            host_ip: host_ip.clone(),
            public: port.public_port?,
            private: port.private_port?,
            protocol: port.protocol.clone().unwrap_or_else(|| "tcp".to_owned()),
        })
    });
    published.collect()
}

/// A container's own links to others, which are there.
fn links(index: &Index<'_>, launch: &LaunchConfig) -> BTreeMap<String, String> {
    let links = launch.instance_links.iter().flatten();
    let known = links.filter_map(|(alias, wire)| {
        let target = index.instances.get(&parse_reference(wire)?)?;
        Some((alias.clone(), target.uuid.clone()))
    });
    known.collect()
}

/// What containers are told of their check: also of one by a command, and of one that has no port.
pub(super) fn check_of(launch: &LaunchConfig) -> Option<HealthCheck> {
    launch.check().or_else(|| launch.health_check.clone())
}

pub(super) fn checked(check: &HealthCheck) -> names::HealthCheck {
    names::HealthCheck {
        response_timeout: check.response_timeout,
        interval: check.interval,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        request_line: check.request_line.clone().filter(|line| !line.is_empty()),
        port: check.port.map(i64::from),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StackFields {
    pub(super) system: Option<bool>,
}

pub(super) fn stack(row: &Resource) -> Result<names::Stack> {
    let fields: StackFields = fields_of(row)?;
    Ok(names::Stack {
        name: row.name.clone(),
        uuid: row.uuid.clone(),
        system: fields.system.unwrap_or(false),
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostFields {
    hostname: Option<String>,
    agent_ip_address: Option<String>,
    agent_state: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
    memory: Option<i64>,
    milli_cpu: Option<i64>,
    local_storage_mb: Option<i64>,
}

pub(super) fn host(row: &Resource) -> Result<names::Host> {
    let fields: HostFields = fields_of(row)?;
    let hostname = fields.hostname.unwrap_or_default();
    let labels = fields.labels.unwrap_or_default().into_iter();
    Ok(names::Host {
        name: if row.name.is_empty() {
            hostname.clone()
        } else {
            row.name.clone()
        },
        hostname,
        uuid: row.uuid.clone(),
        host_id: row.id.0,
        agent_ip: fields.agent_ip_address.unwrap_or_default(),
        agent_state: fields.agent_state.unwrap_or_else(|| row.state.to_string()),
        state: row.state.to_string(),
        labels: labels.map(|(key, value)| (key, value.unwrap_or_default())).collect(),
        memory: fields.memory,
        milli_cpu: fields.milli_cpu,
        local_storage_mb: fields.local_storage_mb,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NetworkFields {
    host_ports: Option<bool>,
    network_driver_id: Option<String>,
    metadata: Option<Map<String, Value>>,
    default_policy_action: Option<String>,
    policy: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProjectFields {
    default_network_id: Option<String>,
}

pub(super) fn networks(rows: &Rows) -> Result<BTreeMap<String, names::Network>> {
    let project: ProjectFields = fields_of(&rows.project)?;
    let default = project.default_network_id.as_deref().and_then(parse_reference);
    // A project that names none has the one that is made with it.
    let own = || rows.networks.iter().find(|row| row.kind == "network").map(|row| row.id);
    let default = default.or_else(own);
    each(&rows.networks, |row| {
        let fields: NetworkFields = fields_of(row)?;
        Ok(names::Network {
            name: row.name.clone(),
            uuid: row.uuid.clone(),
            is_default: Some(row.id) == default,
            // The one that no driver brought is the engine's bridge, from which ports are published.
            host_ports: fields.host_ports.unwrap_or(false)
                || row.kind == "network" && fields.network_driver_id.is_none(),
            metadata: fields.metadata.unwrap_or_default(),
            default_policy_action: fields.default_policy_action,
            policy: fields.policy,
        })
    })
}
