//! What is refused between servers, in the words of the API.

use serde_json::json;

/// The body of an answer that refuses.
pub(super) fn body(status: u16, code: &str, why: &str) -> String {
    json!({"type": "error", "baseType": "error", "status": status, "code": code, "message": why}).to_string()
}
