//! Drivers of networks and of storage: what a system service of such a kind makes, and takes along.
//!
//! A driver is bookkeeping here: the engine's own networks and volumes carry the containers. Its rows say what there is,
//! what uses it, and that it cannot go before that. Services ask for it, containers are looked at by their rows, and no
//! engine is called.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use crate::engine::core::{
    Core, Outcome, fenced, insert_and_start, new_row, notes, qualified, request, retire_part, write_notes,
};
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::schema::Type;
use crate::store::{Changes, NewProcess, NewResource, Process, Tx, Within};

/// The kinds of driver; their services are called after them.
pub(crate) const DRIVERS: [&str; 2] = ["networkDriver", "storageDriver"];

/// A network that a driver configures by CNI.
const CNI: &str = "cni";

/// What an address without a length has (cattle: `SubnetCreate`).
const DEFAULT_PREFIX: u8 = 24;

/// Where a storage driver's volumes can be mounted; the first one is meant if nothing is said.
const SCOPES: [&str; 3] = ["environment", "local", "custom"];

/// By how many at once; the first one is meant if nothing is said.
const ACCESS_MODES: [&str; 3] = ["multiHostRW", "singleHostRW", "singleInstanceRW"];

type Object = Map<String, Value>;

/// What kind of driver a service brings.
pub(crate) fn driver_of(service: &Resource) -> Option<&'static str> {
    DRIVERS
        .into_iter()
        .find(|driver| service.kind.strip_suffix("Service") == Some(driver))
}

/// How the wire calls what uses a driver.
#[derive(Clone)]
pub(crate) struct Users {
    instance: String,
    volume: String,
}

impl Core {
    pub(crate) fn driver_users(&self) -> Result<Users> {
        Ok(Users {
            instance: self.type_of("container")?.prefix.clone(),
            volume: self.type_of("volume")?.prefix.clone(),
        })
    }
}

/// 409 `DRIVER_IN_USE` if a service, or one of a stack, brings a driver that others use (cattle: `ServiceStackNetworkDriverFilter`,
/// `ServiceStackStorageDriverFilter`).
pub(crate) fn check_unused(tx: &mut Tx<'_>, users: &Users, row: &Resource) -> Result<()> {
    let services = match row.root.as_str() {
        "service" => vec![row.clone()],
        "stack" => tx.children(row.id, "service")?,
        _ => Vec::new(),
    };
    for service in services.iter().filter(|service| driver_of(service).is_some()) {
        let refuse = |what: &str, prefix: &str, ids: Vec<ResourceId>| match ids.is_empty() {
            true => Ok(()),
            false => {
                let ids: Vec<String> = ids.iter().map(|id| format!("{prefix}{id}")).collect();
                let error = Error::conflict(format!("the driver of {} is in use by {what}", service.name))
                    .with_code("DRIVER_IN_USE");
                Err(Error {
                    detail: Some(ids.join(",")),
                    ..error
                })
            }
        };
        refuse("containers", &users.instance, instances_on(tx, service)?)?;
        refuse("volumes", &users.volume, volumes_of(tx, service)?)?;
    }
    Ok(())
}

