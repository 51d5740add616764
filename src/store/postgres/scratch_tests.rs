//! A database for a test of the body.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::body;
use super::dialect::{Line, Place};

/// A database that nobody else has, with all its tables; none where there is no PostgreSQL for tests.
pub(super) fn scratch() -> Option<Line> {
    let folder = tempfile::tempdir().unwrap();
    let crate::store::Database::Postgres(url) = crate::store::databases::at(folder.path()).database else {
        return None;
    };
    let place = Place::of(&url).unwrap();
    let mut conn = place.connect_writer().unwrap();
    body::migrate(&mut conn).unwrap();
    Some(Line::new(conn, &place, ("", 0)))
}
