//! The outbox: which resources changed, in the order of the commits. Written by `announce`, read by the feed.

use diesel::prelude::*;

use super::Store;
use super::tables::change_event;
use crate::model::{Error, ResourceId, Result};

/// That a resource changed; how it looks now is in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeEvent {
    /// Where it stands in the outbox: ascending in the order of the commits, without gaps.
    pub id: i64,
    /// What changed.
    pub resource: ResourceId,
    /// Whose it is.
    pub account: Option<ResourceId>,
}

impl Store {
    /// The number of the newest event, swept ones included; zero if there never was one.
    pub fn newest_event(&self) -> Result<i64> {
        // The sequence remembers what was swept, the table does not.
        diesel::sql_query("SELECT seq FROM sqlite_sequence WHERE name = 'change_event'")
            .get_result::<Sequence>(&mut self.reader()?)
            .optional()
            .map(|row| row.map_or(0, |row| row.seq))
            .map_err(failed)
    }

    /// The number of the oldest event that is still there.
    pub fn oldest_event(&self) -> Result<Option<i64>> {
        change_event::table.select(diesel::dsl::min(change_event::id)).get_result(&mut self.reader()?).map_err(failed)
    }

    /// At most `limit` events behind the one with this number, in order.
    pub fn events_after(&self, id: i64, limit: i64) -> Result<Vec<ChangeEvent>> {
        let rows: Vec<(i64, i64, Option<i64>)> = change_event::table
            .filter(change_event::id.gt(id))
            .order(change_event::id)
            .limit(limit)
            .select((change_event::id, change_event::resource_id, change_event::account_id))
            .load(&mut self.reader()?)
            .map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(|(id, resource, account)| ChangeEvent { id, resource: ResourceId(resource), account: account.map(ResourceId) })
            .collect())
    }
}

#[derive(QueryableByName)]
struct Sequence {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    seq: i64,
}

fn failed(source: diesel::result::Error) -> Error {
    Error::internal("reading change events", source)
}
