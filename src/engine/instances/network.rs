//! Managed networking: the network of a project on an engine, and the address of a container on it. The server hands
//! addresses out, so that a stopped container keeps its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::engine::core::{CLUSTER_PREFIX, Core, PROJECT_PREFIX, ProjectNetwork, Subnet, notes};
use crate::model::{Resource, ResourceId, Result};
use crate::runtime::{self, NetworkSpec};

use super::failing::{Hindrance, Step};

/// Rows read at once: all of a hundred thousand would be hundreds of megabytes.
const ROWS: usize = 500;

/// Where a container is to be attached on its engine.
#[derive(Debug, Clone)]
pub(crate) struct ManagedNetwork(ProjectNetwork);

impl ManagedNetwork {
    /// The engine's id of it.
    pub(crate) fn id(&self) -> &str {
        &self.0.id
    }

    /// Where containers are, as CIDR.
    pub(crate) fn subnet(&self) -> String {
        self.0.subnet.to_cidr()
    }

    /// Where requests from the host itself come from.
    pub(crate) fn gateway(&self) -> String {
        self.0.subnet.gateway()
    }

    /// Whether an address is one of this network: not so if the network was made anew with another subnet.
    pub(crate) fn has(&self, address: &str) -> bool {
        address
            .parse::<Ipv4Addr>()
            .is_ok_and(|a| self.0.subnet.contains(a.into()))
    }
}

impl Core {
    /// Makes a project's network present on a host and says which it is.
    pub(crate) async fn managed_network(
        &self,
        project: &Resource,
        host: ResourceId,
    ) -> Result<ManagedNetwork, runtime::Error> {
        let key = (project.id, host);
        if let Some(known) = self.addresses.lock().networks.get(&key).cloned() {
            return Ok(ManagedNetwork(known));
        }
        let runtime = self
            .runtime(host)
            .ok_or_else(|| runtime::Error::Unreachable("the host is not connected".into()))?;
        let first = u32::try_from(project.id.0.max(0) % 4096).unwrap_or(0);
        let can = runtime.capabilities();
        let prefix = if can.shared_networks {
            CLUSTER_PREFIX
        } else {
            PROJECT_PREFIX
        };
        let candidates = match can.overlapping_subnets {
            true => vec![self.addresses.pool.to_cidr()],
            false => {
                let all = self.addresses.pool.split(prefix, first).into_iter();
                all.map(Subnet::to_cidr).collect()
            }
        };
        let name = network_name(&project.uuid);
        let spec = NetworkSpec {
            project_uuid: project.uuid.clone(),
            name,
            candidates,
        };
        let found = runtime.ensure_network(&spec).await?;
        let subnet =
            Subnet::parse(&found.subnet).ok_or_else(|| format!("the network {} has no IPv4 subnet", found.id))?;
        let network = ProjectNetwork {
            id: found.id,
            subnet,
            is_shared: can.shared_networks,
        };
        self.addresses.lock().networks.insert(key, network.clone());
        Ok(ManagedNetwork(network))
    }

    /// Forgets what is known of a project's network on a host: it is looked up again.
    pub(crate) fn forget_network(&self, project: ResourceId, host: ResourceId) {
        self.addresses.lock().networks.remove(&(project, host));
    }

    /// An address for a new container: one of `wanted` if it can be had.
    pub(super) fn allocate_address(
        &self,
        project: ResourceId,
        network: &ManagedNetwork,
        wanted: &[String],
    ) -> Step<String> {
        self.read_addresses(project)?;
        let address = self.addresses.allocate(project, &network.0, wanted);
        address.ok_or_else(|| Hindrance::refused("no address is left in the project's network"))
    }

    /// An address for the network's own name server (of a project, on a host), which no container is given from now on: `known` if it can be.
    pub(crate) fn reserve_address(
        &self,
        served: (ResourceId, ResourceId),
        network: &ManagedNetwork,
        known: Option<&str>,
    ) -> Result<Option<String>> {
        self.read_addresses(served.0)?;
        Ok(self.addresses.reserve(served, &network.0, known))
    }

    /// Reads the addresses that a project's rows hold, once.
    fn read_addresses(&self, project: ResourceId) -> Result<()> {
        // Held while the rows are read: whoever allocates next to us must not see a half of them.
        let mut taken = self.addresses.lock();
        if taken.by_project.contains_key(&project) {
            return Ok(());
        }
        let mut held = BTreeSet::new();
        for root in ["instance", "service"] {
            for ids in self.store.ids_of(root, Some(project))?.chunks(ROWS) {
                let rows = self.store.many(ids)?;
                let live = rows.iter().filter(|row| row.removed.is_none());
                held.extend(live.flat_map(|row| notes::<Held>(row).addresses()));
            }
        }
        taken.by_project.insert(project, held);
        Ok(())
    }
}

/// A project's network as people find it. The uuid begins with a clock, which other projects share: its end is random.
fn network_name(project_uuid: &str) -> String {
    format!("drover-{}", project_uuid.rsplit('-').next().unwrap_or(project_uuid))
}

/// What the notes of a row say about addresses: a container's own, and those that a service keeps for containers to come.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Held {
    ip: Option<String>,
    retained: BTreeMap<String, String>,
}

impl Held {
    fn addresses(self) -> impl Iterator<Item = u32> {
        self.ip
            .into_iter()
            .chain(self.retained.into_values())
            .filter_map(|ip| ip.parse::<Ipv4Addr>().ok())
            .map(u32::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_projects_made_in_one_moment_have_names_of_their_own() {
        let names = [
            "0193a5c7-0001-7000-8000-00000000aaaa",
            "0193a5c7-0001-7000-8000-00000000bbbb",
        ]
        .map(network_name);
        assert_eq!(names, ["drover-00000000aaaa", "drover-00000000bbbb"]);
    }
}
