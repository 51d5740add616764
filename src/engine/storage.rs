//! Volumes, mounts and images as the engine made them.

use crate::model::launch::{image_reference, is_sim_image};
use crate::model::{Fields, Resource, Result};
use crate::runtime::Found;
use crate::schema::Type;
use crate::store::{NewResource, Tx, Within};

use super::core::new_row;
use super::instance::{InstanceTypes, launch_of};

/// Makes the rows of a container's mounts, and of volumes not known yet.
pub(crate) fn note_mounts(
    tx: &mut Tx<'_>,
    types: &InstanceTypes,
    volume: &Type,
    mount: &Type,
    row: &Resource,
    found: &Found,
) -> Result<()> {
    if found.mounts.is_empty() || !tx.children(row.id, "mount")?.is_empty() {
        return Ok(());
    }
    let Some(account) = row.account_id else { return Ok(()) };
    for made in &found.mounts {
        let name = made.volume.clone().unwrap_or_else(|| made.source.clone());
        let known = tx.named("volume", Within::Account(account), &name)?;
        let known = tx.many(&known)?.into_iter().find(|v| v.host_id == row.host_id && v.name == name);
        let volume_row = match known {
            Some(known) => known,
            None => {
                let mut fields = Fields::default();
                fields.set("driver", if made.driver.is_empty() { "local" } else { &made.driver })?;
                fields.set("isHostPath", &made.volume.is_none())?;
                fields.set("uri", &format!("{}://{}", if made.volume.is_some() { "local" } else { "file" }, made.source))?;
                fields.set("externalId", &made.volume)?;
                tx.insert(NewResource { host_id: row.host_id, name, state: "active".into(), ..new_row(volume, row.account_id, fields) })?
            }
        };
        let mut fields = Fields::default();
        fields.set("volumeId", &format!("{}{}", volume.prefix, volume_row.id))?;
        fields.set("instanceId", &format!("{}{}", types.instance_prefix, row.id))?;
        fields.set("path", &made.path)?;
        fields.set("permissions", if made.writable { "rw" } else { "ro" })?;
        tx.insert(NewResource { parent_id: Some(row.id), state: "active".into(), ..new_row(mount, row.account_id, fields) })?;
    }
    Ok(())
}

/// Makes the row of an image not known yet; simulated images are none.
pub(crate) fn note_image(tx: &mut Tx<'_>, image: &Type, row: &Resource) -> Result<()> {
    let launch = launch_of(row)?;
    let Some(account) = row.account_id else { return Ok(()) };
    let uuid = launch.image_uuid.unwrap_or_default();
    if is_sim_image(&uuid) {
        return Ok(());
    }
    let reference = image_reference(&uuid);
    if tx.named("image", Within::Account(account), reference)?.is_empty() {
        let name = reference.to_owned();
        tx.insert(NewResource { name, state: "active".into(), ..new_row(image, Some(account), Fields::default()) })?;
    }
    Ok(())
}
