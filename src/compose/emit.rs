//! A tree becomes a text: in the order of the tree, in one way only, with the ends of lines that Rancher wrote.

use super::yaml::{Kind, Node, needs_quotes};

/// What a line ends with (cattle: `ComposeExportServiceImpl`).
const END: &str = "\r\n";

/// Writes a map as a document.
pub fn emit(node: &Node) -> String {
    let mut out = String::new();
    match &node.kind {
        Kind::Map(entries) => push_map(&mut out, entries, 0),
        _ => {
            push_inline(&mut out, node);
            out.push_str(END);
        }
    }
    out
}

fn push_map(out: &mut String, entries: &[(String, Node)], indent: usize) {
    for (key, node) in entries {
        out.push_str(&" ".repeat(indent));
        push_scalar(out, key, false);
        out.push(':');
        push_value(out, node, indent, indent + 2);
    }
}

/// What follows a key. A list in a map may stand on the map's level, and does.
fn push_value(out: &mut String, node: &Node, list_indent: usize, map_indent: usize) {
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            out.push_str(END);
            push_map(out, entries, map_indent);
        }
        Kind::List(items) if !items.is_empty() => {
            out.push_str(END);
            push_list(out, items, list_indent);
        }
        _ => {
            out.push(' ');
            push_inline(out, node);
            out.push_str(END);
        }
    }
}

fn push_list(out: &mut String, items: &[Node], indent: usize) {
    for item in items {
        out.push_str(&" ".repeat(indent));
        out.push('-');
        match &item.kind {
            Kind::Map(entries) if !entries.is_empty() => {
                let mut inner = String::new();
                push_map(&mut inner, entries, indent + 2);
                out.push(' ');
                out.push_str(inner.trim_start_matches(' '));
            }
            _ => push_value(out, item, indent + 2, indent + 2),
        }
    }
}

fn push_inline(out: &mut String, node: &Node) {
    match &node.kind {
        Kind::Scalar(text, is_plain) => push_scalar(out, text, *is_plain),
        Kind::List(_) => out.push_str("[]"),
        Kind::Map(_) => out.push_str("{}"),
    }
}

fn push_scalar(out: &mut String, text: &str, is_plain: bool) {
    if is_plain || !needs_quotes(text) {
        out.push_str(text);
    } else if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        push_escaped(out, text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// In double quotes, where everything can be said.
fn push_escaped(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn a_tree_is_written_in_one_way() {
        let value = json!({"version": "2", "services": {"web": {
            "image": "nginx:1", "command": ["sh", "-c", "a: b"], "scale": 2, "empty": [], "none": {}, "rules": [{"port": 80, "path": ""}, [1, ["x"]]],
            "text": "two\nlines"
        }}});
        let expected = [
            "version: '2'",
            "services:",
            "  web:",
            "    image: nginx:1",
            "    command:",
            "    - sh",
            "    - -c",
            "    - 'a: b'",
            "    scale: 2",
            "    empty: []",
            "    none: {}",
            "    rules:",
            "    - port: 80",
            "      path: ''",
            "    -",
            "      - 1",
            "      -",
            "        - x",
            "    text: \"two\\nlines\"",
            "",
        ]
        .join("\r\n")
        .replace("- -c", "- '-c'");
        let text = emit(&Node::from_json(&value));
        assert_eq!(text, expected);
        assert_eq!(parse(&text).unwrap().to_json(), value);
    }

    fn values() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\u{e4}\u{2028}\t\n]{0,12}".prop_map(Value::from),
            prop::sample::select(vec![
                "yes",
                "no",
                "1.0",
                "0x1f",
                "12:30",
                "2001-01-01",
                "~",
                "<<",
                "a #b",
                "'",
                "-",
                "? x",
                "*a",
                "%d",
                "1e3",
                "=",
                "0755",
                "null",
                "y"
            ])
            .prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z0-9: #'\"-]{1,8}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in values()) {
            let root = json!({"root": value});
            let text = emit(&Node::from_json(&root));
            prop_assert_eq!(parse(&text).map(|node| node.to_json()), Ok(root), "{}", text);
        }
    }
}
