//! Refusals as BRIDGEPORT words them: one envelope with a code, a sentence, and what may be known beside them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};

use crate::model::{Error, ErrorKind};

/// What is wrong, in a word that programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 400: a body or a parameter.
    Validation,
    /// 422: a field that says how something is, and not how it is to be.
    ReadOnly,
    /// 401.
    Unauthorized,
    /// 403: a token that does not open this.
    Scope,
    /// 403: a role that may not do this.
    Role,
    /// 404.
    NotFound,
    /// 409.
    Conflict,
    /// 409: an idempotency key that was used for another body.
    KeyReused,
    /// 429.
    RateLimited,
    /// 503, and 501 for what this build does not have.
    Unavailable,
    /// 500.
    Internal,
}

impl Code {
    /// All of them, as the document of the interface lists them.
    pub const ALL: [Self; 11] = [
        Self::Validation,
        Self::ReadOnly,
        Self::Unauthorized,
        Self::Scope,
        Self::Role,
        Self::NotFound,
        Self::Conflict,
        Self::KeyReused,
        Self::RateLimited,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "VALIDATION_ERROR",
            Self::ReadOnly => "READONLY_FIELD",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Scope => "FORBIDDEN_SCOPE",
            Self::Role => "FORBIDDEN_ROLE",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::KeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "SERVICE_UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Validation => StatusCode::BAD_REQUEST,
            Self::ReadOnly => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Scope | Self::Role => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::KeyReused => StatusCode::CONFLICT,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What is answered instead of what was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What is wrong.
    pub code: Code,
    /// The same for people.
    pub message: String,
    /// What it is about.
    pub field: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// All that is wrong, where it is more than one thing.
    pub details: Vec<(String, String)>,
    /// Seconds after which to come again.
    pub retry_after: Option<u32>,
}

/// What handlers give.
pub type Outcome<T> = std::result::Result<T, Refusal>;

impl Refusal {
    /// A refusal in these words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            status: code.status(),
            code,
            message: message.into(),
            field: None,
            hint: None,
            details: Vec::new(),
            retry_after: None,
        }
    }

    /// 400 about a field.
    pub fn bad(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::Validation, message)
        }
    }

    /// 404: `Service not found`.
    pub fn missing(what: &str) -> Self {
        Self::new(Code::NotFound, format!("{what} not found"))
    }

    /// 404 for paths and methods that there are not.
    pub fn nowhere(method: &str, path: &str) -> Self {
        Self::new(Code::NotFound, format!("Route {method}:{path} not found"))
    }

    /// 409 about a field.
    pub fn taken(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::Conflict, message)
        }
    }

    /// 501 for what BRIDGEPORT has and this server does not.
    pub fn not_built(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_IMPLEMENTED,
            ..Self::new(Code::Unavailable, message)
        }
    }

    /// The same about a field.
    pub fn about(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    /// 422 for fields that say how something is. `offenders` stand in the order of the body.
    pub fn read_only(offenders: &[&str]) -> Self {
        let quoted: Vec<String> = offenders.iter().map(|name| format!("\"{name}\"")).collect();
        let message = match quoted.as_slice() {
            [only] => format!("Field {only} is read-only and cannot be set via PATCH."),
            several => format!(
                "Fields {} are read-only and cannot be set via PATCH.",
                several.join(", ")
            ),
        };
        let first = offenders.first().copied().unwrap_or_default();
        Self {
            field: Some(first.to_owned()),
            hint: Some(hint(first).to_owned()),
            ..Self::new(Code::ReadOnly, message)
        }
    }

    /// The body.
    pub fn to_json(&self, request_id: &str) -> Value {
        let mut out = Map::new();
        out.insert("code".into(), json!(self.code.as_str()));
        out.insert("message".into(), json!(self.message));
        let texts = [("field", &self.field), ("hint", &self.hint)];
        for (name, text) in texts {
            out.extend(text.as_ref().map(|text| (name.to_owned(), json!(text))));
        }
        if !self.details.is_empty() {
            let details = self.details.iter();
            let details: Vec<Value> = details
                .map(|(field, message)| json!({"field": field, "message": message}))
                .collect();
            out.insert("details".into(), Value::Array(details));
        }
        out.extend(self.retry_after.map(|after| ("retryAfter".to_owned(), json!(after))));
        out.insert("requestId".into(), json!(request_id));
        Value::Object(out)
    }

    /// The answer.
    pub fn to_response(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status).json(self.to_json(request_id));
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after));
        }
        if self.code == Code::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"BRIDGEPORT\"");
            response
                .headers_mut()
                .insert(HeaderName::from_static("www-authenticate"), challenge);
        }
        response
    }
}

/// What to do instead of writing a field.
fn hint(field: &str) -> &'static str {
    match field {
        "exposedPorts" => {
            "Exposed ports are discovered from the running container. Change the ports mapping in the compose file at composePath and redeploy."
        }
        "envOverrides" => {
            "Environment overrides belong to one deployment: PATCH it at /api/services/{id}/deployments/{depId}."
        }
        "id" | "createdAt" | "updatedAt" | "environmentId" => "It was settled when this was made.",
        "imageDigestId" => "Digests follow from the image that was deployed.",
        _ => "It is found out from what runs, and follows from deployments and health checks.",
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = match error.kind {
            ErrorKind::BadRequest | ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Timeout => Code::Validation,
            ErrorKind::Unauthorized => Code::Unauthorized,
            ErrorKind::Forbidden => Code::Role,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Conflict | ErrorKind::MethodNotAllowed => Code::Conflict,
            ErrorKind::TooMany(_) => Code::RateLimited,
            ErrorKind::Internal => {
                log::error!("{}", error.chain());
                return Self::new(Code::Internal, "Internal Server Error");
            }
            ErrorKind::NotImplemented | ErrorKind::Unavailable => Code::Unavailable,
        };
        let said = error.external.or(error.code.map(String::from));
        let message = said.unwrap_or_else(|| default_words(code).to_owned());
        let status = match error.kind {
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Timeout => StatusCode::REQUEST_TIMEOUT,
            ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            _ => code.status(),
        };
        let retry_after = match error.kind {
            ErrorKind::TooMany(seconds) => Some(seconds),
            ErrorKind::Unavailable => Some(1),
            _ => None,
        };
        Self {
            status,
            field: error.field,
            retry_after,
            ..Self::new(code, message)
        }
    }
}

fn default_words(code: Code) -> &'static str {
    match code {
        Code::Validation => "Validation failed",
        Code::ReadOnly => "Read-only field",
        Code::Unauthorized => "Unauthorized",
        Code::Scope | Code::Role => "Forbidden",
        Code::NotFound => "Not found",
        Code::Conflict | Code::KeyReused => "Conflict",
        Code::RateLimited => "Too many requests",
        Code::Unavailable => "Service unavailable",
        Code::Internal => "Internal Server Error",
    }
}
