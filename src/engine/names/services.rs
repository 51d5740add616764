//! Services in the table, and their sidekicks, which are services of their own there.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::network_table::{self as names, service_key};
use crate::model::{Resource, ResourceId, Result};

use super::rows::Rows;
use super::table::{Index, StackFields, check_of, checked, fields_of};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceFields {
    launch_config: Option<LaunchConfig>,
    secondary_launch_configs: Option<Vec<LaunchConfig>>,
    metadata: Option<Map<String, Value>>,
    external_ip_addresses: Option<Vec<String>>,
    hostname: Option<String>,
    vip: Option<String>,
    fqdn: Option<String>,
    health_check: Option<crate::model::launch::HealthCheck>,
    lb_config: Option<Value>,
    scale: Option<i64>,
    create_index: Option<i64>,
    system: Option<bool>,
}

/// Those that are wanted, by key. `there` says the uuid of a container that is told of.
pub(super) fn services(
    rows: &Rows,
    index: &Index<'_>,
    there: impl Fn(&ResourceId) -> Option<String>,
    is_wanted: impl Fn(&Resource) -> bool,
) -> Result<BTreeMap<String, names::Service>> {
    let links = links(rows, index)?;
    let members = members(index, there);
    let mut all = BTreeMap::new();
    for row in rows.services.iter().filter(|row| is_wanted(row)) {
        let Some(stack) = row.parent_id.and_then(|id| index.stacks.get(&id)) else {
            continue;
        };
        let fields: ServiceFields = fields_of(row)?;
        let secondaries = fields.secondary_launch_configs.as_deref().unwrap_or_default();
        let sidekicks: Vec<String> = secondaries.iter().filter_map(|config| config.name.clone()).collect();
        let containers_of = |config: Option<&str>| {
            let key = (row.id, config.map(str::to_owned));
            members.get(&key).cloned().unwrap_or_default()
        };
        let primary_service_name = if sidekicks.is_empty() {
            String::new()
        } else {
            row.name.clone()
        };
        let is_system = fields_of::<StackFields>(stack)?.system.unwrap_or(false);
        let primary = names::Service {
            name: row.name.clone(),
            uuid: row.uuid.clone(),
            kind: row.kind.clone(),
            state: row.state.to_string(),
            stack_uuid: stack.uuid.clone(),
            stack_name: stack.name.clone(),
            primary_service_name,
            sidekicks,
            containers: containers_of(None),
            links: links.get(&row.id).map(|links| links.last.clone()).unwrap_or_default(),
            more_links: links.get(&row.id).map(|links| links.others.clone()).unwrap_or_default(),
            metadata: fields.metadata.unwrap_or_default(),
            external_ips: fields.external_ip_addresses.unwrap_or_default(),
            hostname: fields.hostname.filter(|name| !name.is_empty()),
            vip: fields.vip.filter(|vip| !vip.is_empty()),
            fqdn: fields.fqdn,
            lb_config: fields.lb_config.filter(|config| !config.is_null()),
            scale: fields.scale,
            create_index: fields.create_index,
            token: rows.tokens.get(&row.id).cloned(),
            system: fields.system.unwrap_or(false) || is_system,
            // What an external service is checked by stands in the service itself.
            health_check: fields.health_check.as_ref().map(checked),
            ..names::Service::default()
        };
        for config in secondaries {
            let Some(name) = &config.name else { continue };
            let sidekick = names::Service {
                name: name.clone(),
                containers: containers_of(Some(name)),
                health_check: None,
                ..primary.clone()
            };
            all.insert(service_key(&row.uuid, name), with_config(sidekick, config));
        }
        let primary = match &fields.launch_config {
            Some(config) => with_config(primary, config),
            None => primary,
        };
        all.insert(service_key(&row.uuid, &row.name), primary);
    }
    Ok(all)
}

/// What a launch configuration says of a service.
fn with_config(service: names::Service, config: &LaunchConfig) -> names::Service {
    names::Service {
        labels: config.labels.clone().unwrap_or_default(),
        ports: config.ports.clone().unwrap_or_default(),
        expose: config.expose.clone().unwrap_or_default(),
        health_check: check_of(config).as_ref().map(checked).or(service.health_check.clone()),
        ..service
    }
}

/// The uuids of the containers of each service and sidekick that are told of.
fn members(
    index: &Index<'_>,
    there: impl Fn(&ResourceId) -> Option<String>,
) -> HashMap<(ResourceId, Option<String>), Vec<String>> {
    let mut members: HashMap<_, Vec<String>> = HashMap::new();
    for member in &index.members {
        if let Some(uuid) = there(&member.container) {
            let of = members.entry((member.service, member.config.clone())).or_default();
            of.push(uuid);
        }
    }
    members
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LinkFields {
    consumed_service_id: Option<String>,
    consumed_service: Option<String>,
}

/// The service that a link leads to; none if it was made by a name.
pub(super) fn linked_by_id(map: &Resource) -> Result<Option<ResourceId>> {
    let fields: LinkFields = fields_of(map)?;
    Ok(fields.consumed_service_id.as_deref().and_then(parse_reference))
}

/// The links of one service, by `stack/service`.
#[derive(Default)]
struct Links {
    /// The name of the last one to each target: metadata has one.
    last: BTreeMap<String, String>,
    /// The names of those before it.
    others: BTreeMap<String, Vec<String>>,
}

/// The links of each service, to services that are there.
fn links(rows: &Rows, index: &Index<'_>) -> Result<HashMap<ResourceId, Links>> {
    let by_name: HashMap<(ResourceId, String), &Resource> = rows
        .services
        .iter()
        .filter_map(|row| Some(((row.parent_id?, row.name.to_lowercase()), row)))
        .collect();
    let mut links: HashMap<ResourceId, Links> = HashMap::new();
    for map in &rows.consume_maps {
        let Some(consumer) = map.parent_id.and_then(|id| index.services.get(&id)) else {
            continue;
        };
        let fields: LinkFields = fields_of(map)?;
        let target = match (&fields.consumed_service_id, &fields.consumed_service) {
            (Some(wire), _) => parse_reference(wire).and_then(|id| index.services.get(&id).copied()),
            (None, Some(named)) => named_service(rows, &by_name, consumer, named),
            (None, None) => None,
        };
        let Some((target, stack)) = target.and_then(|row| Some((row, index.stacks.get(&row.parent_id?)?))) else {
            continue;
        };
        let of = links.entry(consumer.id).or_default();
        let path = format!("{}/{}", stack.name, target.name);
        if let Some(before) = of.last.insert(path.clone(), map.name.clone()) {
            of.others.entry(path).or_default().push(before);
        }
    }
    Ok(links)
}

/// What a link means that was made by a name: `db` of the same stack, or `stack/db`.
fn named_service<'r>(
    rows: &Rows,
    by_name: &HashMap<(ResourceId, String), &'r Resource>,
    consumer: &Resource,
    named: &str,
) -> Option<&'r Resource> {
    let (stack, name) = match named.split_once('/') {
        None => (consumer.parent_id?, named),
        Some((stack, name)) => {
            let found = rows.stacks.iter().find(|row| row.name.eq_ignore_ascii_case(stack));
            (found?.id, name)
        }
    };
    by_name.get(&(stack, name.to_lowercase())).copied()
}
