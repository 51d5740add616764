//! The engine's door: what a request may ask for.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::{Resource, ResourceId, Result};
use crate::schema::{Field, FieldType, Link, Registry, Role, TypeView, Version, View};

/// Who asks, for what project, in what version.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The version of the path.
    pub version: Version,
    /// The project of the path, header or query, if one was named.
    pub project: Option<ResourceId>,
    /// The role that decides the view.
    pub role: Role,
    /// The authenticated account.
    pub user: Account,
    /// The account the request acts for: the project if one was named, else the user.
    pub effective: Account,
}

/// An account as the identity headers show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its row.
    pub id: ResourceId,
    /// `admin`, `project` …
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A list request, read from the query string; names are already checked against the view.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// All must hold.
    pub filters: Vec<Filter>,
    /// The field to sort by; none is by id.
    pub sort: Option<String>,
    /// Descending instead of ascending.
    pub descending: bool,
    /// Rows per page, 1–3000.
    pub limit: u32,
    /// The client's marker, unread.
    pub marker: Option<String>,
    /// Lists include removed rows.
    pub with_removed: bool,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The field, as this view names it.
    pub field: String,
    /// `eq`, `ne` …
    pub modifier: String,
    /// As the client wrote it.
    pub value: String,
}

/// One page of a list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In order.
    pub rows: Vec<Resource>,
    /// The marker of the next page, if there is more.
    pub next: Option<String>,
    /// The filters as they were understood: reference values as plain numbers, dates as ISO strings.
    pub filters: Vec<Filter>,
}

/// The computed fields of a page's rows: row → field → JSON text. Absent fields are null.
pub type Derived = HashMap<ResourceId, Vec<(&'static str, String)>>;

/// A setting, as the wire shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// What it is addressed by.
    pub name: String,
    /// What is set; none if nothing is, or if it must not be shown.
    pub value: Option<String>,
    /// What is in effect.
    pub active_value: Option<String>,
    /// Where the value in effect comes from.
    pub source: Option<String>,
    /// Whether it is stored here, and not only a default.
    pub in_db: bool,
    /// Whether everybody may read it.
    pub is_public: bool,
}

/// A validated body: field → converted value. References stay wire ids.
pub type Input = Map<String, Value>;

/// What an action answers.
#[derive(Debug)]
pub enum Answer {
    /// 202 with the row as it is now: a process has started.
    Accepted(Box<Resource>),
    /// 200 with the row.
    Done(Box<Resource>),
    /// 200 with another object of this type.
    Object(&'static str, Map<String, Value>),
}

/// The engine, as `api` sees it.
pub struct Engine {
    registry: Arc<Registry>,
}

impl Engine {
    /// All types and views.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The view of a request.
    pub fn view(&self, scope: &Scope) -> &Arc<View> {
        self.registry.view(scope.version, scope.role)
    }

    /// Who the caller is; `project` is the wire id named by path, header or query. An unknown or foreign project is 403.
    pub fn admit(&self, version: Version, project: Option<&str>) -> Result<Scope> {
        let _ = (version, project);
        unimplemented!()
    }

    /// A setting's effective value.
    pub fn setting(&self, name: &str) -> Option<String> {
        let _ = name;
        unimplemented!()
    }

    /// All settings the caller may see, in any order.
    pub fn settings(&self, scope: &Scope) -> Result<Vec<Setting>> {
        let _ = scope;
        unimplemented!()
    }

    /// One setting, if the caller may see it. Those who may write settings see unknown names too, without a value.
    pub fn find_setting(&self, scope: &Scope, name: &str) -> Result<Option<Setting>> {
        let _ = (scope, name);
        unimplemented!()
    }

    /// Sets a setting, known or not; without a value it goes back to its default.
    pub async fn write_setting(&self, scope: &Scope, name: &str, value: Option<String>) -> Result<Setting> {
        let _ = (scope, name, value);
        unimplemented!()
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        true
    }

    /// A row by number, if the caller may see it (removed ones too, until they are purged). Quick: no blocking pool needed.
    pub fn find(&self, scope: &Scope, id: ResourceId) -> Result<Option<Resource>> {
        let _ = (scope, id);
        unimplemented!()
    }

    /// One page. Blocking.
    pub fn list(&self, scope: &Scope, ty: &TypeView, query: &ListQuery) -> Result<Page> {
        let _ = (scope, ty, query);
        unimplemented!()
    }

    /// The rows at the end of a link, for each of `rows` (one query per hop). Blocking.
    pub fn follow(&self, scope: &Scope, rows: &[ResourceId], link: &Link) -> Result<Vec<(ResourceId, Resource)>> {
        let _ = (scope, rows, link);
        unimplemented!()
    }

    /// The computed fields of these rows, by a constant number of queries.
    pub fn derive(&self, scope: &Scope, rows: &[Resource]) -> Result<Derived> {
        let _ = (scope, rows);
        unimplemented!()
    }

    /// Whether `action` is legal on `row` now, for clients of this version (0.2 of the domain rules).
    pub fn offers(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> bool {
        let _ = (version, ty, row, action);
        unimplemented!()
    }

    /// The state a client of `version` reads for `row` (v2-beta has no cancelled rollbacks).
    pub fn shown_state<'a>(&self, version: Version, ty: &TypeView, row: &'a Resource) -> &'a str {
        let _ = (version, ty);
        &row.state
    }

    /// POST: validates, writes, answers after the commit. Several rows for a container's `count`.
    pub async fn create(&self, scope: &Scope, ty: &TypeView, body: Input) -> Result<Vec<Resource>> {
        let _ = (scope, ty, body);
        unimplemented!()
    }

    /// PUT.
    pub async fn update(&self, scope: &Scope, ty: &TypeView, id: ResourceId, body: Input) -> Result<Resource> {
        let _ = (scope, ty, id, body);
        unimplemented!()
    }

    /// DELETE.
    pub async fn delete(&self, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
        let _ = (scope, ty, id);
        unimplemented!()
    }

    /// POST `?action=`. Checks the action, the row and the state, in the wire's order.
    pub async fn act(&self, scope: &Scope, ty: &TypeView, id: ResourceId, action: &str, body: Input) -> Result<Answer> {
        let _ = (scope, ty, id, action, body);
        unimplemented!()
    }
}

/// A field's definition by name, with its type; helper for readers of the view.
pub fn field_type<'a>(ty: &'a TypeView, name: &str) -> Option<(&'a Field, &'a FieldType)> {
    ty.fields.get(name).map(|f| (f, &f.ty))
}
