//! What the name server and the metadata server of a project answer from on one engine. The engine makes a table of a
//! project's rows; `drover netd` answers from it, and from nothing else.
//!
//! A table is sent whole once ([`Feed::Snapshot`]), then as numbered differences ([`Feed::Delta`]). Names are written as
//! their owners wrote them; the older and the lower-cased forms of metadata are made where they are asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::probe::{Probe, ProbeResult};

/// A project as one engine's containers see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// Grows with each change; a delta says which number it follows.
    pub number: u64,
    /// The project.
    pub environment: Environment,
    /// The uuid of the host whose containers ask.
    pub host_uuid: String,
    /// The subnet whose containers ask (CIDR). Others are refused, but for the gateway.
    pub subnet: String,
    /// The subnet's gateway: containers on the host's own network ask from there.
    pub gateway: String,
    /// By uuid.
    pub containers: BTreeMap<String, Container>,
    /// Services and sidekicks, by [`service_key`].
    pub services: BTreeMap<String, Service>,
    /// By uuid.
    pub stacks: BTreeMap<String, Stack>,
    /// By uuid.
    pub hosts: BTreeMap<String, Host>,
    /// By uuid.
    pub networks: BTreeMap<String, Network>,
}

/// The project itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its uuid.
    pub uuid: String,
}

/// The key of a service in [`Table::services`]: a sidekick has its primary's uuid, and a name of its own.
pub fn service_key(uuid: &str, name: &str) -> String {
    format!("{uuid}/{name}")
}

/// A container that has a host and is not on its way out; stopped ones too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its uuid.
    pub uuid: String,
    /// The engine's id.
    pub external_id: String,
    /// Its host name, if one was given.
    pub hostname: Option<String>,
    /// The host that it is on.
    pub host_uuid: String,
    /// `running`, `stopped` …
    pub state: String,
    /// `healthy` …; none if nothing checks it.
    pub health_state: Option<String>,
    /// How it is checked.
    pub health_check: Option<HealthCheck>,
    /// The uuids of the hosts that check it.
    pub health_check_hosts: Vec<String>,
    /// Its address: on the project's network; of its target with `container:`; of its host on the host's network.
    pub primary_ip: Option<String>,
    /// All its addresses.
    pub ips: Vec<String>,
    /// The hardware address, if it is known.
    pub primary_mac_address: Option<String>,
    /// Whether `primary_ip` is its own on the project's network: only then does a request from there come from it.
    pub managed: bool,
    /// On its host's own network.
    pub host_network: bool,
    /// The uuid of the container whose network it shares.
    pub network_from_container_uuid: Option<String>,
    /// The uuid of its network.
    pub network_uuid: Option<String>,
    /// Name servers that its owner asked for: its upstreams.
    pub dns: Vec<String>,
    /// Its search domains, in order, its owner's included.
    pub dns_search: Vec<String>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its own links, alias to uuid of the target.
    pub links: BTreeMap<String, String>,
    /// Its service's uuid, if it is one of a service.
    pub service_uuid: Option<String>,
    /// Its service's name: a sidekick's own.
    pub service_name: Option<String>,
    /// Its place among the containers of its service, from 1.
    pub service_index: Option<String>,
    /// The uuid of its stack.
    pub stack_uuid: Option<String>,
    /// The name of its stack.
    pub stack_name: Option<String>,
    /// Grows with each container of the service.
    pub create_index: Option<i64>,
    /// How often it was started.
    pub start_count: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Thousandths of a core.
    pub milli_cpu_reservation: Option<i64>,
    /// Of the system's own.
    pub system: bool,
}

/// A published port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    /// The address it is bound to on the host; none for all.
    pub ip: Option<String>,
    /// The address of the host.
    pub host_ip: String,
    /// On the host.
    pub public: u16,
    /// In the container.
    pub private: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// How containers are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// Milliseconds.
    pub response_timeout: Option<i64>,
    /// Milliseconds.
    pub interval: Option<i64>,
    /// How many good answers make it healthy.
    pub healthy_threshold: Option<i64>,
    /// How many bad answers make it unhealthy.
    pub unhealthy_threshold: Option<i64>,
    /// What is asked; none for a TCP connect.
    pub request_line: Option<String>,
    /// The port.
    pub port: Option<i64>,
}

