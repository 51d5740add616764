//! Values of metadata as text, JSON and YAML, and which of them a client wants.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// What stays as it is in a name that is listed.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b' ');

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lists of names, bare values.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What can be asked for by `Accept`, in the order in which we prefer it.
const TYPES: [(&str, &str, Form); 6] = [
    ("text", "plain", Form::Text),
    ("application", "json", Form::Json),
    ("application", "yaml", Form::Yaml),
    ("application", "x-yaml", Form::Yaml),
    ("text", "yaml", Form::Yaml),
    ("text", "x-yaml", Form::Yaml),
];

impl Form {
    /// What an `Accept` header asks for; text if it asks for nothing that there is.
    pub fn accepted(header: &str) -> Self {
        // The best so far: by weight, then by how exactly it was named, then by our order.
        let mut best = (0_u16, 0_u8, Self::Text);
        for part in header.split(',') {
            let mut words = part.split(';').map(str::trim);
            let Some((kind, name)) = words.next().and_then(|range| range.split_once('/')) else {
                continue;
            };
            let weight = words.find_map(|word| word.strip_prefix("q=")).map_or(1000, thousandths);
            for (of_kind, of_name, form) in TYPES {
                let exactness = match (kind, name) {
                    ("*", "*") => 1,
                    (kind, "*") if kind.eq_ignore_ascii_case(of_kind) => 2,
                    (kind, name) if kind.eq_ignore_ascii_case(of_kind) && name.eq_ignore_ascii_case(of_name) => 3,
                    _ => continue,
                };
                if (weight, exactness) > (best.0, best.1) && weight > 0 {
                    best = (weight, exactness, form);
                }
            }
        }
        best.2
    }

    /// A value in this form.
    pub fn write(self, mut value: Value) -> String {
        value.sort_all_objects();
        match self {
            Self::Text => text(&value),
            Self::Json => value.to_string(),
            Self::Yaml => yaml(&value),
        }
    }
}

/// `0.5` as 500.
fn thousandths(weight: &str) -> u16 {
    let weight: f64 = weight.trim().parse().unwrap_or(0.0);
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0).round();
    (0..=1000).rev().find(|n| f64::from(*n) <= thousandths).unwrap_or(0)
}

/// An error in this form.
pub fn error(form: Form, code: u16, message: &str) -> String {
    let mut words = match form {
        Form::Text => message.to_owned(),
        Form::Json | Form::Yaml => form.write(json!({"code": code, "message": message, "type": "error"})),
    };
    words.push('\n');
    words
}

/// A value as text: what is below it, a name on each line; or the value itself, if nothing is below it.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Object(entries) => keys(entries),
        Value::Array(entries) => numbers(entries),
    }
}

fn escaped(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string().replace(' ', "+")
}

fn is_nested(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn keys(entries: &Map<String, Value>) -> String {
    let line = |(key, value): (&String, &Value)| {
        let slash = if is_nested(value) { "/" } else { "" };
        format!("{}{slash}\n", escaped(key))
    };
    let mut lines: Vec<String> = entries.iter().map(line).collect();
    lines.sort_unstable();
    lines.concat()
}

fn numbers(entries: &[Value]) -> String {
    let mut text = String::new();
    for (number, entry) in entries.iter().enumerate() {
        let name = ["name", "uuid"].iter().find_map(|key| entry.get(*key)?.as_str());
        let _ = match name {
            Some(name) => writeln!(text, "{number}={}", escaped(name)),
            None if is_nested(entry) => writeln!(text, "{number}/"),
            None => writeln!(text, "{number}"),
        };
    }
    text
}

/// A value as YAML, in blocks. Texts that could be read as something else are quoted as JSON quotes them.
fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a value, each line indented, at the beginning of a line.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (nth, (key, value)) in entries.iter().enumerate() {
                // The first key of an entry of a list stands behind its dash.
                let space = if nth == 0 && text.ends_with("- ") { 0 } else { indent };
                let _ = write!(text, "{:space$}{}:", "", scalar(key));
                below(value, indent, text);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for (nth, value) in entries.iter().enumerate() {
                let space = if nth == 0 && text.ends_with("- ") { 0 } else { indent };
                let _ = write!(text, "{:space$}- ", "");
                block(value, indent + 2, text);
            }
        }
        _ => {
            let _ = writeln!(text, "{}", flat(value));
        }
    }
}

/// Writes the value of a key, behind its colon.
fn below(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        Value::Array(entries) if !entries.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        _ => {
            let _ = writeln!(text, " {}", flat(value));
        }
    }
}

/// A value without lines of its own.
fn flat(value: &Value) -> String {
    match value {
        Value::String(value) => scalar(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Array(_) => value.to_string(),
    }
}

fn scalar(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let lower = text.to_ascii_lowercase();
    let is_reserved = matches!(
        lower.as_str(),
        "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    match begins && text.chars().all(is_word) && !is_reserved {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}
