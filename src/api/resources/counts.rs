//! `counts=stackId,state`: how many rows of a list have the same values, in place of the rows. Not in Rancher.
//!
//! Whoever shows a thousand services as a line of numbers need not read a thousand services for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::collection;
use crate::api::wire::call::{Call, Reply, block};
use crate::engine::{Engine, ListQuery, Tally};
use crate::http::json::{push_comma, push_key, push_option};
use crate::model::{Error, ResourceId, Result};
use crate::schema::{Column, FieldType, Source, TypeView, View, render};

/// The parameter.
pub const PARAMETER: &str = "counts";
/// Different combinations at most: more are no overview.
const MAX_GROUPS: usize = 10_000;

/// What rows are counted by.
struct By {
    name: String,
    column: Column,
    /// The type that a reference leads to.
    far: Option<String>,
}

/// The list of `ty` as numbers.
pub async fn answer(call: &Call<'_>, ty: &Arc<TypeView>, parameters: ListQuery) -> Result<Reply> {
    let by = asked(ty, call.query.first(PARAMETER).unwrap_or_default())?;
    let (engine, scope, view) = (call.engine.clone(), call.scope.clone(), call.view.clone());
    let far_ty = ty.clone();
    let tallies = block(move || engine.tally(&scope, &far_ty, &parameters)).await?;
    let mut groups: BTreeMap<Vec<Option<String>>, u64> = BTreeMap::new();
    for tally in &tallies {
        let key = by.iter().map(|by| value(call.engine, &view, ty, by, tally)).collect();
        *groups.entry(key).or_default() += tally.count;
    }
    if groups.len() > MAX_GROUPS {
        return Err(Error::invalid("MaxLimitExceeded", PARAMETER));
    }
    let mut out = String::with_capacity(512 + groups.len() * 96);
    collection::open_plain(&mut out, call, "count");
    // What is counted by type says that type in the place of its own.
    let is_typed = by.iter().any(|by| by.name == "type");
    for (key, count) in &groups {
        push_comma(&mut out);
        out.push_str(if is_typed { "{" } else { r#"{"type":"count""# });
        for (by, value) in by.iter().zip(key) {
            push_comma(&mut out);
            push_key(&mut out, &by.name);
            push_option(&mut out, value.as_deref());
        }
        let _ = write!(out, r#","count":{count}}}"#);
    }
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

/// The fields that are named; each has to stand in a column of its own.
fn asked(ty: &TypeView, text: &str) -> Result<Vec<By>> {
    let refused = || Error::invalid("InvalidOption", PARAMETER);
    // The audit log is no row among the others.
    if ty.def.root == "auditLog" {
        return Err(refused());
    }
    let mut all: Vec<By> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let column = match (name, ty.fields.get(name).map(|field| field.source)) {
            ("type", _) => Column::Kind,
            (_, Some(Source::Column(column))) if is_countable(column) => column,
            _ => return Err(refused()),
        };
        let far = match ty.fields.get(name).map(|field| &field.ty) {
            Some(FieldType::Reference(far)) => Some(far.clone()),
            _ => None,
        };
        if all.iter().any(|by| by.name == name) {
            return Err(refused());
        }
        all.push(By {
            name: name.to_owned(),
            column,
            far,
        });
    }
    Ok(all)
}

/// Columns with few values among many rows.
fn is_countable(column: Column) -> bool {
    matches!(
        column,
        Column::Kind | Column::ParentId | Column::HostId | Column::State | Column::Health
    )
}

/// The value of a group as rows show it.
fn value(engine: &Engine, view: &View, ty: &TypeView, by: &By, tally: &Tally) -> Option<String> {
    let reference = |id: Option<ResourceId>| {
        let far = by.far.as_deref().and_then(|far| view.find_by_kind(far))?;
        Some(render::wire_id(render::id_prefix(view, far), id?))
    };
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    match by.column {
        Column::Kind => {
            let registry = engine.registry();
            let kind = &registry.type_of(&ty.def.root, &tally.kind)?.id;
            super::resource::shown_type(registry, view, kind).map(|ty| ty.id.clone())
        }
        Column::ParentId => reference(tally.parent),
        Column::HostId => reference(tally.host),
        Column::State => text(ty.shown_state(&tally.state)),
        Column::Health => text(&tally.health),
        Column::Id
        | Column::AccountId
        | Column::Uuid
        | Column::Name
        | Column::Created
        | Column::Removed
        | Column::PurgeAfter
        | Column::Transitioning
        | Column::Message
        | Column::Progress => None,
    }
}
