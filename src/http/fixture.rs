//! Requests for the tests of this layer and of those above.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// Headers with these names and values.
pub fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    map
}
