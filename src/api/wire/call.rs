//! One request on its way, and the answer it gets: what all handlers share.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web;
use serde_json::{Map, Value};

use super::request::{Base, Query, Verb};
use super::route::{PathId, letters_fit};
use crate::engine::{Checked, Engine, Input, Scope};
use crate::http::encoding::Kept;
use crate::http::json::{push_key, push_str};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::validate::Purpose;
use crate::schema::{TypeView, View, render};

/// A request that has been let in.
pub struct Call<'r> {
    /// Does what is asked.
    pub engine: &'r Arc<Engine>,
    /// Who asks.
    pub scope: &'r Scope,
    /// What exists for the caller.
    pub view: &'r Arc<View>,
    /// The method.
    pub verb: Verb,
    /// The parameters.
    pub query: &'r Query<'r>,
    /// What links begin with.
    pub base: &'r Base,
    /// The path as it came.
    pub path: &'r str,
    /// `actions` or `actionLinks`.
    pub actions_key: &'static str,
}

/// What a handler answers.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// JSON, or a file.
    pub body: Text,
    /// The project whose schemas the header names, if not those of the request.
    pub schemas_of: Option<String>,
}

/// A body: made for this request, or kept for many.
pub enum Text {
    /// Made.
    Own(String),
    /// Kept.
    Shared(Arc<Kept>),
    /// No JSON, but a file of this media type, for whoever asks.
    File(&'static str, Vec<u8>),
}

impl Text {
    /// The bytes of either.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(text) => text.as_bytes(),
            Self::Shared(kept) => kept.plain(),
            Self::File(_, bytes) => bytes,
        }
    }
}

impl Reply {
    /// An answer with this body.
    pub fn new(status: StatusCode, body: String) -> Self {
        Self {
            status,
            body: Text::Own(body),
            schemas_of: None,
        }
    }

    /// 200 with a file.
    pub fn file(media: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            status: StatusCode::OK,
            body: Text::File(media, bytes),
            schemas_of: None,
        }
    }

    /// 200.
    pub fn ok(body: String) -> Self {
        Self::new(StatusCode::OK, body)
    }
}

impl Call<'_> {
    /// The type of a path segment; 404 if there is none for the caller.
    pub fn find_type(&self, segment: &str) -> Result<&Arc<TypeView>> {
        self.view.find_by_path(segment).ok_or_else(Error::not_found)
    }

    /// 405 unless the type lists the method for its collection.
    pub fn require_collection_method(&self, ty: &TypeView) -> Result<()> {
        self.require(&ty.collection_methods)
    }

    /// 405 unless the type lists the method for its rows.
    pub fn require_resource_method(&self, ty: &TypeView) -> Result<()> {
        self.require(&ty.resource_methods)
    }

    fn require(&self, methods: &[String]) -> Result<()> {
        let known = methods.iter().any(|m| m == self.verb.as_str());
        if known {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::MethodNotAllowed))
        }
    }

    /// The row of a path; 404 if the id is none, or is not of this type, or is written with another type's letters.
    pub fn get(&self, ty: &TypeView, id: &str) -> Result<Arc<Resource>> {
        let Some(PathId::Row(wire)) = PathId::parse(id) else {
            return Err(Error::not_found());
        };
        let row = self.engine.find(self.scope, wire.id)?.ok_or_else(Error::not_found)?;
        let registry = self.engine.registry();
        let prefix = registry.type_of(&row.root, &row.kind).map_or("", |t| t.prefix.as_str());
        // Whoever is a member of a project finds it among projects, not among accounts.
        let is_elsewhere = ty.def.id == "account" && row.kind == "project" && !self.scope.sees(&row);
        if ty.has(&row) && letters_fit(wire.letters, prefix) && !is_elsewhere {
            Ok(row)
        } else {
            Err(Error::not_found())
        }
    }

    /// The wire id of a row of this type.
    pub fn wire_id(&self, ty: &TypeView, id: ResourceId) -> String {
        render::wire_id(render::id_prefix(self.view, ty), id)
    }

    /// The URL of the request without its query, slashes put right.
    pub fn url(&self) -> String {
        let mut url = String::with_capacity(self.base.origin.len() + self.path.len());
        url.push_str(&self.base.origin);
        for segment in self.path.split('/').filter(|s| !s.is_empty()) {
            url.push('/');
            url.push_str(segment);
        }
        url
    }

    /// The view whose schemas the inputs of a type's actions are: another version's where that one serves the type.
    pub fn input_view(&self, ty: &TypeView) -> &Arc<View> {
        ty.served_as.map_or(self.view, |version| {
            self.engine.registry().view(version, self.scope.role)
        })
    }

    /// Validates a body. `own` is the row it changes, if there is one yet.
    pub async fn validate(
        &self,
        view: &Arc<View>,
        ty: &Arc<TypeView>,
        body: Input,
        purpose: Purpose,
        own: Option<ResourceId>,
    ) -> Result<Input> {
        let asked = Checked {
            views: [view.clone(), self.view.clone()],
            ty: ty.clone(),
            purpose,
            own,
        };
        self.engine.validate(self.scope, asked, body).await
    }
}

/// Runs blocking work in the pool.
pub async fn block<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    web::block(work)
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))?
}

/// Writes an object that is no row: `id` null, no links.
pub fn plain_object(ty: &str, fields: &Map<String, Value>, actions_key: &str) -> String {
    let mut out = String::from(r#"{"id":null,"type":"#);
    push_str(&mut out, ty);
    out.push_str(r#","links":{},"#);
    push_key(&mut out, actions_key);
    out.push_str(r#"{},"baseType":"#);
    push_str(&mut out, ty);
    for (name, value) in fields
        .iter()
        .filter(|(name, _)| !["id", "type", "links", "actions", "baseType"].contains(&name.as_str()))
    {
        out.push(',');
        push_key(&mut out, name);
        out.push_str(&value.to_string());
    }
    out.push('}');
    out
}
