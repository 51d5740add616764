//! Rows of `resource` as diesel loads them.

use diesel::prelude::*;

use super::rows::{self as resource, now};
use crate::model::{Resource, ResourceId, State, Timestamp};

/// What changes often.
#[derive(Queryable, Selectable)]
#[diesel(table_name = now, check_for_backend(super::super::dialect::Db))]
pub(in crate::store) struct StateColumns {
    state: String,
    health: String,
    message: String,
    progress: Option<i32>,
    version: i64,
}

/// A whole row.
#[derive(Queryable, Selectable)]
#[diesel(table_name = resource, check_for_backend(super::super::dialect::Db))]
pub(in crate::store) struct ResourceRow {
    id: i64,
    root: String,
    kind: String,
    account_id: Option<i64>,
    parent_id: Option<i64>,
    host_id: Option<i64>,
    uuid: String,
    name: String,
    #[diesel(embed)]
    now: StateColumns,
    created_ms: i64,
    removed_ms: Option<i64>,
    purge_after_ms: Option<i64>,
    fields: String,
    cuts: String,
    internal: String,
}

impl From<ResourceRow> for Resource {
    fn from(row: ResourceRow) -> Self {
        Self {
            id: ResourceId(row.id),
            root: row.root,
            kind: row.kind,
            account_id: row.account_id.map(ResourceId),
            parent_id: row.parent_id.map(ResourceId),
            host_id: row.host_id.map(ResourceId),
            uuid: row.uuid,
            name: row.name,
            state: State::of(&row.now.state),
            health: row.now.health,
            message: row.now.message,
            progress: row.now.progress,
            version: row.now.version,
            created: Timestamp(row.created_ms),
            removed: row.removed_ms.map(Timestamp),
            purge_after: row.purge_after_ms.map(Timestamp),
            fields: row.fields,
            cuts: row.cuts,
            internal: row.internal,
        }
    }
}

/// A `resource` row of a list: what is the same for all of them, and what no client sees, stays where it is.
#[derive(Queryable, Selectable)]
#[diesel(table_name = resource, check_for_backend(super::super::dialect::Db))]
pub(in crate::store) struct ListedRow {
    id: i64,
    kind: String,
    account_id: Option<i64>,
    parent_id: Option<i64>,
    host_id: Option<i64>,
    uuid: String,
    name: String,
    #[diesel(embed)]
    now: StateColumns,
    created_ms: i64,
    removed_ms: Option<i64>,
    purge_after_ms: Option<i64>,
    fields: String,
    cuts: String,
}

impl ListedRow {
    /// A row of `root`, without the engine's notes.
    pub(in crate::store) fn into_resource(self, root: &str) -> Resource {
        Resource {
            id: ResourceId(self.id),
            root: root.to_owned(),
            kind: self.kind,
            account_id: self.account_id.map(ResourceId),
            parent_id: self.parent_id.map(ResourceId),
            host_id: self.host_id.map(ResourceId),
            uuid: self.uuid,
            name: self.name,
            state: State::of(&self.now.state),
            health: self.now.health,
            message: self.now.message,
            progress: self.now.progress,
            version: self.now.version,
            created: Timestamp(self.created_ms),
            removed: self.removed_ms.map(Timestamp),
            purge_after: self.purge_after_ms.map(Timestamp),
            fields: self.fields,
            cuts: self.cuts,
            internal: String::new(),
        }
    }
}
