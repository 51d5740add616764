//! How PostgreSQL is set up, and the words that other databases spell differently; `sqlite/dialect.rs` has the same names.
//!
//! Texts of the tables compare byte by byte (`COLLATE "C"`), as they do in SQLite. JSON stays text: as `jsonb` it would lose the
//! order of its members, and with it where a row's fields begin in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::AstPass;
use diesel::r2d2::{ManageConnection, Pool, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error as DbError};
use diesel::sql_types::{Array, BigInt};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::body::{self, Bound, Nature, Statement};
pub(super) use super::line::Line;
use super::place::{self, Failed};
pub(super) use super::place::{Conn, Place};
#[cfg(test)]
pub(super) use super::scratch_tests::scratch;
use super::seat;
use crate::model::{Error, ErrorKind, Result};
use crate::store::Scalar;
use crate::store::tables::{number_given, server};
use crate::store::tx::AnyTx;
use crate::store::writer::unreachable;

/// What statements are written for.
pub(super) type Db = Pg;

/// How its tables came to be as they are.
pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Whether the database notes by itself what number a row of `resource`, `process_instance` or `change_event` was given.
pub(super) const NOTES_NUMBERS: bool = false;
/// Whether the last numbers are kept from one transaction to the next: asking for them takes a trip to the database.
pub(super) const KEEPS_NUMBERS: bool = true;
/// Whether a reader is looked at before it is used: the other end may be gone.
pub(super) const LOOKS_AT_READERS: bool = true;
/// How long a reader is waited for, in seconds.
pub(super) const PATIENCE_SECONDS: u64 = 5;

/// A transaction as those see it who do not know which database it is of.
pub(super) fn as_any(tx: &mut body::Tx) -> crate::store::Tx<'_> {
    crate::store::Tx(AnyTx::Postgres(tx))
}

/// Whether the database could not be reached the last time.
pub(super) type IsAway = Arc<AtomicBool>;

/// Makes the connections that read.
#[derive(Debug)]
pub(super) struct Manager {
    place: Place,
    is_away: Arc<AtomicBool>,
}

impl Manager {
    pub(super) fn new(place: &Place, _: u32) -> Self {
        Self {
            place: place.clone(),
            is_away: Arc::default(),
        }
    }

    /// Whether the last connection could not be made. The pool goes on trying; who asks need not wait for it.
    pub(super) fn is_away(&self) -> IsAway {
        self.is_away.clone()
    }
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> std::result::Result<Conn, Self::Error> {
        let made = self.place.connect_reader();
        self.is_away.store(made.is_err(), Ordering::Release);
        made.map_err(|e| {
            log::debug!("no connection to the database: {e}");
            diesel::r2d2::Error::ConnectionError(ConnectionError::BadConnection(e.to_string()))
        })
    }

    fn is_valid(&self, conn: &mut Conn) -> std::result::Result<(), Self::Error> {
        if place::is_broken(conn) {
            return Err(diesel::r2d2::Error::QueryError(DbError::BrokenTransactionManager));
        }
        Ok(())
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        place::is_broken(conn)
    }
}

/// Opens the database for writing.
pub(super) fn connect(place: &Place, _: u32) -> std::result::Result<Conn, Failed> {
    place.connect_writer()
}

/// From now on only what is short is done.
pub(super) fn limit(conn: &mut Conn) -> QueryResult<()> {
    place::limit(conn)
}

/// Runs `work` in a write transaction of its own. For what comes before the writer runs.
pub(super) fn transaction<T>(conn: &mut Conn, work: impl FnOnce(&mut Conn) -> QueryResult<T>) -> QueryResult<T> {
    conn.transaction(work)
}

/// Waits for what others are writing, and makes sure that whoever opened it may go on: of several servers only the one that leads.
pub(super) fn check_turn(place: &Place, conn: &mut Conn) -> QueryResult<()> {
    seat::check_turn(place, conn)
}

/// By what a database is known again: by what it says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity;

impl Identity {
    /// Notes what the database is, once its epoch is written.
    pub(super) fn note(_: &Place, _: &mut Conn, _: &str, _: i64) -> std::result::Result<Self, Failed> {
        Ok(Self)
    }

    /// Makes sure that the database says what it said then.
    pub(super) fn check(
        &self,
        place: &Place,
        readers: &Pool<Manager>,
        (server_uuid, epoch): (&str, i64),
    ) -> Result<()> {
        let unread = |source| Error::internal("looking at which database it is", source);
        let waiting = |error| Error::internal("waiting for a database connection", error);
        let mut conn = readers.get().map_err(waiting)?;
        let said: Vec<(String, i64)> = server::table
            .select((server::uuid, server::epoch))
            .load(&mut *conn)
            .map_err(unread)?;
        if said.iter().any(|(uuid, at)| uuid == server_uuid && *at == epoch) {
            return Ok(());
        }
        log::error!("the database {place} was taken over by another server, or replaced");
        Err(Error::new(ErrorKind::Unavailable).with_message("the database is gone"))
    }
}

