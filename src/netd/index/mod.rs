//! The index: a table, ready to be asked. It is read from a stream, changed entry by entry, and does no I/O of its own.
//!
//! Entries are few bytes (`packed.rs`), known by numbers (`slots.rs`), with lists of numbers in the orders in which they are
//! looked for. What a service's name stands for is worked out when it is asked: health, targets of aliases, virtual
//! addresses; and who may use which name.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::network_table::{Container, Service, Table};

use self::containers::Containers;
use self::services::Services;
use super::packed::Words;

mod changing;
mod containers;
mod reading;
mod services;
mod slots;

pub use self::reading::{Line, read_line, read_table};

/// The zone of a project's names.
pub const ZONE: &str = "rancher.internal";
/// The name under which a container finds this server, in the zone.
const OWN_NAME: &str = "rancher-metadata";
/// A chain of host names that is longer is a loop.
pub const LONGEST_CHAIN: usize = 10;
/// Aliases of which it is remembered what they stand for. Each is worked out again after a change.
const ALIASES: usize = 64;

/// What a name stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Host names, whose addresses are asked for elsewhere.
    pub hosts: Vec<String>,
}

/// What was found under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This server.
    Own,
    /// These.
    Records(Records),
}

/// Who asks, if it is a container.
#[derive(Debug, Clone, Copy)]
pub struct Client<'i> {
    /// Its number.
    pub id: u32,
    held: &'i containers::Held,
}

/// A subnet in which clients are.
#[derive(Debug, Clone, Copy)]
struct Subnet {
    bits: u32,
    mask: u32,
}

/// A table, ready to be asked.
#[derive(Debug, Default)]
pub struct Index {
    /// The table without containers and services.
    rest: Table,
    subnet: Option<Subnet>,
    gateway: Option<IpAddr>,
    words: Words,
    containers: Containers,
    services: Services,
    order: Order,
    /// What aliases stand for, as far as it was asked since the last change.
    aliases: Mutex<HashMap<u32, Option<Arc<Records>>>>,
}

/// The keys of the smaller lists of the table, in the order in which metadata shows them.
#[derive(Debug, Default)]
pub struct Order {
    /// By name.
    pub stacks: Vec<String>,
    /// By name.
    pub hosts: Vec<String>,
    /// By name.
    pub networks: Vec<String>,
}

impl Index {
    /// The table without containers and services.
    pub fn rest(&self) -> &Table {
        &self.rest
    }

    /// The order of smaller lists.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The numbers of all containers, by name.
    pub fn containers(&self) -> &[u32] {
        self.containers.in_order()
    }

    /// The numbers of all services, by name, then by stack.
    pub fn services(&self) -> &[u32] {
        self.services.in_order()
    }

    /// The services of a stack, by name.
    pub fn services_of_stack(&self, uuid: &str) -> impl Iterator<Item = u32> {
        let of_stack = move |id: &u32| self.services.get(*id).is_some_and(|s| *s.stack_uuid == *uuid);
        self.services().iter().copied().filter(of_stack)
    }

    /// A container, all of it.
    pub fn container(&self, id: u32) -> Option<Container> {
        self.containers.whole(&self.words, id)
    }

    /// The name of a container.
    pub fn container_name(&self, id: u32) -> Option<&str> {
        self.containers.get(id).map(|c| &*c.name)
    }

    /// The uuid of a container.
    pub fn container_uuid(&self, id: u32) -> String {
        self.containers.uuid(id)
    }

    /// A service, all of it but its containers.
    pub fn service(&self, id: u32) -> Option<Service> {
        self.services.whole(&self.words, id)
    }

    /// The name of a service.
    pub fn service_name(&self, id: u32) -> Option<&str> {
        self.services.get(id).map(|s| &*s.name)
    }

    /// The uuid of a service; of a sidekick its primary's.
    pub fn service_uuid(&self, id: u32) -> Option<String> {
        self.services.uuid(id)
    }

    /// Whether a service is a sidekick.
    pub fn is_sidekick(&self, id: u32) -> bool {
        self.services.get(id).is_some_and(|s| s.is_sidekick)
    }

