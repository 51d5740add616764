//! The engine's face: all that `api`, `auth` and `app` may ask of it. Each method hands on to the room that knows, or puts
//! together what two of them say. A rule, a write or a loop does not belong here, and nothing below calls it.

mod access;
mod background;
mod bearers;
mod dialects;
mod events;
mod images;
mod input;
mod nodes;
mod objects;
mod receivers;
mod streams;
mod swarm;
mod tunnels;
mod webhooks;

use crate::engine::access::Rights;
use crate::engine::accounts::Identity;
use crate::engine::commands;
use crate::engine::core::{
    Answer, Asked, Attempt, Core, Derived, Input, ListQuery, Page, ProcessCount, ProcessDefinition, ProcessInstance,
    ProcessPage, Scope, ServerFigures, Setting, WorkerFigures, listed_as,
};
use crate::engine::hosts::agent_state;
use crate::engine::services::{self, StackFiles};
use crate::model::{Clock, Error, Resource, ResourceId, Result, State};
use crate::schema::{Link, Registry, TypeView, Version, View};
use crate::store::Tally;
use std::sync::Arc;

pub use background::Opened;
pub use dialects::Unit;
pub use input::Checked;
pub use streams::StreamTicket;
pub use tunnels::DialledAgent;

/// The engine, as `api` and `app` see it.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

