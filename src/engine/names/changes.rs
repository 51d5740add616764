//! What some changed rows make of what was told: only the entries that these rows are part of are made again, of the rows that
//! they are made of. What is told of many (a host's address, the name of a stack or of a service) leads to all of the table.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::core::Core;
use crate::model::network_table::{Delta, Table};
use crate::model::{Resource, ResourceId, Result};
use crate::store::Direction;

use super::rows::Rows;
use super::services;
use super::table::{self, Index};
use super::told::{Told, ToldService, called, digest};

/// What changed rows come to.
pub(super) enum Found {
    /// These changes, and what will have been told then, but for the number.
    These(Told, Delta),
    /// All of the table has to be made again; this was told.
    More(Told),
    /// So it has, and what was told is not known any more.
    Unknown,
}

/// Whose entries are to be made again.
#[derive(Debug, Default)]
struct Dirty {
    containers: BTreeSet<ResourceId>,
    services: BTreeSet<ResourceId>,
    /// Hosts and stacks that nobody else's entry says anything of.
    rest: Table,
}

/// What these rows come to, which changed since `told` was told.
pub(super) fn changes(core: &Core, project: &Resource, mut told: Told, changed: &[ResourceId]) -> Result<Found> {
    let mut dirty = Dirty::default();
    let rows = core.store.many(changed)?;
    if rows.len() < changed.len() && !are_known(&rows, &told, changed) {
        return Ok(Found::More(told));
    }
    for row in rows {
        // Networks come and go once in a project's life, and the project says how it and which of them is called.
        let is_of_all = matches!(row.root.as_str(), "network" | "account");
        if is_of_all && !core.is_told_of_project(project, &told)? || !dirty.add(&told, &row)? {
            return Ok(Found::More(told));
        }
    }
    let mut delta = Delta::default();
    of_containers(core, project, &mut told, &mut dirty, &mut delta)?;
    if !of_services(core, project, &mut told, &dirty, &mut delta)? {
        return Ok(Found::Unknown);
    }
    for (uuid, stack) in dirty.rest.stacks {
        told.rest.stacks.insert(uuid.clone(), stack.clone());
        delta.stacks.insert(uuid, Some(stack));
    }
    for (uuid, host) in dirty.rest.hosts {
        told.rest.hosts.insert(uuid.clone(), host.clone());
        delta.hosts.insert(uuid, Some(host));
    }
    Ok(Found::These(told, delta))
}

/// Whether nothing that was told is gone without a trace: swept away before anybody looked.
fn are_known(rows: &[Resource], told: &Told, changed: &[ResourceId]) -> bool {
    let there: BTreeSet<ResourceId> = rows.iter().map(|row| row.id).collect();
    let mut gone = changed.iter().filter(|id| !there.contains(id));
    gone.all(|id| !told.containers.contains_key(id) && !told.services.contains_key(id))
}

impl Dirty {
    /// Says whose entries a changed row is part of; `false` if of too many.
    fn add(&mut self, told: &Told, row: &Resource) -> Result<bool> {
        match row.root.as_str() {
            "instance" => {
                self.containers.insert(row.id);
                self.containers.extend(told.resting_on(row.id));
            }
            "port" => self.containers.extend(row.parent_id),
            "serviceExposeMap" => {
                self.containers.extend(table::exposed(row)?);
                self.services.extend(row.parent_id);
            }
            "serviceConsumeMap" => self.services.extend(row.parent_id),
            "service" => return Ok(self.add_service(told, row)),
            "stack" => {
                let entry = table::stack(row)?;
                let before = told.rest.stacks.get(&row.uuid);
                match before {
                    None if row.removed.is_none() => drop(self.rest.stacks.insert(row.uuid.clone(), entry)),
                    before => return Ok(before.is_none() || row.removed.is_none() && before == Some(&entry)),
                }
            }
            "host" => {
                let entry = table::host(row)?;
                let Some(before) = told.rest.hosts.get(&row.uuid).filter(|_| row.removed.is_none()) else {
                    return Ok(false);
                };
                if before.agent_ip != entry.agent_ip {
                    return Ok(false);
                }
                if *before != entry {
                    self.rest.hosts.insert(row.uuid.clone(), entry);
                }
            }
            // Nothing of others is told.
            _ => {}
        }
        Ok(true)
    }

    fn add_service(&mut self, told: &Told, row: &Resource) -> bool {
        self.services.insert(row.id);
        let is_there = row.removed.is_none();
        match told.services.get(&row.id) {
            Some(before) if is_there => before.called == called(row),
            // One that goes or comes may be what a name means.
            before => {
                self.services.extend(told.resting_on(row.id));
                before.is_none() && !is_there || !told.has_named_links
            }
        }
    }
}

/// Containers that changed; services whose list of containers is another one then are added.
fn of_containers(core: &Core, project: &Resource, told: &mut Told, dirty: &mut Dirty, delta: &mut Delta) -> Result<()> {
    if dirty.containers.is_empty() {
        return Ok(());
    }
    let ids: Vec<ResourceId> = dirty.containers.iter().copied().collect();
    let rows = core.rows_of_containers(project, &ids)?;
    let index = Index::of(&rows)?;
    for id in ids {
        let row = index.instances.get(&id).copied();
        let entry = row.map(|row| table::container(&index, row)).transpose()?.flatten();
        let before = told.containers.remove(&id);
        if entry.is_some() != before.is_some() {
            let of = index.members.iter().filter(|member| member.container == id);
            dirty.services.extend(of.map(|member| member.service));
        }
        let (Some(row), Some(entry)) = (row, entry) else {
            if let Some((uuid, _)) = before {
                delta.containers.insert(uuid, None);
            }
            if row.is_none() {
                told.rests_on.remove(&id);
            }
            continue;
        };
        let digest = digest(&entry)?;
        if before.is_none_or(|(_, before)| before != digest) {
            delta.containers.insert(row.uuid.clone(), Some(entry));
        }
        told.containers.insert(id, (row.uuid.clone(), digest));
        told.note(id, table::targets_of(row)?);
    }
    Ok(())
}

