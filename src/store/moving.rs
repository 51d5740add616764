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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::model::time::SystemClock;
    use crate::model::{Fields, ResourceId, Result, State, Timestamp};
    use crate::store::{AuditEntry, LayoutOf, NewProcess, NewResource, Priority, Store, StoreConfig, databases};

    struct Plain;

    impl LayoutOf for Plain {
        fn pack(&self, _: &str, _: &str, fields: &Fields) -> Result<(String, String)> {
            Ok((serde_json::to_string(&fields.0).unwrap(), String::new()))
        }

        fn sample(&self) -> Vec<u8> {
            b"a sample of what rows are alike in".to_vec()
        }
    }

    fn open(config: &StoreConfig) -> Store {
        let (clock, layout) = (Arc::new(SystemClock), Arc::new(Plain));
        Store::open(config, clock, layout, Box::new(|_| {}), None).unwrap().0
    }

    /// A stack with a reference, a process, a record, a session and a setting; and one that is deleted again.
    async fn fill(store: &Store, digest: &'static str) {
        let write = store.write(Priority::Request, move |tx| {
            let mut fields = Fields::default();
            fields.set("description", &"ünïcode \"quoted\" \\u0000")?;
            let stack = tx.insert(NewResource {
                root: "stack".into(),
                kind: "stack".into(),
                name: "it's".into(),
                state: State::ACTIVE,
                fields,
                refs: vec![("serviceId".into(), ResourceId(5))],
                ..NewResource::default()
            })?;
            tx.start_first_process(&NewProcess {
                resource: &stack,
                process: "stack.create",
                data: "{}",
            })?;
            let body = r#"{"name":"it's"}"#.repeat(9);
            tx.record(&AuditEntry {
                account: ResourceId(5),
                auth_type: "",
                user: "",
                identity: "",
                client_ip: "",
                event_type: "api.stack.create",
                resource_type: "stack",
                resource_id: Some("1st1000"),
                response_code: 201,
                runtime_ms: 3,
                request: Some(&body),
                response: None,
            })?;
            tx.insert_session(digest, ResourceId(5), Timestamp(i64::MAX))?;
            tx.set_setting("a.setting", "its value")?;
            Ok(stack)
        });
        write.await.unwrap();
    }

    fn at(folder: &Path, name: &str) -> StoreConfig {
        databases::at(folder.join(name))
    }

    #[tokio::test]
    async fn all_that_is_in_a_database_is_in_the_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let (first, last) = (at(folder.path(), "first"), at(folder.path(), "last"));
        let between = StoreConfig::new(folder.path().join("between.db"));
        let store = open(&first);
        fill(&store, "one").await;
        let was = (
            store.all("stack", None).unwrap(),
            store.find(ResourceId(1001)).unwrap(),
            store.newest_event(),
            store.open_processes().unwrap(),
        );
        let uuid = store.server_uuid().to_owned();
        store.close();
        drop(store);
        for (from, to) in [(&first, &between), (&between, &last), (&between, &last)] {
            let counts = move_database(&from.database, &to.database).unwrap();
            for table in [
                "resource",
                "process_instance",
                "session",
                "audit",
                "audit_sample",
                "setting",
                "resource_ref",
            ] {
                assert!(counts.contains(&(table, 1)), "{table}: {counts:?}");
            }
        }
        let store = open(&last);
        let is = (
            store.all("stack", None).unwrap(),
            store.find(ResourceId(1001)).unwrap(),
            store.newest_event(),
            store.open_processes().unwrap(),
        );
        assert_eq!(was, is);
        assert_eq!((store.server_uuid(), store.epoch()), (&*uuid, 2));
        // What is made then has numbers of its own.
        fill(&store, "another").await;
        let ids: Vec<i64> = store.all("stack", None).unwrap().iter().map(|row| row.id.0).collect();
        assert_eq!(ids, [1000, 1002]);
    }

    #[tokio::test]
    async fn what_holds_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (at(folder.path(), "from"), at(folder.path(), "to"));
        let empty = move_database(&from.database, &to.database).unwrap_err();
        assert!(matches!(empty, MoveError::Empty(_)), "{empty}");
        for config in [&from, &to] {
            let store = open(config);
            fill(&store, "one").await;
            store.close();
        }
        let taken = move_database(&from.database, &to.database).unwrap_err();
        assert!(matches!(taken, MoveError::Taken(_)), "{taken}");
        assert_eq!(open(&to).all("stack", None).unwrap().len(), 1);
    }
}
