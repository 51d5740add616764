//! A project's name server: one container, found by its label. It carries no uuid of ours, so that nobody takes it for a
//! container that has a row, or that nobody has.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigLogConfig, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    UploadToContainerOptionsBuilder,
};

use super::name_image::{self, DATA, Image, OWNER, PROGRAM};
use super::{Inner, LABEL_NAMES, LABEL_SERVER, LONG, SHORT, forgive_gone, start_failure, tape};
use crate::runtime::{Error, NameServerFound, NameServerSpec, Result};

/// Where it was put: an engine's list tells neither of a stopped container.
const LABEL_ADDRESS: &str = "io.drover.names.address";
const LABEL_NETWORK: &str = "io.drover.names.network";

/// Bytes. A table of ten thousand containers takes a tenth of it.
const MEMORY: i64 = 512 << 20;

/// Threads and all. It has one for each core, and each way to it as many again.
const PIDS: i64 = 512;

/// A name server as an engine's list has it.
pub(super) struct There {
    pub(super) id: String,
    name: String,
    image: String,
    pub(super) is_running: bool,
    project: String,
    address: Option<String>,
    network: Option<String>,
}

/// All of this server's.
pub(super) async fn all(docker: &Inner) -> Result<Vec<NameServerFound>> {
    let found = list(docker, None).await?.into_iter().map(|there| NameServerFound {
        project_uuid: there.project,
        address: there.address,
    });
    Ok(found.collect())
}

/// Makes it present and has it run. The guard keeps two callers of one server from making it twice.
pub(super) async fn ensure(docker: &Inner, spec: &NameServerSpec) -> Result<()> {
    let _guard = docker.name_servers.lock().await;
    let image = docker.name_image.get();
    let image = image.ok_or_else(|| Error::Gone("the image of name servers is not there yet".into()))?;
    let is_right = |there: &There| {
        there.image == image.reference
            && there.network.as_ref() == Some(&spec.network_id)
            && there.address.as_ref() == Some(&spec.address)
    };
    let (mut right, mut others): (Vec<There>, Vec<There>) = list(docker, Some(&spec.project_uuid))
        .await?
        .into_iter()
        .partition(is_right);
    right.sort_by_key(|there| !there.is_running);
    others.extend(right.split_off(right.len().min(1)));
    let id = match right.pop() {
        Some(there) if there.is_running && others.is_empty() => return Ok(()),
        Some(there) if there.is_running => return remove_all(docker, others).await,
        Some(there) => there.id,
        None => {
            let name = name(spec, &docker.server_uuid, image);
            let (in_the_way, rest) = others.into_iter().partition(|there| there.name == name);
            others = rest;
            remove_all(docker, in_the_way).await?;
            create(docker, spec, image, &name).await?
        }
    };
    put_table(docker, &id, spec).await?;
    // Only now, as both have one address: names are gone for as long as a start takes.
    remove_all(docker, others).await?;
    let starting = docker.api()?.start_container(&id, None::<StartContainerOptions>);
    let started = docker.call(LONG, starting).await.map_err(|e| start_failure(e, &id));
    if let Err(Error::AddressTaken(_) | Error::NetworkGone(_) | Error::Failed(_)) = &started {
        // Made for another place than it can have.
        remove_one(docker, &id).await?;
    }
    started
}

/// Removes it, if it is there.
pub(super) async fn remove(docker: &Inner, project_uuid: &str) -> Result<()> {
    let _guard = docker.name_servers.lock().await;
    let all = list(docker, Some(project_uuid)).await?;
    remove_all(docker, all).await
}

/// The one of a project that runs.
pub(super) async fn running(docker: &Inner, project_uuid: &str) -> Result<String> {
    let all = list(docker, Some(project_uuid)).await?;
    let running = all.into_iter().find(|there| there.is_running);
    running
        .map(|there| there.id)
        .ok_or_else(|| Error::Gone("the name server does not run".into()))
}

