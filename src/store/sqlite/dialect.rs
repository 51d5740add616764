//! How SQLite is opened and set up, and the words that other databases spell differently.
//!
//! The body names what it means and takes the words from here; `postgres/dialect.rs` has the same names. Each text is a
//! constant or comes from a small set of texts, as statements are kept prepared by their text.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::query_builder::AstPass;
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use diesel::r2d2::{ConnectionManager, ManageConnection, Pool, PooledConnection};

use super::body::{self, Bound, Nature, fixed};
pub(super) use super::identity::Identity;
pub(super) use super::line::Line;
#[cfg(test)]
pub(super) use super::scratch_tests::scratch;
use crate::model::Error;
use crate::store::Scalar;
use crate::store::known::known;
use crate::store::trouble::Trouble;
use crate::store::tx::AnyTx;

/// A connection to the database.
pub(super) type Conn = SqliteConnection;
/// What statements are written for.
pub(super) type Db = Sqlite;

/// How its tables came to be as they are.
pub(super) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// Whether the database notes by itself what number a row of `resource`, `process_instance` or `change_event` was given.
pub(super) const NOTES_NUMBERS: bool = true;
/// Whether the last numbers are kept from one transaction to the next: asking for them takes a trip to the database.
pub(super) const KEEPS_NUMBERS: bool = false;
/// Whether a reader is looked at before it is used: the other end may be gone.
pub(super) const LOOKS_AT_READERS: bool = false;
/// How long a reader is waited for, in seconds.
pub(super) const PATIENCE_SECONDS: u64 = 30;

/// A reader. Blocks while all are in use.
pub(super) fn reader(readers: &Pool<Manager>, _: &IsAway) -> Result<PooledConnection<Manager>, Error> {
    readers
        .get()
        .map_err(|e| Error::internal("waiting for a database connection", e))
}

/// Whether a failure is that the database cannot be reached: a file always can.
pub(super) fn is_away(_: &diesel::result::Error) -> bool {
    false
}

/// Whether a failure is that something is no text that can be compared: here everything can.
pub(super) fn is_no_text(_: &diesel::result::Error) -> bool {
    false
}

/// The file of a database.
#[derive(Debug, Clone)]
pub(in crate::store) struct Place(PathBuf);

impl Place {
    pub(in crate::store) fn of(file: &Path) -> Self {
        Self(file.to_owned())
    }

    pub(super) fn file(&self) -> &Path {
        &self.0
    }

    /// What keeps it from being written, to begin with.
    pub(super) fn trouble(&self) -> Trouble {
        Trouble::of(&self.0)
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

/// A transaction as those see it who do not know which database it is of.
pub(super) fn as_any(tx: &mut body::Tx) -> crate::store::Tx<'_> {
    crate::store::Tx(AnyTx::Sqlite(tx))
}

/// Whether the database could not be reached the last time: a file always can.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsAway;

/// Makes the connections that read.
#[derive(Debug)]
pub(super) struct Manager {
    connections: ConnectionManager<Conn>,
    cache_kib: u32,
}

impl Manager {
    pub(super) fn new(place: &Place, cache_kib: u32) -> Self {
        Self {
            connections: ConnectionManager::new(place.to_string()),
            cache_kib,
        }
    }

    /// A file is never away.
    #[expect(clippy::unused_self, reason = "that of another database knows")]
    pub(super) fn is_away(&self) -> IsAway {
        IsAway
    }
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Conn, Self::Error> {
        let mut conn = self.connections.connect()?;
        make_reader(&mut conn, self.cache_kib).map_err(diesel::r2d2::Error::QueryError)?;
        Ok(conn)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), Self::Error> {
        self.connections.is_valid(conn)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        self.connections.has_broken(conn)
    }
}

/// A condition that no row meets.
pub(super) const NEVER: &str = "0";
/// Regardless of case: what stands before the pattern, and behind it.
pub(super) const MATCHES: (&str, &str) = ("LIKE", " ESCAPE '\\'");
/// The opposite of [`MATCHES`].
pub(super) const MATCHES_NOT: (&str, &str) = ("NOT LIKE", " ESCAPE '\\'");

/// Live services that select others. An index is taken only for a statement that says the index's own condition: this is it, to
/// the letter.
pub(super) const SELECTS_SERVICES: &str =
    r#"root = 'service' AND removed_ms IS NULL AND instr(fields, '"selectorLink":"') > 0"#;
/// The same for those that select containers.
pub(super) const SELECTS_CONTAINERS: &str =
    r#"root = 'service' AND removed_ms IS NULL AND instr(fields, '"selectorContainer":"') > 0"#;

/// What every connection is told first; `cache_kib` is its page cache.
fn settings(cache_kib: u32) -> String {
    // The writer folds the log into the file by itself, at 16 MiB: a page that changes often is then copied once for
    // many changes. A start after a crash reads that much at most.
    format!(
        "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{cache_kib}; PRAGMA wal_autocheckpoint = 4000;"
    )
}

/// Opens the database for writing, and makes it if there is none.
pub(super) fn connect(place: &Place, cache_kib: u32) -> Result<Conn, Box<dyn std::error::Error + Send + Sync>> {
    let mut conn = Conn::establish(&place.to_string())?;
    conn.batch_execute(&settings(cache_kib))?;
    Ok(conn)
}

/// Makes a connection one that can only read.
fn make_reader(conn: &mut Conn, cache_kib: u32) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = 10000; PRAGMA query_only = ON; PRAGMA cache_size = -{cache_kib}; PRAGMA mmap_size = 1073741824;"
    ))
}

