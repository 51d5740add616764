//! Opening the database: the pool of readers, the writer, the settings of each connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection};

use super::bodies::Unpacker;
use super::cache::Cache;
use super::dialect::{self, Conn};
use super::identity::Identity;
use super::migrate::{MigrateError, SchemaState, migrate};
use super::started::{ProcessNote, Started};
use super::tables::server;
use super::writer::{Tx, Wake, Writer};
use super::{LayoutOf, Priority, WriteFault, audit};
use crate::model::{Clock, Error, Result};

/// A connection that can only read.
pub type Reader = PooledConnection<ConnectionManager<Conn>>;

/// How to open the database.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The SQLite file.
    pub file: PathBuf,
    /// Connections for reading.
    pub readers: u32,
    /// Page cache of each connection, in KiB.
    pub cache_kib: u32,
}

impl StoreConfig {
    /// The defaults for a file: two readers for each core, as more only wait for each other; 4 MiB of cache each (idle
    /// memory counts; hot pages are the kernel's).
    pub fn new(file: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(4, std::num::NonZero::get);
        let readers = u32::try_from(cores * 2).unwrap_or(16).clamp(4, 16);
        Self {
            file: file.into(),
            readers,
            cache_kib: 4096,
        }
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or read.
    #[error("cannot open the database {file}")]
    Open {
        /// The file.
        file: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema does not fit.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// The database.
#[derive(Clone)]
pub struct Store {
    readers: Pool<ConnectionManager<Conn>>,
    writer: Arc<Writer>,
    file: PathBuf,
    pub(super) identity: Identity,
    pub(super) unpacker: Arc<Unpacker>,
    pub(super) cache: Arc<Cache>,
    pub(super) started: Arc<Started>,
    server_uuid: String,
    epoch: i64,
}

impl Store {
    /// Opens (and makes, and migrates) the database and starts the writer. `layout` packs the fields of a row;
    /// `after_commit` is called with what the closures of a commit want woken.
    pub fn open(
        config: &StoreConfig,
        clock: Arc<dyn Clock>,
        layout: Arc<dyn LayoutOf>,
        after_commit: Box<dyn Fn(Vec<super::writer::Wake>) + Send + Sync>,
        fault: Option<WriteFault>,
    ) -> Result<(Self, SchemaState), OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Open {
            file: config.file.display().to_string(),
            source,
        };
        let mut conn = dialect::connect(&config.file, config.cache_kib).map_err(failed)?;
        let state = bring_up(&mut conn)?;
        let (server_uuid, epoch) = begin_epoch(&mut conn).map_err(|e| failed(Box::new(e)))?;
        let identity = Identity::note(&config.file, &mut conn, &server_uuid, epoch).map_err(failed)?;
        let manager = ConnectionManager::new(config.file.display().to_string());
        let readers = Pool::builder()
            .max_size(config.readers)
            // A start waits for the one that it needs, not for one more.
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(30))
            .connection_customizer(Box::new(ReadOnly {
                cache_kib: config.cache_kib,
            }))
            .build(manager)
            .map_err(|e| failed(Box::new(e)))?;
        let cache = Arc::new(Cache::default());
        let started = Arc::new(Started::default());
        let (changed, asked) = (cache.clone(), started.clone());
        // First of all, so that whoever is woken by a commit reads what it wrote.
        let after_commit = Box::new(move |written, processes: Vec<ProcessNote>, wakes: Vec<Wake>| {
            changed.take_over(written);
            asked.take_over(processes);
            if !wakes.is_empty() {
                after_commit(wakes);
            }
        });
        let writer = Writer::start(
            conn,
            clock,
            layout,
            after_commit,
            (&config.file, server_uuid.clone(), epoch),
            fault,
        );
        Ok((
            Self {
                readers,
                writer: Arc::new(writer),
                file: config.file.clone(),
                identity,
                unpacker: Arc::default(),
                cache,
                started,
                server_uuid,
                epoch,
            },
            state,
        ))
    }

    /// Only migrates.
    pub fn migrate(file: &Path) -> Result<SchemaState, OpenError> {
        let failed = |source| OpenError::Open {
            file: file.display().to_string(),
            source,
        };
        Ok(bring_up(&mut dialect::connect(file, 4096).map_err(failed)?)?)
    }

    /// Writes a consistent copy to a new file, while others go on. Refuses to overwrite.
    pub fn backup(file: &Path, to: &Path) -> Result<(), OpenError> {
        let failed = |source| OpenError::Open {
            file: file.display().to_string(),
            source,
        };
        let mut conn = dialect::connect(file, 4096).map_err(failed)?;
        dialect::copy_to(&mut conn, to).map_err(|e| failed(Box::new(e)))
    }

    /// Reads a whole file for faults.
    ///
    /// # Errors
    /// It is no database, or a damaged one.
    pub fn check(file: &Path) -> Result<(), OpenError> {
        let failed = |source| OpenError::Open {
            file: file.display().to_string(),
            source,
        };
        let mut conn = dialect::connect(file, 4096).map_err(failed)?;
        match dialect::faults(&mut conn).map_err(|e| failed(Box::new(e)))?.as_slice() {
            [] => Ok(()),
            [first, ..] => Err(failed(first.clone().into())),
        }
    }

    /// This database's own identity: the label by which its containers are known.
    pub fn server_uuid(&self) -> &str {
        &self.server_uuid
    }

    /// How often the database was opened for serving.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Why nothing can be written, if that is so.
    pub fn trouble(&self) -> Option<String> {
        self.writer.trouble()
    }

    /// A connection for reading. Blocks while all are in use.
    pub fn reader(&self) -> Result<Reader> {
        self.readers
            .get()
            .map_err(|e| Error::internal("waiting for a database connection", e))
    }

    /// Runs a closure in a write transaction and answers once it is durable. An error rolls the closure back alone.
    pub async fn write<T, F>(&self, priority: Priority, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.write(priority, closure).await
    }

    /// Stops the writer after what it has taken on, and folds the log into the database file.
    pub fn close(&self) {
        self.writer.close();
    }
}

/// Makes the tables what this build expects, and moves rows to where it does.
fn bring_up(conn: &mut Conn) -> Result<SchemaState, MigrateError> {
    let state = migrate(conn)?;
    let moved = audit::move_old(conn).map_err(|e| MigrateError::Failed(Box::new(e)))?;
    if moved > 0 {
        log::info!("{moved} rows of the audit log were moved to a table of their own");
    }
    Ok(state)
}

fn begin_epoch(conn: &mut Conn) -> QueryResult<(String, i64)> {
    dialect::transaction(conn, |conn| {
        let found: Option<(String, i64)> = server::table
            .select((server::uuid, server::epoch))
            .first(conn)
            .optional()?;
        let uuid = match found {
            Some((uuid, _)) => uuid,
            None => {
                let uuid = crate::model::id::new_uuid().to_string();
                diesel::insert_into(server::table)
                    .values((server::uuid.eq(&uuid), server::epoch.eq(0)))
                    .execute(conn)?;
                uuid
            }
        };
        let epoch = found_epoch(conn)? + 1;
        diesel::update(server::table)
            .set(server::epoch.eq(epoch))
            .execute(conn)?;
        Ok((uuid, epoch))
    })
}

fn found_epoch(conn: &mut Conn) -> QueryResult<i64> {
    server::table.select(server::epoch).first(conn)
}

#[derive(Debug)]
struct ReadOnly {
    cache_kib: u32,
}

impl CustomizeConnection<Conn, diesel::r2d2::Error> for ReadOnly {
    fn on_acquire(&self, conn: &mut Conn) -> Result<(), diesel::r2d2::Error> {
        dialect::make_reader(conn, self.cache_kib).map_err(diesel::r2d2::Error::QueryError)
    }
}
