//! One caller in one project: what it may, and the rows that Hyper's objects are here.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::refusal::{Outcome, Refusal};
use crate::engine::{Asked, Checked, Engine, Input, Scope};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::schema::validate::Purpose;
use crate::schema::{Type, TypeView, View};

/// A caller that was let in.
#[derive(Clone)]
pub struct Caller {
    /// Does what is asked.
    pub engine: Arc<Engine>,
    /// Who asks.
    pub scope: Scope,
    /// What there is for it.
    pub view: Arc<View>,
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
    /// The type behind an object, if the caller may do that to its rows.
    ///
    /// # Errors
    /// 403 otherwise.
    pub fn may(&self, kind: &str, deed: Deed) -> Outcome<Arc<TypeView>> {
        let has = |ty: &&Arc<TypeView>| {
            let (methods, method) = match deed {
                Deed::Read => (&ty.collection_methods, "GET"),
                Deed::Create => (&ty.collection_methods, "POST"),
                Deed::Update => (&ty.resource_methods, "PUT"),
                Deed::Remove => (&ty.resource_methods, "DELETE"),
            };
            methods.iter().any(|m| m == method)
        };
        let forbidden = || {
            let why = format!("this role may not do that to a {kind}");
            Refusal::from(Error::new(ErrorKind::Forbidden).with_message(why))
        };
        let ty = self.view.find_by_kind(kind).filter(has);
        ty.cloned().ok_or_else(forbidden)
    }

    /// 403 unless the caller's view of a type has this action.
    pub fn may_act(&self, ty: &TypeView, action: &str) -> Outcome<()> {
        match ty.actions.contains_key(action) {
            true => Ok(()),
            false => {
                let why = format!("this role may not {action} a {}", ty.id);
                Err(Error::new(ErrorKind::Forbidden).with_message(why).into())
            }
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

    /// Those rows of a root in the project that are not on their way out. In the pool of blocking threads.
    pub async fn lasting(&self, root: &'static str) -> Result<Vec<Resource>> {
        let (engine, scope) = (self.engine.clone(), self.scope.clone());
        let mut rows = blocking(move || engine.rows(&scope, root)).await?;
        rows.retain(|row| !matches!(row.state, State::REMOVING | State::REMOVED | State::PURGED));
        Ok(rows)
    }

    /// The project as Hyper calls tenants: 32 hexadecimal digits.
    pub fn tenant(&self) -> String {
        let own = self.engine.find(&self.scope, self.scope.effective.id).ok().flatten();
        let digits: String = own.map(|row| row.uuid.replace('-', "")).unwrap_or_default();
        if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return digits.to_ascii_lowercase();
        }
        let text = format!("{} {}", self.engine.server_uuid(), self.scope.effective.id);
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// What counts of a body in Rancher's words.
    pub async fn validated(
        &self,
        ty: &Arc<TypeView>,
        body: Value,
        purpose: Purpose,
        own: Option<ResourceId>,
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
        Ok(self.engine.validate(&self.scope, how, body).await?)
    }
}

/// Does something that takes a while on a thread that may wait.
pub async fn blocking<T: Send + 'static>(what: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(what)
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))?
}

/// One level of a row's fields.
pub fn fields(row: &Resource) -> Result<Fields> {
    Fields::parse(&row.fields)
}

/// An object in a row's fields; empty if there is none.
pub fn object(fields: &Fields, name: &str) -> Result<Map<String, Value>> {
    Ok(fields
        .read::<Option<Map<String, Value>>>(name)?
        .flatten()
        .unwrap_or_default())
}

/// What the audit log reads of an object before it is known to be in order.
pub fn named(name: &str) -> Input {
    Input::from_iter([("name".to_owned(), Value::from(name))])
}
