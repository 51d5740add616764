//! JSON, written by hand: most of what a server of JSON does.

use std::fmt::Write as _;

use serde_json::Value;

/// Appends a JSON string with its quotes.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
}

/// Appends a value.
pub fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            for (nth, (name, value)) in members.iter().enumerate() {
                out.push(if nth == 0 { '{' } else { ',' });
                push_string(out, name);
                out.push(':');
                push_value(out, value);
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Value::Array(list) => {
            for (nth, value) in list.iter().enumerate() {
                out.push(if nth == 0 { '[' } else { ',' });
                push_value(out, value);
            }
            out.push_str(if list.is_empty() { "[]" } else { "]" });
        }
        Value::String(text) => push_string(out, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => drop(write!(out, "{value}")),
    }
}

/// Appends the inside of a JSON string.
pub fn push_escaped(out: &mut String, text: &str) {
    // No early exit: the compiler turns this into a few wide compares, and nearly all text needs no escape.
    let needs_escape = text
        .bytes()
        .fold(false, |any, b| any | (b < 0x20) | (b == b'"') | (b == b'\\'));
    if !needs_escape {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let code = u32::from(c);
                out.push_str("\\u00");
                out.extend(
                    [code >> 4, code & 15]
                        .into_iter()
                        .filter_map(|d| char::from_digit(d, 16)),
                );
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn a_value_is_written_as_it_is_read() {
        let texts = [
            r#"{"a":{},"b":[],"c":[1,-2.5,1e300,18446744073709551615,null,true,false],"d":{"e":[{"f":"g"},[""]]}}"#,
            r#""é \" \\ / \n\t\r""#,
            "0",
        ];
        for text in texts {
            let value: Value = serde_json::from_str(text).unwrap();
            let mut out = String::new();
            push_value(&mut out, &value);
            assert_eq!(out, value.to_string());
        }
        let control = Value::from("\u{0}\u{8}\u{c}\u{1f}\u{7f}");
        let mut out = String::new();
        push_value(&mut out, &control);
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), control);
    }
}
