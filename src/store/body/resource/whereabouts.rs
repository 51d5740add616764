//! Where rows are, and which there are: of thousands of them no more is read than counting takes.

use diesel::prelude::*;

use super::super::one_of::OneOf;
use super::super::{Store, Whereabouts};
use super::{ResourceRow, failed, rows as resource};
use crate::model::{Resource, ResourceId, Result, State};

impl Store {
    pub fn all_on_hosts(&self, root: &str) -> Result<Vec<(ResourceId, ResourceId, State)>> {
        let rows: Vec<(i64, Option<i64>, String)> = resource::whole()
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .filter(resource::host_id.is_not_null())
            .select((resource::id, resource::host_id, resource::now::state))
            .load(&mut *self.reader()?)
            .map_err(failed("reading what is on hosts"))?;
        let found = rows.into_iter().filter_map(|(id, host, state)| {
            let host = ResourceId(host?);
            Some((ResourceId(id), host, State::of(&state)))
        });
        Ok(found.collect())
    }

    pub fn rows_on(&self, host: ResourceId, root: &str) -> Result<Vec<Resource>> {
        let rows: Vec<ResourceRow> = resource::whole()
            .filter(resource::host_id.eq(host.0))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select(ResourceRow::as_select())
            .load(&mut *self.reader()?)
            .map_err(failed("reading what is on a host"))?;
        let mut rows: Vec<Resource> = rows.into_iter().map(Resource::from).collect();
        // Sorted here: asked to sort by id, SQLite walks the index of the whole root instead.
        rows.sort_unstable_by_key(|row| row.id);
        Ok(rows)
    }

    pub fn whereabouts(&self, ids: &[ResourceId]) -> Result<Vec<Whereabouts>> {
        let (mut found, mut others) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            match self.cache.peek(*id) {
                Some(row) => found.push(Whereabouts::from(&*row)),
                None => others.push(*id),
            }
        }
        if others.is_empty() {
            return Ok(found);
        }
        type Columns = (i64, String, Option<i64>, String, Option<i64>);
        let read: Vec<Columns> = resource::whole()
            .filter(OneOf::new(resource::id, &others))
            .select((
                resource::id,
                resource::root,
                resource::host_id,
                resource::now::state,
                resource::removed_ms,
            ))
            .load(&mut *self.reader()?)
            .map_err(failed("reading where rows are"))?;
        found.extend(read.into_iter().map(|(id, root, host, state, removed)| Whereabouts {
            id: ResourceId(id),
            root,
            host_id: host.map(ResourceId),
            state: State::of(&state),
            is_removed: removed.is_some(),
        }));
        Ok(found)
    }

    pub fn ids_of(&self, root: &str, account: Option<ResourceId>) -> Result<Vec<ResourceId>> {
        let mut query = resource::all()
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .order(resource::id)
            .into_boxed();
        if let Some(account) = account {
            query = query.filter(resource::account_id.eq(account.0));
        }
        let ids: Vec<i64> = query
            .load(&mut *self.reader()?)
            .map_err(failed("reading which rows there are"))?;
        Ok(ids.into_iter().map(ResourceId).collect())
    }
}