/// Services that changed; `false` if one is called otherwise now.
fn of_services(core: &Core, project: &Resource, told: &mut Told, dirty: &Dirty, delta: &mut Delta) -> Result<bool> {
    if dirty.services.is_empty() {
        return Ok(true);
    }
    let ids: Vec<ResourceId> = dirty.services.iter().copied().collect();
    let rows = core.rows_of_services(project, &ids)?;
    let index = Index::of(&rows)?;
    told.note_links(&rows)?;
    let there = |id: &ResourceId| told.containers.get(id).map(|(uuid, _)| uuid.clone());
    let mut made = services::services(&rows, &index, there, |row| dirty.services.contains(&row.id))?;
    for id in ids {
        let row = index.services.get(&id).copied();
        let before = told.services.remove(&id);
        if before
            .as_ref()
            .zip(row)
            .is_some_and(|(before, row)| before.called != called(row))
        {
            return Ok(false);
        }
        let before = before.unwrap_or_default();
        let mut entries = BTreeMap::new();
        if let Some(row) = row {
            let prefix = format!("{}/", row.uuid);
            let mut own = made.split_off(&prefix);
            let end = own.keys().find(|key| !key.starts_with(&prefix)).cloned();
            if let Some(end) = end {
                made.extend(own.split_off(&end));
            }
            for (key, entry) in own {
                let digest = digest(&entry)?;
                if before.entries.get(&key) != Some(&digest) {
                    delta.services.insert(key.clone(), Some(entry));
                }
                entries.insert(key, digest);
            }
        }
        let gone = before.entries.keys().filter(|key| !entries.contains_key(*key));
        delta.services.extend(gone.map(|key| (key.clone(), None)));
        match row {
            Some(row) => drop(told.services.insert(id, ToldService::of(row, entries))),
            None => drop(told.rests_on.remove(&id)),
        }
    }
    Ok(true)
}

impl Core {
    /// Whether a project and its networks are as they were told.
    fn is_told_of_project(&self, project: &Resource, told: &Told) -> Result<bool> {
        let rows = Rows {
            networks: self.store.all("network", Some(project.id))?,
            ..Rows::of(project.clone())
        };
        Ok(project.name == told.rest.environment.name && table::networks(&rows)? == told.rest.networks)
    }

    /// The rows that the entries of some containers are made of.
    fn rows_of_containers(&self, project: &Resource, ids: &[ResourceId]) -> Result<Rows> {
        let mut instances = self.live(ids.iter().copied())?;
        let mut targets = BTreeSet::new();
        for row in &instances {
            targets.extend(table::targets_of(row)?);
        }
        let others = targets.into_iter().filter(|id| !ids.contains(id));
        instances.extend(self.live(others)?);
        let maps = self.store.references("instanceId", ids, Direction::To)?;
        let maps = self.live(maps.into_iter().map(|(map, _)| map))?;
        let expose_maps: Vec<Resource> = maps.into_iter().filter(|row| row.root == "serviceExposeMap").collect();
        let services = self.live(expose_maps.iter().filter_map(|map| map.parent_id))?;
        let ports = self.store.child_ids(ids, "port")?;
        let mut networks = BTreeSet::new();
        for row in &instances {
            networks.extend(table::network_of(row)?);
        }
        Ok(Rows {
            stacks: self.live(services.iter().filter_map(|row| row.parent_id))?,
            hosts: self.live(instances.iter().filter_map(|row| row.host_id))?,
            networks: self.live(networks)?,
            ports: self.live(ports.into_iter().map(|(_, id)| id))?,
            services,
            instances,
            expose_maps,
            ..Rows::of(project.clone())
        })
    }

    /// The rows that the entries of some services are made of, but for their containers.
    fn rows_of_services(&self, project: &Resource, ids: &[ResourceId]) -> Result<Rows> {
        let of = |root| -> Result<Vec<Resource>> {
            let children = self.store.child_ids(ids, root)?;
            self.live(children.into_iter().map(|(_, id)| id))
        };
        let (expose_maps, consume_maps) = (of("serviceExposeMap")?, of("serviceConsumeMap")?);
        let mut wanted: BTreeSet<ResourceId> = ids.iter().copied().collect();
        let mut is_by_name = false;
        for map in &consume_maps {
            match services::linked_by_id(map)? {
                Some(target) => drop(wanted.insert(target)),
                None => is_by_name = true,
            }
        }
        let (services, stacks) = match is_by_name {
            true => (
                self.store.all("service", Some(project.id))?,
                self.store.all("stack", Some(project.id))?,
            ),
            false => {
                let services = self.live(wanted)?;
                let stacks = self.live(services.iter().filter_map(|row| row.parent_id))?;
                (services, stacks)
            }
        };
        let own = services.iter().filter(|row| ids.contains(&row.id));
        let tokens = own.map(|row| (row.id, self.token_of_service(row))).collect();
        Ok(Rows {
            services,
            stacks,
            expose_maps,
            consume_maps,
            tokens,
            ..Rows::of(project.clone())
        })
    }

    /// Those of some rows that are there.
    fn live(&self, ids: impl IntoIterator<Item = ResourceId>) -> Result<Vec<Resource>> {
        let ids: BTreeSet<ResourceId> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = self.store.many(&ids.into_iter().collect::<Vec<_>>())?;
        rows.retain(|row| row.removed.is_none());
        Ok(rows)
    }
}
