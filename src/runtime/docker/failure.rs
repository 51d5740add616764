//! What the engine's refusals mean.

use super::super::{Error, Result};
use std::error::Error as StdError;

pub(super) fn gone(uuid: &str) -> Error {
    Error::Gone(format!("No such container: {uuid}"))
}

pub(super) fn forgive_gone(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::Gone(_)) => Ok(()),
        other => other,
    }
}

/// Whether the way to the engine is there and we may not take it.
pub(super) fn is_forbidden(error: &bollard::errors::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(this) = cause {
        let io = this.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        cause = this.source();
    }
    false
}

/// What to do about it.
pub(super) fn forbidden(path: &str) -> Error {
    Error::Unreachable(format!(
        "permission denied at {path}: let the user that drover runs as into the group docker (usermod -aG docker USER) and start drover again"
    ))
}

/// What an answer or its absence means.
pub(super) fn failure(error: &bollard::errors::Error) -> Error {
    use bollard::errors::Error as Bollard;
    match error {
        Bollard::DockerResponseServerError { status_code, message } => refusal(*status_code, message.trim()),
        Bollard::DockerStreamError { error } => Error::Failed(error.clone()),
        Bollard::JsonDataError { .. } | Bollard::JsonSerdeError { .. } => Error::Failed(chain(error)),
        // All the rest is about the way to the engine.
        _ => Error::Unreachable(chain(error)),
    }
}

/// The engine's status tells little (a taken port is a 500), so its words decide.
pub(super) fn refusal(status: u16, message: &str) -> Error {
    let words = message.to_owned();
    let says = |text: &str| message.contains(text);
    // A host port is "bind: address already in use", a container's address "Address already in use".
    if says("Address already in use") || says("Invalid address") || says("no configured subnet") {
        return Error::AddressTaken(words);
    }
    if says("port is already allocated") || says("address already in use") {
        return Error::PortTaken(words);
    }
    match status {
        409 if says("is already in use by container") || says("already exists") => Error::NameTaken(words),
        404 => Error::Gone(words),
        _ => Error::Failed(words),
    }
}

/// At a start "not found" may be about a network, or about the container whose namespace it joins: then it is the start
/// that failed, and the container is not gone.
pub(super) fn start_failure(error: Error, id: &str) -> Error {
    match error {
        Error::Gone(message) if message.starts_with("network ") => Error::NetworkGone(message),
        Error::Gone(message) if !message.contains(id) => Error::Failed(message),
        // A node of a swarm asks a manager before each start on an overlay, and gives up after 20 seconds.
        Error::Failed(message) if message.contains("attach") && message.contains("context deadline exceeded") => {
            Error::Unreachable(message)
        }
        other => other,
    }
}

/// An error with its causes: the client's own words alone say only "client error (Connect)".
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}
