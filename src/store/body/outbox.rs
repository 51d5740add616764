//! The outbox: which resources changed, in the order of the commits. Written by [`Tx::announce`], read by the feed.

use diesel::prelude::*;

use super::numbers::Sequence;
use super::statement::{Bound, fixed};
use super::{ChangeEvent, Store, Tx, dialect};
use crate::model::{Error, ResourceId, Result};
use crate::store::known::known;
use crate::store::tables::change_event;

impl Store {
    pub fn newest_event(&self) -> Result<i64> {
        // The numbering remembers what was swept, the table does not.
        dialect::last_number(&mut *self.reader()?, "change_event").map_err(failed)
    }

    pub fn oldest_event(&self) -> Result<Option<i64>> {
        change_event::table
            .select(diesel::dsl::min(change_event::id))
            .get_result(&mut self.reader()?)
            .map_err(failed)
    }

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

impl Tx {
    pub fn announce(&mut self, id: ResourceId, account: Option<ResourceId>) -> Result<()> {
        known!(Announce = "INSERT INTO change_event (id, resource_id, account_id, created_ms) VALUES (?, ?, ?, ?)");
        let account = account.map(|account| account.0);
        let failed = super::failed("writing a change event");
        let values = [
            Bound::Int(self.next_number(Sequence::Event).map_err(failed)?),
            Bound::Int(id.0),
            Bound::MaybeInt(account),
            Bound::Int(self.now().0),
        ];
        self.line.put(fixed(Announce, values)).map_err(failed)?;
        self.part.has_announced = true;
        Ok(())
    }
}

fn failed(source: diesel::result::Error) -> Error {
    super::failed("reading change events")(source)
}
