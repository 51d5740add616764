//! From rows to what a balancer is told. Pure: rows in, a table out.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::instances::{plan_health, plan_state};
use crate::model::balancer_table::{Certificate, Listener, Protocol, Rule, Table, Target};
use crate::model::launch::parse_reference;
use crate::model::lb_config::{LABEL_PROXY_PORTS, LABEL_TARGET, Nearness, PortRule};
use crate::model::own_labels::mesh_ports;
use crate::model::{ResourceId, State};
use crate::plan::{Health, InstanceState};

use super::rows::{Member, Rows, Service};

/// What a balancer is to do. The number is left to who sends it.
pub(super) fn table(rows: &Rows) -> Table {
    let mut listeners: Vec<Listener> = Vec::new();
    let proxied = proxied_ports(rows);
    for rule in rows.config.port_rules.iter().flatten() {
        let (Some(port), Some(protocol)) = (rule.source_port, protocol_of(rule)) else {
            continue;
        };
        let made = rules_of(rows, rule);
        match listeners.iter_mut().find(|listener| listener.port == port) {
            Some(listener) => listener.rules.extend(made),
            None => listeners.push(Listener {
                port,
                protocol,
                accepts_proxy: proxied.contains(&port),
                rules: made,
            }),
        }
    }
    Table {
        number: 0,
        listeners,
        certificates: certificates(rows),
        stickiness: rows.config.stickiness_policy.as_ref().and_then(|policy| policy.told()),
        config: rows.config.config.clone().unwrap_or_default(),
    }
}

fn protocol_of(rule: &PortRule) -> Option<Protocol> {
    Protocol::parse(rule.protocol.as_deref().unwrap_or("http"))
}

fn proxied_ports(rows: &Rows) -> BTreeSet<u16> {
    let text = rows
        .labels
        .get(LABEL_PROXY_PORTS)
        .map(String::as_str)
        .unwrap_or_default();
    text.split(',').filter_map(|port| port.trim().parse().ok()).collect()
}

/// The default one first: it is shown to who asks for no name that is known.
fn certificates(rows: &Rows) -> Vec<Certificate> {
    let config = &rows.config;
    let wires = config
        .default_certificate_id
        .iter()
        .chain(config.certificate_ids.iter().flatten());
    let mut seen = BTreeSet::new();
    let ids = wires
        .filter_map(|wire| parse_reference(wire))
        .filter(|id| seen.insert(*id));
    let all = ids.filter_map(|id| rows.certificates.get(&id)).map(|pem| Certificate {
        cert: pem.cert.clone(),
        chain: pem.chain.clone(),
        key: pem.key.clone(),
    });
    all.collect()
}

/// One rule, or as many as the services that it selects say of themselves.
fn rules_of(rows: &Rows, rule: &PortRule) -> Vec<Rule> {
    if let Some(service) = rule.service_id.as_deref().and_then(parse_reference) {
        let at = match (rows.is_mesh, rule.source_port) {
            (true, Some(source)) => Some(At::OwnWord(source)),
            _ => rule.target_port.map(At::Port),
        };
        let mut all = targets(rows, service, at, &mut BTreeSet::new());
        all.extend(peers(rows, service, at));
        return vec![made(rule, rule, near(rows, all))];
    }
    let selected = rule.selector.as_ref().and_then(|selector| rows.selected.get(selector));
    let mut rules = Vec::new();
    for id in selected.into_iter().flatten() {
        let Some(service) = rows.services.get(id) else { continue };
        let own = service
            .fields
            .lb_config
            .as_ref()
            .and_then(|config| config.port_rules.as_ref());
        let own = own.filter(|rules| !rules.is_empty());
        for says in own.map_or(std::slice::from_ref(rule), Vec::as_slice) {
            let at = says.target_port.or(rule.target_port).map(At::Port);
            if at.is_none() {
                // Neither of them says where it listens: it has the label and wants nobody to be led to it.
                continue;
            }
            let targets = near(rows, targets(rows, *id, at, &mut BTreeSet::new()));
            rules.push(made(rule, says, targets));
        }
    }
    rules
}