/// From now on only what is short is done.
#[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
pub(super) fn limit(_: &mut Conn) -> QueryResult<()> {
    Ok(())
}

/// Whether whoever opened it may go on: a file is one server's.
#[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
pub(super) fn check_turn(_: &Place, _: &mut Conn) -> QueryResult<()> {
    Ok(())
}

/// Runs `work` in a write transaction of its own. For what comes before the writer runs.
pub(super) fn transaction<T>(conn: &mut Conn, work: impl FnOnce(&mut Conn) -> QueryResult<T>) -> QueryResult<T> {
    conn.immediate_transaction(work)
}

/// Folds the log of the last commits into the database file.
pub(super) fn fold_log(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// The same as far as it goes without waiting for readers.
pub(super) fn fold_log_now(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")
}

/// Opens the database file for reading what is in it, whatever the log and other connections say of it.
pub(super) fn connect_to_file_alone(file: &Path) -> ConnectionResult<Conn> {
    let mut address = String::from("file:");
    for byte in file.display().to_string().bytes() {
        match byte {
            b'%' | b'?' | b'#' => address.push_str(&format!("%{byte:02x}")),
            _ if byte.is_ascii() => address.push(char::from(byte)),
            _ => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.push_str("?mode=ro&immutable=1");
    Conn::establish(&address)
}

/// Writes a consistent copy to a new file, while others go on.
pub(super) fn copy_to(conn: &mut Conn, file: &Path) -> QueryResult<()> {
    diesel::sql_query("VACUUM INTO ?")
        .bind::<Text, _>(file.display().to_string())
        .execute(conn)
        .map(|_| ())
}

/// Whether a failure, in words, is that there is no room to write, or that the disk refuses to.
pub(super) fn is_full(words: &str) -> bool {
    ["database or disk is full", "disk I/O error", "readonly database"]
        .iter()
        .any(|known| words.contains(known))
}

#[derive(QueryableByName)]
struct Fault {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

/// What is wrong with a database file, in SQLite's own words.
pub(super) fn faults(conn: &mut Conn) -> QueryResult<Vec<String>> {
    let said: Vec<Fault> = diesel::sql_query("PRAGMA integrity_check").load(conn)?;
    let faults = said.into_iter().map(|fault| fault.integrity_check);
    Ok(faults.filter(|text| text != "ok").collect())
}

diesel::table! {
    sqlite_sequence (name) {
        name -> Text,
        seq -> BigInt,
    }
}

/// The last number that a table gave to a row, deleted ones included; zero if it never had one.
pub(super) fn last_number(conn: &mut Conn, table: &'static str) -> QueryResult<i64> {
    let found = last_numbers(conn)?;
    let of_table = found.iter().find(|(name, _)| name == table);
    Ok(of_table.map_or(0, |(_, last)| *last))
}

/// The same for all tables that ever had a row.
pub(super) fn last_numbers(conn: &mut Conn) -> QueryResult<Vec<(String, i64)>> {
    sqlite_sequence::table
        .select((sqlite_sequence::name, sqlite_sequence::seq))
        .load(conn)
}

/// Notes the last numbers of tables' sequences, where their rows are kept elsewhere. The tables have given numbers before.
pub(super) fn note_numbers(line: &mut Line, all: &[(&'static str, i64)]) -> QueryResult<()> {
    known!(Note = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?");
    for (table, last) in all {
        if fixed(Note, [Bound::Int(*last), Bound::Text(table)]).execute(line.conn())? == 0 {
            return Err(diesel::result::Error::NotFound);
        }
    }
    Ok(())
}

/// Goes on with these numbers, where all rows were written from elsewhere.
pub(super) fn set_numbers(conn: &mut Conn, numbers: &[(String, i64)]) -> QueryResult<()> {
    transaction(conn, |conn| {
        for (table, last) in numbers {
            let row = (sqlite_sequence::name.eq(table), sqlite_sequence::seq.eq(last));
            diesel::delete(sqlite_sequence::table.filter(sqlite_sequence::name.eq(table))).execute(conn)?;
            diesel::insert_into(sqlite_sequence::table).values(row).execute(conn)?;
        }
        Ok(())
    })
}

/// A row in one text: an array in JSON.
pub(super) fn json_line(columns: &str) -> String {
    format!("json_array({columns})")
}

/// Bytes in hexadecimal digits.
pub(super) fn as_hex(column: &str) -> String {
    format!("hex({column})")
}

/// The value of a field in the JSON of a column.
pub(super) fn json_field(column: &str, name: &str) -> String {
    format!("json_extract({column},'$.{name}')")
}

/// An expression and a value as they are compared with each other, whatever they are.
pub(super) fn compared(expression: &str, _: Nature, _: &str, value: &Scalar) -> (String, Scalar) {
    (expression.to_owned(), value.clone())
}

/// A value of JSON as text; NULL where there is none.
pub(super) fn json_text(field: &str) -> String {
    field.to_owned()
}

/// What a value of JSON is sorted by, never NULL: nothing first of all text. See [`json_key`].
pub(super) fn json_order(field: &str) -> String {
    or_else(field, "''")
}

/// What [`json_order`] gives for a value.
pub(super) fn json_key(value: Option<&serde_json::Value>) -> serde_json::Value {
    match value {
        None | Some(serde_json::Value::Null) => "".into(),
        Some(serde_json::Value::Bool(truth)) => i64::from(*truth).into(),
        Some(other) => other.clone(),
    }
}

/// `expression`, or `otherwise` where it is NULL.
pub(super) fn or_else(expression: &str, otherwise: &str) -> String {
    format!("ifnull({expression}, {otherwise})")
}

/// That a column is the text that goes where the `?` is, regardless of case.
pub(super) fn is_text_in_any_case(column: &str) -> String {
    format!("{column} = ? COLLATE NOCASE")
}

/// That an expression is one of the texts in a list, and the list that goes where the `?` is.
pub(super) fn is_one_of(expression: &str, _: Nature, texts: &[String]) -> (String, String) {
    (
        format!("{expression} IN (SELECT value FROM json_each(?))"),
        serde_json::json!(texts).to_string(),
    )
}

/// Numbers that a column is compared with, as an array in JSON.
pub(super) type List = String;

pub(super) fn list(numbers: impl ExactSizeIterator<Item = i64>) -> List {
    let mut list = String::with_capacity(numbers.len() * 8 + 2);
    list.push('[');
    for (at, number) in numbers.enumerate() {
        if at > 0 {
            list.push(',');
        }
        list.push_str(&number.to_string());
    }
    list.push(']');
    list
}

/// That what stands before it is one of these.
pub(super) fn walk_list<'b>(list: &'b List, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
    out.push_sql(" IN (SELECT value FROM json_each(");
    out.push_bind_param::<Text, _>(list)?;
    out.push_sql("))");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn the_last_number_outlives_its_row() {
        let mut conn = Conn::establish(":memory:").unwrap();
        conn.batch_execute("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)")
            .unwrap();
        assert_eq!(last_number(&mut conn, "t"), Ok(0));
        conn.batch_execute("INSERT INTO t VALUES (7); DELETE FROM t").unwrap();
        assert_eq!(last_number(&mut conn, "t"), Ok(7));
        let mut line = Line::new(conn, &Place::of(Path::new(":memory:")), ("", 0));
        assert_eq!(note_numbers(&mut line, &[("t", 8)]), Ok(()));
        let conn = line.conn();
        conn.batch_execute("INSERT INTO t DEFAULT VALUES").unwrap();
        assert_eq!(last_number(conn, "t"), Ok(9));
    }
}
