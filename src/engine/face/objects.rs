//! What other interfaces than Rancher's keep and ask for: objects of hidden types, requests that are done once, rollouts.

use std::collections::BTreeMap;

use super::Engine;
use crate::engine::access;
use crate::engine::core::{Input, ObjectChange, Once, OnceKey, Scope, is_usable};
use crate::engine::services::{self, Composed, RolloutOf, RolloutStep};
use crate::model::{Error, Resource, ResourceId, Result};
use crate::schema::TypeView;

impl Engine {
    /// A new object of a hidden type in the caller's project. Who may make one is for the interface to say.
    ///
    /// # Errors
    /// 409 `NotUnique` with the member that another one has, 409 where there are too many.
    pub async fn add_object(&self, scope: &Scope, kind: &str, made: ObjectChange) -> Result<Resource> {
        let def = self.core.registry.find_type(kind).ok_or_else(Error::not_found)?;
        self.core.add_object(scope, def, scope.effective.id, made).await
    }

    /// The same object with other members.
    ///
    /// # Errors
    /// As for a new one, and 409 for one that is gone.
    pub async fn change_object(&self, scope: &Scope, row: &Resource, change: ObjectChange) -> Result<Resource> {
        self.core.change_object(scope, row.id, change).await
    }

    /// Removes an object at once, together with `others`.
    ///
    /// # Errors
    /// 409 for one that is gone.
    pub async fn drop_objects(&self, scope: &Scope, row: &Resource, others: Vec<ResourceId>) -> Result<Resource> {
        self.core.drop_objects(scope, row.id, others).await
    }

    /// Begins a request under a key that its client chose, or says what became of it.
    pub async fn begin_once(&self, key: &OnceKey) -> Result<Once> {
        self.core.begin_once(key).await
    }

    /// Keeps what such a request was answered; without an answer the key is free again.
    pub async fn end_once(&self, id: ResourceId, answer: Option<(u16, &str)>) -> Result<()> {
        self.core.end_once(id, answer).await
    }

    /// The account of a live row of this root, whoever asks: for interfaces whose paths do not name the project. Whether the caller may
    /// see anything of it is said by the scope that it gets for that project.
    pub fn account_of(&self, root: &str, id: ResourceId) -> Result<Option<ResourceId>> {
        let row = self.core.store.find(id)?;
        let row = row.filter(|row| row.root == root && row.removed.is_none());
        Ok(row.and_then(|row| row.account_id))
    }

    /// All projects that are there, by id. Which of them the caller may enter is not said. Blocking.
    pub fn all_projects(&self) -> Result<Vec<Resource>> {
        let mut rows = self.core.store.all("account", None)?;
        rows.retain(|row| row.kind == "project" && is_usable(row));
        Ok(rows)
    }

    /// Asks for a rollout: in turn, each after the one before it went well, or all at once. Services that are not there are made, and
    /// `also` is an object that is changed, in the same transaction.
    ///
    /// # Errors
    /// 409 for a service that is in a rollout already, or is going, and for too many; 422 for what is wrong with a configuration, or
    /// for a name that is not free.
    pub async fn roll_out(
        &self,
        scope: &Scope,
        steps: Vec<RolloutStep>,
        in_turn: bool,
        also: Option<(&Resource, ObjectChange)>,
    ) -> Result<Vec<ResourceId>> {
        let also = also.map(|(row, change)| (row.id, change));
        let rows = services::roll_out(&self.core, scope, steps, in_turn, also).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// A service's part of a rollout as it stands, if it is in the caller's project.
    pub fn rollout(&self, scope: &Scope, id: ResourceId) -> Result<Option<RolloutOf>> {
        let row = self.row(scope, "rollout", id)?;
        row.map(|row| RolloutOf::of(&row)).transpose()
    }

    /// All of the caller's project, oldest first. Blocking.
    pub fn rollouts(&self, scope: &Scope) -> Result<Vec<RolloutOf>> {
        self.rows(scope, "rollout")?.iter().map(RolloutOf::of).collect()
    }

    /// A registry together with what it is opened with, in one transaction. Both bodies have passed their schemas.
    ///
    /// # Errors
    /// 400 `ServerAddressUsed` for an address that another one has.
    pub async fn open_registry(
        &self,
        scope: &Scope,
        (registry, input): (&TypeView, Input),
        credential: Option<(&TypeView, Input)>,
    ) -> Result<Resource> {
        access::open_registry(&self.core, scope, (registry, input), credential).await
    }

    /// Ends a registry and what it is opened with at once.
    ///
    /// # Errors
    /// 403 for who may not.
    pub async fn drop_registry(&self, scope: &Scope, row: &Resource) -> Result<()> {
        self.core.require(scope, row, "remove")?;
        access::drop_registry(&self.core, scope, row).await
    }

    /// Replaces the value of a secret, which is base64. Containers get it when they are started next.
    ///
    /// # Errors
    /// 409 for one that is going.
    pub async fn replace_secret(&self, scope: &Scope, row: &Resource, value: &str, beside: Input) -> Result<Resource> {
        access::replace_secret(&self.core, scope, row, value, beside).await
    }

    /// The service of this name in a compose file that has no other; `values` are put in place of its variables.
    ///
    /// # Errors
    /// 422 for what is wrong with the file, 501 for what is not part of this build, 404 for a file without that service.
    pub fn read_compose(&self, text: &str, name: &str, values: &BTreeMap<String, String>) -> Result<Composed> {
        services::read_compose(text, name, values)
    }
}
