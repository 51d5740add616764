//! Making, changing and deleting rows.
//!
//! The only file that can: the tables themselves are private to it. The others get [`rows`], whose queries can be loaded but
//! are no target of an insert, an update or a delete. (Text that is a statement of its own is looked for by a test.)

use diesel::prelude::*;

use super::super::dialect::Conn;
use super::super::statement::{Bound, Statement, fixed};
use super::super::{Changes, NewResource, Tx};
use super::failed;
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::store::cache::Written;
use crate::store::characters::{check_fields, check_text};
use crate::store::entries::AUDIT_LOG;
use crate::store::known::known;
use table::{resource, resource_state};

mod table {
    use crate::store::tables::process_instance;

    diesel::table! {
        resource (id) {
            id -> BigInt,
            root -> Text,
            kind -> Text,
            account_id -> Nullable<BigInt>,
            parent_id -> Nullable<BigInt>,
            host_id -> Nullable<BigInt>,
            uuid -> Text,
            name -> Text,
            old_state -> Text,
            old_health -> Text,
            old_message -> Text,
            old_version -> BigInt,
            created_ms -> BigInt,
            removed_ms -> Nullable<BigInt>,
            purge_after_ms -> Nullable<BigInt>,
            fields -> Text,
            cuts -> Text,
            internal -> Text,
        }
    }

    diesel::table! {
        resource_state (resource_id) {
            resource_id -> BigInt,
            state -> Text,
            health -> Text,
            message -> Text,
            progress -> Nullable<Integer>,
            version -> BigInt,
        }
    }

    diesel::allow_tables_to_appear_in_same_query!(resource, resource_state, process_instance);
}

/// The columns of `resource`, and its rows to be read.
pub(in crate::store) mod rows {
    use diesel::dsl::{Eq, InnerJoinOn, IntoBoxed, Select};
    use diesel::prelude::*;

    use super::super::super::dialect::Db;
    use super::table::resource::table;
    use super::table::resource_state;
    use crate::store::tables::process_instance;

    pub use super::table::resource::columns::*;

    /// The columns of `resource_state`.
    pub mod now {
        pub use super::super::table::resource_state::columns::*;
    }

    /// Rows with their states.
    pub type Whole = Select<InnerJoinOn<table, resource_state::table, Eq<now::resource_id, id>>, id>;

    /// A query whose conditions are added one by one.
    pub type Boxed<'a> = IntoBoxed<'a, Whole, Db>;

    /// All rows with their states; until a query selects more, it selects their numbers.
    pub fn whole() -> Whole {
        table
            .inner_join(resource_state::table.on(now::resource_id.eq(id)))
            .select(id)
    }

    /// The same without their states.
    pub fn all() -> Select<table, id> {
        table.select(id)
    }

    /// All processes with the rows they are done to.
    pub fn with_processes() -> InnerJoinOn<process_instance::table, table, Eq<id, process_instance::resource_id>> {
        process_instance::table.inner_join(table.on(id.eq(process_instance::resource_id)))
    }
}

/// Columns and what they get.
type Assignments<'a> = Vec<(&'static str, Option<Bound<'a>>)>;

/// What changes of a row beside its state; the fields, if they were packed anew.
fn of_row<'a>(changes: &'a Changes, packed: Option<(&'a str, &'a str)>) -> Assignments<'a> {
    let texts = [
        ("kind", changes.kind.as_deref()),
        ("name", changes.name.as_deref()),
        ("fields", packed.map(|(fields, _)| fields)),
        ("cuts", packed.map(|(_, cuts)| cuts)),
        ("internal", changes.internal.as_deref()),
    ];
    let numbers = [
        ("host_id", changes.host_id.map(|h| h.map(|id| id.0))),
        ("account_id", changes.account_id.map(|a| a.map(|id| id.0))),
        ("removed_ms", changes.removed.map(|t| Some(t.floor_to_seconds().0))),
        ("purge_after_ms", changes.purge_after.map(|t| Some(t.0))),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(column, value)| Some((column, Some(Bound::Text(value?)))));
    let numbers = numbers
        .into_iter()
        .filter_map(|(column, value)| Some((column, value?.map(Bound::Int))));
    texts.chain(numbers).collect()
}

/// `begin`, with the assignments and the condition behind it.
fn update<'a>(begin: &str, assignments: Assignments<'a>, condition: &str, is: &[i64]) -> Statement<'a> {
    let mut text = begin.to_owned();
    let mut values = Vec::with_capacity(assignments.len() + is.len());
    for (column, value) in assignments {
        if !text.ends_with(' ') {
            text.push_str(", ");
        }
        text.push_str(column);
        text.push_str(if value.is_some() { " = ?" } else { " = NULL" });
        values.extend(value);
    }
    text.push_str(condition);
    values.extend(is.iter().map(|number| Bound::Int(*number)));
    Statement::new(text, values)
}

/// The row as the changes leave it.
fn changed(row: &Resource, changes: &Changes, packed: Option<(String, String)>) -> Resource {
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
    new
}

impl Tx {
    pub fn insert(&mut self, new: NewResource) -> Result<Resource> {
        let row = self.insert_unannounced(new)?;
        self.announce(row.id, row.account_id)?;
        Ok(row)
    }

