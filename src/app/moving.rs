//! `drover migrate-database`.

use super::kept::{self, Kept};
use super::{cannot_open, lock, say};
use crate::cli::Place;
use crate::failure::{Failure, Status};
use crate::store::{Database, MoveError, move_database};

/// Moves one database to another, while no server uses either.
pub(super) fn migrate_database(from: &str, to: &str) -> Result<(), Failure> {
    let (from, from_file) = named(from)?;
    let (to, to_file) = named(to)?;
    let files = [&from_file, &to_file].into_iter().flatten();
    let _locks = files.map(lock).collect::<Result<Vec<_>, _>>()?;
    if from_file.as_ref().is_some_and(|file| !file.is_there()) {
        return Err(Failure::config(format!("there is no database {from}")));
    }
    if let Some(file) = &to_file {
        file.make_private()?;
    }
    let counts = move_database(&from, &to).map_err(|error| match error {
        MoveError::Open(error) => cannot_open(error),
        refused @ (MoveError::Empty(_) | MoveError::Taken(_)) => Failure::config(format!("{refused}.")),
        other => Failure::new(Status::Database, other.to_string()),
    })?;
    for (table, rows) in &counts {
        say(&format!("{rows:>10}  {table}"));
    }
    say(&format!(
        "{to} holds what {from} does. The server's key is in neither: start with the data directory that has it."
    ));
    Ok(())
}

/// A database, and what is kept with it if it is a file. Of one elsewhere nothing is kept here: no folder is made for it.
fn named(database: &str) -> Result<(Database, Option<Kept>), Failure> {
    let place = Place {
        data_dir: None,
        database: Some(database.to_owned()),
    };
    if let Some(elsewhere) = kept::elsewhere(&place) {
        return Ok((elsewhere, None));
    }
    let kept = Kept::at(&place)?;
    Ok((kept.database.clone(), Some(kept)))
}
