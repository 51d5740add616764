//! Where a server keeps things: its database, and beside it its key and what else is its own.

use std::path::{Path, PathBuf};

use super::files;
use crate::cli::Place;
use crate::config;
use crate::failure::Failure;
use crate::store::Database;

/// The database, if it is not a file.
pub(super) fn elsewhere(place: &Place) -> Option<Database> {
    #[cfg(feature = "postgres")]
    return config::postgres_url(place).map(|url| Database::Postgres(crate::store::PostgresUrl(url.to_owned())));
    #[cfg(not(feature = "postgres"))]
    return config::postgres_url(place).and(None);
}

/// Where things are kept.
pub(super) struct Kept {
    /// The database.
    pub database: Database,
    /// The path that gives what is kept beside it its place and its name: `drover.db` for `drover.lock` and `secret.key`. The
    /// database itself, if it is a file.
    pub beside: PathBuf,
}

impl Kept {
    /// Where flags say; in a folder that exists and can be written.
    pub(super) fn at(place: &Place) -> Result<Self, Failure> {
        let beside = config::database_file(place)?;
        let database = elsewhere(place).unwrap_or_else(|| Database::File(beside.clone()));
        Ok(Self { database, beside })
    }

    /// In a file, and beside it.
    pub(super) fn in_file(file: &Path) -> Self {
        Self {
            database: Database::File(file.to_owned()),
            beside: file.to_owned(),
        }
    }

    /// The file, if the database is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.database {
            Database::File(file) => Some(file),
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => None,
        }
    }

    /// Whether there is such a database, as far as that is seen from here.
    pub(super) fn is_there(&self) -> bool {
        self.file().is_none_or(Path::exists)
    }

    /// Sees to it that only the owner can read the file.
    pub(super) fn make_private(&self) -> Result<(), Failure> {
        self.file().map_or(Ok(()), files::make_private)
    }
}
