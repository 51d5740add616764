//! Fields of services that are found in other rows.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::engine::core::{Core, Derived, add_ids, of_root};
use crate::model::{Resource, ResourceId, Result};
use crate::store::Direction;

use super::links::Target;

/// The computed fields of services and stacks.
pub(crate) fn derive(core: &Core, rows: &[&Resource], derived: &mut Derived) -> Result<()> {
    core.derive_services(&of_root(rows, "service"), derived)?;
    let stacks = of_root(rows, "stack");
    if !stacks.is_empty() {
        let ids = core.grouped(core.store.child_ids(&stacks, "service")?, "service");
        add_ids(derived, "serviceIds", &stacks, ids);
    }
    Ok(())
}

impl Core {
    fn derive_services(&self, services: &[ResourceId], derived: &mut Derived) -> Result<()> {
        if services.is_empty() {
            return Ok(());
        }
        // Through the expose maps: own containers and adopted ones.
        let maps = self.store.references("serviceId", services, Direction::To)?;
        let map_ids: Vec<ResourceId> = maps.iter().map(|(map, _)| *map).collect();
        let ends: HashMap<ResourceId, ResourceId> = self
            .store
            .references("instanceId", &map_ids, Direction::From)?
            .into_iter()
            .collect();
        let pairs = maps
            .iter()
            .filter_map(|(map, service)| Some((*service, *ends.get(map)?)))
            .collect();
        add_ids(derived, "instanceIds", services, self.grouped(pairs, "container"));
        let links = self.store.child_ids(services, "serviceConsumeMap")?;
        let link_rows = self.store.many(&links.iter().map(|(_, id)| *id).collect::<Vec<_>>())?;
        let targets: Vec<(ResourceId, String, Target)> = link_rows
            .iter()
            .filter_map(|row| Some((row.parent_id?, row.name.clone(), Target::of(row).ok()??)))
            .collect();
        let by_id: Vec<ResourceId> = targets.iter().filter_map(|(_, _, target)| target.service()).collect();
        let names: HashMap<ResourceId, String> = self.store.many(&by_id)?.into_iter().map(|r| (r.id, r.name)).collect();
        for service in services {
            let linked: BTreeMap<String, Value> = targets
                .iter()
                .filter(|(from, _, _)| from == service)
                .map(|(_, alias, target)| {
                    let (own, shown) = match target {
                        Target::Service(id) => (names.get(id).cloned(), self.wire_id("service", *id)),
                        Target::Named(name) => (name.rsplit('/').next().map(str::to_owned), name.clone()),
                    };
                    let name = Some(alias.clone()).filter(|a| !a.is_empty()).or(own);
                    (name.unwrap_or_default(), json!(shown))
                })
                .collect();
            derived
                .entry(*service)
                .or_default()
                .push(("linkedServices", json!(linked).to_string()));
        }
        Ok(())
    }
}
