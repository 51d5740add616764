//! The containers of an index: each in few bytes, and what is asked of it most in the clear.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::plain;
use super::slots::{self, Slots};
use crate::model::network_table::Container;
use crate::netd::packed::Words;

/// The address that names and metadata had with Rancher; nobody's upstream.
const OLD_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 250);

/// The containers of a project, and their orders.
#[derive(Debug, Default)]
pub struct Containers {
    slots: Slots<Held>,
    /// As metadata lists them.
    by_name: Vec<u32>,
    /// As names are looked for: of two that have one, the one that is up comes first.
    by_plain_name: Vec<u32>,
    /// As clients are: of two that have an address, the one that is up comes first.
    by_address: Vec<u32>,
    /// The services that list each, by number.
    listed_by: Vec<Few>,
    resolvers: HashSet<Arc<Resolver>>,
}

/// A container.
#[derive(Debug)]
pub struct Held {
    /// Its name, as it was written.
    pub name: Box<str>,
    /// What its name stands for.
    pub address: Option<Ipv4Addr>,
    /// What is known of its health.
    pub health: Health,
    /// The number of its own service, if it has one; which need not be there.
    pub own: Option<u32>,
    /// Its own links: alias and the number of the target.
    pub links: Box<[(Box<str>, u32)]>,
    /// How it asks.
    pub resolver: Option<Arc<Resolver>>,
    is_up: bool,
    is_client: bool,
    /// Its key is its uuid, which stands nowhere else.
    is_keyed: bool,
    /// All the rest.
    packed: Box<[u8]>,
}

/// What is known of a container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It is well.
    Well,
    /// Nothing is known.
    Unknown,
    /// It is not well, or not yet.
    Ill,
}

/// How a client asks: containers of a service have this in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolver {
    dns: Vec<String>,
    dns_search: Vec<String>,
    /// The search domains as names are compared.
    pub domains: Vec<String>,
    /// The name servers that its owner asked for; never the machine itself, nor the address that this one had.
    pub upstreams: Vec<IpAddr>,
}

/// Numbers, of which there is mostly one.
#[derive(Debug, Clone, Default)]
struct Few {
    one: Option<u32>,
    more: Box<[u32]>,
}

impl Few {
    fn iter(&self) -> impl Iterator<Item = u32> {
        self.one.into_iter().chain(self.more.iter().copied())
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u32>)) {
        let mut all: Vec<u32> = self.iter().collect();
        change(&mut all);
        let mut all = all.into_iter();
        (self.one, self.more) = (all.next(), all.collect());
    }
}

impl Resolver {
    fn of(dns: Vec<String>, dns_search: Vec<String>) -> Self {
        let upstreams = dns.iter().filter_map(|text| text.trim().parse().ok());
        Self {
            domains: dns_search.iter().map(|domain| plain(domain)).collect(),
            upstreams: upstreams
                .filter(|ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified() && *ip != OLD_ADDRESS)
                .collect(),
            dns,
            dns_search,
        }
    }
}

impl Held {
    /// Whether it counts for the name of a service, which checks it or does not.
    pub fn counts(&self, is_checked: bool) -> bool {
        let is_well = match self.health {
            Health::Well => true,
            Health::Unknown => !is_checked,
            Health::Ill => false,
        };
        self.is_up && is_well
    }

    /// The letters of its name as names are compared.
    fn plain_name(&self) -> impl Iterator<Item = u8> {
        let name = self.name.trim_matches('.');
        name.bytes().map(|byte| byte.to_ascii_lowercase())
    }

    /// The one that is up is sooner.
    fn is_down(&self) -> bool {
        !self.is_up
    }
}

impl Containers {
    /// One that is there.
    pub fn get(&self, id: u32) -> Option<&Held> {
        self.slots.get(id)
    }

    /// The number of one that is there.
    pub fn find(&self, uuid: &str) -> Option<u32> {
        self.slots.find(uuid)
    }

    /// The uuid of a number.
    pub fn uuid(&self, id: u32) -> String {
        self.slots.key(id).map(slots::Key::text).unwrap_or_default()
    }

