//! Headers one by one: reading texts, lists and words out of them, and putting them into answers.
//!
//! Leniency is the caller's to choose: what cannot be read is `None` or false here, and never an error.
//! What a header means to an interface does not belong here.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, UPGRADE};

/// Headers that are for one connection, and end with it.
pub const OF_A_CONNECTION: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// The text of a header that is there exactly once.
pub fn one_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The first element of a comma list.
pub fn first_item<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let text = headers.get(name)?.to_str().ok()?;
    text.split(',').next().map(str::trim).filter(|t| !t.is_empty())
}

/// Whether a header says `true`.
pub fn is_true(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get(name)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Whether the word occurs anywhere in a header, in any case.
pub fn has_word(headers: &HeaderMap, name: &str, word: &str) -> bool {
    headers.get(name).is_some_and(|v| {
        v.as_bytes()
            .windows(word.len())
            .any(|w| w.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// Whether the connection is to become a WebSocket.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim().eq_ignore_ascii_case("websocket"))
}

/// Adds a header, unless its value is no header's.
pub fn append(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.append(name.clone(), value);
    }
}

/// Sets a header, unless its value is no header's.
pub fn put(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::http::fixture::headers;

    #[test]
    fn a_header_that_is_there_twice_shows_nothing() {
        assert_eq!(
            one_text(&headers(&[("authorization", "Basic a")]), "authorization"),
            Some("Basic a")
        );
        assert_eq!(
            one_text(
                &headers(&[("authorization", "Basic a"), ("authorization", "Basic b")]),
                "authorization"
            ),
            None
        );
    }
}
