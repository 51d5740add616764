//! The first person, logging in, and who asks.

use std::time::Duration;

use actix_web::HttpRequest;
use serde_json::{Value, json};

use super::caller::Asker;
use super::fields::text;
use super::refusal::{Code, Outcome, Refusal};
use super::{BridgeportApi, Call, environments};
use crate::auth::Basic;
use crate::engine::{BearerRole, FirstAdmin};
use crate::model::{Error, ErrorKind, ResourceId};
use crate::schema::Version;

/// How long a login lasts: seven days.
const SESSION: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A person.
fn user(id: ResourceId, email: &str, name: &str, role: BearerRole) -> Value {
    json!({"id": format!("1a{id}"), "email": email, "name": name, "role": role.as_str()})
}

/// `POST /api/auth/register`.
pub async fn register(state: &BridgeportApi, call: &Call) -> Outcome<Value> {
    let email = text(&call.body, "email").unwrap_or_default();
    let is_address = email
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if !is_address || email.contains(char::is_whitespace) {
        return Err(Refusal::bad("email", "Invalid email"));
    }
    let name = text(&call.body, "name").unwrap_or_else(|| email.clone());
    let engine = &state.entry.engine;
    let first = FirstAdmin {
        login: email.clone(),
        password: text(&call.body, "password").unwrap_or_default(),
        name: name.clone(),
    };
    let made = engine
        .register_first(&engine.admit_nobody(Version::V2Beta), first)
        .await;
    let row = made.map_err(|error| match error.kind {
        ErrorKind::Forbidden => Refusal::new(Code::Scope, "Registration disabled"),
        _ => Refusal::from(error),
    })?;
    let (_, token) = engine.begin_session_for(row.id, SESSION).await?;
    Ok(json!({"token": token, "user": user(row.id, &email, &name, BearerRole::Admin)}))
}

/// `POST /api/auth/login`.
pub async fn login(state: &BridgeportApi, request: &HttpRequest, call: &Call) -> Outcome<Value> {
    let email = text(&call.body, "email").unwrap_or_default();
    let basic = Basic {
        name: email.clone(),
        secret: text(&call.body, "password").unwrap_or_default(),
    };
    let entry = &state.entry;
    let client = entry
        .client(request)
        .unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    let account = entry
        .gate
        .check_login(&basic, client)
        .await
        .map_err(|error| match error.kind {
            ErrorKind::Unauthorized => Refusal::new(Code::Unauthorized, "Invalid email or password"),
            _ => Refusal::from(error),
        })?;
    let found = entry
        .engine
        .account(account)?
        .ok_or_else(|| Error::new(ErrorKind::Unauthorized))?;
    let role = super::caller::role_of(&found);
    let role = role.ok_or_else(|| Refusal::new(Code::Role, "This account has no place here"))?;
    let (_, token) = entry.engine.begin_session_for(account, SESSION).await?;
    Ok(json!({"token": token, "user": user(account, &email, &found.name, role)}))
}

/// `GET /api/auth/me`.
pub async fn me(asker: &Asker) -> Outcome<Value> {
    let (engine, id) = (asker.engine.clone(), asker.account.id);
    let login = tokio::task::spawn_blocking(move || engine.login_of(id)).await;
    let login = login.map_err(|e| Error::internal("waiting for a blocking thread", e))??;
    let own = super::caller::role_of(&asker.account).unwrap_or(BearerRole::Viewer);
    Ok(json!({
        "user": user(id, login.as_deref().unwrap_or_default(), &asker.account.name, own),
        "role": asker.role.as_str(),
        "environments": environments::all(asker).await?,
        "scopes": scopes(asker.role),
    }))
}

/// What a role may, in the words of scopes.
fn scopes(role: BearerRole) -> Vec<String> {
    const NOUNS: [&str; 4] = ["services", "secrets", "servers", "environments"];
    let mut all: Vec<String> = NOUNS.iter().map(|noun| format!("{noun}:read")).collect();
    if role >= BearerRole::Operator {
        all.extend(NOUNS.iter().map(|noun| format!("{noun}:write")));
    }
    if role == BearerRole::Admin {
        all.extend(["secrets:reveal", "tokens:manage", "admin:*"].map(str::to_owned));
    }
    all
}
