//! Refusals as MedStack Control words them: a code, a type and a message in JSON, and three forms of 400.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::model::{Error, ErrorKind};

/// What a client reads of a failure that is ours. The spelling is the original's.
const FAILED: &str = "An error occured";
/// What it reads of everything that is not there.
const NOWHERE: &str = "Path not found";
/// What it reads of a conflict that has no sentence of its own.
const CONFLICT: &str = "Request conflicts with the resource's current state";
const INVALID: &str = "invalid_request_error";

/// What is answered instead of what was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Value,
    /// The methods of a path that was asked for by another one.
    allow: Option<String>,
    /// When it may be tried again, in seconds.
    retry_after: Option<u32>,
}

/// What handlers give.
pub type Outcome<T> = std::result::Result<T, Refusal>;

/// How a kind of objects words what is wrong with one of its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The reason alone: secrets, configs and volumes.
    Plain,
    /// The field before the reason: services.
    Prefixed,
    /// No message, and the reason under the field's own name: nodes.
    Mirrored,
    /// The same, with fields named after their object: webhooks.
    Webhook,
}

impl Refusal {
    fn new(status: StatusCode, kind: &str, message: impl Into<String>) -> Self {
        Self::of(
            status,
            json!({"code": status.as_u16(), "type": kind, "message": message.into()}),
        )
    }

    fn of(status: StatusCode, body: Value) -> Self {
        Self {
            status,
            body,
            allow: None,
            retry_after: None,
        }
    }

    /// 401.
    pub fn unauthorized() -> Self {
        let message = "The key of the access token or its value is wrong";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// 404 for objects and for paths.
    pub fn nowhere() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", NOWHERE)
    }

    /// 405 for a path that has only these methods.
    pub fn method(allowed: &[&str]) -> Self {
        let message = "Method not allowed";
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        Self {
            allow: Some(allowed.join(", ")),
            ..refusal
        }
    }

    /// 403 for what the caller's role may not do.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 409 without more to say.
    pub fn conflict() -> Self {
        Self::conflict_as(CONFLICT)
    }

    /// 409 in these words.
    pub fn conflict_as(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict error", message)
    }

    /// 400 for a field.
    pub fn field(form: Form, field: &str, why: &str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        let body =
            |param: &str, message: Value| json!({"code": 400, "type": INVALID, "param": param, "message": message});
        let mirrored = |param: String, why: String| {
            let mut body = body(&param, Value::Null);
            if let Some(body) = body.as_object_mut() {
                body.insert(param, json!(why));
            }
            body
        };
        let body = match form {
            Form::Plain => body(field, json!(why)),
            Form::Prefixed => body(field, json!(format!("{field} {why}"))),
            Form::Mirrored => mirrored(field.to_owned(), why.to_owned()),
            Form::Webhook => mirrored(format!("webhook_{field}"), format!("Webhook {field} {why}")),
        };
        Self::of(status, body)
    }

    /// An error of the engine about an object, whose `fields` are called so here.
    pub fn about(form: Form, error: Error, fields: &[(&str, &str)]) -> Self {
        if !matches!(error.kind, ErrorKind::Invalid | ErrorKind::NotImplemented) {
            return error.into();
        }
        let native = error.field.clone().unwrap_or_default();
        let known = fields.iter().find(|(name, _)| *name == native);
        let field = known.map_or(native.as_str(), |(_, own)| own);
        let why = match (error.code.as_deref(), error.external) {
            (_, Some(said)) => said,
            (Some("NotUnique"), None) => "must be unique".to_owned(),
            (Some("MissingRequired"), None) => "must be given".to_owned(),
            (code, None) => format!("is not possible ({})", code.unwrap_or("InvalidOption")),
        };
        Self::field(form, field, &why)
    }

    /// As an answer.
    pub fn answer(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        answer.insert_header((CONTENT_TYPE, "application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            answer.insert_header((WWW_AUTHENTICATE, "Basic realm=\"MedStack Control\""));
        }
        if let Some(allow) = &self.allow {
            answer.insert_header((ALLOW, allow.as_str()));
        }
        if let Some(seconds) = self.retry_after {
            answer.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        answer.body(self.body.to_string())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let said = |default: &str| error.external.clone().unwrap_or_else(|| default.to_owned());
        match error.kind {
            ErrorKind::BadRequest | ErrorKind::Invalid | ErrorKind::NotImplemented => {
                let code = error.code.as_deref().unwrap_or("InvalidOption").to_owned();
                let why = said(&format!("is not possible ({code})"));
                Self::field(Form::Plain, error.field.as_deref().unwrap_or("body"), &why)
            }
            ErrorKind::Unauthorized => Self::unauthorized(),
            ErrorKind::Forbidden => Self::forbidden(said("This access token may not do that")),
            ErrorKind::NotFound => Self::nowhere(),
            ErrorKind::Conflict | ErrorKind::MethodNotAllowed => Self::conflict(),
            ErrorKind::Timeout => Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", said("The body took too long")),
            ErrorKind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, said("The body is too long")),
            ErrorKind::TooMany(seconds) => Self {
                retry_after: Some(seconds),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_requests",
                    said("Too many requests"),
                )
            },
            ErrorKind::Unavailable => Self::new(StatusCode::SERVICE_UNAVAILABLE, "error", said("Try again later")),
            ErrorKind::Internal => {
                log::error!("{}", error.chain());
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "error", FAILED)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_object_has_its_own_400() {
        let body = |form| Refusal::field(form, "size_id", "must be a string").body;
        let common = json!({"code": 400, "type": "invalid_request_error", "param": "size_id"});
        let with = |more: Value| {
            let mut body = common.clone();
            if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
                body.extend(more);
            }
            body
        };
        assert_eq!(body(Form::Plain), with(json!({"message": "must be a string"})));
        assert_eq!(
            body(Form::Prefixed),
            with(json!({"message": "size_id must be a string"}))
        );
        let mirrored = with(json!({"message": null, "size_id": "must be a string"}));
        assert_eq!(body(Form::Mirrored), mirrored);
        let webhook = Refusal::field(Form::Webhook, "url", "must use https protocol").body;
        assert_eq!(webhook["param"], "webhook_url");
        assert_eq!(webhook["webhook_url"], "Webhook url must use https protocol");
        assert_eq!(webhook["message"], Value::Null);
    }
}
