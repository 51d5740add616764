//! The writer's connection: what is written waits, and is sent in one piece before something is asked, and with the commit.
//!
//! A round trip to the database is paid for each question, not for each row. What a closure does is a part of the transaction;
//! as long as nothing of it was sent, taking it back is forgetting it.

use std::ops::Deref as _;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DbError};
use diesel_async::{AsyncConnectionCore as _, AsyncPgConnection};

use super::body::{Fixed, Statement};
use super::dialect::{Conn, Place};
use super::place::{self, Failed};
use super::waiting::{Value, Waiting, gather};
use crate::store::known::Known;

const BEGIN: &str = "BEGIN";
/// What is read after it is still so when it is written: all writers wait for each other here.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('drover'), hashtext(current_schema()))";
/// A server that was taken over from finds no row of its own, and divides by zero.
const FENCE: &str = "SELECT 1 / count(*) FROM server WHERE uuid = ? AND epoch = ?";
const NOTE_COMMIT: &str = "UPDATE last_commit SET id = ?";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
const BEGIN_PART: &str = "SAVEPOINT job";
const END_PART: &str = "RELEASE SAVEPOINT job";
const TAKE_BACK_PART: &str = "ROLLBACK TO SAVEPOINT job";

/// The connection that writes.
pub(super) struct Line {
    conn: Conn,
    place: Place,
    server: (String, i64),
    waiting: Vec<Waiting>,
    /// Whether a part was begun that has not ended.
    is_in_part: bool,
    /// Where it begins in what waits; none once it was sent.
    part: Option<usize>,
    /// What went wrong with what was sent of the part that is open, first of all: it goes with the part.
    failed: Option<DbError>,
    /// What went wrong with anything else: whoever was told that it is kept has to be told otherwise, so the whole transaction goes.
    lost: Option<DbError>,
    /// The commit that is being made, and is noted in the database with it.
    commit: i64,
}

/// A commit's number says which start of the server made it.
const COMMITS_OF_A_START: u32 = 40;

impl Line {
    pub(super) fn new(conn: Conn, place: &Place, (server_uuid, epoch): (&str, i64)) -> Self {
        Self {
            conn,
            place: place.clone(),
            server: (server_uuid.to_owned(), epoch),
            waiting: Vec::new(),
            is_in_part: false,
            part: None,
            failed: None,
            lost: None,
            commit: epoch << COMMITS_OF_A_START,
        }
    }

    /// Begins a transaction. Nothing is sent yet.
    pub(super) fn begin(&mut self) -> QueryResult<()> {
        if place::is_broken(&mut self.conn)
            && let Err(error) = self.connect_again()
        {
            log::debug!("the database cannot be reached: {error}");
        }
        self.begin_moving()?;
        self.wait(LOCK, Vec::new());
        let (uuid, epoch) = self.server.clone();
        self.wait(FENCE, vec![Value::Text(uuid), Value::Int(epoch)]);
        Ok(())
    }

    /// Begins a transaction of a database that is no server's yet.
    #[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
    pub(super) fn begin_moving(&mut self) -> QueryResult<()> {
        self.waiting.clear();
        (self.is_in_part, self.part) = (false, None);
        (self.failed, self.lost) = (None, None);
        self.commit += 1;
        self.wait(BEGIN, Vec::new());
        Ok(())
    }

    /// Begins the part of a transaction that one closure has to itself. The database hears of it only if it is asked something in it.
    #[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
    pub(super) fn begin_part(&mut self) -> QueryResult<()> {
        self.is_in_part = true;
        self.part = Some(self.waiting.len());
        Ok(())
    }

    /// Ends a part and keeps what it did. What fails of it from now on takes the whole transaction with it.
    #[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
    pub(super) fn keep_part(&mut self) -> QueryResult<()> {
        self.is_in_part = false;
        if let Some(error) = self.failed.take() {
            self.lost.get_or_insert(error);
        }
        match self.part.take() {
            Some(began) => gather(&mut self.waiting, began),
            None => self.wait(END_PART, Vec::new()),
        }
        Ok(())
    }

    /// Ends a part and takes back what it did.
    pub(super) fn take_back_part(&mut self) -> QueryResult<()> {
        self.is_in_part = false;
        match self.part.take() {
            Some(began) => self.waiting.truncate(began),
            // To go back to a part would let the transaction live on without what failed before it.
            None if self.lost.is_some() => self.waiting.clear(),
            None => {
                self.waiting.clear();
                self.failed = None;
                self.wait(TAKE_BACK_PART, Vec::new());
                self.wait(END_PART, Vec::new());
                self.send();
            }
        }
        Ok(())
    }

