//! Segments of paths, to and from the form in which they stand in an address.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What may not stand in a segment as it is (RFC 3986: all but unreserved characters, sub-delimiters, `:` and `@`).
const IN_SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Undoes percent-encoding; `None` for what is no UTF-8 then. A `%` without two digits stays.
pub fn decode(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

/// Whether each `%` has its two digits.
pub fn is_well_formed(path: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut escapes = path.split('%').skip(1).map(str::as_bytes);
    escapes.all(|after| is_digit(after.first()) && is_digit(after.get(1)))
}

/// Appends `text` as one segment of an address. What it appends needs no escape in JSON.
pub fn push_segment(out: &mut String, text: &str) {
    out.extend(utf8_percent_encode(text, IN_SEGMENT));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "api.host",
            "a/b?c#d",
            "räksmörgås \u{10db64}",
            "50%",
            "\"\\\u{0}",
            "[x]|^`{}",
            "",
        ] {
            let mut out = String::new();
            push_segment(&mut out, text);
            let url = url::Url::parse(&format!("http://h/{out}")).unwrap();
            assert_eq!(url.as_str(), format!("http://h/{out}"), "{text}: no address");
            assert_eq!(decode(&out).unwrap(), text);
        }
        assert_eq!(decode("a%2"), Some("a%2".into()));
        assert_eq!(decode("%ff"), None);
        assert!(is_well_formed("/a%20b%2F") && is_well_formed(""));
        assert!(!is_well_formed("/a%2") && !is_well_formed("%") && !is_well_formed("%20%zz"));
    }
}