    pub fn insert_unannounced(&mut self, new: NewResource) -> Result<Resource> {
        check_text("name", &new.name)?;
        check_fields(&new.fields)?;
        let (fields, cuts) = self.layout.pack(&new.root, &new.kind, &new.fields)?;
        let now = self.now();
        let is_chosen = new.uuid.is_some() || new.id.is_some();
        let uuid = new.uuid.unwrap_or_else(|| crate::model::id::new_uuid().to_string());
        let internal = if new.internal.is_empty() {
            "{}".to_owned()
        } else {
            new.internal
        };
        let id = self
            .resource_number(new.id.map(|id| id.0))
            .map_err(failed("numbering a resource"))?;
        let row = Resource {
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
        };
        self.insert_columns(&row, is_chosen)?;
        for (field, to) in &new.refs {
            self.insert_ref(row.id, field, *to)?;
        }
        self.touch(&row.root);
        self.count_row();
        self.note_written(Written::made(&row));
        Ok(row)
    }

    /// Writes a row to the tables that it stands in; what somebody `chose` of it may be there already.
    fn insert_columns(&mut self, row: &Resource, is_chosen: bool) -> Result<()> {
        known!(
            Insert = "INSERT INTO resource (id, root, kind, account_id, parent_id, host_id, uuid, name, created_ms, fields, cuts, \
                internal, old_state, old_health, old_message, old_version) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '', 0)"
        );
        let number = |id: Option<ResourceId>| Bound::MaybeInt(id.map(|id| id.0));
        let values = [
            Bound::Int(row.id.0),
            Bound::Text(&row.root),
            Bound::Text(&row.kind),
            number(row.account_id),
            number(row.parent_id),
            number(row.host_id),
            Bound::Text(&row.uuid),
            Bound::Text(&row.name),
            Bound::Int(row.created.0),
            Bound::Text(&row.fields),
            Bound::Text(&row.cuts),
            Bound::Text(&row.internal),
        ];
        let insert = fixed(Insert, values);
        let inserted = match is_chosen {
            true => insert.execute(self.line.conn()).map(drop),
            false => self.line.put(insert),
        };
        inserted.map_err(|e| match e {
            diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _) => {
                Error::invalid("NotUnique", "uuid")
            }
            other => failed("inserting a resource")(other),
        })?;
        known!(
            InsertState =
                "INSERT INTO resource_state (resource_id, state, health, message, version) VALUES (?, ?, ?, '', 1)"
        );
        let values = [
            Bound::Int(row.id.0),
            Bound::Text(row.state.as_str()),
            Bound::Text(&row.health),
        ];
        self.line
            .put(fixed(InsertState, values))
            .map_err(failed("inserting a state"))
    }

    pub fn update_if(&mut self, row: &Resource, changes: &Changes) -> Result<Resource> {
        let patched = match (&changes.fields, changes.patch.0.is_empty()) {
            (fields, true) => fields.clone(),
            (fields, false) => {
                let mut all = fields.clone().map_or_else(|| Fields::parse(&row.fields), Ok)?;
                all.0.extend(changes.patch.0.clone());
                Some(all)
            }
        };
        check_text("name", changes.name.as_deref().unwrap_or_default())?;
        if let Some(fields) = &patched {
            check_fields(fields)?;
        }
        let packed = patched
            .as_ref()
            .map(|f| self.layout.pack(&row.root, &row.kind, f))
            .transpose()?;
        let is_packed = packed.is_some();
        let new = changed(row, changes, packed);
        if row.root == AUDIT_LOG {
            self.change_audit(row, patched.as_ref(), [changes.removed, changes.purge_after])?;
        } else {
            let fields = is_packed.then_some((&*new.fields, &*new.cuts));
            self.write_changes(row, &new, of_row(changes, fields))?;
        }
        self.note_written(Written::changed(&new));
        self.touch(&row.root);
        self.count_row();
        self.announce(row.id, new.account_id)?;
        Ok(new)
    }

    /// `new` is `row` with the changes, `rest` what of them is not of its state.
    fn write_changes(&mut self, row: &Resource, new: &Resource, rest: Assignments<'_>) -> Result<()> {
        // All of it, changed or not: the version says that the rest is as it was read.
        known!(
            ChangeState = "UPDATE resource_state SET version = version + 1, state = ?, health = ?, message = ?, progress = ? \
                WHERE resource_id = ? AND version = ?"
        );
        let values = [
            Bound::Text(new.state.as_str()),
            Bound::Text(&new.health),
            Bound::Text(&new.message),
            Bound::MaybeInt(new.progress.map(i64::from)),
            Bound::Int(row.id.0),
            Bound::Int(row.version),
        ];
        let changed = fixed(ChangeState, values)
            .execute(self.line.conn())
            .map_err(failed("changing a state"))?;
        if changed == 0 {
            return Err(Error::conflict("the resource changed meanwhile"));
        }
        if !rest.is_empty() {
            let rest = update("UPDATE resource SET ", rest, " WHERE id = ?", &[row.id.0]);
            self.line.put_text(rest).map_err(failed("changing a resource"))?;
        }
        Ok(())
    }

    /// Deletes rows for good, with all references from and to them.
    pub(in crate::store) fn delete_rows(&mut self, ids: &[i64]) -> Result<()> {
        self.delete_refs_of(ids)?;
        for id in ids {
            self.note_written(Written::gone(ResourceId(*id)));
        }
        delete_rows(self.line.conn(), ids).map_err(failed("deleting resources"))
    }
}

/// Deletes rows to which nothing refers.
pub(in crate::store) fn delete_rows(conn: &mut Conn, ids: &[i64]) -> QueryResult<()> {
    diesel::delete(resource_state::table.filter(resource_state::resource_id.eq_any(ids))).execute(conn)?;
    diesel::delete(resource::table.filter(resource::id.eq_any(ids)))
        .execute(conn)
        .map(drop)
}
