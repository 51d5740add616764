//! What other interfaces than Rancher's ask for: rows of a project by their root, things that no view of Rancher's shows, and services
//! that are changed all at once.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Engine;
use crate::engine::access::SECRET_VALUE;
use crate::engine::core::{DEFAULT_PROJECT, Input, Proof, Scope, Update, is_sim, notes, unchecked, whole_of};
use crate::engine::hosts;
use crate::engine::instances::{InstanceNotes, is_left};
use crate::engine::services::{self, Deploy, Fronted};
use crate::model::{Error, Resource, ResourceId, Result, Timestamp};
use crate::schema::TypeView;

/// A container as a part of its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The number of its unit: the `n` at the end of its name.
    pub index: u32,
    /// The sidekick it is; none for the primary.
    pub config: Option<String>,
    /// When it last started.
    pub up_since: Option<Timestamp>,
    /// When it last ended by itself.
    pub exited_at: Option<Timestamp>,
    /// How it last ended by itself.
    pub exit_code: Option<i64>,
    /// Whether that was after its last start.
    pub ended_by_itself: bool,
    /// Whether it has ended by itself and is left so.
    pub is_over: bool,
}

impl Engine {
    /// The caller of an interface that knows one project at a time: for the one that it named or that its key is of, else the Default one.
    ///
    /// # Errors
    /// 403 if it may not enter the Default project.
    pub fn in_one_project(&self, scope: Scope) -> Result<Scope> {
        if scope.effective.kind == "project" {
            return Ok(scope);
        }
        let project = format!("1a{DEFAULT_PROJECT}");
        match scope.proof {
            Proof::Open => self.admit_open(scope.version, Some(&project)),
            proof => self.admit(scope.version, proof, scope.user.id, Some(&project)),
        }
    }

    /// All live rows of a root in the caller's project, by id. Blocking.
    pub fn rows(&self, scope: &Scope, root: &str) -> Result<Vec<Resource>> {
        self.core.store.all(root, Some(scope.effective.id))
    }

    /// The row of this number, if it is of this root and in the caller's project, and live.
    pub fn row(&self, scope: &Scope, root: &str, id: ResourceId) -> Result<Option<Resource>> {
        let row = self.core.store.find(id)?;
        Ok(row.filter(|row| row.root == root && row.account_id == Some(scope.effective.id) && row.removed.is_none()))
    }

    /// The newest rows of a root that live, or lived, in the caller's project, or in one of its rows; at most so many. Blocking.
    pub fn history(&self, scope: &Scope, parent: Option<ResourceId>, root: &str, most: u32) -> Result<Vec<Resource>> {
        self.core.store.history(scope.effective.id, parent, root, most)
    }

    /// A new row of a type that is nothing but its fields, whether the caller's view shows it or not. Who may make one is for the
    /// interface to say.
    pub async fn create_row(&self, scope: &Scope, kind: &str, input: Input) -> Result<Resource> {
        let def = self.core.registry.find_type(kind).ok_or_else(Error::not_found)?;
        self.core.create_plain(scope, def, scope.effective.id, input).await
    }

    /// Writes fields of a row, whether the caller's view shows them or not.
    pub async fn write_row(&self, scope: &Scope, row: &Resource, input: Input) -> Result<Resource> {
        let def = self.core.registry.type_of(&row.root, &row.kind);
        let update = Update::plain(def.ok_or_else(Error::not_found)?);
        self.core.update_row(scope, row.id, input, update).await
    }

    /// Removes a row of a type that no view shows.
    pub async fn remove_row(&self, scope: &Scope, row: &Resource) -> Result<Resource> {
        let def = self.core.registry.type_of(&row.root, &row.kind);
        let def = def.ok_or_else(Error::not_found)?;
        self.core.remove_row(scope, def, row.id, unchecked).await
    }

    /// Changes a service all at once; see [`Deploy`].
    ///
    /// # Errors
    /// 409 if somebody was faster, 422 for what is wrong with it.
    pub async fn deploy(&self, scope: &Scope, ty: &TypeView, row: &Resource, deploy: Deploy) -> Result<Resource> {
        self.core.require(scope, row, "update")?;
        services::deploy(&self.core, scope, ty, row, deploy).await
    }

