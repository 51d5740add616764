//! Reading and changing resource rows and the references between them.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::statement::{OneOf, Statement, Value};
use super::tables::{ResourceRow, change_event, resource, resource_ref};
use super::{Store, Tx, Wake};
use crate::model::{Error, Fields, Resource, ResourceId, Result, Timestamp};

/// A row to be made.
#[derive(Debug, Clone, Default)]
pub struct NewResource {
    /// Given only to seeds.
    pub id: Option<ResourceId>,
    /// The root of the type.
    pub root: String,
    /// The type.
    pub kind: String,
    /// The owning account.
    pub account_id: Option<ResourceId>,
    /// What it lives in.
    pub parent_id: Option<ResourceId>,
    /// Where it runs.
    pub host_id: Option<ResourceId>,
    /// Made if none.
    pub uuid: Option<String>,
    /// Its name, or empty.
    pub name: String,
    /// Its first state, or empty.
    pub state: String,
    /// Its first health, or empty.
    pub health: String,
    /// Its own fields.
    pub fields: Fields,
    /// The engine's notes, a JSON object.
    pub internal: String,
    /// References to other rows that are not columns.
    pub refs: Vec<(String, ResourceId)>,
}

/// What is to be changed of a row; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A new state. Only to where the machine leads.
    pub state: Option<String>,
    /// A new `healthState`.
    pub health: Option<String>,
    /// A new kind; of accounts only, which are all of one type.
    pub kind: Option<String>,
    /// A new name.
    pub name: Option<String>,
    /// A new message; empty for none.
    pub message: Option<String>,
    /// A new progress.
    pub progress: Option<Option<i32>>,
    /// A new host.
    pub host_id: Option<Option<ResourceId>>,
    /// A new owner.
    pub account_id: Option<Option<ResourceId>>,
    /// When it was removed.
    pub removed: Option<Timestamp>,
    /// When it may be swept.
    pub purge_after: Option<Timestamp>,
    /// All own fields, new.
    pub fields: Option<Fields>,
    /// Single own fields, new; the others stay as the row has them at the time of the write.
    pub patch: Fields,
    /// All notes, new.
    pub internal: Option<String>,
}

/// A row without its own fields: what counting and scheduling need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slim {
    /// The row's number.
    pub id: ResourceId,
    /// Its type.
    pub kind: String,
    /// Its host.
    pub host_id: Option<ResourceId>,
    /// Its state.
    pub state: String,
    /// The engine's notes.
    pub internal: String,
}

fn failed(what: &'static str) -> impl Fn(diesel::result::Error) -> Error {
    move |source| Error::internal(what, source)
}

fn find_on(conn: &mut SqliteConnection, id: ResourceId) -> Result<Option<Resource>> {
    resource::table
        .find(id.0)
        .select(ResourceRow::as_select())
        // Not `first`, whose limit would be one more thing to bind and to plan for.
        .get_result(conn)
        .optional()
        .map(|row| row.map(Resource::from))
        .map_err(failed("reading a resource"))
}

fn children_on(conn: &mut SqliteConnection, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
    let rows: Vec<ResourceRow> = resource::table
        .filter(resource::parent_id.eq(parent.0))
        .filter(resource::root.eq(root))
        .filter(resource::removed_ms.is_null())
        .order(resource::id)
        .select(ResourceRow::as_select())
        .load(conn)
        .map_err(failed("reading children"))?;
    Ok(rows.into_iter().map(Resource::from).collect())
}

