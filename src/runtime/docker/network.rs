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
    match docker
        .call(
            LONG,
            docker.api()?.create_network(request(docker, spec, &spec.name, subnet)),
        )
        .await
    {
        Ok(response) => Ok(response.id),
        // Newer engines refuse a name that a stranger has; the project's uuid makes it ours.
        Err(Error::NameTaken(_)) => {
            let name = format!(
                "{}-{}",
                spec.name,
                spec.project_uuid.get(..8).unwrap_or(&spec.project_uuid)
            );
            Ok(docker
                .call(LONG, docker.api()?.create_network(request(docker, spec, &name, subnet)))
                .await?
                .id)
        }
        Err(other) => Err(other),
    }
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