/// The project of a container with these labels, if it is one of this server's name servers.
pub(super) fn project_of(labels: &HashMap<String, String>, server: &str) -> Option<String> {
    let is_ours = labels.get(LABEL_SERVER).is_some_and(|owner| owner == server);
    labels.get(LABEL_NAMES).filter(|_| is_ours).cloned()
}

async fn list(docker: &Inner, project_uuid: Option<&str>) -> Result<Vec<There>> {
    let names = project_uuid.map_or(LABEL_NAMES.to_owned(), |project| format!("{LABEL_NAMES}={project}"));
    let filters = HashMap::from([("label", vec![docker.ours(), names])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let listed = docker.call(SHORT, docker.api()?.list_containers(Some(options))).await?;
    let server = &docker.server_uuid;
    Ok(listed.into_iter().filter_map(|each| there(each, server)).collect())
}

fn there(summary: ContainerSummary, server: &str) -> Option<There> {
    let mut labels = summary.labels.unwrap_or_default();
    let names = summary.names.unwrap_or_default();
    Some(There {
        project: project_of(&labels, server)?,
        id: summary.id?,
        name: names.first()?.trim_start_matches('/').to_owned(),
        image: summary.image.unwrap_or_default(),
        is_running: matches!(
            summary.state,
            Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::RESTARTING)
        ),
        address: labels.remove(LABEL_ADDRESS),
        network: labels.remove(LABEL_NETWORK),
    })
}

/// Of people's name for it, the server, as servers that were copied have the same projects, and the program.
fn name(spec: &NameServerSpec, server_uuid: &str, image: &Image) -> String {
    let random_end = server_uuid.rsplit('-').next().unwrap_or(server_uuid);
    let tag = image.reference.rsplit(':').next().unwrap_or_default();
    format!("{}-{random_end}-{tag}", spec.name)
}

async fn create(docker: &Inner, spec: &NameServerSpec, image: &Image, name: &str) -> Result<String> {
    let body = || body(spec, &docker.server_uuid, &image.reference);
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    match docker
        .call(LONG, docker.api()?.create_container(Some(options), body()))
        .await
    {
        Ok(made) => Ok(made.id),
        // A stranger has it; nobody has the project's whole uuid.
        Err(Error::NameTaken(_)) => {
            let name = format!("{name}-{}", spec.project_uuid);
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let made = docker.call(LONG, docker.api()?.create_container(Some(options), body()));
            Ok(made.await?.id)
        }
        Err(other) => Err(other),
    }
}

/// What the C library's memory is to do: to give back at once what was a large line, and to have one heap for all threads.
const MEMORY_RULES: [&str; 3] = [
    "MALLOC_ARENA_MAX=1",
    "MALLOC_MMAP_THRESHOLD_=65536",
    "MALLOC_TRIM_THRESHOLD_=65536",
];

/// Nobody's rights, nothing to write to but its own folder, nothing published, no secret.
fn body(spec: &NameServerSpec, server_uuid: &str, image: &str) -> ContainerCreateBody {
    let labels = [
        (LABEL_SERVER, server_uuid),
        (LABEL_NAMES, &spec.project_uuid),
        (LABEL_ADDRESS, &spec.address),
        (LABEL_NETWORK, &spec.network_id),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(spec.address.clone()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        cmd: Some(vec!["netd".to_owned()]),
        env: Some(MEMORY_RULES.map(str::to_owned).to_vec()),
        user: Some(format!("{OWNER}:{OWNER}")),
        labels: Some(HashMap::from(labels)),
        volumes: Some(vec![DATA.to_owned()]),
        host_config: Some(HostConfig {
            network_mode: Some(spec.network_id.clone()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::ALWAYS),
                maximum_retry_count: None,
            }),
            memory: Some(MEMORY),
            pids_limit: Some(PIDS),
            // Whoever came in by it would go no further.
            sysctls: Some(HashMap::from([("net.ipv4.ip_forward".to_owned(), "0".to_owned())])),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([("max-size".to_owned(), "1m".to_owned())])),
            }),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network_id.clone(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// Puts what it answers from into its folder, which outlives its restarts.
async fn put_table(docker: &Inner, id: &str, spec: &NameServerSpec) -> Result<()> {
    let first = spec.table.clone();
    let making = tokio::task::spawn_blocking(move || {
        let table = first.make()?;
        serde_json::to_vec(&table).map_err(|e| Error::Failed(format!("the table cannot be written: {e}")))
    });
    let table = making
        .await
        .map_err(|e| Error::Failed(format!("the table was given up: {e}")))??;
    let access = tape::Access {
        owner: OWNER,
        group: OWNER,
        mode: 0o600,
    };
    let archive = tape::of_file("table.json", access, &table)?;
    let options = UploadToContainerOptionsBuilder::default().path(DATA).build();
    let body = bollard::body_full(archive.into());
    docker
        .call(LONG, docker.api()?.upload_to_container(id, Some(options), body))
        .await
}

/// Removes containers, and images that nothing else is made of.
async fn remove_all(docker: &Inner, all: Vec<There>) -> Result<()> {
    for there in all {
        remove_one(docker, &there.id).await?;
        if name_image::is_one(&there.image) {
            name_image::remove_unused(docker, &there.image).await;
        }
    }
    Ok(())
}

/// With the volume that it keeps its table in.
async fn remove_one(docker: &Inner, id: &str) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    let removed = docker
        .call(LONG, docker.api()?.remove_container(id, Some(options)))
        .await;
    match removed {
        Err(Error::Failed(message)) if message.contains("already in progress") => docker.wait_until_gone(id).await,
        other => forgive_gone(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_servers_name_servers_are_found_by_their_labels() {
        let labels = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect::<HashMap<_, _>>()
        };
        let own = labels(&[(LABEL_SERVER, "me"), (LABEL_NAMES, "p")]);
        assert_eq!(project_of(&own, "me").as_deref(), Some("p"));
        assert_eq!(project_of(&own, "another"), None);
        assert_eq!(project_of(&labels(&[(LABEL_NAMES, "p")]), "me"), None);
        // Nobody takes it for a container with a row, nor for one that somebody ran by hand.
        assert_eq!(crate::runtime::docker::observed::uuid_of(&own, "abc", "me"), None);
    }

    #[test]
    fn it_may_do_nothing_but_answer() {
        use crate::model::network_table::Table;
        use crate::runtime::FirstTable;
        let spec = NameServerSpec {
            project_uuid: "p".into(),
            name: "drover-names-ab".into(),
            network_id: "n".into(),
            address: "10.42.3.254".into(),
            table: FirstTable::new(|| Ok(Table::default())),
        };
        let body = serde_json::to_value(body(&spec, "me", "drover-net:1")).unwrap_or_default();
        let expected = serde_json::json!({
            "Image": "drover-net:1", "Entrypoint": ["/drover-netd"], "Cmd": ["netd"],
            "Env": ["MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=65536", "MALLOC_TRIM_THRESHOLD_=65536"], "User": "65534:65534", "Volumes": {"/data": {}},
            "Labels": {"io.drover.server": "me", "io.drover.names": "p", "io.drover.names.address": "10.42.3.254",
                "io.drover.names.network": "n"},
            "HostConfig": {"NetworkMode": "n", "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges"], "ReadonlyRootfs": true,
                "RestartPolicy": {"Name": "always"}, "Memory": 536_870_912, "PidsLimit": 512,
                "Sysctls": {"net.ipv4.ip_forward": "0"}, "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
            "NetworkingConfig": {"EndpointsConfig": {"n": {"IPAMConfig": {"IPv4Address": "10.42.3.254"}}}},
        });
        assert_eq!(body, expected);
    }
}
