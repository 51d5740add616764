//! The outbox: which resources changed, in the order of the commits. Written by [`Tx::announce`], read by the feed.

use std::sync::atomic::Ordering;

use diesel::prelude::*;

use super::numbers::Sequence;
use super::statement::{Bound, fixed};
use super::{ChangeEvent, Store, Tx};
use crate::model::{Error, ResourceId, Result};
use crate::store::known::known;
use crate::store::tables::change_event;

impl Store {
    pub fn newest_event(&self) -> i64 {
        self.told.load(Ordering::Acquire)
    }

    pub fn oldest_event(&self) -> Result<Option<i64>> {
        change_event::table
            .select(diesel::dsl::min(change_event::id))
            .get_result(&mut self.reader()?)
            .map_err(failed)
    }

    pub fn events_after(&self, id: i64, limit: i64) -> Result<Vec<ChangeEvent>> {
        // Others are committed, but rows that are kept may still be as they were before.
        let rows: Vec<(i64, i64, Option<i64>)> = change_event::table
            .filter(change_event::id.gt(id))
            .filter(change_event::id.le(self.newest_event()))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::sync::Arc;

    use crate::model::time::SystemClock;
    use crate::model::{Fields, Result, State};
    use crate::store::{Changes, LayoutOf, NewResource, Priority, Store, databases};

    /// So many changes are looked for as they come.
    const CHANGES: i64 = 400;

    struct NoLayout;

    impl LayoutOf for NoLayout {
        fn pack(&self, _: &str, _: &str, _: &Fields) -> Result<(String, String)> {
            Ok(("{}".to_owned(), String::new()))
        }

        fn sample(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    #[tokio::test]
    async fn who_reads_of_a_change_finds_the_row_as_the_change_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = databases::at(folder.path().join("drover.db"));
        let (clock, layout) = (Arc::new(SystemClock), Arc::new(NoLayout));
        let (store, _) = Store::open(&config, clock, layout, Box::new(|_| {}), None).unwrap();
        let new = NewResource {
            root: "stack".into(),
            kind: "stack".into(),
            state: State::ACTIVE,
            ..NewResource::default()
        };
        let made = store.write(Priority::Request, |tx| tx.insert(new)).await.unwrap();
        // The first event is of the first version, and so on: each change is one more of both. Nobody wakes who reads.
        let (reading, id) = (store.clone(), made.id);
        let reader = std::thread::spawn(move || {
            let mut last = 0;
            while last < CHANGES + 1 {
                for event in reading.events_after(last, 10).unwrap() {
                    let row = reading.find(id).unwrap().unwrap();
                    assert!(
                        row.version >= event.id,
                        "change {} is told of, the row is {}",
                        event.id,
                        row.version
                    );
                    last = event.id;
                }
            }
        });
        for _ in 0..CHANGES {
            let change = store.write(Priority::Request, move |tx| {
                let row = tx.get(id)?;
                tx.update_if(&row, &Changes::default()).map(drop)
            });
            change.await.unwrap();
        }
        reader.join().unwrap();
        assert_eq!(store.newest_event(), CHANGES + 1);
    }
}
