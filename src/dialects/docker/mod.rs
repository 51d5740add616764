//! The Docker Engine's interface of services, as swarm managers have it: services, tasks, nodes, secrets, configs, networks.
//!
//! A request enters at [`configure`], is let in by `auth`, and is handed to a file for each noun. What a service is in both words
//! is said by `project` and `synth`; what is kept beside the engine's own row, by `record`. Nothing here knows how a container is
//! made.

mod caller;
mod check;
mod container_stats;
mod containers;
mod event_filters;
mod event_kinds;
mod events;
mod exec;
mod exec_run;
mod files;
mod frames;
mod image;
mod images;
mod keys;
mod limits;
mod logs;
mod neighbours;
mod networks;
mod nodes;
mod pace;
mod past_events;
mod policies;
mod privileges;
mod project;
mod query;
mod reader;
mod record;
mod references;
mod refusal;
mod route;
mod services;
mod spec;
mod stacks;
mod swarm;
mod synth;
mod system;
mod tasks;
mod templates;
mod things;
mod volumes;

use std::sync::Arc;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::entry::{Claim, Entry};
use super::paths;
use crate::http::headers::one_text;
pub use crate::http::taken::keep_spare;
use crate::http::{body, path};
use crate::model::DockerIds;
use caller::Caller;
use exec::Execs;
use query::Query;
use refusal::{Outcome, Refusal};
use things::Thing;

/// The version of Docker's interface that is spoken.
pub const API_VERSION: &str = "1.41";
/// Where it is found on the main address.
pub const MOUNT: &str = "/docker";

static OS_TYPE: HeaderName = HeaderName::from_static("ostype");
static VERSION: HeaderName = HeaderName::from_static("api-version");
static EXPERIMENTAL: HeaderName = HeaderName::from_static("docker-experimental");

/// What all requests share.
pub struct DockerApi {
    entry: Entry,
    ids: Arc<DockerIds>,
    execs: Execs,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// By an address: the main one, or one of its own.
    Address,
    /// By a socket of its own.
    Socket,
}

impl DockerApi {
    /// Behind this entry.
    pub fn new(entry: Entry) -> Self {
        let ids = Arc::new(DockerIds::new(entry.engine.server_uuid()));
        Self {
            entry,
            ids,
            execs: Execs::default(),
        }
    }
}

/// Puts it into an actix application, under its mount.
pub fn configure(config: &mut web::ServiceConfig, state: web::Data<DockerApi>) {
    config.service(web::scope(MOUNT).app_data(state).default_service(web::to(mounted)));
}

/// Puts it at the root of an application whose clients come by a socket that only some may open: what names they ask for says nothing.
pub fn configure_alone(config: &mut web::ServiceConfig, state: web::Data<DockerApi>) {
    config.app_data(state).default_service(web::to(alone));
}

/// Puts it at the root of an application whose clients come by an address: what names they ask for tells pages of other sites.
pub fn configure_at_root(config: &mut web::ServiceConfig, state: web::Data<DockerApi>) {
    config.app_data(state).default_service(web::to(at_root));
}

async fn at_root(request: HttpRequest, payload: web::Payload, state: web::Data<DockerApi>) -> HttpResponse {
    let path = request.path().to_owned();
    serve(&request, payload, &state, &path, Door::Address).await
}

async fn alone(request: HttpRequest, payload: web::Payload, state: web::Data<DockerApi>) -> HttpResponse {
    let path = request.path().to_owned();
    serve(&request, payload, &state, &path, Door::Socket).await
}

async fn mounted(request: HttpRequest, payload: web::Payload, state: web::Data<DockerApi>) -> HttpResponse {
    let path = request.path().strip_prefix(MOUNT).unwrap_or_default().to_owned();
    serve(&request, payload, &state, &path, Door::Address).await
}

async fn serve(
    request: &HttpRequest,
    payload: web::Payload,
    state: &DockerApi,
    path: &str,
    door: Door,
) -> HttpResponse {
    let mut payload = Some(payload);
    let answered = match host_is_known(request, state, door) {
        Ok(()) => answer(request, &mut payload, state, path).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(refusal) => refused(&refusal),
    };
    let headers = response.headers_mut();
    headers.insert(VERSION.clone(), HeaderValue::from_static(API_VERSION));
    headers.insert(EXPERIMENTAL.clone(), HeaderValue::from_static("false"));
    headers.insert(OS_TYPE.clone(), HeaderValue::from_static("linux"));
    headers.insert(SERVER, HeaderValue::from_static("Docker/20.10.24 (linux)"));
    body::holding(response, payload)
}

