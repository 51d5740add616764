//! The engine's door: what a request may ask for.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::accounts::Identity;
use super::audit::{Asked, Attempt};
use super::core::Core;
use super::lists;
use super::processes::{ProcessInstance, ProcessPage};
use crate::model::{Clock, Resource, ResourceId, Result};
use crate::schema::{Link, Registry, Role, TypeView, Version, View};

/// Who asks, for what project, in what version.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The version of the path.
    pub version: Version,
    /// The project that the request is for: named by the path, a header or the query, or the one a key belongs to.
    pub project: Option<ResourceId>,
    /// The role that decides the view.
    pub role: Role,
    /// Whose rows there are for the caller.
    pub reach: Reach,
    /// How the caller proved who it is.
    pub auth: AuthType,
    /// By what.
    pub proof: Proof,
    /// The authenticated account.
    pub user: Account,
    /// The account the request acts for: the project if there is one, else the user.
    pub effective: Account,
    /// What the audit log will say of the request; none if it changes nothing, or is of no account.
    pub attempt: Option<Arc<Attempt>>,
}

/// Whose rows a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Those of every account.
    All,
    /// Those of one account.
    Account(ResourceId),
}

/// How a caller proved who it is; the audit log has the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// Access is open: everybody is the first admin.
    Admin,
    /// A key or a password, by HTTP Basic.
    Basic,
    /// The token of a login.
    Token,
    /// A registration token in the place of a key.
    Registration,
    /// Nobody yet: may log in.
    None,
}

impl AuthType {
    /// The name in the audit log (cattle: the classes of its authenticators).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "AdminAuth",
            Self::Basic => "BasicAuth",
            Self::Token => "TokenAuth",
            Self::Registration => "RegistrationToken",
            Self::None => "TokenAccount",
        }
    }
}

/// What a caller proved who it is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Nothing: access is open.
    Open,
    /// A credential.
    Key(ResourceId),
    /// A login.
    Session(i64),
    /// A registration token.
    Registration(ResourceId),
    /// Nothing, and it may only log in.
    Nobody,
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
    /// Projects that the caller is no member of, too.
    pub all: bool,
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
    /// 200 with rows of this type.
    Rows(&'static str, Vec<Resource>),
}

/// The engine, as `api` and `app` see it.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

impl Scope {
    /// The account whose rows this caller sees; none is all.
    pub(crate) fn owner(&self) -> Option<ResourceId> {
        match self.reach {
            Reach::All => None,
            Reach::Account(id) => Some(id),
        }
    }

    /// Whether the caller sees a row.
    pub(crate) fn sees(&self, row: &Resource) -> bool {
        match (self.owner(), row.account_id) {
            (Some(owner), Some(account)) => owner == account || row.id == owner,
            (Some(owner), None) => row.id == owner || row.root != "account",
            (None, _) => true,
        }
    }
}

