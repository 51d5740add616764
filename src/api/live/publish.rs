//! `publish`: events from agents and services.

use std::sync::Arc;

use actix_web::http::StatusCode;

use crate::api::wire::call::{Call, Reply, plain_object};
use crate::engine::{Input, Published};
use crate::model::{Error, ErrorKind, Result};
use crate::schema::validate::Purpose;
use crate::schema::{Role, TypeView};

/// POST `/publish`: passes the event on to those who listen, and answers with what was sent.
///
/// Callers that are confined to an account may answer questions (`reply.…`), nothing else.
pub async fn publish(call: &Call<'_>, ty: &Arc<TypeView>, body: Input) -> Result<Reply> {
    let mut input = call.validate(call.view, ty, body, Purpose::Create, None).await?;
    let name = input
        .get("name")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let is_raw = matches!(call.scope.role, Role::Superadmin | Role::Service);
    if !is_raw && !name.starts_with("reply.") {
        return Err(Error::new(ErrorKind::Forbidden));
    }
    if is_service_event(&name) {
        let account = call.engine.project_of(call.scope)?;
        call.engine.publish(Published {
            name,
            account,
            fields: input.clone(),
        });
    }
    input.entry("id").or_insert(serde_json::Value::Null);
    Ok(Reply::new(
        StatusCode::CREATED,
        plain_object(&ty.id, &input, call.actions_key),
    ))
}

/// `service.` and then letters and dots.
fn is_service_event(name: &str) -> bool {
    name.strip_prefix("service.")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'.'))
}
