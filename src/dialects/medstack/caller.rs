//! One caller: its company, the clusters of it, and what it may do in one of them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Value, json};

use super::ids::Ids;
use super::refusal::{Form, Outcome, Refusal};
use crate::dialects::caller;
pub use crate::dialects::caller::{Deed, blocking, fields, hostname, named};
use crate::engine::{Input, ListQuery};
use crate::model::{Resource, ResourceId, State};
use crate::schema::validate::Purpose;
use crate::schema::{TypeView, Version};

/// The most clusters of a company that are listed.
const MOST_CLUSTERS: u32 = 3_000;

/// A caller that was let in, for its company or for one cluster of it.
#[derive(Clone)]
pub struct Caller {
    /// Who asks: for the company, or for the cluster.
    pub one: caller::Caller,
    /// How rows are called here.
    pub ids: Arc<Ids>,
}

impl Deref for Caller {
    type Target = caller::Caller;

    fn deref(&self) -> &Self::Target {
        &self.one
    }
}

impl DerefMut for Caller {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.one
    }
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
        Ok(Self {
            one: caller::Caller::new(&self.engine, scope, self.client_ip.clone()),
            ids: self.ids.clone(),
        })
    }

    /// What counts of a body in Rancher's words; the native names of fields are told by what they are called here.
    pub async fn validated(
        &self,
        ty: &Arc<TypeView>,
        body: Value,
        (purpose, own): (Purpose, Option<ResourceId>),
        (form, names): (Form, &[(&str, &str)]),
    ) -> Outcome<Input> {
        let checked = self.one.validated(ty, body, purpose, own).await;
        checked.map_err(|error| Refusal::about(form, error, names))
    }
}

/// A list as all of them are written.
pub fn list(data: Vec<Value>) -> Value {
    json!({"object": "list", "data": data})
}
