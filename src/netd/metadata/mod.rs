//! Metadata: from a path to a value, in one of three editions. Pure; `http.rs` serves it.
//!
//! Objects are made when they are asked for: the whole tree of a large project would take more memory than its table.

mod objects;
mod write;

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use self::objects::Objects;
use super::index::{Index, is_sidekick};
use super::tables::Loaded;

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
            None if *first == "self" => walk(self.own(), rest),
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
        let environment = &self.index().table().environment;
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
        let order = self.index().order();
        let keys = match list {
            List::Containers => &order.containers,
            List::Services => &order.services,
            List::Stacks => &order.stacks,
            List::Hosts => &order.hosts,
            List::Networks => &order.networks,
        };
        let Some((step, rest)) = rest.split_first() else {
            let entries = keys.iter().filter_map(|key| match depth {
                Depth::Whole => self.object(list, key),
                Depth::Listing => self.names(list, key).map(|(name, _)| json!({ "name": name })),
            });
            return Some(Value::Array(entries.collect()));
        };
        let key = match step.parse::<usize>() {
            Ok(number) => keys.get(number)?,
            Err(_) => self.pick(list, keys, step)?,
        };
        walk(self.object(list, key)?, rest)
    }

    /// The entry with this name or uuid. Of a service and its sidekicks, which share one, the service.
    fn pick<'k>(&self, list: List, keys: &'k [String], step: &str) -> Option<&'k String> {
        let by_name = |key: &&String| self.names(list, key).is_some_and(|(name, _)| name == step);
        let by_uuid = |key: &&String| self.names(list, key).is_some_and(|(_, uuid)| uuid == step);
        let primary = |key: &&String| {
            let service = self.index().table().services.get(*key);
            service.is_none_or(|service| !is_sidekick(service))
        };
        let mut by_uuid_alone = keys.iter().filter(by_uuid);
        keys.iter()
            .find(by_name)
            .or_else(|| keys.iter().filter(primary).find(by_uuid))
            .or_else(|| by_uuid_alone.next())
    }

    /// The name and the uuid of an entry.
    fn names(&self, list: List, key: &str) -> Option<(String, &'l str)> {
        let table = self.index().table();
        let lower = |name: &str| self.edition.name(name);
        Some(match list {
            List::Containers => table.containers.get(key).map(|c| (lower(&c.name), c.uuid.as_str()))?,
            List::Services => table.services.get(key).map(|s| (lower(&s.name), s.uuid.as_str()))?,
            List::Stacks => table.stacks.get(key).map(|s| (lower(&s.name), s.uuid.as_str()))?,
            List::Hosts => table.hosts.get(key).map(|h| (h.name.clone(), h.uuid.as_str()))?,
            List::Networks => table.networks.get(key).map(|n| (n.name.clone(), n.uuid.as_str()))?,
        })
    }

    fn object(&self, list: List, key: &str) -> Option<Value> {
        let (table, objects) = (self.index().table(), self.objects());
        match list {
            List::Containers => table.containers.get(key).map(|c| objects.container(c)),
            List::Services => table.services.get(key).map(|s| objects.service(s)),
            List::Stacks => table.stacks.get(key).map(|s| objects.stack(s)),
            List::Hosts => table.hosts.get(key).map(|h| objects.host(h)),
            List::Networks => table.networks.get(key).map(|n| objects.network(n)),
        }
    }

    /// What the client is itself: of a container its service, stack and host, of others the host.
    fn own(&self) -> Value {
        let (table, objects) = (self.index().table(), self.objects());
        let mut own = Map::new();
        let client = self.index().client(self.from);
        if let Some(container) = client {
            own.insert("container".to_owned(), objects.container(container));
            let service = objects.service_of(container);
            let stack = service.map(|s| &s.stack_uuid).or(container.stack_uuid.as_ref());
            if let Some(stack) = stack.and_then(|uuid| table.stacks.get(uuid)) {
                own.insert("stack".to_owned(), objects.stack(stack));
            }
            if let Some(service) = service {
                own.insert("service".to_owned(), objects.service_with_token(service));
            }
        }
        let host = client.map_or(&table.host_uuid, |container| &container.host_uuid);
        if let Some(host) = table.hosts.get(host) {
            own.insert("host".to_owned(), objects.host(host));
        }
        own.into()
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