/// A reader. Blocks while all are in use; while the database cannot be reached, whoever asks second hears so at once.
pub(super) fn reader(readers: &Pool<Manager>, is_away: &AtomicBool) -> Result<PooledConnection<Manager>> {
    if is_away.load(Ordering::Acquire) {
        return readers.try_get().ok_or_else(unreachable);
    }
    readers.get().map_err(|error| Error {
        cause: Error::internal("waiting for a database connection", error).cause,
        ..unreachable()
    })
}

/// Whether a failure, in words, is that nothing can be written at the moment.
pub(super) fn is_full(words: &str) -> bool {
    const KNOWN: [&str; 5] = [
        "No space left on device",
        "read-only transaction",
        "could not extend file",
        "disk full",
        "the database cannot be reached",
    ];
    KNOWN.iter().any(|known| words.contains(known))
}

/// Whether a failure is that the database cannot be reached, does not serve now, or serves another server: only the writer's fence
/// divides. What was begun with others that failed goes with them.
pub(super) fn is_away(error: &DbError) -> bool {
    match error {
        DbError::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _) => true,
        DbError::DatabaseError(_, about) => {
            const KNOWN: [&str; 8] = [
                "division by zero",
                "current transaction is aborted",
                "connection closed",
                "error communicating with the server",
                "terminating connection",
                "shutting down",
                "starting up",
                "idle-in-transaction",
            ];
            KNOWN.iter().any(|known| about.message().contains(known))
        }
        DbError::BrokenTransactionManager => true,
        _ => false,
    }
}

/// Whether a failure is that something is no text that can be compared: U+0000 is in none.
pub(super) fn is_no_text(error: &DbError) -> bool {
    matches!(error, DbError::DatabaseError(_, about) if about.message().contains("invalid byte sequence"))
}

/// A condition that no row meets.
pub(super) const NEVER: &str = "FALSE";
/// Regardless of case: what stands before the pattern, and behind it.
pub(super) const MATCHES: (&str, &str) = ("ILIKE", " ESCAPE '\\'");
/// The opposite of [`MATCHES`].
pub(super) const MATCHES_NOT: (&str, &str) = ("NOT ILIKE", " ESCAPE '\\'");

/// Live services that select others. An index is taken only for a statement that says the index's own condition: this is it.
pub(super) const SELECTS_SERVICES: &str =
    r#"root = 'service' AND removed_ms IS NULL AND strpos(fields, '"selectorLink":"') > 0"#;
/// The same for those that select containers.
pub(super) const SELECTS_CONTAINERS: &str =
    r#"root = 'service' AND removed_ms IS NULL AND strpos(fields, '"selectorContainer":"') > 0"#;

/// The last number that a table gave to a row, deleted ones included; zero if it never had one.
pub(super) fn last_number(conn: &mut Conn, table: &'static str) -> QueryResult<i64> {
    number_given::table
        .find(table)
        .select(number_given::last)
        .first(conn)
        .optional()
        .map(Option::unwrap_or_default)
}

/// The same for all tables that ever had a row.
pub(super) fn last_numbers(conn: &mut Conn) -> QueryResult<Vec<(String, i64)>> {
    number_given::table
        .select((number_given::name, number_given::last))
        .load(conn)
}