fn all_on(conn: &mut SqliteConnection, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
    let mut query = resource::table
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

fn referrers_on(conn: &mut SqliteConnection, to: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
    let ids: Vec<i64> = resource_ref::table
        .filter(resource_ref::to_id.eq(to.0))
        .filter(resource_ref::field.eq(field))
        .order(resource_ref::from_id)
        .select(resource_ref::from_id)
        .load(conn)
        .map_err(failed("reading references"))?;
    Ok(ids.into_iter().map(ResourceId).collect())
}

fn referenced_on(conn: &mut SqliteConnection, from: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
    let ids: Vec<i64> = resource_ref::table
        .filter(resource_ref::from_id.eq(from.0))
        .filter(resource_ref::field.eq(field))
        .order(resource_ref::to_id)
        .select(resource_ref::to_id)
        .load(conn)
        .map_err(failed("reading references"))?;
    Ok(ids.into_iter().map(ResourceId).collect())
}

fn many_on(conn: &mut SqliteConnection, ids: &[ResourceId]) -> Result<Vec<Resource>> {
    match ids {
        [] => Ok(Vec::new()),
        [only] => Ok(find_on(conn, *only)?.into_iter().collect()),
        several => {
            let rows: Vec<ResourceRow> = resource::table
                .filter(OneOf::new("id", several))
                .order(resource::id)
                .select(ResourceRow::as_select())
                .load(conn)
                .map_err(failed("reading resources by id"))?;
            Ok(rows.into_iter().map(Resource::from).collect())
        }
    }
}

/// `UPDATE resource SET …` for what changes, and the version.
fn assignments<'a>(changes: &'a Changes, packed: Option<&'a (String, String)>) -> (String, Vec<Value<'a>>) {
    let mut text = "UPDATE resource SET version = version + 1".to_owned();
    let mut values = Vec::with_capacity(12);
    let texts = [
        ("state", changes.state.as_deref()),
        ("health", changes.health.as_deref()),
        ("kind", changes.kind.as_deref()),
        ("name", changes.name.as_deref()),
        ("message", changes.message.as_deref()),
        ("fields", packed.map(|p| p.0.as_str())),
        ("cuts", packed.map(|p| p.1.as_str())),
        ("internal", changes.internal.as_deref()),
    ];
    let numbers = [
        ("progress", changes.progress.map(|p| p.map(i64::from))),
        ("host_id", changes.host_id.map(|h| h.map(|id| id.0))),
        ("account_id", changes.account_id.map(|a| a.map(|id| id.0))),
        ("removed_ms", changes.removed.map(|t| Some(t.floor_to_seconds().0))),
        ("purge_after_ms", changes.purge_after.map(|t| Some(t.0))),
    ];
    let texts = texts.into_iter().filter_map(|(column, value)| Some((column, Some(Value::Text(value?)))));
    let numbers = numbers.into_iter().filter_map(|(column, value)| Some((column, value?.map(Value::Int))));
    for (column, value) in texts.chain(numbers) {
        text.push_str(", ");
        text.push_str(column);
        text.push_str(if value.is_some() { " = ?" } else { " = NULL" });
        values.extend(value);
    }
    (text, values)
}

impl Store {
    /// A row by id, removed ones too. A few microseconds: may be called on an async thread.
    pub fn find(&self, id: ResourceId) -> Result<Option<Resource>> {
        find_on(&mut *self.reader()?, id)
    }

    /// The live rows of this root that live in `parent`, by id.
    pub fn children(&self, parent: ResourceId, root: &str) -> Result<Vec<Resource>> {
        children_on(&mut *self.reader()?, parent, root)
    }

    /// All live rows of this root, of one account or of all, by id.
    pub fn all(&self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>> {
        all_on(&mut *self.reader()?, root, account)
    }

    /// Rows by ids, removed ones too, in order of id.
    pub fn many(&self, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        many_on(&mut *self.reader()?, ids)
    }

    /// The ids of rows whose `field` refers to `to`.
    pub fn referrers(&self, to: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
        referrers_on(&mut *self.reader()?, to, field)
    }

    /// All references `(from, to)` by this field that start (or end) at one of `ids`: one query for a page.
    pub fn references(&self, field: &str, ids: &[ResourceId], direction: Direction) -> Result<Vec<(ResourceId, ResourceId)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reader()?;
        let known = match direction {
            Direction::From => "from_id",
            Direction::To => "to_id",
        };
        let pairs: Vec<(i64, i64)> = resource_ref::table
            .filter(resource_ref::field.eq(field))
            .filter(OneOf::new(known, ids))
            .select((resource_ref::from_id, resource_ref::to_id))
            .order((resource_ref::from_id, resource_ref::to_id))
            .load(&mut conn)
            .map_err(failed("reading references"))?;
        Ok(pairs.into_iter().map(|(a, b)| (ResourceId(a), ResourceId(b))).collect())
    }

    /// `(parent, id)` of the live rows of this root that live in one of `parents`.
    pub fn child_ids(&self, parents: &[ResourceId], root: &str) -> Result<Vec<(ResourceId, ResourceId)>> {
        if parents.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reader()?;
        // Sorted here: asked to sort by id, SQLite walks the index of the whole root instead.
        let mut pairs: Vec<(Option<i64>, i64)> = resource::table
            .filter(OneOf::new("parent_id", parents))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select((resource::parent_id, resource::id))
            .load(&mut conn)
            .map_err(failed("reading ids of children"))?;
        pairs.sort_unstable_by_key(|(_, id)| *id);
        Ok(pairs.into_iter().filter_map(|(p, i)| Some((ResourceId(p?), ResourceId(i)))).collect())
    }

