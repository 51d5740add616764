//! Addresses of managed networking: the server hands them out, so that a stopped container keeps its own.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::runtime::{self, NetworkSpec};

use super::core::{Core, notes};
use super::instance::InstanceNotes;
use super::picture::ServiceNotes;

/// A project's subnet on one engine has this prefix: 1,022 containers, and 64 projects in the default pool.
const PROJECT_PREFIX: u8 = 22;

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
        Some(Self { base: u32::from(address) & !(subnet.size() - 1), prefix })
    }

    fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    fn contains(self, address: u32) -> bool {
        address > self.base + 1 && address < self.base + self.size() - 1
    }

    /// The subnets of a longer prefix in it, starting with the n-th.
    fn split(self, prefix: u8, first: u32) -> Vec<Self> {
        let prefix = prefix.max(self.prefix);
        let count = 1_u32 << (prefix - self.prefix);
        let size = 1_u32 << (32 - prefix);
        (0..count).map(|n| Self { base: self.base + ((first + n) % count) * size, prefix }).collect()
    }

    fn to_cidr(self) -> String {
        format!("{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

#[derive(Default)]
struct Taken {
    /// A project is here once its rows were read.
    by_project: HashMap<ResourceId, BTreeSet<u32>>,
    /// The network of a project on a host: the engine's id and the subnet, once made sure of in this process.
    networks: HashMap<(ResourceId, ResourceId), (String, Subnet)>,
}

/// Who has which address. In memory; filled from a project's rows when the first address is asked for.
pub(crate) struct Addresses {
    pool: Subnet,
    taken: Mutex<Taken>,
}

impl Addresses {
    pub(crate) fn new(pool: &str) -> Result<Self> {
        let pool = Subnet::parse(pool).ok_or_else(|| {
            Error::new(ErrorKind::BadRequest).with_message(format!("not a network in CIDR form: {pool:?} (for example 10.42.0.0/16)"))
        })?;
        Ok(Self { pool, taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an address back.
    pub(crate) fn release(&self, project: ResourceId, address: &str) {
        if let Ok(address) = address.parse::<Ipv4Addr>()
            && let Some(used) = self.lock().by_project.get_mut(&project)
        {
            used.remove(&address.into());
        }
    }

    /// Takes one of `wanted` that is free and fits, else the lowest free one; `None` if the subnet is full.
    fn allocate(&self, project: ResourceId, subnet: Subnet, wanted: &[String]) -> Option<String> {
        let mut taken = self.lock();
        let used = taken.by_project.entry(project).or_default();
        let preferred = wanted.iter().filter_map(|w| w.trim().parse::<Ipv4Addr>().ok()).map(u32::from);
        let address = preferred
            .filter(|a| subnet.contains(*a) && !used.contains(a))
            .chain((subnet.base + 2..subnet.base + subnet.size() - 1).filter(|a| !used.contains(a)))
            .next()?;
        used.insert(address);
        Some(Ipv4Addr::from(address).to_string())
    }
}

/// Where a container is to be attached on its engine.
#[derive(Debug, Clone)]
pub(crate) struct ManagedNetwork {
    /// The engine's id of the network.
    pub(crate) id: String,
    subnet: Subnet,
}

impl Core {
    /// Makes a project's network present on a host and says which it is.
    pub(crate) async fn managed_network(&self, project: &Resource, host: ResourceId) -> Result<ManagedNetwork, runtime::Error> {
        let key = (project.id, host);
        if let Some((id, subnet)) = self.addresses.lock().networks.get(&key).cloned() {
            return Ok(ManagedNetwork { id, subnet });
        }
        let runtime = self.runtime(host).ok_or_else(|| runtime::Error::Unreachable("the host is not connected".into()))?;
        let first = u32::try_from(project.id.0.max(0) % 4096).unwrap_or(0);
        let candidates = if runtime.capabilities().overlapping_subnets {
            vec![self.addresses.pool.to_cidr()]
        } else {
            self.addresses.pool.split(PROJECT_PREFIX, first).into_iter().map(Subnet::to_cidr).collect()
        };
        let name = format!("drover-{}", project.uuid.get(..8).unwrap_or(&project.uuid));
        let spec = NetworkSpec { project_uuid: project.uuid.clone(), name, candidates };
        let found = runtime.ensure_network(&spec).await?;
        let subnet = Subnet::parse(&found.subnet).ok_or_else(|| format!("the network {} has no IPv4 subnet", found.id))?;
        self.addresses.lock().networks.insert(key, (found.id.clone(), subnet));
        Ok(ManagedNetwork { id: found.id, subnet })
    }

    /// Forgets what is known of a project's network on a host: it is looked up again.
    pub(crate) fn forget_network(&self, project: ResourceId, host: ResourceId) {
        self.addresses.lock().networks.remove(&(project, host));
    }

    /// An address for a new container: one of `wanted` if it can be had.
    pub(crate) fn allocate_address(
        &self,
        project: ResourceId,
        network: &ManagedNetwork,
        wanted: &[String],
    ) -> Result<Result<String, String>> {
        self.read_addresses(project)?;
        let address = self.addresses.allocate(project, network.subnet, wanted);
        Ok(address.ok_or_else(|| "no address is left in the project's network".to_owned()))
    }

    /// Reads the addresses that a project's rows hold, once.
    fn read_addresses(&self, project: ResourceId) -> Result<()> {
        // Held while the rows are read: whoever allocates next to us must not see a half of them.
        let mut taken = self.addresses.lock();
        if taken.by_project.contains_key(&project) {
            return Ok(());
        }
        let rows = self.store.all("instance", Some(project))?;
        let held = rows.iter().filter_map(|row| notes::<InstanceNotes>(row).ip?.parse::<Ipv4Addr>().ok()).map(u32::from);
        let services = self.store.all("service", Some(project))?;
        let kept = services.iter().flat_map(|row| notes::<ServiceNotes>(row).retained.into_values()).filter_map(|ip| ip.parse().ok());
        taken.by_project.insert(project, held.chain(kept.map(|ip: Ipv4Addr| u32::from(ip))).collect());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn addresses_are_handed_out_lowest_first_and_come_back() {
        let addresses = Addresses::new("10.42.0.0/29").expect("a pool");
        let (project, subnet) = (ResourceId(5), Subnet::parse("10.42.0.0/29").expect("a subnet"));
        let next = |wanted: &[&str]| addresses.allocate(project, subnet, &wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(next(&[]).as_deref(), Some("10.42.0.2"));
        assert_eq!(next(&["10.42.0.2", "10.42.0.5"]).as_deref(), Some("10.42.0.5"));
        assert_eq!(next(&["10.99.0.1"]).as_deref(), Some("10.42.0.3"));
        assert_eq!((next(&[]), next(&[]), next(&[])), (Some("10.42.0.4".into()), Some("10.42.0.6".into()), None));
        addresses.release(project, "10.42.0.4");
        assert_eq!(next(&[]).as_deref(), Some("10.42.0.4"));
    }

    #[test]
    fn a_pool_is_split_from_a_projects_own_place_on() {
        let pool = Subnet::parse("10.42.0.0/16").expect("a pool");
        let subnets = pool.split(PROJECT_PREFIX, 5);
        assert_eq!((subnets.len(), subnets.first().map(|s| s.to_cidr())), (64, Some("10.42.20.0/22".into())));
        assert!(Subnet::parse("10.42.0.0").is_none() && Subnet::parse("x/8").is_none());
    }
}
