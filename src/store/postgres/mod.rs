//! PostgreSQL: how it is reached and set up, its words, and the body compiled for it.

#[path = "../body/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "it is compiled once for each kind of database")]
mod body;
mod dialect;
mod line;
#[cfg(test)]
mod line_tests;
mod place;
#[cfg(test)]
mod scratch_tests;
mod seat;
mod waiting;

pub(super) use body::{Side, Store, Tx};
pub(super) use place::Place;
pub(super) use seat::Seat;

use super::{OpenError, PostgresUrl};

/// Connects, and tells the version of the database's program.
pub(super) fn reach(url: &PostgresUrl) -> Result<String, OpenError> {
    let place = Place::of(url)?;
    place.version().map_err(|error| OpenError::open(&place, error))
}
