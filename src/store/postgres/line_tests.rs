//! What becomes of a writer whose connection or whose right to write is taken from it.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;

use super::place::{Conn, Place};
use crate::model::time::SystemClock;
use crate::model::{ErrorKind, Fields, Result};
use crate::store::{Database, LayoutOf, Priority, Store, databases};

struct NoLayout;

impl LayoutOf for NoLayout {
    fn pack(&self, _: &str, _: &str, _: &Fields) -> Result<(String, String)> {
        Ok(("{}".to_owned(), String::new()))
    }

    fn sample(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// An open database, and a connection of somebody else to it; nothing where there is no PostgreSQL for tests.
fn opened() -> Option<(tempfile::TempDir, Store, Conn)> {
    let folder = tempfile::tempdir().unwrap();
    let config = databases::at(folder.path().join("drover.db"));
    let Database::Postgres(url) = &config.database else {
        return None;
    };
    let (clock, layout) = (Arc::new(SystemClock), Arc::new(NoLayout));
    let (store, _) = Store::open(&config, clock, layout, Box::new(|_| {}), None).unwrap();
    let other = Place::of(url).unwrap().connect().unwrap();
    Some((folder, store, other))
}

async fn write(store: &Store, value: &'static str) -> Result<()> {
    store
        .write(Priority::Request, move |tx| tx.set_setting("a.setting", value))
        .await
}

#[tokio::test]
async fn a_writer_whose_connection_was_cut_writes_on() {
    let Some((_folder, store, mut other)) = opened() else {
        return;
    };
    write(&store, "one").await.unwrap();
    other
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted \
             AND classid::bigint = hashtext('drover server')::bigint & 4294967295 \
             AND objid::bigint = hashtext(current_schema())::bigint & 4294967295",
        )
        .unwrap();
    // The first may still meet the connection that is gone: then it says so.
    let began = Instant::now();
    while let Err(error) = write(&store, "two").await {
        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", error.chain());
        assert!(began.elapsed() < Duration::from_secs(20), "it stays away");
    }
    assert_eq!(store.setting("a.setting").unwrap().as_deref(), Some("two"));
    assert!(store.check_same().is_ok());
}

#[tokio::test]
async fn a_server_that_was_taken_over_from_writes_nothing_and_knows_it() {
    let Some((_folder, store, mut other)) = opened() else {
        return;
    };
    write(&store, "one").await.unwrap();
    other.batch_execute("UPDATE server SET epoch = epoch + 1").unwrap();
    let refused = write(&store, "two").await.map_err(|error| error.kind);
    assert_eq!(refused, Err(ErrorKind::Unavailable));
    assert_eq!(store.setting("a.setting").unwrap().as_deref(), Some("one"));
    assert_eq!(store.check_same().map_err(|e| e.kind), Err(ErrorKind::Unavailable));
}