/// The containers on networks of a service's driver; its own do not count.
fn instances_on(tx: &mut Tx<'_>, service: &Resource) -> Result<Vec<ResourceId>> {
    let mut found = std::collections::BTreeSet::new();
    for driver in tx.children(service.id, "networkDriver")? {
        for network in tx.children(driver.id, "network")? {
            for field in ["primaryNetworkId", "networkIds"] {
                let referrers = tx.referrers(network.id, field)?;
                let rows = tx.many(&referrers)?;
                let is_other = |row: &&Resource| {
                    row.root == "instance" && row.removed.is_none() && row.parent_id != Some(service.id)
                };
                found.extend(rows.iter().filter(is_other).map(|row| row.id));
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn volumes_of(tx: &mut Tx<'_>, service: &Resource) -> Result<Vec<ResourceId>> {
    let mut found = Vec::new();
    for driver in tx.children(service.id, "storageDriver")? {
        let referrers = tx.referrers(driver.id, "storageDriverId")?;
        let rows = tx.many(&referrers)?;
        found.extend(
            rows.iter()
                .filter(|row| row.root == "volume" && row.removed.is_none())
                .map(|row| row.id),
        );
    }
    Ok(found)
}

/// The network that a project's managed containers are on: the first one that a driver made, else managed networking itself.
pub(crate) fn default_network(tx: &mut Tx<'_>, account: Option<ResourceId>) -> Result<Option<ResourceId>> {
    let mut own = None;
    for network in tx
        .all("network", account)?
        .iter()
        .filter(|network| network.state == "active")
    {
        if Fields::parse(&network.fields)?.text("networkDriverId").is_some() {
            return Ok(Some(network.id));
        }
        if own.is_none() && network.kind == "network" {
            own = Some(network.id);
        }
    }
    Ok(own)
}

/// The driver of this name that a project has.
pub(crate) fn storage_driver(tx: &mut Tx<'_>, account: ResourceId, name: &str) -> Result<Option<ResourceId>> {
    if matches!(name, "" | "local") {
        return Ok(None);
    }
    Ok(tx
        .named("storageDriver", Within::Account(account), name)?
        .first()
        .copied())
}

impl Core {
    /// Before a service is created, updated or activated: its driver is there and on its way up. Outside system stacks there is none
    /// (cattle: `DriverServiceActivate`).
    pub(crate) async fn ensure_driver(&self, process: &Process, row: &Resource) -> Result<()> {
        let Some(kind) = driver_of(row) else { return Ok(()) };
        let (ty, machine) = (self.type_of(kind)?.clone(), self.machine_of(kind)?.clone());
        let service = self.wire_id("service", row.id);
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let stack = row.parent_id.map(|id| tx.find(id)).transpose()?.flatten();
            let is_system = stack
                .map(|s| Fields::parse(&s.fields)?.read::<bool>("system"))
                .transpose()?
                .flatten();
            if is_system != Some(true) {
                return Ok(());
            }
            if let Some(known) = tx.children(row.id, kind)?.into_iter().next() {
                if machine.start("activate", &known.state).is_some() {
                    request(tx, &machine, &known, "activate", "{}", Changes::default())?;
                }
                return Ok(());
            }
            let wanted: Object = Fields::parse(&row.fields)?.read(kind)?.unwrap_or_default();
            let mut fields = stored(&ty, &wanted)?;
            fields.set("serviceId", &service)?;
            let name = wanted
                .get("name")
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .unwrap_or(&row.name)
                .to_owned();
            let new = NewResource {
                parent_id: Some(row.id),
                name,
                ..new_row(&ty, row.account_id, fields)
            };
            insert_activating(tx, new).map(drop)
        })
        .await
    }

    /// The drivers of a service that goes: asked to go as well. False while one is on its way.
    pub(crate) async fn remove_drivers(&self, process: &Process, row: &Resource) -> Result<bool> {
        let Some(kind) = driver_of(row) else { return Ok(true) };
        let machine = self.machine_of(kind)?.clone();
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(true);
            };
            let mut is_done = true;
            for driver in tx.children(row.id, kind)? {
                if machine.start("remove", &driver.state).is_some() {
                    request(tx, &machine, &driver, "remove", "{}", Changes::default())?;
                } else if driver.state != "removing" {
                    is_done = false;
                }
            }
            Ok(is_done)
        })
        .await
    }

    /// `networkDriver.activate`: its default network is made, unless it has one (cattle: `NetworkdriverActivate`).
    pub(crate) async fn activate_network_driver(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let ty = self.type_of("network")?.clone();
        let driver = self.wire_id("networkDriver", row.id);
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let own = Fields::parse(&row.fields)?;
            let wanted: Object = own.read("defaultNetwork")?.unwrap_or_default();
            let is_empty = wanted.iter().all(|(key, value)| key == "type" || value.is_null());
            if is_empty || !tx.children(row.id, "network")?.is_empty() {
                return Ok(());
            }
            let mut fields = stored(&ty, &wanted)?;
            fields.set("networkDriverId", &driver)?;
            let text = |key: &str| wanted.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            let has_cni = own
                .read::<Object>("cniConfig")?
                .is_some_and(|config| !config.is_empty());
            let kind = if has_cni { CNI } else { text("kind").unwrap_or(&ty.id) };
            let name = text("name").unwrap_or_default().to_owned();
            let new = NewResource {
                parent_id: Some(row.id),
                kind: kind.to_owned(),
                name,
                ..new_row(&ty, row.account_id, fields)
            };
            insert_and_start(tx, ty.machine.as_deref(), new).map(drop)
        })
        .await?;
        Ok(Outcome::done())
    }

    /// `network.create`: each of its subnets becomes a row, and what its driver says of it is added (cattle: `NetworkCreate`).
    pub(crate) async fn create_network(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let ty = self.type_of("subnet")?.clone();
        let network = self.wire_id("network", row.id);
        let (process_id, row_id) = (process.id, row.id);
        let changes = self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(Changes::default());
            };
            let own = Fields::parse(&row.fields)?;
            let known: Vec<usize> = tx
                .children(row.id, "subnet")?
                .iter()
                .map(|subnet| notes::<SubnetNotes>(subnet).nth)
                .collect();
            let wanted: Vec<Object> = own.read("subnets")?.unwrap_or_default();
            for (nth, wanted) in wanted.iter().enumerate().filter(|(nth, _)| !known.contains(nth)) {
                let mut fields = stored(&ty, wanted)?;
                complete(&mut fields)?;
                fields.set("networkId", &network)?;
                let name = wanted
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let internal = write_notes(&SubnetNotes { nth })?;
                let new = NewResource {
                    parent_id: Some(row.id),
                    name,
                    internal,
                    ..new_row(&ty, row.account_id, fields)
                };
                insert_activating(tx, new)?;
            }
            let Some(driver) = row.parent_id.map(|id| tx.find(id)).transpose()?.flatten() else {
                return Ok(Changes::default());
            };
            let driver = Fields::parse(&driver.fields)?;
            let mut metadata: Object = own.read("metadata")?.unwrap_or_default();
            metadata.extend(driver.read::<Object>("networkMetadata")?.unwrap_or_default());
            metadata.insert(
                "cniConfig".into(),
                json!(driver.read::<Object>("cniConfig")?.unwrap_or_default()),
            );
            let mut patch = Fields::default();
            patch.set("metadata", &metadata)?;
            Ok(Changes {
                patch,
                ..Changes::default()
            })
        });
        Ok(Outcome::Done(Box::new(changes.await?)))
    }

    /// `networkDriver.remove`: its networks and their subnets go at once.
    pub(crate) async fn remove_network_driver(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let (process_id, row_id, keep) = (process.id, row.id, self.keep_removed());
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            for network in tx.children(row.id, "network")? {
                for subnet in tx.children(network.id, "subnet")? {
                    retire_part(tx, subnet.id, keep)?;
                }
                retire_part(tx, network.id, keep)?;
            }
            Ok(())
        })
        .await?;
        Ok(Outcome::done())
    }

    /// `storageDriver.activate`: what it does not say is filled in, and the project's hosts get a pool of it (cattle:
    /// `StorageDriverActivate`).
    pub(crate) async fn activate_storage_driver(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let ty = self.type_of("storagePool")?.clone();
        let host_prefix = self.type_of("host")?.prefix.clone();
        let driver = self.wire_id("storageDriver", row.id);
        let (process_id, row_id) = (process.id, row.id);
        let changes = self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(Changes::default());
            };
            let own = Fields::parse(&row.fields)?;
            let one_of = |field: &str, options: [&'static str; 3]| {
                let given = own.text(field).unwrap_or_default();
                options
                    .into_iter()
                    .find(|option| *option == given)
                    .unwrap_or(options[0])
            };
            let (scope, access) = (one_of("scope", SCOPES), one_of("volumeAccessMode", ACCESS_MODES));
            let mut capabilities: Vec<String> = own.read("volumeCapabilities")?.unwrap_or_default();
            if scope == "local" && !capabilities.iter().any(|c| c == "scheduleSize") {
                capabilities.push("scheduleSize".into());
            }
            let mut patch = Fields::default();
            patch.set("scope", scope)?;
            patch.set("volumeAccessMode", access)?;
            patch.set("volumeCapabilities", &capabilities)?;
            if tx.children(row.id, "storagePool")?.is_empty() {
                let hosts: Vec<String> = tx
                    .all("host", row.account_id)?
                    .iter()
                    .map(|h| format!("{host_prefix}{}", h.id))
                    .collect();
                let mut fields = Fields::default();
                fields.set("hostIds", &hosts)?;
                fields.set("driverName", &row.name)?;
                fields.set("storageDriverId", &driver)?;
                fields.set("volumeAccessMode", access)?;
                fields.set("volumeCapabilities", &capabilities)?;
                fields.set("blockDevicePath", &own.text("blockDevicePath"))?;
                let new = new_row(&ty, row.account_id, fields);
                tx.insert(NewResource {
                    parent_id: Some(row.id),
                    name: row.name.clone(),
                    state: "active".into(),
                    ..new
                })?;
            }
            Ok(Changes {
                patch,
                ..Changes::default()
            })
        });
        Ok(Outcome::Done(Box::new(changes.await?)))
    }

    /// `storageDriver.remove`: its pool goes at once.
    pub(crate) async fn remove_storage_driver(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let (process_id, row_id, keep) = (process.id, row.id, self.keep_removed());
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            for pool in tx.children(row.id, "storagePool")? {
                retire_part(tx, pool.id, keep)?;
            }
            Ok(())
        })
        .await?;
        Ok(Outcome::done())
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "networkDriver.activate" => core.activate_network_driver(process, row).await,
        "networkDriver.remove" => core.remove_network_driver(process, row).await,
        "network.create" => core.create_network(process, row).await,
        "storageDriver.activate" => core.activate_storage_driver(process, row).await,
        "storageDriver.remove" => core.remove_storage_driver(process, row).await,
        _ => Ok(Outcome::done()),
    }
}