/// How long a write may take before the server counts as not ready.
const WRITE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

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

    /// Writes down that a password was wrong, in the audit log.
    pub async fn record_wrong_password(&self, name: &str, client_ip: &str) -> Result<()> {
        self.core.record_wrong_password(name, client_ip).await
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

    /// Why requests cannot be served, if that is so: the database cannot be read, or a write does not come through.
    pub async fn not_ready(&self) -> Option<String> {
        let store = &self.core.store;
        if let Err(error) = store.setting("ready") {
            return Some(error.chain());
        }
        let is_stuck = store.trouble().is_some();
        let trying = store.write(crate::store::Priority::Request, move |tx| {
            if is_stuck { tx.try_out() } else { Ok(()) }
        });
        match tokio::time::timeout(WRITE_PATIENCE, trying).await {
            Err(_) => Some("writes do not come through".to_owned()),
            Ok(Err(error)) => Some(store.trouble().unwrap_or_else(|| error.chain())),
            Ok(Ok(())) => store.trouble(),
        }
    }

    /// A row by number, if the caller may see it (removed ones too, until they are purged). Quick: no blocking pool needed.
    pub fn find(&self, scope: &Scope, id: ResourceId) -> Result<Option<Arc<Resource>>> {
        match self.core.store.shared(id)? {
            Some(row) if self.core.sees(scope, &row)? => self.core.reveal_shared(scope, row).map(Some),
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
        let page = commands::list(&self.core, scope, ty, query)?;
        if ty.def.root != "credential" {
            return Ok(page);
        }
        let rows = page
            .rows
            .into_iter()
            .map(|row| self.core.reveal_shared(scope, row))
            .collect::<Result<_>>()?;
        Ok(Page { rows, ..page })
    }

    /// How many rows of a list are alike, whatever its pages. Blocking.
    pub fn tally(&self, scope: &Scope, ty: &TypeView, query: &ListQuery) -> Result<Vec<Tally>> {
        commands::tally(&self.core, scope, ty, query)
    }

    /// One page of processes, by number. Blocking.
    pub fn processes(&self, scope: &Scope, query: &ListQuery) -> Result<ProcessPage> {
        self.core.processes(scope, query)
    }

    /// A process by its number, if the caller may see the resource it is done to.
    pub fn find_process(&self, scope: &Scope, id: i64) -> Result<Option<ProcessInstance>> {
        self.core.find_process_instance(scope, id)
    }

    /// Runs an open process at once; one that has ended stays as it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn replay_process(&self, scope: &Scope, id: i64) -> Result<()> {
        self.core.replay_process(scope, id).await
    }

    /// How many open processes there are of each name. Blocking.
    pub fn process_counts(&self) -> Result<Vec<ProcessCount>> {
        self.core.process_counts()
    }

    /// How the worker fares.
    pub fn worker_figures(&self) -> WorkerFigures {
        self.core.worker_figures()
    }

    /// This server, as one of those that have its database.
    pub fn server_figures(&self) -> ServerFigures {
        self.core.server_figures()
    }

    /// What processes there are, by name.
    pub fn process_definitions(&self) -> Vec<ProcessDefinition> {
        self.core.process_definitions()
    }

    /// The rows at the end of a link, for each of `rows` (one query per hop). Blocking.
    pub fn follow(&self, scope: &Scope, rows: &[ResourceId], link: &Link) -> Result<Vec<(ResourceId, Resource)>> {
        commands::follow(&self.core, scope, rows, link)
    }

    /// The rows at the end of a link of one row, as a list of the far type. Blocking.
    pub fn follow_list(
        &self,
        scope: &Scope,
        near: ResourceId,
        link: &Link,
        far: &TypeView,
        query: &ListQuery,
    ) -> Result<Page> {
        commands::follow_list(&self.core, scope, near, link, far, query)
    }

    /// The computed fields of these rows, by a constant number of queries.
    pub fn derive<'r>(&self, _scope: &Scope, rows: impl IntoIterator<Item = &'r Resource>) -> Result<Derived> {
        commands::derive(&self.core, &rows.into_iter().collect::<Vec<_>>())
    }

    /// Whether `action` is legal on `row` now, for clients of this version (0.2 of the domain rules).
    pub fn offers(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> bool {
        self.core.offers(version, ty, row, action)
    }

    /// The action of the schemas that an action is asked for like: itself, unless it is one that Rancher does not know.
    pub fn listed_as<'a>(&self, ty: &TypeView, action: &'a str) -> &'a str {
        listed_as(&ty.def.root, action)
    }

    /// Why `action` is not legal on `row` now.
    pub fn refusal(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> Error {
        self.core.refusal(version, ty, row, action)
    }

    /// The state a client of `version` reads for `row` (v2-beta has no cancelled rollbacks; an active host shows how its
    /// agent is).
    pub fn shown_state<'a>(&self, _version: Version, ty: &'a TypeView, row: &'a Resource) -> &'a str {
        if row.root == "host"
            && row.state == State::ACTIVE
            && let Some(state) = agent_state(row)
        {
            return state;
        }
        ty.shown_state(row.state.as_str())
    }

    /// POST: takes a validated body, writes, answers after the commit. Several rows for a container's `count`.
    pub async fn create(&self, scope: &Scope, ty: &TypeView, input: Input) -> Result<Vec<Resource>> {
        commands::create(&self.core, scope, ty, input).await
    }

    /// PUT, with a validated body.
    pub async fn update(&self, scope: &Scope, ty: &TypeView, id: ResourceId, input: Input) -> Result<Resource> {
        commands::update(&self.core, scope, ty, id, input).await
    }

    /// DELETE.
    pub async fn delete(&self, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
        commands::delete(&self.core, scope, ty, id).await
    }

    /// POST `?action=`, with a validated body.
    pub async fn act(
        &self,
        scope: &Scope,
        ty: &TypeView,
        id: ResourceId,
        action: &str,
        input: Input,
    ) -> Result<Answer> {
        commands::act(&self.core, scope, ty, id, action, input).await
    }
}

impl Engine {
    /// A stack as compose files.
    pub fn stack_files(&self, stack: &Resource) -> Result<StackFiles> {
        services::files_of(&self.core, stack, None)
    }

    /// What the caller may do as things are now.
    pub fn rights<'a>(&'a self, scope: &'a Scope) -> Result<Rights<'a>> {
        self.core().rights(scope)
    }
}
