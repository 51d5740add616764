//! Where requests enter and answers leave: the way of every request, and the headers of every answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Compress;
use actix_web::{HttpRequest, HttpResponse, web};

use super::call::{Call, Reply, Text};
use super::index::{self, SchemaCache};
use super::request::{self, Base, Query, Verb};
use super::route::{self, Route, Target};
use super::{audit, catalog, error, handler, html, live, local_auth, scripts, sender, token};
use crate::auth::Gate;
use crate::engine::{Engine, Input, Proof, Scope};
use crate::http::guard::Guard;
use crate::http::headers::{append, put};
use crate::http::sockets::{Admission, SocketLimits};
use crate::http::{address, body};
use crate::model::{Error, ErrorKind, Result};
use crate::schema::View;

/// What clients take for the version of the server if no setting says otherwise: the last Rancher of this line.
const RANCHER_VERSION: &str = "v1.6.30";

static WWW_AUTHENTICATE: HeaderName = header::WWW_AUTHENTICATE;
static RETRY_AFTER: HeaderName = header::RETRY_AFTER;
static SET_COOKIE: HeaderName = header::SET_COOKIE;
static SCHEMAS: HeaderName = HeaderName::from_static("x-api-schemas");
static ACCOUNT_ID: HeaderName = HeaderName::from_static("x-api-account-id");
static USER_ID: HeaderName = HeaderName::from_static("x-api-user-id");
static ACCOUNT_KIND: HeaderName = HeaderName::from_static("x-api-account-kind");
static ACCOUNT_NAME: HeaderName = HeaderName::from_static("x-api-account-name");
static CLIENT_IP: HeaderName = HeaderName::from_static("x-api-client-ip");
static VERSION: HeaderName = HeaderName::from_static("x-rancher-version");

/// What the API is told at start.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Names, with or without a port, that requests may come for beside the loopback ones. Only looked at while access is open.
    pub allowed_hosts: Vec<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// A single-page application that is served at `/` instead of our own page.
    pub ui: Option<html::Folder>,
    /// How long a body may take to arrive.
    pub body_patience: Duration,
    /// WebSockets that may be open at a time.
    pub sockets: SocketLimits,
}

impl Default for ApiOptions {
    fn default() -> Self {
        let (allowed_hosts, trusted_proxies, ui) = (Vec::new(), Vec::new(), None);
        Self { allowed_hosts, trusted_proxies, ui, body_patience: body::PATIENCE, sockets: SocketLimits::default() }
    }
}

/// What all requests share.
pub struct ApiState {
    engine: Arc<Engine>,
    gate: Gate,
    guard: Guard,
    trusted_proxies: Vec<IpAddr>,
    body_patience: Duration,
    schemas: SchemaCache,
    live: Arc<live::Hub>,
    sockets: Arc<Admission>,
    openapi: SchemaCache,
    rancher_version: HeaderValue,
    ui: Option<html::Folder>,
}

impl ApiState {
    /// The state of an API over `engine`.
    pub fn new(engine: Arc<Engine>, options: &ApiOptions) -> Self {
        let version = engine.setting("rancher.server.version").and_then(|v| HeaderValue::try_from(v).ok());
        Self {
            gate: Gate::new(engine.clone()),
            guard: Guard::new(&options.allowed_hosts),
            trusted_proxies: options.trusted_proxies.clone(),
            body_patience: options.body_patience,
            schemas: SchemaCache::default(),
            ui: options.ui.clone(),
            live: live::Hub::new(engine.clone()),
            sockets: Admission::new(options.sockets),
            openapi: SchemaCache::default(),
            rancher_version: version.unwrap_or(HeaderValue::from_static(RANCHER_VERSION)),
            engine,
        }
    }

    /// Ends the connections that stay open, so that the server can stop.
    pub fn close_sockets(&self) {
        self.live.stop();
    }
}