/// Which of its network's subnets a row is.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct SubnetNotes {
    nth: usize,
}

/// Whether a pool is a driver's: it stays when a host goes.
pub(crate) fn is_of_driver(pool: &Resource) -> bool {
    pool.root == "storagePool" && pool.parent_id.is_some()
}

/// A new host has the pools of the project's drivers, too.
pub(crate) fn join_pools(tx: &mut Tx<'_>, host: &Resource, host_wire: &str) -> Result<()> {
    for pool in tx
        .all("storagePool", host.account_id)?
        .iter()
        .filter(|pool| is_of_driver(pool))
    {
        change_hosts(tx, pool, |hosts| {
            if !hosts.iter().any(|known| known == host_wire) {
                hosts.push(host_wire.to_owned());
            }
        })?;
        tx.insert_ref(pool.id, "hostIds", host.id)?;
    }
    Ok(())
}

/// A host that goes has them no longer.
pub(crate) fn leave_pools(tx: &mut Tx<'_>, host: &Resource, host_wire: &str) -> Result<()> {
    for pool in tx
        .all("storagePool", host.account_id)?
        .iter()
        .filter(|pool| is_of_driver(pool))
    {
        let others: Vec<ResourceId> = tx
            .referenced(pool.id, "hostIds")?
            .into_iter()
            .filter(|id| *id != host.id)
            .collect();
        tx.delete_refs(pool.id, "hostIds")?;
        for other in others {
            tx.insert_ref(pool.id, "hostIds", other)?;
        }
        change_hosts(tx, pool, |hosts| hosts.retain(|known| known != host_wire))?;
    }
    Ok(())
}