impl Engine {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The time, as the engine sees it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.core.clock.clone()
    }

    /// All types and views.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.core.registry
    }

    /// The view of a request.
    pub fn view(&self, scope: &Scope) -> &Arc<View> {
        self.core.registry.view(scope.version, scope.role)
    }

    /// What the audit log is to say of a request that asks for a change; `None` if such requests are not logged.
    pub fn attempt(&self, asked: &Asked<'_>) -> Option<Arc<Attempt>> {
        Attempt::new(asked, self.core.now()).map(Arc::new)
    }

    /// Writes the audit row of a request that is over, if it wrote none with its change.
    pub async fn record(&self, scope: &Scope, status: u16, response: Option<String>) -> Result<()> {
        self.core.record(scope, status, response).await
    }

    /// A setting's effective value.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.core.setting(name).ok().flatten().and_then(|s| s.active_value)
    }

    /// A setting that is a whole number.
    pub fn setting_count(&self, name: &str) -> Result<u32> {
        self.core.setting_count(name)
    }

    /// Whether a registration token lets somebody in now.
    pub fn is_registration(&self, token: &str) -> Result<bool> {
        Ok(self.core.registration(token)?.is_some())
    }

    /// All settings the caller may see, in any order.
    pub fn settings(&self, scope: &Scope) -> Result<Vec<Setting>> {
        self.core.shown_settings(scope)
    }

    /// One setting, if the caller may see it. Those who may write settings see unknown names too, without a value.
    pub fn find_setting(&self, scope: &Scope, name: &str) -> Result<Option<Setting>> {
        self.core.shown_setting(scope, name)
    }

    /// Sets a setting, known or not; without a value it goes back to its default.
    pub async fn write_setting(&self, scope: &Scope, name: &str, value: Option<String>) -> Result<Setting> {
        self.core.write_setting(scope, name, value).await
    }

    /// The identities that are called so, exactly or in part; without a name the caller's own. Blocking.
    pub fn identities(&self, scope: &Scope, name: Option<&str>, is_exact: bool) -> Result<Vec<Identity>> {
        self.core.identities(scope, name, is_exact)
    }

    /// The identity of an account, if it is a person's.
    pub fn find_identity(&self, scope: &Scope, id: ResourceId) -> Result<Option<Identity>> {
        self.core.find_identity(scope, id)
    }

    /// Whether requests can be served.
    pub fn is_ready(&self) -> bool {
        self.core.store.setting("ready").is_ok()
    }

    /// A row by number, if the caller may see it (removed ones too, until they are purged). Quick: no blocking pool needed.
    pub fn find(&self, scope: &Scope, id: ResourceId) -> Result<Option<Resource>> {
        match self.core.store.find(id)? {
            Some(row) if self.core.sees(scope, &row)? => self.core.reveal(scope, row).map(Some),
            _ => Ok(None),
        }
    }

    /// Those of these rows that the caller may see, removed ones too, in order of id. Blocking.
    pub fn find_all(&self, scope: &Scope, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        let mut seen = Vec::new();
        for row in self.core.store.many(ids)? {
            if self.core.sees(scope, &row)? {
                seen.push(self.core.reveal(scope, row)?);
            }
        }
        Ok(seen)
    }

    /// One page. Blocking.
    pub fn list(&self, scope: &Scope, ty: &TypeView, query: &ListQuery) -> Result<Page> {
        let page = lists::list(&self.core, scope, ty, query)?;
        if ty.def.root != "credential" {
            return Ok(page);
        }
        let rows = page.rows.into_iter().map(|row| self.core.reveal(scope, row)).collect::<Result<_>>()?;
        Ok(Page { rows, ..page })
    }

    /// One page of processes, by number. Blocking.
    pub fn processes(&self, scope: &Scope, query: &ListQuery) -> Result<ProcessPage> {
        self.core.processes(scope, query)
    }

    /// A process by its number, if the caller may see the resource it is done to.
    pub fn find_process(&self, scope: &Scope, id: i64) -> Result<Option<ProcessInstance>> {
        self.core.find_process_instance(scope, id)
    }

    /// The rows at the end of a link, for each of `rows` (one query per hop). Blocking.
    pub fn follow(&self, scope: &Scope, rows: &[ResourceId], link: &Link) -> Result<Vec<(ResourceId, Resource)>> {
        lists::follow(&self.core, scope, rows, link)
    }

    /// The computed fields of these rows, by a constant number of queries.
    pub fn derive(&self, _scope: &Scope, rows: &[Resource]) -> Result<Derived> {
        self.core.derive(rows)
    }

    /// Whether `action` is legal on `row` now, for clients of this version (0.2 of the domain rules).
    pub fn offers(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> bool {
        self.core.offers(version, ty, row, action)
    }

    /// The state a client of `version` reads for `row` (v2-beta has no cancelled rollbacks; an active host shows how its
    /// agent is).
    pub fn shown_state<'a>(&self, _version: Version, ty: &'a TypeView, row: &'a Resource) -> &'a str {
        if row.root == "host"
            && row.state == "active"
            && let Some(state) = super::hosts::agent_state(row)
        {
            return state;
        }
        ty.shown_state(&row.state)
    }

    /// POST: takes a validated body, writes, answers after the commit. Several rows for a container's `count`.
    pub async fn create(&self, scope: &Scope, ty: &TypeView, input: Input) -> Result<Vec<Resource>> {
        self.core.create(scope, ty, input).await
    }

    /// PUT, with a validated body.
    pub async fn update(&self, scope: &Scope, ty: &TypeView, id: ResourceId, input: Input) -> Result<Resource> {
        self.core.update(scope, ty, id, input).await
    }

    /// DELETE.
    pub async fn delete(&self, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
        self.core.delete(scope, ty, id).await
    }

    /// POST `?action=`, with a validated body.
    pub async fn act(&self, scope: &Scope, ty: &TypeView, id: ResourceId, action: &str, input: Input) -> Result<Answer> {
        self.core.act(scope, ty, id, action, input).await
    }
}
