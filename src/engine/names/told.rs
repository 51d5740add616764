//! What a name server was told, as far as it takes to find out what it has to be told next: which entries there are, and a
//! digest of each. A table of ten thousand containers is neither kept nor made again for each commit.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};

use serde::Serialize;

use crate::model::network_table::{Delta, Table};
use crate::model::{Error, Resource, ResourceId, Result};

use super::rows::Rows;
use super::services;
use super::table::{Place, table, targets_of};

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The table but for containers and services.
    pub(super) rest: Table,
    /// The uuid and the digest of each container.
    pub(super) containers: BTreeMap<ResourceId, (String, u64)>,
    pub(super) services: BTreeMap<ResourceId, ToldService>,
    /// Whose entries say something of this row: of the container that they link to or whose network they share, of the
    /// service that they link to.
    pub(super) rests_on: BTreeMap<ResourceId, BTreeSet<ResourceId>>,
    /// Some link was made by a name: services that come and go may be meant by it.
    pub(super) has_named_links: bool,
}

/// What was told of a service.
#[derive(Debug, Default)]
pub(super) struct ToldService {
    /// Its name and its stack, which are told of others, too.
    pub(super) called: (String, Option<ResourceId>),
    /// The digests of its entries, its own and those of its sidekicks, by key.
    pub(super) entries: BTreeMap<String, u64>,
}

impl Told {
    /// All of a project: the table, and what is kept of it.
    pub(super) fn all(rows: &Rows, place: &Place) -> Result<(Self, Table)> {
        let table = table(rows, place)?;
        let mut told = Self::default();
        for row in &rows.instances {
            if let Some(entry) = table.containers.get(&row.uuid) {
                told.containers.insert(row.id, (row.uuid.clone(), digest(entry)?));
                told.note(row.id, targets_of(row)?);
            }
        }
        for row in &rows.services {
            let prefix = format!("{}/", row.uuid);
            let entries = table.services.range(prefix.clone()..);
            let entries = entries.take_while(|(key, _)| key.starts_with(&prefix));
            let entries = entries.map(|(key, entry)| Ok((key.clone(), digest(entry)?)));
            let entries = entries.collect::<Result<_>>()?;
            told.services.insert(row.id, ToldService::of(row, entries));
        }
        told.note_links(rows)?;
        told.rest = Table {
            containers: BTreeMap::new(),
            services: BTreeMap::new(),
            ..table.clone()
        };
        Ok((told, table))
    }

    /// What makes a table of the one that was told. Its number is left to who sends it.
    pub(super) fn delta_to(&self, next: &Self, table: &Table) -> Delta {
        let mut delta = self.rest.delta_to(&next.rest);
        let old: BTreeMap<&str, u64> = self
            .containers
            .values()
            .map(|(uuid, digest)| (uuid.as_str(), *digest))
            .collect();
        let new: BTreeMap<&str, u64> = next
            .containers
            .values()
            .map(|(uuid, digest)| (uuid.as_str(), *digest))
            .collect();
        delta.containers = differences(&old, &new, &table.containers);
        delta.services = differences(&self.of_services(), &next.of_services(), &table.services);
        delta
    }

    fn of_services(&self) -> BTreeMap<&str, u64> {
        let entries = self.services.values().flat_map(|service| &service.entries);
        entries.map(|(key, digest)| (key.as_str(), *digest)).collect()
    }

    /// As the table of this number.
    pub(super) fn numbered(mut self, number: u64) -> Self {
        self.rest.number = number;
        self
    }

    /// A row's entry says something of these.
    pub(super) fn note(&mut self, id: ResourceId, targets: impl IntoIterator<Item = ResourceId>) {
        for target in targets {
            self.rests_on.entry(target).or_default().insert(id);
        }
    }

    /// Services' entries say something of those that they are linked to.
    pub(super) fn note_links(&mut self, rows: &Rows) -> Result<()> {
        for map in &rows.consume_maps {
            let Some(consumer) = map.parent_id else { continue };
            match services::linked_by_id(map)? {
                Some(target) => self.note(consumer, [target]),
                None => self.has_named_links = true,
            }
        }
        Ok(())
    }

    /// Those whose entries say something of this row.
    pub(super) fn resting_on(&self, id: ResourceId) -> impl Iterator<Item = ResourceId> {
        self.rests_on.get(&id).into_iter().flatten().copied()
    }
}

impl ToldService {
    pub(super) fn of(row: &Resource, entries: BTreeMap<String, u64>) -> Self {
        Self {
            called: called(row),
            entries,
        }
    }
}

/// The name and the stack of a service.
pub(super) fn called(row: &Resource) -> (String, Option<ResourceId>) {
    (row.name.clone(), row.parent_id)
}

/// What tells an entry from one that is different.
pub(super) fn digest(entry: &impl Serialize) -> Result<u64> {
    let text = serde_json::to_vec(entry).map_err(|e| Error::internal("writing an entry of a table", e))?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&text);
    Ok(hasher.finish())
}

fn differences<T: Clone>(
    old: &BTreeMap<&str, u64>,
    new: &BTreeMap<&str, u64>,
    entries: &BTreeMap<String, T>,
) -> BTreeMap<String, Option<T>> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let other = new.iter().filter(|(key, digest)| old.get(*key) != Some(*digest));
    let other = other.filter_map(|(key, _)| Some(((*key).to_owned(), Some(entries.get(*key)?.clone()))));
    gone.map(|key| ((*key).to_owned(), None)).chain(other).collect()
}
