//! Reading rows.

use std::sync::Arc;

use diesel::prelude::*;

use super::super::dialect::{self, Conn};
use super::super::one_of::OneOf;
use super::super::statement::Fragment;
use super::super::{Scalar, Store, Tx, audit};
use super::super::{Selected, Slim, Within};
use super::{ResourceRow, failed, rows as resource};
use crate::model::{Error, Resource, ResourceId, Result, State};

fn find_on(conn: &mut Conn, id: ResourceId) -> Result<Option<Resource>> {
    resource::whole()
        .filter(resource::id.eq(id.0))
        .select(ResourceRow::as_select())
        // Not `first`, whose limit would be one more thing to bind and to plan for.
        .get_result(conn)
        .optional()
        .map(|row| row.map(Resource::from))
        .map_err(failed("reading a resource"))
}

fn children_on(conn: &mut Conn, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
    let rows: Vec<ResourceRow> = resource::whole()
        .filter(resource::parent_id.eq(parent.0))
        .filter(resource::root.eq(root))
        .filter(resource::removed_ms.is_null())
        .order(resource::id)
        .select(ResourceRow::as_select())
        .load(conn)
        .map_err(failed("reading children"))?;
    Ok(rows.into_iter().map(Resource::from).collect())
}

fn all_on(conn: &mut Conn, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
    let mut query = resource::whole()
        .filter(resource::root.eq(root))
        .filter(resource::removed_ms.is_null())
        .order(resource::id)
        .select(ResourceRow::as_select())
        .into_boxed();
    if let Some(account) = account {
        query = query.filter(resource::account_id.eq(account.0));
    }
    let rows: Vec<ResourceRow> = query.load(conn).map_err(failed("reading resources"))?;
    Ok(rows.into_iter().map(Resource::from).collect())
}

pub(in crate::store) fn many_on(conn: &mut Conn, ids: &[ResourceId]) -> Result<Vec<Resource>> {
    match ids {
        [] => Ok(Vec::new()),
        [only] => Ok(find_on(conn, *only)?.into_iter().collect()),
        several => {
            let rows: Vec<ResourceRow> = resource::whole()
                .filter(OneOf::new(resource::id, several))
                .order(resource::id)
                .select(ResourceRow::as_select())
                .load(conn)
                .map_err(failed("reading resources by id"))?;
            Ok(rows.into_iter().map(Resource::from).collect())
        }
    }
}

impl Store {
    pub fn find(&self, id: ResourceId) -> Result<Option<Resource>> {
        Ok(self.shared(id)?.map(Arc::unwrap_or_clone))
    }

    pub fn shared(&self, id: ResourceId) -> Result<Option<Arc<Resource>>> {
        self.cache.find(id, || {
            let mut conn = self.reader()?;
            match find_on(&mut conn, id)? {
                None => audit::find(&mut conn, &self.unpacker, id),
                found => Ok(found),
            }
        })
    }

    pub fn children(&self, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
        children_on(&mut *self.reader()?, parent, root)
    }

    pub fn history(
        &self,
        account: ResourceId,
        parent: Option<ResourceId>,
        root: &str,
        most: u32,
    ) -> Result<Vec<Resource>> {
        let mut query = resource::whole()
            .filter(resource::account_id.eq(account.0))
            .filter(resource::root.eq(root))
            .order(resource::id.desc())
            .limit(i64::from(most))
            .select(ResourceRow::as_select())
            .into_boxed();
        if let Some(parent) = parent {
            query = query.filter(resource::parent_id.eq(parent.0));
        }
        let rows: Vec<ResourceRow> = query
            .load(&mut *self.reader()?)
            .map_err(failed("reading what there was"))?;
        Ok(rows.into_iter().map(Resource::from).collect())
    }

    pub fn all(&self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
        all_on(&mut *self.reader()?, root, account)
    }

