//! What requests and processes do to rows of this room: here the noun is chosen.

use serde_json::Value;

use crate::engine::core::{Answer, Core, Input, Outcome, Scope, Update, is_sim, not_now, unchecked};
use crate::model::{Error, Resource, ResourceId, Result, State};
use crate::schema::TypeView;
use crate::store::{Process, Tx};

use super::own_key::check_own_key;
use super::stopping::{remove_container, stop_data};
use super::{containers, proxied, pull_tasks, streams, volumes};

/// Says whether somebody keeps the address of a container that goes, and notes it there.
pub(crate) type KeepAddress = fn(&mut Tx<'_>, &Resource) -> Result<bool>;

pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: Input,
) -> Result<Vec<Resource>> {
    match ty.def.root.as_str() {
        "instance" => containers::create(core, scope, ty, account, input).await,
        "volume" => volumes::create(core, scope, ty, account, &input)
            .await
            .map(|row| vec![row]),
        "genericObject" => pull_tasks::create(core, scope, ty, account, &input)
            .await
            .map(|row| vec![row]),
        _ => core
            .create_plain(scope, &ty.def, account, input)
            .await
            .map(|row| vec![row]),
    }
}

pub(crate) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    input: Input,
) -> Result<Resource> {
    let update = match row.root.as_str() {
        "port" => {
            check_port(core, row, &input)?;
            Update::of(ty)
        }
        "volume" => {
            volumes::check_update(row, &input)?;
            core.check_volume_use(row.account_id, Some(row), &input)?;
            Update::of(ty).moving()
        }
        "instance" => {
            core.check_host_use(row.account_id, &input)?;
            check_own_key(scope, &input)?;
            Update::of(ty)
        }
        _ => Update::of(ty),
    };
    core.update_row(scope, row.id, input, update).await
}

/// 501 for a published port of a real container that is to be another one.
fn check_port(core: &Core, row: &Resource, input: &Input) -> Result<()> {
    if input.get("publicPort").is_none_or(Value::is_null) {
        return Ok(());
    }
    let host = row.host_id.map(|h| core.store.find(h)).transpose()?.flatten();
    match host.is_some_and(|host| !is_sim(&host)) {
        true => Err(
            Error::not_implemented("moving a published port needs a new container in this build")
                .with_field("publicPort"),
        ),
        false => Ok(()),
    }
}

pub(crate) async fn remove(core: &Core, scope: &Scope, ty: &TypeView, row: &Resource) -> Result<Resource> {
    let (id, machine) = (row.id, ty.def.machine.clone());
    let Some(machine) = machine.filter(|m| row.root == "instance" && m.has_process("remove")) else {
        return core.remove_row(scope, &ty.def, id, unchecked).await;
    };
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        let goes = row.removed.is_some() || matches!(row.state, State::STOPPING | State::REMOVING);
        if !goes && machine.start("remove", row.state).is_none() && machine.start("stop", row.state).is_none() {
            return Err(not_now());
        }
        remove_container(tx, &machine, &row)
    })
    .await
}

pub(crate) async fn act(core: &Core, scope: &Scope, row: &Resource, action: &str, input: Input) -> Result<Answer> {
    match (row.root.as_str(), action) {
        ("instance", "stop") => {
            core.start_action(scope, row, action, stop_data(&input)?, unchecked)
                .await
        }
        ("instance", "logs" | "execute") => streams::give_access(core, scope, row, action, &input),
        ("instance", "proxy") => proxied::give_access(core, scope, row, &input).await,
        ("instance", "remove") => {
            let (id, machine) = (row.id, core.machine_of(&row.kind)?.clone());
            let written = core.write_for(scope, move |tx| {
                let row = tx.get(id)?;
                remove_container(tx, &machine, &row)
            });
            written.await.map(|row| Answer::Accepted(Box::new(row)))
        }
        _ => core.start_action(scope, row, action, "{}".to_owned(), unchecked).await,
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(
    core: &Core,
    process: &Process,
    row: &Resource,
    keep_address: KeepAddress,
) -> Result<Outcome> {
    match process.process.as_str() {
        "instance.create" => core.create_instance(process, row).await,
        "instance.start" => core.start_instance(process, row).await,
        "instance.restart" => core.restart_instance(process, row).await,
        "instance.stop" => core.stop_instance(process, row).await,
        "instance.remove" => core.remove_instance(process, row, keep_address).await,
        "genericObject.create" => core.pull_everywhere(process, row).await,
        "volume.create" => volumes::created(row),
        "volume.deactivate" => core.deactivate_volume(process, row),
        "volume.remove" => core.remove_volume(row).await,
        _ => Ok(Outcome::done()),
    }
}
