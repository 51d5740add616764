//! BRIDGEPORT's interface: templates of services, placed on servers and brought there; environments, registries, secrets, and what
//! configures them.
//!
//! A request enters at [`configure`], is let in by `caller`, its body is read by the table of routes, and it is handed to a file for
//! each noun. What a template on a server is in the engine's words is said by `native`; that it is brought there, one server after
//! the other, is a rollout of the engine's.

mod bodies;
mod caller;
mod compose;
mod deploys;
mod elsewhere;
mod environments;
mod fields;
mod history;
mod logs;
mod native;
mod openapi;
mod people;
mod placed;
mod placements;
mod query;
mod refusal;
mod registries;
mod routes;
mod secrets;
mod servers;
mod services;
mod table;
mod things;
mod tokens;
mod webhooks;

use std::sync::Arc;

use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::entry::Entry;
use crate::engine::{Once, OnceKey};
use crate::http::headers::{has_word, is_true, one_text};
use crate::http::rates::{Rate, Rates};
use crate::http::{body, path};
use crate::model::ResourceId;
use crate::model::id::new_uuid;
use caller::Asker;
use query::Query;
use refusal::{Code, Outcome, Refusal};
use routes::{Deed, Route, What, Who};

/// Where it is found on the main address.
pub const MOUNT: &str = "/bridgeport";
/// The version of BRIDGEPORT whose interface this is.
pub const API_VERSION: &str = "1.0.0";
/// What refusals about such a key name.
const KEY_FIELD: &str = "Idempotency-Key";
/// The longest idempotency key, in characters.
const LONGEST_KEY: usize = 200;
/// What a client prefers that does not wait (RFC 7240).
const RESPOND_ASYNC: &str = "respond-async";
/// How many requests an address may send in a minute; 0 for as many as it likes.
const RATE_LIMIT: &str = "drover.rate.limit";

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static PREFER: HeaderName = HeaderName::from_static("prefer");
static DRY_RUN: HeaderName = HeaderName::from_static("x-dry-run");

/// What all requests share.
pub struct BridgeportApi {
    entry: Entry,
    rates: Rates,
}

impl BridgeportApi {
    /// Behind this entry.
    pub fn new(entry: Entry) -> Self {
        entry
            .engine
            .write_messages(webhooks::FORMAT, Arc::new(webhooks::written));
        Self {
            entry,
            rates: Rates::default(),
        }
    }
}