    pub fn many(&self, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        for id in ids {
            match self.cache.peek(*id) {
                Some(row) => kept.push(row),
                None => others.push(*id),
            }
        }
        let mut rows = Vec::new();
        if !others.is_empty() {
            let mut conn = self.reader()?;
            let read = many_on(&mut conn, &others)?;
            rows = audit::add_found(&mut conn, &self.unpacker, &others, read)?;
        }
        if !kept.is_empty() {
            rows.extend(kept.into_iter().map(Arc::unwrap_or_clone));
            rows.sort_unstable_by_key(|row| row.id);
            rows.dedup_by_key(|row| row.id);
        }
        Ok(rows)
    }

    pub fn child_ids(&self, parents: &[ResourceId], root: &str) -> Result<Vec<(ResourceId, ResourceId)>> {
        if parents.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reader()?;
        // Sorted here: asked to sort by id, SQLite walks the index of the whole root instead.
        let mut pairs: Vec<(Option<i64>, i64)> = resource::all()
            .filter(OneOf::new(resource::parent_id, parents))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select((resource::parent_id, resource::id))
            .load(&mut conn)
            .map_err(failed("reading ids of children"))?;
        pairs.sort_unstable_by_key(|(_, id)| *id);
        Ok(pairs
            .into_iter()
            .filter_map(|(p, i)| Some((ResourceId(p?), ResourceId(i))))
            .collect())
    }

    pub fn on_hosts(&self, hosts: &[ResourceId], root: &str) -> Result<Vec<Slim>> {
        type Columns = (i64, String, Option<i64>, String, String);
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reader()?;
        let mut rows: Vec<Columns> = resource::whole()
            .filter(OneOf::new(resource::host_id, hosts))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select((
                resource::id,
                resource::kind,
                resource::host_id,
                resource::now::state,
                resource::internal,
            ))
            .load(&mut conn)
            .map_err(failed("reading what runs on hosts"))?;
        rows.sort_unstable_by_key(|(id, ..)| *id);
        Ok(rows
            .into_iter()
            .map(|(id, kind, host, state, internal): (_, _, _, String, _)| Slim {
                id: ResourceId(id),
                kind,
                host_id: host.map(ResourceId),
                state: State::of(&state),
                internal,
            })
            .collect())
    }

    pub fn only_of(&self, ids: &[ResourceId], root: &str) -> Result<Vec<ResourceId>> {
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for id in ids {
            match self.cache.peek(*id) {
                Some(row) if row.root == root && row.removed.is_none() => found.push(*id),
                Some(_) => {}
                None => others.push(*id),
            }
        }
        if others.is_empty() {
            return Ok(found);
        }
        let read: Vec<i64> = resource::whole()
            .filter(OneOf::new(resource::id, &others))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select(resource::id)
            .load(&mut *self.reader()?)
            .map_err(failed("reading what rows are of"))?;
        found.extend(read.into_iter().map(ResourceId));
        Ok(found)
    }

    pub fn any_is(&self, ids: &[ResourceId], state: State) -> Result<bool> {
        let found: Vec<i64> = resource::whole()
            .filter(OneOf::new(resource::id, ids))
            .filter(resource::now::state.eq(state.as_str()))
            .select(resource::id)
            .limit(1)
            .load(&mut *self.reader()?)
            .map_err(failed("looking for a state"))?;
        Ok(!found.is_empty())
    }

    pub fn states_of_children(&self, parent: ResourceId, root: &str) -> Result<Vec<(State, String)>> {
        let found: Vec<(String, String)> = resource::whole()
            .filter(resource::parent_id.eq(parent.0))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select((resource::now::state, resource::now::health))
            .load(&mut *self.reader()?)
            .map_err(failed("reading the states of children"))?;
        let states = found.into_iter().map(|(state, health)| (State::of(&state), health));
        Ok(states.collect())
    }

