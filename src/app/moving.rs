//! `drover migrate-database`.

use super::kept::Kept;
use super::{cannot_open, lock, say};
use crate::cli::Place;
use crate::failure::{Failure, Status};
use crate::store::{MoveError, move_database};

/// Moves one database to another, while no server uses either.
pub(super) fn migrate_database(from: &str, to: &str) -> Result<(), Failure> {
    let (from, to) = (named(from)?, named(to)?);
    let _locks = [&from, &to]
        .into_iter()
        .filter(|kept| kept.file().is_some())
        .map(lock)
        .collect::<Result<Vec<_>, _>>()?;
    if !from.is_there() {
        return Err(Failure::config(format!("there is no database {}", from.database)));
    }
    to.make_private()?;
    let counts = move_database(&from.database, &to.database).map_err(|error| match error {
        MoveError::Open(error) => cannot_open(error),
        refused @ (MoveError::Empty(_) | MoveError::Taken(_)) => Failure::config(format!("{refused}.")),
        other => Failure::new(Status::Database, other.to_string()),
    })?;
    for (table, rows) in &counts {
        say(&format!("{rows:>10}  {table}"));
    }
    say(&format!(
        "{} holds what {} does. The server's key is in neither: start with the data directory that has it.",
        to.database, from.database
    ));
    Ok(())
}

fn named(database: &str) -> Result<Kept, Failure> {
    Kept::at(&Place {
        data_dir: None,
        database: Some(database.to_owned()),
    })
}
