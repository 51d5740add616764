//! Browsers: which programs are one, and the cookies that they bring along.
//!
//! What a cookie proves, and what a browser has to add to a request, does not belong here.

use actix_web::http::header::{COOKIE, HeaderMap, USER_AGENT};

use super::headers::has_word;

/// Whether the client calls itself a browser; no page can make its browser call itself something else.
pub fn is_browser(headers: &HeaderMap) -> bool {
    has_word(headers, USER_AGENT.as_str(), "mozilla")
}

/// The value of a cookie; the first if it is there twice.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(COOKIE)
        .filter_map(|v| v.to_str().ok())
        .find_map(|header| {
            header.split(';').find_map(|pair| {
                let (key, value) = pair.trim().split_once('=')?;
                (key == name).then(|| value.trim_matches('"'))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fixture::headers;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let found = |sent: &[&str]| {
            cookie(
                &headers(&sent.iter().map(|text| ("cookie", *text)).collect::<Vec<_>>()),
                "token",
            )
            .map(str::to_owned)
        };
        assert_eq!(found(&["a=1; token=x; token=y", "token=z"]).as_deref(), Some("x"));
        assert_eq!(found(&["xtoken=1;token=\"q\""]).as_deref(), Some("q"));
        assert_eq!(found(&["token", "Token=1"]), None);
    }
}
