//! Ports of the mesh as launch configurations say them: drawn, kept over upgrades, and one service's alone.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::engine::core::DEFAULT_PORTS;
use crate::model::own_labels::{MESH_PORTS, MeshPort, parse_mesh_ports, write_mesh_ports};
use crate::model::{Error, Fields, ResourceId, Result, State};
use crate::store::Tx;

/// Where ports of the mesh are drawn from, as a swarm does.
const OF_A_SWARM: (u16, u16) = (30_000, 32_767);

/// Where ports of the mesh are drawn from in a project whose other ports are drawn from `project`: a range that somebody chose is
/// that of both.
pub(super) fn range(project: (u16, u16)) -> (u16, u16) {
    match project == DEFAULT_PORTS {
        true => OF_A_SWARM,
        false => project,
    }
}

/// The ports of the mesh that a launch configuration asks for.
pub(super) fn of(config: &Map<String, Value>) -> Vec<MeshPort> {
    let text = config.get("labels").and_then(|labels| labels.get(MESH_PORTS)?.as_str());
    text.map_or(Vec::new(), parse_mesh_ports)
}

/// Writes them into a launch configuration that asks for some.
pub(super) fn put(config: &mut Map<String, Value>, ports: &[MeshPort]) {
    let labels = config.get_mut("labels").and_then(Value::as_object_mut);
    if let Some(label) = labels.and_then(|labels| labels.get_mut(MESH_PORTS)) {
        *label = json!(write_mesh_ports(ports));
    }
}

/// A port that may be any keeps the one that the old configuration had for the same port of the containers.
pub(super) fn inherit(config: &mut Map<String, Value>, old: &Map<String, Value>) {
    let (mut ports, mut old) = (of(config), of(old));
    let said: BTreeSet<u16> = ports.iter().filter_map(|port| port.public).collect();
    old.retain(|port| port.public.is_some_and(|public| !said.contains(&public)));
    for port in ports.iter_mut().filter(|port| port.public.is_none()) {
        let at = old.iter().position(|old| old.private == port.private);
        port.public = at.and_then(|at| old.remove(at).public);
    }
    put(config, &ports);
}

/// A port of the mesh is that of one service of a project: each host has it.
///
/// # Errors
/// 422 `NotUnique` that names the service which has one of these.
pub(super) fn check_free(
    tx: &mut Tx<'_>,
    account: Option<ResourceId>,
    own: Option<ResourceId>,
    fields: &Fields,
) -> Result<()> {
    let wanted = ports_in(fields)?;
    if wanted.is_empty() {
        return Ok(());
    }
    for other in tx.all("service", account)? {
        // Most services have none, and reading their fields would be most of the work.
        if Some(other.id) == own || other.state == State::REMOVING || !other.fields.contains(MESH_PORTS) {
            continue;
        }
        let taken = ports_in(&Fields::parse(&other.fields)?)?;
        if let Some(port) = wanted.intersection(&taken).next() {
            let why = format!("port {port} of the mesh is published by the service {}", other.name);
            return Err(Error::invalid("NotUnique", "launchConfig.labels").with_message(why));
        }
    }
    Ok(())
}

fn ports_in(fields: &Fields) -> Result<BTreeSet<u16>> {
    if !fields.get("launchConfig").is_some_and(|text| text.contains(MESH_PORTS)) {
        return Ok(BTreeSet::new());
    }
    let config: Option<Map<String, Value>> = fields.read("launchConfig")?;
    let ports = config.iter().flat_map(of);
    Ok(ports.filter_map(|port| port.public).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(ports: &str) -> Map<String, Value> {
        let labels = json!({MESH_PORTS: ports, "other": "label"});
        Map::from_iter([("labels".to_owned(), labels)])
    }

    #[test]
    fn a_port_that_may_be_any_stays_what_it_became() {
        for (new, old, expected) in [
            ("80", "30000:80", "30000:80"),
            ("80,80", "30000:80", "30000:80,80"),
            ("30000:81,80", "30000:80", "30000:81,80"),
            ("8080:80", "30000:80", "8080:80"),
            ("81", "30000:80", "81"),
        ] {
            let mut new = config(new);
            inherit(&mut new, &config(old));
            assert_eq!(new, config(expected));
        }
        let mut without = Map::new();
        inherit(&mut without, &config("30000:80"));
        assert_eq!(without, Map::new());
    }

    #[test]
    fn they_are_drawn_as_in_a_swarm_unless_somebody_chose_a_range() {
        assert_eq!(range(DEFAULT_PORTS), (30_000, 32_767));
        assert_eq!(range((100, 200)), (100, 200));
    }
}
