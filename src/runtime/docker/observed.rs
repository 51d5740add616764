//! From the engine's words about a container to ours.

use std::collections::{BTreeMap, HashMap, HashSet};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum, EndpointSettings,
    MountPoint, PortSummaryTypeEnum,
};

use super::{LABEL_SERVER, LABEL_UUID};
use crate::runtime::{BoundPort, Found, FoundMount, Life, Native};

/// What the engine gives as a time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Whose a container is.
enum Owner {
    /// Ours, with this uuid.
    Ours(String),
    Nobody,
    /// Another server's.
    Another,
}

impl Owner {
    fn of(labels: &HashMap<String, String>, server: &str) -> Self {
        match (labels.get(LABEL_SERVER), labels.get(LABEL_UUID)) {
            (Some(owner), Some(uuid)) if owner == server => Self::Ours(uuid.clone()),
            (Some(_), _) => Self::Another,
            (None, _) => Self::Nobody,
        }
    }
}

/// The uuid that a container with these labels and this id goes by; none if it is another server's.
pub(super) fn uuid_of(labels: &HashMap<String, String>, id: &str, server: &str) -> Option<String> {
    match Owner::of(labels, server) {
        Owner::Ours(uuid) => Some(uuid),
        Owner::Nobody => Some(id.to_owned()),
        Owner::Another => None,
    }
}

/// What is told of a container that is nobody's.
fn native(labels: HashMap<String, String>, image: Option<String>, server: &str) -> Option<Native> {
    let is_native = matches!(Owner::of(&labels, server), Owner::Nobody);
    is_native.then(|| Native {
        image: format!("docker:{}", image.unwrap_or_default()),
        labels: labels.into_iter().collect::<BTreeMap<_, _>>(),
    })
}

/// From a line of the list: without `started_at` and `exposed`, which only an inspection knows.
pub(super) fn from_summary(summary: ContainerSummary, server: &str) -> Option<Found> {
    let labels = summary.labels.unwrap_or_default();
    let external_id = summary.id?;
    let uuid = uuid_of(&labels, &external_id, server)?;
    let is_paused = summary.state == Some(ContainerSummaryStateEnum::PAUSED);
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
    let (ip, mac) = first_address(summary.network_settings.and_then(|n| n.networks));
    Some(Found {
        uuid,
        external_id,
        name: name.unwrap_or_default(),
        life,
        is_paused,
        ip,
        mac,
        ports: sorted(ports),
        exit_code: if life == Life::Exited {
            summary.status.as_deref().and_then(exit_code)
        } else {
            None
        },
        started_at: String::new(),
        mounts: mounts(summary.mounts),
        exposed: Vec::new(),
        native: native(labels, summary.image, server),
    })
}

/// From an inspection: everything.
pub(super) fn from_inspect(inspect: ContainerInspectResponse, server: &str) -> Option<Found> {
    let config = inspect.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let external_id = inspect.id?;
    let uuid = uuid_of(&labels, &external_id, server)?;
    let state = inspect.state?;
    let is_paused = state.status == Some(ContainerStateStatusEnum::PAUSED);
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
    let exposed = exposed(ports.keys());
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
    let (ip, mac) = first_address(network.and_then(|n| n.networks));
    Some(Found {
        uuid,
        external_id,
        name: inspect.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        life,
        is_paused,
        ip,
        mac,
        ports: if life == Life::Running {
            sorted(bound)
        } else {
            Vec::new()
        },
        exit_code: if life == Life::Exited { state.exit_code } else { None },
        started_at: state.started_at.filter(|t| t != NEVER).unwrap_or_default(),
        mounts: mounts(inspect.mounts),
        exposed,
        native: native(labels, config.image, server),
    })
}

/// The ports of `80/tcp`, in order; without a protocol it is TCP.
fn exposed<'t>(ports: impl Iterator<Item = &'t String>) -> Vec<(u16, String)> {
    let mut ports: Vec<(u16, String)> = ports
        .filter_map(|text| {
            let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            Some((number.parse().ok()?, protocol.to_owned()))
        })
        .collect();
    ports.sort();
    ports
}

/// The code in `Exited (137) 3 seconds ago`: a list has it nowhere else.
fn exit_code(status: &str) -> Option<i64> {
    status.split_once('(')?.1.split_once(')')?.0.parse().ok()
}

/// The address on the first network by name that has one, and the hardware address there.
fn first_address(networks: Option<HashMap<String, EndpointSettings>>) -> (Option<String>, Option<String>) {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let networks = networks.unwrap_or_default().into_iter();
    let named = networks.filter_map(|(name, e)| Some((name, given(e.ip_address)?, given(e.mac_address))));
    let first = named.min();
    first.map_or((None, None), |(_, ip, mac)| (Some(ip), mac))
}

fn mounts(points: Option<Vec<MountPoint>>) -> Vec<FoundMount> {
    let mut mounts: Vec<FoundMount> = points
        .unwrap_or_default()
        .into_iter()
        .filter(|m| {
            ![&m.name, &m.source]
                .into_iter()
                .flatten()
                .any(|of| super::secrets::is_one(of))
        })
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
            "Labels": {LABEL_UUID: "u1", LABEL_SERVER: "me"},
            "Ports": [
                {"IP": "::", "PrivatePort": 80, "PublicPort": 8081, "Type": "tcp"},
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                {"PrivatePort": 53, "Type": "udp"}],
            "NetworkSettings": {"Networks": {"m": {"MacAddress": "02:42:0a:2a:00:09"}, "n": {"IPAddress": "10.42.0.2", "MacAddress": "02:42:0a:2a:00:02"}}},
            "Mounts": [{"Type": "volume", "Name": "v", "Source": "/s", "Destination": "/d", "Driver": "local", "RW": false}],
        }))
        .unwrap();
        let found = from_summary(summary, "me").unwrap();
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
        assert_eq!(found.mac.as_deref(), Some("02:42:0a:2a:00:02"));
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
    fn containers_are_ours_by_label_and_those_of_other_servers_are_not_seen() {
        let summary = |labels: serde_json::Value| -> ContainerSummary {
            serde_json::from_value(serde_json::json!({
                "Id": "abc", "Names": ["/x"], "State": "running", "Image": "nginx:1", "Labels": labels,
            }))
            .unwrap()
        };
        let ours = from_summary(summary(serde_json::json!({LABEL_UUID: "u1", LABEL_SERVER: "me"})), "me").unwrap();
        assert_eq!((ours.uuid.as_str(), ours.native), ("u1", None));
        let theirs = serde_json::json!({LABEL_UUID: "u1", LABEL_SERVER: "another"});
        assert_eq!(from_summary(summary(theirs), "me"), None);
        // Also one that a server without this label made.
        for labels in [serde_json::json!({"a": "b"}), serde_json::json!({LABEL_UUID: "u1"})] {
            let native = from_summary(summary(labels), "me").unwrap();
            assert_eq!(native.uuid, "abc");
            assert_eq!(native.native.unwrap().image, "docker:nginx:1");
        }
        assert_eq!(from_summary(ContainerSummary::default(), "me"), None);
        assert_eq!(from_inspect(ContainerInspectResponse::default(), "me"), None);
    }

    #[test]
    fn exposed_ports_are_read() {
        let texts = ["81/udp", "80/tcp", "443", "x"].map(str::to_owned);
        let expected = [(80, "tcp"), (81, "udp"), (443, "tcp")].map(|(n, p)| (n, p.to_owned()));
        assert_eq!(exposed(texts.iter()), expected);
    }
}
