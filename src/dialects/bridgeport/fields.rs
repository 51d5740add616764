//! What bodies may hold: tables of fields, by which bodies are read and the document of the interface is written.

use serde_json::{Map, Value, json};

use super::refusal::{Code, Outcome, Refusal};

/// The longest text where no field says otherwise, in characters.
const LONGEST: usize = 8 * 1024;
/// The most members of a list or an object.
const MOST: usize = 500;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text of so many characters, at least and at most.
    Text(usize, usize),
    /// A text, or null for none.
    MaybeText(usize),
    /// Yes or no.
    Flag,
    /// A whole number, at least and at most.
    Int(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Texts.
    Texts,
    /// Texts by names, or null for none.
    Pairs,
}

/// A field of a body.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it has to be there.
    pub required: bool,
}

/// A field that has to be there.
pub const fn need(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// A field that may be left out.
pub const fn may(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// A text of at least one character.
pub const NAME: Kind = Kind::Text(1, 255);
/// A text that may be empty.
pub const TEXT: Kind = Kind::Text(0, LONGEST);
/// A text or null.
pub const MAYBE: Kind = Kind::MaybeText(LONGEST);
/// A long text.
pub const LONG: Kind = Kind::Text(0, 512 * 1024);
/// A whole number that a time in milliseconds can be: up to a day.
pub const MILLIS: Kind = Kind::Int(0, 86_400_000);

impl Kind {
    /// Why a value is none of this kind.
    fn problem(self, value: &Value) -> Option<String> {
        let text = |least: usize, most: usize| match value.as_str() {
            None => Some("Expected string".to_owned()),
            Some(text) if text.contains('\0') => Some("must not contain NUL".to_owned()),
            Some(text) => match text.chars().count() {
                n if n < least => Some(format!("must have at least {least} character(s)")),
                n if n > most => Some(format!("must have at most {most} characters")),
                _ => None,
            },
        };
        match self {
            Self::Text(least, most) => text(least, most),
            Self::MaybeText(_) if value.is_null() => None,
            Self::MaybeText(most) => text(0, most),
            Self::Flag => (!value.is_boolean()).then(|| "Expected boolean".to_owned()),
            Self::Int(least, most) => match value.as_i64() {
                None => Some("Expected integer".to_owned()),
                Some(n) if n < least => Some(format!("must be at least {least}")),
                Some(n) if n > most => Some(format!("must be at most {most}")),
                Some(_) => None,
            },
            Self::Word(words) => match value.as_str() {
                Some(word) if words.contains(&word) => None,
                _ => Some(format!("must be one of {}", words.join(", "))),
            },
            Self::Texts => match value.as_array() {
                None => Some("Expected array".to_owned()),
                Some(all) if all.len() > MOST => Some(format!("must have at most {MOST} members")),
                Some(all) => all.iter().find_map(|one| NAME.problem(one)),
            },
            Self::Pairs if value.is_null() => None,
            Self::Pairs => match value.as_object() {
                None => Some("Expected object".to_owned()),
                Some(all) if all.len() > MOST => Some(format!("must have at most {MOST} members")),
                Some(all) => all.iter().find_map(|(name, value)| pair_problem(name, value)),
            },
        }
    }

    /// As a schema of OpenAPI 3.0.
    pub fn to_schema(self) -> Value {
        match self {
            Self::Text(least, most) => json!({"type": "string", "minLength": least, "maxLength": most}),
            Self::MaybeText(most) => json!({"type": "string", "nullable": true, "maxLength": most}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Int(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Texts => {
                json!({"type": "array", "maxItems": MOST, "items": {"type": "string", "minLength": 1, "maxLength": 255}})
            }
            Self::Pairs => {
                json!({"type": "object", "nullable": true, "maxProperties": MOST, "additionalProperties": {"type": "string"}})
            }
        }
    }
}

/// A variable's name and its value.
fn pair_problem(name: &str, value: &Value) -> Option<String> {
    let is_good = !name.is_empty() && name.len() <= 255 && !name.contains(['=', '\0']);
    match is_good {
        false => Some(format!("{name:?} is no name of a variable")),
        true => TEXT.problem(value).map(|problem| format!("{name}: {problem}")),
    }
}

/// Reads a body: the fields that are known, each as its table says; others are dropped.
///
/// # Errors
/// 422 for fields that are read-only, before anything else is looked at; 400 with the first field that is wrong, and all of them in `details`.
pub fn read(fields: &[Field], read_only: &[&str], body: Value) -> Outcome<Map<String, Value>> {
    let Value::Object(mut body) = body else {
        return Err(Refusal::new(Code::Validation, "The body must be a JSON object"));
    };
    let offenders: Vec<&str> = body
        .keys()
        .map(String::as_str)
        .filter(|name| read_only.contains(name))
        .collect();
    if !offenders.is_empty() {
        return Err(Refusal::read_only(&offenders));
    }
    let mut details = Vec::new();
    let mut known = Map::new();
    for field in fields {
        match body.shift_remove(field.name) {
            None if field.required => details.push((field.name.to_owned(), "Required".to_owned())),
            None => {}
            Some(value) => match field.kind.problem(&value) {
                Some(problem) => details.push((field.name.to_owned(), problem)),
                None => drop(known.insert(field.name.to_owned(), value)),
            },
        }
    }
    match details.first() {
        None => Ok(known),
        Some((field, problem)) => Err(Refusal {
            field: Some(field.clone()),
            message: format!("Validation failed: {field}: {problem}"),
            details,
            ..Refusal::new(Code::Validation, "")
        }),
    }
}

/// A text of a body that was read.
pub fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    const FIELDS: &[Field] = &[
        need("name", NAME),
        may("count", Kind::Int(1, 5)),
        may("mode", Kind::Word(&["a", "b"])),
        may("env", Kind::Pairs),
        may("note", MAYBE),
    ];

    #[test]
    fn what_is_known_is_read_and_the_rest_is_dropped() {
        let body = json!({"name": "x", "env": null, "note": null, "else": 1, "count": 5});
        let read = read(FIELDS, &["status"], body).unwrap();
        assert_eq!(
            Value::Object(read),
            json!({"name": "x", "count": 5, "env": null, "note": null})
        );
    }

    #[test]
    fn each_wrong_field_is_named_and_the_first_one_first() {
        for (body, field) in [
            (json!({}), "name"),
            (json!({"name": ""}), "name"),
            (json!({"name": 1}), "name"),
            (json!({"name": "a\0"}), "name"),
            (json!({"name": "x", "count": 0}), "count"),
            (json!({"name": "x", "count": 1.5}), "count"),
            (json!({"name": "x", "count": 6, "mode": "c"}), "count"),
            (json!({"name": "x", "mode": null}), "mode"),
            (json!({"name": "x", "env": {"A": 1}}), "env"),
            (json!({"name": "x", "env": {"A=B": "1"}}), "env"),
            (json!({"name": "x", "env": []}), "env"),
        ] {
            let refusal = read(FIELDS, &[], body.clone()).unwrap_err();
            assert_eq!(
                (refusal.code, refusal.field.as_deref()),
                (Code::Validation, Some(field)),
                "{body}"
            );
        }
        let both = read(FIELDS, &[], json!({"count": 6, "mode": "c"})).unwrap_err();
        assert_eq!(both.details.len(), 3);
    }

    #[test]
    fn read_only_fields_come_before_all_others_in_the_order_of_the_body() {
        let body = json!({"b": 1, "name": 7, "a": 2});
        let refusal = read(FIELDS, &["a", "b"], body).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some("b"));
        assert_eq!(
            refusal.message,
            "Fields \"b\", \"a\" are read-only and cannot be set via PATCH."
        );
    }
}
