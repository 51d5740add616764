//! Moving a database to another one: everything in it, whoever it is of.

use super::moved::{Cell, TABLES, Table};
#[cfg(feature = "postgres")]
use super::postgres;
use super::{Database, OpenError, sqlite};

/// Rows that are moved in one transaction.
const PORTION: i64 = 500;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Why a database was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// One of them cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The one to be read has never served anybody.
    #[error("there is nothing in {0}")]
    Empty(String),
    /// The one to be written to holds something else.
    #[error("{0} is not empty, and is no unfinished copy of this state of the other one")]
    Taken(String),
    /// It stopped in the middle; asked again it goes on there.
    #[error("moving {table}: {source}")]
    Failed {
        /// The table.
        table: &'static str,
        /// The cause.
        #[source]
        source: Failed,
    },
    /// What was written is not what was read.
    #[error("{table} is not the same in both")]
    Differs {
        /// The table.
        table: &'static str,
    },
}

enum Side {
    Sqlite(sqlite::Side),
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Side>),
}

macro_rules! on {
    ($side:expr, $name:ident($($arg:expr),*)) => {
        match $side {
            Side::Sqlite(side) => side.$name($($arg),*),
            #[cfg(feature = "postgres")]
            Side::Postgres(side) => side.$name($($arg),*),
        }
    };
}

impl Side {
    fn open(database: &Database) -> Result<Self, OpenError> {
        Ok(match database {
            Database::File(file) => Self::Sqlite(sqlite::Side::open(&sqlite::Place::of(file))?),
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => Self::Postgres(Box::new(postgres::Side::open(&postgres::Place::of(url)?)?)),
        })
    }
}

/// Writes all that is in one database to another, which is empty or was begun to be written in this way, and compares both. Tells
/// how many rows each table has. No server may use either of them.
///
/// # Errors
/// See [`MoveError`]. The one that is read is left as it is.
pub fn move_database(from: &Database, to: &Database) -> Result<Vec<(&'static str, i64)>, MoveError> {
    let (mut source, mut target) = (Side::open(from)?, Side::open(to)?);
    let failed = |table: &'static str| move |source: Failed| MoveError::Failed { table, source };
    let whose = |side: &mut Side| on!(side, whose()).map_err(|e| failed("server")(Box::new(e)));
    let Some(identity) = whose(&mut source)? else {
        return Err(MoveError::Empty(from.to_string()));
    };
    match whose(&mut target)? {
        Some(other) if other != identity => return Err(MoveError::Taken(to.to_string())),
        None if has_rows(&mut target)? => return Err(MoveError::Taken(to.to_string())),
        _ => {}
    }
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        copy(&mut source, &mut target, table).map_err(failed(table.name))?;
    }
    let numbers = on!(&mut source, numbers()).map_err(|e| failed("numbers")(Box::new(e)))?;
    on!(&mut target, set_numbers(&numbers)).map_err(|e| failed("numbers")(Box::new(e)))?;
    for table in &TABLES {
        let rows = compare(&mut source, &mut target, table).map_err(failed(table.name))?;
        counts.push((table.name, rows.ok_or(MoveError::Differs { table: table.name })?));
    }
    on!(source, close());
    on!(target, close());
    Ok(counts)
}

fn has_rows(side: &mut Side) -> Result<bool, MoveError> {
    for table in &TABLES {
        let count = on!(side, count(table)).map_err(|e| MoveError::Failed {
            table: table.name,
            source: Box::new(e),
        })?;
        if count > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is there already was written in this order.
fn copy(source: &mut Side, target: &mut Side, table: &Table) -> Result<(), Failed> {
    let mut done = on!(&mut *target, count(table))?;
    loop {
        let rows: Vec<Vec<Cell>> = on!(&mut *source, read(table, done, PORTION))?;
        if rows.is_empty() {
            return Ok(());
        }
        on!(&mut *target, write(table, &rows))?;
        done += i64::try_from(rows.len())?;
    }
}

/// How many rows both have; nothing if they differ.
fn compare(source: &mut Side, target: &mut Side, table: &Table) -> Result<Option<i64>, Failed> {
    let mut done = 0;
    loop {
        let (one, other): (Vec<_>, Vec<_>) = (
            on!(&mut *source, read(table, done, PORTION))?,
            on!(&mut *target, read(table, done, PORTION))?,
        );
        if one != other {
            return Ok(None);
        }
        if one.is_empty() {
            return Ok(Some(done));
        }
        done += i64::try_from(one.len())?;
    }
}