/// What the target says of itself goes before what the balancer's rule says.
fn made(rule: &PortRule, says: &PortRule, targets: BTreeMap<String, Target>) -> Rule {
    let text = |own: &Option<String>, other: &Option<String>| {
        let own = own.as_ref().filter(|text| !text.is_empty());
        own.or(other.as_ref()).cloned().unwrap_or_default()
    };
    Rule {
        host: text(&says.hostname, &rule.hostname),
        path: text(&says.path, &rule.path),
        priority: rule.priority,
        backend: text(&says.backend_name, &rule.backend_name),
        weight: rule.weight,
        targets,
    }
}

/// At which port a server is.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At the same one, whoever it is.
    Port(u16),
    /// Where its own label of the mesh says for this port of the hosts: while an upgrade changes that, both are right.
    OwnWord(u16),
}

impl At {
    fn of(self, member: &Member) -> Option<u16> {
        match self {
            Self::Port(port) => Some(port),
            Self::OwnWord(public) => {
                let ports = mesh_ports(member.launch.labels.as_ref()?);
                let own = ports.into_iter().find(|port| port.public == Some(public));
                own.map(|port| port.private)
            }
        }
    }
}

/// The other balancers of the mesh on whose hosts somebody serves: whoever has nobody sends there.
fn peers(rows: &Rows, service: ResourceId, at: Option<At>) -> BTreeMap<String, Placed> {
    let (Some(At::OwnWord(public)), Some(service)) = (at, rows.services.get(&service)) else {
        return BTreeMap::new();
    };
    let serves = |host: ResourceId, member: &Member| {
        member.row.host_id == Some(host)
            && member.launch.network_mode.as_deref() != Some("host")
            && At::OwnWord(public).of(member).is_some()
            && is_draining(rows, member) == Some(false)
    };
    let there = rows.peers.iter();
    let there = there.filter(|(host, _)| service.members.iter().any(|member| serves(**host, member)));
    let placed = |(host, address): (&ResourceId, &String)| {
        let target = Target {
            address: address.clone(),
            port: public,
            is_draining: false,
        };
        let placed = Placed {
            target,
            is_local: false,
        };
        (format!("host {host}"), placed)
    };
    there.map(placed).collect()
}

/// A server, and whether it is on the balancer's own host.
struct Placed {
    target: Target,
    is_local: bool,
}

/// Those of a rule's servers that the balancer's label lets it send to. Who is on the way out takes nobody's place.
fn near(rows: &Rows, all: BTreeMap<String, Placed>) -> BTreeMap<String, Target> {
    let word = rows.labels.get(LABEL_TARGET).map(String::as_str);
    let nearness = match rows.is_mesh {
        true => Nearness::PreferLocal,
        false => word.and_then(Nearness::parse).unwrap_or_default(),
    };
    let has_local = all.values().any(|placed| placed.is_local && !placed.target.is_draining);
    let stays = |placed: &Placed| match nearness {
        Nearness::Any => true,
        // Who was sent elsewhere while there was no other may end there.
        Nearness::PreferLocal => placed.is_local || !has_local || placed.target.is_draining,
        Nearness::OnlyLocal => placed.is_local,
    };
    let near = all.into_iter().filter(|(_, placed)| stays(placed));
    near.map(|(name, placed)| (name, placed.target)).collect()
}

/// Where a service is. An alias is where all that it stands for is; loops end.
fn targets(rows: &Rows, id: ResourceId, at: Option<At>, seen: &mut BTreeSet<ResourceId>) -> BTreeMap<String, Placed> {
    let (Some(service), Some(at)) = (rows.services.get(&id).filter(|_| seen.insert(id)), at) else {
        return BTreeMap::new();
    };
    let mut all: BTreeMap<String, Placed> = match (service.kind.as_str(), at) {
        ("externalService", At::Port(port)) => outside(service, port),
        _ => service
            .members
            .iter()
            .filter_map(|member| Some((member.row.uuid.clone(), target(rows, member, at)?)))
            .collect(),
    };
    for link in &service.links {
        all.extend(targets(rows, *link, Some(at), seen));
    }
    all
}

