//! What Docker mounts into containers, in the engine's words: volumes, secrets, configs.

use serde_json::{Map, Value, json};

use super::project::{Others, put_list, unbuilt};
use super::refusal::{Outcome, Refusal};
use super::spec::{ContainerSpec, Mount};
use crate::model::own_labels::CONFIG;

/// What is mounted.
pub fn put_files(launch: &mut Map<String, Value>, container: &ContainerSpec) -> Outcome<()> {
    let mut volumes = Vec::new();
    let mut tmpfs = Map::new();
    for mount in &container.mounts {
        match mount.kind.as_str() {
            "tmpfs" => {
                tmpfs.insert(mount.target.clone(), json!(tmpfs_options(mount)));
            }
            _ => volumes.push(volume(mount)?),
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
    if bind.non_recursive || !matches!(bind.propagation.as_str(), "" | "rprivate") {
        return Err(unbuilt(
            field,
            "propagation and NonRecursive are not part of this build",
        ));
    }
    let driver = volume.driver_config.clone().unwrap_or_default();
    if volume.no_copy || !matches!(driver.name.as_str(), "" | "local") || !driver.options.is_empty() {
        return Err(unbuilt(
            field,
            "NoCopy and drivers of volumes are not part of this build",
        ));
    }
    if mount.kind == "bind" && !mount.source.starts_with('/') {
        return Err(Refusal::argument(format!(
            "ContainerSpec: invalid bind mount source, must be an absolute path: {}",
            mount.source
        )));
    }
    let suffix = if mount.read_only { ":ro" } else { "" };
    Ok(match mount.source.as_str() {
        "" => mount.target.clone(),
        source => format!("{source}:{}{suffix}", mount.target),
    })
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
