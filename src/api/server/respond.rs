//! The way of every request from the guard to the headers of its answer; what is asked for is served by `dispatch`.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::http::header::{self, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};

use super::{ApiState, dispatch, encode, plain};
use crate::api::accounts::token;
use crate::api::pages::{html, scripts};
use crate::api::wire::call::{Reply, Text, block};
use crate::api::wire::request::{self, Base, Query, Verb};
use crate::api::wire::route::{self, Route, Target};
use crate::api::wire::{error, sender};
use crate::engine::{Proof, Scope};
use crate::http::address;
use crate::http::encoding::{self, Coding, Kept};
use crate::http::headers::{append, put};
use crate::http::pieces::Pieces;
use crate::model::{Error, ErrorKind, Result};

static CACHE_CONTROL: HeaderName = header::CACHE_CONTROL;
static WWW_AUTHENTICATE: HeaderName = header::WWW_AUTHENTICATE;
static RETRY_AFTER: HeaderName = header::RETRY_AFTER;
static SET_COOKIE: HeaderName = header::SET_COOKIE;
static SCHEMAS: HeaderName = HeaderName::from_static("x-api-schemas");
static ACCOUNT_ID: HeaderName = HeaderName::from_static("x-api-account-id");
static USER_ID: HeaderName = HeaderName::from_static("x-api-user-id");
static ACCOUNT_KIND: HeaderName = HeaderName::from_static("x-api-account-kind");
static ACCOUNT_NAME: HeaderName = HeaderName::from_static("x-api-account-name");
static CLIENT_IP: HeaderName = HeaderName::from_static("x-api-client-ip");
static VARY: HeaderName = header::VARY;
static VERSION: HeaderName = HeaderName::from_static("x-rancher-version");

/// A request for the API, taken apart.
pub struct Parts<'r> {
    /// As it came.
    pub request: &'r HttpRequest,
    /// What the path means.
    pub route: Route<'r>,
    /// The parameters.
    pub query: Query<'r>,
    /// What links begin with.
    pub base: Base,
    /// Where it comes from, or nothing.
    pub client_ip: String,
    /// Whether to answer with a page.
    is_page: bool,
}

/// What is known of a request once it was let in.
#[derive(Default)]
pub struct LetIn {
    /// Who asks, as soon as that is known.
    pub scope: Option<Scope>,
    /// The CSRF cookie of the answer.
    pub csrf: Option<String>,
    /// The whole response, where the connection goes on as a WebSocket.
    pub socket: Option<HttpResponse>,
}

/// The answer to a request.
pub async fn respond(request: &HttpRequest, payload: &mut Option<web::Payload>, state: &ApiState) -> HttpResponse {
    let is_on = match check_host(request, state) {
        Ok(is_on) => is_on,
        Err(refusal) => return refused(&refusal),
    };
    let method = request.method();
    let Some(route) = route::parse(request.path()) else {
        return match &state.ui {
            _ if *method == Method::TRACE => plain(StatusCode::METHOD_NOT_ALLOWED, "not allowed"),
            Some(ui) if method.is_safe() => ui.serve(request.path(), request.headers()).await,
            Some(_) | None => plain(StatusCode::NOT_FOUND, "not found"),
        };
    };
    let query = Query::parse(request.query_string());
    let is_page = html::is_wanted(request.headers(), &query);
    let is_read = method.is_safe() && *method != Method::TRACE;
    if let (Target::Root, true, true, Some(ui)) = (&route.target, is_page, is_read, &state.ui) {
        return ui.serve(request.path(), request.headers()).await;
    }
    let base = Base::new(request.headers(), address::is_secured(request), &route);
    let parts = Parts {
        request,
        route,
        query,
        base,
        client_ip: client_ip(request, state),
        is_page,
    };
    if let Some(script) = joining(&parts, state) {
        return script;
    }
    let mut let_in = LetIn::default();
    let position = is_page
        .then(|| state.engine.listen().ok().map(|(_, position)| position))
        .flatten();
    let result = match is_traced(&parts) {
        true => Err(Error::new(ErrorKind::MethodNotAllowed)),
        false => dispatch::answer(&parts, payload, state, &mut let_in).await,
    };
    let refusal = result.as_ref().err().map(|e| e.kind);
    let is_unreadable = is_unreadable(&result);
    let reply = recorded(state, let_in.scope.as_ref(), result).await;
    let is_logout = token::is_asked(&parts.route.target) && reply.status == StatusCode::NO_CONTENT;
    let version = parts.route.version.as_str();
    let root = reply
        .schemas_of
        .as_ref()
        .map(|project| request::root(&parts.base.origin, version, Some(project)));
    let schemas = [root.as_deref().unwrap_or(&parts.base.root), "/schemas"].concat();
    let mut response = shown(state, &parts, &mut let_in, reply, (&schemas, position)).await;
    let headers = response.headers_mut();
    put(headers, &SCHEMAS, &schemas);
    headers.insert(VERSION.clone(), state.rancher_version.clone());
    if let Some(kind) = refusal {
        put_refusal(headers, &parts, state, kind, is_on);
    }
    if is_logout {
        append(headers, &SET_COOKIE, token::NO_COOKIE);
    }
    if let Some(csrf) = &let_in.csrf {
        append(headers, &SET_COOKIE, &sender::csrf_cookie(csrf));
    }
    let told = let_in.scope.as_ref().filter(|_| !is_unreadable);
    told.into_iter().for_each(|scope| put_identity(headers, scope));
    // Also whoever is turned away is told where it seems to come from.
    if !parts.client_ip.is_empty() {
        put(headers, &CLIENT_IP, &parts.client_ip);
    }
    response
}

