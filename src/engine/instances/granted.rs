//! What a container is given beside what was asked for, as its row shows it: its network, name servers, search domains.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::core::{Core, new_row};
use crate::engine::drivers;
use crate::model::launch::LaunchConfig;
use crate::model::{Fields, Resource, Result, State};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

use super::container_rows::PROJECT_LABEL;

/// Where the containers of managed networks ask for names. Rows say so; what an engine is told is decided with the rest of
/// its specification.
pub(crate) const NAME_SERVER: &str = "169.254.169.250";

/// What a container is given.
pub(super) struct Granted {
    mode: Option<String>,
    network_prefix: String,
    instance_prefix: String,
    nic: Arc<Type>,
    /// Only in managed networks.
    managed: Option<Managed>,
}

struct Managed {
    project_uuid: Option<String>,
    /// None where the container wants no names of ours.
    search: Option<Vec<String>>,
}

/// Whether a container wants to be told names by us.
pub(crate) fn wants_names(launch: &LaunchConfig) -> bool {
    launch.label("io.rancher.container.dns") != Some("false")
}

impl Core {
    pub(super) fn granted(&self, row: &Resource, launch: &LaunchConfig) -> Result<Granted> {
        let managed = if launch.network_mode.as_deref() == Some("managed") {
            let project = row.account_id.map(|id| self.store.find(id)).transpose()?.flatten();
            let search = wants_names(launch).then(|| self.names(row)).transpose()?;
            Some(Managed {
                project_uuid: project.map(|project| project.uuid),
                search: search.map(|names| names.search),
            })
        } else {
            None
        };
        Ok(Granted {
            mode: launch.network_mode.clone(),
            network_prefix: self.type_of("network")?.prefix.clone(),
            instance_prefix: self.type_of("container")?.prefix.clone(),
            nic: self.type_of("nic")?.clone(),
            managed,
        })
    }
}

impl Granted {
    /// Writes it into a container's fields.
    pub(super) fn write(self, tx: &mut Tx<'_>, row: &Resource, fields: &mut Fields) -> Result<()> {
        let is_empty = |fields: &Fields, name: &str| fields.get(name).is_none_or(|value| value == "null");
        if is_empty(fields, "dataVolumes") {
            fields.set("dataVolumes", &[(); 0])?;
        }
        if is_empty(fields, "dataVolumeMounts") {
            fields.set("dataVolumeMounts", &BTreeMap::<String, String>::new())?;
        }
        if is_empty(fields, "primaryNetworkId")
            && let Some(network) = drivers::network_of_mode(tx, row.account_id, self.mode.as_deref())?
        {
            let wire = format!("{}{network}", self.network_prefix);
            fields.set("primaryNetworkId", &wire)?;
            tx.insert_ref(row.id, "primaryNetworkId", network)?;
            let mut nic = Fields::default();
            nic.set("instanceId", &format!("{}{}", self.instance_prefix, row.id))?;
            nic.set("networkId", &wire)?;
            nic.set("deviceNumber", &0)?;
            tx.insert(NewResource {
                parent_id: Some(row.id),
                state: State::ACTIVE,
                ..new_row(&self.nic, row.account_id, nic)
            })?;
        }
        let Some(Managed { project_uuid, search }) = self.managed else {
            return Ok(());
        };
        if let Some(search) = search {
            add(fields, "dns", vec![NAME_SERVER.to_owned()])?;
            add(fields, "dnsSearch", search)?;
        }
        let labels = fields.texts("labels")?;
        if let (Some(mut labels), Some(uuid)) = (Some(labels).filter(|labels| !labels.is_empty()), project_uuid) {
            labels.insert(PROJECT_LABEL.to_owned(), uuid);
            fields.set("labels", &labels)?;
        }
        Ok(())
    }
}

/// Puts words behind those that a list has, each once.
fn add(fields: &mut Fields, name: &str, words: Vec<String>) -> Result<()> {
    let mut all: Vec<String> = fields.read(name)?.unwrap_or_default();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    fields.set(name, &all)
}
