//! A project's bridge network: found by label, used by id.
//!
//! Older engines accept a name twice and then call it ambiguous, so names are for people only.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::{Inner, LABEL_PROJECT, LABEL_SERVER, LONG, SHORT};
use crate::runtime::{Error, NetworkFound, NetworkSpec, Result};

/// Makes the network present. The guard keeps two callers of one server from creating it twice.
pub(super) async fn ensure(docker: &Inner, spec: &NetworkSpec) -> Result<NetworkFound> {
    let _guard = docker.networks.lock().await;
    if let Some(there) = find(docker, &spec.project_uuid).await?.into_iter().next() {
        return Ok(there);
    }
    let mut refusal = Error::Failed(format!("no subnet is left for network {}", spec.name));
    for subnet in &spec.candidates {
        match create(docker, spec, subnet).await {
            Ok(id) => {
                return Ok(NetworkFound {
                    id,
                    subnet: subnet.clone(),
                });
            }
            Err(Error::Failed(message)) if message.contains("Pool overlaps") => refusal = Error::Failed(message),
            Err(other) => return Err(other),
        }
    }
    Err(refusal)
}

/// Removes the project's networks; one that is in use is refused in the engine's words.
pub(super) async fn remove(docker: &Inner, project_uuid: &str) -> Result<()> {
    let _guard = docker.networks.lock().await;
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

async fn create(docker: &Inner, spec: &NetworkSpec, subnet: &str) -> Result<String> {
    let name = name(spec, &docker.server_uuid);
    match docker
        .call(LONG, docker.api()?.create_network(request(docker, spec, &name, subnet)))
        .await
    {
        Ok(response) => Ok(response.id),
        // Newer engines refuse a name that a stranger has; nobody has the project's whole uuid.
        Err(Error::NameTaken(_)) => {
            let name = format!("{name}-{}", spec.project_uuid);
            Ok(docker
                .call(LONG, docker.api()?.create_network(request(docker, spec, &name, subnet)))
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

fn request(docker: &Inner, spec: &NetworkSpec, name: &str, subnet: &str) -> NetworkCreateRequest {
    let labels = [
        (LABEL_SERVER, docker.server_uuid.clone()),
        (LABEL_PROJECT, spec.project_uuid.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value));
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(subnet.to_owned()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        labels: Some(HashMap::from(labels)),
        ..NetworkCreateRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