/// The answer in the form in which it is wanted: a socket, a file, a page, JSON.
async fn shown(
    state: &ApiState,
    parts: &Parts<'_>,
    let_in: &mut LetIn,
    reply: Reply,
    about: (&str, Option<i64>),
) -> HttpResponse {
    let socket = let_in.socket.take();
    let view = let_in.scope.as_ref().map(|scope| &**state.engine.view(scope));
    let coding = encode::coding(parts, view, reply.status);
    let asked = parts.request.headers();
    match (socket, reply.body) {
        (Some(socket), _) => socket,
        (None, Text::File(media, bytes)) => file(reply.status, media, bytes),
        (None, body) if parts.is_page => {
            let (response, text) = page(state, parts, let_in, about, reply.status, &body);
            let tag = encoding::tag(text.as_bytes());
            encode::tagged(encode::shorten(response, coding, text).await, asked, &tag)
        }
        (None, Text::Own(body)) => {
            let mut response = encode::shorten(json(reply.status, ()), coding, body).await;
            // It may hold a secret that is shown once.
            response
                .headers_mut()
                .insert(CACHE_CONTROL.clone(), HeaderValue::from_static("no-store"));
            response
        }
        (None, Text::Shared(body)) => kept(asked, reply.status, coding, body).await,
    }
}

/// Whether what the request brought along is to be sent back, a cookie among it. One in disguise is refused as that.
fn is_traced(parts: &Parts<'_>) -> bool {
    *parts.request.method() == Method::TRACE && !parts.query.has("_method")
}

pub(super) fn refused(refusal: &Error) -> HttpResponse {
    let (status, body) = error::answer(refusal);
    json(status, Pieces::of(body))
}

/// The script by which a host joins, if that is what is read. Before anybody is asked for a key: the name is one.
fn joining(parts: &Parts<'_>, state: &ApiState) -> Option<HttpResponse> {
    let Target::Script(name) = &parts.route.target else {
        return None;
    };
    let is_read = Verb::of(parts.request.method(), &parts.query) == Verb::Get && name != scripts::TRANSFORM;
    is_read.then(|| match scripts::joining(&state.engine, &parts.base.root, name) {
        Ok(script) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .insert_header((CACHE_CONTROL.clone(), "no-store"))
            .body(script),
        Err(e) => refused(&e),
    })
}

/// What goes to the client, once the audit log has it.
async fn recorded(state: &ApiState, scope: Option<&Scope>, result: Result<Reply>) -> Reply {
    match result {
        Ok(reply) => {
            record(state, scope, reply.status, None).await;
            reply
        }
        Err(e) => {
            let (status, body) = error::answer(&e);
            record(state, scope, status, Some(&body)).await;
            Reply::new(status, body)
        }
    }
}

/// The answer for a browser.
fn page(
    state: &ApiState,
    parts: &Parts<'_>,
    let_in: &LetIn,
    (schemas, position): (&str, Option<i64>),
    status: StatusCode,
    body: &Text,
) -> (HttpResponse, String) {
    let scope = let_in.scope.as_ref();
    let has_docs = scope.is_some_and(|scope| state.engine.view(scope).types.contains_key("typeDocumentation"));
    let docs = has_docs.then(|| [parts.base.root.as_str(), "/typedocumentations"].concat());
    let page = html::Page {
        origin: &parts.base.origin,
        schemas,
        docs: docs.as_deref(),
        summaries: state.summaries.address(),
        user: scope.map_or("", |scope| scope.user.name.as_str()),
        position: position.filter(|_| scope.is_some()),
        is_root: parts.route.target == Target::Root,
    };
    html::answer(&state.engine, &page, status, body.as_bytes())
}

