//! Who sent a request: what its headers show, and what a browser has to add to it.
//!
//! Browsers send cookies along with whatever any page makes them send. So a browser's request that changes something
//! repeats the CSRF cookie in a header, which only pages of this site can read, and a request that a cookie lets in
//! comes from no other site's page.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, CONNECTION, HeaderMap};

use super::request::{self, Query, Verb};
use super::route::Route;
use crate::auth::{self, Presented};
use crate::http::address;
use crate::http::browser::{cookie, is_browser};
use crate::http::headers::{has_word, is_true, one_text};
use crate::model::{Error, ErrorKind, Result};

const CSRF: &str = "CSRF";

/// What a request shows of its sender.
pub fn presented<'r>(
    request: &'r HttpRequest,
    route: &'r Route<'_>,
    query: &'r Query<'_>,
    trusted_proxies: &[IpAddr],
) -> Presented<'r> {
    let headers = request.headers();
    Presented {
        authorization: one_text(headers, AUTHORIZATION.as_str()),
        cookie: cookie(headers, "token"),
        parameter: query.first("token"),
        project: request::project(route, headers, query),
        // What is no text is no key either; it must not count as naming none.
        client_key: headers
            .get("x-api-client-access-key")
            .map(|v| v.to_str().unwrap_or("?"))
            .filter(|v| !v.is_empty()),
        enforce: is_true(headers, "x-enforce-authentication"),
        client: address::client(request, trusted_proxies).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    }
}

/// Whether a refused caller is asked for a password: programs that ask for it themselves say so.
pub fn is_challenged(headers: &HeaderMap) -> bool {
    !has_word(headers, CONNECTION.as_str(), "upgrade") && !is_true(headers, "x-api-no-challenge")
}

/// The CSRF cookie for the answer, if the sender is a browser; 403 if it changes something without repeating its own.
///
/// Quirk: a browser that has no cookie yet is let through, and gets one.
pub fn check_csrf(headers: &HeaderMap, verb: Verb, query: &Query<'_>) -> Result<Option<String>> {
    if !is_browser(headers) {
        return Ok(None);
    }
    let Some(own) = cookie(headers, CSRF).filter(|c| is_csrf(c)) else {
        return new_csrf().map(Some);
    };
    let repeated = one_text(headers, "x-api-csrf").or_else(|| query.first(CSRF));
    let is_repeated = repeated.is_some_and(|r| auth::is_same(r, own));
    if verb != Verb::Get && !is_repeated {
        return Err(Error::new(ErrorKind::Forbidden)
            .with_code("InvalidCSRFToken")
            .with_message("the header X-API-CSRF is not the cookie CSRF"));
    }
    Ok(Some(own.to_owned()))
}

/// Cookies come from outside, and go out again.
fn is_csrf(text: &str) -> bool {
    text.len() <= 64 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn new_csrf() -> Result<String> {
    auth::random_digits::<5>()
}

/// The `Set-Cookie` of a CSRF cookie.
pub fn csrf_cookie(value: &str) -> String {
    format!("{CSRF}={value};Path=/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::http::fixture::headers;

    fn csrf(list: &[(&str, &str)], verb: Verb, query: &str) -> Result<Option<String>> {
        check_csrf(&headers(list), verb, &Query::parse(query))
    }

    const BROWSER: (&str, &str) = ("user-agent", "Mozilla/5.0");

    #[test]
    fn browsers_repeat_their_cookie_when_they_change_something() {
        let cookie = ("cookie", "a=b; CSRF=0123456789");
        assert_eq!(
            csrf(&[BROWSER, cookie], Verb::Get, "").unwrap().as_deref(),
            Some("0123456789")
        );
        for verb in [Verb::Post, Verb::Put, Verb::Delete] {
            assert_eq!(
                csrf(&[BROWSER, cookie], verb, "").unwrap_err().code.as_deref(),
                Some("InvalidCSRFToken")
            );
            assert!(csrf(&[BROWSER, cookie, ("x-api-csrf", "0123456780")], verb, "").is_err());
            assert!(
                csrf(
                    &[BROWSER, cookie, ("x-api-csrf", "0123456789"), ("x-api-csrf", "x")],
                    verb,
                    ""
                )
                .is_err()
            );
            assert!(csrf(&[BROWSER, cookie, ("x-api-csrf", "0123456789")], verb, "").is_ok());
            assert!(csrf(&[BROWSER, cookie], verb, "CSRF=0123456789").is_ok());
        }
        assert_eq!(csrf(&[cookie], Verb::Post, "").unwrap(), None, "programs are not asked");
    }

    #[test]
    fn browsers_without_a_cookie_get_one_of_ten_digits() {
        for sent in ["", "CSRF=", "CSRF=a%0d%0aSet-Cookie: x", "CSRF=\u{7f}"] {
            let Ok(Some(made)) = csrf(
                &[BROWSER, ("cookie", if sent.ends_with('\u{7f}') { "" } else { sent })],
                Verb::Post,
                "",
            ) else {
                unreachable!("{sent}")
            };
            assert!(
                made.len() == 10 && made.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
                "{made}"
            );
        }
    }

    #[test]
    fn challenges_are_left_out_for_those_who_say_so() {
        assert!(is_challenged(&headers(&[])));
        assert!(!is_challenged(&headers(&[("x-api-no-challenge", "true")])));
        assert!(!is_challenged(&headers(&[("connection", "keep-alive, Upgrade")])));
    }
}
