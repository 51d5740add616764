//! A project's network, a bridge or an overlay: found by label, used by id.
//!
//! Older engines accept a name twice and then call it ambiguous, so names are for people only.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::{Inner, LABEL_PROJECT, LABEL_SERVER, LONG, SHORT};
use crate::runtime::{Error, NetworkFound, NetworkSpec, Result};

/// What sort of network it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Of one engine.
    Bridge,
    /// Of all engines of a swarm.
    Overlay,
}

/// What came of making a network present.
pub(super) enum Ensured {
    There(NetworkFound),
    /// All subnets are taken; why the last one was.
    Full(String),
}

impl From<Ensured> for Result<NetworkFound> {
    fn from(ensured: Ensured) -> Self {
        match ensured {
            Ensured::There(found) => Ok(found),
            Ensured::Full(why) => Err(Error::Failed(why)),
        }
    }
}

/// Makes the network present. The guard keeps two callers of one server from creating it twice.
pub(super) async fn ensure(docker: &Inner, spec: &NetworkSpec) -> Result<NetworkFound> {
    if let Some(membership) = &docker.membership {
        return membership.swarm().ensure_network(spec).await;
    }
    let _guard = docker.networks.lock().await;
    ensure_sort(docker, spec, Sort::Bridge).await?.into()
}

/// The same, for whoever keeps others from doing it.
pub(super) async fn ensure_sort(docker: &Inner, spec: &NetworkSpec, sort: Sort) -> Result<Ensured> {
    if let Some(there) = find(docker, &spec.project_uuid).await?.into_iter().next() {
        return Ok(Ensured::There(there));
    }
    let taken = match sort {
        Sort::Bridge => Vec::new(),
        Sort::Overlay => overlays(docker).await?,
    };
    let is_free = |subnet: &&String| !taken.iter().any(|other| overlap(other, subnet));
    let mut why = format!("no subnet is left for network {}", spec.name);
    for subnet in spec.candidates.iter().filter(is_free) {
        match create(docker, spec, subnet, sort).await {
            Ok(id) => {
                let subnet = subnet.clone();
                return Ok(Ensured::There(NetworkFound { id, subnet }));
            }
            Err(Error::Failed(message)) if message.contains("Pool overlaps") => why = message,
            Err(other) => return Err(other),
        }
    }
    Ok(Ensured::Full(why))
}

/// Removes the project's networks; one that is in use is refused in the engine's words.
pub(super) async fn remove(docker: &Inner, project_uuid: &str) -> Result<()> {
    if let Some(membership) = &docker.membership {
        return membership.swarm().remove_network(project_uuid).await;
    }
    let _guard = docker.networks.lock().await;
    remove_all(docker, project_uuid).await
}

