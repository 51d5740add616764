//! Reading rows.

use std::sync::Arc;

use diesel::prelude::*;

use super::{ResourceRow, Selected, Slim, Within, failed, rows as resource};
use crate::model::{Error, Resource, ResourceId, Result, State};
use crate::store::dialect::{self, Conn, OneOf};
use crate::store::statement::Fragment;
use crate::store::{Scalar, Store, Tx, audit};

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
    /// A row by id, removed ones too. A few microseconds: may be called on an async thread.
    pub fn find(&self, id: ResourceId) -> Result<Option<Resource>> {
        Ok(self.shared(id)?.map(Arc::unwrap_or_clone))
    }

    /// The same for who only reads it.
    pub fn shared(&self, id: ResourceId) -> Result<Option<Arc<Resource>>> {
        self.cache.find(id, || {
            let mut conn = self.reader()?;
            match find_on(&mut conn, id)? {
                None => audit::find(&mut conn, &self.unpacker, id),
                found => Ok(found),
            }
        })
    }

    /// The live rows of this root that live in `parent`, by id.
    pub fn children(&self, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
        children_on(&mut *self.reader()?, parent, root)
    }

    /// The newest rows of this root that an account has, or had, at most so many; those in `parent` alone, if one is given.
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

    /// All live rows of this root, of one account or of all, by id.
    pub fn all(&self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
        all_on(&mut *self.reader()?, root, account)
    }

    /// Rows by ids, removed ones too, in order of id.
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

    /// `(parent, id)` of the live rows of this root that live in one of `parents`.
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

    /// `(host, id, kind, state, notes)` of the live rows of this root on any of these hosts.
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

    /// Which of these rows are live and of this root. Nothing else is read of them.
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

    /// Whether one of these rows is in this state. Nothing else is read of them.
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

    /// State and health of the live rows of this root that live in `parent`. Nothing else is read of them.
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

    /// The live services of an account that select something of this kind. However many others there are, they are not read.
    pub fn selecting(&self, account: ResourceId, what: Selected) -> Result<Vec<Resource>> {
        let rows: Vec<ResourceRow> = selecting(account, what)
            .select(ResourceRow::as_select())
            .load(&mut *self.reader()?)
            .map_err(failed("looking for selectors"))?;
        Ok(rows.into_iter().map(Resource::from).collect())
    }

    /// All live rows of this root that have a health.
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

    /// A live row of this root by its uuid.
    pub fn find_by_uuid(&self, uuid: &str) -> Result<Option<Resource>> {
        find_by_uuid_on(&mut *self.reader()?, uuid)
    }
}

/// See [`Store::selecting`].
fn selecting(account: ResourceId, what: Selected) -> resource::Boxed<'static> {
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

impl Tx<'_> {
    /// A row by id, removed ones too, as this transaction sees it.
    pub fn find(&mut self, id: ResourceId) -> Result<Option<Resource>> {
        match find_on(self.conn, id)? {
            None => audit::find(self.conn, &self.packer.reader, id),
            found => Ok(found),
        }
    }

    /// See [`Store::find_by_uuid`].
    pub fn find_by_uuid(&mut self, uuid: &str) -> Result<Option<Resource>> {
        find_by_uuid_on(self.conn, uuid)
    }

    /// A row that must be there.
    pub fn get(&mut self, id: ResourceId) -> Result<Resource> {
        self.find(id)?.ok_or_else(Error::not_found)
    }

    /// See [`Store::children`].
    pub fn children(&mut self, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
        children_on(self.conn, parent, root)
    }

    /// See [`Store::all`].
    pub fn all(&mut self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
        all_on(self.conn, root, account)
    }

    /// See [`Store::many`].
    pub fn many(&mut self, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        many_on(self.conn, ids)
    }

    /// The ids of live rows of this root with this name, regardless of case, in an account or in a parent.
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
        let ids: Vec<i64> = query.load(self.conn).map_err(failed("looking for a name"))?;
        Ok(ids.into_iter().map(ResourceId).collect())
    }

    /// The live rows of this root in an account with exactly this name. Unlike [`Tx::named`] it is one step in an index.
    pub fn called(&mut self, root: &str, account: ResourceId, name: &str) -> Result<Vec<Resource>> {
        let rows: Vec<ResourceRow> = resource::whole()
            .filter(resource::root.eq(root))
            .filter(resource::account_id.eq(account.0))
            .filter(resource::name.eq(name))
            .filter(resource::removed_ms.is_null())
            .order(resource::id)
            .select(ResourceRow::as_select())
            .load(self.conn)
            .map_err(failed("reading resources by name"))?;
        Ok(rows.into_iter().map(Resource::from).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::store::{dialect::Db, migrate::migrate};

    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }

    #[test]
    fn services_that_select_are_found_without_reading_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = dialect::connect(&folder.path().join("drover.db"), 1024).unwrap();
        migrate(&mut conn).unwrap();
        for (what, index) in [
            (Selected::Services, "resource_selects_services"),
            (Selected::Containers, "resource_selects_containers"),
        ] {
            let query = selecting(ResourceId(5), what).select(ResourceRow::as_select());
            let text = diesel::debug_query::<Db, _>(&query).to_string();
            let (text, _) = text.split_once(" -- binds").unwrap();
            let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).bind::<diesel::sql_types::BigInt, _>(5);
            let plan: Vec<String> = plan
                .load(&mut conn)
                .unwrap()
                .into_iter()
                .map(|line: Line| line.detail)
                .collect();
            let expected = format!("SEARCH resource USING INDEX {index} (root=? AND account_id=?)");
            assert_eq!(plan.first(), Some(&expected), "{plan:?}");
            assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