fn change_hosts(tx: &mut Tx<'_>, pool: &Resource, change: impl FnOnce(&mut Vec<String>)) -> Result<()> {
    let before: Vec<String> = Fields::parse(&pool.fields)?.read("hostIds")?.unwrap_or_default();
    let mut after = before.clone();
    change(&mut after);
    if after != before {
        let mut patch = Fields::default();
        patch.set("hostIds", &after)?;
        tx.update_if(
            pool,
            &Changes {
                patch,
                ..Changes::default()
            },
        )?;
    }
    Ok(())
}

/// What of an object a row of this type stores as its own.
fn stored(ty: &Type, object: &Object) -> Result<Fields> {
    let mut fields = Fields::default();
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        if ty
            .fields
            .get(name)
            .is_some_and(|field| field.source == crate::schema::Source::Fields)
        {
            fields.set(name, value)?;
        }
    }
    Ok(fields)
}

/// Makes a row that is active as soon as its process ran.
fn insert_activating(tx: &mut Tx<'_>, new: NewResource) -> Result<Resource> {
    let row = tx.insert(NewResource {
        state: "activating".into(),
        ..new
    })?;
    tx.start_process(&NewProcess {
        resource: row.id,
        process: &qualified(&row, "activate"),
        data: "{}",
    })?;
    Ok(row)
}

