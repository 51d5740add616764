//! Upgrades that are watched over: what is known of new containers that are gone before the planner could see how they failed.

use crate::engine::core::{notes, write_notes};
use crate::engine::instances::{InstanceFacts, InstanceNotes};
use crate::model::{Error, Resource, Result, State};
use crate::store::{Changes, Tx};

use super::execute::keep_address;
use super::snapshot::ServiceNotes;

/// What a service does when one of its containers goes: it remembers that a new one was never well, and keeps its address
/// if it is to. Says whether the address is kept.
pub(crate) fn let_container_go(tx: &mut Tx<'_>, row: &Resource) -> Result<bool> {
    if notes::<InstanceNotes>(row).was_never_well {
        note_never_well(tx, row)?;
    }
    keep_address(tx, row)
}

fn note_never_well(tx: &mut Tx<'_>, row: &Resource) -> Result<()> {
    let service = row.parent_id.map(|id| tx.find(id)).transpose()?.flatten();
    let goes = [State::UPGRADING, State::ROLLING_BACK];
    let Some(service) = service.filter(|service| goes.contains(&service.state)) else {
        return Ok(());
    };
    let facts: InstanceFacts =
        serde_json::from_str(&row.fields).map_err(|e| Error::internal(format!("reading container {}", row.id), e))?;
    let mut note: ServiceNotes = notes(&service);
    let own: InstanceNotes = notes(row);
    let is_watched = service.state == State::UPGRADING || note.upgrade.since.is_some();
    let trial = note.upgrade.trial();
    let is_new = trial.has(facts.create_index.unwrap_or(0), own.up_since, own.failed_at);
    if is_watched && is_new && note.upgrade.failed.insert(own.index) {
        let changes = Changes {
            internal: Some(write_notes(&note)?),
            ..Changes::default()
        };
        tx.update_if(&service, &changes)?;
    }
    Ok(())
}
