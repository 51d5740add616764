//! Refusals as Hyper words them: a status and a line of plain text.

use actix_web::http::StatusCode;

use crate::dialects::words::{said, status_of};
use crate::model::Error;

/// What is answered instead of what was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What clients show.
    pub message: String,
}

/// What handlers give.
pub type Outcome<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// A refusal with these words.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// 400 for a field, with what it may be.
    pub fn field(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{name}: {why}"))
    }

    /// 404 for a service that is not there.
    pub fn no_service(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("No such service: {name}"))
    }

    /// 409 for a name that a service has.
    pub fn taken(name: &str) -> Self {
        let message = format!("name conflicts with an existing object: there is a service {name} already");
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 501 for what Hyper has and this server has not.
    pub fn not_built(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 404 for paths and methods that there are not.
    pub fn nowhere() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = status_of(&error);
        let said = said(&error, status);
        let message = match error.field {
            Some(field) if field != said => format!("{field}: {said}"),
            _ => said,
        };
        Self::new(status, message)
    }
}
