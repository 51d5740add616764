//! Hosts: one row per engine that containers run on.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::{Fields, Resource, ResourceId, Result};
use crate::runtime::{EngineInfo, Found, Life, Runtime};
use crate::store::{Changes, NewResource};

use super::core::{Core, DEFAULT_PROJECT, new_row, notes, write_notes};
use super::instance::InstanceNotes;

/// What the engine notes of a host.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct HostNotes {
    /// The kind of its runtime.
    runtime: String,
    /// Which of several engines of that kind it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// Whether a host is the simulator.
pub(crate) fn is_sim(row: &Resource) -> bool {
    row.internal.contains("\"runtime\":\"sim\"")
}

/// Whether a host's engine does not answer.
pub(crate) fn is_disconnected(row: &Resource) -> bool {
    Fields::parse(&row.fields).ok().and_then(|f| f.text("agentState")).is_some_and(|s| s == "disconnected")
}

impl Core {
    /// Ties a runtime to its host row, which is made on the first start, and fills in what the engine says. `name` tells
    /// several engines of one kind apart.
    pub(crate) async fn attach(&self, runtime: Arc<dyn Runtime>, name: Option<&str>) -> Result<ResourceId> {
        let info = match runtime.describe().await {
            Ok(info) => Some(info),
            Err(error) => {
                log::warn!("the {} engine does not describe itself: {error}", runtime.kind());
                None
            }
        };
        let kind = runtime.kind();
        let ty = self.type_of("host")?.clone();
        let note = HostNotes { runtime: kind.to_owned(), name: name.map(str::to_owned) };
        let known = self.store.all("host", Some(DEFAULT_PROJECT))?.into_iter().find(|h| notes::<HostNotes>(h) == note);
        let id = match known {
            Some(row) => row.id,
            None => {
                let (info, internal) = (info.clone().unwrap_or_default(), write_notes(&note)?);
                let fields = host_fields(Fields::default(), &info)?;
                let label = self.type_of("label")?.clone();
                self.write(move |tx| {
                    let own = if info.name.is_empty() { note.runtime } else { info.name.clone() };
                    let name = note.name.unwrap_or(own);
                    let mut new = NewResource { name, state: "active".into(), internal, ..new_row(&ty, Some(DEFAULT_PROJECT), fields) };
                    new.kind = "host".into();
                    let row = tx.insert(new)?;
                    super::labels::tie_host(tx, &label, &row)?;
                    Ok(row.id)
                })
                .await?
            }
        };
        self.add_runtime(id, runtime);
        self.host_changed(id, info.as_ref()).await?;
        // Services of every host may want it, and work may wait for it.
        self.look(id);
        Ok(id)
    }

    /// Writes whether an engine answers, and what it says about itself.
    pub(crate) async fn host_changed(&self, id: ResourceId, info: Option<&EngineInfo>) -> Result<()> {
        let info = info.cloned();
        let label = self.type_of("label")?.clone();
        self.write(move |tx| {
            let Some(row) = tx.find(id)? else { return Ok(()) };
            let mut fields = Fields::parse(&row.fields)?;
            match &info {
                Some(info) => {
                    fields = host_fields(fields, info)?;
                    fields.set("agentState", &None::<String>)?;
                }
                None => fields.set("agentState", "disconnected")?,
            }
            if fields == Fields::parse(&row.fields)? {
                return Ok(());
            }
            let row = tx.update_if(&row, &Changes { fields: Some(fields), ..Changes::default() })?;
            super::labels::tie_host(tx, &label, &row)
        })
        .await
    }

    /// What a simulator is to remember of an earlier life of this server.
    pub(crate) fn simulated_containers(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for host in self.store.all("host", None)?.iter().filter(|h| is_sim(h)) {
            for slim in self.store.on_hosts(&[host.id], "instance")? {
                let Some(row) = self.store.find(slim.id)? else { continue };
                let note: InstanceNotes = notes(&row);
                let fields = Fields::parse(&row.fields)?;
                let Some(external_id) = fields.text("externalId").filter(|_| note.is_made) else { continue };
                let life = match row.state.as_str() {
                    "running" | "updating-running" | "stopping" | "restarting" => Life::Running,
                    _ if note.ran => Life::Exited,
                    _ => Life::Created,
                };
                found.push(Found {
                    uuid: row.uuid,
                    external_id,
                    name: note.docker_name,
                    life,
                    ip: note.ip,
                    ports: Vec::new(),
                    exit_code: None,
                    started_at: note.started_at,
                    mounts: Vec::new(),
                });
            }
        }
        Ok(found)
    }
}

fn host_fields(mut fields: Fields, info: &EngineInfo) -> Result<Fields> {
    fields.set("hostname", &info.name)?;
    let mut labels: std::collections::BTreeMap<String, String> = fields.read("labels")?.unwrap_or_default();
    labels.extend(info.labels.clone());
    if !info.version.is_empty() {
        let short: String = info.version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        labels.insert("io.rancher.host.docker_version".into(), short);
        labels.insert("io.rancher.host.linux_kernel_version".into(), info.kernel.splitn(3, '.').take(2).collect::<Vec<_>>().join("."));
    }
    fields.set("labels", &labels)?;
    fields.set(
        "info",
        &json!({
            "osInfo": {"dockerVersion": info.version, "kernelVersion": info.kernel, "operatingSystem": info.os, "distribution": info.os},
            "cpuInfo": {"count": info.cores},
            "memoryInfo": {"memTotal": info.memory_bytes / 1_048_576},
        }),
    )?;
    Ok(fields)
}
