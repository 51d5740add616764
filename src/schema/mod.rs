//! Types as data: loading, inheriting, checking and freezing the schemas; views of them per version and role.
//!
//! A type is a file in `schemas/types/`. The registry reads them all at start, refuses what does not fit together,
//! and freezes one [`View`] per version and role: what that caller can introspect is exactly what is enforced.
//! Nothing here knows SQL or HTTP.

mod field;
pub mod layout;
mod file;
mod freeze;
mod inherit;
mod lint;
mod load;
mod machine;
mod plan;
mod registry;
pub mod render;
#[cfg(test)]
mod testkit;
mod types;
pub mod validate;

pub use field::*;
pub use layout::LayoutCell;
pub use machine::*;
pub use render::PlanCell;
pub use registry::Problem;
pub use types::*;
