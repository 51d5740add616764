//! One caller in one project, and what Hyper calls it.

use sha2::{Digest as _, Sha256};

pub use crate::dialects::caller::{Caller, Deed, blocking, fields, named, object};

/// The project as Hyper calls tenants: 32 hexadecimal digits.
pub fn tenant(caller: &Caller) -> String {
    let own = caller
        .engine
        .find(&caller.scope, caller.scope.effective.id)
        .ok()
        .flatten();
    let digits: String = own.map(|row| row.uuid.replace('-', "")).unwrap_or_default();
    if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return digits.to_ascii_lowercase();
    }
    let text = format!("{} {}", caller.engine.server_uuid(), caller.scope.effective.id);
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