fn outside(service: &Service, port: u16) -> BTreeMap<String, Placed> {
    let addresses = service.fields.external_ip_addresses.iter().flatten();
    let mut all: Vec<&String> = addresses.collect();
    if all.is_empty() {
        all.extend(&service.fields.hostname);
    }
    let target = |address: &String| Placed {
        target: Target {
            address: address.clone(),
            port,
            is_draining: false,
        },
        is_local: false,
    };
    all.into_iter()
        .map(|address| (address.clone(), target(address)))
        .collect()
}

/// Whether a container is on its way out; none for one that nobody is to be sent to. Which version it is of does not matter: what
/// an upgrade has put aside serves until it is stopped.
fn is_draining(rows: &Rows, member: &Member) -> Option<bool> {
    let Member { row, launch, .. } = member;
    let is_draining = match plan_state(row.state) {
        InstanceState::Running => false,
        InstanceState::Stopping => true,
        _ if row.state == State::RESTARTING => true,
        _ => return None,
    };
    // Once a stop is asked for, only who is there already is kept, for a time.
    if is_draining && rows.released.contains(&row.uuid) {
        return None;
    }
    let is_checked = launch.check().is_some();
    if is_checked && !is_draining && plan_health(&row.health) != Health::Healthy {
        return None;
    }
    Some(is_draining)
}