/// While access is open, pages of other sites are kept out. A socket's own file says who may open it.
fn host_is_known(request: &HttpRequest, state: &DockerApi, door: Door) -> Outcome<()> {
    match door {
        Door::Address => Ok(state.entry.guard_open(request)?),
        Door::Socket => Ok(()),
    }
}

async fn answer(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &DockerApi,
    path: &str,
) -> Outcome<HttpResponse> {
    let path = path::decode(path).ok_or_else(Refusal::nowhere)?;
    let route = route::parse(&path)?;
    if route.rest == ["_ping"] && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(ping());
    }
    if route.rest == ["version"] && *request.method() == Method::GET {
        return Ok(json(StatusCode::OK, &system::version()));
    }
    if route.rest == ["auth"] && *request.method() == Method::POST {
        let shown = system::authorization(&read_body(request, payload, state, &[]).await?)?;
        admit(request, state, &route, Some(&shown)).await?;
        return Ok(json(StatusCode::OK, &system::logged_in()));
    }
    let mut caller = admit(request, state, &route, None).await?;
    let query = Query::parse(request.query_string());
    let sent = read_body(request, payload, state, &route.rest).await?;
    let outcome = match (request.method(), route.rest.as_slice()) {
        (&Method::POST, ["exec", id, "start"]) => {
            exec_run::start(
                request,
                state,
                &caller,
                id,
                reader::body(&sent, "types.ExecStartCheck")?,
            )
            .await
        }
        (&Method::GET, ["distribution", name @ .., "json"]) => {
            let shown = one_text(request.headers(), "x-registry-auth");
            images::in_registry(&caller, &name.join("/"), shown)
                .await
                .and_then(fine)
        }
        (method, rest) => dispatch(method, rest, state, &mut caller, &query, sent).await,
    };
    match &outcome {
        Ok(answer) => state.entry.record(&caller.scope, answer.status(), None).await,
        Err(refusal) => {
            let said = json!({"message": refusal.message}).to_string();
            state.entry.record(&caller.scope, refusal.status, Some(said)).await;
        }
    }
    outcome
}

/// The body of a request that may have one.
async fn read_body(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &DockerApi,
    rest: &[&str],
) -> Outcome<Vec<u8>> {
    let Some(payload) = payload.as_mut().filter(|_| *request.method() == Method::POST) else {
        return Ok(Vec::new());
    };
    let is_long = matches!(rest.first(), Some(&"configs" | &"secrets"));
    Ok(state.entry.body(request, payload, is_long).await?)
}

/// Who asks, by the header or by what is `shown` in its place, which then has to be good.
async fn admit(
    request: &HttpRequest,
    state: &DockerApi,
    route: &paths::Path<'_>,
    shown: Option<&str>,
) -> Outcome<Caller> {
    let claim = Claim {
        shown,
        project: route.project,
        must_prove: false,
    };
    let scope = state.entry.admit(request, claim).await?;
    let client_ip = state.entry.client_text(request);
    Ok(Caller {
        one: super::caller::Caller::new(&state.entry.engine, scope, client_ip),
        ids: state.ids.clone(),
        version: route.version,
    })
}