    /// Ends the transaction; what it did is durable.
    pub(super) fn commit(&mut self) -> QueryResult<()> {
        if let Some(error) = self.lost.take() {
            return Err(error);
        }
        // What is not sent is not done: there is nothing to be looked up.
        if place::is_broken(&mut self.conn) {
            return Err(away("it cannot be reached"));
        }
        self.wait(NOTE_COMMIT, vec![Value::Int(self.commit)]);
        self.wait(COMMIT, Vec::new());
        self.send();
        match self.lost.take() {
            None => Ok(()),
            // Whether the commit came to be is not known.
            Some(_) if place::is_broken(&mut self.conn) => self.look_up_commit(),
            Some(error) => Err(error),
        }
    }

    /// Ends the transaction and takes back what it did.
    pub(super) fn roll_back(&mut self) {
        self.waiting.clear();
        self.wait(ROLLBACK, Vec::new());
        self.send();
    }

    /// For what asks and needs the answer: what waits is sent before.
    pub(super) fn conn(&mut self) -> &mut Conn {
        self.send();
        &mut self.conn
    }

    /// Writes something of which nobody needs to know how many rows it met.
    #[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
    pub(super) fn put<T: Known, const N: usize>(&mut self, statement: Fixed<'_, T, N>) -> QueryResult<()> {
        let values = statement.values.iter().map(Value::from).collect();
        self.wait(T::text(), values);
        Ok(())
    }

    /// The same for a text that is put together.
    #[expect(clippy::unnecessary_wraps, reason = "that of another database can fail here")]
    pub(super) fn put_text(&mut self, statement: Statement<'_>) -> QueryResult<()> {
        let values = statement.values.iter().map(Value::from).collect();
        self.waiting.push(Waiting::new(statement.text.into_owned(), values));
        Ok(())
    }

    /// After the last transaction.
    pub(super) fn end(&mut self) {}

    fn wait(&mut self, text: &'static str, values: Vec<Value>) {
        self.waiting.push(Waiting::new(text, values));
    }

    /// Sends what waits, one behind the other without waiting for answers in between.
    fn send(&mut self) {
        let began = self.part.take();
        let open = began.map(|began| self.waiting.split_off(began));
        let mut waiting: Vec<Waiting> = self.waiting.drain(..).flat_map(Waiting::statements).collect();
        // All of it belongs to a part that was sent before, if there is no other.
        let part = open.as_ref().map_or(0, |_| waiting.len());
        if let Some(open) = open {
            waiting.push(Waiting::new(BEGIN_PART, Vec::new()));
            waiting.extend(open);
        }
        if waiting.is_empty() {
            return;
        }
        let conn: &AsyncPgConnection = self.conn.deref();
        let answers = place::wait_for(async {
            // Each is begun by the first look at it, in this order, and is behind the others in whatever they wait for.
            let sent = waiting
                .into_iter()
                .map(|statement| (&mut &*conn).execute_returning_count(statement));
            futures_util::future::join_all(sent).await
        });
        let first = answers.into_iter().enumerate();
        let first = first.filter_map(|(at, answer)| Some((at, answer.err()?))).next();
        match first {
            Some((at, error)) if self.is_in_part && at >= part => drop(self.failed.get_or_insert(error)),
            Some((_, error)) => drop(self.lost.get_or_insert(error)),
            None => {}
        }
    }

    fn connect_again(&mut self) -> Result<(), Failed> {
        self.conn = self.place.connect_writer()?;
        place::limit(&mut self.conn)?;
        log::info!("the database is reached again");
        Ok(())
    }

    /// After a commit that got no answer: whether it came to be.
    fn look_up_commit(&mut self) -> QueryResult<()> {
        // As long as a client waits for an answer, and the database may be starting.
        let patience = std::time::Duration::from_secs(20);
        let began = std::time::Instant::now();
        loop {
            match self.connect_again() {
                Ok(()) => break,
                Err(error) if began.elapsed() > patience => return Err(away(&error.to_string())),
                Err(_) => std::thread::park_timeout(std::time::Duration::from_millis(100)),
            }
        }
        // Under the lock, so that a commit that is still being made is waited for.
        let found: Result<Vec<i64>, _> = self.conn.transaction(|conn| {
            diesel::sql_query(LOCK).execute(conn)?;
            crate::store::tables::last_commit::table
                .select(crate::store::tables::last_commit::id)
                .load(conn)
        });
        match found?.first() {
            Some(last) if *last == self.commit => Ok(()),
            _ => Err(DbError::RollbackTransaction),
        }
    }
}

/// That the database is away.
fn away(why: &str) -> DbError {
    DbError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(why.to_owned()))
}