/// The same, for whoever keeps others from doing it.
pub(super) async fn remove_all(docker: &Inner, project_uuid: &str) -> Result<()> {
    for network in find(docker, project_uuid).await? {
        match docker.call(LONG, docker.api()?.remove_network(&network.id)).await {
            Ok(()) | Err(Error::Gone(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Oldest first, so that after an accident all callers agree on one.
async fn find(docker: &Inner, project_uuid: &str) -> Result<Vec<NetworkFound>> {
    let labels = vec![docker.ours(), format!("{LABEL_PROJECT}={project_uuid}")];
    let options = ListNetworksOptionsBuilder::default()
        .filters(&HashMap::from([("label", labels)]))
        .build();
    let mut networks = docker.call(SHORT, docker.api()?.list_networks(Some(options))).await?;
    networks.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    Ok(networks.into_iter().filter_map(found).collect())
}

fn found(network: Network) -> Option<NetworkFound> {
    let subnet = network.ipam?.config?.into_iter().find_map(|c| c.subnet)?;
    Some(NetworkFound {
        id: network.id?,
        subnet,
    })
}

/// The subnets of all overlays: a swarm makes two with one, and does not say so.
async fn overlays(docker: &Inner) -> Result<Vec<String>> {
    let options = ListNetworksOptionsBuilder::default()
        .filters(&HashMap::from([("driver", vec!["overlay"])]))
        .build();
    let networks = docker.call(SHORT, docker.api()?.list_networks(Some(options))).await?;
    let configs = networks
        .into_iter()
        .filter_map(|network| network.ipam?.config)
        .flatten();
    Ok(configs.filter_map(|config| config.subnet).collect())
}

/// Whether two IPv4 subnets (CIDR) have an address in common.
fn overlap(one: &str, other: &str) -> bool {
    let read = |text: &str| {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
        Some((u32::from(address.parse::<Ipv4Addr>().ok()?), prefix))
    };
    let (Some((one, left)), Some((other, right))) = (read(one), read(other)) else {
        return false;
    };
    let bits = 32 - left.min(right);
    one.checked_shr(bits).unwrap_or(0) == other.checked_shr(bits).unwrap_or(0)
}

async fn create(docker: &Inner, spec: &NetworkSpec, subnet: &str, sort: Sort) -> Result<String> {
    let name = name(spec, &docker.server_uuid);
    match docker
        .call(
            LONG,
            docker
                .api()?
                .create_network(request(docker, spec, (&name, subnet, sort))),
        )
        .await
    {
        Ok(response) => Ok(response.id),
        // Newer engines refuse a name that a stranger has; nobody has the project's whole uuid.
        Err(Error::NameTaken(_)) => {
            let name = format!("{name}-{}", spec.project_uuid);
            Ok(docker
                .call(
                    LONG,
                    docker
                        .api()?
                        .create_network(request(docker, spec, (&name, subnet, sort))),
                )
                .await?
                .id)
        }
        Err(other) => Err(other),
    }
}

/// Servers that were copied from one another have the same projects: the server is in the name too.
fn name(spec: &NetworkSpec, server_uuid: &str) -> String {
    let random_end = server_uuid.rsplit('-').next().unwrap_or(server_uuid);
    format!("{}-{random_end}", spec.name)
}

fn request(docker: &Inner, spec: &NetworkSpec, (name, subnet, sort): (&str, &str, Sort)) -> NetworkCreateRequest {
    let labels = [
        (LABEL_SERVER, docker.server_uuid.clone()),
        (LABEL_PROJECT, spec.project_uuid.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value));
    let driver = match sort {
        Sort::Bridge => "bridge",
        Sort::Overlay => "overlay",
    };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some(driver.to_owned()),
        attachable: Some(sort == Sort::Overlay),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(subnet.to_owned()),
                ip_range: (sort == Sort::Overlay).then(|| swarms_own(subnet)),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        labels: Some(HashMap::from(labels)),
        ..NetworkCreateRequest::default()
    }
}

/// The addresses of an overlay that the swarm itself hands out: the first 256.
fn swarms_own(subnet: &str) -> String {
    let base = subnet.split_once('/').map_or(subnet, |(base, _)| base);
    format!("{base}/24")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_overlap_where_one_is_in_the_other() {
        for (one, other, expected) in [
            ("10.42.0.0/20", "10.42.4.0/22", true),
            ("10.42.0.0/20", "10.42.16.0/20", false),
            ("0.0.0.0/0", "10.42.0.0/16", true),
            ("10.0.0.0/24", "10.0.0.0/24", true),
            ("nothing", "10.0.0.0/24", false),
        ] {
            assert_eq!(
                (overlap(one, other), overlap(other, one)),
                (expected, expected),
                "{one} {other}"
            );
        }
        assert_eq!(swarms_own("10.42.16.0/20"), "10.42.16.0/24");
    }

    #[test]
    fn two_servers_with_one_project_have_networks_of_their_own() {
        let spec = NetworkSpec {
            project_uuid: "p".into(),
            name: "drover-ab".into(),
            candidates: Vec::new(),
        };
        let names = [
            "0193a5c7-0001-7000-8000-00000000aaaa",
            "0193a5c7-0001-7000-8000-00000000bbbb",
        ];
        assert_eq!(
            names.map(|server| name(&spec, server)),
            ["drover-ab-00000000aaaa", "drover-ab-00000000bbbb"]
        );
    }
}
