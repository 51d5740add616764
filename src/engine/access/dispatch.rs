//! What requests and processes do to rows of this room: here the noun is chosen.

use crate::engine::core::{Answer, Core, Input, Outcome, Scope, Update, unchecked};
use crate::model::{Resource, ResourceId, Result};
use crate::schema::TypeView;
use crate::store::Process;

use super::{certificates, credentials, registries};

/// Whose a new row is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    /// The account that the body names.
    pub(crate) given: Option<ResourceId>,
    /// That one, or the caller's project.
    pub(crate) account: ResourceId,
}

pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, owner: Owner, input: Input) -> Result<Resource> {
    match (ty.def.root.as_str(), ty.def.id.as_str()) {
        ("certificate", _) => certificates::create(core, scope, ty, owner.account, input).await,
        ("secret", _) => credentials::create_secret(core, scope, ty, owner.account, input).await,
        ("storagePool", _) => registries::create_registry(core, scope, ty, owner.account, input).await,
        (_, "registryCredential") => credentials::create(core, scope, ty, owner.account, input).await,
        // Whoever asks gets the key: an account its own, a project its own.
        _ => credentials::create(core, scope, ty, owner.given.unwrap_or(scope.effective.id), input).await,
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
        "credential" => credentials::update(core, scope, ty, row, input).await,
        "certificate" => certificates::update(core, scope, ty, row, input).await,
        _ => core.update_row(scope, row.id, input, Update::of(ty)).await,
    }
}

pub(crate) async fn remove(core: &Core, scope: &Scope, ty: &TypeView, row: &Resource) -> Result<Resource> {
    match row.root.as_str() {
        "certificate" => {
            core.remove_row(scope, &ty.def, row.id, certificates::check_unused)
                .await
        }
        _ => core.remove_row(scope, &ty.def, row.id, unchecked).await,
    }
}

pub(crate) async fn act(core: &Core, scope: &Scope, row: &Resource, action: &str, input: Input) -> Result<Answer> {
    match action {
        "remove" if row.root == "certificate" => {
            core.start_action(scope, row, action, "{}".to_owned(), certificates::check_unused)
                .await
        }
        "changesecret" => credentials::change_secret(core, scope, row, &input).await,
        _ => match core
            .start_action(scope, row, action, "{}".to_owned(), unchecked)
            .await?
        {
            Answer::Accepted(row) => core
                .with_registry_secret(*row)
                .map(|row| Answer::Accepted(Box::new(row))),
            other => Ok(other),
        },
    }
}

/// Runs the handler of a process. One without an entry only changes the state.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "credential.deactivate" => core.suspend_credential(row).await?,
        "credential.remove" | "secret.remove" | "certificate.remove" => core.forget_credential(row).await?,
        "storagePool.remove" => core.remove_registry(row).await?,
        _ => {}
    }
    Ok(Outcome::done())
}
