//! Public ports that nobody chose: drawn from the project's range.

use std::collections::BTreeSet;

use crate::engine::core::{Core, DEFAULT_PORTS, notes};
use crate::model::launch::LaunchConfig;
use crate::model::port::PortSpec;
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::store::Tx;

use super::mesh_ports;
use super::snapshot::ServiceNotes;

impl Core {
    /// Ports at the beginning of the ranges that a program of this machine has, if the service draws any and an engine
    /// of this machine would bind them.
    pub(crate) async fn busy_ports(&self, fields: &Fields, range: (u16, u16)) -> Result<BTreeSet<u16>> {
        let config: Option<LaunchConfig> = fields.read("launchConfig")?;
        let config = config.unwrap_or_default();
        let mut own = config.ports.iter().flatten();
        let draws = own.any(|p| PortSpec::parse(p).is_ok_and(|p| p.public.is_none()));
        let mesh = crate::model::own_labels::mesh_ports(&config.labels.unwrap_or_default());
        let draws_mesh = mesh.iter().any(|port| port.public.is_none());
        let ranges: Vec<(u16, u16)> = [(draws, range), (draws_mesh, mesh_ports::range(range))]
            .into_iter()
            .filter_map(|(draws, range)| draws.then_some(range))
            .collect();
        if ranges.is_empty() || self.runtimes().iter().all(|(_, r)| !r.capabilities().shares_our_ports) {
            return Ok(BTreeSet::new());
        }
        let probing = tokio::task::spawn_blocking(move || {
            let probed = |(first, last): (u16, u16)| first..=last.min(first.saturating_add(PROBED_PORTS));
            let ports = ranges.into_iter().flat_map(probed);
            ports
                .filter(|port| std::net::TcpListener::bind(("0.0.0.0", *port)).is_err())
                .collect()
        });
        probing.await.map_err(|e| Error::internal("looking for free ports", e))
    }

    pub(crate) fn port_range(&self, account: Option<ResourceId>) -> Result<(u16, u16)> {
        let project = account.map(|a| self.store.find(a)).transpose()?.flatten();
        let fields = project
            .map(|p| Fields::parse(&p.fields))
            .transpose()?
            .unwrap_or_default();
        let range: Option<PortRange> = fields.read("servicesPortRange")?;
        Ok(range.map_or(DEFAULT_PORTS, |r| {
            (
                r.start_port.unwrap_or(DEFAULT_PORTS.0),
                r.end_port.unwrap_or(DEFAULT_PORTS.1),
            )
        }))
    }
}

/// So many ports at the beginning of a range are tried: more than a project's services draw.
const PROBED_PORTS: u16 = 512;

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortRange {
    start_port: Option<u16>,
    end_port: Option<u16>,
}

/// What drawing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    /// Every port was chosen by somebody.
    Nothing,
    /// The ports stand in the fields now.
    Ports,
    /// The range of the project has no more.
    Exhausted,
}

/// What a client reads when the range has no more.
pub(super) const EXHAUSTED: &str = "Not enough environment ports";

/// Gives each port specification without a public part one of the project's range, the same for all containers, and each such port
/// of the mesh one of the mesh's.
pub(super) fn draw_ports(
    tx: &mut Tx<'_>,
    row: &Resource,
    range: (u16, u16),
    busy: &BTreeSet<u16>,
    fields: &mut Fields,
    note: &mut ServiceNotes,
) -> Result<Drawn> {
    let lacks = |config: &serde_json::Map<String, serde_json::Value>| {
        ports_of(config)
            .iter()
            .any(|p| PortSpec::parse(p).is_ok_and(|p| p.public.is_none()))
            || mesh_ports::of(config).iter().any(|port| port.public.is_none())
    };
    let mut configs: Vec<serde_json::Map<String, serde_json::Value>> = Vec::new();
    configs.extend(fields.read("launchConfig")?);
    let has_primary = !configs.is_empty();
    configs.extend(
        fields
            .read::<Vec<serde_json::Map<String, serde_json::Value>>>("secondaryLaunchConfigs")?
            .unwrap_or_default(),
    );
    if !configs.iter().any(lacks) {
        return Ok(Drawn::Nothing);
    }
    let mut used: BTreeSet<u16> = BTreeSet::new();
    for other in tx.all("service", row.account_id)? {
        used.extend(notes::<ServiceNotes>(&other).drawn_ports);
        let config: Option<LaunchConfig> = Fields::parse(&other.fields)?.read("launchConfig")?;
        let config = config.unwrap_or_default();
        let own = config.ports.iter().flatten();
        used.extend(own.filter_map(|p| PortSpec::parse(p).ok()?.public));
        let mesh = crate::model::own_labels::mesh_ports(&config.labels.unwrap_or_default());
        used.extend(mesh.iter().filter_map(|port| port.public));
    }
    for port in tx.all("port", row.account_id)? {
        used.extend(Fields::parse(&port.fields)?.read::<u16>("publicPort")?);
    }
    let mut draw = |(first, last): (u16, u16)| {
        let port = (first..=last).find(|p| !used.contains(p) && !busy.contains(p));
        used.extend(port);
        note.drawn_ports.extend(port);
        port
    };
    for config in &mut configs {
        let mut specs = Vec::new();
        for text in ports_of(config) {
            let mut spec = PortSpec::parse(&text)?;
            if spec.public.is_none() {
                spec.public = draw(range);
                if spec.public.is_none() {
                    return Ok(Drawn::Exhausted);
                }
            }
            specs.push(spec.to_string());
        }
        if !specs.is_empty() {
            config.insert("ports".into(), serde_json::json!(specs));
        }
        let mut mesh = mesh_ports::of(config);
        for port in mesh.iter_mut().filter(|port| port.public.is_none()) {
            port.public = draw(mesh_ports::range(range));
            if port.public.is_none() {
                return Ok(Drawn::Exhausted);
            }
        }
        mesh_ports::put(config, &mesh);
    }
    if has_primary {
        let primary = configs.remove(0);
        fields.set("launchConfig", &primary)?;
    }
    fields.set("secondaryLaunchConfigs", &configs)?;
    Ok(Drawn::Ports)
}

fn ports_of(config: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    config
        .get("ports")
        .and_then(|p| serde_json::from_value(p.clone()).ok())
        .unwrap_or_default()
}