    /// The containers of a service that are there, in its order.
    pub fn containers_of(&self, service: u32) -> impl Iterator<Item = u32> {
        let listed = self.services.get(service).into_iter().flat_map(|s| s.containers.iter());
        listed.copied().filter(move |id| self.containers.get(*id).is_some())
    }

    /// Whether somebody who asks from there is answered: containers of the subnet, the host, and this server's own machine.
    pub fn admits(&self, from: IpAddr) -> bool {
        let in_subnet = match from {
            IpAddr::V4(address) => self.subnet.is_some_and(|subnet| subnet.contains(address)),
            IpAddr::V6(_) => false,
        };
        in_subnet || from.is_loopback() || self.gateway == Some(from)
    }

    /// The container that asks from an address of its own.
    pub fn client(&self, from: IpAddr) -> Option<Client<'_>> {
        let IpAddr::V4(address) = from else { return None };
        let id = self.containers.at(address)?;
        let held = self.containers.get(id)?;
        Some(Client { id, held })
    }

    /// The services that count a container in, its own first.
    pub fn services_of(&self, container: u32) -> Vec<u32> {
        let own = self.containers.get(container).and_then(|c| c.own);
        let own = own.filter(|id| self.services.get(*id).is_some());
        let mut listing: Vec<u32> = self.containers.listed_by(container).collect();
        listing.sort_unstable_by(|a, b| self.services.compare_keys(*a, *b));
        let others = listing.into_iter().filter(|id| Some(*id) != own);
        own.into_iter().chain(others).collect()
    }

    /// What a name stands for, to one client. The name is lower-cased, without a dot at its end. Names outside the zone are
    /// looked for in the client's search domains.
    pub fn find(&self, client: Option<Client<'_>>, name: &str) -> Option<Found> {
        if let Some(known) = in_zone(name) {
            let linked = client.and_then(|client| self.linked(client, known));
            return linked.or_else(|| self.known(known));
        }
        let resolver = client.and_then(|client| client.held.resolver.as_ref());
        let domains = resolver
            .iter()
            .flat_map(|resolver| &resolver.domains)
            .map(String::as_str);
        let searched: Vec<String> = domains
            .chain([ZONE])
            .filter_map(|domain| in_zone(&format!("{name}.{domain}")).map(str::to_owned))
            .collect();
        let linked = client.and_then(|client| searched.iter().find_map(|name| self.linked(client, name)));
        linked.or_else(|| searched.iter().find_map(|name| self.known(name)))
    }

    /// What a client's own links lead to; those of its service first.
    fn linked(&self, client: Client<'_>, name: &str) -> Option<Found> {
        let of_services = self.services_of(client.id).into_iter();
        let by_service = of_services
            .filter_map(|service| self.link_of(service, name))
            .find_map(|target| self.records(target));
        if let Some(records) = by_service {
            return Some(Found::Records(records.into_owned()));
        }
        let mut links = client.held.links.iter();
        let (_, target) = links.find(|(alias, _)| alias.eq_ignore_ascii_case(name))?;
        self.own_records(*target)
    }

    /// The service to which a link of this name leads from a service.
    fn link_of(&self, service: u32, name: &str) -> Option<u32> {
        let service = self.services.get(service).filter(|service| !service.is_alias)?;
        let mut links = service.links.iter().filter(|link| link.is_called(name));
        links.find_map(|link| self.services.at_path(&link.path))
    }

    /// What everybody finds under a name.
    fn known(&self, name: &str) -> Option<Found> {
        if name == OWN_NAME {
            return Some(Found::Own);
        }
        match self.services.known_as(name) {
            Some(service) => Some(Found::Records(self.records(service)?.into_owned())),
            None => {
                let own = self.containers.named(name).and_then(|id| self.own_records(id));
                own.or_else(|| self.also_known(name))
            }
        }
    }

    /// What services are found under that have a name beside their own: what all of them stand for.
    fn also_known(&self, name: &str) -> Option<Found> {
        let called = self.services.also_called(name).iter();
        let mut all = Union::default();
        let found = called
            .filter_map(|id| self.records(*id))
            .map(|records| all.add(&records));
        (found.count() > 0).then_some(Found::Records(all.records))
    }

    /// What a container's own name stands for, whatever its state.
    fn own_records(&self, container: u32) -> Option<Found> {
        let container = self.containers.get(container)?;
        Some(Found::Records(Records {
            addresses: container.address.into_iter().collect(),
            hosts: Vec::new(),
        }))
    }

    /// What a service's name stands for; none for one that has nothing.
    fn records(&self, id: u32) -> Option<Cow<'_, Records>> {
        if !self.services.get(id)?.is_alias {
            return self.direct(id);
        }
        let known = self
            .aliases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned();
        let records = known.unwrap_or_else(|| {
            let records = self.union(id).map(Arc::new);
            let mut aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
            if aliases.len() >= ALIASES {
                aliases.clear();
            }
            aliases.insert(id, records.clone());
            records
        });
        records.map(|records| Cow::Owned(Records::clone(&records)))
    }

    /// What a service stands for by itself.
    fn direct(&self, id: u32) -> Option<Cow<'_, Records>> {
        let service = self.services.get(id)?;
        if let Some(fixed) = &service.fixed {
            return Some(Cow::Borrowed(fixed));
        }
        let listed = service.containers.iter();
        let there: Vec<_> = listed.filter_map(|id| self.containers.get(*id)).collect();
        if there.is_empty() {
            return None;
        }
        let mut addresses = Vec::with_capacity(there.len());
        let well = there.iter().filter(|c| c.counts(service.is_checked));
        add(&mut addresses, well.filter_map(|c| c.address));
        if addresses.is_empty() {
            // A name that led nowhere would be worse: exactly one is given, the last.
            addresses.extend(there.iter().rev().find_map(|c| c.address));
        }
        Some(Cow::Owned(Records {
            addresses,
            hosts: Vec::new(),
        }))
    }

    /// The records of all targets of an alias, and of their targets. Each service is looked at once, so loops end.
    fn union(&self, alias: u32) -> Option<Records> {
        let (mut all, mut is_found) = (Union::default(), false);
        let (mut seen, mut left) = (HashSet::from([alias]), vec![alias]);
        while let Some(id) = left.pop() {
            if let Some(records) = self.direct(id) {
                is_found = true;
                all.add(&records);
                continue;
            }
            let Some(service) = self.services.get(id).filter(|service| service.is_alias) else {
                continue;
            };
            let targets = service
                .links
                .iter()
                .filter_map(|link| self.services.at_path(&link.path));
            left.extend(targets.filter(|id| seen.insert(*id)));
        }
        is_found.then_some(all.records)
    }
}

