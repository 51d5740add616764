//! Opening a database: where it is, and why it cannot be opened.

use std::fmt::Display;
use std::path::PathBuf;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of SQLite.
    File(PathBuf),
    /// A database of PostgreSQL, as a `postgres://` URL.
    #[cfg(feature = "postgres")]
    Postgres(PostgresUrl),
}

/// The URL of a PostgreSQL database. What is shown of it is without its password.
#[cfg(feature = "postgres")]
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(pub String);

#[cfg(feature = "postgres")]
impl Display for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ok(mut url) = url::Url::parse(&self.0) else {
            return f.write_str("postgres://…");
        };
        if url.cannot_be_a_base() {
            return f.write_str("postgres:…");
        }
        // What stands behind the question mark may hold a password, too.
        url.set_query(None);
        let _ = url.set_password(None);
        f.write_str(url.as_str())
    }
}

#[cfg(feature = "postgres")]
impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

impl Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => write!(f, "{url}"),
        }
    }
}

/// How to open the database.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where it is.
    pub database: Database,
    /// Connections for reading.
    pub readers: u32,
    /// Page cache of each connection, in KiB; of SQLite only.
    pub cache_kib: u32,
    /// The uuid of the member that opens it, where several servers share it: only the one that leads may.
    pub member: Option<String>,
}

impl StoreConfig {
    /// The defaults for a file of SQLite.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self::of(Database::File(file.into()))
    }

    /// The defaults. Of a file two readers for each core, as more only wait for each other; 4 MiB of cache each (idle memory
    /// counts; hot pages are the kernel's). Of a server more, as those wait for it and not for the cores.
    pub fn of(database: Database) -> Self {
        let cores = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        let (each, fewest, most) = match &database {
            Database::File(_) => (2, 4, 16),
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => (4, 8, 32),
        };
        let readers = u32::try_from(cores * each).unwrap_or(most).clamp(fewest, most);
        Self {
            database,
            readers,
            cache_kib: 4096,
            member: None,
        }
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be opened or read.
    #[error("cannot open the database {file}")]
    Open {
        /// Where it is.
        file: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another server has it.
    #[error("another drover uses the database {file}")]
    InUse {
        /// Where it is.
        file: String,
    },
    /// The schema does not fit.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

impl OpenError {
    pub(super) fn open(place: &impl Display, source: Box<dyn std::error::Error + Send + Sync>) -> Self {
        let file = place.to_string();
        match source.is::<Taken>() {
            true => Self::InUse { file },
            false => Self::Open { file, source },
        }
    }
}

/// That another server has a database.
#[derive(Debug, thiserror::Error)]
#[error("another drover uses it")]
pub(super) struct Taken;

/// That a database cannot be shared.
#[derive(Debug, thiserror::Error)]
#[error("a file is one server's: several share a database of PostgreSQL")]
pub(super) struct Unshared;

/// How a database stands to this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Up to date.
    Current,
    /// So many migrations were applied.
    Migrated(usize),
}

/// Why migrating failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database has migrations that this binary does not know.
    #[error("the database was written by a newer drover (it has migration {0}); use that version, or restore a backup")]
    Newer(String),
    /// A migration failed.
    #[error("migrating the database failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
