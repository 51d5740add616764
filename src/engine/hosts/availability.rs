//! Whether a host takes containers: what it is asked to become, alone or together with its labels.

use serde_json::Value;

use crate::engine::core::{Core, Scope, live, not_available, request, supersede};
use crate::engine::labels;
use crate::model::{Fields, Resource, Result};
use crate::store::Changes;

/// The field that says that a host which takes nothing was emptied, too. No view shows it.
const EVACUATED: &str = "evacuated";

/// Asks for a process of a host, `activate`, `deactivate`, `evacuate` or `update`; `new` are its labels from then on. Who says
/// these, too, need not wait until the host has come where it was led before.
///
/// # Errors
/// 422 where the state of the host has no such action.
pub(crate) async fn ask(
    core: &Core,
    scope: &Scope,
    row: &Resource,
    action: &str,
    new: Option<Value>,
) -> Result<Resource> {
    let machine = core.machine_of_row(row)?.clone();
    let (id, action, label) = (row.id, action.to_owned(), core.type_of("label")?.clone());
    let has_labels = new.is_some();
    let written = core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        let is_anew = new.is_some() && machine.anew(&action, row.state).is_some();
        if !is_anew && machine.start(&action, row.state).is_none() {
            return Err(not_available());
        }
        let lead = if is_anew { supersede } else { request };
        let mut changes = Changes::default();
        let is_evacuated = action == "evacuate";
        let was_evacuated = Fields::parse(&row.fields)?.read(EVACUATED)?.unwrap_or(false);
        if action != "update" && is_evacuated != was_evacuated {
            changes.patch.set(EVACUATED, &is_evacuated)?;
        }
        let Some(new) = new else {
            return lead(tx, &machine, &row, &action, "{}", changes);
        };
        changes.patch.set("labels", &new)?;
        let row = lead(tx, &machine, &row, &action, "{}", changes)?;
        labels::tie_host(tx, &label, &row)?;
        Ok(row)
    });
    let written = written.await?;
    if has_labels {
        core.look_at_all(written.account_id)?;
    }
    Ok(written)
}
