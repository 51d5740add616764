//! The services of an index, sidekicks among them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::slots::{self, Slots};
use super::{Records, plain};
use crate::model::network_table::Service;
use crate::model::own_labels;
use crate::netd::packed::Words;

/// The services of a project, and their orders.
#[derive(Debug, Default)]
pub struct Services {
    slots: Slots<Held>,
    /// By name, then by stack, as metadata lists them.
    by_name: Vec<u32>,
    /// By the name under which everybody finds them.
    by_known_name: Vec<u32>,
    /// By stack and name. A sidekick's name is its own only beside no service of that name.
    by_path: Vec<u32>,
    /// By other names than their own, alone and with the stack.
    by_alias: BTreeMap<Box<str>, Vec<u32>>,
}

/// A service.
#[derive(Debug)]
pub struct Held {
    /// Its name, as it was written.
    pub name: Box<str>,
    /// Whether it is a sidekick, by its names.
    pub is_sidekick: bool,
    /// Whether it is a `dnsService`.
    pub is_alias: bool,
    /// Whether its containers are checked.
    pub is_checked: bool,
    /// What it stands for whatever else there is: addresses that were given to it.
    pub fixed: Option<Box<Records>>,
    /// The numbers of its containers, of which some need not be there.
    pub containers: Box<[u32]>,
    /// What its links lead to.
    pub links: Box<[Link]>,
    /// Its other names, alone and with its stack.
    aliases: Box<[Box<str>]>,
    /// The uuid of its stack.
    pub stack_uuid: Box<str>,
    stack_name: Box<str>,
    /// `service.stack`, or `sidekick.service.stack`.
    known_name: Box<str>,
    /// `stack/service`
    path: Box<str>,
    /// All the rest.
    packed: Box<[u8]>,
}

/// A link of a service: where it leads, and by which name. Both are lower-cased.
#[derive(Debug)]
pub struct Link {
    /// `stack/service`
    pub path: Box<str>,
    name: Box<str>,
}

impl Link {
    /// Whether somebody who asks for this name means it: its name, alone or with the target's stack.
    pub fn is_called(&self, asked: &str) -> bool {
        let Some((stack, service)) = self.path.split_once('/') else {
            return false;
        };
        let name = if self.name.is_empty() { service } else { &self.name };
        asked
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(|rest| rest == stack))
    }
}

impl Services {
    /// One that is there.
    pub fn get(&self, id: u32) -> Option<&Held> {
        self.slots.get(id)
    }

    /// The key of a number.
    pub fn key(&self, id: u32) -> String {
        self.slots.key(id).map(slots::Key::text).unwrap_or_default()
    }

    /// The uuid of one that is there.
    pub fn uuid(&self, id: u32) -> Option<String> {
        let (key, behind) = (self.key(id), self.get(id)?.name.len() + 1);
        key.get(..key.len().checked_sub(behind)?).map(str::to_owned)
    }

    /// By name, then by stack.
    pub fn in_order(&self) -> &[u32] {
        &self.by_name
    }

