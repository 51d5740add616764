//! What no database but SQLite keeps: the character U+0000. It is refused in both, so that what is in one can be in the other.

use crate::model::{Error, Fields, Result};

/// # Errors
/// 422 `InvalidCharacters` with the field.
pub(super) fn check_text(field: &str, text: &str) -> Result<()> {
    match text.contains('\0') {
        true => Err(Error::invalid("InvalidCharacters", field)),
        false => Ok(()),
    }
}

/// The same of fields, however deep in one it stands: JSON writes it as an escape.
pub(super) fn check_fields(fields: &Fields) -> Result<()> {
    let holds = fields
        .0
        .iter()
        .find(|(name, value)| name.contains('\0') || has_escape(value.get()));
    match holds {
        Some((name, _)) => Err(Error::invalid("InvalidCharacters", name.as_str())),
        None => Ok(()),
    }
}

fn has_escape(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes().get(..at).unwrap_or_default();
        let slashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        slashes % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_is_told_from_what_looks_like_one() {
        for kept in [r#"{"a":"b"}"#, r#"{"a":"\\u0000"}"#, "", "\"u0000\""] {
            assert!(!has_escape(kept), "{kept}");
        }
        for refused in [r#"{"a":"\u0000"}"#, r#"{"\u0000":1}"#, r#"{"a":"\\\u0000"}"#] {
            assert!(has_escape(refused), "{refused}");
        }
    }
}
