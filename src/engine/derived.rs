//! Fields that are found in other rows: a constant number of queries for a whole page.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::model::launch::parse_reference;
use crate::model::{Fields, Resource, ResourceId, Result};
use crate::store::Direction;

use super::core::Core;
use super::door::Derived;

impl Core {
    pub(crate) fn derive(&self, rows: &[Resource]) -> Result<Derived> {
        let mut derived = Derived::new();
        let of_root = |root: &str| rows.iter().filter(|r| r.root == root).map(|r| r.id).collect::<Vec<_>>();
        self.derive_services(&of_root("service"), &mut derived)?;
        let stacks = of_root("stack");
        if !stacks.is_empty() {
            let ids = self.grouped(self.store.child_ids(&stacks, "service")?, "service");
            add(&mut derived, "serviceIds", &stacks, ids);
        }
        self.derive_instances(&of_root("instance"), &mut derived)?;
        let hosts = of_root("host");
        if !hosts.is_empty() {
            let on = self.store.on_hosts(&hosts, "instance")?;
            let pairs = on.into_iter().filter_map(|s| Some((s.host_id?, s.id))).collect();
            add(&mut derived, "instanceIds", &hosts, self.grouped(pairs, "container"));
        }
        self.derive_registrations(rows, &mut derived)?;
        self.derive_tokens(rows, &mut derived)?;
        let volumes = of_root("volume");
        if !volumes.is_empty() {
            let maps = self.store.references("volumeId", &volumes, Direction::To)?;
            self.add_mounts(&volumes, maps, &mut derived)?;
        }
        Ok(derived)
    }

    fn derive_services(&self, services: &[ResourceId], derived: &mut Derived) -> Result<()> {
        if services.is_empty() {
            return Ok(());
        }
        // Through the expose maps: own containers and adopted ones.
        let maps = self.store.references("serviceId", services, Direction::To)?;
        let map_ids: Vec<ResourceId> = maps.iter().map(|(map, _)| *map).collect();
        let ends: HashMap<ResourceId, ResourceId> = self.store.references("instanceId", &map_ids, Direction::From)?.into_iter().collect();
        let pairs = maps.iter().filter_map(|(map, service)| Some((*service, *ends.get(map)?))).collect();
        add(derived, "instanceIds", services, self.grouped(pairs, "container"));
        let links = self.store.child_ids(services, "serviceConsumeMap")?;
        let link_rows = self.store.many(&links.iter().map(|(_, id)| *id).collect::<Vec<_>>())?;
        let targets: Vec<(ResourceId, String, ResourceId)> = link_rows
            .iter()
            .filter_map(|row| {
                let target = Fields::parse(&row.fields).ok()?.text("consumedServiceId").and_then(|w| parse_reference(&w))?;
                Some((row.parent_id?, row.name.clone(), target))
            })
            .collect();
        let names: HashMap<ResourceId, String> =
            self.store.many(&targets.iter().map(|(_, _, t)| *t).collect::<Vec<_>>())?.into_iter().map(|r| (r.id, r.name)).collect();
        for service in services {
            let linked: BTreeMap<String, Value> = targets
                .iter()
                .filter(|(from, _, _)| from == service)
                .map(|(_, alias, target)| {
                    let name = Some(alias.clone()).filter(|a| !a.is_empty()).or_else(|| names.get(target).cloned()).unwrap_or_default();
                    (name, json!(self.wire_id("service", *target)))
                })
                .collect();
            derived.entry(*service).or_default().push(("linkedServices", json!(linked).to_string()));
        }
        Ok(())
    }

    fn derive_instances(&self, instances: &[ResourceId], derived: &mut Derived) -> Result<()> {
        if instances.is_empty() {
            return Ok(());
        }
        let maps = self.store.references("instanceId", instances, Direction::To)?;
        let map_ids: Vec<ResourceId> = maps.iter().map(|(map, _)| *map).collect();
        let services: HashMap<ResourceId, ResourceId> =
            self.store.references("serviceId", &map_ids, Direction::From)?.into_iter().collect();
        let pairs = maps.iter().filter_map(|(map, instance)| Some((*instance, *services.get(map)?))).collect();
        add(derived, "serviceIds", instances, self.grouped(pairs, "service"));
        let mounts = maps.iter().filter(|(map, _)| !services.contains_key(map)).copied().collect();
        self.add_mounts(instances, mounts, derived)
    }

    /// `mounts` of containers and of volumes: `(mount row, owner)`.
    fn add_mounts(&self, owners: &[ResourceId], maps: Vec<(ResourceId, ResourceId)>, derived: &mut Derived) -> Result<()> {
        let owner_of: HashMap<ResourceId, ResourceId> = maps.into_iter().collect();
        let mut by_owner: HashMap<ResourceId, Vec<Value>> = HashMap::new();
        if !owner_of.is_empty() {
            let rows = self.store.many(&owner_of.keys().copied().collect::<Vec<_>>())?;
            let mounts: Vec<&Resource> = rows.iter().filter(|r| r.root == "mount" && r.removed.is_none()).collect();
            let mut far = Vec::new();
            let mut parsed = Vec::new();
            for mount in mounts {
                let fields = Fields::parse(&mount.fields)?;
                let (volume, instance) = (fields.text("volumeId"), fields.text("instanceId"));
                far.extend([&volume, &instance].into_iter().flatten().filter_map(|w| parse_reference(w)));
                parsed.push((mount.id, fields, volume, instance));
            }
            let names: HashMap<ResourceId, String> = self.store.many(&far)?.into_iter().map(|r| (r.id, r.name)).collect();
            let name = |wire: &Option<String>| wire.as_deref().and_then(parse_reference).and_then(|id| names.get(&id).cloned());
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
            derived.entry(*owner).or_default().push(("mounts", Value::Array(list).to_string()));
        }
        Ok(())
    }

    /// `(owner, id)` as owner → list of wire ids.
    fn grouped(&self, pairs: Vec<(ResourceId, ResourceId)>, kind: &str) -> HashMap<ResourceId, Vec<String>> {
        let mut groups: HashMap<ResourceId, Vec<String>> = HashMap::new();
        for (owner, id) in pairs {
            groups.entry(owner).or_default().push(self.wire_id(kind, id));
        }
        groups
    }
}

fn add(derived: &mut Derived, field: &'static str, owners: &[ResourceId], mut groups: HashMap<ResourceId, Vec<String>>) {
    for owner in owners {
        let ids = groups.remove(owner).unwrap_or_default();
        derived.entry(*owner).or_default().push((field, json!(ids).to_string()));
    }
}