    /// Makes a service with a balancer before it, in the caller's project.
    ///
    /// # Errors
    /// 422 for what is wrong with any of it; then nothing is made.
    pub async fn create_fronted(&self, scope: &Scope, fronted: Fronted) -> Result<Resource> {
        services::create_fronted(&self.core, scope, fronted).await
    }

    /// The balancers before services of the caller's project, by the services' numbers. Blocking.
    pub fn balancers_before(&self, services: &[ResourceId]) -> Result<HashMap<ResourceId, Resource>> {
        Ok(self.core.balancers_before(services)?.into_iter().collect())
    }

    /// Takes the balancer before a service away, and writes fields of the service, which goes on by itself.
    ///
    /// # Errors
    /// 409 if it is going, 422 for a name that is not free.
    pub async fn disband(
        &self,
        scope: &Scope,
        ty: &TypeView,
        row: &Resource,
        fields: Map<String, Value>,
    ) -> Result<Resource> {
        self.core.require(scope, row, "update")?;
        services::disband(&self.core, scope, ty, row, fields).await
    }

    /// Gives the caller's project so many floating addresses.
    ///
    /// # Errors
    /// 501 if this server has none, 403 for too many, 409 if there are no more.
    pub async fn allocate_addresses(&self, scope: &Scope, count: usize) -> Result<Vec<Resource>> {
        services::allocate(&self.core, scope, count).await
    }

    /// Gives a floating address back.
    ///
    /// # Errors
    /// 409 for one that is in use.
    pub async fn release_address(&self, scope: &Scope, address: &Resource) -> Result<Resource> {
        services::release(&self.core, scope, address).await
    }

    /// Names a floating address.
    ///
    /// # Errors
    /// 422 for a name that another one has.
    pub async fn name_address(&self, scope: &Scope, address: &Resource, name: String) -> Result<Resource> {
        services::name(&self.core, scope, address, name).await
    }

    /// Leads a floating address to a service or a container, or to nobody.
    ///
    /// # Errors
    /// 409 if the address or who is to have it is not free.
    pub async fn lead_address(&self, scope: &Scope, address: &Resource, to: Option<&Resource>) -> Result<Resource> {
        services::lead(&self.core, scope, address, to).await
    }

    /// Asks for `activate`, `deactivate` or `evacuate` of a host, which has these labels from then on.
    ///
    /// # Errors
    /// 422 where the state of the host has no such action.
    pub async fn change_host(&self, scope: &Scope, row: &Resource, action: &str, labels: Value) -> Result<Resource> {
        self.core.require(scope, row, action)?;
        hosts::ask(&self.core, scope, row, action, Some(labels)).await
    }

    /// How clients write the number of a row.
    pub fn wire_id(&self, row: &Resource) -> String {
        let def = self.core.registry.type_of(&row.root, &row.kind);
        format!("{}{}", def.map_or("1", |ty| ty.prefix.as_str()), row.id)
    }

    /// Whether this is the value of a secret, in base64. Nobody is told what it is.
    pub fn is_secret_value(&self, secret: &Resource, value: &str) -> Result<bool> {
        let kept = self.core.store.credential(secret.id)?;
        let own = kept.and_then(|kept| self.core.config.secrets.unseal(SECRET_VALUE, &kept.secret));
        Ok(own.is_some_and(|own| crate::secret::is_same(own.as_bytes(), value.as_bytes())))
    }

    /// Whether a host only simulates containers.
    pub fn is_simulated(&self, host: &Resource) -> bool {
        is_sim(host)
    }

    /// Whether a service is there for another one alone: a balancer that publishes its ports, or stands before it.
    pub fn is_part(&self, service: &Resource) -> bool {
        whole_of(service).is_some()
    }

    /// What is known of a container as a part of its service.
    pub fn unit_of(&self, row: &Resource) -> Unit {
        let note: InstanceNotes = notes(row);
        let is_later = |at: Timestamp| note.up_since.is_none_or(|up| at >= up);
        let ended_by_itself = note.exited_at.is_some_and(is_later);
        Unit {
            is_over: ended_by_itself && is_left(row, &note),
            index: note.index,
            config: note.config,
            up_since: note.up_since,
            ended_by_itself,
            exited_at: note.exited_at,
            exit_code: note.exit_code,
        }
    }
}
