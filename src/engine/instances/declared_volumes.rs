//! Volumes that a stack declares (`volumeTemplate`): what engines call them, which of them belong to one container, and when
//! those go.
//!
//! One that all share stays, whoever goes. One of its own belongs to a unit of a service: whoever comes in a container's place has
//! it again, and it goes when the service is done without the unit, or goes itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::core::{Core, notes, request, write_notes};
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::store::{Changes, Tx};

use super::container_rows::{InstanceFacts, InstanceNotes};

/// The engine's own notes of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct VolumeNotes {
    /// The service and the index of the unit that has it for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<(ResourceId, u32)>,
}

/// What engines call a volume that a stack declares; `unit` is the index and the uuid of the one that has it for itself.
pub(crate) fn engine_name(stack: &str, volume: &str, unit: Option<(u32, &str)>) -> String {
    match unit {
        None => format!("{stack}_{volume}"),
        Some((index, uuid)) => format!("{stack}_{volume}_{index}_{uuid}"),
    }
}

/// Whether each container has its own of a declared volume.
pub(crate) fn is_per_container(template: &Resource) -> Result<bool> {
    Ok(Fields::parse(&template.fields)?.read("perContainer")?.unwrap_or(false))
}

/// A volume as its stack declared it.
pub(super) struct Declared {
    /// The row that declares it.
    pub(super) template: Resource,
    pub(super) stack: ResourceId,
    /// The notes of its row.
    pub(super) internal: String,
}

/// The one of these templates that a container's engine knows by this name.
fn declared(stack: &Resource, templates: Vec<Resource>, container: &Resource, name: &str) -> Result<Option<Declared>> {
    let note: InstanceNotes = notes(container);
    let facts: InstanceFacts = serde_json::from_str(&container.fields).unwrap_or_default();
    let uuid = facts.deployment_unit_uuid.unwrap_or_default();
    for template in templates {
        let is_own = is_per_container(&template)?;
        let unit = is_own.then_some((note.index, uuid.as_str()));
        if engine_name(&stack.name, &template.name, unit) == name {
            let own = VolumeNotes {
                unit: container.parent_id.filter(|_| is_own).map(|id| (id, note.index)),
            };
            return Ok(Some(Declared {
                template,
                stack: stack.id,
                internal: write_notes(&own)?,
            }));
        }
    }
    Ok(None)
}

/// What a container's stack declares under the name that the engine has.
pub(super) fn declared_in(tx: &mut Tx<'_>, container: &Resource, name: &str) -> Result<Option<Declared>> {
    let service = container.parent_id.map(|id| tx.find(id)).transpose()?.flatten();
    let stack = service.and_then(|service| service.parent_id);
    let Some(stack) = stack.map(|id| tx.find(id)).transpose()?.flatten() else {
        return Ok(None);
    };
    let templates = tx.children(stack.id, "volumeTemplate")?;
    declared(&stack, templates, container, name)
}

/// The service whose unit has a volume for itself: it is looked at when nothing mounts that any more.
pub(crate) fn user_of_volume(row: &Resource) -> Option<ResourceId> {
    notes::<VolumeNotes>(row).unit.map(|(service, _)| service)
}

impl Core {
    /// The same, read outside of a transaction.
    pub(super) fn declared_volume(&self, container: &Resource, name: &str) -> Result<Option<Resource>> {
        let row = |id: Option<ResourceId>| id.map(|id| self.store.find(id)).transpose().map(Option::flatten);
        let service = row(container.parent_id)?;
        let Some(stack) = row(service.and_then(|service| service.parent_id))? else {
            return Ok(None);
        };
        let templates = self.store.children(stack.id, "volumeTemplate")?;
        Ok(declared(&stack, templates, container, name)?.map(|found| found.template))
    }

    /// Whether a volume goes with its service, which is on its way out or gone.
    pub(super) fn goes_with_service(&self, row: &Resource) -> Result<bool> {
        let Some(service) = user_of_volume(row) else {
            return Ok(false);
        };
        let service = self.store.find(service)?;
        Ok(service.is_none_or(|service| service.removed.is_some() || service.state == State::REMOVING))
    }

    /// On which host each unit of a service has volumes for itself, by the index of the unit: where they were made last.
    pub(crate) fn homes_of_units(&self, stack: ResourceId, service: ResourceId) -> Result<BTreeMap<u32, ResourceId>> {
        let mut made = Vec::new();
        for template in self.store.children(stack, "volumeTemplate")? {
            if is_per_container(&template)? {
                made.extend(self.store.referrers(template.id, "volumeTemplateId")?);
            }
        }
        made.sort_unstable();
        let rows = self.store.many(&made)?.into_iter();
        let own = rows.filter(|row| row.removed.is_none() && row.state != State::REMOVING);
        let homes = own.filter_map(|row| match notes::<VolumeNotes>(&row).unit {
            Some((of, index)) if of == service => Some((index, row.host_id?)),
            _ => None,
        });
        Ok(homes.collect())
    }

    /// Removes the volumes that units of a service had for themselves, but for units of these indexes.
    pub(crate) async fn release_units(
        &self,
        stack: ResourceId,
        service: ResourceId,
        kept: BTreeSet<u32>,
    ) -> Result<()> {
        let mut left = Vec::new();
        for template in self.store.children(stack, "volumeTemplate")? {
            if is_per_container(&template)? {
                left.extend(self.store.referrers(template.id, "volumeTemplateId")?);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        let goes = move |row: &Resource| {
            let unit = notes::<VolumeNotes>(row).unit;
            row.removed.is_none()
                && row.state == State::DETACHED
                && unit.is_some_and(|(of, index)| of == service && !kept.contains(&index))
        };
        let mut rows = self.store.many(&left)?;
        rows.retain(&goes);
        let machine = self.machine_of("volume")?.clone();
        self.write_each(rows, move |tx, row| match tx.find(row.id)?.filter(&goes) {
            Some(row) => request(tx, &machine, &row, "remove", "{}", Changes::default()).map(drop),
            None => Ok(()),
        })
        .await
    }
}
