//! Conditions on many numbers.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;

use super::dialect::{self, Db, List};
use crate::model::ResourceId;

/// That a column is one of some numbers: however many there are, the text is the same, and is put together once per connection.
#[derive(Debug, Clone, QueryId)]
pub(super) struct OneOf<C> {
    column: C,
    list: List,
}

impl<C> OneOf<C> {
    /// That the column is one of these.
    pub(super) fn new(column: C, ids: &[ResourceId]) -> Self {
        Self::numbers(column, ids.iter().map(|id| id.0))
    }

    /// The same for numbers that are of no resource.
    pub(super) fn numbers(column: C, numbers: impl ExactSizeIterator<Item = i64>) -> Self {
        Self {
            column,
            list: dialect::list(numbers),
        }
    }
}

impl<C> Expression for OneOf<C> {
    type SqlType = Bool;
}

impl<C, T> AppearsOnTable<T> for OneOf<C> {}

impl<C, T> SelectableExpression<T> for OneOf<C> {}

impl<C, G> ValidGrouping<G> for OneOf<C> {
    type IsAggregate = is_aggregate::No;
}

impl<C: QueryFragment<Db>> QueryFragment<Db> for OneOf<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        dialect::walk_list(&self.list, out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use diesel::connection::SimpleConnection as _;

    use super::*;
    use crate::store::tables::change_event;

    #[test]
    fn a_list_of_ids_matches_its_members() {
        let Some(mut line) = dialect::scratch() else { return };
        let conn = line.conn();
        conn.batch_execute(
            "INSERT INTO change_event (id, resource_id, account_id, created_ms) VALUES (1, 5, 1, 0), (2, 6, 1, 0), (3, 7, 1, 0)",
        )
        .unwrap();
        let mut found = |ids: &[i64]| -> Vec<i64> {
            let ids: Vec<ResourceId> = ids.iter().map(|i| ResourceId(*i)).collect();
            change_event::table
                .filter(OneOf::new(change_event::resource_id, &ids))
                .order(change_event::id)
                .select(change_event::id)
                .load(conn)
                .unwrap()
        };
        assert_eq!(
            (found(&[5, 7, 99]), found(&[]), found(&[6])),
            (vec![1, 3], vec![], vec![2])
        );
    }
}