    /// `(host, id, kind, state, notes)` of the live rows of this root on any of these hosts.
    pub fn on_hosts(&self, hosts: &[ResourceId], root: &str) -> Result<Vec<Slim>> {
        type Columns = (i64, String, Option<i64>, String, String);
        if hosts.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reader()?;
        let mut rows: Vec<Columns> = resource::table
            .filter(OneOf::new("host_id", hosts))
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .select((resource::id, resource::kind, resource::host_id, resource::state, resource::internal))
            .load(&mut conn)
            .map_err(failed("reading what runs on hosts"))?;
        rows.sort_unstable_by_key(|(id, ..)| *id);
        Ok(rows
            .into_iter()
            .map(|(id, kind, host, state, internal)| Slim { id: ResourceId(id), kind, host_id: host.map(ResourceId), state, internal })
            .collect())
    }

    /// All live rows of this root that have a health.
    pub fn with_health(&self, root: &str) -> Result<Vec<Resource>> {
        let mut conn = self.reader()?;
        let rows: Vec<ResourceRow> = resource::table
            .filter(resource::root.eq(root))
            .filter(resource::removed_ms.is_null())
            .filter(resource::health.ne(""))
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

fn find_by_uuid_on(conn: &mut SqliteConnection, uuid: &str) -> Result<Option<Resource>> {
    resource::table
        .filter(resource::uuid.eq(uuid))
        .select(ResourceRow::as_select())
        .first(conn)
        .optional()
        .map(|row| row.map(Resource::from))
        .map_err(failed("reading a resource by uuid"))
}

/// Which end of a reference is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The referring end.
    From,
    /// The end referred to.
    To,
}

impl Tx<'_> {
    /// A row by id, removed ones too, as this transaction sees it.
    pub fn find(&mut self, id: ResourceId) -> Result<Option<Resource>> {
        find_on(self.conn, id)
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

    /// See [`Store::referrers`].
    pub fn referrers(&mut self, to: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
        referrers_on(self.conn, to, field)
    }

    /// The rows that `from` refers to by `field`.
    pub fn referenced(&mut self, from: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
        referenced_on(self.conn, from, field)
    }

    /// The ids of live rows of this root with this name, regardless of case, in an account or in a parent.
    pub fn named(&mut self, root: &str, within: Within, name: &str) -> Result<Vec<ResourceId>> {
        let mut query = resource::table
            .filter(resource::root.eq(root.to_owned()))
            .filter(resource::removed_ms.is_null())
            .filter(
                diesel::dsl::sql::<diesel::sql_types::Bool>("name = ")
                    .bind::<diesel::sql_types::Text, _>(name.to_owned())
                    .sql(" COLLATE NOCASE"),
            )
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
        let rows: Vec<ResourceRow> = resource::table
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

    /// Makes a row with its references and announces it.
    pub fn insert(&mut self, new: NewResource) -> Result<Resource> {
        let row = self.insert_unannounced(new)?;
        self.announce(row.id, row.account_id)?;
        Ok(row)
    }

    /// Makes a row that nobody waits for.
    pub fn insert_unannounced(&mut self, new: NewResource) -> Result<Resource> {
        let (fields, cuts) = self.layout.pack(&new.root, &new.kind, &new.fields)?;
        let now = self.now();
        let uuid = new.uuid.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let internal = if new.internal.is_empty() { "{}".to_owned() } else { new.internal };
        let id: i64 = diesel::insert_into(resource::table)
            .values((
                new.id.map(|i| resource::id.eq(i.0)),
                resource::root.eq(&new.root),
                resource::kind.eq(&new.kind),
                resource::account_id.eq(new.account_id.map(|i| i.0)),
                resource::parent_id.eq(new.parent_id.map(|i| i.0)),
                resource::host_id.eq(new.host_id.map(|i| i.0)),
                resource::uuid.eq(&uuid),
                resource::name.eq(&new.name),
                resource::state.eq(&new.state),
                resource::health.eq(&new.health),
                resource::message.eq(""),
                resource::version.eq(1),
                resource::created_ms.eq(now.floor_to_seconds().0),
                resource::fields.eq(&fields),
                resource::cuts.eq(&cuts),
                resource::internal.eq(&internal),
            ))
            .returning(resource::id)
            .get_result(self.conn)
            .map_err(|e| match e {
                diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _) => {
                    Error::invalid("NotUnique", "uuid")
                }
                other => Error::internal("inserting a resource", other),
            })?;
        for (field, to) in &new.refs {
            self.insert_ref(ResourceId(id), field, *to)?;
        }
        self.touch(&new.root);
        Ok(Resource {
            id: ResourceId(id),
            root: new.root,
            kind: new.kind,
            account_id: new.account_id,
            parent_id: new.parent_id,
            host_id: new.host_id,
            uuid,
            name: new.name,
            state: new.state,
            health: new.health,
            message: String::new(),
            progress: None,
            version: 1,
            created: now.floor_to_seconds(),
            removed: None,
            purge_after: None,
            fields,
            cuts,
            internal,
        })
    }

    /// Changes a row if it is still as it was read (same version), and announces it. A row that moved on is a conflict.
    pub fn update_if(&mut self, row: &Resource, changes: &Changes) -> Result<Resource> {
        let patched = match (&changes.fields, changes.patch.0.is_empty()) {
            (fields, true) => fields.clone(),
            (fields, false) => {
                let mut all = fields.clone().map_or_else(|| Fields::parse(&row.fields), Ok)?;
                all.0.extend(changes.patch.0.clone());
                Some(all)
            }
        };
        let packed = patched.as_ref().map(|f| self.layout.pack(&row.root, &row.kind, f)).transpose()?;
        let (mut text, mut values) = assignments(changes, packed.as_ref());
        text.push_str(" WHERE id = ? AND version = ?");
        values.extend([Value::Int(row.id.0), Value::Int(row.version)]);
        let changed = Statement::new(text, values).execute(self.conn).map_err(failed("changing a resource"))?;
        if changed == 0 {
            return Err(Error::conflict("the resource changed meanwhile"));
        }
        self.touch(&row.root);
        self.announce(row.id, changes.account_id.unwrap_or(row.account_id))?;
        let mut new = row.clone();
        new.version += 1;
        if let Some(state) = &changes.state {
            new.state.clone_from(state);
        }
        if let Some(health) = &changes.health {
            new.health.clone_from(health);
        }
        if let Some(kind) = &changes.kind {
            new.kind.clone_from(kind);
        }
        if let Some(name) = &changes.name {
            new.name.clone_from(name);
        }
        if let Some(message) = &changes.message {
            new.message.clone_from(message);
        }
        if let Some(progress) = changes.progress {
            new.progress = progress;
        }
        if let Some(host) = changes.host_id {
            new.host_id = host;
        }
        if let Some(account) = changes.account_id {
            new.account_id = account;
        }
        if let Some(removed) = changes.removed {
            new.removed = Some(removed.floor_to_seconds());
        }
        if let Some(purge) = changes.purge_after {
            new.purge_after = Some(purge);
        }
        if let Some((fields, cuts)) = packed {
            new.fields = fields;
            new.cuts = cuts;
        }
        if let Some(internal) = &changes.internal {
            new.internal.clone_from(internal);
        }
        Ok(new)
    }

    /// Notes a reference; one that is there already is fine.
    pub fn insert_ref(&mut self, from: ResourceId, field: &str, to: ResourceId) -> Result<()> {
        diesel::insert_or_ignore_into(resource_ref::table)
            .values((resource_ref::from_id.eq(from.0), resource_ref::field.eq(field), resource_ref::to_id.eq(to.0)))
            .execute(self.conn)
            .map_err(failed("noting a reference"))?;
        Ok(())
    }

    /// Forgets the references of a row by a field.
    pub fn delete_refs(&mut self, from: ResourceId, field: &str) -> Result<()> {
        diesel::delete(resource_ref::table.filter(resource_ref::from_id.eq(from.0)).filter(resource_ref::field.eq(field)))
            .execute(self.conn)
            .map_err(failed("forgetting references"))?;
        Ok(())
    }

    /// Says that a resource changed, to subscribers and to whoever owns it.
    pub fn announce(&mut self, id: ResourceId, account: Option<ResourceId>) -> Result<()> {
        let now = self.now();
        diesel::insert_into(change_event::table)
            .values((
                change_event::resource_id.eq(id.0),
                change_event::account_id.eq(account.map(|a| a.0)),
                change_event::created_ms.eq(now.0),
            ))
            .execute(self.conn)
            .map_err(failed("writing a change event"))?;
        self.has_announced = true;
        Ok(())
    }

    /// Wakes whoever looks after this resource.
    pub fn wake_owner(&mut self, id: ResourceId) {
        self.wake(Wake::Resource(id));
    }
}

/// Where a name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In an account.
    Account(ResourceId),
    /// In a stack or whatever the row lives in.
    Parent(ResourceId),
}
