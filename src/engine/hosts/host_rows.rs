//! What an engine says of itself, as the row of its host and the rows that belong to it show it.

use serde_json::json;

use crate::engine::core::{Core, HOST_ADDRESS, new_row};
use crate::engine::drivers;
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::runtime::EngineInfo;
use crate::store::{Changes, NewResource, Tx};

use super::host::{insert_address, insert_pool, parts};

/// How its users reach an engine of this machine whose address nobody knows.
const OWN_ADDRESS: &str = "127.0.0.1";

/// What an engine says of itself, in the fields of a new host or of one that is known. What its users wrote over it stays.
pub(super) fn host_fields(mut fields: Fields, info: &EngineInfo) -> Result<Fields> {
    fields.set("hostname", &info.name)?;
    let mut labels = fields.texts("labels")?;
    labels.extend(info.labels.clone());
    if !info.version.is_empty() {
        let short: String = info.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        labels.insert("io.rancher.host.docker_version".into(), short);
        labels.insert(
            "io.rancher.host.linux_kernel_version".into(),
            info.kernel.splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
        );
    }
    fields.set("labels", &labels)?;
    let mut processors = json!({"count": info.cores});
    if let (Some(mhz), Some(all)) = (info.mhz, processors.as_object_mut()) {
        all.insert("mhz".into(), mhz.into());
    }
    if let (Some(model), Some(all)) = (&info.cpu_model, processors.as_object_mut()) {
        all.insert("modelName".into(), model.as_str().into());
    }
    let mut os = json!({"dockerVersion": info.version, "kernelVersion": info.kernel, "operatingSystem": info.os, "distribution": info.os});
    if let Some(all) = os.as_object_mut().filter(|_| !info.architecture.is_empty()) {
        all.insert("architecture".into(), info.architecture.as_str().into());
    }
    fields.set(
        "info",
        &json!({
            "osInfo": os,
            "cpuInfo": processors,
            "memoryInfo": {"memTotal": info.memory_bytes / 1_048_576},
        }),
    )?;
    Ok(fields)
}

/// How much a host has to be reserved from, unless somebody said how much.
pub(super) fn set_capacity(fields: &mut Fields, info: &EngineInfo) -> Result<()> {
    let is_unsaid = |fields: &Fields, name: &str| fields.get(name).is_none_or(|value| value == "null");
    if info.memory_bytes > 0 && is_unsaid(fields, "memory") {
        fields.set("memory", &info.memory_bytes)?;
    }
    if info.cores > 0 && is_unsaid(fields, "milliCpu") {
        fields.set("milliCpu", &info.cores.saturating_mul(1_000))?;
    }
    Ok(())
}

/// Writes the address of a host into the row of its address, which is there from the host's beginning on.
pub(super) fn note_address(tx: &mut Tx<'_>, host: &Resource, address: &str) -> Result<()> {
    for part in parts(tx, host)?.into_iter().filter(|part| part.root == "ipAddress") {
        let mut fields = Fields::parse(&part.fields)?;
        if fields.text("address").as_deref() != Some(address) {
            fields.set("address", address)?;
            let changes = Changes {
                fields: Some(fields),
                ..Changes::default()
            };
            tx.update_if(&part, &changes)?;
        }
    }
    Ok(())
}

impl Core {
    /// By which address others reach an engine of this server: the one that was given, else the one that was found.
    pub(super) fn address_of(&self, info: &EngineInfo) -> Result<Option<String>> {
        if info.is_address_told {
            return Ok(info.address.clone());
        }
        if let Some(given) = self.config.host_address {
            return Ok(Some(given.to_string()));
        }
        let set = self.setting(HOST_ADDRESS)?.and_then(|setting| setting.active_value);
        Ok(set
            .filter(|address| !address.is_empty())
            .or_else(|| info.address.clone()))
    }
}

impl Core {
    /// Makes what every host has beside its row: a machine, a pool of storage, an address.
    pub(super) async fn complete(&self, id: ResourceId, kind: &'static str) -> Result<()> {
        let (physical, pool, address) = (
            self.type_of("physicalHost")?.clone(),
            self.type_of("storagePool")?.clone(),
            self.type_of("ipAddress")?.clone(),
        );
        let wire = self.wire_id("host", id);
        self.write(move |tx| {
            // One that was removed meanwhile, or is about to be, has given its parts back.
            let stays = |host: &Resource| host.removed.is_none() && host.state != State::REMOVING;
            let Some(host) = tx.find(id)?.filter(stays) else {
                return Ok(());
            };
            let fields = Fields::parse(&host.fields)?;
            let parts = parts(tx, &host)?;
            let has = |root: &str| parts.iter().any(|part| part.root == root);
            if !has("storagePool") {
                let name = format!("{} Storage Pool", host.name);
                insert_pool(tx, &pool, &host, &wire, kind, &name)?;
            }
            if !has("ipAddress") {
                insert_address(tx, &address, &host, &wire, OWN_ADDRESS)?;
            }
            drivers::join_pools(tx, &host, &wire)?;
            if !has("physicalHost") {
                let new = new_row(&physical, host.account_id, Fields::default());
                let made = tx.insert(NewResource {
                    name: host.name.clone(),
                    state: State::ACTIVE,
                    ..new
                })?;
                let mut patch = Fields::default();
                patch.set("physicalHostId", &format!("{}{}", physical.prefix, made.id))?;
                tx.update_if(
                    &host,
                    &Changes {
                        patch,
                        ..Changes::default()
                    },
                )?;
                tx.insert_ref(host.id, "physicalHostId", made.id)?;
            } else if fields.text("physicalHostId").is_none() {
                return Err(crate::model::Error::bug("a host that is not tied to its machine"));
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::testkit;

    #[tokio::test]
    async fn a_host_that_was_removed_meanwhile_gets_no_parts() {
        let (_folder, core) = testkit::empty();
        for (is_removed, expected) in [(false, 3), (true, 0)] {
            let host = testkit::insert(&core, "host", State::ACTIVE, Fields::default()).await;
            if is_removed {
                testkit::remove(&core, &host).await;
            }
            core.complete(host.id, "docker").await.unwrap();
            let made = core
                .write(move |tx| {
                    let host = tx.get(host.id)?;
                    parts(tx, &host)
                })
                .await
                .unwrap();
            assert_eq!(made.len(), expected, "removed: {is_removed}");
        }
    }
}
