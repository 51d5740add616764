//! Fields of hosts, registrations and tokens that are found in other rows.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::core::{Core, Derived, add_ids, of_root};
use crate::model::{Fields, Resource, ResourceId, Result, State};

/// The computed fields of what this room has.
pub(crate) fn derive(core: &Core, rows: &[&Resource], derived: &mut Derived) -> Result<()> {
    let hosts = of_root(rows, "host");
    if !hosts.is_empty() {
        let on = core.store.on_hosts(&hosts, "instance")?;
        let pairs = on.into_iter().filter_map(|s| Some((s.host_id?, s.id))).collect();
        add_ids(derived, "instanceIds", &hosts, core.grouped(pairs, "container"));
        core.derive_endpoints(rows, &hosts, derived)?;
    }
    core.derive_registrations(rows, derived)?;
    core.derive_tokens(rows, derived)
}

/// What is read of a port.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Bound {
    public_port: Option<u16>,
    bind_address: Option<String>,
}

impl Core {
    /// `publicEndpoints` of hosts: the ports that containers there have published. Three queries, however many.
    fn derive_endpoints(&self, rows: &[&Resource], hosts: &[ResourceId], derived: &mut Derived) -> Result<()> {
        let mut ports = self.store.on_hosts(hosts, "port")?;
        ports.retain(|port| port.state == State::ACTIVE);
        if ports.is_empty() {
            return Ok(());
        }
        let ports = self
            .store
            .many(&ports.into_iter().map(|port| port.id).collect::<Vec<_>>())?;
        let owners: Vec<ResourceId> = ports.iter().filter_map(|port| port.parent_id).collect();
        let services: HashMap<ResourceId, Option<ResourceId>> = self
            .store
            .many(&owners)?
            .into_iter()
            .map(|row| (row.id, row.parent_id))
            .collect();
        let mut addresses: HashMap<ResourceId, String> = HashMap::new();
        for host in rows.iter().filter(|row| row.root == "host") {
            if let Some(address) = Fields::parse(&host.fields)?.text("agentIpAddress") {
                addresses.insert(host.id, address);
            }
        }
        let mut endpoints: HashMap<ResourceId, Vec<Value>> = HashMap::new();
        for port in ports {
            let bound: Bound = serde_json::from_str(&port.fields).unwrap_or_default();
            let (Some(host), Some(owner), Some(public)) = (port.host_id, port.parent_id, bound.public_port) else {
                continue;
            };
            let address = bound.bind_address.filter(|address| !address.is_empty());
            let service = services.get(&owner).copied().flatten();
            endpoints.entry(host).or_default().push(json!({
                "type": "publicEndpoint",
                "hostId": self.wire_id("host", host),
                "instanceId": self.wire_id("container", owner),
                "ipAddress": address.or_else(|| addresses.get(&host).cloned()),
                "port": public,
                "serviceId": service.map(|id| self.wire_id("service", id)),
            }));
        }
        for (host, list) in endpoints {
            derived
                .entry(host)
                .or_default()
                .push(("publicEndpoints", Value::Array(list).to_string()));
        }
        Ok(())
    }
}
