//! Bearer tokens, made and ended by administrators.

use std::time::Duration;

use serde_json::{Value, json};

use super::Call;
use super::caller::{Asker, environment_id};
use super::fields::text;
use super::refusal::{Outcome, Refusal};
use super::routes::Deed;
use crate::engine::{Account, Bearer, BearerRole, Input, NewBearer};
use crate::model::{Error, ErrorKind, Timestamp, WireId};

/// What tokens begin with.
const PREFIX: &str = "bport_pat_";
/// So much of one is shown.
const SHOWN: usize = 6;
/// A day.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What is asked of tokens.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::Create => create(asker, call).await,
        Deed::Remove => remove(asker, call).await,
        Deed::List | Deed::Read | Deed::Update => list(asker).await,
    }
}

async fn list(asker: &Asker) -> Outcome<Value> {
    let engine = asker.engine.clone();
    let all = tokio::task::spawn_blocking(move || engine.bearers(None)).await;
    let all = all.map_err(|e| Error::internal("waiting for a blocking thread", e))??;
    Ok(json!({"tokens": all.iter().map(shown).collect::<Vec<_>>()}))
}

fn shown(bearer: &Bearer) -> Value {
    let visible: String = bearer.public_value.chars().take(SHOWN).collect();
    let environments = bearer.projects.iter().flatten();
    let environments: Vec<String> = environments.map(|id| format!("1a{id}")).collect();
    json!({
        "id": format!("1bt{}", bearer.id),
        "name": bearer.name,
        "tokenPrefix": format!("{PREFIX}{visible}"),
        "role": bearer.role.as_str(),
        "allEnvironments": bearer.projects.is_none(),
        "environmentIds": environments,
        "expiresAt": bearer.expires.map(Timestamp::to_wire_millis),
        "lastUsedAt": bearer.last_used.map(Timestamp::to_wire_millis),
        "createdAt": bearer.created.to_wire_millis(),
        "userId": format!("1a{}", bearer.account),
        "serviceAccountId": null,
    })
}

/// Whose a new token is: who is named, or who asks.
fn owner(asker: &Asker, call: &Call) -> Outcome<Account> {
    let no_user = || Refusal::bad("ownerUserId", "User not found");
    let Some(id) = text(&call.body, "ownerUserId") else {
        return Ok(asker.account.clone());
    };
    let id = WireId::parse(&id)
        .filter(|wire| wire.letters == "a")
        .ok_or_else(no_user)?
        .id;
    asker.engine.account(id)?.ok_or_else(no_user)
}

async fn create(asker: &Asker, call: &Call) -> Outcome<Value> {
    if text(&call.body, "ownerServiceAccountId").is_some() {
        return Err(Refusal::not_built("service accounts: not part of this build").about("ownerServiceAccountId"));
    }
    let account = owner(asker, call)?;
    let own = super::caller::role_of(&account);
    let own = own.filter(|_| account.kind != "project");
    let own = own.ok_or_else(|| Refusal::bad("ownerUserId", "This account cannot have tokens"))?;
    let role = text(&call.body, "role").and_then(|role| BearerRole::parse(&role));
    let role = role.unwrap_or(BearerRole::Viewer).min(own);
    let ids: Vec<String> = call
        .body
        .get("environmentIds")
        .and_then(|ids| serde_json::from_value(ids.clone()).ok())
        .unwrap_or_default();
    let is_everywhere = call
        .body
        .get("allEnvironments")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let projects = match (is_everywhere, ids.as_slice()) {
        (true, []) => None,
        (true, _) => {
            return Err(Refusal::bad(
                "environmentIds",
                "A token opens all environments, or these",
            ));
        }
        (false, []) => {
            return Err(Refusal::bad(
                "environmentIds",
                "Name environments, or say allEnvironments",
            ));
        }
        (false, ids) => {
            let mut projects = Vec::new();
            for id in ids {
                let known = environment_id(id).filter(|id| matches!(asker.enter(*id), Ok(Some(_))));
                projects.push(known.ok_or_else(|| Refusal::bad("environmentIds", "Environment not found"))?);
            }
            Some(projects)
        }
    };
    let days = call.body.get("expiresInDays").and_then(Value::as_u64);
    let now = asker.engine.clock().now();
    let expires = days.map(|days| now.plus(DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX))));
    let mut scope = asker.scope()?;
    let name = text(&call.body, "name").unwrap_or_default();
    if let Some(def) = asker.engine.registry().find_type("bearerToken") {
        let body = Input::from_iter([
            ("name".to_owned(), json!(name)),
            ("role".to_owned(), json!(role.as_str())),
        ]);
        asker.note(&mut scope, def, None, "create", &body);
    }
    let new = NewBearer {
        name,
        account: account.id,
        role,
        projects,
        expires,
        prefix: PREFIX,
    };
    let (bearer, token) = asker.engine.create_bearer(&scope, new).await?;
    Ok(json!({"token": token, "tokenRecord": shown(&bearer)}))
}

async fn remove(asker: &Asker, call: &Call) -> Outcome<Value> {
    let missing = || Refusal::missing("Token");
    let id = WireId::parse(call.param("id"))
        .filter(|wire| wire.letters == "bt")
        .ok_or_else(missing)?
        .id;
    asker.engine.account_of("bearerToken", id)?.ok_or_else(missing)?;
    let scope = asker.scope()?;
    asker
        .engine
        .end_bearer(&scope, id)
        .await
        .map_err(|error| match error.kind {
            ErrorKind::NotFound | ErrorKind::Conflict => missing(),
            _ => Refusal::from(error),
        })?;
    Ok(json!({"success": true}))
}
