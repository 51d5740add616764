//! A database for a test of the body.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::path::Path;

use diesel::prelude::*;

use super::body;
use super::dialect::{Conn, Line, Place};

/// A database that nobody else has, with all its tables.
pub(super) fn scratch() -> Option<Line> {
    let mut conn = Conn::establish(":memory:").unwrap();
    body::migrate(&mut conn).unwrap();
    Some(Line::new(conn, &Place::of(Path::new(":memory:")), ("", 0)))
}