/// Whom a path is for.
async fn dispatch(
    method: &Method,
    rest: &[&str],
    state: &DockerApi,
    caller: &mut Caller,
    query: &Query,
    sent: Vec<u8>,
) -> Outcome<HttpResponse> {
    if *method == Method::GET {
        return read(rest, state, caller, query).await;
    }
    let body_of = |what: &str| reader::body(&sent, what);
    match (method.as_str(), rest) {
        ("POST", ["services", "create"]) => made(services::create(caller, body_of("swarm.ServiceSpec")?).await?),
        ("POST", ["services", id, "update"]) => {
            fine(services::update(caller, id, query, body_of("swarm.ServiceSpec")?).await?)
        }
        ("DELETE", ["services", id]) => {
            services::remove(caller, id).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("POST", ["nodes", id, "update"]) => {
            nodes::update(caller, id, query, body_of("swarm.NodeSpec")?).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("POST", [kind @ ("secrets" | "configs"), "create"]) => {
            made(things::create(caller, thing(kind), body_of(thing(kind).go_type())?).await?)
        }
        ("POST", [kind @ ("secrets" | "configs"), id, "update"]) => {
            things::update(caller, thing(kind), id, query, body_of(thing(kind).go_type())?).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("DELETE", [kind @ ("secrets" | "configs"), id]) => {
            things::remove(caller, thing(kind), id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", ["networks", "create"]) => {
            made(networks::create(caller, body_of("types.NetworkCreateRequest")?).await?)
        }
        ("DELETE", ["networks", id]) => {
            networks::remove(caller, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", ["volumes", "create"]) => made(volumes::create(caller, body_of("volume.VolumeCreateBody")?).await?),
        ("POST", ["volumes", "prune"]) => fine(volumes::prune(caller, query).await?),
        ("DELETE", ["volumes", name]) => {
            volumes::remove(caller, name, query).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", ["networks", id, "connect"]) => {
            networks::connect(caller, id, body_of("types.NetworkConnect")?).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("POST", ["containers", id, "exec"]) => {
            made(exec::create(state, caller, id, body_of("types.ExecConfig")?).await?)
        }
        ("POST", ["exec", id, "resize"]) => {
            exec::resize(state, caller, id, query).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("POST", ["networks", id, "disconnect"]) => {
            Err(networks::disconnect(caller, id, body_of("types.NetworkDisconnect")?).await?)
        }
        ("POST", ["swarm", what]) => match swarm::asked(caller, what, query, &sent).await? {
            Some(body) => fine(body),
            None => Ok(HttpResponse::Ok().finish()),
        },
        ("POST", known) if is_dockers(known) => Err(not_built(known)),
        ("DELETE", ["nodes", id]) => {
            nodes::remove(caller, id, query).await?;
            Ok(HttpResponse::Ok().finish())
        }
        _ => Err(Refusal::nowhere()),
    }
}

async fn read(rest: &[&str], state: &DockerApi, caller: &Caller, query: &Query) -> Outcome<HttpResponse> {
    match rest {
        ["info"] => fine(system::info(caller).await?),
        ["swarm"] => fine(swarm::inspect(caller).await?),
        // It is not locked, so there is no key.
        ["swarm", "unlockkey"] => fine(json!({"UnlockKey": ""})),
        ["volumes"] => fine(volumes::list(caller, query).await?),
        ["volumes", name] => fine(volumes::inspect(caller, name).await?),
        ["services"] => fine(services::list(caller, query).await?),
        ["services", id] => fine(services::inspect(caller, id, query).await?),
        ["services", id, "logs"] => logs::of_service(state, caller, id, query).await,
        ["tasks"] => fine(tasks::list(caller, query).await?),
        ["tasks", id] => fine(tasks::inspect(caller, id).await?),
        ["tasks", id, "logs"] => logs::of_task(state, caller, id, query).await,
        ["nodes"] => fine(nodes::list(caller, query).await?),
        ["nodes", id] => fine(nodes::inspect(caller, id).await?),
        [kind @ ("secrets" | "configs")] => fine(things::list(caller, thing(kind), query).await?),
        [kind @ ("secrets" | "configs"), id] => fine(things::inspect(caller, thing(kind), id).await?),
        ["networks"] => fine(networks::list(caller, query).await?),
        ["networks", id] => fine(networks::inspect(caller, id, query).await?),
        ["containers", "json"] => fine(containers::list(caller, query).await?),
        ["events"] => events::follow(state, caller, query).await,
        ["containers", id, "logs"] => logs::of_container(state, caller, id, query).await,
        ["containers", id, "stats"] => container_stats::answer(state, caller, id, query).await,
        ["exec", id, "json"] => fine(exec::inspect(state, caller, id).await?),
        ["containers", id, "json"] => fine(containers::inspect(caller, id).await?),
        ["images", "json"] => fine(images::list(caller, query).await?),
        ["images", name @ .., "json"] => fine(images::inspect(caller, &name.join("/")).await?),
        known if is_dockers(known) => Err(not_built(known)),
        _ => Err(Refusal::nowhere()),
    }
}

/// What Docker has and this build has not.
fn is_dockers(rest: &[&str]) -> bool {
    matches!(
        rest,
        [
            "images" | "containers" | "exec" | "build" | "plugins" | "system" | "auth",
            ..
        ]
    )
}

fn not_built(rest: &[&str]) -> Refusal {
    Refusal::not_built(format!("/{} is not part of this build", rest.join("/")))
}

fn thing(segment: &str) -> Thing {
    match segment {
        "configs" => Thing::Config,
        _ => Thing::Secret,
    }
}

fn fine(body: Value) -> Outcome<HttpResponse> {
    Ok(json(StatusCode::OK, &body))
}

fn made(body: Value) -> Outcome<HttpResponse> {
    Ok(json(StatusCode::CREATED, &body))
}

fn json(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(format!("{body}\n"))
}

fn ping() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-cache, no-store, must-revalidate"))
        .insert_header((PRAGMA, "no-cache"))
        .body("OK")
}

fn refused(refusal: &Refusal) -> HttpResponse {
    if refusal.is_plain {
        return HttpResponse::build(refusal.status)
            .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(format!("{}\n", refusal.message));
    }
    json(refusal.status, &json!({"message": refusal.message}))
}
