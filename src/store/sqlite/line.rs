//! The writer's connection.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

use super::body::{Fixed, Statement, fixed};
use super::dialect::{self, Conn, Place};
use crate::store::known::{Known, known};

known!(
    /// Begins a write transaction. At once, so that what it reads is still so when it writes.
    Begin = "BEGIN IMMEDIATE"
);
known!(
    /// Ends one and keeps what it did.
    Commit = "COMMIT"
);
known!(
    /// Begins the part of a transaction that one closure has to itself.
    BeginPart = "SAVEPOINT job"
);
known!(
    /// Takes back what this part did.
    TakeBackPart = "ROLLBACK TO job"
);
known!(
    /// Ends this part.
    EndPart = "RELEASE job"
);

/// The connection that writes.
pub(super) struct Line(Conn);

impl Line {
    pub(super) fn new(conn: Conn, _: &Place, _: (&str, i64)) -> Self {
        Self(conn)
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) -> QueryResult<()> {
        self.run(Begin)
    }

    /// Begins a transaction of a database that is no server's yet.
    pub(super) fn begin_moving(&mut self) -> QueryResult<()> {
        self.run(Begin)
    }

    /// Begins the part of a transaction that one closure has to itself.
    pub(super) fn begin_part(&mut self) -> QueryResult<()> {
        self.run(BeginPart)
    }

    /// Ends a part and keeps what it did.
    pub(super) fn keep_part(&mut self) -> QueryResult<()> {
        self.run(EndPart)
    }

    /// Ends a part and takes back what it did.
    pub(super) fn take_back_part(&mut self) -> QueryResult<()> {
        self.run(TakeBackPart)?;
        self.run(EndPart)
    }

    /// Ends the transaction; what it did is durable.
    pub(super) fn commit(&mut self) -> QueryResult<()> {
        self.run(Commit)
    }

    /// Ends the transaction and takes back what it did.
    pub(super) fn roll_back(&mut self) {
        let _ = self.0.batch_execute("ROLLBACK");
    }

    /// For what asks and needs the answer.
    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.0
    }

    /// Writes something of which nobody needs to know how many rows it met.
    pub(super) fn put<T: Known, const N: usize>(&mut self, statement: Fixed<'_, T, N>) -> QueryResult<()> {
        statement.execute(&mut self.0).map(drop)
    }

    /// The same for a text that is put together.
    pub(super) fn put_text(&mut self, statement: Statement<'_>) -> QueryResult<()> {
        statement.execute(&mut self.0).map(drop)
    }

    /// After the last transaction.
    pub(super) fn end(&mut self) {
        if let Err(error) = dialect::fold_log(&mut self.0) {
            log::debug!("no checkpoint at the end: {error}");
        }
    }

    /// Begin, end and what is between them are the same few statements for every commit.
    fn run<T: Known>(&mut self, text: T) -> QueryResult<()> {
        fixed(text, []).execute(&mut self.0).map(drop)
    }
}
