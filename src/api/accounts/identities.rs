//! Identities: who there is, by the names that others know them by. They are no rows.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::resources::collection::{self, Head};
use crate::api::wire::call::{Call, Reply, block};
use crate::api::wire::query;
use crate::engine::{Identity, ListQuery};
use crate::http::json::push_comma;
use crate::model::{Error, Fields, Resource, ResourceId, Result, WireId};
use crate::schema::{Link, TypeView, Version};

/// What the id of every identity of this server begins with.
const PREFIX: &str = "1i!rancher_id:";

/// What accounts of this server are called among identities.
const RANCHER_ID: &str = "rancher_id";

/// The link from a project to its members.
const MEMBERS: &str = "projectMembers";

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
    let filters = query::list(call.view.version, ty, call.query).filters;
    collection::close_whole(&mut out, &url, ty, call.query, &filters);
    Ok(Reply::ok(out))
}

/// `/projectmembers`, and the same of one project. Quirk: they are shown as identities, with what they are in the
/// project (cattle: `ProjectMemberResourceManager`).
pub async fn members(call: &Call<'_>, ty: &Arc<TypeView>, of: Option<&str>) -> Result<Reply> {
    let parameters = ListQuery {
        filters: query::list(call.view.version, ty, call.query).filters,
        ..collection::everything()
    };
    let project = of.map(|id| project(call, id)).transpose()?;
    let (engine, scope, far, query) = (call.engine.clone(), call.scope.clone(), ty.clone(), parameters.clone());
    let near = project.clone();
    let page = block(move || {
        collection::whole(query, |query| match &near {
            Some((project, link, _)) => engine.follow_list(&scope, *project, link, &far, query),
            None => engine.list(&scope, &far, query),
        })
    })
    .await?;
    let url = call.url();
    let mut out = String::with_capacity(1024 + page.rows.len() * 400);
    let head = Head {
        resource_type: &ty.id,
        url: &url,
        create_types: None,
        root: &call.base.root,
        actions_key: call.actions_key,
    };
    collection::open(&mut out, &head);
    for row in &page.rows {
        push_comma(&mut out);
        out.push_str(&member(call, row)?.to_string());
    }
    match project {
        Some((_, _, id)) => collection::close(&mut out, Some(("projectId", &id))),
        None => collection::close_whole(&mut out, &url, ty, call.query, &page.filters),
    }
    Ok(Reply::ok(out))
}

/// The project at a path, its link to its members, and its id on the wire.
fn project(call: &Call<'_>, id: &str) -> Result<(ResourceId, Link, String)> {
    let ty = call.find_type("project")?;
    let row = call.get(ty, id)?;
    let link = ty.links.iter().find(|link| link.name == MEMBERS);
    let link = link.ok_or_else(Error::not_found)?.clone();
    Ok((row.id, link, call.wire_id(ty, row.id)))
}

/// Whether these are the members of a project.
pub fn are_members(call: &Call<'_>, segment: &str, link: &str) -> bool {
    link.eq_ignore_ascii_case(MEMBERS) && call.view.find_by_path(segment).is_some_and(|ty| ty.def.id == "project")
}

fn member(call: &Call<'_>, row: &Resource) -> Result<Value> {
    let fields = Fields::parse(&row.fields)?;
    let text = |name: &str| fields.text(name);
    let (kind, outside) = (text("externalIdType"), text("externalId").unwrap_or_default());
    let id = format!("1i!{}:{outside}", kind.as_deref().unwrap_or(RANCHER_ID));
    let mut shown = json!({
        "id": id,
        "type": "identity",
        "links": {"self": format!("{}/identities/{id}", call.base.root)},
        (call.actions_key): {},
        "baseType": "identity",
        "all": null,
        "externalId": outside,
        "externalIdType": kind,
        "login": null,
        "name": row.name,
        "profilePicture": null,
        "profileUrl": null,
        "projectId": text("projectId"),
        "role": text("role"),
        "user": false,
    });
    if let (Version::V1, Some(members)) = (call.view.version, shown.as_object_mut()) {
        members.remove("user");
    }
    Ok(shown)
}

/// `/identities/1i!rancher_id:7`, or with the account's id as members have it.
pub fn one(call: &Call<'_>, id: &str) -> Result<Reply> {
    let id = id.strip_prefix(PREFIX).ok_or_else(Error::not_found)?;
    let id = id
        .parse()
        .ok()
        .map(ResourceId)
        .or_else(|| WireId::parse(id).map(|wire| wire.id))
        .ok_or_else(Error::not_found)?;
    let identity = call
        .engine
        .find_identity(call.scope, id)?
        .ok_or_else(Error::not_found)?;
    Ok(Reply::ok(shown(call, &identity).to_string()))
}

fn shown(call: &Call<'_>, identity: &Identity) -> Value {
    let id = format!("{PREFIX}{}", identity.external_id);
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