fn target(rows: &Rows, member: &Member, at: At) -> Option<Placed> {
    let Member { row, launch, note } = member;
    let is_draining = is_draining(rows, member)?;
    let port = at.of(member)?;
    let address = match launch.network_mode.as_deref() {
        Some("host") => rows.addresses.get(&row.host_id?)?.clone(),
        // No way leads from one engine's own network to another's.
        _ if !row.host_id.is_some_and(|host| rows.reached.contains(&host)) => return None,
        _ => note.ip.clone()?,
    };
    Some(Placed {
        target: Target {
            address,
            port,
            is_draining,
        },
        is_local: row.host_id == rows.host,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::testkit;
    use crate::engine::instances::InstanceNotes;
    use crate::model::launch::LaunchConfig;
    use crate::model::{Fields, Resource};

    /// A container of a service on the host's own network of host 1 or 2.
    async fn member(core: &crate::engine::core::Core, state: State, host: i64) -> Member {
        let row = testkit::insert(core, "container", state, Fields::default()).await;
        let launch = LaunchConfig {
            network_mode: Some("host".into()),
            ..LaunchConfig::default()
        };
        Member {
            row: Resource {
                host_id: Some(ResourceId(host)),
                uuid: format!("{state}-{host}"),
                ..row
            },
            launch,
            note: InstanceNotes {
                drain_ms: 10_000,
                ..InstanceNotes::default()
            },
        }
    }

    /// Where a rule leads, in order.
    fn reached(rows: &Rows, rule: &PortRule) -> String {
        let rules = rules_of(rows, rule);
        let targets = rules.iter().flat_map(|rule| rule.targets.values());
        let mut found: Vec<String> = targets
            .map(|target| format!("{}:{}", target.address, target.port))
            .collect();
        found.sort();
        found.join(" ")
    }

    #[tokio::test]
    async fn whoever_has_nobody_sends_to_hosts_that_have_somebody() {
        let (_folder, core) = testkit::empty();
        for (there, expected) in [
            (&[(State::RUNNING, 1), (State::RUNNING, 2)][..], "10.0.0.1:81"),
            (&[(State::RUNNING, 2)], "192.0.2.2:8080"),
            (&[(State::RUNNING, 3)], ""),
            (&[(State::STOPPING, 2)], ""),
            (
                &[(State::STOPPING, 1), (State::RUNNING, 2)],
                "10.0.0.1:81 192.0.2.2:8080",
            ),
        ] {
            let mut members = Vec::new();
            for (state, host) in there {
                let mut member = member(&core, *state, *host).await;
                member.launch.network_mode = None;
                // Its own word counts, and not that of the rule.
                member.launch.labels = Some(BTreeMap::from([("io.drover.mesh.ports".into(), "8080:81".into())]));
                member.note.ip = Some(format!("10.0.0.{host}"));
                members.push(member);
            }
            let service = Service {
                members,
                ..Service::default()
            };
            let rule: PortRule =
                serde_json::from_str(r#"{"sourcePort": 8080, "targetPort": 80, "serviceId": "1s7"}"#).unwrap();
            let rows = Rows {
                host: Some(ResourceId(1)),
                reached: BTreeSet::from([ResourceId(1)]),
                is_mesh: true,
                peers: BTreeMap::from([(ResourceId(2), "192.0.2.2".to_owned())]),
                services: BTreeMap::from([(ResourceId(7), service)]),
                ..Rows::default()
            };
            assert_eq!(reached(&rows, &rule), expected, "{there:?}");
        }
    }

    #[tokio::test]
    async fn on_a_clusters_network_every_container_is_reached() {
        let (_folder, core) = testkit::empty();
        for (hosts, expected) in [(&[1][..], "10.0.0.1:80"), (&[1, 2], "10.0.0.1:80 10.0.0.2:80")] {
            let mut members = Vec::new();
            for host in [1, 2] {
                let mut member = member(&core, State::RUNNING, host).await;
                member.launch.network_mode = None;
                member.note.ip = Some(format!("10.0.0.{host}"));
                members.push(member);
            }
            let service = Service {
                members,
                ..Service::default()
            };
            let rule: PortRule =
                serde_json::from_str(r#"{"sourcePort": 80, "targetPort": 80, "serviceId": "1s7"}"#).unwrap();
            let rows = Rows {
                host: Some(ResourceId(1)),
                reached: hosts.iter().copied().map(ResourceId).collect(),
                services: BTreeMap::from([(ResourceId(7), service)]),
                ..Rows::default()
            };
            assert_eq!(reached(&rows, &rule), expected);
        }
    }

    #[tokio::test]
    async fn a_label_says_whether_the_balancers_own_host_goes_first() {
        let (_folder, core) = testkit::empty();
        let own = [(State::RUNNING, 1)];
        let leaving = [(State::STOPPING, 1)];
        let far = [(State::RUNNING, 2), (State::STOPPING, 2)];
        let both = [&own[..], &far[..]].concat();
        let late = [&leaving[..], &far[..]].concat();
        for (word, there, expected) in [
            ("", &both, "running-1 running-2 stopping-2"),
            ("any", &both, "running-1 running-2 stopping-2"),
            ("prefer-local", &both, "running-1 stopping-2"),
            ("prefer-local", &late, "running-2 stopping-1 stopping-2"),
            ("only-local", &both, "running-1"),
            ("only-local", &late, "stopping-1"),
        ] {
            let mut members = Vec::new();
            for (state, host) in there {
                members.push(member(&core, *state, *host).await);
            }
            let service = Service {
                members,
                ..Service::default()
            };
            let rule: PortRule =
                serde_json::from_str(r#"{"sourcePort": 80, "targetPort": 80, "serviceId": "1s7"}"#).unwrap();
            let rows = Rows {
                labels: BTreeMap::from([(LABEL_TARGET.to_owned(), word.to_owned())]),
                host: Some(ResourceId(1)),
                services: BTreeMap::from([(ResourceId(7), service)]),
                addresses: [1, 2].map(|n| (ResourceId(n), format!("192.0.2.{n}"))).into(),
                ..Rows::default()
            };
            let rules = rules_of(&rows, &rule);
            let names: Vec<&str> = rules
                .iter()
                .flat_map(|rule| rule.targets.keys())
                .map(String::as_str)
                .collect();
            assert_eq!(names.join(" "), expected, "{word} {there:?}");
        }
    }
}
