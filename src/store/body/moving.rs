//! One side of moving a database to another one.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::conn::bring_up;
use super::dialect::{self, Conn, Line, Place};
use super::statement::{Bound, Statement};
use crate::store::OpenError;
use crate::store::moved::{Cell, Table};
use crate::store::tables::server;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A database that is read, or written to.
pub(in crate::store) struct Side(Line);

#[derive(QueryableByName)]
struct One {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Side {
    /// Opens a database that nobody else uses, and makes its tables what this build expects.
    pub fn open(place: &Place) -> Result<Self, OpenError> {
        let mut conn = dialect::connect(place, 4096).map_err(|e| OpenError::open(place, e))?;
        bring_up(&mut conn)?;
        let whose = whose(&mut conn).map_err(|e| OpenError::open(place, Box::new(e)))?;
        let (uuid, epoch) = whose.unwrap_or_default();
        Ok(Self(Line::new(conn, place, (&uuid, epoch))))
    }

    /// Which server's database it is, and how often it was opened; nothing of one that is empty.
    pub fn whose(&mut self) -> QueryResult<Option<(String, i64)>> {
        whose(self.0.conn())
    }

    /// So many rows of a table behind the first `skipped`, in the order of its key.
    pub fn read(&mut self, table: &Table, skipped: i64, most: i64) -> Result<Vec<Vec<Cell>>, Failed> {
        let columns = table.all().map(|column| match table.holds_bytes(column) {
            true => dialect::as_hex(column),
            false => column.to_owned(),
        });
        let text = format!(
            "SELECT {} AS line FROM {} ORDER BY {} LIMIT {most} OFFSET {skipped}",
            dialect::json_line(&columns.collect::<Vec<_>>().join(", ")),
            table.name,
            table.key.join(", "),
        );
        let lines: Vec<One> = diesel::sql_query(text).load(self.0.conn())?;
        lines.iter().map(|one| cells(table, &one.line)).collect()
    }

    /// How many rows a table has.
    pub fn count(&mut self, table: &Table) -> QueryResult<i64> {
        let lines: One = diesel::sql_query(format!("SELECT CAST(count(*) AS TEXT) AS line FROM {}", table.name))
            .get_result(self.0.conn())?;
        Ok(lines.line.parse().unwrap_or_default())
    }

    /// Writes rows, all or none.
    pub fn write(&mut self, table: &Table, rows: &[Vec<Cell>]) -> Result<(), Failed> {
        let columns: Vec<&str> = table.all().collect();
        let places = vec!["?"; columns.len()].join(", ");
        let text = format!("INSERT INTO {} ({}) VALUES ({places})", table.name, columns.join(", "));
        self.0.begin_moving()?;
        for row in rows {
            // What is not there is of no type: it stands in the text.
            let mut own = String::new();
            let mut parts = text.split('?');
            own.push_str(parts.next().unwrap_or_default());
            let mut values = Vec::with_capacity(row.len());
            for (cell, part) in row.iter().zip(parts) {
                match cell {
                    Cell::Null => own.push_str("NULL"),
                    Cell::Int(number) => {
                        own.push('?');
                        values.push(Bound::Int(*number));
                    }
                    Cell::Text(text) => {
                        own.push('?');
                        values.push(Bound::Text(text));
                    }
                    Cell::Bytes(bytes) => {
                        own.push('?');
                        values.push(Bound::Bytes(bytes));
                    }
                }
                own.push_str(part);
            }
            self.0.put_text(Statement::new(own, values))?;
        }
        match self.0.commit() {
            Ok(()) => Ok(()),
            Err(error) => {
                self.0.roll_back();
                Err(error.into())
            }
        }
    }

    /// The last numbers that tables gave to rows.
    pub fn numbers(&mut self) -> QueryResult<Vec<(String, i64)>> {
        dialect::last_numbers(self.0.conn())
    }

    /// Goes on with these.
    pub fn set_numbers(&mut self, numbers: &[(String, i64)]) -> QueryResult<()> {
        dialect::set_numbers(self.0.conn(), numbers)
    }

    /// Leaves the database in order.
    pub fn close(mut self) {
        self.0.end();
    }
}

fn whose(conn: &mut Conn) -> QueryResult<Option<(String, i64)>> {
    server::table
        .select((server::uuid, server::epoch))
        .first(conn)
        .optional()
}

/// A row as it comes: an array in JSON, with bytes in hexadecimal digits.
fn cells(table: &Table, line: &str) -> Result<Vec<Cell>, Failed> {
    let values: Vec<serde_json::Value> = serde_json::from_str(line)?;
    let cell = |(column, value): (&str, serde_json::Value)| match value {
        serde_json::Value::Null => Ok(Cell::Null),
        serde_json::Value::Number(number) => Ok(Cell::Int(number.as_i64().ok_or("a number of more than 64 bits")?)),
        serde_json::Value::String(text) if table.holds_bytes(column) => Ok(Cell::Bytes(bytes(&text)?)),
        serde_json::Value::String(text) if text.contains('\0') => Err(format!(
            "{}: {column} holds the character U+0000, which PostgreSQL does not keep",
            table.name
        )
        .into()),
        serde_json::Value::String(text) => Ok(Cell::Text(text)),
        other => Err(Failed::from(format!("{}: {column} is {other}", table.name))),
    };
    table.all().zip(values).map(cell).collect()
}

fn bytes(digits: &str) -> Result<Vec<u8>, Failed> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
    pairs.map(byte).collect()
}
