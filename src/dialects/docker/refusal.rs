//! Refusals as Docker words them: a status and `{"message": …}`.

use actix_web::http::StatusCode;

use crate::dialects::words::{said, status_of};
use crate::model::{Error, ErrorKind};

/// What is answered instead of what was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What clients show.
    pub message: String,
    /// As plain text, which is what clients before 1.24 get.
    pub is_plain: bool,
}

/// What handlers give.
pub type Outcome<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// A refusal with these words.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            is_plain: false,
        }
    }

    /// 400 in these words.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400 for what is wrong with an object, in the words of swarm's own check.
    pub fn argument(message: impl std::fmt::Display) -> Self {
        Self::bad(format!("rpc error: code = InvalidArgument desc = {message}"))
    }

    /// 404 for an object that is not there.
    pub fn missing(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} {name} not found"))
    }

    /// 409 for a name that is taken.
    pub fn taken(what: &str, name: &str) -> Self {
        let message = format!(
            "rpc error: code = AlreadyExists desc = name conflicts with an existing object: {what} {name} already exists"
        );
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 500, as Docker has it, for a version that is not the current one.
    pub fn stale() -> Self {
        let message = "rpc error: code = Unknown desc = update out of sequence";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 501 for what Docker has and this server does not.
    pub fn not_built(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 404 for paths and methods that there are not.
    pub fn nowhere() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }

    /// The same as plain text.
    pub fn plain(self) -> Self {
        Self { is_plain: true, ..self }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = status_of(&error);
        let said = said(&error, status);
        let message = match error.field {
            Some(field) if field != said => format!("{said} ({field})"),
            _ => said,
        };
        match error.kind {
            ErrorKind::Invalid => Self::argument(message),
            _ => Self::new(status, message),
        }
    }
}
