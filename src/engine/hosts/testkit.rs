//! Hosts for tests of this room.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use super::attaching::HostNotes;
use crate::engine::core::{Core, testkit, write_notes};
use crate::model::{Fields, Resource, State};

/// A host that is called `one`, and the engine that it had.
pub(super) async fn host(core: &Core, engine: Option<&str>) -> Resource {
    let mut fields = Fields::default();
    fields.set("hostname", "one").unwrap();
    let row = testkit::insert(core, "host", State::ACTIVE, fields).await;
    let note = HostNotes {
        engine: engine.map(str::to_owned),
        ..HostNotes::default()
    };
    Resource {
        internal: write_notes(&note).unwrap(),
        ..row
    }
}
