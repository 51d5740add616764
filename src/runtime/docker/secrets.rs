//! A container's secrets: files in a volume that is memory, never on a disk and never in what an engine tells of a container.
//! Such a volume is there as long as something that mounts it runs, so a container beside holds it: it was filled before the
//! first process of the other begins, and is still full when the engine itself starts that anew.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerSummaryStateEnum, HostConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions, UploadToContainerOptionsBuilder,
};

use super::name_image::{self, OWNER, PROGRAM};
use super::{Inner, LABEL_SECRETS, LABEL_SERVER, LONG, SHORT, forgive_gone, tape};
use crate::runtime::{Error, Result, SECRETS, SecretFile};

/// How such a volume is mounted. Its size is a bound, not what it takes.
const OPTIONS: &str = "size=64m,mode=0755,nosuid,nodev,noexec";
/// Bytes. What it holds counts, too.
const MEMORY: i64 = 96 << 20;
const PIDS: i64 = 16;

/// What holds a container's secrets.
struct Holder {
    id: String,
    container: String,
    image: String,
    is_running: bool,
}

/// The volume of a container's secrets.
pub(super) fn volume(uuid: &str) -> String {
    format!("drover-secrets-{uuid}")
}

/// Whether a volume is one of those: it is nobody's but its container's.
pub(super) fn is_one(volume: &str) -> bool {
    volume
        .strip_prefix("drover-secrets-")
        .is_some_and(|uuid| uuid.len() == 36)
}

/// How it is mounted. Only who fills it may write.
pub(super) fn mount(uuid: &str, server: &str, read_only: bool) -> Mount {
    let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", OPTIONS)];
    let owned = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect::<HashMap<_, _>>()
    };
    Mount {
        target: Some(SECRETS.to_owned()),
        source: Some(volume(uuid)),
        typ: Some(MountType::VOLUME),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(owned(&[(LABEL_SERVER, server), (LABEL_SECRETS, uuid)])),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(owned(&options)),
            }),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

pub(super) async fn deliver(docker: &Inner, uuid: &str, files: &[SecretFile]) -> Result<()> {
    let cannot = |error| match error {
        Error::Failed(why) => Error::Failed(format!("secrets cannot be delivered: {why}")),
        other => other,
    };
    let holder = hold(docker, uuid).await.map_err(cannot)?;
    let files = files.iter().map(|file| {
        let access = tape::Access {
            owner: file.access.uid,
            group: file.access.gid,
            mode: file.access.mode,
        };
        (file.name.as_str(), access, file.content.as_slice())
    });
    let archive = tape::of_files(files)?;
    let options = UploadToContainerOptionsBuilder::default().path(SECRETS).build();
    let body = bollard::body_full(archive.into());
    let sending = docker.api()?.upload_to_container(&holder, Some(options), body);
    docker.call(LONG, sending).await.map_err(cannot)
}

/// Makes sure that the one who holds the volume runs.
async fn hold(docker: &Inner, uuid: &str) -> Result<String> {
    name_image::ensure(docker).await?;
    let image = docker
        .name_image
        .get()
        .map(|image| image.reference.clone())
        .unwrap_or_default();
    let (right, wrong): (Vec<_>, Vec<_>) = list(docker, Some(uuid))
        .await?
        .into_iter()
        .partition(|there| there.is_running);
    if let Some(there) = right.into_iter().next() {
        return Ok(there.id);
    }
    for there in &wrong {
        remove_holder(docker, there).await?;
    }
    let name = volume(uuid);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let creating = docker
        .api()?
        .create_container(Some(options), body(uuid, &docker.server_uuid, &image));
    let made = docker.call(LONG, creating).await?;
    let starting = docker.api()?.start_container(&made.id, None::<StartContainerOptions>);
    docker.call(LONG, starting).await?;
    Ok(made.id)
}

/// Nobody's rights, no network, and nothing to do.
fn body(uuid: &str, server: &str, image: &str) -> ContainerCreateBody {
    let labels = [(LABEL_SERVER, server), (LABEL_SECRETS, uuid)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        cmd: Some(vec!["netd".to_owned(), "hold".to_owned()]),
        user: Some(format!("{OWNER}:{OWNER}")),
        labels: Some(HashMap::from(labels)),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            // One that came back by itself would hold nothing, and look as if it did.
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            memory: Some(MEMORY),
            pids_limit: Some(PIDS),
            mounts: Some(vec![mount(uuid, server, false)]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

pub(super) async fn withdraw(docker: &Inner, uuid: &str) -> Result<()> {
    for there in list(docker, Some(uuid)).await? {
        remove_holder(docker, &there).await?;
        if name_image::is_one(&there.image) {
            name_image::remove_unused(docker, &there.image).await;
        }
    }
    let volume = volume(uuid);
    let removing = docker.api()?.remove_volume(&volume, None::<RemoveVolumeOptions>);
    match docker.call(SHORT, removing).await {
        // The container is still there; it may start again.
        Err(Error::Failed(why)) if why.contains("in use") => Ok(()),
        other => forgive_gone(other),
    }
}

pub(super) async fn held(docker: &Inner) -> Result<Vec<String>> {
    let there = list(docker, None).await?;
    Ok(there
        .into_iter()
        .filter(|each| each.is_running)
        .map(|each| each.container)
        .collect())
}

async fn list(docker: &Inner, uuid: Option<&str>) -> Result<Vec<Holder>> {
    let of = uuid.map_or(LABEL_SECRETS.to_owned(), |uuid| format!("{LABEL_SECRETS}={uuid}"));
    let filters = HashMap::from([("label", vec![docker.ours(), of])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let listed = docker.call(SHORT, docker.api()?.list_containers(Some(options))).await?;
    let holders = listed.into_iter().filter_map(|summary| {
        Some(Holder {
            id: summary.id?,
            container: summary.labels?.remove(LABEL_SECRETS)?,
            image: summary.image.unwrap_or_default(),
            is_running: summary.state == Some(ContainerSummaryStateEnum::RUNNING),
        })
    });
    Ok(holders.collect())
}

async fn remove_holder(docker: &Inner, there: &Holder) -> Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let removing = docker.api()?.remove_container(&there.id, Some(options));
    match docker.call(LONG, removing).await {
        Err(Error::Failed(message)) if message.contains("already in progress") => {
            docker.wait_until_gone(&there.id).await
        }
        other => forgive_gone(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_of_secrets_is_known_by_its_name() {
        let uuid = "01890000-0000-7000-8000-000000000001";
        assert!(is_one(&volume(uuid)));
        assert!(!is_one("drover-secrets-mine") && !is_one("data"));
    }

    #[test]
    fn who_holds_secrets_may_do_nothing_else() {
        let body = serde_json::to_value(body("u", "me", "drover-net:1")).unwrap_or_default();
        let config = &body["HostConfig"];
        assert_eq!(
            (&config["NetworkMode"], &config["CapDrop"][0]),
            (&"none".into(), &"ALL".into())
        );
        assert_eq!(config["RestartPolicy"]["Name"], "no");
        let mount = &config["Mounts"][0];
        assert_eq!(
            (&mount["Target"], &mount["ReadOnly"]),
            (&"/run/secrets".into(), &false.into())
        );
        assert_eq!(mount["VolumeOptions"]["DriverConfig"]["Options"]["type"], "tmpfs");
    }
}
