//! The one table from what went wrong to what the wire says: status, code and body.
//!
//! A client sees `external` and never a cause; the cause goes to the log with the error's id.

use actix_web::http::StatusCode;

use crate::http::json::{push_option, push_str};
use crate::model::{Error, ErrorKind};

/// Status and default code of each kind. The codes are the reason texts, spaces and all (cattle: `api/messages.properties`).
fn status_of(error: &Error) -> (StatusCode, &'static str) {
    match error.kind {
        ErrorKind::BadRequest => (StatusCode::BAD_REQUEST, "Bad Request"),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "Not Found"),
        ErrorKind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        ErrorKind::Timeout => (StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Long"),
        ErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity"),
        ErrorKind::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        ErrorKind::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

/// The answer to a failed request; logs what is our fault.
pub fn answer(error: &Error) -> (StatusCode, String) {
    let id = crate::model::id::random_uuid().hyphenated().to_string();
    let (status, default_code) = status_of(error);
    // What is unavailable is said where that is found out, not with each request that meets it.
    if error.kind == ErrorKind::Internal {
        log::error!("request failed, error {id}: {}", error.chain());
    }
    (status, body(error, &id, status, default_code))
}

fn body(error: &Error, id: &str, status: StatusCode, default_code: &'static str) -> String {
    let is_ours = error.kind == ErrorKind::Internal;
    let code = if is_ours {
        default_code
    } else {
        error.code.as_deref().unwrap_or(default_code)
    };
    let external = error.external.as_deref().filter(|_| !is_ours);
    // A refused field needs no sentence: clients make one from code and field.
    let message = external.or((error.kind != ErrorKind::Invalid || error.code.is_none()).then_some(code));
    let mut out = String::with_capacity(256);
    out.push_str(r#"{"id":"#);
    push_str(&mut out, id);
    out.push_str(r#","type":"error","links":{},"actions":{},"status":"#);
    out.push_str(status.as_str());
    out.push_str(r#","code":"#);
    push_str(&mut out, code);
    out.push_str(r#","message":"#);
    push_option(&mut out, message);
    out.push_str(r#","detail":"#);
    push_option(&mut out, error.detail.as_deref().filter(|_| !is_ours));
    if let Some(field) = error.field.as_deref().filter(|_| !is_ours) {
        out.push_str(r#","fieldName":"#);
        push_str(&mut out, field);
    }
    out.push_str(r#","baseType":"error"}"#);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn text(error: &Error) -> String {
        let (status, code) = status_of(error);
        body(error, "i", status, code)
    }

    #[test]
    fn errors_have_the_shape_of_the_wire() {
        let cases = [
            (
                Error::not_found(),
                r#"{"id":"i","type":"error","links":{},"actions":{},"status":404,"code":"Not Found","message":"Not Found","detail":null,"baseType":"error"}"#,
            ),
            (
                Error::invalid("MissingRequired", "name"),
                r#"{"id":"i","type":"error","links":{},"actions":{},"status":422,"code":"MissingRequired","message":null,"detail":null,"fieldName":"name","baseType":"error"}"#,
            ),
            (
                Error::new(ErrorKind::BadRequest).with_code("InvalidBodyContent"),
                r#"{"id":"i","type":"error","links":{},"actions":{},"status":400,"code":"InvalidBodyContent","message":"InvalidBodyContent","detail":null,"baseType":"error"}"#,
            ),
            (
                Error::conflict("say \"please\""),
                r#"{"id":"i","type":"error","links":{},"actions":{},"status":409,"code":"Conflict","message":"say \"please\"","detail":null,"baseType":"error"}"#,
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(text(&error), expected);
        }
    }

    #[test]
    fn what_is_our_fault_is_not_told() {
        let cause = std::io::Error::other("/var/lib/secret.db is broken");
        let error = Error::internal("reading a row", cause)
            .with_code("Sql")
            .with_message("SELECT 1");
        let text = text(&error);
        assert!(text.contains(
            r#""status":500,"code":"Internal Server Error","message":"Internal Server Error","detail":null,"baseType""#
        ));
        assert!(
            !text.contains("secret") && !text.contains("SELECT") && !text.contains("reading"),
            "{text}"
        );
        assert!(error.chain().ends_with("/var/lib/secret.db is broken"));
    }

    #[test]
    fn every_kind_has_its_status() {
        let cases = [
            (ErrorKind::BadRequest, 400),
            (ErrorKind::Unauthorized, 401),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::NotFound, 404),
            (ErrorKind::MethodNotAllowed, 405),
            (ErrorKind::Timeout, 408),
            (ErrorKind::Conflict, 409),
            (ErrorKind::TooLarge, 413),
            (ErrorKind::Invalid, 422),
            (ErrorKind::TooMany(5), 429),
            (ErrorKind::Internal, 500),
            (ErrorKind::NotImplemented, 501),
            (ErrorKind::Unavailable, 503),
        ];
        for (kind, status) in cases {
            assert_eq!(answer(&Error::new(kind)).0.as_u16(), status);
        }
    }
}
