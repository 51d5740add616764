//! Hyper.sh's interface of services and floating addresses: services that a balancer stands before.
//!
//! A request enters at [`configure`], is let in by its signature, and is handed to a file for each noun. What a service is in both
//! words is said by `native`; what is kept beside the engine's own row, by `shown`. Nothing here knows how a container is made.

mod body;
mod caller;
mod containers;
mod fips;
mod images;
mod native;
mod query;
mod refusal;
mod route;
mod services;
mod shown;
mod spec;
mod system;

use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderValue, SERVER, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::entry::Entry;
use crate::auth::Signed;
use crate::http::{body as bodies, path};
use crate::schema::Version;
use caller::Caller;
use query::Query;
use refusal::{Outcome, Refusal};

/// The version of the interface that is spoken.
pub const API_VERSION: &str = "1.23";
/// Where it is found.
pub const MOUNT: &str = "/hyper";
/// Where clients look for it that know no other place.
pub const ROOT: &str = "/v1.23";

/// What all requests share.
pub struct HyperApi {
    entry: Entry,
}

impl HyperApi {
    /// Behind this entry.
    pub fn new(entry: Entry) -> Self {
        Self { entry }
    }
}

/// Puts it into an actix application, under its mounts.
pub fn configure(config: &mut web::ServiceConfig, state: web::Data<HyperApi>) {
    for mount in [MOUNT, ROOT] {
        let scope = web::scope(mount).app_data(state.clone());
        config.service(scope.default_service(web::to(enter)));
    }
}

async fn enter(request: HttpRequest, payload: web::Payload, state: web::Data<HyperApi>) -> HttpResponse {
    let mut payload = Some(payload);
    let path = request.path().strip_prefix(MOUNT).unwrap_or(request.path()).to_owned();
    let mut response = match answer(&request, &mut payload, &state, &path).await {
        Ok(response) => response,
        Err(refusal) => refused(&refusal),
    };
    response
        .headers_mut()
        .insert(SERVER, HeaderValue::from_static("Drover"));
    bodies::holding(response, payload)
}

async fn answer(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &HyperApi,
    path: &str,
) -> Outcome<HttpResponse> {
    let path = path::decode(path).ok_or_else(Refusal::nowhere)?;
    let route = route::parse(&path)?;
    if route.rest == ["_ping"] && matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(plain(StatusCode::OK, "OK"));
    }
    let (mut caller, sent) = admit(request, payload, state, route.project).await?;
    let query = Query::parse(request.query_string());
    let outcome = match *request.method() {
        Method::GET => read(&route.rest, &caller, &query).await,
        _ => change(request.method(), &route.rest, state, &mut caller, &query, &sent).await,
    };
    match &outcome {
        Ok(answer) => state.entry.record(&caller.scope, answer.status(), None).await,
        Err(refusal) => {
            let said = Some(refusal.message.clone());
            state.entry.record(&caller.scope, refusal.status, said).await;
        }
    }
    outcome
}

/// Who asks, by the signature, and the body, which has to be the one that was signed.
async fn admit(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &HyperApi,
    project: Option<&str>,
) -> Outcome<(Caller, Vec<u8>)> {
    let entry = &state.entry;
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for (name, value) in request.headers() {
        headers.extend(value.to_str().map(|value| (name.as_str(), value)));
    }
    if !request.headers().contains_key(HOST) {
        // HTTP/2 has it in the address.
        headers.extend(request.uri().authority().map(|host| (HOST.as_str(), host.as_str())));
    }
    let signed = Signed {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: &headers,
        project,
        client: entry.client_or_none(request),
    };
    let admitted = entry.gate.admit_signed(Version::V2Beta, &signed).await?;
    entry.guard.check_origin(request.headers())?;
    let scope = entry.engine.in_one_project(admitted.scope)?;
    let sent = match payload.as_mut() {
        Some(payload) => entry.body(request, payload, false).await?,
        None => Vec::new(),
    };
    signed.check_body(&sent)?;
    let client_ip = entry.client_text(request);
    Ok((Caller::new(&entry.engine, scope, client_ip), sent))
}

async fn read(rest: &[&str], caller: &Caller, query: &Query) -> Outcome<HttpResponse> {
    match rest {
        ["version"] => json(StatusCode::OK, &system::version()),
        ["info"] => json(StatusCode::OK, &system::info(caller).await?),
        ["services"] => json(StatusCode::OK, &services::list(caller, query).await?),
        ["services", name] => json(StatusCode::OK, &services::inspect(caller, name).await?),
        ["fips"] => json(StatusCode::OK, &fips::list(caller, query).await?),
        ["containers", "json"] => json(StatusCode::OK, &containers::list(caller, query).await?),
        ["containers", id, "json"] => json(StatusCode::OK, &containers::inspect(caller, id).await?),
        ["images", name @ .., "json"] if !name.is_empty() => {
            json(StatusCode::OK, &images::inspect(caller, &name.join("/")).await?)
        }
        known => Err(unknown(known)),
    }
}

async fn change(
    method: &Method,
    rest: &[&str],
    state: &HyperApi,
    caller: &mut Caller,
    query: &Query,
    sent: &[u8],
) -> Outcome<HttpResponse> {
    match (method.as_str(), rest) {
        ("POST", ["services", "create"]) => json(StatusCode::CREATED, &services::create(caller, sent).await?),
        ("POST", ["services", name, "update"]) => json(StatusCode::OK, &services::update(caller, name, sent).await?),
        ("DELETE", ["services", name]) => {
            services::remove(caller, name, query).await?;
            done()
        }
        ("POST", ["fips", "allocate"]) => json(StatusCode::CREATED, &fips::allocate(caller, query).await?),
        ("POST", ["fips", "attach"]) => {
            fips::attach(caller, query).await?;
            done()
        }
        ("POST", ["fips", "detach"]) => json(StatusCode::OK, &fips::detach(caller, query).await?),
        ("POST", ["fips", "release"]) => {
            fips::release(caller, query).await?;
            done()
        }
        ("POST", ["fips", "name"]) => {
            fips::name(caller, query).await?;
            done()
        }
        ("POST", ["images", "create"]) => {
            let place = state.entry.sockets.admit(caller.scope.user.id)?;
            images::create(caller, query, place).await
        }
        (_, known) => Err(unknown(known)),
    }
}

/// What Hyper has and this server has not is told from what there never was.
fn unknown(rest: &[&str]) -> Refusal {
    let is_hypers = matches!(
        rest,
        [
            "sg" | "volumes"
                | "networks"
                | "crons"
                | "funcs"
                | "snapshots"
                | "compose"
                | "events"
                | "exec"
                | "build"
                | "commit"
                | "auth",
            ..
        ] | ["containers" | "images", _, ..]
            | ["images"]
    );
    match is_hypers {
        true => Refusal::not_built(format!("/{} is not part of this server", rest.join("/"))),
        false => Refusal::nowhere(),
    }
}

/// What is answered where there is nothing to say.
fn done() -> Outcome<HttpResponse> {
    Ok(HttpResponse::NoContent().finish())
}

fn json(status: StatusCode, body: &Value) -> Outcome<HttpResponse> {
    let mut answer = HttpResponse::build(status);
    Ok(answer
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(format!("{body}\n")))
}

fn plain(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text.to_owned())
}

fn refused(refusal: &Refusal) -> HttpResponse {
    plain(refusal.status, &format!("{}\n", refusal.message))
}
