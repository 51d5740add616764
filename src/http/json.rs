//! Writing JSON text by hand: strings, keys, commas. What is written with them (rows, envelopes, errors) stands elsewhere.

pub use crate::model::json::{push_escaped, push_string as push_str};

/// Appends `"key":`.
pub fn push_key(out: &mut String, key: &str) {
    push_str(out, key);
    out.push(':');
}

/// Appends a comma unless an object or a list has just begun.
pub fn push_comma(out: &mut String) {
    if !out.ends_with(['{', '[']) {
        out.push(',');
    }
}

/// Appends a string or null.
pub fn push_option(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => push_str(out, text),
        None => out.push_str("null"),
    }
}

/// Appends `text` in ASCII lower case: links are lower-cased as a whole.
pub fn push_lower(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| c.to_ascii_lowercase()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn what_is_written_reads_back_equal() {
        for text in ["", "plain", "a\"b\\c/d", "\n\r\t\u{0}\u{1f}", "é√🦀", "\"", "\\\\\""] {
            let mut out = String::new();
            push_str(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
