//! The rows that a balancer's table is made of: its own, and those of whom it sends requests to. A large project has many more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

use crate::engine::access::certificate_key;
use crate::engine::core::{Core, is_node, notes, publishes_for};
use crate::engine::instances::{InstanceNotes, launch_of, plan_health, plan_state};
use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::lb_config::LbConfig;
use crate::model::selector::Selector;
use crate::model::{Error, Resource, ResourceId, Result};
use crate::plan::{Health, InstanceState};

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// What the balancer is to do.
    pub(super) config: LbConfig,
    /// The labels of its launch configuration.
    pub(super) labels: BTreeMap<String, String>,
    /// Where it runs.
    pub(super) host: Option<ResourceId>,
    /// The hosts to whose containers a way leads from there: that host, and where the network is one of a cluster all others of it.
    pub(super) reached: BTreeSet<ResourceId>,
    /// Whether it publishes a service's ports of the mesh: then each container says at which port it is to be reached.
    pub(super) is_mesh: bool,
    /// Other hosts that have a balancer of the same service which is well: their addresses.
    pub(super) peers: BTreeMap<ResourceId, String>,
    /// Services by their ids, those that others stand for, too.
    pub(super) services: BTreeMap<ResourceId, Service>,
    /// Services by the selectors of rules.
    pub(super) selected: BTreeMap<String, Vec<ResourceId>>,
    /// By their ids.
    pub(super) certificates: BTreeMap<ResourceId, Pem>,
    /// Where hosts are reached.
    pub(super) addresses: BTreeMap<ResourceId, String>,
    /// Containers that nobody is to be sent to, by their uuids.
    pub(super) released: BTreeSet<String>,
}

/// A service that requests can go to.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) kind: String,
    pub(super) fields: ServiceFields,
    /// Its containers, with their launch configurations and what is noted of them.
    pub(super) members: Vec<Member>,
    /// What an alias stands for.
    pub(super) links: Vec<ResourceId>,
}

/// A container.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) row: Resource,
    pub(super) launch: LaunchConfig,
    pub(super) note: InstanceNotes,
}

/// What is read of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceFields {
    pub(super) launch_config: Option<LaunchConfig>,
    pub(super) lb_config: Option<LbConfig>,
    pub(super) external_ip_addresses: Option<Vec<String>>,
    pub(super) hostname: Option<String>,
}

