//! The objects of metadata, field by field, as each edition shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::network_table::{HealthCheck, Host, Network, Port, Service, Stack};
use crate::netd::index::Index;

/// A form in which metadata is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// `2015-07-25`: services show the names of their containers, stacks those of their services.
    First,
    /// `2015-12-19`: both show them whole.
    Second,
    /// `2016-07-29`: names are lower-cased.
    Third,
}

impl Edition {
    /// The editions, by name. `latest` is the third.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("2015-07-25", Self::First),
        ("2015-12-19", Self::Second),
        ("2016-07-29", Self::Third),
        ("latest", Self::Third),
    ];

    /// The edition of this name.
    pub fn find(name: &str) -> Option<Self> {
        let (_, edition) = Self::NAMES.iter().find(|(known, _)| *known == name)?;
        Some(*edition)
    }

    /// A name of a container, service or stack.
    pub fn name(self, name: &str) -> String {
        match self {
            Self::First | Self::Second => name.to_owned(),
            Self::Third => name.to_lowercase(),
        }
    }

    /// Whether a name of a container, service or stack is this one, as it is shown.
    pub fn is_called(self, name: &str, asked: &str) -> bool {
        match self {
            Self::First | Self::Second => name == asked,
            // Most are not, and most are plain.
            Self::Third if name.is_ascii() => {
                name.len() == asked.len() && name.bytes().map(|b| b.to_ascii_lowercase()).eq(asked.bytes())
            }
            Self::Third => name.to_lowercase() == asked,
        }
    }
}

/// Whether a service's token is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Shown,
    Hidden,
}

/// Makes objects of one edition.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'i> {
    index: &'i Index,
    edition: Edition,
}

impl<'i> Objects<'i> {
    /// Objects of this table.
    pub fn new(index: &'i Index, edition: Edition) -> Self {
        Self { index, edition }
    }

