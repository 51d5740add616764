//! Opening a database: its readers, its writer, and which start of which server this is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use diesel::prelude::*;
use diesel::r2d2::{NopErrorHandler, Pool, PooledConnection};

use super::bodies::Unpacker;
use super::commits::Commits;
use super::dialect::{self, Conn, Identity, Line, Manager, Place};
use super::migrate::migrate;
use super::{LayoutOf, MigrateError, Priority, SchemaState, Wake, WriteFault, audit};
use crate::model::{Clock, Result};
use crate::store::cache::Cache;
use crate::store::started::{ProcessNote, Started};
use crate::store::tables::server;
use crate::store::writer::Writer;
use crate::store::{AfterCommit, OpenError, StoreConfig};

/// A connection that can only read.
pub(super) type Reader = PooledConnection<Manager>;

/// A database that is open.
#[derive(Clone)]
pub(in crate::store) struct Store {
    readers: Pool<Manager>,
    is_away: dialect::IsAway,
    writer: Arc<Writer>,
    place: Place,
    identity: Identity,
    pub(super) unpacker: Arc<Unpacker>,
    pub(super) cache: Arc<Cache>,
    pub(super) started: Arc<Started>,
    /// The newest event whose rows are taken over by the cache: before that nobody is told of it.
    pub(super) told: Arc<AtomicI64>,
    server_uuid: String,
    epoch: i64,
}

impl Store {
    pub fn open(
        place: &Place,
        config: &StoreConfig,
        clock: Arc<dyn Clock>,
        layout: Arc<dyn LayoutOf>,
        after_commit: AfterCommit,
        fault: Option<WriteFault>,
    ) -> Result<(Self, SchemaState), OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::open(place, source);
        let mut conn = dialect::connect(place, config.cache_kib).map_err(failed)?;
        let state = bring_up(&mut conn)?;
        dialect::limit(&mut conn).map_err(|e| failed(Box::new(e)))?;
        let (server_uuid, epoch) = begin_epoch(place, &mut conn).map_err(|e| failed(Box::new(e)))?;
        let newest = dialect::last_number(&mut conn, "change_event").map_err(|e| failed(Box::new(e)))?;
        let told = Arc::new(AtomicI64::new(newest));
        let identity = Identity::note(place, &mut conn, &server_uuid, epoch).map_err(failed)?;
        let manager = Manager::new(place, config.cache_kib);
        let is_away = manager.is_away();
        let readers = Pool::builder()
            .max_size(config.readers)
            // A start waits for the one that it needs, not for one more.
            .min_idle(Some(0))
            .test_on_check_out(dialect::LOOKS_AT_READERS)
            // What is wrong is told to whoever asks.
            .error_handler(Box::new(NopErrorHandler))
            .connection_timeout(Duration::from_secs(dialect::PATIENCE_SECONDS))
            .build(manager)
            .map_err(|e| failed(Box::new(e)))?;
        let cache = Arc::new(Cache::default());
        let started = Arc::new(Started::default());
        let (changed, asked, telling) = (cache.clone(), started.clone(), told.clone());
        // First of all, so that whoever is woken by a commit reads what it wrote.
        let after_commit = Box::new(
            move |written, processes: Vec<ProcessNote>, newest: Option<i64>, wakes: Vec<Wake>| {
                changed.take_over(written);
                asked.take_over(processes);
                if let Some(newest) = newest {
                    telling.store(newest, Ordering::Release);
                }
                if !wakes.is_empty() {
                    after_commit(wakes);
                }
            },
        );
        let line = Line::new(conn, place, (&server_uuid, epoch));
        let commits = Commits::new(line, clock, layout, after_commit, (server_uuid.clone(), epoch), fault);
        let writer = Writer::start(place.trouble(), move |jobs| commits.run(&jobs));
        Ok((
            Self {
                readers,
                is_away,
                writer: Arc::new(writer),
                place: place.clone(),
                identity,
                unpacker: Arc::default(),
                cache,
                started,
                told,
                server_uuid,
                epoch,
            },
            state,
        ))
    }

    /// Only migrates.
    pub fn migrate(place: &Place) -> Result<SchemaState, OpenError> {
        let failed = |source| OpenError::open(place, source);
        Ok(bring_up(&mut dialect::connect(place, 4096).map_err(failed)?)?)
    }

    pub fn server_uuid(&self) -> &str {
        &self.server_uuid
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    pub fn trouble(&self) -> Option<String> {
        self.writer.trouble()
    }

    pub fn check_same(&self) -> Result<()> {
        self.identity
            .check(&self.place, &self.readers, (&self.server_uuid, self.epoch))
    }

    /// A connection for reading. Blocks while all are in use.
    pub(super) fn reader(&self) -> Result<Reader> {
        dialect::reader(&self.readers, &self.is_away)
    }

    pub async fn write<T, F>(&self, priority: Priority, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut crate::store::Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.write(priority, closure).await
    }

    pub fn close(&self) {
        self.writer.close();
    }
}

/// Makes the tables what this build expects, and moves rows to where it does.
pub(in crate::store) fn bring_up(conn: &mut Conn) -> Result<SchemaState, MigrateError> {
    let state = migrate(conn)?;
    let moved = audit::move_old(conn).map_err(|e| MigrateError::Failed(Box::new(e)))?;
    if moved > 0 {
        log::info!("{moved} rows of the audit log were moved to a table of their own");
    }
    Ok(state)
}

fn begin_epoch(place: &Place, conn: &mut Conn) -> QueryResult<(String, i64)> {
    dialect::transaction(conn, |conn| {
        dialect::check_turn(place, conn)?;
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
