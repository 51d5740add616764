//! One caller in one project, as every interface has it: what it may, and the rows that objects are here.

use std::sync::Arc;

use serde_json::{Map, Value};

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
    /// Whoever has this scope.
    pub fn new(engine: &Arc<Engine>, scope: Scope, client_ip: String) -> Self {
        Self {
            engine: engine.clone(),
            view: engine.view(&scope).clone(),
            scope,
            client_ip,
        }
    }

    /// The type behind an object, if the caller may do that to its rows.
    ///
    /// # Errors
    /// 403 otherwise.
    pub fn may(&self, kind: &str, deed: Deed) -> Result<Arc<TypeView>> {
        let has = |ty: &&Arc<TypeView>| {
            let (methods, method) = match deed {
                Deed::Read => (&ty.collection_methods, "GET"),
                Deed::Create => (&ty.collection_methods, "POST"),
                Deed::Update => (&ty.resource_methods, "PUT"),
                Deed::Remove => (&ty.resource_methods, "DELETE"),
            };
            methods.iter().any(|m| m == method)
        };
        let ty = self.view.find_by_kind(kind).filter(has);
        ty.cloned()
            .ok_or_else(|| forbidden(format!("this role may not do that to a {kind}")))
    }

    /// 403 unless the caller's view of a type has this action.
    pub fn may_act(&self, ty: &TypeView, action: &str) -> Result<()> {
        match ty.actions.contains_key(action) {
            true => Ok(()),
            false => Err(forbidden(format!("this role may not {action} a {}", ty.id))),
        }
    }

    /// Whether the caller's view of launch configurations has a field.
    pub fn shows(&self, native: &str) -> bool {
        let launch = self.view.find_by_kind("launchConfig");
        launch.is_some_and(|launch| launch.fields.contains_key(native))
    }

    /// A type that no view shows.
    pub fn hidden(&self, kind: &str) -> Result<Arc<Type>> {
        let def = self.engine.registry().find_type(kind).cloned();
        def.ok_or_else(|| Error::bug("a type is not there"))
    }

    /// Notes for the audit log what is asked for.
    pub fn note(&mut self, ty: &Type, id: Option<&Resource>, operation: &str, body: &Input) {
        note(
            &self.engine,
            &mut self.scope,
            &self.client_ip,
            (ty, id, operation, body),
        );
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

    /// What counts of a body in Rancher's words.
    pub async fn validated(
        &self,
        ty: &Arc<TypeView>,
        body: Value,
        purpose: Purpose,
        own: Option<ResourceId>,
    ) -> Result<Input> {
        let Value::Object(body) = body else {
            return Err(Error::bug("a body that is no object"));
        };
        let how = Checked {
            views: [self.view.clone(), self.view.clone()],
            ty: ty.clone(),
            purpose,
            own,
        };
        self.engine.validate(&self.scope, how, body).await
    }
}

fn forbidden(why: String) -> Error {
    Error::new(ErrorKind::Forbidden).with_message(why)
}

/// Notes in a scope, for the audit log, what is asked for: of which type, of which row, what, and with which body.
pub fn note(
    engine: &Engine,
    scope: &mut Scope,
    client_ip: &str,
    (ty, row, operation, body): (&Type, Option<&Resource>, &str, &Input),
) {
    let id = row.map(|row| engine.wire_id(row));
    let asked = Asked {
        ty,
        id: id.as_deref(),
        operation,
        body,
        client_ip,
    };
    scope.attempt = engine.attempt(&asked);
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

/// An object in a row's fields; empty if there is none.
pub fn object(fields: &Fields, name: &str) -> Result<Map<String, Value>> {
    let found: Option<Option<Map<String, Value>>> = fields.read(name)?;
    Ok(found.flatten().unwrap_or_default())
}

/// What the audit log reads of an object before it is known to be in order, or of which it must not have more.
pub fn named(name: &str) -> Input {
    Input::from_iter([("name".to_owned(), Value::from(name))])
}

/// What a host is called.
pub fn hostname(row: &Resource) -> String {
    let own = fields(row).ok().and_then(|fields| fields.text("hostname"));
    own.filter(|name| !name.is_empty()).unwrap_or_else(|| row.name.clone())
}
