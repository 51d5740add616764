//! Drivers of storage: the pool that one makes, and the hosts that have it.

use crate::engine::core::{Core, Outcome, fenced, new_row, retire_part};
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::store::{Changes, NewResource, Process, Tx, Within};

/// Where a storage driver's volumes can be mounted; the first one is meant if nothing is said.
const SCOPES: [&str; 3] = ["environment", "local", "custom"];

/// By how many at once; the first one is meant if nothing is said.
const ACCESS_MODES: [&str; 3] = ["multiHostRW", "singleHostRW", "singleInstanceRW"];

pub(super) fn volumes_of(tx: &mut Tx<'_>, service: &Resource) -> Result<Vec<ResourceId>> {
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
                    state: State::ACTIVE,
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
