//! Where requests enter and answers leave: the state that all share, the way of every request, the choice of its handler.
//!
//! This room sees all others and none sees it. What a handler does, and how an answer is written, does not belong here.

mod dispatch;
mod encode;
mod probes;
mod respond;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::api::live;
use crate::api::pages::html;
use crate::api::resources::index::SchemaCache;
use crate::api::wire::request::Query;
use crate::auth::Gate;
use crate::engine::Engine;
use crate::http::guard::Guard;
use crate::http::headers::is_websocket;
use crate::http::sockets::{Admission, SocketLimits};
use crate::http::taken::give_up_spare;
use crate::http::{address, body};
use crate::tunnel::Hub;

/// What clients take for the version of the server if no setting says otherwise: the last Rancher of this line.
const RANCHER_VERSION: &str = "v1.6.30";

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
    /// Where the tunnels of agents end; none: no agent may dial in.
    pub tunnels: Option<Arc<Hub>>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        let (allowed_hosts, trusted_proxies, ui) = (Vec::new(), Vec::new(), None);
        Self {
            allowed_hosts,
            trusted_proxies,
            ui,
            body_patience: body::PATIENCE,
            sockets: SocketLimits::default(),
            tunnels: None,
        }
    }
}

/// What interfaces of other servers share with this one.
pub struct Shared {
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

/// What all requests share.
pub struct ApiState {
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    guard: Guard,
    trusted_proxies: Vec<IpAddr>,
    body_patience: Duration,
    intake: Arc<body::Intake>,
    schemas: SchemaCache,
    docs: SchemaCache,
    live: Arc<live::Hub>,
    sockets: Arc<Admission>,
    streams: live::Streams,
    tunnels: Option<Arc<Hub>>,
    openapi: SchemaCache,
    rancher_version: HeaderValue,
    ui: Option<html::Folder>,
    summaries: html::Summaries,
}

impl ApiState {
    /// The state of an API over `engine`.
    pub fn new(engine: Arc<Engine>, options: &ApiOptions) -> Self {
        let version = engine
            .setting("rancher.server.version")
            .and_then(|v| HeaderValue::try_from(v).ok());
        let sockets = Admission::new(options.sockets);
        Self {
            gate: Arc::new(Gate::new(engine.clone())),
            guard: Guard::new(&options.allowed_hosts),
            trusted_proxies: options.trusted_proxies.clone(),
            body_patience: options.body_patience,
            intake: Arc::default(),
            schemas: SchemaCache::default(),
            docs: SchemaCache::default(),
            ui: options.ui.clone(),
            live: live::Hub::new(engine.clone()),
            streams: live::Streams::new(engine.clone(), sockets.clone()),
            sockets,
            tunnels: options.tunnels.clone(),
            openapi: SchemaCache::default(),
            summaries: html::Summaries::new(engine.registry().clone()),
            rancher_version: version.unwrap_or(HeaderValue::from_static(RANCHER_VERSION)),
            engine,
        }
    }

    /// What interfaces of other servers share with this one: who is let in, and how much is taken in at a time.
    pub fn shared(&self) -> Shared {
        Shared {
            gate: self.gate.clone(),
            guard: self.guard.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            body_patience: self.body_patience,
            intake: self.intake.clone(),
            sockets: self.sockets.clone(),
        }
    }

    /// Ends the connections that stay open, so that the server can stop.
    pub fn close_sockets(&self) {
        self.live.stop();
        self.streams.stop();
        if let Some(tunnels) = &self.tunnels {
            tunnels.stop();
        }
    }
}

/// Puts the API into an actix application: the probes, and everything that no other service of the application takes.
pub fn configure(config: &mut web::ServiceConfig, state: web::Data<ApiState>) {
    config
        .app_data(state)
        .route("/ping", web::get().to(probes::ping))
        .route("/healthz", web::get().to(probes::healthz))
        .route("/readyz", web::get().to(probes::readyz))
        // Patterns cost each request that does not fit them: these stand behind a plain beginning, or there are none.
        .service(
            web::scope("/static")
                .default_service(web::to(serve))
                .service(web::resource("/{digest:[0-9a-f]{16}}/{file:[^/]+}").route(web::get().to(asset))),
        )
        .service(web::scope(live::PORTS).default_service(web::to(proxy)))
        .route("/v1/logs/", web::get().to(stream))
        .route("/v1/logs", web::get().to(stream))
        .route("/v1/exec/", web::get().to(stream))
        .route("/v1/exec", web::get().to(stream))
        .route("/v1/containerstats/", web::get().to(stream))
        .route("/v1/containerstats", web::get().to(stream))
        .route("/v1/dockersocket/", web::get().to(stream))
        .route("/v1/dockersocket", web::get().to(stream))
        .route("/v1/hoststats/", web::get().to(stream))
        .route("/v1/hoststats", web::get().to(stream))
        .default_service(web::to(serve));
}

/// A file of the explorer, or what it tells of the types.
async fn asset(request: HttpRequest, path: web::Path<(String, String)>, state: web::Data<ApiState>) -> HttpResponse {
    match state.summaries.serve(&request) {
        Some(summaries) => summaries,
        None => html::asset(request, path).await,
    }
}

/// A request to a port of a container: its token says all, too.
async fn proxy(request: HttpRequest, payload: web::Payload, state: web::Data<ApiState>) -> HttpResponse {
    give_up_spare(&request);
    let mut payload = Some(payload);
    let carried = match respond::check_host(&request, &state) {
        Ok(_) => {
            let from = address::client(&request, &state.trusted_proxies).unwrap_or(IpAddr::from([0, 0, 0, 0]));
            let arriving = state.intake.open(from);
            live::carry(&state.streams, arriving, state.body_patience, &request, &mut payload).await
        }
        Err(refusal) => Err(refusal),
    };
    body::holding(carried.unwrap_or_else(|refusal| respond::refused(&refusal)), payload)
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(text)
}

/// Every request of the API.
async fn serve(request: HttpRequest, payload: web::Payload, state: web::Data<ApiState>) -> HttpResponse {
    if is_websocket(request.headers()) {
        give_up_spare(&request);
    }
    let mut payload = Some(payload);
    let response = respond::respond(&request, &mut payload, &state).await;
    body::holding(response, payload)
}

/// A stream of a container: its token says all, so nobody is asked for a login.
async fn stream(request: HttpRequest, payload: web::Payload, state: web::Data<ApiState>) -> HttpResponse {
    give_up_spare(&request);
    let query = Query::parse(request.query_string());
    let path = request.path().trim_start_matches("/v1/").trim_end_matches('/');
    let token = query.first("token").unwrap_or_default();
    let opened = respond::check_host(&request, &state).map(drop);
    let opened = match opened {
        Ok(()) => state.streams.open(&request, payload, path, token).await,
        Err(refusal) => Err(refusal),
    };
    opened.unwrap_or_else(|refusal| respond::refused(&refusal))
}
