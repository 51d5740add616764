//! The index: from a table to what is asked of it. It is made once for each table, without I/O, and is never changed.
//!
//! Names are kept lower-cased and without the zone. What a service's name stands for is worked out here: health, targets of
//! aliases, virtual addresses. Who may use which name is looked at when it is asked ([`Index::find`]).

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use crate::model::network_table::{Container, Service, Table, service_key};

/// The zone of a project's names.
pub const ZONE: &str = "rancher.internal";
/// The name under which a container finds this server, in the zone.
const OWN_NAME: &str = "rancher-metadata";
/// The address that names and metadata had with Rancher; nobody's upstream.
const OLD_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 250);
/// A chain of host names that is longer is a loop.
pub const LONGEST_CHAIN: usize = 10;

/// What a name stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Host names, whose addresses are asked for elsewhere.
    pub hosts: Vec<String>,
}

/// What was found under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'i> {
    /// This server.
    Own,
    /// These.
    Records(&'i Records),
}

/// Whose a name is that everybody may use.
#[derive(Debug, Clone)]
enum Known {
    Own,
    Service(String),
    Container(String),
}

/// Where names of one client lead.
#[derive(Debug, Default)]
struct Links(HashMap<String, Known>);

/// A subnet in which clients are.
#[derive(Debug, Clone, Copy)]
struct Subnet {
    bits: u32,
    mask: u32,
}

/// A table, ready to be asked.
#[derive(Debug)]
pub struct Index {
    table: Table,
    subnet: Option<Subnet>,
    gateway: Option<IpAddr>,
    clients: HashMap<IpAddr, String>,
    names: HashMap<String, Known>,
    services: HashMap<String, Records>,
    containers: HashMap<String, Records>,
    service_links: HashMap<String, Links>,
    services_of: HashMap<String, Vec<String>>,
    order: Order,
}

/// The keys of each list of the table, in the order in which metadata shows them.
#[derive(Debug, Default)]
pub struct Order {
    /// By name.
    pub containers: Vec<String>,
    /// By name, then by stack.
    pub services: Vec<String>,
    /// By name.
    pub stacks: Vec<String>,
    /// By name.
    pub hosts: Vec<String>,
    /// By name.
    pub networks: Vec<String>,
    /// The services of each stack, by name.
    pub of_stack: HashMap<String, Vec<String>>,
}

impl Index {
    /// The index of a table.
    pub fn new(table: Table) -> Self {
        let (services_of, mut index) = (services_of(&table), Self::empty(&table));
        index.services_of = services_of;
        index.containers = table
            .containers
            .iter()
            .map(|(uuid, c)| (uuid.clone(), own(c)))
            .collect();
        index.clients = clients(&table);
        index.order = Order::of(&table);
        let paths = paths(&table);
        let own_records = table.services.iter().map(|(key, s)| (key.as_str(), direct(&table, s)));
        let direct: HashMap<&str, Option<Records>> = own_records.collect();
        for (key, service) in &table.services {
            let records = match is_alias(service) {
                true => union(&table, &paths, &direct, key),
                false => direct.get(key.as_str()).cloned().flatten(),
            };
            if let Some(records) = records {
                index.services.insert(key.clone(), records);
            }
            let links = links(&table, &paths, service);
            if !links.0.is_empty() {
                index.service_links.insert(key.clone(), links);
            }
        }
        index.names = names(&table, &index.order);
        index.table = table;
        index
    }

    fn empty(table: &Table) -> Self {
        Self {
            table: Table::default(),
            subnet: Subnet::parse(&table.subnet),
            gateway: table.gateway.parse().ok(),
            clients: HashMap::new(),
            names: HashMap::new(),
            services: HashMap::new(),
            containers: HashMap::new(),
            service_links: HashMap::new(),
            services_of: HashMap::new(),
            order: Order::default(),
        }
    }

    /// The table that it was made of.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The order of lists.
    pub fn order(&self) -> &Order {
        &self.order
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
    pub fn client(&self, from: IpAddr) -> Option<&Container> {
        self.table.containers.get(self.clients.get(&from)?)
    }

    /// The keys of the services that count a container in, its own first.
    pub fn services_of(&self, container: &str) -> &[String] {
        self.services_of.get(container).map_or(&[], Vec::as_slice)
    }

    /// What a name stands for, to one client. The name is lower-cased, without a dot at its end. Names outside the zone are
    /// looked for in the client's search domains.
    pub fn find(&self, client: Option<&Container>, name: &str) -> Option<Found<'_>> {
        if let Some(known) = in_zone(name) {
            return self.find_exactly(client, known);
        }
        let domains = || client.into_iter().flat_map(|c| &c.dns_search).map(|d| plain(d));
        let searched: Vec<String> = domains()
            .chain([ZONE.to_owned()])
            .filter_map(|domain| in_zone(&format!("{name}.{domain}")).map(str::to_owned))
            .collect();
        let linked = client.and_then(|c| searched.iter().find_map(|name| self.linked(c, name)));
        linked.or_else(|| searched.iter().find_map(|name| self.known(self.names.get(name)?)))
    }