    fn environment(&self) -> &'i str {
        &self.index.rest().environment.uuid
    }

    /// A container.
    pub fn container(&self, id: u32) -> Option<Value> {
        let c = self.index.container(id)?;
        let name = |name: &Option<String>| name.as_deref().map(|n| self.edition.name(n));
        let is_whole =
            c.service_name.is_some() && c.service_uuid.is_some() && c.stack_name.is_some() && c.stack_uuid.is_some();
        // One that was adopted says nothing of the service that counts it in.
        let service = if is_whole { None } else { self.service_of(id) };
        let service = service.and_then(|service| self.index.service(service));
        let or = |own: &Option<String>, of: fn(&Service) -> &String| {
            own.clone().or_else(|| service.as_ref().map(of).cloned())
        };
        Some(json!({
            "create_index": c.create_index,
            "dns": c.dns,
            "dns_search": c.dns_search,
            "environment_uuid": self.environment(),
            "external_id": c.external_id,
            "health_check": check(c.health_check.as_ref()),
            "health_check_hosts": c.health_check_hosts,
            "health_state": c.health_state,
            "host_uuid": c.host_uuid,
            "hostname": c.hostname,
            "ips": c.ips,
            "labels": c.labels,
            "links": c.links,
            "memory_reservation": c.memory_reservation,
            "metadata_kind": "container",
            "milli_cpu_reservation": c.milli_cpu_reservation,
            "name": self.edition.name(&c.name),
            "network_from_container_uuid": c.network_from_container_uuid,
            "network_uuid": c.network_uuid,
            "ports": c.ports.iter().map(|p| self.port(p)).collect::<Vec<_>>(),
            "primary_ip": c.primary_ip,
            "primary_mac_address": c.primary_mac_address,
            "service_index": c.service_index,
            "service_name": name(&or(&c.service_name, |s| &s.name)),
            "service_uuid": or(&c.service_uuid, |s| &s.uuid),
            "stack_name": name(&or(&c.stack_name, |s| &s.stack_name)),
            "stack_uuid": or(&c.stack_uuid, |s| &s.stack_uuid),
            "start_count": c.start_count,
            "state": c.state,
            "system": c.system,
            "uuid": c.uuid,
        }))
    }

    /// The service that a container is of, or that counts it in.
    pub fn service_of(&self, container: u32) -> Option<u32> {
        self.index.services_of(container).first().copied()
    }

    /// `0.0.0.0:8080:80/tcp`; in earlier editions a port on all addresses shows the host's.
    fn port(&self, port: &Port) -> String {
        let everywhere = match self.edition {
            Edition::First | Edition::Second => port.host_ip.as_str(),
            Edition::Third => "0.0.0.0",
        };
        let bound = port.ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "0.0.0.0");
        let address = bound.unwrap_or(everywhere);
        format!("{address}:{}:{}/{}", port.public, port.private, port.protocol)
    }

    /// A service as everybody sees it.
    pub fn service(&self, id: u32) -> Option<Value> {
        self.service_and_token(id, Token::Hidden)
    }

    /// A service as its own containers see it.
    pub fn service_with_token(&self, id: u32) -> Option<Value> {
        self.service_and_token(id, Token::Shown)
    }

    fn service_and_token(&self, id: u32, token: Token) -> Option<Value> {
        let s = self.index.service(id)?;
        let name = |name: &String| self.edition.name(name);
        let token = s.token.as_ref().filter(|_| token == Token::Shown);
        let containers = self.index.containers_of(id);
        let containers: Vec<Value> = match self.edition {
            Edition::First => containers
                .filter_map(|id| Some(self.index.container_name(id)?.into()))
                .collect(),
            Edition::Second | Edition::Third => containers.filter_map(|id| self.container(id)).collect(),
        };
        let links: BTreeMap<String, &String> = s.links.iter().map(|(path, link)| (name(path), link)).collect();
        Some(json!({
            "containers": containers,
            "create_index": s.create_index,
            "environment_uuid": self.environment(),
            "expose": s.expose,
            "external_ips": s.external_ips,
            "fqdn": s.fqdn,
            "health_check": check(s.health_check.as_ref()),
            "hostname": s.hostname,
            "kind": s.kind,
            "labels": s.labels,
            "lb_config": s.lb_config,
            "links": links,
            "metadata": s.metadata,
            "metadata_kind": "service",
            "name": name(&s.name),
            "ports": s.ports,
            "primary_service_name": name(&s.primary_service_name),
            "scale": s.scale,
            "sidekicks": s.sidekicks.iter().map(name).collect::<Vec<_>>(),
            "stack_name": name(&s.stack_name),
            "stack_uuid": s.stack_uuid,
            "state": s.state,
            "system": s.system,
            "token": token,
            "uuid": s.uuid,
            "vip": s.vip,
        }))
    }

    /// A stack.
    pub fn stack(&self, stack: &Stack) -> Value {
        let services = self.index.services_of_stack(&stack.uuid);
        let services: Vec<Value> = match self.edition {
            Edition::First => services
                .filter_map(|id| Some(self.index.service_name(id)?.into()))
                .collect(),
            Edition::Second | Edition::Third => services.filter_map(|id| self.service(id)).collect(),
        };
        json!({
            "environment_name": self.index.rest().environment.name,
            "environment_uuid": self.environment(),
            "metadata_kind": "stack",
            "name": self.edition.name(&stack.name),
            "services": services,
            "system": stack.system,
            "uuid": stack.uuid,
        })
    }

    /// A host.
    pub fn host(&self, host: &Host) -> Value {
        let mut object = Map::new();
        if self.edition != Edition::Third {
            object.insert("hostId".to_owned(), host.host_id.into());
        }
        let fields = json!({
            "agent_ip": host.agent_ip,
            "agent_state": host.agent_state,
            "environment_uuid": self.environment(),
            "hostname": host.hostname,
            "labels": host.labels,
            "local_storage_mb": host.local_storage_mb,
            "memory": host.memory,
            "metadata_kind": "host",
            "milli_cpu": host.milli_cpu,
            "name": host.name,
            "state": host.state,
            "uuid": host.uuid,
        });
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        object.into()
    }

    /// A network.
    pub fn network(&self, network: &Network) -> Value {
        json!({
            "default_policy_action": network.default_policy_action,
            "environment_uuid": self.environment(),
            "host_ports": network.host_ports,
            "is_default": network.is_default,
            "metadata": network.metadata,
            "metadata_kind": "network",
            "name": network.name,
            "policy": network.policy,
            "uuid": network.uuid,
        })
    }
}

fn check(check: Option<&HealthCheck>) -> Value {
    let Some(check) = check else { return Value::Null };
    json!({
        "healthy_threshold": check.healthy_threshold,
        "interval": check.interval,
        "port": check.port,
        "request_line": check.request_line,
        "response_timeout": check.response_timeout,
        "unhealthy_threshold": check.unhealthy_threshold,
    })
}
