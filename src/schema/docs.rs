//! docs
use super::Registry;
/// x
pub fn types_md(_: &Registry) -> String { String::new() }
/// x
pub fn states_md(_: &Registry) -> String { String::new() }