    fn find_exactly(&self, client: Option<&Container>, name: &str) -> Option<Found<'_>> {
        let linked = client.and_then(|c| self.linked(c, name));
        linked.or_else(|| self.known(self.names.get(name)?))
    }

    /// What a client's own links lead to; those of its service first.
    fn linked(&self, client: &Container, name: &str) -> Option<Found<'_>> {
        let of_services = self.services_of(&client.uuid).iter();
        let by_service = of_services
            .filter_map(|key| self.service_links.get(key)?.0.get(name))
            .find_map(|known| self.known(known));
        by_service.or_else(|| {
            let mut links = client.links.iter();
            let (_, target) = links.find(|(alias, _)| alias.eq_ignore_ascii_case(name))?;
            self.containers.get(target).map(Found::Records)
        })
    }

    fn known(&self, known: &Known) -> Option<Found<'_>> {
        match known {
            Known::Own => Some(Found::Own),
            Known::Service(key) => self.services.get(key).map(Found::Records),
            Known::Container(uuid) => self.containers.get(uuid).map(Found::Records),
        }
    }

    /// The name servers that a client's owner asked for; never the machine itself, nor the address that this one had.
    pub fn upstreams(client: Option<&Container>) -> impl Iterator<Item = IpAddr> {
        let asked = client.into_iter().flat_map(|c| &c.dns);
        asked
            .filter_map(|text| text.trim().parse().ok())
            .filter(|address: &IpAddr| !address.is_loopback() && !address.is_unspecified() && *address != OLD_ADDRESS)
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

fn is_alias(service: &Service) -> bool {
    service.kind == "dnsService"
}

/// Whether it is a sidekick, by its names.
pub fn is_sidekick(service: &Service) -> bool {
    !service.primary_service_name.is_empty() && service.primary_service_name != service.name
}

fn address(container: &Container) -> Option<Ipv4Addr> {
    container.primary_ip.as_deref()?.parse().ok()
}

/// What a container's own name stands for, whatever its state.
fn own(container: &Container) -> Records {
    Records {
        addresses: address(container).into_iter().collect(),
        hosts: Vec::new(),
    }
}

fn is_up(container: &Container) -> bool {
    matches!(container.state.as_str(), "running" | "starting")
}

/// Whether a container counts for its service's name.
fn counts(service: &Service, container: &Container) -> bool {
    let is_well = match container.health_state.as_deref().unwrap_or_default() {
        "healthy" | "updating-healthy" => true,
        "" => service.health_check.is_none(),
        _ => false,
    };
    is_up(container) && is_well
}

/// What a service's name stands for by itself; none for one that has nothing.
fn direct(table: &Table, service: &Service) -> Option<Records> {
    let address = |text: &String| text.trim().parse().ok();
    if let Some(vip) = service.vip.as_ref().and_then(address) {
        return Some(Records {
            addresses: vec![vip],
            hosts: Vec::new(),
        });
    }
    let host = service.hostname.as_deref().map(plain).filter(|host| !host.is_empty());
    if service.kind == "externalService" && (host.is_some() || !service.external_ips.is_empty()) {
        return Some(Records {
            addresses: service.external_ips.iter().filter_map(address).collect(),
            hosts: host.into_iter().collect(),
        });
    }
    let containers: Vec<&Container> = service
        .containers
        .iter()
        .filter_map(|uuid| table.containers.get(uuid))
        .collect();
    if containers.is_empty() {
        return None;
    }
    let mut addresses = Vec::new();
    let well = containers.iter().filter(|c| counts(service, c));
    add(&mut addresses, well.filter_map(|c| self::address(c)));
    if addresses.is_empty() {
        // A name that led nowhere would be worse: exactly one is given, the last.
        addresses.extend(containers.iter().rev().find_map(|c| self::address(c)));
    }
    Some(Records {
        addresses,
        hosts: Vec::new(),
    })
}

/// Adds what is not there yet.
fn add<T: Clone + Eq + std::hash::Hash>(list: &mut Vec<T>, more: impl Iterator<Item = T>) {
    let mut there: HashSet<T> = list.iter().cloned().collect();
    list.extend(more.filter(|entry| there.insert(entry.clone())));
}

/// The records of all targets of an alias, and of their targets. Each service is looked at once, so loops end.
fn union(
    table: &Table,
    paths: &HashMap<String, &str>,
    direct: &HashMap<&str, Option<Records>>,
    alias: &str,
) -> Option<Records> {
    let (mut all, mut found) = (Records::default(), false);
    let (mut seen, mut left) = (HashSet::from([alias]), vec![alias]);
    while let Some(key) = left.pop() {
        if let Some(records) = direct.get(key).and_then(Option::as_ref) {
            found = true;
            add(&mut all.addresses, records.addresses.iter().copied());
            add(&mut all.hosts, records.hosts.iter().cloned());
            continue;
        }
        let Some(service) = table.services.get(key).filter(|service| is_alias(service)) else {
            continue;
        };
        let targets = service
            .links
            .keys()
            .filter_map(|path| paths.get(&path.to_ascii_lowercase()));
        left.extend(targets.filter(|key| seen.insert(*key)));
    }
    found.then_some(all)
}

/// The keys of services by `stack/service`. A sidekick's name is its own only beside no service of that name.
fn paths(table: &Table) -> HashMap<String, &str> {
    let mut paths = HashMap::with_capacity(table.services.len());
    let (sidekicks, primaries): (Vec<_>, Vec<_>) = table.services.iter().partition(|(_, s)| is_sidekick(s));
    for (key, service) in primaries.into_iter().chain(sidekicks) {
        let path = format!("{}/{}", service.stack_name, service.name).to_ascii_lowercase();
        paths.entry(path).or_insert(key.as_str());
    }
    paths
}

/// The names that a service's links give its containers: the link's name, alone and with the target's stack.
fn links(table: &Table, paths: &HashMap<String, &str>, service: &Service) -> Links {
    let mut links = Links::default();
    if is_alias(service) {
        return links;
    }
    for (path, name) in &service.links {
        let Some(key) = paths.get(&path.to_ascii_lowercase()) else {
            continue;
        };
        let Some(target) = table.services.get(*key) else {
            continue;
        };
        let name = if name.is_empty() { &target.name } else { name }.to_ascii_lowercase();
        let with_stack = format!("{name}.{}", target.stack_name.to_ascii_lowercase());
        for name in [name, with_stack] {
            links.0.entry(name).or_insert_with(|| Known::Service((*key).to_owned()));
        }
    }
    links
}

/// The services that count each container in: its own first, which may not list it.
fn services_of(table: &Table) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::with_capacity(table.containers.len());
    for (uuid, container) in &table.containers {
        if let (Some(service), Some(name)) = (&container.service_uuid, &container.service_name) {
            let key = service_key(service, name);
            if table.services.contains_key(&key) {
                found.insert(uuid.clone(), vec![key]);
            }
        }
    }
    for (key, service) in &table.services {
        for uuid in service
            .containers
            .iter()
            .filter(|uuid| table.containers.contains_key(*uuid))
        {
            let keys = found.entry(uuid.clone()).or_default();
            if keys.first() != Some(key) {
                keys.push(key.clone());
            }
        }
    }
    found
}

