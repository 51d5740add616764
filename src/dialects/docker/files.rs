//! What Docker mounts into containers, in the engine's words: volumes, secrets, configs.

use serde_json::{Map, Value, json};

use super::project::{Others, put_list, unbuilt};
use super::refusal::{Outcome, Refusal};
use super::spec::{ContainerSpec, Mount};
use crate::model::own_labels::{CONFIG, VOLUME, VolumeMaker};

/// What is mounted.
pub fn put_files(
    launch: &mut Map<String, Value>,
    labels: &mut Map<String, Value>,
    container: &ContainerSpec,
) -> Outcome<()> {
    let mut volumes = Vec::new();
    let mut tmpfs = Map::new();
    for mount in &container.mounts {
        match mount.kind.as_str() {
            "tmpfs" => {
                tmpfs.insert(mount.target.clone(), json!(tmpfs_options(mount)));
            }
            _ => {
                volumes.push(volume(mount)?);
                put_maker(labels, mount)?;
            }
        }
    }
    put_list(launch, "dataVolumes", volumes);
    if !tmpfs.is_empty() {
        launch.insert("tmpfs".into(), Value::Object(tmpfs));
    }
    Ok(())
}

/// Secrets are files below `/run/secrets`, or where they say.
pub fn put_secrets(launch: &mut Map<String, Value>, container: &ContainerSpec, others: &dyn Others) -> Outcome<()> {
    let mut secrets = Vec::new();
    for reference in &container.secrets {
        let Some(file) = &reference.file else {
            return Err(Refusal::argument(
                "malformed secret reference, no secret target provided",
            ));
        };
        secrets.push(json!({
            "secretId": others.secret(&reference.secret_id)?, "name": file.name, "uid": file.uid, "gid": file.gid,
            "mode": format!("{:o}", file.mode),
        }));
    }
    if !secrets.is_empty() {
        launch.insert("secrets".into(), Value::Array(secrets));
    }
    Ok(())
}

/// Configs are files below the root, by labels that say which.
pub fn put_configs(labels: &mut Map<String, Value>, container: &ContainerSpec, others: &dyn Others) -> Outcome<()> {
    for reference in &container.configs {
        let Some(file) = &reference.file else {
            return Err(Refusal::argument(
                "malformed config reference, no config target provided",
            ));
        };
        let mut value = others.config(&reference.config_id)?;
        for (field, id) in [("uid", &file.uid), ("gid", &file.gid)] {
            if !id.is_empty() {
                value.push_str(&format!(" {field}={id}"));
            }
        }
        value.push_str(&format!(" mode={:o}", file.mode));
        labels.insert(format!("{CONFIG}/{}", file.name.trim_start_matches('/')), json!(value));
    }
    Ok(())
}

fn volume(mount: &Mount) -> Outcome<String> {
    let bind = mount.bind_options.clone().unwrap_or_default();
    let volume = mount.volume_options.clone().unwrap_or_default();
    let field = "ContainerSpec.Mounts";
    if bind.non_recursive {
        return Err(unbuilt(field, "NonRecursive is not part of this build"));
    }
    if !matches!(
        bind.propagation.as_str(),
        "" | "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave"
    ) {
        return Err(Refusal::bad(format!(
            "invalid MountPropagation: {:?}",
            bind.propagation
        )));
    }
    if mount.kind == "bind" && !mount.source.starts_with('/') {
        return Err(Refusal::argument(format!(
            "ContainerSpec: invalid bind mount source, must be an absolute path: {}",
            mount.source
        )));
    }
    // What is so in any case is not said.
    let propagation = Some(bind.propagation.as_str()).filter(|word| !matches!(*word, "" | "rprivate"));
    let words = [
        mount.read_only.then_some("ro"),
        propagation.filter(|_| mount.kind == "bind"),
        (volume.no_copy && mount.kind == "volume").then_some("nocopy"),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let suffix = if words.is_empty() {
        String::new()
    } else {
        format!(":{}", words.join(","))
    };
    Ok(match mount.source.as_str() {
        "" => mount.target.clone(),
        source => format!("{source}:{}{suffix}", mount.target),
    })
}

/// The driver of a volume, by a label that says how it is made.
fn put_maker(labels: &mut Map<String, Value>, mount: &Mount) -> Outcome<()> {
    let driver = mount.volume_options.clone().and_then(|options| options.driver_config);
    let driver = driver.filter(|driver| !matches!(driver.name.as_str(), "" | "local") || !driver.options.is_empty());
    let Some(driver) = driver.filter(|_| mount.kind == "volume") else {
        return Ok(());
    };
    if mount.source.is_empty() {
        let why = "a driver for a volume without a name is not part of this build";
        return Err(unbuilt("ContainerSpec.Mounts", why));
    }
    let maker = VolumeMaker {
        driver: driver.name,
        options: driver.options,
    };
    let maker = super::record::written(&maker)?;
    labels.insert(format!("{VOLUME}{}", mount.source), json!(maker.to_string()));
    Ok(())
}

fn tmpfs_options(mount: &Mount) -> String {
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let size = options
        .size_bytes
        .filter(|size| *size > 0)
        .map(|size| format!("size={size}"));
    let mode = options
        .mode
        .filter(|mode| *mode > 0)
        .map(|mode| format!("mode={mode:o}"));
    let read_only = mount.read_only.then(|| "ro".to_owned());
    [read_only, size, mode]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(",")
}
