//! From the engine's words about a container to ours.

use std::collections::{HashMap, HashSet};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
    MountPoint, PortSummaryTypeEnum,
};

use super::LABEL_UUID;
use crate::runtime::{BoundPort, Found, FoundMount, Life};

/// What the engine gives as a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// From a line of the list: without `started_at`, which only an inspection knows.
pub(super) fn from_summary(summary: ContainerSummary) -> Option<Found> {
    let uuid = summary.labels.as_ref()?.get(LABEL_UUID)?.clone();
    let life = match summary.state? {
        ContainerSummaryStateEnum::CREATED => Life::Created,
        ContainerSummaryStateEnum::RUNNING
        | ContainerSummaryStateEnum::PAUSED
        | ContainerSummaryStateEnum::RESTARTING
        | ContainerSummaryStateEnum::STOPPING => Life::Running,
        ContainerSummaryStateEnum::EXITED
        | ContainerSummaryStateEnum::REMOVING
        | ContainerSummaryStateEnum::DEAD
        | ContainerSummaryStateEnum::EMPTY => Life::Exited,
    };
    // Links of the default bridge show as further names with a second slash.
    let name = summary
        .names
        .unwrap_or_default()
        .into_iter()
        .map(|n| n.trim_start_matches('/').to_owned())
        .find(|n| !n.contains('/'));
    let ports = summary.ports.unwrap_or_default().into_iter().filter_map(|p| {
        Some(BoundPort {
            ip: p.ip.unwrap_or_default(),
            public: p.public_port?,
            private: p.private_port,
            protocol: p.typ.unwrap_or(PortSummaryTypeEnum::TCP).to_string(),
        })
    });
    Some(Found {
        uuid,
        external_id: summary.id?,
        name: name.unwrap_or_default(),
        life,
        ip: first_address(summary.network_settings.and_then(|n| n.networks)),
        ports: sorted(ports),
        exit_code: if life == Life::Exited {
            summary.status.as_deref().and_then(exit_code)
        } else {
            None
        },
        started_at: String::new(),
        mounts: mounts(summary.mounts),
        native: None,
    })
}

/// From an inspection: everything.
pub(super) fn from_inspect(inspect: ContainerInspectResponse) -> Option<Found> {
    let uuid = inspect.config?.labels?.get(LABEL_UUID)?.clone();
    let state = inspect.state?;
    let life = match state.status? {
        ContainerStateStatusEnum::CREATED => Life::Created,
        ContainerStateStatusEnum::RUNNING
        | ContainerStateStatusEnum::PAUSED
        | ContainerStateStatusEnum::RESTARTING
        | ContainerStateStatusEnum::STOPPING => Life::Running,
        ContainerStateStatusEnum::EXITED
        | ContainerStateStatusEnum::REMOVING
        | ContainerStateStatusEnum::DEAD
        | ContainerStateStatusEnum::EMPTY => Life::Exited,
    };
    let network = inspect.network_settings;
    let ports = network.as_ref().and_then(|n| n.ports.clone()).unwrap_or_default();
    let bound = ports.into_iter().flat_map(|(private, bindings)| {
        bindings.unwrap_or_default().into_iter().filter_map(move |b| {
            let (number, protocol) = private.split_once('/').unwrap_or((&private, "tcp"));
            Some(BoundPort {
                ip: b.host_ip.unwrap_or_default(),
                public: b.host_port?.parse().ok()?,
                private: number.parse().ok()?,
                protocol: protocol.to_owned(),
            })
        })
    });
    Some(Found {
        uuid,
        external_id: inspect.id?,
        name: inspect.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        life,
        ip: first_address(network.and_then(|n| n.networks)),
        ports: if life == Life::Running {
            sorted(bound)
        } else {
            Vec::new()
        },
        exit_code: if life == Life::Exited { state.exit_code } else { None },
        started_at: state.started_at.filter(|t| t != NEVER).unwrap_or_default(),
        mounts: mounts(inspect.mounts),
        native: None,
    })
}