    /// By key.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.slots.ids()
    }

    /// The first of two numbers by key.
    pub fn compare_keys(&self, one: u32, two: u32) -> Ordering {
        self.slots.key(one).cmp(&self.slots.key(two))
    }

    /// The one that everybody finds under a name.
    pub fn known_as(&self, name: &str) -> Option<u32> {
        self.first(&self.by_known_name, |s| &*s.known_name, name)
    }

    /// Those that have a name beside their own.
    pub fn also_called(&self, name: &str) -> &[u32] {
        self.by_alias.get(name).map_or(&[], Vec::as_slice)
    }

    /// The one that links mean by a path.
    pub fn at_path(&self, path: &str) -> Option<u32> {
        self.first(&self.by_path, |s| &*s.path, path)
    }

    fn first(&self, list: &[u32], of: impl Fn(&Held) -> &str, text: &str) -> Option<u32> {
        let found = list.partition_point(|id| self.get(*id).is_some_and(|s| of(s) < text));
        let id = *list.get(found)?;
        self.get(id).filter(|s| of(s) == text).map(|_| id)
    }

    /// All of one, but for the uuids of its containers.
    pub fn whole(&self, words: &Words, id: u32) -> Option<Service> {
        let held = self.get(id)?;
        let mut whole: Service = words.unpack(&held.packed);
        whole.name = held.name.to_string();
        Some(whole)
    }

    /// Somebody says that it is this one's.
    pub fn mention(&mut self, key: &str) -> u32 {
        self.slots.mention(key)
    }

    /// Somebody says so no more.
    pub fn release(&mut self, id: u32) {
        self.slots.release(id);
    }

    /// The number of one that is there.
    pub fn find(&self, key: &str) -> Option<u32> {
        self.slots.find(key)
    }

    /// Puts one where it was mentioned; nothing may be there.
    pub fn put(&mut self, words: &mut Words, id: u32, mut s: Service, containers: Box<[u32]>) {
        let lower = |text: &str| text.to_ascii_lowercase().into_boxed_str();
        let is_sidekick = !s.primary_service_name.is_empty() && s.primary_service_name != s.name;
        let known_name = match is_sidekick {
            true => format!("{}.{}.{}", s.name, s.primary_service_name, s.stack_name),
            false => format!("{}.{}", s.name, s.stack_name),
        };
        let more = s
            .more_links
            .iter()
            .flat_map(|(path, names)| names.iter().map(move |name| (path, name)));
        let links = s.links.iter().chain(more).map(|(path, name)| Link {
            path: lower(path),
            name: lower(name),
        });
        let aliases = own_labels::aliases(&s.labels).into_iter().flat_map(|alias| {
            let in_stack = lower(&format!("{alias}.{}", s.stack_name));
            [alias.into_boxed_str(), in_stack]
        });
        let held = Held {
            links: links.collect(),
            aliases: aliases.collect(),
            is_sidekick,
            is_alias: s.kind == "dnsService",
            is_checked: s.health_check.is_some(),
            fixed: fixed(&s).map(Box::new),
            containers,
            stack_uuid: s.stack_uuid.as_str().into(),
            stack_name: s.stack_name.as_str().into(),
            known_name: lower(&known_name),
            path: lower(&format!("{}/{}", s.stack_name, s.name)),
            name: std::mem::take(&mut s.name).into(),
            packed: {
                s.containers.clear();
                words.pack(&s)
            },
        };
        for alias in &held.aliases {
            let called = self.by_alias.entry(alias.clone()).or_default();
            let at = called.partition_point(|other| self.slots.key(*other) < self.slots.key(id));
            if called.get(at) != Some(&id) {
                called.insert(at, id);
            }
        }
        self.slots.put(id, held);
    }

    /// Takes one out; gives back the numbers of its containers.
    pub fn take(&mut self, words: &mut Words, id: u32) -> Option<Box<[u32]>> {
        let held = self.slots.take(id)?;
        words.forget::<Service>(&held.packed);
        for alias in &held.aliases {
            if let Some(called) = self.by_alias.get_mut(alias) {
                called.retain(|other| *other != id);
                if called.is_empty() {
                    self.by_alias.remove(alias);
                }
            }
        }
        Some(held.containers)
    }

    /// Puts one into the lists that it belongs to.
    pub fn enlist(&mut self, id: u32) {
        let slots = &self.slots;
        slots::insert(&mut self.by_name, id, |other| by_name(slots, other, id));
        slots::insert(&mut self.by_known_name, id, |other| by_known_name(slots, other, id));
        slots::insert(&mut self.by_path, id, |other| by_path(slots, other, id));
    }

    /// Takes one out of all lists. It has to be there still.
    pub fn delist(&mut self, id: u32) {
        let slots = &self.slots;
        slots::remove(&mut self.by_name, id, |other| by_name(slots, other, id));
        slots::remove(&mut self.by_known_name, id, |other| by_known_name(slots, other, id));
        slots::remove(&mut self.by_path, id, |other| by_path(slots, other, id));
    }

    /// Makes all lists.
    pub fn sort(&mut self) {
        let slots = &self.slots;
        self.by_name = slots.ids().collect();
        self.by_known_name.clone_from(&self.by_name);
        self.by_path.clone_from(&self.by_name);
        self.by_name.sort_unstable_by(|a, b| by_name(slots, *a, *b));
        self.by_known_name.sort_unstable_by(|a, b| by_known_name(slots, *a, *b));
        self.by_path.sort_unstable_by(|a, b| by_path(slots, *a, *b));
    }
}

fn by_name(slots: &Slots<Held>, one: u32, two: u32) -> Ordering {
    let key = |id| slots.get(id).map(|s| (&s.name, &s.stack_name));
    key(one)
        .cmp(&key(two))
        .then_with(|| slots.key(one).cmp(&slots.key(two)))
}

fn by_known_name(slots: &Slots<Held>, one: u32, two: u32) -> Ordering {
    let key = |id| slots.get(id).map(|s| &s.known_name);
    key(one).cmp(&key(two)).then_with(|| by_name(slots, one, two))
}

fn by_path(slots: &Slots<Held>, one: u32, two: u32) -> Ordering {
    let key = |id| slots.get(id).map(|s| (&s.path, s.is_sidekick));
    key(one)
        .cmp(&key(two))
        .then_with(|| slots.key(one).cmp(&slots.key(two)))
}

fn fixed(service: &Service) -> Option<Records> {
    let address = |text: &String| text.trim().parse::<Ipv4Addr>().ok();
    if let Some(vip) = service.vip.as_ref().and_then(address) {
        return Some(Records {
            addresses: vec![vip],
            hosts: Vec::new(),
        });
    }
    let host = service.hostname.as_deref().map(plain).filter(|host| !host.is_empty());
    let is_external = service.kind == "externalService" && (host.is_some() || !service.external_ips.is_empty());
    is_external.then(|| Records {
        addresses: service.external_ips.iter().filter_map(address).collect(),
        hosts: host.into_iter().collect(),
    })
}
