//! Who serves what: from a request to the handler of its path, and of its type where that has one of its own.
//!
//! A request that is refused in more than one way gets the first of these: disguise, login, body, CSRF, then what the
//! handlers say.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web;

use super::ApiState;
use super::respond::{LetIn, Parts};
use crate::api::accounts::{identities, local_auth, token};
use crate::api::live;
use crate::api::pages::{beside, openapi, receivers, scripts};
use crate::api::resources::{audit, figures, handler, index, processes, settings, stack_files};
use crate::api::wire::call::{Call, Reply};
use crate::api::wire::request::{self, Verb};
use crate::api::wire::route::Target;
use crate::api::wire::sender;
use crate::auth::Presented;
use crate::engine::Input;
use crate::http::body;
use crate::model::{Error, ErrorKind, Result};
use crate::schema::View;

/// The way of a request up to its handler. `let_in` says who asks, as soon as that is known.
pub async fn answer(
    parts: &Parts<'_>,
    payload: &mut Option<web::Payload>,
    state: &ApiState,
    let_in: &mut LetIn,
) -> Result<Reply> {
    let Parts {
        request,
        route,
        query,
        base,
        client_ip,
        ..
    } = parts;
    let headers = request.headers();
    let verb = Verb::of(request.method(), query);
    request::check_disguise(request.method(), verb)?;
    let actions_key = if headers.contains_key("x-api-action-links") {
        "actionLinks"
    } else {
        "actions"
    };
    let presented = sender::presented(request, route, query, &state.trusted_proxies);
    // Who asks, first: strangers cannot make us hold what they send.
    admit(parts, state, &presented, let_in).await?;
    let body = match (verb, payload.as_mut()) {
        (Verb::Post | Verb::Put, Some(payload)) => {
            let intake = state.intake.open(presented.client);
            request::parse_body(
                headers,
                &body::read(headers, payload, state.body_patience, intake).await?,
                query,
            )?
        }
        (Verb::Post | Verb::Put, None) | (Verb::Get | Verb::Delete | Verb::Other, _) => Input::new(),
    };
    let_in.csrf = sender::check_csrf(headers, verb, query)?;
    let Some(scope) = &mut let_in.scope else {
        return Err(Error::bug("let in as nobody"));
    };
    if receivers::is_call(&route.target) {
        return receivers::execute(&state.engine, verb, query, body, client_ip).await;
    }
    if token::is_asked(&route.target) {
        let request = token::Login {
            gate: &state.gate,
            engine: &state.engine,
            presented: &presented,
            base,
            route,
            verb,
            actions_key,
        };
        return token::answer(&request, body).await;
    }
    let view = state.engine.view(scope).clone();
    let asked = audit::asked(&view, &route.target, verb, query, &body, client_ip);
    scope.attempt = asked.and_then(|asked| state.engine.attempt(&asked));
    let (scope, view) = (&*scope, &view);
    let call = Call {
        engine: &state.engine,
        scope,
        view,
        verb,
        query,
        base,
        path: request.path(),
        actions_key,
    };
    if local_auth::is_asked(&route.target) {
        return local_auth::answer(&call, &body).await;
    }
    let shake = live::Handshake {
        request,
        payload,
        sockets: &state.sockets,
        response: &mut let_in.socket,
    };
    serve(&call, &route.target, state, shake, body, client_ip).await
}

/// Says who asks. Whoever wants to log in is nobody yet.
async fn admit(parts: &Parts<'_>, state: &ApiState, presented: &Presented<'_>, let_in: &mut LetIn) -> Result<()> {
    let Parts { request, route, .. } = parts;
    if token::is_asked(&route.target) || receivers::is_call(&route.target) {
        let_in.scope = Some(state.engine.admit_nobody(route.version));
    } else {
        let admitted = state.gate.admit(route.version, presented).await?;
        // Browsers send cookies, and passwords that they remember, along with what the pages of other sites ask for.
        if admitted.by_cookie || request.headers().contains_key(AUTHORIZATION) {
            state.guard.check_origin(request.headers())?;
        }
        let_in.scope = Some(admitted.scope);
    }
    Ok(())
}

