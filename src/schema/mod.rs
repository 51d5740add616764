//! Types as data: loading, inheriting, checking and freezing the schemas; views of them per version and role.
//!
//! A type is a file in `schemas/types/`. The registry reads them all at start, refuses what does not fit together,
//! and freezes one [`View`] per version and role: what that caller can introspect is exactly what is enforced.
//! Nothing here knows SQL or HTTP.

mod docs;
mod field;
mod file;
mod freeze;
mod grant;
mod inherit;
pub mod layout;
mod lint;
mod load;
mod machine;
mod plan;
mod registry;
mod relations;
pub mod render;
mod served;
#[cfg(test)]
mod testkit;
mod texts;
mod trim;
mod types;
pub mod validate;
#[cfg(test)]
mod views_tests;

pub use docs::{states_md, types_md};
pub use field::*;
pub use layout::LayoutCell;
pub use lint::HANDLER_ACTIONS;
pub use machine::*;
pub use registry::Problem;
pub use render::PlanCell;
pub use served::{schema_json, write_schema};
pub use texts::Texts;
pub use trim::Trim;
pub use types::*;
