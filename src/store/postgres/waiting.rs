//! Statements that wait to be sent. Rows that are inserted alike are sent together: a statement costs the database about as much as
//! a row.

use std::borrow::Cow;
use std::iter::repeat_n;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::body::Bound;
use super::dialect::Db;

/// Rows of one statement, at most. Each number of rows is a statement that is kept prepared, so there are only powers of two.
const TOGETHER: usize = 32;

/// A statement that waits to be sent: for one row, or an insertion of several.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    text: Cow<'static, str>,
    values: Vec<Value>,
    rows: usize,
    is_insertion: bool,
}

/// A value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    MaybeInt(Option<i64>),
    MaybeText(Option<String>),
    Bytes(Vec<u8>),
}

impl From<&Bound<'_>> for Value {
    fn from(bound: &Bound<'_>) -> Self {
        match bound {
            Bound::Int(number) => Self::Int(*number),
            Bound::Text(text) => Self::Text((*text).to_owned()),
            Bound::MaybeInt(number) => Self::MaybeInt(*number),
            Bound::MaybeText(text) => Self::MaybeText(text.map(str::to_owned)),
            Bound::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

/// An insertion of one row: what stands before its places, these, and what stands behind them.
struct Insertion<'t> {
    head: &'t str,
    row: &'t str,
    tail: &'t str,
}

impl<'t> Insertion<'t> {
    /// Reads a text; none where it is anything else, or several rows would not be what one by one are.
    fn read(text: &'t str) -> Option<Self> {
        const VALUES: &str = " VALUES ";
        let (head, rest) = text.split_at(text.find(VALUES)? + VALUES.len());
        let (row, tail) = rest.split_at(rest.find(')')? + 1);
        let is_plain = head.starts_with("INSERT INTO ") && row.starts_with('(') && row.matches('(').count() == 1;
        (is_plain && matches!(tail.trim(), "" | "ON CONFLICT DO NOTHING")).then_some(Self { head, row, tail })
    }
}

impl Waiting {
    pub(super) fn new(text: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Self {
        let text = text.into();
        let is_insertion = Insertion::read(&text).is_some();
        Self {
            text,
            values,
            rows: 1,
            is_insertion,
        }
    }

    /// As it is sent: of several rows each statement has as many as a power of two.
    pub(super) fn statements(self) -> Vec<Self> {
        let Some(insertion) = Insertion::read(&self.text).filter(|_| self.rows > 1) else {
            return vec![self];
        };
        let each = self.values.len() / self.rows;
        let (mut left, mut values) = (self.rows, self.values.into_iter());
        let mut all = Vec::new();
        while left > 0 {
            let rows = TOGETHER.min(1 << left.ilog2());
            let places: Vec<&str> = repeat_n(insertion.row, rows).collect();
            all.push(Self {
                text: format!("{}{}{}", insertion.head, places.join(", "), insertion.tail).into(),
                values: values.by_ref().take(rows * each).collect(),
                rows,
                is_insertion: true,
            });
            left -= rows;
        }
        all
    }
}

/// Has statements, from this one on, sent with those that wait before them, where that comes to the same: rows that are inserted
/// alike, with nothing but insertions in between.
pub(super) fn gather(waiting: &mut Vec<Waiting>, from: usize) {
    for new in waiting.split_off(from) {
        let alike = waiting
            .iter_mut()
            .rev()
            .take_while(|before| new.is_insertion && before.is_insertion)
            .find(|before| before.text == new.text);
        match alike {
            Some(before) => {
                before.values.extend(new.values);
                before.rows += new.rows;
            }
            None => waiting.push(new),
        }
    }
}

impl QueryFragment<Db> for Waiting {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        let mut parts = self.text.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        for (value, part) in self.values.iter().zip(parts) {
            match value {
                Value::Int(number) => out.push_bind_param::<BigInt, _>(number)?,
                Value::Text(text) => out.push_bind_param::<Text, _>(text)?,
                Value::MaybeInt(number) => out.push_bind_param::<Nullable<BigInt>, _>(number)?,
                Value::MaybeText(text) => out.push_bind_param::<Nullable<Text>, _>(text)?,
                Value::Bytes(bytes) => out.push_bind_param::<Binary, _>(bytes)?,
            }
            out.push_sql(part);
        }
        Ok(())
    }
}

impl QueryId for Waiting {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = "INSERT INTO t (a, b) VALUES (?, '')";
    const LINK: &str = "INSERT INTO l (a) VALUES (?) ON CONFLICT DO NOTHING";
    const CHANGE: &str = "UPDATE t SET b = ? WHERE a = 1";

    fn told(text: &'static str, number: i64) -> Waiting {
        Waiting::new(text, vec![Value::Int(number)])
    }

    /// What is sent when each of these was a part.
    fn sent(parts: &[&[(&'static str, i64)]]) -> Vec<String> {
        let mut waiting = Vec::new();
        for part in parts {
            let from = waiting.len();
            waiting.extend(part.iter().map(|(text, number)| told(text, *number)));
            gather(&mut waiting, from);
        }
        let all = waiting.into_iter().flat_map(Waiting::statements);
        all.map(|one| format!("{} {:?}", one.text, one.values)).collect()
    }

    #[test]
    fn rows_that_are_inserted_alike_are_sent_together() {
        let part = |number| [(ROW, number), (LINK, number)];
        assert_eq!(
            sent(&[&part(1), &part(2), &part(3)]),
            [
                "INSERT INTO t (a, b) VALUES (?, ''), (?, '') [Int(1), Int(2)]",
                "INSERT INTO t (a, b) VALUES (?, '') [Int(3)]",
                "INSERT INTO l (a) VALUES (?), (?) ON CONFLICT DO NOTHING [Int(1), Int(2)]",
                "INSERT INTO l (a) VALUES (?) ON CONFLICT DO NOTHING [Int(3)]",
            ]
        );
    }

    #[test]
    fn nothing_is_sent_before_what_may_be_about_the_same_row() {
        assert_eq!(
            sent(&[&[(ROW, 1)], &[(CHANGE, 2), (ROW, 3)], &[(ROW, 4)]]),
            [
                "INSERT INTO t (a, b) VALUES (?, '') [Int(1)]",
                "UPDATE t SET b = ? WHERE a = 1 [Int(2)]",
                "INSERT INTO t (a, b) VALUES (?, ''), (?, '') [Int(3), Int(4)]",
            ]
        );
        assert!(Insertion::read("INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET a = 1").is_none());
        assert!(Insertion::read("INSERT INTO t (a) VALUES (lower(?))").is_none());
        assert!(Insertion::read("INSERT INTO t SELECT 1").is_none());
    }

    #[test]
    fn many_rows_are_so_many_statements_that_few_are_kept_prepared() {
        let parts: Vec<Vec<(&'static str, i64)>> = (0..75).map(|number| vec![(ROW, number)]).collect();
        let parts: Vec<&[(&'static str, i64)]> = parts.iter().map(Vec::as_slice).collect();
        let sizes = sent(&parts);
        let sizes: Vec<usize> = sizes.iter().map(|text| text.matches("Int").count()).collect();
        assert_eq!(sizes, [32, 32, 8, 2, 1]);
    }
}