/// What is at a path.
async fn serve(
    call: &Call<'_>,
    target: &Target<'_>,
    state: &ApiState,
    shake: live::Handshake<'_>,
    body: Input,
    client_ip: &str,
) -> Result<Reply> {
    let verb = call.verb;
    match target {
        Target::Root | Target::VersionIndex => Ok(index::version(call)),
        Target::Schemas => read_only(verb).map(|()| index::schemas(call, &state.schemas)),
        Target::Schema(id) => read_only(verb).and_then(|()| index::schema(call, id)),
        Target::Collection(name) if is_live(call.view, name) => {
            let ty = call.find_type(name)?;
            live::subscribe(call, ty, &state.live, shake, body).await
        }
        Target::OpenApi => read_only(verb).map(|()| openapi::answer(call, &state.openapi)),
        Target::Collection(ty) => collection(call, ty, &state.docs, body).await,
        Target::Resource { ty, id } => resource(call, ty, id, body).await,
        Target::Link { ty, id, link } if verb == Verb::Get && identities::are_members(call, ty, link) => {
            let members = call.find_type(link)?;
            identities::members(call, members, Some(id)).await
        }
        Target::Link { ty, id, link } if verb == Verb::Get && is_process(call.view, ty) => {
            processes::link(call, call.find_type(ty)?, id, link)
        }
        Target::Link { ty, id, link } if verb == Verb::Get && stack_files_of(call, ty, link).is_some() => {
            let wanted = stack_files_of(call, ty, link).ok_or_else(Error::not_found)?;
            stack_files::answer(call, call.find_type(ty)?, id, wanted).await
        }
        Target::Link { ty, id, link } => handler::link(call, ty, id, link, body).await,
        Target::Tunnel => {
            read_only(verb)?;
            live::tunnel(call.engine, call.scope, state.tunnels.as_ref(), client_ip, shake).await
        }
        Target::Script(name) => scripts::answer(call, name, &body),
        Target::Beside { service, ty, id } => beside::answer(call, service, ty.as_deref(), id.as_deref()),
        Target::Receivers { ty, id } => receivers::answer(call, ty.as_deref(), id.as_deref(), body).await,
        Target::Nothing => Err(Error::not_found()),
    }
}

/// What of a stack's files a link asks for.
fn stack_files_of(call: &Call<'_>, segment: &str, link: &str) -> Option<stack_files::Wanted> {
    call.find_type(segment)
        .ok()
        .and_then(|ty| stack_files::wanted(ty, link))
}

/// `/<type>`.
async fn collection(call: &Call<'_>, segment: &str, docs: &index::SchemaCache, body: Input) -> Result<Reply> {
    let ty = call.find_type(segment)?;
    if call.verb == Verb::Post && call.query.has("action") {
        return Err(Error::invalid("InvalidAction", "action"));
    }
    call.require_collection_method(ty)?;
    // The one thing that is sent and never becomes a row.
    if ty.def.id == "publish" && call.verb == Verb::Post {
        return live::publish(call, ty, body).await;
    }
    if call.verb == Verb::Post {
        handler::require_creatable(ty)?;
    }
    match ty.def.id.as_str() {
        "setting" | "activeSetting" => settings::collection(call, ty, body).await,
        "typeDocumentation" => Ok(index::type_documentations(call, docs)),
        "processInstance" => processes::list(call, ty).await,
        "processDefinition" => Ok(processes::definitions(call, ty)),
        _ if figures::are(ty) => figures::list(call, ty).await,
        "identity" => identities::list(call, ty).await,
        "projectMember" => identities::members(call, ty, None).await,
        _ => handler::collection(call, ty, body).await,
    }
}

/// `/<type>/<id>`.
async fn resource(call: &Call<'_>, segment: &str, id: &str, body: Input) -> Result<Reply> {
    let ty = call.find_type(segment)?;
    match ty.def.id.as_str() {
        "setting" | "activeSetting" => settings::resource(call, ty, id, body).await,
        "typeDocumentation" => {
            call.require_resource_method(ty)?;
            index::type_documentation(call, id)
        }
        "identity" => {
            call.require_resource_method(ty)?;
            identities::one(call, id)
        }
        "processInstance" => {
            if let (Verb::Post, Some(action)) = (call.verb, call.query.first("action")) {
                return processes::act(call, ty, id, action).await;
            }
            call.require_resource_method(ty)?;
            processes::one(call, ty, id)
        }
        _ if figures::are(ty) => {
            call.require_resource_method(ty)?;
            figures::one(call, ty, id).await
        }
        "processDefinition" => {
            call.require_resource_method(ty)?;
            processes::definition(call, ty, id)
        }
        _ => handler::resource(call, ty, id, body).await,
    }
}

fn is_process(view: &View, name: &str) -> bool {
    view.find_by_path(name).is_some_and(|ty| ty.def.id == "processInstance")
}

/// Whether a collection is a stream of events.
fn is_live(view: &View, name: &str) -> bool {
    view.find_by_path(name).is_some_and(|ty| ty.def.id == "subscribe")
}

fn read_only(verb: Verb) -> Result<()> {
    match verb {
        Verb::Get => Ok(()),
        Verb::Post | Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}
