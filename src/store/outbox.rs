//! The outbox: which resources changed, in the order of the commits. Written by [`Tx::announce`], read by the feed.

use diesel::prelude::*;

use super::numbers::Sequence;
use super::statement::{Bound, fixed, known};
use super::tables::change_event;
use super::{Store, Tx, dialect};
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
        // The numbering remembers what was swept, the table does not.
        dialect::last_number(&mut *self.reader()?, "change_event").map_err(failed)
    }

    /// The number of the oldest event that is still there.
    pub fn oldest_event(&self) -> Result<Option<i64>> {
        change_event::table
            .select(diesel::dsl::min(change_event::id))
            .get_result(&mut self.reader()?)
            .map_err(failed)
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
            .map(|(id, resource, account)| ChangeEvent {
                id,
                resource: ResourceId(resource),
                account: account.map(ResourceId),
            })
            .collect())
    }
}

impl Tx<'_> {
    /// Says that a resource changed, to subscribers and to whoever owns it.
    pub fn announce(&mut self, id: ResourceId, account: Option<ResourceId>) -> Result<()> {
        known!(Announce = "INSERT INTO change_event (id, resource_id, account_id, created_ms) VALUES (?, ?, ?, ?)");
        let account = account.map(|account| account.0);
        let failed = |source| Error::internal("writing a change event", source);
        let values = [
            Bound::Int(self.next_number(Sequence::Event).map_err(failed)?),
            Bound::Int(id.0),
            Bound::MaybeInt(account),
            Bound::Int(self.now().0),
        ];
        fixed(Announce, values).execute(self.conn).map_err(failed)?;
        self.has_announced = true;
        Ok(())
    }
}

fn failed(source: diesel::result::Error) -> Error {
    Error::internal("reading change events", source)
}
