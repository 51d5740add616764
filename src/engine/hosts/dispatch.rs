//! What requests and processes do to rows of this room: here the noun is chosen.

use serde_json::Value;

use crate::engine::core::{Answer, Core, Input, Outcome, Scope, Update, apply_update, live, unchecked};
use crate::engine::instances::give_docker_socket;
use crate::engine::{access, labels};
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::schema::TypeView;
use crate::store::Process;

use super::availability::ask;
use super::{added, agents, registration};

pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: Input,
) -> Result<Resource> {
    match ty.def.root.as_str() {
        "agent" => agents::create(core, scope, ty, &input).await,
        "credential" => registration::create_token(core, scope, ty, account, &input).await,
        "genericObject" => registration::register(core, scope, ty, account, &input).await,
        "host" => added::create(core, scope, &ty.def, account, input).await,
        _ => core.create_plain(scope, &ty.def, account, input).await,
    }
}

pub(crate) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    input: Input,
) -> Result<Resource> {
    match row.root.as_str() {
        "credential" => access::update(core, scope, ty, row, input).await,
        "host" => update_host(core, scope, ty, row, input).await,
        _ => {
            if row.root == "agent" {
                agents::check_update(row, &input)?;
            }
            core.update_row(scope, row.id, input, Update::of(ty)).await
        }
    }
}

/// A host's labels decide what may run on it: whoever runs there is looked at afterwards.
async fn update_host(core: &Core, scope: &Scope, ty: &TypeView, row: &Resource, mut input: Input) -> Result<Resource> {
    let space = input.get("localStorageMb").filter(|v| !v.is_null());
    if space.is_some() && space != Fields::parse(&row.fields)?.read::<Value>("localStorageMb")?.as_ref() {
        return Err(Error::not_implemented("localStorageMb is not part of this build").with_field("localStorageMb"));
    }
    if let Some(written) = added::update(core, scope, ty, row, &mut input).await? {
        return Ok(written);
    }
    let (id, update, label) = (row.id, Update::of(ty), core.type_of("label")?.clone());
    let written = core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        let row = apply_update(tx, &update, &row, &input)?;
        labels::tie_host(tx, &label, &row)?;
        Ok(row)
    });
    let written = written.await?;
    core.look_at_all(written.account_id)?;
    Ok(written)
}

pub(crate) async fn act(core: &Core, scope: &Scope, row: &Resource, action: &str) -> Result<Answer> {
    if row.root == "host" && action == "dockersocket" {
        return give_docker_socket(core, scope, row).await;
    }
    match (row.root.as_str(), action) {
        // What leaves a host is not waited for.
        ("host", "evacuate") => Ok(Answer::Done(Box::new(ask(core, scope, row, action, None).await?))),
        ("host", "activate" | "deactivate") => {
            Ok(Answer::Accepted(Box::new(ask(core, scope, row, action, None).await?)))
        }
        _ => core.start_action(scope, row, action, "{}".to_owned(), unchecked).await,
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "host.create" => core.create_host(row).await,
        "host.deactivate" => Ok(core.deactivate_host(process)),
        "host.evacuate" => core.evacuate_host(process, row).await,
        "host.remove" => match core.remove_host(row).await? {
            Outcome::Done(mut changes) => {
                changes.patch.set("agentState", "removed")?;
                Ok(Outcome::Done(changes))
            }
            other => Ok(other),
        },
        "agent.activate" => core.activate_agent(row).await,
        "agent.disconnect" => core.sync_hosts(row).await.map(|()| Outcome::done()),
        "agent.reconnect" => core.reconnect_agent(row).await,
        "agent.finishreconnect" => core.finish_reconnect(row).await,
        "agent.deactivate" => Ok(core.deactivate_agent(process, row)),
        "agent.remove" => core.remove_agent(row).await,
        "genericObject.create" => core.create_registration(row).await,
        "credential.remove" => access::handle(core, process, row).await,
        _ => Ok(Outcome::done()),
    }
}

/// Looks at a row that was woken.
pub(crate) async fn look_at(core: &Core, row: &Resource) -> Result<()> {
    match row.root.as_str() {
        // All that may run there.
        "host" => core.look_at_project(row.account_id, core.now()),
        "agent" => core.sync_hosts(row).await,
        _ => Ok(()),
    }
}