/// Puts the API into an actix application: the probes, and everything that no other service of the application takes.
pub fn configure(config: &mut web::ServiceConfig, state: web::Data<ApiState>) {
    config
        .app_data(state)
        .route("/ping", web::get().to(ping))
        .route("/healthz", web::get().to(healthz))
        .route("/readyz", web::get().to(readyz))
        .service(web::resource("/static/{digest:[0-9a-f]{16}}/{file:[^/]+}").wrap(Compress::default()).route(web::get().to(html::asset)))
        .default_service(web::to(serve));
}

// The probes are not guarded: probing programs come by address, and there is nothing in the answers.

async fn ping() -> HttpResponse {
    plain(StatusCode::OK, "pong")
}

async fn healthz() -> HttpResponse {
    plain(StatusCode::OK, "ok")
}

async fn readyz(state: web::Data<ApiState>) -> HttpResponse {
    match state.engine.is_ready() {
        true => plain(StatusCode::OK, "ok"),
        false => plain(StatusCode::SERVICE_UNAVAILABLE, "starting"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(text)
}

/// Every request of the API.
async fn serve(request: HttpRequest, payload: web::Payload, state: web::Data<ApiState>) -> HttpResponse {
    let mut payload = Some(payload);
    let response = respond(&request, &mut payload, &state).await;
    body::holding(response, payload)
}

async fn respond(request: &HttpRequest, payload: &mut Option<web::Payload>, state: &ApiState) -> HttpResponse {
    let is_on = match check_host(request, state) {
        Ok(is_on) => is_on,
        Err(refusal) => {
            let (status, body) = error::answer(&refusal);
            return json(status, body);
        }
    };
    let Some(route) = route::parse(request.path()) else {
        return match &state.ui {
            Some(ui) if request.method().is_safe() => ui.serve(request.path(), request.headers()).await,
            Some(_) | None => plain(StatusCode::NOT_FOUND, "not found"),
        };
    };
    let query = Query::parse(request.query_string());
    let is_page = html::is_wanted(request.headers(), &query);
    if let (Target::Root, true, true, Some(ui)) = (&route.target, is_page, request.method().is_safe(), &state.ui) {
        return ui.serve(request.path(), request.headers()).await;
    }
    let base = Base::new(request.headers(), &route);
    if let (Target::Script(name), Verb::Get) = (&route.target, Verb::of(request.method(), &query))
        && name != scripts::TRANSFORM
    {
        // Before anybody is asked for a key: the name is one.
        return match scripts::joining(&state.engine, &base.root, name) {
            Ok(script) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(script),
            Err(e) => {
                let (status, body) = error::answer(&e);
                json(status, body)
            }
        };
    }
    let mut let_in = LetIn::default();
    let result = answer(request, payload, state, &route, &query, &base, &mut let_in).await;
    let refusal = result.as_ref().err().map(|e| e.kind);
    let (status, body, schemas_of) = match result {
        Ok(Reply { status, body, schemas_of }) => {
            record(state, let_in.scope.as_ref(), status, None).await;
            (status, body, schemas_of)
        }
        Err(e) => {
            let (status, body) = error::answer(&e);
            record(state, let_in.scope.as_ref(), status, Some(&body)).await;
            (status, Text::Own(body), None)
        }
    };
    let is_logout = token::is_asked(&route.target) && status == StatusCode::NO_CONTENT;
    let root = schemas_of.map(|project| request::root(&base.origin, route.version.as_str(), Some(&project)));
    let schemas = [root.as_deref().unwrap_or(&base.root), "/schemas"].concat();
    let mut response = match (let_in.socket.take(), body) {
        (Some(socket), _) => socket,
        (None, body) if is_page => page(state, &route, &base, let_in.scope.as_ref(), &schemas, status, &body),
        (None, Text::Own(body)) => json(status, body),
        (None, Text::Shared(body)) => json(status, body),
    };
    let headers = response.headers_mut();
    put(headers, &SCHEMAS, &schemas);
    headers.insert(VERSION.clone(), state.rancher_version.clone());
    match refusal {
        // Our own page asks for the password itself.
        Some(ErrorKind::Unauthorized) if is_on && sender::is_challenged(request.headers()) && !(is_page && html::is_own(&state.engine)) => {
            let realm = state.engine.policy().map(|p| p.realm.replace(['"', '\\'], "")).unwrap_or_default();
            put(headers, &WWW_AUTHENTICATE, &format!("Basic realm=\"{realm}\""));
        }
        Some(ErrorKind::TooMany(seconds)) => put(headers, &RETRY_AFTER, &seconds.to_string()),
        _ => {}
    }
    if is_logout {
        append(headers, &SET_COOKIE, token::NO_COOKIE);
    }
    if let Some(csrf) = &let_in.csrf {
        append(headers, &SET_COOKIE, &sender::csrf_cookie(csrf));
    }
    if let Some(scope) = let_in.scope.as_ref().filter(|s| s.proof != Proof::Nobody) {
        put_identity(headers, scope);
        let client_ip = client_ip(request, state);
        if !client_ip.is_empty() {
            put(headers, &CLIENT_IP, &client_ip);
        }
    }
    response
}

/// The answer for a browser.
fn page(
    state: &ApiState,
    route: &Route<'_>,
    base: &Base,
    scope: Option<&Scope>,
    schemas: &str,
    status: StatusCode,
    body: &Text,
) -> HttpResponse {
    let has_docs = scope.is_some_and(|scope| state.engine.view(scope).types.contains_key("typeDocumentation"));
    let docs = has_docs.then(|| [base.root.as_str(), "/typedocumentations"].concat());
    let page = html::Page {
        origin: &base.origin,
        schemas,
        docs: docs.as_deref(),
        user: scope.map_or("", |scope| scope.user.name.as_str()),
        is_root: route.target == Target::Root,
    };
    html::answer(&state.engine, &page, status, body.as_bytes())
}

/// Where a request comes from, or nothing.
fn client_ip(request: &HttpRequest, state: &ApiState) -> String {
    address::client(request, &state.trusted_proxies).map(|ip| ip.to_string()).unwrap_or_default()
}

/// Writes the audit row of a request that wrote none with a change: it was refused, or there was nothing to change.
async fn record(state: &ApiState, scope: Option<&Scope>, status: StatusCode, refusal: Option<&str>) {
    let Some(scope) = scope.filter(|s| s.attempt.as_ref().is_some_and(|a| !a.is_recorded())) else { return };
    if let Err(e) = state.engine.record(scope, status.as_u16(), refusal.map(str::to_owned)).await {
        log::error!("the audit log misses a request answered {status}: {e}");
    }
}

/// Whether access control is on; while it is not, 403 for what another site's page may have sent.
fn check_host(request: &HttpRequest, state: &ApiState) -> Result<bool> {
    let is_on = state.engine.policy()?.is_on;
    if !is_on {
        state.guard.check(request.headers())?;
    }
    Ok(is_on)
}

/// What is known of a request once it was let in.
#[derive(Default)]
struct LetIn {
    scope: Option<Scope>,
    csrf: Option<String>,
    /// The whole response, where the connection goes on as a WebSocket.
    socket: Option<HttpResponse>,
}

/// The way of a request up to its handler. `let_in` says who asks, as soon as that is known.
async fn answer(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &ApiState,
    route: &Route<'_>,
    query: &Query<'_>,
    base: &Base,
    let_in: &mut LetIn,
) -> Result<Reply> {
    let headers = request.headers();
    let verb = Verb::of(request.method(), query);
    request::check_disguise(request.method(), verb)?;
    let body = match (verb, payload.as_mut()) {
        (Verb::Post | Verb::Put, Some(payload)) => {
            request::parse_body(headers, &body::read(headers, payload, state.body_patience).await?, query)?
        }
        (Verb::Post | Verb::Put, None) | (Verb::Get | Verb::Delete | Verb::Other, _) => Input::new(),
    };
    let actions_key = if headers.contains_key("x-api-action-links") { "actionLinks" } else { "actions" };
    let presented = sender::presented(request, route, query, &state.trusted_proxies);
    if token::is_asked(&route.target) {
        let_in.scope = Some(state.engine.admit_nobody(route.version));
    } else {
        let admitted = state.gate.admit(route.version, &presented).await?;
        if admitted.by_cookie {
            state.guard.check_origin(headers)?;
        }
        let_in.scope = Some(admitted.scope);
    }
    let_in.csrf = sender::check_csrf(headers, verb, query)?;
    let Some(scope) = &mut let_in.scope else { return Err(Error::bug("let in as nobody")) };
    if token::is_asked(&route.target) {
        let request = token::Login { gate: &state.gate, engine: &state.engine, presented: &presented, base, route, verb, actions_key };
        return token::answer(&request, body).await;
    }
    let view = state.engine.view(scope).clone();
    let client_ip = client_ip(request, state);
    let asked = audit::asked(&view, &route.target, verb, query, &body, &client_ip);
    scope.attempt = asked.and_then(|asked| state.engine.attempt(&asked));
    let (scope, view) = (&*scope, &view);
    let call = Call { engine: &state.engine, scope, view, verb, query, base, path: request.path(), actions_key };
    if local_auth::is_asked(&route.target) {
        return local_auth::answer(&call, &body).await;
    }
    match &route.target {
        Target::Root => Ok(index::versions(&call)),
        Target::VersionIndex => Ok(index::version(&call)),
        Target::Schemas => read_only(verb).map(|()| index::schemas(&call, &state.schemas)),
        Target::Schema(id) => read_only(verb).and_then(|()| index::schema(&call, id)),
        Target::Collection(name) if is_live(view, name) => {
            let ty = call.find_type(name)?;
            let shake = live::Handshake { request, payload, sockets: &state.sockets, response: &mut let_in.socket };
            live::subscribe(&call, ty, &state.live, shake, body).await
        }
        Target::OpenApi => read_only(verb).map(|()| index::openapi(&call, &state.openapi)),
        Target::Collection(ty) => handler::collection(&call, ty, body).await,
        Target::Resource { ty, id } => handler::resource(&call, ty, id, body).await,
        Target::Link { ty, id, link } => handler::link(&call, ty, id, link, body).await,
        Target::Script(name) => scripts::answer(&call, name, &body),
        Target::Catalog { ty, id } => catalog::answer(&call, ty.as_deref(), id.as_deref()),
        Target::NotBuilt(name) => Err(Error::not_implemented(format!("{name} is not part of this build"))),
        Target::Nothing => Err(Error::not_found()),
    }
}

/// Whether a collection is a stream of events.
fn is_live(view: &View, name: &str) -> bool {
    view.find_by_path(name).is_some_and(|ty| ty.def.id == "subscribe")
}

fn read_only(verb: Verb) -> Result<()> {
    match verb {
        Verb::Get => Ok(()),
        Verb::Post | Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(crate::model::ErrorKind::MethodNotAllowed)),
    }
}

fn json<B: actix_web::body::MessageBody + 'static>(status: StatusCode, body: B) -> HttpResponse {
    let mut response = HttpResponse::with_body(status, body).map_into_boxed_body();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    // Rancher's answers have passed a proxy that wrote header names this way.
    response.head_mut().set_camel_case_headers(true);
    response
}

fn put_identity(headers: &mut HeaderMap, scope: &Scope) {
    put(headers, &ACCOUNT_ID, &format!("1a{}", scope.effective.id));
    put(headers, &USER_ID, &format!("1a{}", scope.user.id));
    put(headers, &ACCOUNT_KIND, &scope.user.kind);
    if !scope.user.name.is_empty() {
        put(headers, &ACCOUNT_NAME, &scope.user.name);
    }
}
