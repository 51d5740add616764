//! What requests and processes do to rows of this room: here the noun is chosen.

use crate::engine::core::{Answer, Core, Input, Outcome, Scope, Update};
use crate::engine::drivers;
use crate::engine::instances::check_own_key;
use crate::model::{Resource, ResourceId, Result};
use crate::schema::TypeView;
use crate::store::{Process, Tx};

use super::{
    balancing, balancing_of_v1, files, links, names, rebalance, receiving, service, shared_volumes, stack, upgrade,
};

pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: Input,
) -> Result<Resource> {
    match ty.def.root.as_str() {
        "service" => service::create(core, scope, ty, account, input).await,
        "volumeTemplate" => shared_volumes::create(core, scope, ty, account, &input).await,
        "genericObject" => receiving::create(core, scope, ty, account, &input).await,
        _ => stack::create(core, scope, ty, account, input).await,
    }
}

pub(crate) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    mut input: Input,
) -> Result<Resource> {
    if row.root == "service" {
        balancing_of_v1::settle(&row.kind, Some(row), &mut input)?;
        core.apply_image_rules(&mut input)?;
        core.check_host_use(row.account_id, &input)?;
        balancing::check_references(&input, row.account_id, |id| core.store.find(id))?;
        check_own_key(scope, &input)?;
    }
    let input = match row.root.as_str() {
        "service" => service::check_update(row, input)?,
        "stack" => stack::check_name(input)?,
        _ => input,
    };
    core.update_row(scope, row.id, input, Update::of(ty).named_by(names::check_name_free))
        .await
}

pub(crate) async fn remove(core: &Core, scope: &Scope, ty: &TypeView, row: &Resource) -> Result<Resource> {
    let users = core.driver_users()?;
    core.remove_row(scope, &ty.def, row.id, move |tx, row| {
        drivers::check_unused(tx, &users, row)
    })
    .await
}

pub(crate) async fn act(core: &Core, scope: &Scope, row: &Resource, action: &str, input: Input) -> Result<Answer> {
    if row.root == "service"
        && action.ends_with("servicelink") | action.ends_with("servicelinks")
        && let Some(answer) = balancing_of_v1::act(core, scope, row, action, &input).await?
    {
        return Ok(answer);
    }
    match (row.root.as_str(), action) {
        ("service", "upgrade") => upgrade::accept(core, scope, row, input).await,
        ("service", "continueupgrade") => upgrade::go_on(core, scope, row).await,
        ("service", "rollback") => upgrade::roll_back(core, scope, row).await,
        ("service", "rebalance") => rebalance::begin(core, scope, row, &input).await,
        ("service", "restart") => service::restart(core, scope, row, input).await,
        ("service", "addservicelink") => links::add(core, scope, row, &input).await,
        ("service", "removeservicelink") => links::remove(core, scope, row, &input).await,
        ("service", "setservicelinks") => links::set(core, scope, row, &input).await,
        ("stack", "activateservices") => stack::activate_services(core, scope, row).await,
        ("stack", "deactivateservices") => stack::deactivate_services(core, scope, row).await,
        ("stack", "upgrade") => files::accept(core, scope, row, input).await,
        ("stack", "exportconfig") => files::config_of(core, row, &input),
        ("stack", "addoutputs") => stack::add_outputs(core, scope, row, &input).await,
        _ => {
            let users = core.driver_users()?;
            let goes = matches!(action, "remove" | "deactivate");
            let check = move |tx: &mut Tx<'_>, row: &Resource| {
                if goes {
                    drivers::check_unused(tx, &users, row)
                } else {
                    Ok(())
                }
            };
            core.start_action(scope, row, action, "{}".to_owned(), check).await
        }
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "service.create" => core.create_service(process, row).await,
        "service.activate"
        | "service.update"
        | "service.upgrade"
        | "service.continueupgrade"
        | "service.rollback"
        | "service.finishupgrade"
        | "service.restart"
        | "service.deactivate" => core.reconcile_service(process, row).await,
        "service.remove" => core.remove_service(process, row).await,
        "rollout.create" => core.run_rollout(process, row).await,
        "stack.create" => core.create_stack(process, row).await,
        "stack.error" => Ok(files::failed(process)),
        "stack.upgrade" => core.upgrade_stack(process, row).await,
        "stack.finishupgrade" => core.finish_stack(process, row).await,
        "stack.rollback" => core.roll_stack_back(process, row).await,
        "stack.remove" => core.remove_stack(process, row).await,
        _ => Ok(Outcome::done()),
    }
}

/// Looks at a row that was woken: rolls up, and starts what has to be started.
pub(crate) async fn look_at(core: &Core, row: &Resource) -> Result<()> {
    match row.root.as_str() {
        "service" => core.look_at_service(row).await,
        "stack" => core.look_at_stack(row).await,
        _ => Ok(()),
    }
}
