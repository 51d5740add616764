//! One caller: its company, the clusters of it, and what it may do in one of them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ids::Ids;
use super::refusal::{Form, Outcome, Refusal};
use crate::engine::{Asked, Checked, Engine, Input, ListQuery, Scope};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::validate::Purpose;
use crate::schema::{Type, TypeView, Version, View};

/// The most clusters of a company that are listed.
const MOST_CLUSTERS: u32 = 3_000;

/// A caller that was let in, for its company or for one cluster of it.
#[derive(Clone)]
pub struct Caller {
    /// Does what is asked.
    pub engine: Arc<Engine>,
    /// Who asks: for the company, or for the cluster.
    pub scope: Scope,
    /// What there is for it.
    pub view: Arc<View>,
    /// How rows are called here.
    pub ids: Arc<Ids>,
    /// Where it asks from, or empty.
    pub client_ip: String,
}

/// What is asked of a collection or a row of Rancher's that stands behind an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To see.
    Read,
    /// To make.
    Create,
    /// To change.
    Update,
    /// To remove.
    Remove,
}

impl Caller {
    /// The row of the company: the account behind the key, which is the project's own for a key of a project.
    pub fn company(&self) -> Outcome<Arc<Resource>> {
        let found = self.engine.find(&self.scope, self.scope.effective.id)?;
        found.ok_or_else(Refusal::nowhere)
    }

    /// 404 for the id of another company than the caller's.
    pub fn check_company(&self, id: &str) -> Outcome<()> {
        match self.ids.row("company", id) == Some(self.scope.effective.id) {
            true => Ok(()),
            false => Err(Refusal::nowhere()),
        }
    }

    /// The clusters of the company: the project of a key, or the active projects that an account may enter.
    pub async fn clusters(&self) -> Outcome<Vec<Resource>> {
        if self.scope.effective.kind == "project" {
            let own = self.company()?;
            return Ok(vec![Resource::clone(&own)]);
        }
        let Some(ty) = self.view.find_by_kind("project").cloned() else {
            return Ok(Vec::new());
        };
        let asked = ListQuery {
            all: true,
            limit: MOST_CLUSTERS,
            ..ListQuery::default()
        };
        let (engine, scope) = (self.engine.clone(), self.scope.clone());
        let page = blocking(move || engine.list(&scope, &ty, &asked)).await?;
        let mut rows: Vec<Resource> = page.rows.iter().map(|row| Resource::clone(row)).collect();
        rows.retain(|row| row.state == State::ACTIVE && row.removed.is_none());
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    /// The same caller in a cluster of its company.
    ///
    /// # Errors
    /// 404 for one that it may not enter.
    pub fn enter(&self, cluster: &str) -> Outcome<Self> {
        let id = self.ids.row("cluster", cluster).ok_or_else(Refusal::nowhere)?;
        let scope = match self.scope.effective.kind == "project" {
            true if self.scope.effective.id == id => self.scope.clone(),
            true => return Err(Refusal::nowhere()),
            false => {
                let (proof, account) = (self.scope.proof, self.scope.user.id);
                let entered = self
                    .engine
                    .admit(Version::V2Beta, proof, account, Some(&format!("1a{id}")));
                entered.map_err(|_| Refusal::nowhere())?
            }
        };
        let view = self.engine.view(&scope).clone();
        Ok(Self {
            scope,
            view,
            ..self.clone()
        })
    }

    /// The type behind an object, if the caller may do that to its rows.
    pub fn may(&self, kind: &str, deed: Deed) -> Outcome<Arc<TypeView>> {
        let ty = self.view.find_by_kind(kind);
        let has = |ty: &&Arc<TypeView>| {
            let (methods, method) = match deed {
                Deed::Read => (&ty.collection_methods, "GET"),
                Deed::Create => (&ty.collection_methods, "POST"),
                Deed::Update => (&ty.resource_methods, "PUT"),
                Deed::Remove => (&ty.resource_methods, "DELETE"),
            };
            methods.iter().any(|m| m == method)
        };
        let forbidden = || Refusal::forbidden(format!("The role of this access token may not do that to a {kind}"));
        ty.filter(has).cloned().ok_or_else(forbidden)
    }

    /// 403 unless the caller's view of a type has this action.
    pub fn may_act(&self, ty: &TypeView, action: &str) -> Outcome<()> {
        match ty.actions.contains_key(action) {
            true => Ok(()),
            false => Err(Refusal::forbidden(format!(
                "The role of this access token may not {action} a {}",
                ty.id
            ))),
        }
    }

    /// Whether the caller's view of launch configurations has a field.
    pub fn shows(&self, native: &str) -> bool {
        let launch = self.view.find_by_kind("launchConfig");
        launch.is_some_and(|launch| launch.fields.contains_key(native))
    }

    /// Notes for the audit log what is asked for.
    pub fn note(&mut self, ty: &Type, id: Option<&Resource>, operation: &str, body: &Input) {
        let id = id.map(|row| self.engine.wire_id(row));
        let asked = Asked {
            ty,
            id: id.as_deref(),
            operation,
            body,
            client_ip: &self.client_ip,
        };
        self.scope.attempt = self.engine.attempt(&asked);
    }

    /// A type that no view shows.
    pub fn hidden(&self, kind: &str) -> Outcome<Arc<Type>> {
        let def = self.engine.registry().find_type(kind).cloned();
        def.ok_or_else(|| Error::bug("a type is not there").into())
    }

    /// All rows of a root in the project. In the pool of blocking threads.
    pub async fn rows(&self, root: &'static str) -> Result<Vec<Resource>> {
        let (engine, scope) = (self.engine.clone(), self.scope.clone());
        blocking(move || engine.rows(&scope, root)).await
    }

    /// Those that are not on their way out.
    pub async fn lasting(&self, root: &'static str) -> Result<Vec<Resource>> {
        let mut rows = self.rows(root).await?;
        rows.retain(|row| !matches!(row.state, State::REMOVING | State::REMOVED | State::PURGED));
        Ok(rows)
    }

    /// What counts of a body in Rancher's words; the native names of fields are told by what they are called here.
    pub async fn validated(
        &self,
        ty: &Arc<TypeView>,
        body: Value,
        (purpose, own): (Purpose, Option<ResourceId>),
        (form, names): (Form, &[(&str, &str)]),
    ) -> Outcome<Input> {
        let Value::Object(body) = body else {
            return Err(Error::bug("a body that is no object").into());
        };
        let how = Checked {
            views: [self.view.clone(), self.view.clone()],
            ty: ty.clone(),
            purpose,
            own,
        };
        let checked = self.engine.validate(&self.scope, how, body).await;
        checked.map_err(|error| Refusal::about(form, error, names))
    }
}

/// Does what may wait for the disk where it keeps nobody else waiting.
pub async fn blocking<T: Send + 'static>(what: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(what)
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))?
}

/// One level of a row's fields.
pub fn fields(row: &Resource) -> Result<Fields> {
    Fields::parse(&row.fields)
}

/// What the audit log reads of an object of which it must not have more.
pub fn named(name: &str) -> Input {
    Input::from_iter([("name".to_owned(), Value::from(name))])
}

/// A list as all of them are written.
pub fn list(data: Vec<Value>) -> Value {
    json!({"object": "list", "data": data})
}

/// What a host is called.
pub fn hostname(row: &Resource) -> String {
    let own = fields(row).ok().and_then(|fields| fields.text("hostname"));
    own.filter(|name| !name.is_empty()).unwrap_or_else(|| row.name.clone())
}
