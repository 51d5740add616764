//! Changing an index, entry by entry. What a change costs depends on the entries that change, not on how many there are.

use std::collections::BTreeMap;

use crate::model::network_table::{Container, Delta, Service, Table, service_key};

use super::{Index, Order, Subnet};

/// Whether lists are kept in order with each change, or made in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// With each change.
    Now,
    /// In the end, by [`Index::finish`].
    Later,
}

impl Index {
    /// The index of a table.
    #[cfg(test)]
    pub fn new(mut table: Table) -> Self {
        let mut index = Self::default();
        for (uuid, container) in std::mem::take(&mut table.containers) {
            index.put_container(&uuid, container, Lists::Later);
        }
        for (key, service) in std::mem::take(&mut table.services) {
            index.put_service(&key, service, Lists::Later);
        }
        index.finish(table);
        index
    }

    /// All of the table that it was made of.
    #[cfg(test)]
    pub fn table(&self) -> Table {
        let containers = self.containers.ids().filter_map(|id| {
            let container = self.container(id)?;
            Some((self.containers.uuid(id), container))
        });
        let services = self.services.ids().filter_map(|id| self.whole_service(id));
        Table {
            containers: containers.collect(),
            services: services.collect(),
            ..self.rest.clone()
        }
    }

    /// How many texts are kept for several entries.
    #[cfg(test)]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// A service as it came, with its key.
    pub(super) fn whole_service(&self, id: u32) -> Option<(String, Service)> {
        let mut service = self.service(id)?;
        let listed = &self.services.get(id)?.containers;
        service.containers = listed.iter().map(|id| self.containers.uuid(*id)).collect();
        Some((self.services.key(id), service))
    }

    /// Takes what stands beside containers and services, and makes the lists.
    pub(super) fn finish(&mut self, rest: Table) {
        self.put_head(&rest);
        self.order = Order {
            stacks: sorted(&rest.stacks, |stack| &stack.name),
            hosts: sorted(&rest.hosts, |host| &host.name),
            networks: sorted(&rest.networks, |network| &network.name),
        };
        self.rest = rest;
        self.containers.sort();
        self.services.sort();
    }

    fn put_head(&mut self, head: &Table) {
        self.subnet = Subnet::parse(&head.subnet);
        self.gateway = head.gateway.parse().ok();
    }

    /// Applies a delta; `false`, and nothing is changed, if it does not follow this table.
    pub fn apply(&mut self, delta: Delta) -> bool {
        if delta.after != self.rest.number {
            return false;
        }
        for (uuid, container) in delta.containers {
            match container {
                Some(container) => self.put_container(&uuid, container, Lists::Now),
                None => self.remove_container(&uuid),
            }
        }
        for (key, service) in delta.services {
            match service {
                Some(service) => self.put_service(&key, service, Lists::Now),
                None => self.remove_service(&key),
            }
        }
        if let Some(head) = &delta.head {
            self.put_head(head);
        }
        let rest = Delta {
            containers: BTreeMap::new(),
            services: BTreeMap::new(),
            ..delta
        };
        let (stacks, hosts, networks) = (
            !rest.stacks.is_empty(),
            !rest.hosts.is_empty(),
            !rest.networks.is_empty(),
        );
        self.rest.apply(rest);
        if stacks {
            self.order.stacks = sorted(&self.rest.stacks, |stack| &stack.name);
        }
        if hosts {
            self.order.hosts = sorted(&self.rest.hosts, |host| &host.name);
        }
        if networks {
            self.order.networks = sorted(&self.rest.networks, |network| &network.name);
        }
        self.aliases
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clear();
        true
    }

    pub(super) fn put_container(&mut self, uuid: &str, container: Container, lists: Lists) {
        if lists == Lists::Now
            && let Some(id) = self.containers.find(uuid)
        {
            self.containers.delist(id);
        }
        let own = container.service_uuid.as_deref().zip(container.service_name.as_deref());
        let own = own.map(|(service, name)| self.services.mention(&service_key(service, name)));
        let (id, before) = self.containers.put(&mut self.words, uuid, container, own);
        if let Some(service) = before {
            self.services.release(service);
        }
        if lists == Lists::Now {
            self.containers.enlist(id);
        }
    }

    fn remove_container(&mut self, uuid: &str) {
        let Some(id) = self.containers.find(uuid) else { return };
        self.containers.delist(id);
        if let Some(service) = self.containers.remove(&mut self.words, uuid) {
            self.services.release(service);
        }
    }

    pub(super) fn put_service(&mut self, key: &str, service: Service, lists: Lists) {
        let before = self.services.find(key);
        if let Some(id) = before.filter(|_| lists == Lists::Now) {
            self.services.delist(id);
        }
        let id = before.unwrap_or_else(|| self.services.mention(key));
        if let Some(old) = self.services.take(&mut self.words, id) {
            self.containers.unlist(id, &old);
        }
        let containers = self.containers.list(id, &service.containers);
        self.services.put(&mut self.words, id, service, containers);
        if lists == Lists::Now {
            self.services.enlist(id);
        }
    }

    fn remove_service(&mut self, key: &str) {
        let Some(id) = self.services.find(key) else { return };
        self.services.delist(id);
        if let Some(containers) = self.services.take(&mut self.words, id) {
            self.containers.unlist(id, &containers);
        }
        self.services.release(id);
    }
}

/// Keys, by what is shown first; equal ones by key.
fn sorted<T>(entries: &BTreeMap<String, T>, by: impl Fn(&T) -> &str) -> Vec<String> {
    let mut entries: Vec<_> = entries.iter().map(|(key, entry)| (by(entry), key)).collect();
    entries.sort_unstable();
    entries.into_iter().map(|(_, key)| key.clone()).collect()
}