/// A certificate, with its key.
#[derive(Debug, Default, Clone)]
pub(super) struct Pem {
    pub(super) cert: String,
    pub(super) chain: String,
    pub(super) key: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MapFields {
    instance_id: Option<String>,
    dns_prefix: Option<String>,
    consumed_service_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CertificateFields {
    cert: Option<String>,
    cert_chain: Option<String>,
}

fn fields_of<'r, T: Deserialize<'r>>(row: &'r Resource) -> Result<T> {
    serde_json::from_str(&row.fields).map_err(|e| Error::internal(format!("reading {} {}", row.kind, row.id), e))
}

impl Core {
    /// Reads them; none if the balancer is gone.
    pub(super) fn rows_of_balancer(&self, container: ResourceId) -> Result<Option<Rows>> {
        let Some(row) = self.store.find(container)?.filter(|row| row.removed.is_none()) else {
            return Ok(None);
        };
        let service = row.parent_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let Some(service) = service.filter(|service| service.removed.is_none()) else {
            return Ok(None);
        };
        let fields: ServiceFields = fields_of(&service)?;
        let mut rows = Rows {
            config: fields.lb_config.unwrap_or_default(),
            labels: fields
                .launch_config
                .and_then(|launch| launch.labels)
                .unwrap_or_default(),
            host: row.host_id,
            is_mesh: publishes_for(&service).is_some(),
            released: self.balancers.released(),
            ..Rows::default()
        };
        self.read_reached(&row, &mut rows)?;
        if rows.is_mesh {
            self.read_peers(&row, service.id, &mut rows)?;
        }
        self.read_selected(&service, &mut rows)?;
        let named = rows.config.port_rules.iter().flatten();
        let named = named.filter_map(|rule| parse_reference(rule.service_id.as_deref()?));
        let mut wanted: Vec<ResourceId> = named.chain(rows.selected.values().flatten().copied()).collect();
        while let Some(id) = wanted.pop() {
            if !rows.services.contains_key(&id)
                && let Some(found) = self.read_service(id, &mut rows.addresses)?
            {
                wanted.extend(&found.links);
                rows.services.insert(id, found);
            }
        }
        self.read_certificates(service.account_id, &mut rows)?;
        Ok(Some(rows))
    }

    fn read_reached(&self, own: &Resource, rows: &mut Rows) -> Result<()> {
        let Some(host) = own.host_id else { return Ok(()) };
        rows.reached.insert(host);
        if self.store.find(host)?.is_some_and(|host| is_node(&host)) {
            let hosts = self.store.all("host", own.account_id)?.into_iter();
            rows.reached.extend(hosts.filter(is_node).map(|host| host.id));
        }
        Ok(())
    }

    /// The other balancers of a service, as far as something leads there. An address that two hosts have, the balancer's own among
    /// them, leads nobody knows where, perhaps back.
    fn read_peers(&self, own: &Resource, service: ResourceId, rows: &mut Rows) -> Result<()> {
        let mut all: BTreeMap<ResourceId, IpAddr> = BTreeMap::new();
        for other in self.store.children(service, "instance")? {
            let is_well =
                plan_state(other.state) == InstanceState::Running && plan_health(&other.health) == Health::Healthy;
            // Where a way leads to the containers themselves, no balancer is needed in between.
            let is_there = |host: &ResourceId| own.host_id == Some(*host) || is_well && !rows.reached.contains(host);
            let Some(host) = other.host_id.filter(is_there) else {
                continue;
            };
            let Some(host) = self.store.find(host)?.filter(|host| host.removed.is_none()) else {
                continue;
            };
            let address = crate::model::Fields::parse(&host.fields)?.text("agentIpAddress");
            all.extend(address.and_then(|address| Some((host.id, address.parse().ok()?))));
        }
        let is_away = |address: &IpAddr| {
            let hosts = all.values().filter(|other| *other == address).count();
            hosts == 1 && !address.is_loopback() && !address.is_unspecified()
        };
        let others = all.iter().filter(|(host, _)| own.host_id != Some(**host));
        let others = others.filter(|(_, address)| is_away(address));
        rows.peers = others.map(|(host, address)| (*host, address.to_string())).collect();
        Ok(())
    }

    /// The services that rules select by labels.
    fn read_selected(&self, balancer: &Resource, rows: &mut Rows) -> Result<()> {
        let rules = rows.config.port_rules.iter().flatten();
        let texts: BTreeSet<&String> = rules.filter_map(|rule| rule.selector.as_ref()).collect();
        let texts: Vec<&String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return Ok(());
        }
        let mut selected: BTreeMap<String, Vec<ResourceId>> = BTreeMap::new();
        for row in self.store.all("service", balancer.account_id)? {
            if row.id == balancer.id {
                continue;
            }
            let fields: ServiceFields = fields_of(&row)?;
            let labels = fields
                .launch_config
                .and_then(|launch| launch.labels)
                .unwrap_or_default();
            for text in &texts {
                let Ok(selector) = Selector::parse(text, "selector") else {
                    continue;
                };
                if selector.matches(labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))) {
                    selected.entry((*text).clone()).or_default().push(row.id);
                }
            }
        }
        rows.selected = selected;
        Ok(())
    }

    fn read_service(&self, id: ResourceId, addresses: &mut BTreeMap<ResourceId, String>) -> Result<Option<Service>> {
        let Some(row) = self.store.find(id)?.filter(|row| row.removed.is_none()) else {
            return Ok(None);
        };
        let mut ids = Vec::new();
        for map in self.store.children(id, "serviceExposeMap")? {
            let fields: MapFields = fields_of(&map)?;
            if fields.dns_prefix.is_none() {
                ids.extend(fields.instance_id.as_deref().and_then(parse_reference));
            }
        }
        let mut members = Vec::new();
        for row in self.store.many(&ids)?.into_iter().filter(|row| row.removed.is_none()) {
            let (launch, note) = (launch_of(&row)?, notes::<InstanceNotes>(&row));
            if launch.network_mode.as_deref() == Some("host")
                && let Some(host) = row.host_id.filter(|host| !addresses.contains_key(host))
                && let Some(host) = self.store.find(host)?
            {
                let known = crate::model::Fields::parse(&host.fields)?.text("agentIpAddress");
                addresses.extend(known.map(|address| (host.id, address)));
            }
            members.push(Member { row, launch, note });
        }
        let mut links = Vec::new();
        if row.kind == "dnsService" {
            for map in self.store.children(id, "serviceConsumeMap")? {
                let fields: MapFields = fields_of(&map)?;
                links.extend(fields.consumed_service_id.as_deref().and_then(parse_reference));
            }
        }
        Ok(Some(Service {
            fields: fields_of(&row)?,
            kind: row.kind,
            members,
            links,
        }))
    }

    fn read_certificates(&self, project: Option<ResourceId>, rows: &mut Rows) -> Result<()> {
        let config = &rows.config;
        let wires = config
            .certificate_ids
            .iter()
            .flatten()
            .chain(&config.default_certificate_id);
        let ids: BTreeSet<ResourceId> = wires.filter_map(|wire| parse_reference(wire)).collect();
        for row in self.store.many(&ids.into_iter().collect::<Vec<_>>())? {
            let is_one = row.root == "certificate" && row.account_id == project && row.removed.is_none();
            let Some(key) = certificate_key(self, &row)?.filter(|_| is_one) else {
                continue;
            };
            let fields: CertificateFields = fields_of(&row)?;
            let pem = Pem {
                cert: fields.cert.unwrap_or_default(),
                chain: fields.cert_chain.unwrap_or_default(),
                key,
            };
            rows.certificates.insert(row.id, pem);
        }
        Ok(())
    }
}
