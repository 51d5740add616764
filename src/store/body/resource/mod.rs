//! Resource rows and the references between them: what is asked of them and what is changed.

use super::failed;

mod read;
mod refs;
mod row;
mod whereabouts;
mod write;

pub(super) use read::many_on;
#[cfg(test)]
pub(in crate::store) use read::selecting;
#[cfg(not(test))]
pub(super) use row::{ListedRow, ResourceRow};
#[cfg(test)]
pub(in crate::store) use row::{ListedRow, ResourceRow};
pub(super) use write::{delete_rows, rows};