/// The code in `Exited (137) 3 seconds ago`: a list has it nowhere else.
fn exit_code(status: &str) -> Option<i64> {
    status.split_once('(')?.1.split_once(')')?.0.parse().ok()
}

/// The address on the first network by name that has one.
fn first_address(networks: Option<HashMap<String, EndpointSettings>>) -> Option<String> {
    let mut named: Vec<(String, String)> = networks?
        .into_iter()
        .filter_map(|(name, e)| e.ip_address.filter(|ip| !ip.is_empty()).map(|ip| (name, ip)))
        .collect();
    named.sort();
    named.into_iter().next().map(|(_, ip)| ip)
}

fn mounts(points: Option<Vec<MountPoint>>) -> Vec<FoundMount> {
    let mut mounts: Vec<FoundMount> = points
        .unwrap_or_default()
        .into_iter()
        .map(|m| FoundMount {
            volume: m.name.filter(|n| !n.is_empty()),
            source: m.source.unwrap_or_default(),
            path: m.destination.unwrap_or_default(),
            writable: m.rw.unwrap_or(true),
            driver: m.driver.unwrap_or_default(),
        })
        .collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    mounts
}

/// In a fixed order, which the engine's is not. Each IPv4 binding on every address has an IPv6 twin, of a random number
/// of its own if the number is random; it is left out, or one wish would show as two ports.
fn sorted(ports: impl Iterator<Item = BoundPort>) -> Vec<BoundPort> {
    let mut ports: Vec<BoundPort> = ports.collect();
    ports.sort_by(|a, b| (a.private, &a.protocol, a.public, &a.ip).cmp(&(b.private, &b.protocol, b.public, &b.ip)));
    let v4: HashSet<(u16, String)> = ports
        .iter()
        .filter(|p| p.ip == "0.0.0.0")
        .map(|p| (p.private, p.protocol.clone()))
        .collect();
    ports.retain(|p| p.ip != "::" || !v4.contains(&(p.private, p.protocol.clone())));
    ports
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

    use super::*;

    #[test]
    fn a_line_of_the_list_becomes_what_was_found() {
        let summary: ContainerSummary = serde_json::from_value(serde_json::json!({
            "Id": "abc", "Names": ["/other/alias", "/web-1"], "State": "running", "Status": "Up 2 seconds",
            "Labels": {LABEL_UUID: "u1"},
            "Ports": [
                {"IP": "::", "PrivatePort": 80, "PublicPort": 8081, "Type": "tcp"},
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                {"PrivatePort": 53, "Type": "udp"}],
            "NetworkSettings": {"Networks": {"n": {"IPAddress": "10.42.0.2"}}},
            "Mounts": [{"Type": "volume", "Name": "v", "Source": "/s", "Destination": "/d", "Driver": "local", "RW": false}],
        }))
        .unwrap();
        let found = from_summary(summary).unwrap();
        let bound = BoundPort {
            ip: "0.0.0.0".into(),
            public: 8080,
            private: 80,
            protocol: "tcp".into(),
        };
        let mount = FoundMount {
            volume: Some("v".into()),
            source: "/s".into(),
            path: "/d".into(),
            writable: false,
            driver: "local".into(),
        };
        assert_eq!(
            (found.name.as_str(), found.life, found.ip.as_deref()),
            ("web-1", Life::Running, Some("10.42.0.2"))
        );
        assert_eq!(
            (found.ports, found.mounts, found.exit_code),
            (vec![bound], vec![mount], None)
        );
    }

    #[test]
    fn exit_codes_are_read_from_the_status() {
        for (status, code) in [
            ("Exited (137) 3 seconds ago", Some(137)),
            ("Exited (0) About a minute ago", Some(0)),
            ("Dead", None),
        ] {
            assert_eq!(exit_code(status), code);
        }
    }

    #[test]
    fn containers_without_our_label_are_not_ours() {
        assert_eq!(from_summary(ContainerSummary::default()), None);
        assert_eq!(from_inspect(ContainerInspectResponse::default()), None);
    }
}
