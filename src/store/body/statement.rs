//! Statements that are prepared once per connection.
//!
//! diesel prepares updates, lists of ids and raw text anew each time, because their text could differ each time. Ours
//! come from a small set of texts, and preparing one costs more than running it.

use std::borrow::Cow;
use std::marker::PhantomData;

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};

use super::Scalar;
use super::dialect::{Conn, Db};
use crate::store::known::Known;

/// A bound value.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Bound<'a> {
    Int(i64),
    Text(&'a str),
    MaybeInt(Option<i64>),
    MaybeText(Option<&'a str>),
    Bytes(&'a [u8]),
}

/// A statement with `?` where its values go. Its text must be one of few: each is kept prepared.
#[derive(Debug, Clone)]
pub(in crate::store) struct Statement<'a> {
    pub(in crate::store) text: Cow<'a, str>,
    pub(in crate::store) values: Vec<Bound<'a>>,
}

impl<'a> Statement<'a> {
    pub(in crate::store) fn new(text: impl Into<Cow<'a, str>>, values: Vec<Bound<'a>>) -> Self {
        Self {
            text: text.into(),
            values,
        }
    }
}

impl QueryFragment<Db> for Statement<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        walk(self.text.split('?'), &self.values, out)
    }
}

fn walk<'p, 'b>(
    mut parts: impl Iterator<Item = &'p str>,
    values: &'b [Bound<'_>],
    mut out: AstPass<'_, 'b, Db>,
) -> QueryResult<()> {
    out.push_sql(parts.next().unwrap_or_default());
    for (value, part) in values.iter().zip(parts) {
        match value {
            Bound::Int(number) => out.push_bind_param::<BigInt, _>(number)?,
            Bound::Text(text) => out.push_bind_param::<Text, _>(*text)?,
            Bound::MaybeInt(number) => out.push_bind_param::<Nullable<BigInt>, _>(number)?,
            Bound::MaybeText(text) => out.push_bind_param::<Nullable<Text>, _>(text)?,
            Bound::Bytes(bytes) => out.push_bind_param::<Binary, _>(*bytes)?,
        }
        out.push_sql(part);
    }
    Ok(())
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// If it answers, then with one number.
impl Query for Statement<'_> {
    type SqlType = BigInt;
}

impl RunQueryDsl<Conn> for Statement<'_> {}

/// A statement of a known text. diesel finds it prepared by the type, and puts its text together once per connection only.
#[derive(Debug, Clone)]
pub(in crate::store) struct Fixed<'a, T, const N: usize> {
    pub(in crate::store) values: [Bound<'a>; N],
    text: PhantomData<T>,
}

/// The statement with these values in the places of its `?`.
pub(in crate::store) fn fixed<'a, T: Known, const N: usize>(_: T, values: [Bound<'a>; N]) -> Fixed<'a, T, N> {
    Fixed {
        values,
        text: PhantomData,
    }
}

impl<T: Known, const N: usize> QueryFragment<Db> for Fixed<'_, T, N> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        walk(T::parts().iter().copied(), &self.values, out)
    }

    /// It is always so; finding out would be walking through it once more, each time.
    fn is_safe_to_cache_prepared(&self, _: &Db) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<T: Known, const N: usize> QueryId for Fixed<'_, T, N> {
    type QueryId = T;
    const HAS_STATIC_QUERY_ID: bool = true;
}

/// If it answers, then with one number.
impl<T: Known, const N: usize> Query for Fixed<'_, T, N> {
    type SqlType = BigInt;
}

impl<T: Known, const N: usize> RunQueryDsl<Conn> for Fixed<'_, T, N> {}

/// A condition in raw text, with `?` where its values go. Its text is prepared anew each time unless it is said to be
/// one of few.
#[derive(Debug, Clone)]
pub(super) struct Fragment {
    text: String,
    values: Vec<Scalar>,
    is_common: bool,
}

impl Fragment {
    pub(super) fn new(text: impl Into<String>, values: Vec<Scalar>) -> Self {
        Self {
            text: text.into(),
            values,
            is_common: false,
        }
    }

    /// That all of these hold; none if there are none.
    pub(super) fn all(fragments: Vec<Self>) -> Option<Self> {
        let mut fragments = fragments.into_iter();
        let first = fragments.next()?;
        Some(fragments.fold(first, |mut all, next| {
            all.text = format!("{} AND {}", all.text, next.text);
            all.values.extend(next.values);
            all
        }))
    }

    /// One of few texts: worth keeping prepared.
    pub(super) fn common(self) -> Self {
        Self {
            is_common: true,
            ..self
        }
    }
}

impl Expression for Fragment {
    type SqlType = Bool;
}

impl<T> AppearsOnTable<T> for Fragment {}

impl<T> SelectableExpression<T> for Fragment {}

impl<G> ValidGrouping<G> for Fragment {
    type IsAggregate = is_aggregate::No;
}

impl QueryFragment<Db> for Fragment {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        if !self.is_common {
            out.unsafe_to_cache_prepared();
        }
        let mut parts = self.text.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        for (value, part) in self.values.iter().zip(parts) {
            match value {
                Scalar::Int(number) => out.push_bind_param::<BigInt, _>(number)?,
                Scalar::Text(text) => out.push_bind_param::<Text, _>(text)?,
            }
            out.push_sql(part);
        }
        Ok(())
    }
}

impl QueryId for Fragment {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::super::dialect;
    use super::*;

    #[test]
    fn values_go_where_the_question_marks_are() {
        let Some(mut line) = dialect::scratch() else { return };
        let conn = line.conn();
        let run = |conn: &mut Conn, text: &'static str, values| Statement::new(text, values).execute(conn).unwrap();
        run(conn, "CREATE TABLE t (a BIGINT, b TEXT)", vec![]);
        assert_eq!(
            run(
                conn,
                "INSERT INTO t (a, b) VALUES (?, ?)",
                vec![Bound::Int(7), Bound::Text("x?y")]
            ),
            1
        );
        assert_eq!(
            run(
                conn,
                "UPDATE t SET a = 8 WHERE b = ? AND a = ?",
                vec![Bound::Text("x?y"), Bound::Int(7)]
            ),
            1
        );
        assert_eq!(
            run(
                conn,
                "UPDATE t SET a = 9 WHERE b = ? AND a = ?",
                vec![Bound::Text("x?y"), Bound::Int(7)]
            ),
            0
        );
    }
}
