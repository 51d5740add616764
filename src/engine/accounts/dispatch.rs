//! What requests and processes do to rows of this room: here the noun is chosen.

use crate::engine::core::{Answer, Core, Input, Outcome, Scope, Update, apply_update, is_project, live, unchecked};
use crate::model::{Resource, ResourceId, Result};
use crate::schema::TypeView;
use crate::store::{Changes, Process, Tx};

use super::{people, preferences, project_removal, projects};

/// `given` is the account that the body names, `account` that one or the caller's project.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    given: Option<ResourceId>,
    account: ResourceId,
    input: Input,
) -> Result<Resource> {
    match ty.def.root.as_str() {
        "account" if ty.def.id == "project" => projects::create(core, scope, ty, input).await,
        "account" => people::create(core, scope, ty, input).await,
        "userPreference" => preferences::create(core, scope, ty, given.unwrap_or(scope.user.id), input).await,
        // A person's own; public ones are there from the start.
        "projectTemplate" => {
            core.create_plain(scope, &ty.def, given.unwrap_or(scope.user.id), input)
                .await
        }
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
    let (id, update) = (row.id, Update::of(ty));
    if row.root == "userPreference" && input.contains_key("value") {
        preferences::check_value(input.get("value"))?;
    }
    if row.root != "account" {
        return core.update_row(scope, id, input, update).await;
    }
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        let kind = people::new_kind(tx, &row, &input)?;
        let row = apply_update(tx, &update, &row, &input)?;
        match kind {
            Some(_) => tx.update_if(
                &row,
                &Changes {
                    kind,
                    ..Changes::default()
                },
            ),
            None => Ok(row),
        }
    })
    .await
}

pub(crate) async fn remove(core: &Core, scope: &Scope, ty: &TypeView, row: &Resource) -> Result<Resource> {
    let id = row.id;
    match (is_project(row), ty.def.machine.clone()) {
        (true, Some(machine)) => {
            let removal = core.write_for(scope, move |tx| {
                let row = tx.get(id)?;
                people::check_leaving(tx, &row, "delete")?;
                project_removal::remove(tx, &machine, &row)
            });
            removal.await
        }
        _ => {
            core.remove_row(scope, &ty.def, id, |tx, row| people::check_leaving(tx, row, "delete"))
                .await
        }
    }
}

pub(crate) async fn act(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    action: &str,
    input: Input,
) -> Result<Answer> {
    match (row.root.as_str(), action) {
        ("account", "setmembers") => projects::set_members(core, scope, row, &input).await,
        ("account", "delete") => {
            core.require(scope, row, "remove")?;
            remove(core, scope, ty, row)
                .await
                .map(|row| Answer::Accepted(Box::new(row)))
        }
        ("account", _) => {
            let operation = action.to_owned();
            let check = move |tx: &mut Tx<'_>, row: &Resource| people::check_leaving(tx, row, &operation);
            match core.start_action(scope, row, action, "{}".to_owned(), check).await? {
                // Quirk: 200, where other actions that take time are 202 (recorded: `accounts`, `projects`).
                Answer::Accepted(row) if action == "deactivate" => Ok(Answer::Done(row)),
                other => Ok(other),
            }
        }
        _ => core.start_action(scope, row, action, "{}".to_owned(), unchecked).await,
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "account.create" => projects::created(row),
        "account.deactivate" => core.deactivate_account(process, row).await,
        "projectMember.remove" => {
            core.end_membership(row).await?;
            Ok(Outcome::done())
        }
        "account.remove" => core.remove_account_or_project(row).await,
        _ => Ok(Outcome::done()),
    }
}
