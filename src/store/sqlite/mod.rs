//! SQLite: how it is opened and set up, its words, and the body compiled for it.

use std::path::Path;

use super::OpenError;

#[path = "../body/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each kind of database")]
mod body;
mod dialect;
mod identity;
mod line;
#[cfg(test)]
mod migrate_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod scratch_tests;

pub(super) use body::{Side, Store, Tx};
pub(super) use dialect::Place;

/// Writes a consistent copy to a new file, while others go on. Refuses to overwrite.
pub(super) fn backup(file: &Path, to: &Path) -> Result<(), OpenError> {
    let place = Place::of(file);
    let mut conn = dialect::connect(&place, 4096).map_err(|e| OpenError::open(&place, e))?;
    dialect::copy_to(&mut conn, to).map_err(|e| OpenError::open(&place, Box::new(e)))
}

/// Reads a whole file for faults.
pub(super) fn check(file: &Path) -> Result<(), OpenError> {
    let place = Place::of(file);
    let mut conn = dialect::connect(&place, 4096).map_err(|e| OpenError::open(&place, e))?;
    match dialect::faults(&mut conn)
        .map_err(|e| OpenError::open(&place, Box::new(e)))?
        .as_slice()
    {
        [] => Ok(()),
        [first, ..] => Err(OpenError::open(&place, first.clone().into())),
    }
}