/// A request that was read.
pub struct Call {
    /// What the path has in the places that its route leaves open.
    params: Vec<(&'static str, String)>,
    /// The fields of the body that the route knows.
    body: Map<String, Value>,
    /// The parameters.
    query: Query,
    /// Whether it is only to be said what would be done.
    is_dry: bool,
    /// Whether the end of what takes time is not waited for.
    is_async: bool,
}

impl Call {
    /// What the path has in this place.
    fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Puts it into an actix application, under its mount.
pub fn configure(config: &mut web::ServiceConfig, state: web::Data<BridgeportApi>) {
    config.service(web::scope(MOUNT).app_data(state).default_service(web::to(mounted)));
}

async fn mounted(request: HttpRequest, payload: web::Payload, state: web::Data<BridgeportApi>) -> HttpResponse {
    let id = request_id();
    let mut payload = Some(payload);
    let rate = state.rate(&request);
    let answered = match rate {
        Some(rate) if rate.is_exceeded => Err(Refusal {
            retry_after: Some(rate.reset),
            ..Refusal::new(Code::RateLimited, format!("At most {} requests a minute", rate.limit))
        }),
        _ => answer(&request, &mut payload, &state, &id).await,
    };
    let mut response = answered.unwrap_or_else(|refusal| refusal.to_response(&id));
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    if let Some(rate) = rate {
        for (name, number) in [
            ("x-ratelimit-limit", rate.limit),
            ("x-ratelimit-remaining", rate.remaining),
            ("x-ratelimit-reset", rate.reset),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
        }
    }
    body::holding(response, payload)
}

/// A new name for a request: its time, then what nobody can guess, in Crockford's digits.
fn request_id() -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let number = new_uuid().as_u128();
    let digits = (0..26_u32).rev().map(|place| {
        let at = usize::try_from(number >> (place * 5) & 31).unwrap_or(0);
        char::from(DIGITS.get(at).copied().unwrap_or(b'0'))
    });
    format!("req_{}", digits.collect::<String>())
}

impl BridgeportApi {
    /// How the address of a request stands, if requests are counted.
    fn rate(&self, request: &HttpRequest) -> Option<Rate> {
        let limit = self
            .entry
            .engine
            .setting_count(RATE_LIMIT)
            .ok()
            .filter(|limit| *limit > 0)?;
        let is_exempt = request.path().strip_prefix(MOUNT) == Some("/health");
        if is_exempt {
            return None;
        }
        let client = self.entry.client_or_none(request);
        Some(self.rates.count(client, limit, self.entry.engine.clock().now()))
    }
}

async fn answer(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &BridgeportApi,
    request_id: &str,
) -> Outcome<HttpResponse> {
    state.entry.guard_open(request)?;
    let raw = request.path().strip_prefix(MOUNT).unwrap_or_default();
    let method = match request.method() {
        &Method::HEAD => "GET",
        method => method.as_str(),
    };
    let nowhere = || Refusal::nowhere(method, raw);
    let decoded = path::decode(raw).ok_or_else(nowhere)?;
    let segments: Vec<&str> = decoded.split('/').skip(1).collect();
    let found = table::all().find_map(|route| {
        let params = route.params(&segments).filter(|_| route.method == method)?;
        Some((route, params))
    });
    let asker = match found.as_ref().map(|(route, _)| route.who) {
        Some(Who::Anybody) => None,
        // Who is nobody is not told what there is.
        _ => Some(Asker::identify(state, request).await?),
    };
    let (route, params) = found.ok_or_else(nowhere)?;
    let mut call = Call {
        params: params
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect(),
        body: Map::new(),
        query: Query::parse(request.query_string()),
        is_dry: is_true(request.headers(), DRY_RUN.as_str()),
        is_async: has_word(request.headers(), PREFER.as_str(), RESPOND_ASYNC),
    };
    if let Some(asker) = &asker {
        asker.check_scope(&route, &call)?;
        asker.check_role(&route, method)?;
    }
    let sent = match payload.as_mut().filter(|_| matches!(method, "POST" | "PUT" | "PATCH")) {
        Some(payload) => state.entry.body(request, payload, false).await?,
        None => Vec::new(),
    };
    let once = match &asker {
        Some(asker) if method == "POST" => begin_once(request, state, asker, raw, &sent).await?,
        _ => None,
    };
    let row = match once {
        Some(Once::Answered { status, answer }) => return Ok(replayed(status, answer)),
        Some(Once::InFlight) => return Err(Refusal::taken(KEY_FIELD, "A request with this key is being done")),
        Some(Once::Reused) => {
            return Err(Refusal::new(Code::KeyReused, "This key was used for another body").about(KEY_FIELD));
        }
        Some(Once::Begun(row)) => Some(row),
        None => None,
    };
    let done = do_it(request, state, &route, asker.as_ref(), &mut call, &sent).await;
    if let Some(asker) = &asker {
        asker.record(state, done.as_ref().err(), request_id).await;
    }
    if let Some(row) = row {
        end_once(state, row, route.status, done.as_ref().ok()).await;
    }
    let status = StatusCode::from_u16(route.status).unwrap_or(StatusCode::OK);
    Ok(HttpResponse::build(status).json(done?))
}

/// Reads the body, and hands on.
async fn do_it(
    request: &HttpRequest,
    state: &BridgeportApi,
    route: &Route,
    asker: Option<&Asker>,
    call: &mut Call,
    sent: &[u8],
) -> Outcome<Value> {
    // Whoever sends nothing says nothing: what has to be there is missed all the same.
    let body = match sent {
        [] => json!({}),
        some => serde_json::from_slice(some)
            .map_err(|e| Refusal::new(Code::Validation, format!("The body is no JSON: {e}")))?,
    };
    call.body = match route.fields {
        [] if route.read_only.is_empty() => Map::new(),
        fields => fields::read(fields, route.read_only, body)?,
    };
    match (asker, route.what) {
        (_, What::Health) => Ok(json!({"status": "ok", "version": API_VERSION})),
        (_, What::OpenApi) => Ok(openapi::document()),
        (_, What::Register) => people::register(state, call).await,
        (_, What::Login) => people::login(state, request, call).await,
        (None, _) => Err(Refusal::new(Code::Unauthorized, "Unauthorized")),
        (Some(asker), what) => lead(state, asker, what, call).await,
    }
}

/// Whom a route is for.
async fn lead(state: &BridgeportApi, asker: &Asker, what: What, call: &Call) -> Outcome<Value> {
    match what {
        What::Me => people::me(asker).await,
        What::Tokens(deed) => tokens::lead(asker, deed, call).await,
        What::Environments(deed) => environments::lead(asker, deed, call).await,
        What::Servers(deed) => servers::lead(asker, deed, call).await,
        What::Registries(deed) => registries::lead(asker, deed, call).await,
        What::Secrets(deed) => secrets::lead(asker, deed, call).await,
        What::Things(thing, deed) => things::lead(asker, thing, deed, call).await,
        What::Services(deed) => services::lead(asker, deed, call).await,
        What::TypeCounts => services::type_counts(asker, call).await,
        What::OnServer(Deed::List) => placements::on_server(asker, call).await,
        What::OnServer(_) => placements::create_on_server(asker, call).await,
        What::Placements(deed) => placements::lead(asker, deed, call).await,
        What::Deploy => deploys::all(asker, call).await,
        What::DeployByName => deploys::by_name(asker, call).await,
        What::DeployOne => deploys::one(asker, call).await,
        What::Restart => placements::restart(asker, call).await,
        What::CheckHealth => placements::health(asker, call).await,
        What::Logs => logs::read(state, asker, call).await,
        What::History => history::of_service(asker, call).await,
        What::Deployment => history::one(asker, call).await,
        What::Artifacts => history::artifacts(asker, call).await,
        What::Template(deed) => compose::template(asker, deed, call).await,
        What::Preview => compose::preview(asker, call).await,
        What::Webhooks(deed) => webhooks::lead(asker, deed, call).await,
        What::Deliveries => webhooks::deliveries(asker, call).await,
        What::Unbuilt(what) => Err(Refusal::not_built(format!("{what}: not part of this build"))),
        What::Health | What::OpenApi | What::Register | What::Login => Err(Refusal::missing("Route")),
    }
}

/// Begins a request under the key that its header has, if it has one and its body is JSON.
async fn begin_once(
    request: &HttpRequest,
    state: &BridgeportApi,
    asker: &Asker,
    path: &str,
    sent: &[u8],
) -> Outcome<Option<Once>> {
    let headers = request.headers();
    if !headers.contains_key(&IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let key = one_text(headers, IDEMPOTENCY_KEY.as_str()).map(str::trim);
    let is_good = |key: &&str| !key.is_empty() && key.chars().count() <= LONGEST_KEY;
    let Some(key) = key.filter(is_good) else {
        let words = format!("An idempotency key has 1 to {LONGEST_KEY} characters, and stands once");
        return Err(Refusal::bad(KEY_FIELD, words));
    };
    let body: Value = match (sent, serde_json::from_slice(sent)) {
        ([], _) => Value::Null,
        (_, Ok(body)) => body,
        (_, Err(_)) => return Ok(None),
    };
    let parts = [asker.credential.as_str(), path, request.query_string(), key];
    let key = OnceKey {
        identity: json!(parts).to_string(),
        body: body.to_string(),
    };
    Ok(Some(state.entry.engine.begin_once(&key).await?))
}

/// Keeps what a request under a key was answered; a refusal leaves the key free.
async fn end_once(state: &BridgeportApi, row: ResourceId, status: u16, answer: Option<&Value>) {
    let kept = answer.map(Value::to_string);
    let ended = state
        .entry
        .engine
        .end_once(row, kept.as_deref().map(|text| (status, text)));
    if let Err(error) = ended.await {
        log::error!("an idempotency key misses how its request ended: {}", error.chain());
    }
}

/// An answer that was given before.
fn replayed(status: u16, answer: String) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status).body(answer);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    response
}
