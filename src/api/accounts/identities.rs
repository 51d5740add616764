//! Identities: who there is, by the names that others know them by. They are no rows.

use serde_json::{Value, json};

use crate::api::resources::collection::{self, Head};
use crate::api::wire::call::{Call, Reply, block};
use crate::engine::Identity;
use crate::http::json::push_comma;
use crate::model::{Error, ResourceId, Result};
use crate::schema::TypeView;

/// What the id of every identity of this server begins with.
const PREFIX: &str = "1i!rancher_id:";

/// `/identities`: the caller's own, or those found by `name` (all of it) or `all` (a part of it).
pub async fn list(call: &Call<'_>, ty: &TypeView) -> Result<Reply> {
    let exact = call.query.first("name").map(str::to_owned);
    let part = call.query.first("all").map(str::to_owned);
    let (engine, scope) = (call.engine.clone(), call.scope.clone());
    let found = block(move || engine.identities(&scope, exact.as_deref().or(part.as_deref()), exact.is_some())).await?;
    let url = call.url();
    let mut out = String::with_capacity(1024 + found.len() * 400);
    let (root, actions_key) = (call.base.root.as_str(), call.actions_key);
    collection::open(
        &mut out,
        &Head {
            resource_type: &ty.id,
            url: &url,
            create_types: None,
            root,
            actions_key,
        },
    );
    for identity in &found {
        push_comma(&mut out);
        out.push_str(&shown(call, identity).to_string());
    }
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

/// `/identities/1i!rancher_id:7`.
pub fn one(call: &Call<'_>, id: &str) -> Result<Reply> {
    let id = id
        .strip_prefix(PREFIX)
        .and_then(|number| number.parse().ok())
        .ok_or_else(Error::not_found)?;
    let identity = call
        .engine
        .find_identity(call.scope, ResourceId(id))?
        .ok_or_else(Error::not_found)?;
    Ok(Reply::ok(shown(call, &identity).to_string()))
}

/// Quirk: the id names the account by its plain number, `externalId` by its wire id (cattle: `IdentityFormatter`).
fn shown(call: &Call<'_>, identity: &Identity) -> Value {
    let id = format!("{PREFIX}{}", identity.account);
    json!({
        "id": id,
        "type": "identity",
        "links": {"self": format!("{}/identities/{id}", call.base.root)},
        (call.actions_key): {},
        "baseType": "identity",
        "all": null,
        "externalId": identity.external_id,
        "externalIdType": "rancher_id",
        "login": identity.login.as_ref().unwrap_or(&identity.name),
        "name": identity.name,
        "profilePicture": null,
        "profileUrl": null,
        "projectId": null,
        "role": null,
        "user": identity.is_user,
    })
}
