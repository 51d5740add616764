//! JSON strings, written by hand: most of what a server of JSON does.

/// Appends a JSON string with its quotes.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text);
    out.push('"');
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
