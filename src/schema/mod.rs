//! Types as data: loading, inheriting, checking and freezing the schemas; views of them per version and role.
//!
//! A type is a file in `schemas/types/`. The registry reads them all at start, refuses what does not fit together,
//! and freezes one [`View`] per version and role: what that caller can introspect is exactly what is enforced.
//! Nothing here knows SQL or HTTP.

mod descriptions;
mod field;
mod file;
mod freeze;
mod grant;
mod grant_file;
mod grant_table;
mod inherit;
pub mod layout;
pub mod limits;
mod lint;
mod load;
mod machine;
mod notation;
mod reference;
mod registry;
mod relations;
pub mod render;
mod row_template;
mod schema_json;
mod shown;
mod summary;
#[cfg(test)]
mod testkit;
mod trim;
mod type_view;
mod type_views;
mod types;
pub mod validate;
#[cfg(test)]
mod views_tests;

pub use descriptions::Descriptions;
pub use field::*;
pub use layout::LayoutCell;
pub use machine::*;
pub use reference::{states_md, types_md};
pub use registry::Problem;
pub use render::RowTemplateCell;
pub use schema_json::{schema_json, write_schema};
pub use summary::Summary;
pub use trim::Trims;
pub use type_views::TypeViews;
pub use types::*;
