//! Which addresses of managed networking are taken: the state alone, in memory. What hands them out is with the containers.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Error, ErrorKind, ResourceId, Result};

/// A project's subnet on one engine has this prefix: 1,021 containers, and 64 projects in the default pool.
pub(crate) const PROJECT_PREFIX: u8 = 22;

/// On all nodes of a cluster together it has this one: 3,839 containers, and 16 projects in the default pool.
pub(crate) const CLUSTER_PREFIX: u8 = 20;

/// So many addresses at the beginning of a cluster's network are its own: it takes one for each node.
const CLUSTERS_OWN: u32 = 256;

/// An IPv4 subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    base: u32,
    prefix: u8,
}

impl Subnet {
    /// Reads CIDR.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok().filter(|p| (8..=30).contains(p))?;
        let subnet = Self { base: 0, prefix };
        Some(Self {
            base: u32::from(address) & !(subnet.size() - 1),
            prefix,
        })
    }

    fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    /// The addresses that containers may have: not those of the network itself.
    fn addresses(self) -> Range<u32> {
        self.base + 2..self.base + self.size() - 1
    }

    /// Whether a container may have this address.
    pub(crate) fn contains(self, address: u32) -> bool {
        self.addresses().contains(&address)
    }

    /// The subnets of a longer prefix in it, starting with the n-th.
    pub(crate) fn split(self, prefix: u8, first: u32) -> Vec<Self> {
        let prefix = prefix.max(self.prefix);
        let count = 1_u32 << (prefix - self.prefix);
        let size = 1_u32 << (32 - prefix);
        (0..count)
            .map(|n| Self {
                base: self.base + ((first + n) % count) * size,
                prefix,
            })
            .collect()
    }

    /// The address of the network itself, as engines give it: the first.
    pub(crate) fn gateway(self) -> String {
        Ipv4Addr::from(self.base + 1).to_string()
    }

    pub(crate) fn to_cidr(self) -> String {
        format!("{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

/// The network of a project, on one engine or on all nodes of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct ProjectNetwork {
    /// The engine's id of it.
    pub(crate) id: String,
    pub(crate) subnet: Subnet,
    /// It is the same one on all nodes of a cluster.
    pub(crate) is_shared: bool,
}

#[derive(Default)]
pub(crate) struct Taken {
    /// A project is here once its rows were read.
    pub(crate) by_project: HashMap<ResourceId, BTreeSet<u32>>,
    /// The network of a project on a host, once made sure of in this process.
    pub(crate) networks: HashMap<(ResourceId, ResourceId), ProjectNetwork>,
    /// By project: what no container is given, as a server of the network has it on a host; on each perhaps the same, but where
    /// hosts share the network.
    reserved: HashMap<ResourceId, BTreeSet<(u32, ResourceId)>>,
    /// By project and by where a network begins: below this address none of the network is free. Looking at each again for every
    /// container would be most of the work of thousands.
    lowest: HashMap<(ResourceId, u32), u32>,
}

impl ProjectNetwork {
    /// The addresses that are handed out.
    fn addresses(&self) -> Range<u32> {
        let all = self.subnet.addresses();
        match self.is_shared {
            true => self.subnet.base + CLUSTERS_OWN..all.end,
            false => all,
        }
    }
}

fn is_reserved(reserved: &BTreeSet<(u32, ResourceId)>, address: u32) -> bool {
    let mut from = reserved.range((address, ResourceId(i64::MIN))..);
    from.next().is_some_and(|(other, _)| *other == address)
}

/// Who has which address. In memory; filled from a project's rows when the first address is asked for.
pub(crate) struct Addresses {
    pub(crate) pool: Subnet,
    taken: Mutex<Taken>,
}

impl Addresses {
    pub(crate) fn new(pool: &str) -> Result<Self> {
        let pool = Subnet::parse(pool).ok_or_else(|| {
            Error::new(ErrorKind::BadRequest).with_message(format!(
                "not a network in CIDR form: {pool:?} (for example 10.42.0.0/16)"
            ))
        })?;
        Ok(Self {
            pool,
            taken: Mutex::default(),
        })
    }

    /// Says why a pool is too small to be one.
    pub(crate) fn check_size(&self) -> Result<()> {
        if self.pool.prefix <= PROJECT_PREFIX {
            return Ok(());
        }
        let (pool, size) = (self.pool.to_cidr(), self.pool.size());
        Err(Error::new(ErrorKind::BadRequest).with_message(format!(
            "{pool} has {size} addresses, and each project takes a /{PROJECT_PREFIX} of it, 1024: give more, for example 10.42.0.0/16"
        )))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an address back.
    pub(crate) fn release(&self, project: ResourceId, address: &str) {
        let Ok(address) = address.parse::<Ipv4Addr>().map(u32::from) else {
            return;
        };
        let mut taken = self.lock();
        if let Some(used) = taken.by_project.get_mut(&project) {
            used.remove(&address);
        }
        let own = taken.lowest.iter_mut().filter(|((of, _), _)| *of == project);
        own.for_each(|(_, lowest)| *lowest = (*lowest).min(address));
    }

    /// Takes one of `wanted` that is free and fits, else the lowest free one; `None` if the subnet is full.
    pub(crate) fn allocate(&self, project: ResourceId, network: &ProjectNetwork, wanted: &[String]) -> Option<String> {
        let mut taken = self.lock();
        let Taken {
            by_project,
            reserved,
            lowest,
            ..
        } = &mut *taken;
        let used = by_project.entry(project).or_default();
        let nobodys = BTreeSet::new();
        let reserved = reserved.get(&project).unwrap_or(&nobodys);
        let is_free = |a: &u32| !used.contains(a) && !is_reserved(reserved, *a);
        let mut preferred = wanted
            .iter()
            .filter_map(|w| w.trim().parse::<Ipv4Addr>().ok())
            .map(u32::from);
        let all = network.addresses();
        let lowest = lowest.entry((project, all.start)).or_insert(all.start);
        let address = match preferred.find(|a| all.contains(a) && is_free(a)) {
            Some(preferred) => preferred,
            None => {
                let first = ((*lowest).max(all.start)..all.end).find(is_free);
                *lowest = first.map_or(all.end, |first| first + 1);
                first?
            }
        };
        used.insert(address);
        Some(Ipv4Addr::from(address).to_string())
    }

    /// Keeps an address of a network for a server of its own on a host: `known` if it is one of this network, else the last that
    /// no container holds. The same on several hosts is fine, unless they share the network: there each host begins to look at a
    /// place of its own, so that it finds the same one again.
    pub(crate) fn reserve(
        &self,
        (project, host): (ResourceId, ResourceId),
        network: &ProjectNetwork,
        known: Option<&str>,
    ) -> Option<String> {
        let mut taken = self.lock();
        let Taken {
            by_project, reserved, ..
        } = &mut *taken;
        let used = by_project.entry(project).or_default();
        let reserved = reserved.entry(project).or_default();
        let all = network.addresses();
        let is_others = |a: u32| network.is_shared && reserved.iter().any(|(other, at)| *other == a && *at != host);
        let known = known.and_then(|known| known.parse::<Ipv4Addr>().ok()).map(u32::from);
        let place = match network.is_shared {
            true => u32::try_from(host.0.rem_euclid(i64::from(CLUSTERS_OWN))).unwrap_or(0),
            false => 0,
        };
        let from_there = all.clone().rev().skip(place as usize);
        let address = known.filter(|a| all.contains(a) && !is_others(*a)).or_else(|| {
            from_there
                .chain(all.clone().rev())
                .find(|a| !used.contains(a) && !is_others(*a))
        })?;
        reserved.insert((address, host));
        Some(Ipv4Addr::from(address).to_string())
    }

    /// Somebody who is not ours has an address: it is given to nobody.
    pub(crate) fn avoid(&self, project: ResourceId, address: &str) {
        if let Ok(address) = address.parse::<Ipv4Addr>() {
            self.lock()
                .by_project
                .entry(project)
                .or_default()
                .insert(address.into());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    const HOST: ResourceId = ResourceId(9);

    fn network(subnet: &str, is_shared: bool) -> ProjectNetwork {
        ProjectNetwork {
            id: "n".into(),
            subnet: Subnet::parse(subnet).expect("a subnet"),
            is_shared,
        }
    }

    #[test]
    fn on_a_clusters_network_hosts_have_servers_of_their_own_and_the_beginning_is_the_clusters() {
        let addresses = Addresses::new("10.42.0.0/16").expect("a pool");
        let (project, network) = (ResourceId(5), network("10.42.16.0/20", true));
        assert_eq!(
            addresses.allocate(project, &network, &["10.42.16.9".into()]).as_deref(),
            Some("10.42.17.0")
        );
        let reserve = |host: i64, known: Option<&str>| addresses.reserve((project, ResourceId(host)), &network, known);
        assert_eq!(reserve(1, None).as_deref(), Some("10.42.31.253"));
        assert_eq!(reserve(1, None).as_deref(), Some("10.42.31.253"), "the same again");
        assert_eq!(reserve(257, None).as_deref(), Some("10.42.31.252"), "another's");
        assert_eq!(
            reserve(2, Some("10.42.31.253")).as_deref(),
            Some("10.42.31.251"),
            "another's is not known"
        );
        assert_eq!(reserve(3, Some("10.42.20.1")).as_deref(), Some("10.42.20.1"));
        assert_eq!(
            addresses.allocate(project, &network, &["10.42.20.1".into()]).as_deref(),
            Some("10.42.17.1")
        );
    }

    #[test]
    fn addresses_are_handed_out_lowest_first_and_come_back() {
        let addresses = Addresses::new("10.42.0.0/29").expect("a pool");
        let (project, network) = (ResourceId(5), network("10.42.0.0/29", false));
        let next = |wanted: &[&str]| {
            addresses.allocate(
                project,
                &network,
                &wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(next(&[]).as_deref(), Some("10.42.0.2"));
        assert_eq!(next(&["10.42.0.2", "10.42.0.5"]).as_deref(), Some("10.42.0.5"));
        assert_eq!(next(&["10.99.0.1"]).as_deref(), Some("10.42.0.3"));
        assert_eq!(
            (next(&[]), next(&[]), next(&[])),
            (Some("10.42.0.4".into()), Some("10.42.0.6".into()), None)
        );
        addresses.release(project, "10.42.0.4");
        assert_eq!(next(&[]).as_deref(), Some("10.42.0.4"));
    }

    #[test]
    fn where_looking_for_a_free_address_begins_is_kept_by_network() {
        let addresses = Addresses::new("10.42.0.0/16").expect("a pool");
        let (low, high) = (network("10.42.0.0/29", false), network("10.42.8.0/29", false));
        let (project, other) = (ResourceId(5), ResourceId(6));
        let next = |project, network| addresses.allocate(project, network, &[]);
        let all: Vec<_> = std::iter::from_fn(|| next(project, &low)).collect();
        assert_eq!(all.len(), 5);
        assert_eq!(next(project, &high).as_deref(), Some("10.42.8.2"));
        assert_eq!(
            next(other, &low).as_deref(),
            Some("10.42.0.2"),
            "projects know nothing of each other"
        );
        // What comes back is below where the other network begins.
        addresses.release(project, "10.42.0.3");
        assert_eq!(next(project, &high).as_deref(), Some("10.42.8.3"));
        assert_eq!(next(project, &low).as_deref(), Some("10.42.0.3"));
        assert_eq!(next(project, &low), None);
    }

    #[test]
    fn the_address_of_a_networks_own_server_is_the_last_free_one_and_given_to_nobody() {
        let addresses = Addresses::new("10.42.0.0/29").expect("a pool");
        let (project, network) = (ResourceId(5), network("10.42.0.0/29", false));
        let next = |wanted: &str| addresses.allocate(project, &network, &[wanted.to_owned()]);
        assert_eq!(
            addresses.reserve((project, HOST), &network, None).as_deref(),
            Some("10.42.0.6")
        );
        assert_eq!(next("10.42.0.6").as_deref(), Some("10.42.0.2"));
        assert_eq!(next("10.42.0.5").as_deref(), Some("10.42.0.5"));
        let all: Vec<_> = std::iter::from_fn(|| next("")).collect();
        assert_eq!(all, ["10.42.0.3", "10.42.0.4"]);
        assert_eq!(network.subnet.gateway(), "10.42.0.1");

        // In an old database a container may have it; and what was told to containers stays.
        let older = Addresses::new("10.42.0.0/29").expect("a pool");
        assert_eq!(
            older.allocate(project, &network, &["10.42.0.6".into()]).as_deref(),
            Some("10.42.0.6")
        );
        assert_eq!(
            older.reserve((project, HOST), &network, None).as_deref(),
            Some("10.42.0.5")
        );
        assert_eq!(
            older.reserve((project, HOST), &network, Some("10.42.0.4")).as_deref(),
            Some("10.42.0.4")
        );
        older.avoid(project, "10.42.0.5");
        assert_eq!(
            older.reserve((project, HOST), &network, Some("10.9.0.4")).as_deref(),
            Some("10.42.0.4")
        );
    }

    #[test]
    fn a_pool_is_split_from_a_projects_own_place_on() {
        let pool = Subnet::parse("10.42.0.0/16").expect("a pool");
        let subnets = pool.split(22, 5);
        assert_eq!(
            (subnets.len(), subnets.first().map(|s| s.to_cidr())),
            (64, Some("10.42.20.0/22".into()))
        );
        assert!(Subnet::parse("10.42.0.0").is_none() && Subnet::parse("x/8").is_none());
    }
}