    /// By name.
    pub fn in_order(&self) -> &[u32] {
        &self.by_name
    }

    /// By uuid.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.slots.ids()
    }

    /// The one that asks from an address.
    pub fn at(&self, address: Ipv4Addr) -> Option<u32> {
        let found = self
            .by_address
            .partition_point(|id| self.get(*id).is_some_and(|c| c.address < Some(address)));
        let id = *self.by_address.get(found)?;
        self.get(id).filter(|c| c.address == Some(address)).map(|_| id)
    }

    /// The one whose name this is.
    pub fn named(&self, name: &str) -> Option<u32> {
        let against = |id: &u32| self.get(*id).map(|c| c.plain_name().cmp(name.bytes()));
        let found = self
            .by_plain_name
            .partition_point(|id| against(id) == Some(Ordering::Less));
        let id = *self.by_plain_name.get(found)?;
        (against(&id) == Some(Ordering::Equal)).then_some(id)
    }

    /// The services that list it, by number.
    pub fn listed_by(&self, id: u32) -> impl Iterator<Item = u32> {
        let few = usize::try_from(id).ok().and_then(|at| self.listed_by.get(at));
        few.into_iter().flat_map(Few::iter)
    }

    /// All of one.
    pub fn whole(&self, words: &Words, id: u32) -> Option<Container> {
        let held = self.get(id)?;
        let mut whole: Container = words.unpack(&held.packed);
        if held.is_keyed {
            whole.uuid = self.uuid(id);
        }
        whole.name = held.name.to_string();
        if let Some(resolver) = &held.resolver {
            whole.dns.clone_from(&resolver.dns);
            whole.dns_search.clone_from(&resolver.dns_search);
        }
        Some(whole)
    }

    /// Puts one in place of what was there. `own` is the number of its service. Lists are left to
    /// [`enlist`](Self::enlist) and [`sort`](Self::sort). What is given back is the number of the service of the one before.
    pub fn put(&mut self, words: &mut Words, uuid: &str, mut c: Container, own: Option<u32>) -> (u32, Option<u32>) {
        // It is mentioned once for being there.
        let known = self.find(uuid);
        let id = known.unwrap_or_else(|| self.slots.mention(uuid));
        let before = self.clear(words, id);
        let health = match c.health_state.as_deref().unwrap_or_default() {
            "healthy" | "updating-healthy" => Health::Well,
            "" => Health::Unknown,
            _ => Health::Ill,
        };
        let links = c
            .links
            .iter()
            .map(|(alias, target)| (alias.as_str().into(), self.slots.mention(target)));
        let links = links.collect();
        let name = std::mem::take(&mut c.name).into_boxed_str();
        let is_keyed = c.uuid == uuid;
        if is_keyed {
            c.uuid.clear();
        }
        let resolver = self.resolver(std::mem::take(&mut c.dns), std::mem::take(&mut c.dns_search));
        let address = c.primary_ip.as_deref().and_then(|ip| ip.parse().ok());
        let held = Held {
            name,
            address,
            health,
            own,
            links,
            resolver,
            is_up: matches!(c.state.as_str(), "running" | "starting"),
            is_keyed,
            is_client: c.managed && address.is_some(),
            packed: words.pack(&c),
        };
        self.slots.put(id, held);
        (id, before)
    }

    fn resolver(&mut self, dns: Vec<String>, dns_search: Vec<String>) -> Option<Arc<Resolver>> {
        if dns.is_empty() && dns_search.is_empty() {
            return None;
        }
        let resolver = Resolver::of(dns, dns_search);
        if let Some(known) = self.resolvers.get(&resolver) {
            return Some(known.clone());
        }
        let resolver = Arc::new(resolver);
        self.resolvers.insert(resolver.clone());
        Some(resolver)
    }

    /// Takes one out, and gives back the number of its service.
    pub fn remove(&mut self, words: &mut Words, uuid: &str) -> Option<u32> {
        let id = self.find(uuid)?;
        let own = self.clear(words, id);
        self.slots.release(id);
        own
    }

    /// Takes out what is in a place, if something is: its mentions, its words and its service's number are given back.
    fn clear(&mut self, words: &mut Words, id: u32) -> Option<u32> {
        let held = self.slots.take(id)?;
        words.forget::<Container>(&held.packed);
        for (_, target) in &held.links {
            self.slots.release(*target);
        }
        if let Some(resolver) = held.resolver {
            // This one's, and that of the set.
            if Arc::strong_count(&resolver) == 2 {
                self.resolvers.remove(&resolver);
            }
        }
        held.own
    }

    /// A service lists these.
    pub fn list(&mut self, service: u32, uuids: &[String]) -> Box<[u32]> {
        let ids: Box<[u32]> = uuids.iter().map(|uuid| self.slots.mention(uuid)).collect();
        for id in &ids {
            self.change_listed(*id, |all| {
                if !all.contains(&service) {
                    all.push(service);
                }
            });
        }
        ids
    }

    /// A service lists these no more.
    pub fn unlist(&mut self, service: u32, ids: &[u32]) {
        for id in ids {
            self.change_listed(*id, |all| all.retain(|other| *other != service));
            self.slots.release(*id);
        }
    }

    fn change_listed(&mut self, id: u32, change: impl FnOnce(&mut Vec<u32>)) {
        let Ok(at) = usize::try_from(id) else { return };
        if self.listed_by.len() <= at {
            self.listed_by.resize_with(at + 1, Few::default);
        }
        if let Some(few) = self.listed_by.get_mut(at) {
            few.change(change);
        }
    }

    /// Puts one into the lists that it belongs to.
    pub fn enlist(&mut self, id: u32) {
        let slots = &self.slots;
        let Some(held) = slots.get(id) else { return };
        slots::insert(&mut self.by_name, id, |other| by_name(slots, other, id));
        slots::insert(&mut self.by_plain_name, id, |other| by_plain_name(slots, other, id));
        if held.is_client {
            slots::insert(&mut self.by_address, id, |other| by_address(slots, other, id));
        }
    }

    /// Takes one out of all lists. It has to be there still.
    pub fn delist(&mut self, id: u32) {
        let slots = &self.slots;
        slots::remove(&mut self.by_name, id, |other| by_name(slots, other, id));
        slots::remove(&mut self.by_plain_name, id, |other| by_plain_name(slots, other, id));
        slots::remove(&mut self.by_address, id, |other| by_address(slots, other, id));
    }

    /// Makes all lists.
    pub fn sort(&mut self) {
        let slots = &self.slots;
        self.by_name = slots.ids().collect();
        self.by_name.sort_unstable_by(|a, b| by_name(slots, *a, *b));
        self.by_plain_name.clone_from(&self.by_name);
        self.by_plain_name.sort_unstable_by(|a, b| by_plain_name(slots, *a, *b));
        let clients = slots.ids().filter(|id| slots.get(*id).is_some_and(|c| c.is_client));
        self.by_address = clients.collect();
        self.by_address.sort_unstable_by(|a, b| by_address(slots, *a, *b));
    }
}

fn by_name(slots: &Slots<Held>, one: u32, two: u32) -> Ordering {
    let name = |id| slots.get(id).map(|c| &c.name);
    name(one)
        .cmp(&name(two))
        .then_with(|| slots.key(one).cmp(&slots.key(two)))
}

fn by_plain_name(slots: &Slots<Held>, one: u32, two: u32) -> Ordering {
    let (Some(a), Some(b)) = (slots.get(one), slots.get(two)) else {
        return one.cmp(&two);
    };
    a.plain_name()
        .cmp(b.plain_name())
        .then_with(|| a.is_down().cmp(&b.is_down()))
        .then_with(|| by_name(slots, one, two))
}

fn by_address(slots: &Slots<Held>, one: u32, two: u32) -> Ordering {
    let key = |id| slots.get(id).map(|c| (c.address, c.is_down()));
    key(one)
        .cmp(&key(two))
        .then_with(|| slots.key(one).cmp(&slots.key(two)))
}
