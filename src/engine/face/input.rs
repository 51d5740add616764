//! What a request brings, held against the schemas and against the rows that it names.

use std::sync::Arc;

use super::Engine;
use crate::engine::core::{Filter, Input, ListQuery, Scope};
use crate::model::{Error, Resource, ResourceId, Result, State, WireId};
use crate::schema::validate::{self, Purpose, Refs};
use crate::schema::{TypeView, View};

/// How a body is checked.
pub struct Checked {
    /// By whose schemas: first those of the version that serves the type, then those of the version in the path.
    pub views: [Arc<View>; 2],
    /// What it describes.
    pub ty: Arc<TypeView>,
    /// What it is for.
    pub purpose: Purpose,
    /// The row it changes, if there is one yet.
    pub own: Option<ResourceId>,
}

/// What validation asks, answered by the engine.
struct Rows {
    engine: Engine,
    scope: Scope,
    ty: Arc<TypeView>,
    own: Option<ResourceId>,
}

impl Engine {
    /// What of a body counts, converted.
    ///
    /// # Errors
    /// 422 with the first field that is wrong.
    pub async fn validate(&self, scope: &Scope, how: Checked, body: Input) -> Result<Input> {
        let Checked {
            views,
            ty,
            purpose,
            own,
        } = how;
        let rows = Rows {
            engine: self.clone(),
            scope: scope.clone(),
            ty: ty.clone(),
            own,
        };
        let is_listed = ty.input_fields().values().any(|f| f.unique);
        let [first, second] = views;
        let check = move || validate::input_by([&first, &second], &ty, &body, purpose, &rows);
        // Uniqueness is asked by a list.
        if !is_listed {
            return check();
        }
        tokio::task::spawn_blocking(check)
            .await
            .map_err(|e| Error::internal("waiting for a blocking thread", e))?
    }

    /// Whether `kind` is `wanted` or derived from it; an empty `wanted` is anything.
    pub fn is_kind(&self, kind: &str, wanted: &str) -> bool {
        let mut next = Some(kind);
        while let Some(kind) = next {
            if wanted.is_empty() || kind == wanted {
                return true;
            }
            next = self.registry().find_type(kind).and_then(|t| t.parent.as_deref());
        }
        false
    }
}

impl Refs for Rows {
    fn exists(&self, kind: &str, wire: &str) -> Result<bool> {
        let Some(wire) = WireId::parse(wire) else {
            return Ok(false);
        };
        let Some(row) = self.engine.find(&self.scope, wire.id)? else {
            return Ok(false);
        };
        let is_kind = self
            .engine
            .registry()
            .type_of(&row.root, &row.kind)
            .is_some_and(|ty| self.engine.is_kind(&ty.id, kind));
        Ok(row.removed.is_none() && is_kind)
    }

    fn is_taken(&self, field: &str, value: &str) -> Result<bool> {
        let filter = Filter {
            field: field.to_owned(),
            modifier: "eq".to_owned(),
            value: value.to_owned(),
        };
        // More than two: one may be the row itself, and others may be on their way out.
        let query = ListQuery {
            filters: vec![filter],
            limit: 20,
            ..ListQuery::default()
        };
        let page = self.engine.list(&self.scope, &self.ty, &query)?;
        // A container has its name until its engine has let go of it; of anything else nobody sees the name any more.
        let is_in_the_way = |row: &Resource| row.state != State::REMOVING || row.root == "instance";
        let mut others = page.rows.iter().filter(|row| Some(row.id) != self.own);
        Ok(others.any(|row| is_in_the_way(row)))
    }
}
