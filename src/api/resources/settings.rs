//! Settings: addressed by name, not by number, and shown as `activeSetting`.

use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::Value;

use super::collection::{self, Paging};
use crate::api::wire::call::{Call, Reply};
use crate::api::wire::query;
use crate::api::wire::request::Verb;
use crate::api::wire::route::PathId;
use crate::engine::{Input, Setting};
use crate::http::json::{push_comma, push_escaped, push_key, push_option, push_str};
use crate::http::path::push_segment;
use crate::model::{Error, ErrorKind, Result};
use crate::schema::TypeView;

/// `/settings`. The method is one the type lists.
pub async fn collection(call: &Call<'_>, ty: &Arc<TypeView>, body: Input) -> Result<Reply> {
    match call.verb {
        Verb::Get => list(call, ty),
        Verb::Post => {
            let name = text_of(&body, "name")?
                .filter(|n| !n.is_empty())
                .ok_or_else(|| Error::invalid("MissingRequired", "name"))?;
            let is_name = name.len() <= 255
                && name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
            if !is_name {
                return Err(Error::invalid("InvalidCharacters", "name"));
            }
            let setting = call
                .engine
                .write_setting(call.scope, &name, text_of(&body, "value")?)
                .await?;
            Ok(Reply::new(StatusCode::CREATED, one(call, &setting)))
        }
        Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

/// `/settings/<name>`.
pub async fn resource(call: &Call<'_>, ty: &TypeView, id: &str, body: Input) -> Result<Reply> {
    let Some(PathId::Name(name)) = PathId::parse(id) else {
        return Err(Error::not_found());
    };
    if call.verb == Verb::Post && call.query.has("action") {
        return Err(Error::invalid("InvalidAction", "action"));
    }
    call.require_resource_method(ty)?;
    let setting = call
        .engine
        .find_setting(call.scope, name)?
        .ok_or_else(Error::not_found)?;
    let setting = match call.verb {
        Verb::Get => setting,
        Verb::Put if !body.contains_key("value") => setting,
        Verb::Put => {
            call.engine
                .write_setting(call.scope, &setting.name, text_of(&body, "value")?)
                .await?
        }
        Verb::Delete if setting.source.is_none() => return Err(Error::not_found()),
        Verb::Delete => call.engine.write_setting(call.scope, &setting.name, None).await?,
        Verb::Post | Verb::Other => return Err(Error::new(ErrorKind::MethodNotAllowed)),
    };
    Ok(Reply::ok(one(call, &setting)))
}

fn list(call: &Call<'_>, ty: &TypeView) -> Result<Reply> {
    let parameters = query::list(call.view.version, ty, call.query);
    let only_public = call
        .query
        .first("all")
        .is_some_and(|all| all.eq_ignore_ascii_case("false"));
    let is_wanted = |setting: &Setting| {
        let by_name = parameters
            .filters
            .iter()
            .filter(|f| f.field == "name" && f.modifier == "eq");
        (setting.is_public || !only_public) && by_name.into_iter().all(|f| f.value == setting.name)
    };
    let mut settings = call.engine.settings(call.scope)?;
    settings.retain(is_wanted);
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    let url = call.url();
    let mut out = String::with_capacity(1024 + settings.len() * 320);
    collection::open_plain(&mut out, call, &ty.id);
    for setting in &settings {
        push_comma(&mut out);
        push(&mut out, call, setting);
    }
    collection::close_page(
        &mut out,
        &url,
        &Paging {
            ty,
            query: call.query,
            list: &parameters,
            next: None,
            filters: &parameters.filters,
            preset: None,
        },
    );
    Ok(Reply::ok(out))
}

fn one(call: &Call<'_>, setting: &Setting) -> String {
    let mut out = String::with_capacity(320);
    push(&mut out, call, setting);
    out
}

/// Quirk: the type is `activeSetting`, the base type `setting`, the id the name.
fn push(out: &mut String, call: &Call<'_>, setting: &Setting) {
    out.push_str(r#"{"id":"#);
    push_str(out, &setting.name);
    out.push_str(r#","type":"activeSetting","links":{"self":""#);
    push_escaped(out, &call.base.root);
    out.push_str("/settings/");
    push_segment(out, &setting.name);
    out.push_str(r#""},"#);
    push_key(out, call.actions_key);
    out.push_str(r#"{},"baseType":"setting","name":"#);
    push_str(out, &setting.name);
    out.push_str(r#","activeValue":"#);
    push_option(out, setting.active_value.as_deref());
    out.push_str(r#","inDb":"#);
    out.push_str(if setting.in_db { "true" } else { "false" });
    out.push_str(r#","source":"#);
    push_option(out, setting.source.as_deref());
    out.push_str(r#","value":"#);
    push_option(out, setting.value.as_deref());
    out.push('}');
}

/// A text field of the body; scalars are texts too.
fn text_of(body: &Input, name: &str) -> Result<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(scalar @ (Value::Bool(_) | Value::Number(_))) => Ok(Some(scalar.to_string())),
        Some(Value::Array(_) | Value::Object(_)) => Err(Error::invalid("InvalidFormat", name)),
    }
}
