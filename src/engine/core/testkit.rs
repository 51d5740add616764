//! An engine's inside on a database of its own, for tests of what happens between two of its steps.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::sync::Arc;

use tempfile::TempDir;

use super::{Access, Core, EngineConfig, Feed, Packing, Queue, new_row};
use crate::model::time::ManualClock;
use crate::model::{Fields, Resource, State, Timestamp};
use crate::schema::Registry;
use crate::store::databases;
use crate::store::{Changes, NewResource, Store};

/// Nothing runs in it, and there is no row.
pub(crate) fn empty() -> (TempDir, Core) {
    let (folder, core, _) = with_clock();
    (folder, core)
}

/// The same with its clock.
pub(crate) fn with_clock() -> (TempDir, Core, Arc<ManualClock>) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Arc::new(Registry::load(None).unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
    let config = databases::at(folder.path().join("drover.db"));
    let packing = Arc::new(Packing(registry.clone()));
    let (store, _) = Store::open(&config, clock.clone(), packing, Box::new(drop), None).unwrap();
    let (queue, feed) = (Arc::new(Queue::default()), Arc::new(Feed::default()));
    let access = Arc::new(Access::default());
    let core = Core::new(
        registry,
        store,
        clock.clone(),
        queue,
        feed,
        EngineConfig::default(),
        access,
    )
    .unwrap();
    (folder, core, clock)
}

/// Inserts a row of a type, in this state, with these fields.
pub(crate) async fn insert(core: &Core, ty: &str, state: State, fields: Fields) -> Resource {
    let ty = core.type_of(ty).unwrap().clone();
    let inserting = core.write(move |tx| {
        tx.insert(NewResource {
            name: "it".into(),
            state,
            ..new_row(&ty, None, fields)
        })
    });
    inserting.await.unwrap()
}

/// Removes a row behind everybody's back.
pub(crate) async fn remove(core: &Core, row: &Resource) {
    let row = row.clone();
    let removing = core.write(move |tx| {
        let changes = Changes {
            state: Some(State::REMOVED),
            removed: Some(tx.now()),
            ..Changes::default()
        };
        tx.update_if(&row, &changes).map(drop)
    });
    removing.await.unwrap();
}
