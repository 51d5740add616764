//! The six things that can be done with any type, and following links.
//!
//! Which refusal wins is part of the wire: id, type, action, method, fields (cattle: `ValidationHandler.generate`).

use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::{Map, Value};

use super::chosen::Chosen;
use super::collection::{self, Head, Paging};
use super::counts;
use super::reply;
use super::resource::{Included, Writer, shown_type};
use crate::api::wire::call::{Call, Reply, block, plain_object};
use crate::api::wire::query;
use crate::api::wire::request::{Query, Verb, stream_address};
use crate::api::wire::route::PathId;
use crate::engine::{Answer, Input, ListQuery, Page};
use crate::http::pieces;
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::validate::Purpose;
use crate::schema::{Link, Relation, TypeView, Version, View};

/// Types whose lists come whole and are neither sorted nor filtered for show (cattle: their managers do not page).
const UNPAGED: [&str; 9] = [
    "project",
    "projectMember",
    "identity",
    "token",
    "serviceProxy",
    "networkPolicyRuleWithin",
    "processPool",
    "configContent",
    "hostApiProxyToken",
];

/// `/<type>`. The method is one the type lists.
pub async fn collection(call: &Call<'_>, ty: &Arc<TypeView>, body: Input) -> Result<Reply> {
    match call.verb {
        Verb::Get => list(call, ty).await,
        Verb::Post => create(call, ty, body).await,
        Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

/// `/<type>/<id>`.
pub async fn resource(call: &Call<'_>, ty: &Arc<TypeView>, id: &str, body: Input) -> Result<Reply> {
    if let (Verb::Post, Some(action)) = (call.verb, call.query.first("action")) {
        return act(call, ty, id, action, body).await;
    }
    // What a type does not know is 405 before anything is looked for (cattle: `ValidationHandler`).
    call.require_resource_method(ty)?;
    let row = call.get(ty, id)?;
    match call.verb {
        Verb::Get => read(call, ty, &row).await,
        Verb::Put => update(call, ty, &row, body).await,
        Verb::Delete => {
            let own = own_view(call, ty, &row);
            let row = call.engine.delete(call.scope, own, row.id).await?;
            // Quirk: a project that goes is answered as a list of one (cattle: `ProjectResourceManager.deleteInternal`).
            if ty.def.id == "project" {
                return reply::rows(call, StatusCode::OK, own, &[row], None);
            }
            reply::row(call, StatusCode::OK, &row)
        }
        Verb::Post | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

/// `/<type>/<id>/<link>`.
pub async fn link(call: &Call<'_>, segment: &str, id: &str, name: &str, body: Input) -> Result<Reply> {
    let ty = call.find_type(segment)?;
    let row = call.get(ty, id)?;
    // A project that is asked for as an account has the links of accounts only.
    let ty = match ty.def.id.as_str() {
        "account" => ty,
        _ => own_view(call, ty, &row),
    };
    let link = ty
        .links
        .iter()
        .find(|l| l.name == name || l.name.to_ascii_lowercase() == name)
        .ok_or_else(Error::not_found)?;
    match call.verb {
        Verb::Get => follow(call, ty, &row, link).await,
        Verb::Post => create_child(call, ty, &row, link, body).await,
        Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

async fn list(call: &Call<'_>, ty: &Arc<TypeView>) -> Result<Reply> {
    paged(call, ty, Source::All).await
}

/// A list of a type of which nothing is kept.
pub async fn nothing(call: &Call<'_>, ty: &Arc<TypeView>) -> Result<Reply> {
    paged(call, ty, Source::Nothing).await
}

/// What a list is of.
enum Source {
    /// Nothing.
    Nothing,
    /// All rows of the type that the caller sees.
    All,
    /// Those at the end of a link, with the field and value that new ones begin with.
    Link(ResourceId, Link, Option<(String, String)>),
}

/// The parameters of a list of `ty`.
fn parameters(call: &Call<'_>, ty: &TypeView) -> ListQuery {
    let parameters = query::list(call.view.version, ty, call.query);
    if is_paged(ty) {
        return parameters;
    }
    ListQuery {
        filters: parameters.filters,
        with_removed: parameters.with_removed,
        all: parameters.all,
        ..collection::everything()
    }
}

fn is_paged(ty: &TypeView) -> bool {
    !UNPAGED.contains(&ty.def.id.as_str())
}

async fn paged(call: &Call<'_>, ty: &Arc<TypeView>, source: Source) -> Result<Reply> {
    let parameters = parameters(call, ty);
    let chosen = Chosen::asked(call.view, call.query)?;
    if call.query.has(counts::PARAMETER) {
        return match source {
            Source::All => counts::answer(call, ty, parameters).await,
            Source::Nothing | Source::Link(..) => Err(Error::invalid("InvalidOption", counts::PARAMETER)),
        };
    }
    let url = call.url();
    let query_text = call.query.raw().to_owned();
    let (engine, scope, view, ty) = (call.engine.clone(), call.scope.clone(), call.view.clone(), ty.clone());
    let (root, actions_key) = (call.base.root.clone(), call.actions_key);
    block(move || {
        let query = Query::parse(&query_text);
        let key = query.first("key");
        let writer = Writer {
            engine: &engine,
            scope: &scope,
            view: &view,
            root: &root,
            actions_key,
            chosen: chosen.as_ref(),
            key,
        };
        let read = |parameters: &ListQuery| match &source {
            Source::Nothing => Ok(Page::default()),
            Source::All => engine.list(&scope, &ty, parameters),
            Source::Link(near, link, _) => engine.follow_list(&scope, *near, link, &ty, parameters),
        };
        let page = match is_paged(&ty) {
            true => read(&parameters)?,
            false => collection::whole(parameters.clone(), read)?,
        };
        let rows = || page.rows.iter().map(|row| &**row);
        let derived = engine.derive(&scope, rows())?;
        let included = query::include(&ty, &query)
            .map(|link| Included::fetch(&writer, rows(), link))
            .transpose()?;
        let mut body = pieces::buffer(4096 + page.rows.iter().map(|r| r.fields.len() + 2048).sum::<usize>());
        let head = Head {
            resource_type: &ty.id,
            url: &url,
            create_types: Some((&*view, &*ty)),
            root: &root,
            actions_key,
        };
        collection::open(&mut body, &head);
        writer.rows(&mut body, rows(), &derived, included.as_ref());
        let preset = match &source {
            Source::Link(_, _, Some((field, value))) => Some((field.as_str(), value.as_str())),
            Source::Link(_, _, None) | Source::All | Source::Nothing => None,
        };
        if matches!(source, Source::Nothing) {
            collection::close_whole(&mut body, &url, &ty, &query, &parameters.filters);
        } else if is_paged(&ty) {
            let paging = Paging {
                ty: &ty,
                query: &query,
                list: &parameters,
                next: page.next.as_deref(),
                filters: &page.filters,
                preset,
            };
            collection::close_page(&mut body, &url, &paging);
        } else {
            collection::close(&mut body, preset);
        }
        Ok(Reply::ok(body))
    })
    .await
}

async fn read(call: &Call<'_>, ty: &Arc<TypeView>, row: &Resource) -> Result<Reply> {
    let mut reply = match query::include(own_view(call, ty, row), call.query) {
        None => reply::row(call, StatusCode::OK, row)?,
        Some(link) => {
            let included = Included::fetch(&reply::writer(call, None), std::slice::from_ref(row), link)?;
            reply::row_with(call, StatusCode::OK, row, Some(&included))?
        }
    };
    // A client that is given a project's address stays in that project.
    if ty.def.id == "project" && call.base.root.ends_with(call.view.version.as_str()) {
        reply.schemas_of = Some(call.wire_id(ty, row.id));
    }
    Ok(reply)
}

/// 501 for what a schema lists and nothing can be made of: structures, what only the server writes, what is not built.
pub fn require_creatable(ty: &TypeView) -> Result<()> {
    // Quirk: schemas list it, and the answer is 405 all the same (cattle: `ProjectMemberResourceManager`).
    if ty.def.id == "projectMember" {
        return Err(Error::new(ErrorKind::MethodNotAllowed));
    }
    match (ty.def.can_create, ty.is_embedded) {
        (true, _) => Ok(()),
        (false, true) => Err(Error::not_implemented(format!(
            "a {} is a part of other types: it has no rows",
            ty.id
        ))),
        (false, false) => Err(Error::not_implemented(format!(
            "creating a {} is not part of this build",
            ty.id
        ))),
    }
}

/// 501 for an action that a schema lists.
pub(super) fn action_not_built(ty: &TypeView, name: &str) -> Error {
    Error::not_implemented(format!("the action {name} of a {} is not part of this build", ty.id))
}

async fn create(call: &Call<'_>, ty: &Arc<TypeView>, mut body: Input) -> Result<Reply> {
    require_creatable(ty)?;
    // Quirk: a balancer of v1 says by its links, made later, what it balances (cattle before 1.2: `LoadBalancerService`).
    if ty.served_as.is_some() && ty.def.id == "loadBalancerService" {
        body.entry("lbConfig").or_insert_with(|| Value::Object(Map::new()));
    }
    let input = call
        .validate(call.input_view(ty), ty, body, Purpose::Create, None)
        .await?;
    let rows = call.engine.create(call.scope, ty, input).await?;
    match rows.as_slice() {
        [row] => reply::row(call, StatusCode::CREATED, row),
        rows => reply::made(call, ty, rows),
    }
}

async fn update(call: &Call<'_>, ty: &Arc<TypeView>, row: &Resource, body: Input) -> Result<Reply> {
    let ty = own_view(call, ty, row);
    let input = call
        .validate(call.input_view(ty), ty, body, Purpose::Update, Some(row.id))
        .await?;
    let row = call.engine.update(call.scope, ty, row.id, input).await?;
    reply::row(call, StatusCode::OK, &row)
}

async fn act(call: &Call<'_>, ty: &Arc<TypeView>, id: &str, name: &str, body: Input) -> Result<Reply> {
    let invalid = |code| Err(Error::invalid(code, "action"));
    if PathId::parse(id).is_none() {
        return Err(Error::not_found());
    }
    let listed = call.engine.listed_as(ty, name);
    let Some(action) = ty.actions.get(listed) else {
        return invalid("InvalidAction");
    };
    let row = call.get(ty, id)?;
    let ty = own_view(call, ty, &row);
    let is_never = ty.def.never_actions.iter().any(|a| a == listed);
    if is_never || !call.engine.offers(call.view.version, ty, &row, name) {
        return Err(call.engine.refusal(call.view.version, ty, &row, name));
    }
    if ty.def.unavailable_actions.iter().any(|a| a == name) {
        return Err(action_not_built(ty, name));
    }
    // The input of the own type, where it differs from that of the type in the path.
    let action = ty.actions.get(listed).unwrap_or(action);
    let schema = action.input.as_deref().filter(|_| listed == name);
    let input = match schema {
        None => body,
        Some(schema) => {
            let view = call.input_view(ty);
            // One that only the version of the path has is read by that version's.
            let known = |view: &'_ Arc<View>| view.types.get(schema).cloned().map(|schema| (view.clone(), schema));
            let found = known(view).or_else(|| known(call.view));
            let (view, schema) = &found.ok_or_else(Error::not_found)?;
            call.validate(view, schema, body, Purpose::Create, None).await?
        }
    };
    match call.engine.act(call.scope, ty, row.id, name, input).await? {
        Answer::Accepted(row) => reply::row(call, StatusCode::ACCEPTED, &row),
        Answer::Done(row) => reply::row(call, StatusCode::OK, &row),
        Answer::Rows(kind, rows) => {
            let far = call.view.find_by_kind(kind).ok_or_else(Error::not_found)?;
            reply::rows(call, StatusCode::OK, far, &rows, None)
        }
        Answer::Object(kind, fields) => Ok(Reply::ok(plain_object(kind, &fields, call.actions_key))),
        Answer::Access { scheme, path, token } => {
            let address = stream_address(&call.base.origin, scheme, path);
            Ok(access(call, "hostAccess", [("token", token), ("url", address)]))
        }
    }
}

/// Where a stream is, and what opens it.
fn access<const N: usize>(call: &Call<'_>, kind: &'static str, fields: [(&str, String); N]) -> Reply {
    let fields = fields.map(|(name, value)| (name.to_owned(), value.into()));
    Reply::ok(plain_object(kind, &fields.into_iter().collect(), call.actions_key))
}

/// Where statistics are. Rancher's user interface takes `authToken` for the address, and sends `token` after it.
async fn stats(call: &Call<'_>, row: &Resource, link: &str) -> Result<Reply> {
    let (engine, scope, row, link) = (call.engine.clone(), call.scope.clone(), row.clone(), link.to_owned());
    Ok(match block(move || engine.stats_access(&scope, &row, &link)).await? {
        None => access(call, "statsAccess", []),
        Some((path, token)) => {
            let address = stream_address(&call.base.origin, "ws", path);
            let fields = [("token", token.clone()), ("authToken", token), ("url", address)];
            access(call, "statsAccess", fields)
        }
    })
}

async fn follow(call: &Call<'_>, ty: &TypeView, row: &Resource, link: &Link) -> Result<Reply> {
    let (kind, is_one) = match &link.to {
        // Files are answered elsewhere to whoever may have them.
        Relation::Handled => return stats(call, row, &link.name).await,
        Relation::One { kind, .. } => (kind, true),
        Relation::Many { kind, .. } | Relation::Through { kind, .. } | Relation::Listed { kind, .. } => (kind, false),
        Relation::Computed => {
            let missing = || {
                Error::not_implemented(format!(
                    "the link {} of a {} is not part of this build",
                    link.name, ty.id
                ))
            };
            let far = call.view.find_by_path(&link.name).ok_or_else(missing)?;
            return paged(call, far, Source::Link(row.id, link.clone(), None)).await;
        }
    };
    let far = shown_type(call.engine.registry(), call.view, kind).ok_or_else(Error::not_found)?;
    if is_one {
        let (engine, scope, id, link) = (call.engine.clone(), call.scope.clone(), row.id, link.clone());
        let found = block(move || engine.follow(&scope, &[id], &link)).await?;
        let (_, row) = found.first().ok_or_else(Error::not_found)?;
        return reply::row(call, StatusCode::OK, row);
    }
    let preset = match &link.to {
        Relation::Many { field, .. } if far.collection_methods.iter().any(|m| m == "POST") => {
            Some((field.clone(), call.wire_id(ty, row.id)))
        }
        _ => None,
    };
    paged(call, far, Source::Link(row.id, link.clone(), preset)).await
}

/// A POST to the rows at the end of a link creates one more, with the reference set (cattle: `PostChildLinkHandler`).
async fn create_child(call: &Call<'_>, ty: &TypeView, row: &Resource, link: &Link, mut body: Input) -> Result<Reply> {
    let not_allowed = || Error::new(ErrorKind::MethodNotAllowed);
    let Relation::Many { kind, field } = &link.to else {
        return Err(not_allowed());
    };
    let child = call
        .view
        .find_by_kind(kind)
        .and_then(|far| call.view.types.get(&far.id))
        .ok_or_else(not_allowed)?;
    call.require_collection_method(child)?;
    let is_given = |name: &str| body.get(name).is_some_and(|v| !v.is_null());
    let by_other_name = call.view.version == Version::V1 && field == "stackId" && is_given("environmentId");
    if !is_given(field) && !by_other_name {
        body.insert(field.clone(), Value::from(call.wire_id(ty, row.id)));
    }
    create(call, child, body).await
}

/// The row's own type where the caller sees it, else the type of the path.
fn own_view<'c>(call: &'c Call<'_>, ty: &'c Arc<TypeView>, row: &Resource) -> &'c Arc<TypeView> {
    call.engine
        .registry()
        .type_of(&row.root, &row.kind)
        .and_then(|own| call.view.find_by_kind(&own.id))
        .unwrap_or(ty)
}