/// Notes the last numbers that tables gave: in one statement, however many there are.
pub(super) fn note_numbers(line: &mut Line, all: &[(&'static str, i64)]) -> QueryResult<()> {
    if all.is_empty() {
        return Ok(());
    }
    let rows = vec!["(?, ?)"; all.len()].join(", ");
    let text = format!(
        "UPDATE number_given SET last = new.last FROM (VALUES {rows}) AS new (name, last) WHERE number_given.name = new.name"
    );
    let values = all
        .iter()
        .flat_map(|(table, last)| [Bound::Text(table), Bound::Int(*last)]);
    line.put_text(Statement::new(text, values.collect()))
}

/// Goes on with these numbers, where all rows were written from elsewhere. Those of sessions are the database's own.
pub(super) fn set_numbers(conn: &mut Conn, numbers: &[(String, i64)]) -> QueryResult<()> {
    conn.transaction(|conn| {
        for (table, last) in numbers {
            diesel::update(number_given::table.find(table))
                .set(number_given::last.eq(last))
                .execute(conn)?;
        }
        diesel::sql_query("SELECT setval(pg_get_serial_sequence('session', 'id'), greatest(max(id), 1)) FROM session")
            .execute(conn)
            .map(drop)
    })
}

/// A row in one text: an array in JSON.
pub(super) fn json_line(columns: &str) -> String {
    format!("json_build_array({columns})::text")
}

/// Bytes in hexadecimal digits.
pub(super) fn as_hex(column: &str) -> String {
    format!("encode({column}, 'hex')")
}

/// The value of a field in the JSON of a column.
pub(super) fn json_field(column: &str, name: &str) -> String {
    format!("({column}::jsonb -> '{}')", name)
}

/// An expression and a value as they are compared with each other: numbers as numbers if both are, with truth values as 0 and 1,
/// and text otherwise.
pub(super) fn compared(expression: &str, nature: Nature, modifier: &str, value: &Scalar) -> (String, Scalar) {
    let is_pattern = matches!(modifier, "prefix" | "like" | "notlike");
    match (nature, value) {
        (Nature::Number, Scalar::Int(_)) if !is_pattern => (expression.to_owned(), value.clone()),
        (Nature::Json, Scalar::Int(_)) if !is_pattern => (json_number(expression), value.clone()),
        (nature, value) => {
            let expression = match nature {
                Nature::Number => format!("(({expression})::text COLLATE \"C\")"),
                Nature::Text => expression.to_owned(),
                Nature::Json => json_text(expression),
            };
            let text = match value {
                Scalar::Text(text) => text.clone(),
                Scalar::Int(number) => number.to_string(),
            };
            (expression, Scalar::Text(text))
        }
    }
}

fn json_number(field: &str) -> String {
    format!(
        "(CASE jsonb_typeof({field}) WHEN 'boolean' THEN CASE {field} WHEN 'true' THEN 1 ELSE 0 END WHEN 'number' THEN ({field})::numeric END)"
    )
}

/// A value of JSON as text; NULL where there is none.
pub(super) fn json_text(field: &str) -> String {
    format!("(({field} #>> '{{}}') COLLATE \"C\")")
}

/// What a value of JSON is sorted by, never NULL: nothing first, then numbers, then text. See [`json_key`].
pub(super) fn json_order(field: &str) -> String {
    format!(
        "(CASE jsonb_typeof({field}) WHEN 'number' THEN '0' || lpad((trunc(({field})::numeric) + {HALF})::text, 20, '0') \
         WHEN 'boolean' THEN CASE {field} WHEN 'true' THEN '2true' ELSE '1false' END \
         ELSE coalesce('3' || ({field} #>> '{{}}'), '') END COLLATE \"C\")"
    )
}

/// Added to a number, so that those below zero sort before the others.
const HALF: i128 = 10_i128.pow(18);

/// What [`json_order`] gives for a value.
pub(super) fn json_key(value: Option<&serde_json::Value>) -> serde_json::Value {
    let text = match value {
        None | Some(serde_json::Value::Null) => String::new(),
        Some(serde_json::Value::Bool(true)) => "2true".to_owned(),
        Some(serde_json::Value::Bool(false)) => "1false".to_owned(),
        Some(serde_json::Value::String(text)) => format!("3{text}"),
        Some(serde_json::Value::Number(number)) => {
            #[expect(clippy::cast_possible_truncation, reason = "as the database does it")]
            let whole = number
                .as_i64()
                .map_or_else(|| number.as_f64().unwrap_or_default() as i128, i128::from);
            format!("0{:020}", whole + HALF)
        }
        Some(other) => format!("3{other}"),
    };
    text.into()
}

/// `expression`, or `otherwise` where it is NULL.
pub(super) fn or_else(expression: &str, otherwise: &str) -> String {
    format!("coalesce({expression}, {otherwise})")
}

/// That a column is the text that goes where the `?` is, regardless of case.
pub(super) fn is_text_in_any_case(column: &str) -> String {
    format!("lower({column}) = lower(? COLLATE \"C\")")
}

/// That an expression is one of the texts in a list, and the list that goes where the `?` is.
pub(super) fn is_one_of(expression: &str, nature: Nature, texts: &[String]) -> (String, String) {
    let list = "ARRAY(SELECT jsonb_array_elements_text((?)::jsonb)";
    let text = match nature {
        Nature::Number => format!("{expression} = ANY ({list}::bigint))"),
        Nature::Text => format!("{expression} = ANY ({list}))"),
        Nature::Json => format!("{} = ANY ({list}))", json_text(expression)),
    };
    (text, serde_json::json!(texts).to_string())
}

/// Numbers that a column is compared with.
pub(super) type List = Vec<i64>;

pub(super) fn list(numbers: impl ExactSizeIterator<Item = i64>) -> List {
    numbers.collect()
}

/// That what stands before it is one of these.
pub(super) fn walk_list<'b>(list: &'b List, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
    out.push_sql(" = ANY (");
    out.push_bind_param::<Array<BigInt>, _>(list)?;
    out.push_sql(")");
    Ok(())
}
