//! Writing rows: which type a row is shown as, which actions it offers, and what `include` adds to it.

use std::collections::HashMap;
use std::sync::Arc;

use super::chosen::Chosen;
use super::{audit, registration};
use crate::engine::{Allowed, Derived, Engine, Rights, Scope};
use crate::http::json::push_key;
use crate::model::{Resource, ResourceId, Result};
use crate::schema::{Link, Registry, Relation, TypeView, View, render};

/// How the rows of one answer are written.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// Decides on states and actions.
    pub engine: &'a Engine,
    /// Who reads.
    pub scope: &'a Scope,
    /// What the reader's view is.
    pub view: &'a View,
    /// What links begin with.
    pub root: &'a str,
    /// `actions` or `actionLinks`.
    pub actions_key: &'a str,
    /// The fields asked for; none is all.
    pub chosen: Option<&'a Chosen>,
    /// The parameter `key`: who made a registration knows it.
    pub key: Option<&'a str>,
}

/// The rows that come along with others by `include`.
pub struct Included<'a> {
    name: &'a str,
    is_one: bool,
    derived: Derived,
    /// The row they belong to → places in `rows`.
    of: HashMap<ResourceId, Vec<usize>>,
    rows: Vec<Resource>,
}

impl<'a> Included<'a> {
    /// Follows `link` from all of `rows` at once. Blocking.
    pub fn fetch<'r>(
        writer: &Writer<'_>,
        rows: impl IntoIterator<Item = &'r Resource>,
        link: &'a Link,
    ) -> Result<Self> {
        let ids: Vec<ResourceId> = rows.into_iter().map(|r| r.id).collect();
        let mut of: HashMap<ResourceId, Vec<usize>> = HashMap::new();
        let mut far = Vec::new();
        for (near, row) in writer.engine.follow(writer.scope, &ids, link)? {
            of.entry(near).or_default().push(far.len());
            far.push(row);
        }
        let derived = writer.engine.derive(writer.scope, &far)?;
        Ok(Self {
            name: &link.name,
            is_one: matches!(link.to, Relation::One { .. }),
            derived,
            of,
            rows: far,
        })
    }

    /// Puts the rows into the object that `out` ends with. Without any, the key is absent.
    fn splice(&self, out: &mut String, writer: &Writer<'_>, near: ResourceId) {
        let Some(places) = self.of.get(&near) else { return };
        // Before the closing brace.
        let end = out.len() - 1;
        out.truncate(end);
        out.push(',');
        push_key(out, self.name);
        let rows = places.iter().filter_map(|at| self.rows.get(*at));
        if self.is_one {
            if !rows.take(1).any(|row| writer.row(out, row, &self.derived)) {
                out.truncate(end);
            }
        } else {
            out.push('[');
            writer.rows(out, rows, &self.derived, None);
            out.push(']');
        }
        out.push('}');
    }
}

/// What a row's kind and state decide of its form.
struct Appearance<'a> {
    ty: &'a TypeView,
    offered: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    /// Appends a row; false, and nothing is written, if the view hides its type.
    pub fn row(&self, out: &mut String, row: &Resource, derived: &Derived) -> bool {
        let allowed = Self::allowed(self.engine.rights(self.scope).ok().as_ref(), row);
        self.row_as(out, row, derived, self.appearance(row, allowed).as_ref())
    }

    /// What the reader may do to a row; nothing, if that cannot be found out.
    fn allowed(rights: Option<&Rights<'_>>, row: &Resource) -> Allowed {
        rights
            .and_then(|rights| rights.to(row).ok())
            .unwrap_or(Allowed::Nothing)
    }

    /// How rows of this one's kind and state look to whom this is allowed; none if the view hides its type.
    fn appearance(&self, row: &Resource, allowed: Allowed) -> Option<Appearance<'a>> {
        let (engine, view) = (self.engine, self.view);
        let registry = engine.registry();
        let ty = shown_type(registry, view, &registry.type_of(&row.root, &row.kind)?.id)?;
        let is_offered = |action: &&str| {
            let is_named =
                ty.def.offered_in.contains_key(*action) || !ty.def.unavailable_actions.iter().any(|u| u == action);
            is_named && allowed.includes(action) && engine.offers(view.version, ty, row, action)
        };
        let mut offered: Vec<&str> = Vec::with_capacity(ty.actions.len());
        offered.extend(ty.actions.keys().map(String::as_str).filter(is_offered));
        Some(Appearance { ty, offered })
    }

    fn row_as(&self, out: &mut String, row: &Resource, derived: &Derived, appearance: Option<&Appearance<'_>>) -> bool {
        let Some(Appearance { ty, offered }) = appearance else {
            return false;
        };
        let state = self.engine.shown_state(self.view.version, ty, row);
        let derived = derived.get(&row.id).map_or(&[][..], Vec::as_slice);
        let context = render::Context {
            view: self.view,
            ty,
            base: self.root,
            actions_key: self.actions_key,
        };
        let start = out.len();
        render::resource(out, &context, row, state, derived, offered);
        registration::finish(out, start, self, row);
        audit::point(out, start, self, row);
        if let Some(chosen) = self.chosen {
            chosen.cut(out, start);
        }
        true
    }

    /// Appends a row and what comes along with it.
    pub fn row_with(
        &self,
        out: &mut String,
        row: &Resource,
        derived: &Derived,
        included: Option<&Included<'_>>,
    ) -> bool {
        let written = self.row(out, row, derived);
        if let Some(included) = included.filter(|_| written) {
            included.splice(out, self, row.id);
        }
        written
    }

    /// Appends rows as the elements of a list.
    pub fn rows<'r>(
        &self,
        out: &mut String,
        rows: impl IntoIterator<Item = &'r Resource>,
        derived: &Derived,
        included: Option<&Included<'_>>,
    ) {
        let start = out.len();
        let rights = self.engine.rights(self.scope).ok();
        // Neighbours are mostly of one kind and in one state: what follows from these is worked out once.
        let mut last: Option<(&Resource, Allowed, Option<Appearance<'_>>)> = None;
        for row in rows {
            let length = out.len();
            if length > start {
                out.push(',');
            }
            let allowed = Self::allowed(rights.as_ref(), row);
            let is_alike = |(l, a, _): &(&Resource, Allowed, _)| {
                l.kind == row.kind && l.state == row.state && l.root == row.root && *a == allowed
            };
            if !last.as_ref().is_some_and(is_alike) {
                last = Some((row, allowed, self.appearance(row, allowed)));
            }
            if self.row_as(out, row, derived, last.as_ref().and_then(|(_, _, a)| a.as_ref())) {
                if let Some(included) = included {
                    included.splice(out, self, row.id);
                }
            } else {
                out.truncate(length);
            }
        }
    }
}

/// The type a row of `kind` is shown as: its own, or the nearest parent that the view has.
pub fn shown_type<'v>(registry: &Registry, view: &'v View, kind: &str) -> Option<&'v Arc<TypeView>> {
    if let Some(ty) = view.find_by_kind(kind) {
        return Some(ty);
    }
    let mut parent = registry.find_type(kind)?.parent.as_deref();
    while let Some(name) = parent {
        if let Some(ty) = view.find_by_kind(name) {
            return Some(ty);
        }
        parent = registry.find_type(name)?.parent.as_deref();
    }
    None
}
