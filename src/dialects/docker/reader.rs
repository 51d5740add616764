//! JSON as Go reads it: one value, whatever stands behind it, and what is wrong with it in Go's words.

use serde_json::{Error, Value, json};

use super::refusal::{Outcome, Refusal};

/// The body of a request, an object; nulls are as good as nothing. `what` is what Go calls its type.
///
/// # Errors
/// 400 for what is none.
pub fn body(sent: &[u8], what: &str) -> Outcome<Value> {
    let mut values = serde_json::Deserializer::from_slice(sent).into_iter::<Value>();
    match values.next() {
        None => Err(Refusal::bad("got EOF while reading request body")),
        Some(Err(error)) => Err(Refusal::bad(words(sent, &error, "unexpected EOF"))),
        Some(Ok(Value::Null)) => Ok(json!({})),
        Some(Ok(body @ Value::Object(_))) => Ok(body),
        Some(Ok(other)) => Err(Refusal::bad(format!(
            "json: cannot unmarshal {} into Go value of type {what}",
            kind(&other)
        ))),
    }
}

/// What Go calls a value.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Refuses a member of a body that is not of its type; `what` is what Go calls the body, `types` what it calls those of members.
pub fn check_types(body: &Value, what: &str, types: &[(&str, &str)]) -> Outcome<()> {
    let wrong = |value: &Value, name: &str, ty: &str| {
        let kind = kind(value);
        let words = format!("json: cannot unmarshal {kind} into Go struct field {what}.{name} of type {ty}");
        Err(Refusal::bad(words))
    };
    for (name, ty) in types {
        match (*ty, body.get(*name)) {
            (_, None | Some(Value::Null)) | ("map[string]string", Some(Value::Object(_))) => {}
            ("string" | "[]uint8", Some(Value::String(_))) | ("bool", Some(Value::Bool(_))) => {}
            (ty, Some(value)) => return wrong(value, name, ty),
        }
        let values = body
            .get(*name)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values());
        if let Some(value) = values.into_iter().find(|value| !value.is_string() && !value.is_null()) {
            return wrong(value, name, "string");
        }
    }
    Ok(())
}

/// What is wrong with a text; `ended` if it ends too early.
pub fn words(text: &[u8], error: &Error, ended: &str) -> String {
    if error.is_eof() {
        return ended.to_owned();
    }
    let said = error.to_string();
    let place = [
        ("trailing characters", "after top-level value"),
        ("key must be a string", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
    ]
    .into_iter()
    .find_map(|(start, place)| said.starts_with(start).then_some(place))
    .unwrap_or("looking for beginning of value");
    let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
    let rest = line.and_then(|line| line.get(error.column().saturating_sub(1)..));
    let wrong = rest.and_then(|rest| String::from_utf8_lossy(rest).chars().next());
    match wrong {
        None => ended.to_owned(),
        Some('\'') => format!("invalid character '\\'' {place}"),
        Some(wrong) => format!("invalid character '{wrong}' {place}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn what_is_no_json_is_said_in_gos_words() {
        for (sent, said) in [
            ("", "got EOF while reading request body"),
            (" \n", "got EOF while reading request body"),
            ("{", "unexpected EOF"),
            ("x", "invalid character 'x' looking for beginning of value"),
            (
                "{'a': 1}",
                r"invalid character '\'' looking for beginning of object key string",
            ),
            (
                r#"{"a": "b" "c"}"#,
                "invalid character '\"' after object key:value pair",
            ),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[]", "json: cannot unmarshal array into Go value of type T"),
            ("3", "json: cannot unmarshal number into Go value of type T"),
        ] {
            let refusal = body(sent.as_bytes(), "T").unwrap_err();
            assert_eq!(
                (refusal.status.as_u16(), refusal.message.as_str()),
                (400, said),
                "{sent}"
            );
        }
        assert_eq!(body(b"null", "T").unwrap(), json!({}));
        assert_eq!(body(br#"{"a": 1} x"#, "T").unwrap(), json!({"a": 1}));
    }
}
