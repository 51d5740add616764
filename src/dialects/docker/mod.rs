//! The Docker Engine's interface of services, as swarm managers have it: services, tasks, nodes, secrets, configs, networks.
//!
//! A request enters at [`configure`], is let in by `auth`, and is handed to a file for each noun. What a service is in both words
//! is said by `project` and `synth`; what is kept beside the engine's own row, by `record`. Nothing here knows how a container is
//! made.

mod caller;
mod check;
mod containers;
mod files;
mod ids;
mod keys;
mod logs;
mod networks;
mod nodes;
mod pace;
mod policies;
mod project;
mod query;
mod record;
mod refusal;
mod route;
mod services;
mod spec;
mod synth;
mod system;
mod tasks;
mod things;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA, SERVER};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use crate::auth::{Gate, Presented};
use crate::engine::Engine;
use crate::http::guard::Guard;
use crate::http::headers::one_text;
use crate::http::sockets::Admission;
use crate::http::{address, body, path};
use crate::schema::Version;
use caller::Caller;
use ids::Ids;
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
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    guard: Guard,
    trusted_proxies: Vec<IpAddr>,
    body_patience: Duration,
    intake: Arc<body::Intake>,
    sockets: Arc<Admission>,
    ids: Arc<Ids>,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// By the main address.
    Main,
    /// By a socket of its own.
    Socket,
}

/// What it needs of who serves it.
pub struct Parts {
    /// Lets requests in.
    pub gate: Arc<Gate>,
    /// Keeps pages of other sites out.
    pub guard: Guard,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a body may take to arrive.
    pub body_patience: Duration,
    /// Counts what arrives.
    pub intake: Arc<body::Intake>,
    /// Counts what stays open.
    pub sockets: Arc<Admission>,
}

