//! The tables, as diesel sees them, and their row types.

use diesel::prelude::*;

use crate::model::{Resource, ResourceId, Timestamp};

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
        state -> Text,
        health -> Text,
        message -> Text,
        progress -> Nullable<Integer>,
        version -> BigInt,
        created_ms -> BigInt,
        removed_ms -> Nullable<BigInt>,
        purge_after_ms -> Nullable<BigInt>,
        fields -> Text,
        cuts -> Text,
        internal -> Text,
    }
}

diesel::table! {
    resource_ref (from_id, field, to_id) {
        from_id -> BigInt,
        field -> Text,
        to_id -> BigInt,
    }
}

diesel::table! {
    process_instance (id) {
        id -> BigInt,
        resource_id -> BigInt,
        process -> Text,
        attempts -> Integer,
        run_after_ms -> BigInt,
        claimed_by -> Text,
        epoch -> BigInt,
        data -> Text,
        message -> Text,
        started_ms -> BigInt,
        ended_ms -> Nullable<BigInt>,
        exit_reason -> Text,
    }
}

diesel::table! {
    change_event (id) {
        id -> BigInt,
        resource_id -> BigInt,
        account_id -> Nullable<BigInt>,
        created_ms -> BigInt,
    }
}

diesel::table! {
    setting (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    credential (resource_id) {
        resource_id -> BigInt,
        kind -> Text,
        public_value -> Text,
        secret -> Text,
    }
}

diesel::table! {
    session (id) {
        id -> BigInt,
        digest -> Text,
        account_id -> BigInt,
        created_ms -> BigInt,
        expires_ms -> BigInt,
    }
}

diesel::table! {
    server (uuid) {
        uuid -> Text,
        epoch -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(resource, resource_ref, process_instance, change_event);

/// A `resource` row as diesel loads it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = resource, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct ResourceRow {
    id: i64,
    root: String,
    kind: String,
    account_id: Option<i64>,
    parent_id: Option<i64>,
    host_id: Option<i64>,
    uuid: String,
    name: String,
    state: String,
    health: String,
    message: String,
    progress: Option<i32>,
    version: i64,
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
            state: row.state,
            health: row.health,
            message: row.message,
            progress: row.progress,
            version: row.version,
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
#[diesel(table_name = resource, check_for_backend(diesel::sqlite::Sqlite))]
pub(super) struct ListedRow {
    id: i64,
    kind: String,
    account_id: Option<i64>,
    parent_id: Option<i64>,
    host_id: Option<i64>,
    uuid: String,
    name: String,
    state: String,
    health: String,
    message: String,
    progress: Option<i32>,
    version: i64,
    created_ms: i64,
    removed_ms: Option<i64>,
    purge_after_ms: Option<i64>,
    fields: String,
    cuts: String,
}

impl ListedRow {
    /// A row of `root`, without the engine's notes.
    pub(super) fn into_resource(self, root: &str) -> Resource {
        Resource {
            id: ResourceId(self.id),
            root: root.to_owned(),
            kind: self.kind,
            account_id: self.account_id.map(ResourceId),
            parent_id: self.parent_id.map(ResourceId),
            host_id: self.host_id.map(ResourceId),
            uuid: self.uuid,
            name: self.name,
            state: self.state,
            health: self.health,
            message: self.message,
            progress: self.progress,
            version: self.version,
            created: Timestamp(self.created_ms),
            removed: self.removed_ms.map(Timestamp),
            purge_after: self.purge_after_ms.map(Timestamp),
            fields: self.fields,
            cuts: self.cuts,
            internal: String::new(),
        }
    }
}