impl Client<'_> {
    /// The name servers that its owner asked for.
    pub fn upstreams(client: Option<Client<'_>>) -> Vec<IpAddr> {
        let resolver = client.and_then(|client| client.held.resolver.clone());
        resolver.map(|resolver| resolver.upstreams.clone()).unwrap_or_default()
    }
}

/// Records of several, each once.
#[derive(Default)]
struct Union {
    records: Records,
    addresses: HashSet<Ipv4Addr>,
    hosts: HashSet<String>,
}

impl Union {
    fn add(&mut self, more: &Records) {
        let addresses = more.addresses.iter().filter(|address| self.addresses.insert(**address));
        self.records.addresses.extend(addresses);
        let hosts = more.hosts.iter().filter(|host| self.hosts.insert((*host).clone()));
        self.records.hosts.extend(hosts.cloned());
    }
}

/// A name of the zone without the zone.
pub fn in_zone(name: &str) -> Option<&str> {
    if name == ZONE {
        return Some("");
    }
    name.strip_suffix(ZONE)?.strip_suffix('.')
}

/// A domain as names are compared.
pub fn plain(domain: &str) -> String {
    domain.trim_matches('.').to_ascii_lowercase()
}

impl Subnet {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (address, length): (Ipv4Addr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
        Some(Self {
            bits: address.to_bits() & mask,
            mask,
        })
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask == self.bits
    }
}

/// Adds what is not there yet.
fn add(list: &mut Vec<Ipv4Addr>, more: impl Iterator<Item = Ipv4Addr>) {
    let mut there: HashSet<Ipv4Addr> = HashSet::new();
    list.extend(more.filter(|entry| there.insert(*entry)));
}