/// Who asks from which address. Of two that have one, the one that is up does.
fn clients(table: &Table) -> HashMap<IpAddr, String> {
    let mut clients = HashMap::with_capacity(table.containers.len());
    let (up, down): (Vec<_>, Vec<_>) = table
        .containers
        .values()
        .filter(|c| c.managed)
        .partition(|container| is_up(container));
    for container in up.into_iter().chain(down) {
        if let Some(address) = address(container) {
            clients
                .entry(IpAddr::V4(address))
                .or_insert_with(|| container.uuid.clone());
        }
    }
    clients
}

/// The names that everybody may use.
fn names(table: &Table, order: &Order) -> HashMap<String, Known> {
    let mut names = HashMap::with_capacity(table.containers.len() + table.services.len() + 1);
    names.insert(OWN_NAME.to_owned(), Known::Own);
    for key in &order.services {
        if let Some(service) = table.services.get(key) {
            let name = match is_sidekick(service) {
                true => format!(
                    "{}.{}.{}",
                    service.name, service.primary_service_name, service.stack_name
                ),
                false => format!("{}.{}", service.name, service.stack_name),
            };
            let known = || Known::Service(key.clone());
            names.entry(name.to_ascii_lowercase()).or_insert_with(known);
        }
    }
    let containers = || order.containers.iter().filter_map(|uuid| table.containers.get(uuid));
    let (up, down) = (containers().filter(|c| is_up(c)), containers().filter(|c| !is_up(c)));
    for container in up.chain(down) {
        let known = || Known::Container(container.uuid.clone());
        names.entry(plain(&container.name)).or_insert_with(known);
    }
    names
}

impl Order {
    fn of(table: &Table) -> Self {
        let mut order = Self {
            containers: sorted(table.containers.iter(), |c| (c.name.as_str(), "")),
            services: sorted(table.services.iter(), |s| (s.name.as_str(), s.stack_name.as_str())),
            stacks: sorted(table.stacks.iter(), |s| (s.name.as_str(), "")),
            hosts: sorted(table.hosts.iter(), |h| (h.name.as_str(), "")),
            networks: sorted(table.networks.iter(), |n| (n.name.as_str(), "")),
            of_stack: HashMap::new(),
        };
        for key in &order.services {
            if let Some(service) = table.services.get(key) {
                let of_stack = order.of_stack.entry(service.stack_uuid.clone()).or_default();
                of_stack.push(key.clone());
            }
        }
        order
    }
}

/// Keys, by what is shown first; equal ones by key.
fn sorted<'t, T: 't>(
    entries: impl Iterator<Item = (&'t String, &'t T)>,
    by: impl Fn(&'t T) -> (&'t str, &'t str),
) -> Vec<String> {
    let mut entries: Vec<_> = entries.map(|(key, entry)| (by(entry), key)).collect();
    entries.sort_unstable();
    entries.into_iter().map(|(_, key)| key.clone()).collect()
}
