//! Words that several interfaces have for the same things, as Docker's world has them.

use actix_web::http::StatusCode;

use crate::engine::Unit;
use crate::model::{Error, ErrorKind, Resource, State};

/// The status of an error of the engine's for clients that know no 422. What is the server's own fault is logged.
pub fn status_of(error: &Error) -> StatusCode {
    match error.kind {
        ErrorKind::BadRequest | ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden | ErrorKind::MethodNotAllowed => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Timeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Internal => {
            log::error!("{}", error.chain());
            StatusCode::INTERNAL_SERVER_ERROR
        }
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What an error of the engine's says, or what its status is called.
pub fn said(error: &Error, status: StatusCode) -> String {
    let own = error.external.clone().or_else(|| error.code.clone().map(String::from));
    own.unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned())
}

/// What Docker calls the state of a service's container as a task, and whether it is meant to run.
pub fn task_state(row: &Resource, unit: &Unit) -> (&'static str, bool) {
    let ended = match unit.exit_code {
        _ if row.state == State::ERROR => "failed",
        Some(0) if unit.ended_by_itself => "complete",
        Some(code) if code != 0 && unit.ended_by_itself => "failed",
        _ => "shutdown",
    };
    if row.removed.is_some() {
        return (ended, false);
    }
    match row.state {
        State::REQUESTED | State::REGISTERING | State::CREATING | State::CREATED => match row.host_id {
            None => ("pending", true),
            Some(_) => ("preparing", true),
        },
        State::STARTING | State::RESTARTING => ("starting", true),
        State::RUNNING | State::UPDATING_RUNNING => match row.health.as_str() {
            "initializing" | "reinitializing" => ("starting", true),
            _ => ("running", true),
        },
        State::STOPPING | State::REMOVING => ("running", false),
        State::STOPPED | State::UPDATING_STOPPED => (ended, unit.ended_by_itself && !unit.is_over),
        _ => (ended, false),
    }
}

/// What Docker calls the state of a container.
pub fn container_state(row: &Resource) -> &'static str {
    match row.state {
        State::RUNNING | State::UPDATING_RUNNING | State::STOPPING => "running",
        State::REMOVING => "removing",
        State::STOPPED | State::ERROR => "exited",
        _ => "created",
    }
}

/// The label of hosts that a word of a placement rule is about. An engine's own labels are its host's, too.
pub fn host_label(key: &str) -> Option<&str> {
    let of = |prefix: &str| key.strip_prefix(prefix).filter(|label| !label.is_empty());
    of("node.labels.").or_else(|| of("engine.labels."))
}

/// Processors as engines call them.
pub fn architecture(word: &str) -> &str {
    match word {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}
