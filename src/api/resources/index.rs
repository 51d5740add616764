//! What describes the API itself: the versions, the index of a version, the schemas.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::collection::{self, Head};
use crate::api::wire::call::{Call, Reply, Text};
use crate::http::encoding::Kept as KeptBody;
use crate::http::json::{push_comma, push_escaped, push_key, push_lower, push_option, push_str};
use crate::model::{Error, Result};
use crate::schema::{TypeView, Version, View, schema_json, write_schema};

/// How many schema collections are kept: each is some hundred kilobytes, and clients ask with few host names.
const KEPT: usize = 8;

/// Descriptions of a view as they were last served: schema collections, OpenAPI documents; by view and root of links.
#[derive(Debug, Default)]
pub struct SchemaCache(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    view: Arc<View>,
    root: String,
    actions_key: &'static str,
    body: Arc<KeptBody>,
}

/// `/v2-beta`: one link per type that can be listed. What is asked for no version is the first one (cattle: `VersionHandler`).
pub fn version(call: &Call<'_>) -> Reply {
    let listed = call
        .view
        .types
        .values()
        .filter(|ty| ty.collection_methods.iter().any(|m| m == "GET"));
    let mut links: BTreeMap<&str, Option<&str>> = listed
        .map(|ty| (ty.plural.as_str(), Some(ty.plural.as_str())))
        .collect();
    links.insert("self", None);
    let mut out = String::with_capacity(8192);
    open_version(&mut out, call.view.version);
    out.push('{');
    for (name, plural) in links {
        push_comma(&mut out);
        push_key(&mut out, name);
        out.push('"');
        push_escaped(&mut out, &call.base.root);
        if let Some(plural) = plural {
            out.push('/');
            push_lower(&mut out, plural);
        }
        out.push('"');
    }
    out.push_str("},");
    close_version(&mut out, call);
    Reply::ok(out)
}

fn open_version(out: &mut String, version: Version) {
    out.push_str(r#"{"id":"#);
    push_str(out, version.as_str());
    out.push_str(r#","type":"apiVersion","links":"#);
}

fn close_version(out: &mut String, call: &Call<'_>) {
    push_key(out, call.actions_key);
    out.push_str(r#"{},"baseType":"apiVersion"}"#);
}

/// `/v2-beta/schemas`: all of them, in the order of their names.
pub fn schemas(call: &Call<'_>, cache: &SchemaCache) -> Reply {
    cache.reply(call, || schema_collection(call))
}

impl SchemaCache {
    /// What was made for this view and root before, or what `make` makes.
    pub fn reply(&self, call: &Call<'_>, make: impl FnOnce() -> String) -> Reply {
        let is_same = |kept: &Kept| {
            Arc::ptr_eq(&kept.view, call.view) && kept.root == call.base.root && kept.actions_key == call.actions_key
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.iter().find(|k| is_same(k)) {
            return Reply {
                body: Text::Shared(found.body.clone()),
                ..Reply::ok(String::new())
            };
        }
        let body = Arc::new(KeptBody::new(make()));
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            view: call.view.clone(),
            root: call.base.root.clone(),
            actions_key: call.actions_key,
            body: body.clone(),
        });
        Reply {
            body: Text::Shared(body),
            ..Reply::ok(String::new())
        }
    }
}

fn schema_collection(call: &Call<'_>) -> String {
    let root = call.base.root.as_str();
    let url = format!("{root}/schemas");
    let mut out = String::with_capacity(512 * 1024);
    let head = Head {
        resource_type: "schema",
        url: &url,
        create_types: None,
        root,
        actions_key: call.actions_key,
    };
    collection::open(&mut out, &head);
    for ty in call.view.types.values() {
        push_comma(&mut out);
        write_schema(&mut out, call.view, ty, root);
    }
    collection::close(&mut out, None);
    out
}

/// `/v2-beta/schemas/<id>`: by name or plural, in any case.
pub fn schema(call: &Call<'_>, id: &str) -> Result<Reply> {
    let ty = call.view.find_by_path(id).ok_or_else(Error::not_found)?;
    Ok(Reply::ok(schema_json(call.view, ty, &call.base.root)))
}

/// `/v2-beta/typedocumentations`: what the schemas say about their fields, for people.
pub fn type_documentations(call: &Call<'_>, cache: &SchemaCache) -> Reply {
    cache.reply(call, || documentation_collection(call))
}

fn documentation_collection(call: &Call<'_>) -> String {
    let mut out = String::with_capacity(64 * 1024);
    collection::open_plain(&mut out, call, "typeDocumentation");
    for ty in call.view.types.values() {
        push_comma(&mut out);
        push_documentation(&mut out, call, ty);
    }
    collection::close(&mut out, None);
    out
}

/// `/v2-beta/typedocumentations/<type>`.
pub fn type_documentation(call: &Call<'_>, id: &str) -> Result<Reply> {
    let ty = call.view.find_by_path(id).ok_or_else(Error::not_found)?;
    let mut out = String::with_capacity(4096);
    push_documentation(&mut out, call, ty);
    Ok(Reply::ok(out))
}

fn push_documentation(out: &mut String, call: &Call<'_>, ty: &TypeView) {
    out.push_str(r#"{"id":"#);
    push_str(out, &ty.id);
    out.push_str(r#","type":"typeDocumentation","links":{"self":""#);
    push_escaped(out, &call.base.root);
    out.push_str("/typedocumentations/");
    push_lower(out, &ty.id);
    out.push_str(r#""},"#);
    push_key(out, call.actions_key);
    out.push_str(r#"{},"baseType":"typeDocumentation","description":"#);
    let registry = call.engine.registry();
    push_option(out, registry.text_of(&ty.def));
    out.push_str(r#","resourceFields":{"#);
    for (name, field) in &ty.fields {
        push_comma(out);
        push_key(out, name);
        out.push_str(r#"{"description":"#);
        push_option(
            out,
            registry.text_of_field(&ty.def, name).or(field.description.as_deref()),
        );
        out.push_str(r#","placeholder":null}"#);
    }
    out.push_str("}}");
}
