//! Golden tests of names and metadata, in one small project; and of the server, on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails should say where"
)]

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::answers::{Decision, decide};
use super::index::Index;
use super::message::{Question, Reply, read};
use crate::model::network_table::{Container, Environment, HealthCheck, Host, Service, Stack, Table, service_key};

mod messages;
mod metadata;
mod names;
mod served;
mod sizes;

/// A table while it is written down.
#[derive(Debug, Default)]
struct World(Table);

impl World {
    /// A project with two stacks on one host, and nothing in them.
    fn new() -> Self {
        let stack = |name: &str| Stack {
            name: name.into(),
            uuid: format!("stack-{name}"),
            system: false,
        };
        let host = Host {
            name: "Host-1".into(),
            hostname: "one.example.com".into(),
            uuid: "host-1".into(),
            host_id: 7,
            agent_ip: "192.0.2.10".into(),
            agent_state: "active".into(),
            state: "active".into(),
            ..Host::default()
        };
        Self(Table {
            number: 1,
            environment: Environment {
                name: "Default".into(),
                uuid: "environment-1".into(),
            },
            host_uuid: "host-1".into(),
            subnet: "10.42.0.0/22".into(),
            gateway: "10.42.0.1".into(),
            stacks: ["App", "Other"]
                .map(|name| (format!("stack-{name}"), stack(name)))
                .into(),
            hosts: [("host-1".into(), host)].into(),
            ..Table::default()
        })
    }

    /// A container by itself, with an address in the subnet.
    fn container(&mut self, name: &str, last: u8, change: impl FnOnce(&mut Container)) -> &mut Self {
        let mut container = Container {
            name: name.into(),
            uuid: format!("uuid-{name}"),
            host_uuid: "host-1".into(),
            state: "running".into(),
            primary_ip: Some(format!("10.42.0.{last}")),
            ips: vec![format!("10.42.0.{last}")],
            managed: true,
            ..Container::default()
        };
        change(&mut container);
        self.0.containers.insert(container.uuid.clone(), container);
        self
    }

    /// A service: `name.stack` or, of a sidekick, `name.primary.stack`. Its uuid is the primary's.
    fn service(&mut self, path: &str, kind: &str, change: impl FnOnce(&mut Service)) -> &mut Self {
        let parts: Vec<&str> = path.split('.').collect();
        let (name, primary, stack) = match parts[..] {
            [name, stack] => (name, name, stack),
            [name, primary, stack] => (name, primary, stack),
            _ => panic!("{path}"),
        };
        let mut service = Service {
            name: name.into(),
            uuid: format!("uuid-{primary}-{stack}"),
            kind: kind.into(),
            state: "active".into(),
            stack_uuid: format!("stack-{stack}"),
            stack_name: stack.into(),
            primary_service_name: primary.into(),
            ..Service::default()
        };
        change(&mut service);
        for uuid in &service.containers {
            if let Some(container) = self.0.containers.get_mut(uuid).filter(|c| c.service_uuid.is_none()) {
                let (small, small_stack) = (primary.to_lowercase(), stack.to_lowercase());
                container.service_uuid = Some(service.uuid.clone());
                container.service_name = Some(service.name.clone());
                container.stack_uuid = Some(service.stack_uuid.clone());
                container.stack_name = Some(service.stack_name.clone());
                container.dns_search = vec![
                    format!("{small_stack}.rancher.internal"),
                    format!("{small}.{small_stack}.rancher.internal"),
                    "rancher.internal".into(),
                ];
            }
        }
        self.0.services.insert(service_key(&service.uuid, name), service);
        self
    }

    /// A service of containers in these states (`running`, `running unhealthy` …), whose addresses begin with this one.
    fn with(&mut self, path: &str, first: u8, states: &[&str], change: impl FnOnce(&mut Service)) -> &mut Self {
        let name = path.replace('.', "-");
        let mut containers = Vec::new();
        for (nth, state) in (1_u8..).zip(states) {
            let (state, health) = state.split_once(' ').unwrap_or((state, ""));
            let of_service = format!("{name}-{nth}");
            containers.push(format!("uuid-{of_service}"));
            self.container(&of_service, first + nth - 1, |c| {
                c.state = state.into();
                c.health_state = (!health.is_empty()).then(|| health.into());
            });
        }
        self.service(path, "service", |service| {
            service.containers = containers;
            change(service);
        })
    }

    fn index(&self) -> Index {
        Index::new(self.0.clone())
    }
}

fn checked(service: &mut Service) {
    service.health_check = Some(HealthCheck::default());
}

fn linked(service: &mut Service, links: &[(&str, &str)]) {
    let links = links
        .iter()
        .map(|(path, name)| ((*path).to_owned(), (*name).to_owned()));
    service.links = links.collect();
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The bytes of a question.
fn asked(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    message.to_vec().unwrap()
}

fn question(name: &str, kind: RecordType) -> Question {
    read(&asked(name, kind)).unwrap()
}

/// What an index decides, in words.
fn decided(index: &Index, from: &str, name: &str, kind: RecordType) -> String {
    let own = || Some([10, 42, 3, 254].into());
    match decide(index, ip(from), own, &question(name, kind)) {
        Decision::Answer(reply) => words(&reply),
        Decision::Forward { upstreams, is_known } => {
            format!("forward{} {upstreams:?}", if is_known { " known" } else { "" })
        }
        Decision::Hosts { addresses, chains, .. } => {
            let chains = chains
                .iter()
                .map(|chain| format!("{}={:?}", chain.hosts.join(">"), chain.end));
            format!("hosts {addresses:?} {}", chains.collect::<Vec<_>>().join(" "))
        }
    }
}

/// An answer in words: its records without what they all have, addresses sorted.
fn words(reply: &Reply) -> String {
    let mut records: Vec<String> = Vec::new();
    for record in &reply.records {
        records.push(match &record.data {
            RData::A(address) => address.0.to_string().replace("10.42.0.", "."),
            RData::CNAME(name) => format!("={}", name.0),
            other => format!("{other}"),
        });
    }
    records.sort_unstable();
    match (reply.is_own, records.is_empty()) {
        (true, false) => records.join(" "),
        (is_own, _) => format!("{:?}{}", reply.code, if is_own { " own" } else { "" }),
    }
}
