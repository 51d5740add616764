//! Metadata: from a path to a value, in one of three editions. Pure; `http.rs` serves it.
//!
//! Objects are made when they are asked for: the whole tree of a large project would take more memory than its table.

mod objects;
mod write;

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use self::objects::Objects;
use super::index::Index;
use super::tables::Loaded;
use crate::model::network_table::{Host, Network, Stack};

pub use self::objects::Edition;
pub use self::write::{Form, error, text};

/// What is found in one table, in one edition, by one client.
#[derive(Debug, Clone, Copy)]
pub struct View<'l> {
    loaded: &'l Loaded,
    edition: Edition,
    from: IpAddr,
}

/// How much of lists is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Whole,
    /// What a text of the value shows: of lists the names, or only that they are lists.
    Listing,
}

/// The lists at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Containers,
    Services,
    Stacks,
    Hosts,
    Networks,
}

/// An entry of a list.
#[derive(Debug, Clone, Copy)]
enum Entry<'l> {
    Container(u32),
    Service(u32),
    Stack(&'l Stack),
    Host(&'l Host),
    Network(&'l Network),
}

/// The lists, by name.
const LISTS: [(&str, List); 5] = [
    ("containers", List::Containers),
    ("services", List::Services),
    ("stacks", List::Stacks),
    ("hosts", List::Hosts),
    ("networks", List::Networks),
];

impl<'l> View<'l> {
    /// What somebody at this address sees.
    pub fn new(loaded: &'l Loaded, edition: Edition, from: IpAddr) -> Self {
        Self { loaded, edition, from }
    }

    /// The value of a path; with the path lower-cased, if there is none.
    pub fn find(&self, path: &[String], depth: Depth) -> Option<Value> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.find_exactly(&path, depth).or_else(|| {
            let lower: Vec<String> = path.iter().map(|part| part.to_lowercase()).collect();
            let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
            (lower != path).then(|| self.find_exactly(&lower, depth)).flatten()
        })
    }

    fn find_exactly(&self, path: &[&str], depth: Depth) -> Option<Value> {
        let Some((first, rest)) = path.split_first() else {
            return Some(self.root(depth));
        };
        match LISTS.iter().find(|(name, _)| name == first) {
            Some((_, list)) => self.list(*list, rest, depth),
            None if *first == "self" => match rest.split_first() {
                // A stack has all its services in it: it is not made for somebody who asks for a name.
                Some((part, rest)) => walk(self.own_part(part)?, rest),
                None => Some(self.own()),
            },
            None => walk(self.plain().remove(*first)?, rest),
        }
    }

    fn index(&self) -> &'l Index {
        &self.loaded.index
    }

    fn objects(&self) -> Objects<'l> {
        Objects::new(self.index(), self.edition)
    }

    fn root(&self, depth: Depth) -> Value {
        let mut root = self.plain();
        for (name, list) in LISTS {
            let value = match depth {
                Depth::Whole => self.list(list, &[], depth),
                Depth::Listing => Some(json!([])),
            };
            root.insert(name.to_owned(), value.unwrap_or_default());
        }
        root.insert("self".to_owned(), self.own());
        root.into()
    }

    /// What is at the top beside lists and the client's own.
    fn plain(&self) -> Map<String, Value> {
        let environment = &self.index().rest().environment;
        let name = environment.name.to_lowercase();
        let mut plain = Map::new();
        if self.edition == Edition::Third {
            let one = json!({
                "metadata_kind": "environment", "name": name, "region_name": null, "uuid": environment.uuid,
            });
            plain.insert("environments".to_owned(), json!([one]));
        }
        plain.insert("name".to_owned(), name.into());
        plain.insert("region_name".to_owned(), Value::Null);
        plain.insert("uuid".to_owned(), environment.uuid.as_str().into());
        plain.insert("version".to_owned(), self.loaded.version.as_str().into());
        plain
    }

    /// A list, or what is in it.
    fn list(&self, list: List, rest: &[&str], depth: Depth) -> Option<Value> {
        let Some((step, rest)) = rest.split_first() else {
            let entries = self.entries(list).filter_map(|entry| match depth {
                Depth::Whole => self.object(entry),
                Depth::Listing => Some(json!({ "name": self.edition_name(entry)? })),
            });
            return Some(Value::Array(entries.collect()));
        };
        let entry = match step.parse::<usize>() {
            Ok(number) => self.entries(list).nth(number)?,
            Err(_) => self.pick(list, step)?,
        };
        walk(self.object(entry)?, rest)
    }

    /// The entries of a list, in its order.
    fn entries(&self, list: List) -> Box<dyn Iterator<Item = Entry<'l>> + 'l> {
        let (index, rest, order) = (self.index(), self.index().rest(), self.index().order());
        match list {
            List::Containers => Box::new(index.containers().iter().copied().map(Entry::Container)),
            List::Services => Box::new(index.services().iter().copied().map(Entry::Service)),
            List::Stacks => Box::new(
                order
                    .stacks
                    .iter()
                    .filter_map(move |key| rest.stacks.get(key))
                    .map(Entry::Stack),
            ),
            List::Hosts => Box::new(
                order
                    .hosts
                    .iter()
                    .filter_map(move |key| rest.hosts.get(key))
                    .map(Entry::Host),
            ),
            List::Networks => Box::new(
                order
                    .networks
                    .iter()
                    .filter_map(move |key| rest.networks.get(key))
                    .map(Entry::Network),
            ),
        }
    }

    /// The entry with this name or uuid. Of a service and its sidekicks, which share one, the service.
    fn pick(&self, list: List, step: &str) -> Option<Entry<'l>> {
        let by_uuid = |entry: &Entry<'l>| self.uuid(*entry).is_some_and(|uuid| uuid == step);
        let is_primary = |entry: &Entry<'l>| match entry {
            Entry::Service(id) => !self.index().is_sidekick(*id),
            Entry::Container(_) | Entry::Stack(_) | Entry::Host(_) | Entry::Network(_) => true,
        };
        self.entries(list)
            .find(|entry| self.is_called(*entry, step))
            .or_else(|| self.entries(list).filter(is_primary).find(by_uuid))
            .or_else(|| self.entries(list).find(by_uuid))
    }

    /// The name of an entry, as it was written.
    fn name(&self, entry: Entry<'l>) -> Option<&'l str> {
        match entry {
            Entry::Container(id) => self.index().container_name(id),
            Entry::Service(id) => self.index().service_name(id),
            Entry::Stack(stack) => Some(&stack.name),
            Entry::Host(host) => Some(&host.name),
            Entry::Network(network) => Some(&network.name),
        }
    }

    /// The name of an entry, as it is shown.
    fn edition_name(&self, entry: Entry<'l>) -> Option<String> {
        let name = self.name(entry)?;
        Some(match entry {
            Entry::Container(_) | Entry::Service(_) | Entry::Stack(_) => self.edition.name(name),
            Entry::Host(_) | Entry::Network(_) => name.to_owned(),
        })
    }

    /// Whether this name is shown.
    fn is_called(&self, entry: Entry<'l>, asked: &str) -> bool {
        let name = self.name(entry).unwrap_or_default();
        match entry {
            Entry::Container(_) | Entry::Service(_) | Entry::Stack(_) => self.edition.is_called(name, asked),
            Entry::Host(_) | Entry::Network(_) => name == asked,
        }
    }

    fn uuid(&self, entry: Entry<'l>) -> Option<Cow<'l, str>> {
        Some(match entry {
            Entry::Container(id) => self.index().container_uuid(id).into(),
            Entry::Service(id) => self.index().service_uuid(id)?.into(),
            Entry::Stack(stack) => stack.uuid.as_str().into(),
            Entry::Host(host) => host.uuid.as_str().into(),
            Entry::Network(network) => network.uuid.as_str().into(),
        })
    }

    fn object(&self, entry: Entry<'l>) -> Option<Value> {
        let objects = self.objects();
        match entry {
            Entry::Container(id) => objects.container(id),
            Entry::Service(id) => objects.service(id),
            Entry::Stack(stack) => Some(objects.stack(stack)),
            Entry::Host(host) => Some(objects.host(host)),
            Entry::Network(network) => Some(objects.network(network)),
        }
    }

    /// What the client is itself: of a container its service, stack and host, of others the host.
    fn own(&self) -> Value {
        let parts = ["container", "host", "service", "stack"];
        let own = parts
            .into_iter()
            .filter_map(|part| Some((part.to_owned(), self.own_part(part)?)));
        Value::Object(own.collect())
    }

    /// One part of it.
    fn own_part(&self, part: &str) -> Option<Value> {
        let (index, objects) = (self.index(), self.objects());
        let client = index.client(self.from).map(|client| client.id);
        let service = || objects.service_of(client?);
        match part {
            "container" => objects.container(client?),
            "service" => objects.service_with_token(service()?),
            "stack" => {
                let stack = match service() {
                    Some(service) => index.service(service)?.stack_uuid,
                    None => index.container(client?)?.stack_uuid?,
                };
                Some(objects.stack(index.rest().stacks.get(&stack)?))
            }
            "host" => {
                let of_client = client.and_then(|id| index.container(id)).map(|c| c.host_uuid);
                let host = of_client.as_ref().unwrap_or(&index.rest().host_uuid);
                Some(objects.host(index.rest().hosts.get(host)?))
            }
            _ => None,
        }
    }
}

/// What a path leads to from a value: keys of objects; numbers, names and uuids in arrays.
fn walk(value: Value, path: &[&str]) -> Option<Value> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value);
    };
    let next = match value {
        Value::Object(mut entries) => entries.remove(*step)?,
        Value::Array(entries) => {
            let mut entries = entries.into_iter();
            match step.parse::<usize>() {
                Ok(number) => entries.nth(number)?,
                Err(_) => entries.find(|entry| ["name", "uuid"].iter().any(|key| entry[*key] == **step))?,
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    walk(next, rest)
}