impl DockerApi {
    /// Over this engine.
    pub fn new(engine: Arc<Engine>, parts: Parts) -> Self {
        let ids = Arc::new(Ids::new(engine.server_uuid()));
        Self {
            engine,
            gate: parts.gate,
            guard: parts.guard,
            trusted_proxies: parts.trusted_proxies,
            body_patience: parts.body_patience,
            intake: parts.intake,
            sockets: parts.sockets,
            ids,
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

async fn alone(request: HttpRequest, payload: web::Payload, state: web::Data<DockerApi>) -> HttpResponse {
    let path = request.path().to_owned();
    serve(&request, payload, &state, &path, Door::Socket).await
}

async fn mounted(request: HttpRequest, payload: web::Payload, state: web::Data<DockerApi>) -> HttpResponse {
    let path = request.path().strip_prefix(MOUNT).unwrap_or_default().to_owned();
    serve(&request, payload, &state, &path, Door::Main).await
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
    if door == Door::Main && !state.engine.policy()?.is_on {
        state.guard.check(request.headers())?;
    }
    Ok(())
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
    let mut caller = admit(request, state, route.project).await?;
    let query = Query::parse(request.query_string());
    let sent = match (request.method(), payload.as_mut()) {
        (&Method::POST, Some(payload)) => {
            let client = address::client(request, &state.trusted_proxies).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let intake = state.intake.open(client);
            let (headers, patience) = (request.headers(), state.body_patience);
            match route.rest.first() {
                Some(&"configs" | &"secrets") => body::read_long(headers, payload, patience, intake).await?,
                _ => body::read(headers, payload, patience, intake).await?,
            }
        }
        _ => Vec::new(),
    };
    let outcome = dispatch(request.method(), &route.rest, state, &mut caller, &query, sent).await;
    if let Err(refusal) = &outcome {
        record(&caller, refusal).await;
    }
    outcome
}

/// Writes down in the audit log that a change was refused.
async fn record(caller: &Caller, refusal: &Refusal) {
    if caller
        .scope
        .attempt
        .as_ref()
        .is_none_or(|attempt| attempt.is_recorded())
    {
        return;
    }
    let said = json!({"message": refusal.message}).to_string();
    let recorded = caller
        .engine
        .record(&caller.scope, refusal.status.as_u16(), Some(said))
        .await;
    if let Err(error) = recorded {
        log::error!(
            "the audit log misses a request answered {}: {}",
            refusal.status,
            error.chain()
        );
    }
}

/// Who asks. A cookie opens nothing here, and neither does a parameter.
async fn admit(request: &HttpRequest, state: &DockerApi, project: Option<&str>) -> Outcome<Caller> {
    let headers = request.headers();
    let client = address::client(request, &state.trusted_proxies);
    let presented = Presented {
        authorization: one_text(headers, AUTHORIZATION.as_str()),
        cookie: None,
        parameter: None,
        project,
        client_key: None,
        enforce: false,
        client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    let admitted = state.gate.admit(Version::V2Beta, &presented).await?;
    if headers.contains_key(AUTHORIZATION) {
        state.guard.check_origin(headers)?;
    }
    let scope = state.engine.in_one_project(admitted.scope)?;
    let view = state.engine.view(&scope).clone();
    Ok(Caller {
        engine: state.engine.clone(),
        view,
        scope,
        ids: state.ids.clone(),
        client_ip: client.map(|ip| ip.to_string()).unwrap_or_default(),
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
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if is_read {
        return read(rest, state, caller, query).await;
    }
    match (method.as_str(), rest) {
        ("POST", ["services", "create"]) => made(services::create(caller, parsed(&sent)?).await?),
        ("POST", ["services", id, "update"]) => fine(services::update(caller, id, query, parsed(&sent)?).await?),
        ("DELETE", ["services", id]) => {
            services::remove(caller, id).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("POST", ["nodes", id, "update"]) => {
            nodes::update(caller, id, query, parsed(&sent)?).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("POST", [kind @ ("secrets" | "configs"), "create"]) => {
            made(things::create(caller, thing(kind), parsed(&sent)?).await?)
        }
        ("POST", [kind @ ("secrets" | "configs"), id, "update"]) => {
            things::update(caller, thing(kind), id, query, parsed(&sent)?).await?;
            Ok(HttpResponse::Ok().finish())
        }
        ("DELETE", [kind @ ("secrets" | "configs"), id]) => {
            things::remove(caller, thing(kind), id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", ["networks", "create"]) => made(networks::create(caller, parsed(&sent)?).await?),
        ("DELETE", ["networks", id]) => {
            networks::remove(caller, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", ["swarm", "init"]) => fine(system::init(caller).await?),
        ("POST", ["swarm", "leave"]) => Ok(HttpResponse::Ok().finish()),
        ("POST", known) if is_dockers(known) => Err(not_built(known)),
        ("DELETE", ["nodes", ..]) => Err(Refusal::not_built("hosts are removed at /v2-beta/hosts in this build")),
        _ => Err(Refusal::nowhere()),
    }
}

async fn read(rest: &[&str], state: &DockerApi, caller: &Caller, query: &Query) -> Outcome<HttpResponse> {
    match rest {
        ["info"] => fine(system::info(caller).await?),
        ["swarm"] => fine(system::swarm(caller).await?),
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
        ["networks", id] => fine(networks::inspect(caller, id).await?),
        ["containers", "json"] => fine(containers::list(caller, query).await?),
        ["containers", id, "json"] => fine(containers::inspect(caller, id).await?),
        ["distribution", .., "json"] => Err(Refusal::not_built(
            "registries are asked by the engines, not by this build",
        )),
        known if is_dockers(known) => Err(not_built(known)),
        _ => Err(Refusal::nowhere()),
    }
}

/// What Docker has and this build has not.
fn is_dockers(rest: &[&str]) -> bool {
    matches!(
        rest,
        [
            "events" | "images" | "volumes" | "containers" | "exec" | "build" | "plugins" | "system" | "auth",
            ..
        ] | ["swarm", "join" | "update" | "unlock" | "unlockkey"]
            | ["networks", _, "connect" | "disconnect"]
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

/// A body as JSON; nothing is as good as an empty object.
fn parsed(sent: &[u8]) -> Outcome<Value> {
    if sent.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    let body: Value = serde_json::from_slice(sent).map_err(|e| Refusal::bad(format!("invalid JSON: {e}")))?;
    match body {
        Value::Object(_) => Ok(body),
        _ => Err(Refusal::bad("json: cannot unmarshal into Go value: not an object")),
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
            .body(format!("{}\n", refusal.message));
    }
    json(refusal.status, &json!({"message": refusal.message}))
}
