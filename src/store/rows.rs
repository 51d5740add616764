//! Rows of resources: what is asked of them and what is changed.

use crate::model::{Fields, Resource, ResourceId, State, Timestamp};

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
    pub state: State,
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
    pub state: Option<State>,
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
    pub state: State,
    /// The engine's notes.
    pub internal: String,
}

/// Which end of a reference is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The referring end.
    From,
    /// The end referred to.
    To,
}

/// What a service selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    /// Other services, which it is linked to.
    Services,
    /// Containers, which it adopts.
    Containers,
}

/// Where a name is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// In an account.
    Account(ResourceId),
    /// In a stack or whatever the row lives in.
    Parent(ResourceId),
}

/// Where a row is, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// The row's number.
    pub id: ResourceId,
    /// The root of its type.
    pub root: String,
    /// Its host.
    pub host_id: Option<ResourceId>,
    /// Its state.
    pub state: State,
    /// Whether it was removed.
    pub is_removed: bool,
}

impl From<&Resource> for Whereabouts {
    fn from(row: &Resource) -> Self {
        Self {
            id: row.id,
            root: row.root.clone(),
            host_id: row.host_id,
            state: row.state,
            is_removed: row.removed.is_some(),
        }
    }
}
