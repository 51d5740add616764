//! Fields of containers and volumes that are found in other rows.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::engine::core::{Core, Derived, add_ids, of_root};
use crate::model::launch::parse_reference;
use crate::model::{Fields, Resource, ResourceId, Result};
use crate::store::Direction;

/// The computed fields of containers and volumes.
pub(crate) fn derive(core: &Core, rows: &[&Resource], derived: &mut Derived) -> Result<()> {
    core.derive_instances(&of_root(rows, "instance"), derived)?;
    let is_asked = |row: &&&Resource| row.root == "instance" && row.removed.is_none() && !row.health.is_empty();
    for row in rows.iter().filter(is_asked) {
        // Whoever runs a container asks it how it is.
        if let Some(host) = row.host_id {
            let state = json!([{"hostId": core.wire_id("host", host), "healthState": row.health}]);
            derived
                .entry(row.id)
                .or_default()
                .push(("healthcheckStates", state.to_string()));
        }
    }
    let volumes = of_root(rows, "volume");
    if !volumes.is_empty() {
        let maps = core.store.references("volumeId", &volumes, Direction::To)?;
        core.add_mounts(&volumes, maps, derived)?;
    }
    Ok(())
}

impl Core {
    pub(crate) fn derive_instances(&self, instances: &[ResourceId], derived: &mut Derived) -> Result<()> {
        if instances.is_empty() {
            return Ok(());
        }
        let maps = self.store.references("instanceId", instances, Direction::To)?;
        let map_ids: Vec<ResourceId> = maps.iter().map(|(map, _)| *map).collect();
        let services: HashMap<ResourceId, ResourceId> = self
            .store
            .references("serviceId", &map_ids, Direction::From)?
            .into_iter()
            .collect();
        let pairs = maps
            .iter()
            .filter_map(|(map, instance)| Some((*instance, *services.get(map)?)))
            .collect();
        add_ids(derived, "serviceIds", instances, self.grouped(pairs, "service"));
        let mounts = maps
            .iter()
            .filter(|(map, _)| !services.contains_key(map))
            .copied()
            .collect();
        self.add_mounts(instances, mounts, derived)
    }

    /// `mounts` of containers and of volumes: `(mount row, owner)`.
    pub(crate) fn add_mounts(
        &self,
        owners: &[ResourceId],
        maps: Vec<(ResourceId, ResourceId)>,
        derived: &mut Derived,
    ) -> Result<()> {
        let owner_of: HashMap<ResourceId, ResourceId> = maps.into_iter().collect();
        let mut by_owner: HashMap<ResourceId, Vec<Value>> = HashMap::new();
        if !owner_of.is_empty() {
            let rows = self.store.many(&owner_of.keys().copied().collect::<Vec<_>>())?;
            let mounts: Vec<&Resource> = rows
                .iter()
                .filter(|r| r.root == "mount" && r.removed.is_none())
                .collect();
            let mut far = Vec::new();
            let mut parsed = Vec::new();
            for mount in mounts {
                let fields = Fields::parse(&mount.fields)?;
                let (volume, instance) = (fields.text("volumeId"), fields.text("instanceId"));
                far.extend(
                    [&volume, &instance]
                        .into_iter()
                        .flatten()
                        .filter_map(|w| parse_reference(w)),
                );
                parsed.push((mount.id, fields, volume, instance));
            }
            let names: HashMap<ResourceId, String> =
                self.store.many(&far)?.into_iter().map(|r| (r.id, r.name)).collect();
            let name = |wire: &Option<String>| {
                wire.as_deref()
                    .and_then(parse_reference)
                    .and_then(|id| names.get(&id).cloned())
            };
            for (id, fields, volume, instance) in parsed {
                let Some(owner) = owner_of.get(&id) else { continue };
                by_owner.entry(*owner).or_default().push(json!({
                    "type": "mountEntry",
                    "instanceId": instance,
                    "instanceName": name(&instance),
                    "path": fields.text("path"),
                    "volumeId": volume,
                    "volumeName": name(&volume),
                }));
            }
        }
        for owner in owners {
            let list = by_owner.remove(owner).unwrap_or_default();
            derived
                .entry(*owner)
                .or_default()
                .push(("mounts", Value::Array(list).to_string()));
        }
        Ok(())
    }
}
