//! The interface of MedStack Control: services of clusters, with their secrets, configs, volumes and tasks; nodes; outgoing webhooks.
//!
//! A request enters at [`configure`], always with a key, and is handed to a file for each noun. What a service is in both words is
//! said by `project` and `synth`; what is kept beside the engine's own row, by `record`. Which cluster a path means, and that it is
//! the caller's, is decided here before any noun is asked.

mod caller;
mod companies;
mod ids;
mod messages;
mod nodes;
mod placement;
mod project;
mod read;
mod record;
mod references;
mod refusal;
mod rollout;
mod route;
mod routing;
mod services;
mod spec;
mod synth;
mod tasks;
mod things;
mod volumes;
mod webhooks;
mod words;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::entry::{Claim, Entry};
use crate::engine::Proof;
use crate::http::headers::one_text;
use crate::http::{body, path};
use crate::model::id::random_uuid;
use crate::schema::Version;
use caller::Caller;
use ids::Ids;
use refusal::{Outcome, Refusal};
use route::{Below, Inside, Route};
use things::Thing;

/// Where it is found on the main address.
pub const MOUNT: &str = "/medstack/v1";

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Finds the addresses of a name.
pub type Resolve = dyn Fn(String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> + Send + Sync;

/// What all requests share.
pub struct MedStackApi {
    entry: Entry,
    ids: Arc<Ids>,
    resolve: Arc<Resolve>,
}

impl MedStackApi {
    /// Behind this entry; names are resolved as this machine does.
    pub fn new(entry: Entry) -> Self {
        Self::resolving(entry, Arc::new(|name| Box::pin(routing::lookup(name))))
    }

    /// The same with another way to the addresses of names.
    pub fn resolving(entry: Entry, resolve: Arc<Resolve>) -> Self {
        let ids = Arc::new(Ids::new(entry.engine.server_uuid()));
        let own = ids.clone();
        let writer = move |message: &crate::engine::Message| messages::written(&own, message);
        entry.engine.write_messages(webhooks::FORMAT, Arc::new(writer));
        Self { entry, ids, resolve }
    }
}

/// Puts it into an actix application, under its mount.
pub fn configure(config: &mut web::ServiceConfig, state: web::Data<MedStackApi>) {
    config.service(web::scope(MOUNT).app_data(state).default_service(web::to(mounted)));
}

async fn mounted(request: HttpRequest, payload: web::Payload, state: web::Data<MedStackApi>) -> HttpResponse {
    let mut payload = Some(payload);
    let answered = answer(&request, &mut payload, &state).await;
    let mut response = answered.unwrap_or_else(|refusal| refusal.answer());
    let id = random_uuid().simple().to_string();
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    body::holding(response, payload)
}

async fn answer(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &MedStackApi,
) -> Outcome<HttpResponse> {
    let mut caller = admit(request, state).await?;
    let outcome = routed(request, payload, state, &mut caller).await;
    match &outcome {
        Ok(answer) => state.entry.record(&caller.scope, answer.status(), None).await,
        Err(refusal) => {
            let said = refusal.body.to_string();
            state.entry.record(&caller.scope, refusal.status, Some(said)).await;
        }
    }
    outcome
}

/// Who asks: whoever has a key, and nobody else, on an open server too.
async fn admit(request: &HttpRequest, state: &MedStackApi) -> Outcome<Caller> {
    let (entry, headers) = (&state.entry, request.headers());
    let shown = one_text(headers, AUTHORIZATION.as_str());
    let is_basic = |text: &&str| {
        text.get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "))
    };
    let shown = shown.filter(is_basic).ok_or_else(Refusal::unauthorized)?;
    let claim = Claim {
        shown: Some(shown),
        must_prove: true,
        ..Claim::default()
    };
    let presented = entry.presented(request, claim);
    let scope = entry.gate.admit(Version::V2Beta, &presented).await?.scope;
    entry.guard.check_origin(headers)?;
    let is_key = matches!(scope.proof, Proof::Key(_));
    let is_company = matches!(
        scope.effective.kind.as_str(),
        "project" | "user" | "admin" | "superadmin" | "readAdmin"
    );
    if !is_key || !is_company {
        return Err(Refusal::unauthorized());
    }
    let client_ip = entry.client_text(request);
    Ok(Caller {
        one: super::caller::Caller::new(&entry.engine, scope, client_ip),
        ids: state.ids.clone(),
    })
}

/// Finds what a path leads to, and takes the body in once that is there.
async fn routed(
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
    state: &MedStackApi,
    caller: &mut Caller,
) -> Outcome<HttpResponse> {
    let own = request.path().strip_prefix(MOUNT).unwrap_or_default();
    let own = path::decode(own).ok_or_else(Refusal::nowhere)?;
    let segments: Vec<&str> = own.strip_prefix('/').unwrap_or(&own).split('/').collect();
    let route = route::parse(&segments)?;
    let method = request.method();
    if !route.methods().contains(&method.as_str()) {
        return Err(Refusal::method(route.methods()));
    }
    let (company, cluster) = match route {
        Route::Company => return fine(companies::current(caller)?),
        Route::Of(company, _) => (company, None),
        Route::In(company, cluster, _) => (company, Some(cluster)),
    };
    caller.check_company(company)?;
    if let Some(cluster) = cluster {
        *caller = caller.enter(cluster)?;
    }
    let sent = match payload.as_mut() {
        Some(payload) if read::has_body(method, &route) => {
            read::body(&state.entry.body(request, payload, route.is_long()).await?)?
        }
        _ => Value::Null,
    };
    match route {
        Route::Company => Err(Refusal::nowhere()),
        Route::Of(_, below) => of_company(method, below, caller, sent).await,
        Route::In(_, _, inside) => in_cluster(method, inside, state, caller, sent).await,
    }
}

async fn of_company(method: &Method, below: Below<'_>, caller: &mut Caller, sent: Value) -> Outcome<HttpResponse> {
    match (method.as_str(), below) {
        ("GET", Below::Clusters) => fine(companies::clusters(caller).await?),
        ("GET", Below::Webhooks) => fine(webhooks::list(caller).await?),
        ("POST", Below::Webhooks) => made(webhooks::create(caller, sent).await?),
        ("GET", Below::Webhook(id)) => fine(webhooks::show(caller, id).await?),
        ("PUT", Below::Webhook(id)) => fine(webhooks::update(caller, id, sent).await?),
        ("DELETE", Below::Webhook(id)) => {
            webhooks::remove(caller, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", Below::Test(id)) => {
            webhooks::test(caller, id).await?;
            Ok(HttpResponse::Accepted().finish())
        }
        _ => Err(Refusal::nowhere()),
    }
}

async fn in_cluster(
    method: &Method,
    inside: Inside<'_>,
    state: &MedStackApi,
    caller: &mut Caller,
    sent: Value,
) -> Outcome<HttpResponse> {
    use Inside as I;
    match (method.as_str(), inside) {
        ("GET", I::Cluster) => fine(companies::cluster(caller)?),
        ("GET", I::NodeSizes) => fine(nodes::sizes(caller)?),
        ("GET", I::Nodes) => fine(nodes::list(caller).await?),
        ("POST", I::Nodes) => accepted(nodes::create(caller, sent).await?),
        // A read that says 202, as the original does.
        ("GET", I::Node(id)) => accepted(nodes::show(caller, id).await?),
        ("PATCH", I::Node(id)) => accepted(nodes::resize(caller, id, sent).await?),
        ("DELETE", I::Node(id)) => accepted(nodes::remove(caller, id).await?),
        ("POST", I::Reboot(id)) => accepted(nodes::reboot(caller, id).await?),
        ("GET", I::Services) => fine(services::list(caller).await?),
        ("POST", I::Services) => made(services::create(state, caller, sent).await?),
        ("GET", I::Service(id)) => fine(services::show(caller, id).await?),
        ("PUT", I::Service(id)) => made(services::replace(state, caller, id, sent).await?),
        ("PATCH", I::Service(id)) => made(services::change(state, caller, id, sent).await?),
        ("DELETE", I::Service(id)) => {
            services::remove(caller, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("POST", I::Refresh(id)) => fine(services::refresh(caller, id).await?),
        ("GET", I::Secrets) => fine(things::list(caller, Thing::Secret).await?),
        ("POST", I::Secrets) => made(things::create(caller, Thing::Secret, sent).await?),
        ("GET", I::Configs) => fine(things::list(caller, Thing::Config).await?),
        ("POST", I::Configs) => made(things::create(caller, Thing::Config, sent).await?),
        ("GET", I::Config(id)) => fine(things::show(caller, Thing::Config, id).await?),
        ("DELETE", I::Secret(id)) => {
            things::remove(caller, Thing::Secret, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("DELETE", I::Config(id)) => {
            things::remove(caller, Thing::Config, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("GET", I::Volumes) => fine(volumes::list(caller).await?),
        ("POST", I::Volumes) => made(volumes::create(caller, sent).await?),
        ("DELETE", I::Volume(id)) => {
            volumes::remove(caller, id).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ("GET", I::Tasks) => fine(tasks::list(caller).await?),
        _ => Err(Refusal::nowhere()),
    }
}

fn fine(body: Value) -> Outcome<HttpResponse> {
    Ok(json(StatusCode::OK, &body))
}

fn made(body: Value) -> Outcome<HttpResponse> {
    Ok(json(StatusCode::CREATED, &body))
}

fn accepted(body: Value) -> Outcome<HttpResponse> {
    Ok(json(StatusCode::ACCEPTED, &body))
}

fn json(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(body.to_string())
}