/// A service, or a sidekick of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name: a sidekick's own.
    pub name: String,
    /// Its uuid: of a sidekick its primary's.
    pub uuid: String,
    /// `service`, `externalService`, `dnsService`, `loadBalancerService` …
    pub kind: String,
    /// `active` …
    pub state: String,
    /// The uuid of its stack.
    pub stack_uuid: String,
    /// The name of its stack.
    pub stack_name: String,
    /// The name of its primary: its own, unless it is a sidekick. Empty without sidekicks.
    pub primary_service_name: String,
    /// The names of its sidekicks, or of those next to it.
    pub sidekicks: Vec<String>,
    /// The uuids of its containers, adopted ones included, in the order in which they were made.
    pub containers: Vec<String>,
    /// Where it is: `stack/service` to the link's name (empty: the service's own name).
    pub links: BTreeMap<String, String>,
    /// Other names of links that lead where one of `links` leads: names find them, metadata has one for each target.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub more_links: BTreeMap<String, Vec<String>>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What its owner wrote for its containers to read.
    pub metadata: serde_json::Map<String, Value>,
    /// Published ports, as they were written.
    pub ports: Vec<String>,
    /// Exposed ports, as they were written.
    pub expose: Vec<String>,
    /// Of an external service: its addresses.
    pub external_ips: Vec<String>,
    /// Of an external service: its host name.
    pub hostname: Option<String>,
    /// Its virtual address, if it was given one.
    pub vip: Option<String>,
    /// `service.stack.environment.domain`
    pub fqdn: Option<String>,
    /// How its containers are checked.
    pub health_check: Option<HealthCheck>,
    /// Of a balancer.
    pub lb_config: Option<Value>,
    /// How many containers it is to have.
    pub scale: Option<i64>,
    /// Grows with each container of it.
    pub create_index: Option<i64>,
    /// What proves its containers to each other; shown to themselves only.
    pub token: Option<String>,
    /// Of the system's own.
    pub system: bool,
}

/// A stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its uuid.
    pub uuid: String,
    /// Of the system's own.
    pub system: bool,
}

/// A host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// Its uuid.
    pub uuid: String,
    /// Its number, as metadata before 2016 shows it.
    pub host_id: i64,
    /// The address by which others reach it.
    pub agent_ip: String,
    /// `active` …
    pub agent_state: String,
    /// `active` …
    pub state: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Thousandths of a core.
    pub milli_cpu: Option<i64>,
    /// Megabytes.
    pub local_storage_mb: Option<i64>,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its uuid.
    pub uuid: String,
    /// The project's own.
    pub is_default: bool,
    /// Whether its containers publish ports on their hosts.
    pub host_ports: bool,
    /// What is written in it for its driver.
    pub metadata: serde_json::Map<String, Value>,
    /// `allow` or `deny`.
    pub default_policy_action: Option<String>,
    /// Who may talk to whom.
    pub policy: Option<Value>,
}

/// What the engine sends, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feed {
    /// The whole table, in place of the one that is there.
    Snapshot(Box<Table>),
    /// What is different.
    Delta(Box<Delta>),
    /// A container to be probed from its own network, whatever the table says. Answers come as they are there.
    Probe(Asked),
}

/// A probe that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Tells it from all others of this feed.
    pub number: u64,
    /// What to do.
    pub probe: Probe,
}

/// What a probe found that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The number of the one that asked.
    pub number: u64,
    /// What was found.
    pub found: ProbeResult,
}

/// What the name server answers to each line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The table with this number is saved, and answered from.
    Applied(u64),
    /// A delta does not follow the table that is there, which has this number: a snapshot is needed.
    Behind(u64),
    /// The line could not be read.
    Refused(String),
    /// How a container is.
    Probed(Probed),
}

/// The difference of two tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delta {
    /// The number of the table that it follows.
    pub after: u64,
    /// The number of the table that it makes.
    pub number: u64,
    /// The project, host, subnet or gateway changed: all of them as they are now, in a table that has nothing else.
    pub head: Option<Box<Table>>,
    /// Containers that are new or other: none for those that are gone.
    pub containers: BTreeMap<String, Option<Container>>,
    /// Services that are new or other: none for those that are gone.
    pub services: BTreeMap<String, Option<Service>>,
    /// Stacks that are new or other: none for those that are gone.
    pub stacks: BTreeMap<String, Option<Stack>>,
    /// Hosts that are new or other: none for those that are gone.
    pub hosts: BTreeMap<String, Option<Host>>,
    /// Networks that are new or other: none for those that are gone.
    pub networks: BTreeMap<String, Option<Network>>,
}

