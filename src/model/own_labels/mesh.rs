//! The label by which ports of a service are published through the mesh: `io.drover.mesh.ports: "8080:80, 9090:9090"`.

use std::collections::{BTreeMap, BTreeSet};

use super::{bad, only_known};
use crate::model::Result;
use crate::model::launch::LaunchConfig;
use crate::model::lb_config::RESERVED_PORT;
use crate::model::port::PortSpec;

/// What all labels about the mesh begin with.
pub(super) const MESH: &str = "io.drover.mesh.";
/// Ports that each host of the project has, and that lead to all containers of the service: with commas between them.
pub const MESH_PORTS: &str = "io.drover.mesh.ports";
/// The most of them: as many as a launch configuration may publish by itself.
const MOST: usize = 64;

/// A port of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MeshPort {
    /// On each host; none means that someone still has to choose it.
    pub public: Option<u16>,
    /// In the containers.
    pub private: u16,
}

impl std::fmt::Display for MeshPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(public) = self.public {
            write!(f, "{public}:")?;
        }
        write!(f, "{}", self.private)
    }
}

/// The ports as the label has them.
pub fn write_mesh_ports(ports: &[MeshPort]) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    ports.join(",")
}

/// The ports that the label says, in its order. Labels were checked before.
pub fn mesh_ports(labels: &BTreeMap<String, String>) -> Vec<MeshPort> {
    labels.get(MESH_PORTS).map_or(Vec::new(), |text| parse_mesh_ports(text))
}

/// The same of the label's text.
pub fn parse_mesh_ports(text: &str) -> Vec<MeshPort> {
    text.split(',').filter_map(read).take(MOST).collect()
}

/// `8080:80`, `80`, either with `/tcp` or without.
fn read(text: &str) -> Option<MeshPort> {
    let spec = PortSpec::parse(text.trim()).ok()?;
    (spec.ip.is_none() && spec.protocol == "tcp").then_some(MeshPort {
        public: spec.public,
        private: spec.private,
    })
}

/// Checks the label of a primary launch configuration.
///
/// # Errors
/// 422 that names the label if it says what is no port, one port twice, or one that the configuration publishes itself.
pub fn check_mesh(launch: &LaunchConfig) -> Result<()> {
    let Some(labels) = &launch.labels else { return Ok(()) };
    only_known(labels, MESH, &[MESH_PORTS])?;
    let Some(text) = labels.get(MESH_PORTS) else {
        return Ok(());
    };
    let refuse = |why: &str| Err(bad(MESH_PORTS, why));
    let ports: Vec<Option<MeshPort>> = text.split(',').map(read).collect();
    if ports.len() > MOST || ports.contains(&None) {
        return refuse("is one TCP port such as 8080:80 or 80, or up to 64 with commas between them");
    }
    let own = launch.ports.iter().flatten();
    let own = own.filter_map(|text| PortSpec::parse(text).ok());
    let own = own.filter(|port| port.protocol == "tcp").filter_map(|port| port.public);
    let mut taken: BTreeSet<u16> = own.collect();
    for public in ports.iter().flatten().filter_map(|port| port.public) {
        if i64::from(public) == RESERVED_PORT {
            return refuse("a balancer's own health is asked on port 42");
        }
        if !taken.insert(public) {
            return refuse("one port is published more than once");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn launch(value: &str) -> LaunchConfig {
        LaunchConfig {
            labels: Some(BTreeMap::from([(MESH_PORTS.to_owned(), value.to_owned())])),
            ports: Some(vec!["1000:80/tcp".to_owned(), "53:53/udp".to_owned()]),
            ..LaunchConfig::default()
        }
    }

    #[test]
    fn a_label_says_which_ports_every_host_has() {
        let port = |public, private| MeshPort { public, private };
        for (value, ports, written) in [
            ("80", vec![port(None, 80)], "80"),
            ("8080:80/tcp", vec![port(Some(8080), 80)], "8080:80"),
            (
                " 8080:80, 53:53 ,81",
                vec![port(Some(8080), 80), port(Some(53), 53), port(None, 81)],
                "8080:80,53:53,81",
            ),
        ] {
            let launch = launch(value);
            assert!(check_mesh(&launch).is_ok(), "{value}");
            let read = mesh_ports(&launch.labels.unwrap());
            assert_eq!((write_mesh_ports(&read).as_str(), read), (written, ports));
        }
        let many: Vec<String> = (1..=65).map(|port| port.to_string()).collect();
        for value in [
            "",
            "80,",
            "http",
            "0:80",
            "70000:80",
            "8080:80/udp",
            "127.0.0.1:8080:80",
            "8080:80,8080:81",
            "42:80",
            "1000:81",
            &many.join(","),
        ] {
            let said = check_mesh(&launch(value)).unwrap_err().external.unwrap_or_default();
            assert!(said.contains(MESH_PORTS), "{value}: {said}");
        }
        let misspelt = BTreeMap::from([("io.drover.mesh.port".to_owned(), "80".to_owned())]);
        let misspelt = LaunchConfig {
            labels: Some(misspelt),
            ..LaunchConfig::default()
        };
        assert!(check_mesh(&misspelt).is_err());
    }
}
