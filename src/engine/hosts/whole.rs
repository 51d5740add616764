//! What is done to a host as a whole, as if it were a machine of ours.

use serde_json::json;

use crate::engine::core::{Core, Input, Scope, is_sim, live, request};
use crate::model::{Error, Resource, ResourceId, Result, State};
use crate::store::Changes;

use super::added::{self, SIMULATED};
use super::host::{REMOVE, agent_of, ask_to_remove};

/// Whether this server simulates hosts of its own.
pub(crate) fn simulates(core: &Core) -> Result<bool> {
    let is_own = |host: &Resource| host.removed.is_none() && is_sim(host) && agent_of(host).is_none();
    // Its own comes first: that is one row, however many hosts there are.
    for (host, _) in core.runtimes() {
        if core.store.shared(host)?.is_some_and(|host| is_own(&host)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a simulated host of a project, with these fields beside its name.
///
/// # Errors
/// 409 where this server simulates none.
pub(crate) async fn simulate(
    core: &Core,
    scope: &Scope,
    project: ResourceId,
    name: &str,
    mut fields: Input,
) -> Result<Resource> {
    if !simulates(core)? {
        return Err(Error::conflict("this server makes no hosts"));
    }
    fields.insert("hostname".into(), json!(name));
    fields.insert("dockerUrl".into(), json!(format!("{SIMULATED}{name}")));
    added::create(core, scope, core.type_of("host")?, project, fields).await
}

/// Asks a host to go, whatever it does now.
pub(crate) async fn ask_to_go(core: &Core, scope: &Scope, row: &Resource) -> Result<Resource> {
    let (id, machine) = (row.id, core.machine_of("host")?.clone());
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        ask_to_remove(tx, &machine, &row)?;
        tx.get(id)
    })
    .await
}

/// Whether a host was asked to go.
pub(crate) fn is_going(core: &Core, row: &Resource) -> Result<bool> {
    if row.state != State::DEACTIVATING {
        return Ok(row.state == State::REMOVING);
    }
    let open = core.store.open_processes_of(row.id)?;
    Ok(open.iter().any(|process| process.data == REMOVE))
}

/// Restarts all containers that run on a host, in one transaction.
pub(crate) async fn restart_all(core: &Core, scope: &Scope, row: &Resource) -> Result<Resource> {
    let (id, machine) = (row.id, core.machine_of("container")?.clone());
    let containers = core.store.on_hosts(&[id], "instance")?;
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        for slim in containers {
            let container = tx.find(slim.id)?;
            let runs = |row: &Resource| row.removed.is_none() && machine.start("restart", row.state).is_some();
            if let Some(container) = container.filter(runs) {
                request(tx, &machine, &container, "restart", "{}", Changes::default())?;
            }
        }
        Ok(row)
    })
    .await
}