impl Delta {
    /// Nothing is different.
    pub fn is_empty(&self) -> bool {
        let Self {
            after: _,
            number: _,
            head,
            containers,
            services,
            stacks,
            hosts,
            networks,
        } = self;
        head.is_none()
            && containers.is_empty()
            && services.is_empty()
            && stacks.is_empty()
            && hosts.is_empty()
            && networks.is_empty()
    }
}

impl Table {
    /// What makes `next` of this table. Its number is `next`'s.
    pub fn delta_to(&self, next: &Self) -> Delta {
        Delta {
            after: self.number,
            number: next.number,
            head: (self.head() != next.head()).then(|| Box::new(next.head())),
            containers: differences(&self.containers, &next.containers),
            services: differences(&self.services, &next.services),
            stacks: differences(&self.stacks, &next.stacks),
            hosts: differences(&self.hosts, &next.hosts),
            networks: differences(&self.networks, &next.networks),
        }
    }

    /// Applies a delta; `false`, and nothing is changed, if it does not follow this table.
    pub fn apply(&mut self, delta: Delta) -> bool {
        if delta.after != self.number {
            return false;
        }
        self.number = delta.number;
        if let Some(head) = delta.head {
            self.environment = head.environment;
            self.host_uuid = head.host_uuid;
            self.subnet = head.subnet;
            self.gateway = head.gateway;
        }
        put(&mut self.containers, delta.containers);
        put(&mut self.services, delta.services);
        put(&mut self.stacks, delta.stacks);
        put(&mut self.hosts, delta.hosts);
        put(&mut self.networks, delta.networks);
        true
    }

    /// The table without its entries and its number.
    fn head(&self) -> Self {
        Self {
            environment: self.environment.clone(),
            host_uuid: self.host_uuid.clone(),
            subnet: self.subnet.clone(),
            gateway: self.gateway.clone(),
            ..Self::default()
        }
    }
}

/// Entries of `new` that are not so in `old`, and the keys of those that are gone.
fn differences<T: Clone + PartialEq>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
) -> BTreeMap<String, Option<T>> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let other = new.iter().filter(|(key, entry)| old.get(*key) != Some(entry));
    gone.map(|key| (key.clone(), None))
        .chain(other.map(|(key, entry)| (key.clone(), Some(entry.clone()))))
        .collect()
}

fn put<T>(entries: &mut BTreeMap<String, T>, changes: BTreeMap<String, Option<T>>) {
    for (key, change) in changes {
        match change {
            Some(entry) => entries.insert(key, entry),
            None => entries.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn container(name: &str) -> Container {
        Container {
            name: name.into(),
            ..Container::default()
        }
    }

    #[test]
    fn a_delta_makes_the_next_table_of_the_one_it_follows_and_of_no_other() {
        let mut old = Table {
            number: 4,
            containers: [("a".into(), container("a")), ("b".into(), container("b"))].into(),
            ..Table::default()
        };
        let new = Table {
            number: 5,
            gateway: "10.0.0.1".into(),
            containers: [("b".into(), container("b2")), ("c".into(), container("c"))].into(),
            stacks: [("s".into(), Stack::default())].into(),
            ..Table::default()
        };
        let delta = old.delta_to(&new);
        assert_eq!(delta.containers.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(old.delta_to(&old).is_empty() && !delta.is_empty());

        let text = serde_json::to_string(&Feed::Delta(Box::new(delta.clone()))).expect("it is text");
        let read: Feed = serde_json::from_str(&text).expect("and back");
        assert_eq!(read, Feed::Delta(Box::new(delta.clone())));

        let mut other = Table {
            number: 3,
            ..old.clone()
        };
        let before = other.clone();
        assert!(!other.apply(delta.clone()) && other == before);
        assert!(old.apply(delta));
        assert_eq!(old, new);
    }
}
