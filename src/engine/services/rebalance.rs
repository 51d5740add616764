//! `rebalance`, an action that Rancher does not have: the units of a service move, one at a time, until each host has its share.
//!
//! That it was asked for is in the notes of the service till it is done; which unit moves, and where to, is the planner's.

use crate::engine::core::{Answer, Core, Input, Scope, fenced, not_available, notes, request, short_name, write_notes};
use crate::model::launch::LABEL_REQUESTED_IP;
use crate::model::{Error, Resource, Result, State};
use crate::plan::Moves;
use crate::store::{Changes, Process};

use super::snapshot::{Config, ServiceNotes, ServiceSnapshot};

/// Asks for it. 422 for a service none of whose units can move.
pub(super) async fn begin(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    if let Some(field) = input.keys().next() {
        return Err(Error::invalid("InvalidOption", field.clone()).with_message("rebalance takes nothing"));
    }
    let snapshot = core.snapshot(row.id)?.ok_or_else(Error::not_found)?;
    let refuse = |why: &str| Err(Error::invalid("InvalidAction", "action").with_message(why));
    if !snapshot.has_own() {
        return refuse("the service has no containers of its own");
    }
    if snapshot.is_global() {
        return refuse("the service has one of its containers on each host already");
    }
    if core.has_volumes_of_its_own(&snapshot)? {
        return refuse("its containers have volumes of their own, which stay on their hosts");
    }
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if row.state != State::ACTIVE {
            return Err(not_available());
        }
        let mut note: ServiceNotes = notes(&row);
        note.rebalances = true;
        let changes = Changes {
            internal: Some(write_notes(&note)?),
            ..Changes::default()
        };
        request(tx, &machine, &row, "update", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

impl ServiceSnapshot {
    /// How units move: where only one of them can have an address, the old one gives it up first.
    pub(super) fn moves(&self) -> Moves {
        let has_address = |c: &Config| c.launch.label(LABEL_REQUESTED_IP).is_some();
        match self.notes.rebalances {
            false => Moves::Stay,
            true if self.fields.retain_ip == Some(true) || self.configs.iter().any(has_address) => Moves::StopFirst,
            true => Moves::StartFirst,
        }
    }
}

impl Core {
    /// Whether units of a service have something on their hosts that does not go along.
    fn has_volumes_of_its_own(&self, snapshot: &ServiceSnapshot) -> Result<bool> {
        let declared = self.declared_volumes(&snapshot.stack)?;
        Ok(snapshot.configs.iter().any(|config| declared.has_own(config)))
    }

    /// All units are where they should be: what was asked for is done.
    pub(super) async fn end_rebalance(&self, process: &Process, snapshot: &ServiceSnapshot) -> Result<()> {
        if !snapshot.notes.rebalances || !matches!(short_name(process), "activate" | "update") {
            return Ok(());
        }
        let (process, id) = (process.id, snapshot.service.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process, id)? else {
                return Ok(());
            };
            let mut note: ServiceNotes = notes(&row);
            note.rebalances = false;
            let changes = Changes {
                internal: Some(write_notes(&note)?),
                ..Changes::default()
            };
            tx.update_if(&row, &changes).map(drop)
        })
        .await
    }
}
