//! A container's secrets: files in a volume that is memory, never on a disk and never in what an engine tells of a container.
//! Such a volume is there as long as something that mounts it runs, so a container beside holds it: it was filled before the
//! first process of the other begins, and is still full when the engine itself starts that anew. Files that are to be elsewhere than in
//! the folder of secrets lie in the same volume, and are mounted one by one.

use std::collections::{HashMap, HashSet};

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
use crate::model::secret_reference::PLACED;
use crate::runtime::{ContainerSpec, Error, Result, SECRETS, SecretFile};

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

/// Whether a volume, or what a path leads through, is one of those: it is nobody's but its container's.
pub(super) fn is_one(volume: &str) -> bool {
    volume.split('/').any(is_named_so)
}

fn is_named_so(name: &str) -> bool {
    name.strip_prefix("drover-secrets-")
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
    let archive = archive(files)?;
    let options = UploadToContainerOptionsBuilder::default().path(SECRETS).build();
    let body = bollard::body_full(archive.into());
    let sending = docker.api()?.upload_to_container(&holder, Some(options), body);
    docker.call(LONG, sending).await.map_err(cannot)
}

/// What the volume is to hold: each file with the folders that it is in.
fn archive(files: &[SecretFile]) -> Result<Vec<u8>> {
    let folder = |mode| tape::Access {
        owner: 0,
        group: 0,
        mode,
    };
    let mut all = Vec::new();
    let mut folders = HashSet::new();
    let mut placed = 0;
    if files.iter().any(|file| file.name.starts_with('/')) {
        all.extend(tape::header(
            &format!("{PLACED}/"),
            tape::Member::Folder,
            folder(0o700),
        )?);
    }
    for file in files {
        let path = match file.name.starts_with('/') {
            true => {
                placed += 1;
                format!("{PLACED}/{}", placed - 1)
            }
            false => file.name.clone(),
        };
        if !file.name.starts_with('/') {
            for (at, _) in path.match_indices('/') {
                let above = path.get(..=at).unwrap_or_default();
                if folders.insert(above.to_owned()) {
                    all.extend(tape::header(above, tape::Member::Folder, folder(0o755))?);
                }
            }
        }
        let access = tape::Access {
            owner: file.access.uid,
            group: file.access.gid,
            mode: file.access.mode,
        };
        let size = file.content.len() as u64;
        all.extend(tape::header(&path, tape::Member::File(size), access)?);
        all.extend_from_slice(&file.content);
        all.extend(tape::padding(size));
    }
    all.extend(tape::end());
    Ok(all)
}

/// How files of the volume are mounted that are to be elsewhere. They have to be there already: the engine asks for them.
pub(super) async fn placed(docker: &Inner, spec: &ContainerSpec) -> Result<Vec<Mount>> {
    if spec.placed.is_empty() {
        return Ok(Vec::new());
    }
    let volume = volume(&spec.uuid);
    let there = docker.call(SHORT, docker.api()?.inspect_volume(&volume)).await?;
    let mounts = spec.placed.iter().enumerate().map(|(at, path)| Mount {
        target: Some(path.clone()),
        source: Some(format!("{}/{PLACED}/{at}", there.mountpoint)),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    });
    Ok(mounts.collect())
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
        assert!(is_one(&format!(
            "/var/lib/docker/volumes/{}/_data/.placed/0",
            volume(uuid)
        )));
    }

    #[test]
    fn files_elsewhere_lie_apart_from_those_of_the_folder() {
        let file = |name: &str| SecretFile {
            name: name.to_owned(),
            content: b"x".to_vec(),
            access: crate::model::FileAccess {
                uid: 1,
                gid: 2,
                mode: 0o400,
            },
        };
        let archive = archive(&[file("/etc/a"), file("in/b"), file("/etc/c"), file("in/d")]).unwrap_or_default();
        let names = archive
            .chunks(512)
            .filter(|block| block.get(257..262) == Some(b"ustar"));
        let names: Vec<String> = names
            .map(|block| String::from_utf8_lossy(&block[..100]).trim_end_matches('\0').to_owned())
            .collect();
        assert_eq!(names, [".placed/", ".placed/0", "in/", "in/b", ".placed/1", "in/d"]);
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