    pub fn selecting(&self, account: ResourceId, what: Selected) -> Result<Vec<Resource>> {
        let rows: Vec<ResourceRow> = selecting(account, what)
            .select(ResourceRow::as_select())
            .load(&mut *self.reader()?)
            .map_err(failed("looking for selectors"))?;
        Ok(rows.into_iter().map(Resource::from).collect())
    }

    pub fn with_health(&self, root: &str) -> Result<Vec<Resource>> {
        let mut conn = self.reader()?;
        let rows: Vec<ResourceRow> = resource::whole()
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .filter(resource::now::health.ne(""))
            .order(resource::id)
            .select(ResourceRow::as_select())
            .load(&mut conn)
            .map_err(failed("reading resources with health"))?;
        Ok(rows.into_iter().map(Resource::from).collect())
    }

    pub fn find_by_uuid(&self, uuid: &str) -> Result<Option<Resource>> {
        find_by_uuid_on(&mut *self.reader()?, uuid)
    }
}

/// See [`Store::selecting`].
pub(in crate::store) fn selecting(account: ResourceId, what: Selected) -> resource::Boxed<'static> {
    let condition = match what {
        Selected::Services => dialect::SELECTS_SERVICES,
        Selected::Containers => dialect::SELECTS_CONTAINERS,
    };
    resource::whole()
        .filter(Fragment::new(condition, Vec::new()).common())
        .filter(resource::account_id.eq(account.0))
        .order(resource::id)
        .into_boxed()
}

fn find_by_uuid_on(conn: &mut Conn, uuid: &str) -> Result<Option<Resource>> {
    resource::whole()
        .filter(resource::uuid.eq(uuid))
        .select(ResourceRow::as_select())
        .first(conn)
        .optional()
        .map(|row| row.map(Resource::from))
        .map_err(failed("reading a resource by uuid"))
}

impl Tx {
    pub fn find(&mut self, id: ResourceId) -> Result<Option<Resource>> {
        match find_on(self.line.conn(), id)? {
            None => audit::find(self.line.conn(), &self.packer.reader, id),
            found => Ok(found),
        }
    }

    pub fn find_by_uuid(&mut self, uuid: &str) -> Result<Option<Resource>> {
        find_by_uuid_on(self.line.conn(), uuid)
    }

    pub fn get(&mut self, id: ResourceId) -> Result<Resource> {
        self.find(id)?.ok_or_else(Error::not_found)
    }

    pub fn children(&mut self, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
        children_on(self.line.conn(), parent, root)
    }

    pub fn all(&mut self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
        all_on(self.line.conn(), root, account)
    }

    pub fn many(&mut self, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        many_on(self.line.conn(), ids)
    }

    pub fn named(&mut self, root: &str, within: Within, name: &str) -> Result<Vec<ResourceId>> {
        let mut query = resource::all()
            .filter(resource::root.eq(root.to_owned()))
            .filter(resource::removed_ms.is_null())
            .filter(Fragment::new(
                dialect::is_text_in_any_case("name"),
                vec![Scalar::Text(name.to_owned())],
            ))
            .select(resource::id)
            .into_boxed();
        query = match within {
            Within::Account(id) => query.filter(resource::account_id.eq(id.0)),
            Within::Parent(id) => query.filter(resource::parent_id.eq(id.0)),
        };
        let ids: Vec<i64> = query.load(self.line.conn()).map_err(failed("looking for a name"))?;
        Ok(ids.into_iter().map(ResourceId).collect())
    }

    pub fn called(&mut self, root: &str, account: ResourceId, name: &str) -> Result<Vec<Resource>> {
        let rows: Vec<ResourceRow> = resource::whole()
            .filter(resource::root.eq(root))
            .filter(resource::account_id.eq(account.0))
            .filter(resource::name.eq(name))
            .filter(resource::removed_ms.is_null())
            .order(resource::id)
            .select(ResourceRow::as_select())
            .load(self.line.conn())
            .map_err(failed("reading resources by name"))?;
        Ok(rows.into_iter().map(Resource::from).collect())
    }
}