/// Splits an address from its length, and fills in the gateway, the first and the last address (cattle: `SubnetCreate`, `NetUtils`).
fn complete(fields: &mut Fields) -> Result<()> {
    let text = fields.text("networkAddress").unwrap_or_default();
    let mut prefix: u8 = fields.read("cidrSize")?.unwrap_or(DEFAULT_PREFIX);
    let address = match text.split_once('/') {
        Some((address, length)) => {
            prefix = length.trim().parse().unwrap_or(DEFAULT_PREFIX);
            address
        }
        None => text.as_str(),
    };
    fields.set("networkAddress", address)?;
    fields.set("cidrSize", &prefix)?;
    let Some(base) = address
        .parse::<Ipv4Addr>()
        .ok()
        .filter(|_| (1..=30).contains(&prefix))
        .map(u32::from)
    else {
        return Ok(());
    };
    let size = 1_u32 << (32 - prefix);
    let base = base & !(size - 1);
    for (field, offset) in [
        ("gateway", 1),
        ("startAddress", 2),
        ("endAddress", size.saturating_sub(6)),
    ] {
        if fields.text(field).is_none() {
            fields.set(field, &Ipv4Addr::from(base.saturating_add(offset)).to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn subnets_are_completed_as_the_original_did() {
        for (address, given, expected) in [
            (
                "1.1.1.1/8",
                Some(24),
                json!(["1.1.1.1", 8, "1.0.0.1", "1.0.0.2", "1.255.255.250"]),
            ),
            (
                "192.168.0.0",
                None,
                json!(["192.168.0.0", 24, "192.168.0.1", "192.168.0.2", "192.168.0.250"]),
            ),
            (
                "10.42.0.0/16",
                None,
                json!(["10.42.0.0", 16, "10.42.0.1", "10.42.0.2", "10.42.255.250"]),
            ),
            (
                "10.42.0.0/x",
                None,
                json!(["10.42.0.0", 24, "10.42.0.1", "10.42.0.2", "10.42.0.250"]),
            ),
            ("nowhere", None, json!(["nowhere", 24, null, null, null])),
            ("1.2.3.4/99", None, json!(["1.2.3.4", 99, null, null, null])),
        ] {
            let mut fields = Fields::default();
            fields.set("networkAddress", address).expect("text");
            fields.set("cidrSize", &given).expect("a number");
            complete(&mut fields).expect("completed");
            let value = |name: &str| fields.read::<Value>(name).expect("JSON").unwrap_or_default();
            let found = json!(["networkAddress", "cidrSize", "gateway", "startAddress", "endAddress"].map(value));
            assert_eq!(found, expected, "{address}");
        }
    }
}
