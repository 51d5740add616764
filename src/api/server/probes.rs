//! The paths that probing programs ask. They come by address, so no host name is looked at, and for what stands in their
//! answers nobody has to prove who asks; only why something failed is told to admins alone.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::respond::check_host;
use super::{ApiState, plain};
use crate::api::wire::request::Query;
use crate::api::wire::{route, sender};
use crate::engine::LoopStatus;
use crate::schema::Role;

/// Where callers of the probes are, as far as it matters who they are.
const ROOT: &str = "/v2-beta";

pub(super) async fn ping() -> HttpResponse {
    plain(StatusCode::OK, "pong")
}

pub(super) async fn healthz() -> HttpResponse {
    plain(StatusCode::OK, "ok")
}

pub(super) async fn readyz(request: HttpRequest, state: web::Data<ApiState>) -> HttpResponse {
    let why = state.engine.not_ready().await;
    let is_ready = why.is_none();
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !Query::parse(request.query_string()).has("verbose") {
        return plain(
            status,
            if is_ready {
                "ok"
            } else {
                "the database cannot be read, or not be written"
            },
        );
    }
    let tells_why = is_admin(&request, &state).await;
    let mut text = String::new();
    let _ = write!(text, "{} database", mark(is_ready));
    if let Some(why) = &why {
        let _ = write!(text, ": {}", if tells_why { why } else { "why is told to admins only" });
    }
    text.push('\n');
    for each in state.engine.background() {
        push_loop(&mut text, &each, tells_why);
    }
    text.push_str(if is_ready { "ready\n" } else { "not ready\n" });
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .body(text)
}

/// Whether the caller may know the causes of failures.
async fn is_admin(request: &HttpRequest, state: &ApiState) -> bool {
    let Some(route) = route::parse(ROOT) else { return false };
    if check_host(request, state).is_err() {
        return false;
    }
    let query = Query::parse(request.query_string());
    let presented = sender::presented(request, &route, &query, &state.trusted_proxies);
    let admitted = state.gate.admit(route.version, &presented).await;
    admitted.is_ok_and(|admitted| matches!(admitted.scope.role, Role::Superadmin | Role::Admin | Role::ReadAdmin))
}

fn mark(is_well: bool) -> &'static str {
    if is_well { "[+]" } else { "[-]" }
}

/// One line: how it fares, its name, when it ran last, and what it said when it failed last.
fn push_loop(text: &mut String, each: &LoopStatus, tells_why: bool) {
    let _ = write!(
        text,
        "{} {}: {} runs, the last at {}",
        mark(!each.is_failing),
        each.name,
        each.runs,
        each.last_run.to_wire()
    );
    if let Some(error) = &each.last_error {
        let why = if tells_why { error } else { "told to admins only" };
        let _ = write!(text, "; last error: {why}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn why_a_loop_failed_is_for_admins() {
        let each = LoopStatus {
            name: "sweep".into(),
            runs: 2,
            last_run: Timestamp(0),
            is_failing: true,
            last_error: Some("no disk at /x".into()),
        };
        let text = |tells_why| {
            let mut text = String::new();
            push_loop(&mut text, &each, tells_why);
            text
        };
        assert_eq!(
            text(true),
            "[-] sweep: 2 runs, the last at 1970-01-01T00:00:00Z; last error: no disk at /x\n"
        );
        assert!(!text(false).contains("/x"));
    }
}
