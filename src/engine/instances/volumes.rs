//! Volumes, mounts and images as the engine made them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::core::{Core, Input, Outcome, Scope, insert_and_start, new_row, request, row_from_input};
use crate::engine::drivers::storage_driver;
use crate::model::launch::{LaunchConfig, image_reference, is_sim_image, parse_reference};
use crate::model::own_labels::volume_maker;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::runtime::{Found, Runtime};
use crate::schema::render::wire_id;
use crate::schema::{Machine, Type, TypeView};
use crate::store::{Changes, NewResource, Process, Tx, Within};

use super::container_rows::{InstanceTypes, launch_of};
use super::declared_volumes::declared_in;
use super::failing::Step;

/// A volume that is made by request: it names its driver, or a row of one, and both are kept.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: &Input,
) -> Result<Resource> {
    core.check_volume_use(Some(account), None, input)?;
    let mut new = row_from_input(&ty.def, account, input)?;
    let machine = ty.def.machine.clone();
    let prefix = core.type_of("storageDriver")?.prefix.clone();
    core.write_for(scope, move |tx| {
        let by_id = new
            .fields
            .text("storageDriverId")
            .and_then(|wire| parse_reference(&wire));
        let name = new.fields.text("driver").unwrap_or_default();
        match by_id.map(|id| tx.find(id)).transpose()?.flatten() {
            Some(driver) if name.is_empty() => new.fields.set("driver", &driver.name)?,
            Some(driver) if driver.name != name => return Err(Error::invalid("InvalidOption", "driver")),
            Some(_) => {}
            None => {
                if let Some(driver) = storage_driver(tx, account, &name)? {
                    new.fields.set("storageDriverId", &wire_id(&prefix, driver))?;
                    new.refs.push(("storageDriverId".into(), driver));
                }
            }
        }
        let Some(driver) = new.fields.text("driver").filter(|driver| !driver.is_empty()) else {
            return Err(Error::new(ErrorKind::Invalid)
                .with_code("MissingRequired")
                .with_message("Either driver or storageDriverId is required"));
        };
        check_size(tx, &new, &driver)?;
        new.fields.set("uri", &format!("{driver}:///{}", new.name))?;
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}

/// 422 for a size, unless the volume's driver looks for room of that size (cattle: `VolumeCreateValidationFilter`).
fn check_size(tx: &mut Tx<'_>, new: &NewResource, driver: &str) -> Result<()> {
    if new.fields.read::<i64>("sizeMb")?.is_none() {
        return Ok(());
    }
    let row = new.refs.iter().find(|(field, _)| field == "storageDriverId");
    let row = row.map(|(_, id)| tx.find(*id)).transpose()?.flatten();
    let can: Option<Vec<String>> = row
        .map(|row| Fields::parse(&row.fields)?.read("volumeCapabilities"))
        .transpose()?
        .flatten();
    match can.unwrap_or_default().iter().any(|can| can == "scheduleSize") {
        true => Ok(()),
        false => {
            let why = format!("Volume driver {driver} does not support specifying a size.");
            // Quirk: no field is named (recorded: `volumes`).
            Err(Error::new(ErrorKind::Invalid)
                .with_code("InvalidOption")
                .with_message(why))
        }
    }
}

/// `volume.create`: engines know a volume by its name.
pub(super) fn created(row: &Resource) -> Result<Outcome> {
    let mut patch = Fields::default();
    patch.set("externalId", &row.name)?;
    Ok(Outcome::Done(Box::new(Changes {
        patch,
        ..Changes::default()
    })))
}

/// What a PUT may still change: once a volume is on its engine, neither its options nor its host.
pub(crate) fn check_update(row: &Resource, input: &Input) -> Result<()> {
    if matches!(
        row.state,
        State::REQUESTED | State::REGISTERING | State::INACTIVE | State::UPDATING_INACTIVE
    ) {
        return Ok(());
    }
    let refuse = |field: &str| {
        Err(Error::not_implemented(format!("the {field} of a volume that was made cannot change")).with_field(field))
    };
    let options: Option<Value> = Fields::parse(&row.fields)?.read("driverOpts")?;
    if input
        .get("driverOpts")
        .is_some_and(|new| *new != options.unwrap_or_default())
    {
        return refuse("driverOpts");
    }
    let host = input.get("hostId").map(|new| new.as_str().and_then(parse_reference));
    if host.is_some_and(|new| new != row.host_id) {
        refuse("hostId")
    } else {
        Ok(())
    }
}

/// What becomes of a container's volumes that nothing else mounts (`io.rancher.container.volume_cleanup_strategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cleanup {
    /// They stay.
    None,
    /// Those without a name of their own go.
    Unnamed,
    /// All go.
    All,
}

impl Cleanup {
    pub(crate) fn of(launch: &LaunchConfig) -> Self {
        match launch.label("io.rancher.container.volume_cleanup_strategy") {
            Some("none") => Self::None,
            Some("all") => Self::All,
            _ => Self::Unnamed,
        }
    }

    fn takes(self, volume: &str) -> bool {
        let is_unnamed =
            volume.starts_with('/') || volume.len() == 64 && volume.bytes().all(|b| b.is_ascii_alphanumeric());
        self == Self::All || self == Self::Unnamed && is_unnamed
    }
}

/// Lets go of the volumes of a container that goes: what nothing mounts any more is detached, or removed.
pub(crate) fn release_volumes(
    tx: &mut Tx<'_>,
    machine: &Machine,
    container: &Resource,
    cleanup: Cleanup,
) -> Result<()> {
    for mount in tx.children(container.id, "mount")? {
        let volume = Fields::parse(&mount.fields)?
            .text("volumeId")
            .and_then(|w| parse_reference(&w));
        let Some(volume) = volume
            .map(|id| tx.find(id))
            .transpose()?
            .flatten()
            .filter(|v| v.removed.is_none())
        else {
            continue;
        };
        let referrers = tx.referrers(volume.id, "volumeId")?;
        let others = tx.many(&referrers)?;
        let is_mounted = others
            .iter()
            .any(|m| m.root == "mount" && m.removed.is_none() && m.parent_id != Some(container.id));
        if is_mounted || machine.start("deactivate", volume.state).is_none() {
            continue;
        }
        let data = if cleanup.takes(&volume.name) { REMOVE } else { "{}" };
        request(tx, machine, &volume, "deactivate", data, Changes::default())?;
    }
    Ok(())
}

/// The data of a deactivation that a removal follows.
const REMOVE: &str = r#"{"remove":true}"#;

impl Core {
    /// Nothing mounts it any more; it may be removed with that.
    pub(crate) fn deactivate_volume(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        Ok(match process.data == REMOVE || self.goes_with_service(row)? {
            true => Outcome::Then(Box::default(), "remove", "{}".into()),
            false => Outcome::done(),
        })
    }

    /// Removes a volume from its engine. A path of the host is not ours to remove.
    pub(crate) async fn remove_volume(&self, row: &Resource) -> Result<Outcome> {
        let is_path =
            row.name.starts_with('/') || Fields::parse(&row.fields)?.read::<bool>("isHostPath")?.unwrap_or(false);
        if !is_path
            && let Some(runtime) = row.host_id.and_then(|h| self.runtime(h))
            && let Err(error) = runtime.remove_volume(&row.name).await
        {
            return Ok(Outcome::Failed(error.to_string()));
        }
        Ok(Outcome::done())
    }

    /// Makes the volumes of a container present where their driver or its options were chosen by somebody.
    pub(super) async fn prepare_volumes(
        &self,
        container: &Resource,
        launch: &LaunchConfig,
        runtime: &dyn Runtime,
    ) -> Step<()> {
        let mut wanted: Vec<(String, String, BTreeMap<String, String>)> = Vec::new();
        for wire in launch.data_volume_mounts.iter().flatten().map(|(_, wire)| wire) {
            let Some(row) = parse_reference(wire)
                .map(|id| self.store.find(id))
                .transpose()?
                .flatten()
            else {
                continue;
            };
            let fields = Fields::parse(&row.fields)?;
            let driver = fields
                .text("driver")
                .filter(|d| !d.is_empty())
                .unwrap_or_else(|| "local".into());
            wanted.push((row.name, driver, fields.texts("driverOpts")?));
        }
        let driver = launch.volume_driver.as_deref().filter(|d| !d.is_empty());
        let named = launch
            .data_volumes
            .iter()
            .flatten()
            .filter_map(|v| v.split_once(':'))
            .map(|(name, _)| name);
        for name in named.filter(|name| !name.starts_with('/')) {
            // One that was made by request, and is on no engine yet, says itself what it is.
            let own = self
                .requested_volume(container, name)?
                .or(self.declared_volume(container, name)?);
            let fields = own
                .map(|row| Fields::parse(&row.fields))
                .transpose()?
                .unwrap_or_default();
            let mut options = fields.texts("driverOpts")?;
            let mut own = fields.text("driver").filter(|d| !d.is_empty());
            let labels = launch.labels.as_ref().filter(|_| own.is_none() && options.is_empty());
            if let Some(maker) = labels.and_then(|labels| volume_maker(labels, name)) {
                own = Some(maker.driver).filter(|d| !d.is_empty());
                options = maker.options;
            }
            match own.or(driver.map(str::to_owned)) {
                Some(driver) => wanted.push((name.to_owned(), driver, options)),
                None if !options.is_empty() => wanted.push((name.to_owned(), "local".into(), options)),
                None => {}
            }
        }
        for (name, driver, options) in wanted {
            runtime.ensure_volume(&name, &driver, &options).await?;
        }
        Ok(())
    }

    /// The volume of this name in the container's project that nothing has mounted yet.
    fn requested_volume(&self, container: &Resource, name: &str) -> Result<Option<Resource>> {
        let all = self.store.all("volume", container.account_id)?;
        let here = |v: &Resource| v.host_id.is_none() || v.host_id == container.host_id;
        Ok(all
            .into_iter()
            .find(|v| v.name == name && matches!(v.state, State::INACTIVE | State::UPDATING_INACTIVE) && here(v)))
    }
}

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
        let known = tx
            .many(&known)?
            .into_iter()
            .find(|v| (v.host_id == row.host_id || v.host_id.is_none()) && v.name == name);
        let volume_row = match known {
            Some(known) => {
                // One that was made by request belongs to the host that first mounts it.
                let placed = Changes {
                    host_id: Some(row.host_id),
                    ..Changes::default()
                };
                match volume.machine.as_deref() {
                    Some(machine) if machine.start("activate", known.state).is_some() => {
                        request(tx, machine, &known, "activate", "{}", placed)?
                    }
                    _ => known,
                }
            }
            None => {
                let mut fields = Fields::default();
                fields.set("driver", if made.driver.is_empty() { "local" } else { &made.driver })?;
                fields.set("isHostPath", &made.volume.is_none())?;
                fields.set(
                    "uri",
                    &format!(
                        "{}://{}",
                        if made.volume.is_some() { "local" } else { "file" },
                        made.source
                    ),
                )?;
                fields.set("externalId", &made.volume)?;
                if let Some(driver) = storage_driver(tx, account, &made.driver)? {
                    fields.set("storageDriverId", &wire_id(&types.driver_prefix, driver))?;
                }
                let declared = declared_in(tx, row, &name)?;
                if let Some(declared) = &declared {
                    let wire = wire_id(&types.template_prefix, declared.template.id);
                    fields.set("volumeTemplateId", &wire)?;
                }
                let new = new_row(volume, row.account_id, fields);
                tx.insert(NewResource {
                    host_id: row.host_id,
                    parent_id: declared.as_ref().map(|declared| declared.stack),
                    internal: declared.map_or(new.internal.clone(), |declared| declared.internal),
                    name,
                    state: State::ACTIVE,
                    ..new
                })?
            }
        };
        let mut fields = Fields::default();
        fields.set("volumeId", &wire_id(&volume.prefix, volume_row.id))?;
        fields.set("instanceId", &wire_id(&types.instance_prefix, row.id))?;
        fields.set("path", &made.path)?;
        fields.set("permissions", if made.writable { "rw" } else { "ro" })?;
        tx.insert(NewResource {
            parent_id: Some(row.id),
            state: State::ACTIVE,
            ..new_row(mount, row.account_id, fields)
        })?;
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
        tx.insert(NewResource {
            name,
            state: State::ACTIVE,
            ..new_row(image, Some(account), Fields::default())
        })?;
    }
    Ok(())
}