/// An answer that is the same for many: a browser may keep it, and asks each time whether it still is.
async fn kept(asked: &HeaderMap, status: StatusCode, coding: Option<Coding>, body: Arc<Kept>) -> HttpResponse {
    let mut response = json(status, ());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL.clone(), HeaderValue::from_static("private, no-cache"));
    // The same address is a page for browsers.
    headers.insert(VARY.clone(), HeaderValue::from_static("Accept, User-Agent"));
    let tag = body.tag().to_owned();
    if encoding::is_known(asked, &tag) {
        return encode::tagged(response, asked, &tag);
    }
    let response = match coding {
        None => response
            .set_body(Pieces::of_kept(body.plain().clone()))
            .map_into_boxed_body(),
        Some(coding) => {
            let plain = body.plain().clone();
            let short = block(move || Ok(body.encoded(coding))).await.ok().flatten();
            encode::sealed(response, coding, short, plain)
        }
    };
    encode::tagged(response, asked, &tag)
}

/// Where a request comes from, or nothing.
fn client_ip(request: &HttpRequest, state: &ApiState) -> String {
    address::client(request, &state.trusted_proxies)
        .map(|ip| ip.to_string())
        .unwrap_or_default()
}

/// Writes the audit row of a request that wrote none with a change: it was refused, or there was nothing to change.
async fn record(state: &ApiState, scope: Option<&Scope>, status: StatusCode, refusal: Option<&str>) {
    let Some(scope) = scope.filter(|s| s.attempt.as_ref().is_some_and(|a| !a.is_recorded())) else {
        return;
    };
    let recorded = state
        .engine
        .record(scope, status.as_u16(), refusal.map(str::to_owned))
        .await;
    // That nothing can be written is said where that is found out.
    if let Err(e) = recorded
        && e.kind != ErrorKind::Unavailable
    {
        log::error!("the audit log misses a request answered {status}: {e}");
    }
}

/// Whether access control is on; while it is not, 403 for what another site's page may have sent.
pub(super) fn check_host(request: &HttpRequest, state: &ApiState) -> Result<bool> {
    let is_on = state.engine.policy()?.is_on;
    if !is_on {
        state.guard.check(request.headers())?;
    }
    Ok(is_on)
}

fn json(status: StatusCode, body: impl MessageBody + 'static) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    // Rancher's answers have passed a proxy that wrote header names this way.
    response.head_mut().set_camel_case_headers(true);
    response
}

/// A file. It is said what it is, so that no browser takes it for a page.
fn file(status: StatusCode, media: &'static str, bytes: Vec<u8>) -> HttpResponse {
    let mut response = json(status, bytes);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL.clone(), HeaderValue::from_static("private"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What a refused caller may do about it.
fn put_refusal(headers: &mut HeaderMap, parts: &Parts<'_>, state: &ApiState, kind: ErrorKind, is_on: bool) {
    // Our own page asks for the password itself.
    let asks_itself = || parts.is_page && html::is_own(&state.engine);
    match kind {
        ErrorKind::Unauthorized if is_on && sender::is_challenged(parts.request.headers()) && !asks_itself() => {
            let realm = state
                .engine
                .policy()
                .map(|p| p.realm.replace(['"', '\\'], ""))
                .unwrap_or_default();
            put(headers, &WWW_AUTHENTICATE, &format!("Basic realm=\"{realm}\""));
        }
        ErrorKind::TooMany(seconds) => put(headers, &RETRY_AFTER, &seconds.to_string()),
        _ => {}
    }
}

/// Whether the body was no JSON. The original reads it before it asks who sends it, and so does not say.
fn is_unreadable(result: &Result<Reply>) -> bool {
    matches!(result, Err(e) if e.code.as_deref() == Some("InvalidBodyContent"))
}

/// Who asked, if somebody proved it.
fn put_identity(headers: &mut HeaderMap, scope: &Scope) {
    if scope.proof == Proof::Nobody {
        return;
    }
    put(headers, &ACCOUNT_ID, &format!("1a{}", scope.effective.id));
    put(headers, &USER_ID, &format!("1a{}", scope.user.id));
    put(headers, &ACCOUNT_KIND, &scope.user.kind);
    if !scope.user.name.is_empty() {
        put(headers, &ACCOUNT_NAME, &scope.user.name);
    }
}
