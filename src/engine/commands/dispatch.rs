//! What a request does: create, update, remove and act, for every type alike. Here it is only said which room has the type;
//! the room chooses the noun.
//!
//! A request is checked completely before anything is written, and written in one transaction; what needs time is a
//! process that the transaction asks for.

use serde_json::Value;

use crate::engine::core::{Answer, Core, DEFAULT_PROJECT, Input, Scope, TOKEN_KIND, unchecked};
use crate::engine::{access, accounts, hosts, instances, services};
use crate::model::{Resource, ResourceId, Result, WireId};
use crate::schema::TypeView;

use super::tasks;

/// Where the code of a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Keys, passwords, secrets, registries.
    Access,
    /// People, projects, and what they keep here.
    Accounts,
    /// Drivers of networks and storage.
    Drivers,
    /// Containers and what they have.
    Instances,
    /// Services and stacks.
    Services,
    /// Hosts, agents, and how they join.
    Hosts,
    /// What the server does by itself.
    Tasks,
    /// Messages to who subscribed to events.
    Webhooks,
    /// Nowhere: the type is its schema and its machine.
    Plain,
}

impl Room {
    /// The room of rows of this root and kind.
    pub(crate) fn of(root: &str, kind: &str) -> Self {
        match (root, kind) {
            ("credential", TOKEN_KIND) | ("genericObject", "register") | ("host" | "agent", _) => Self::Hosts,
            ("credential" | "secret" | "certificate", _) | ("storagePool", "registry") => Self::Access,
            ("account" | "userPreference" | "projectTemplate" | "projectMember", _) => Self::Accounts,
            ("networkDriver" | "storageDriver" | "network", _) => Self::Drivers,
            ("instance" | "volume" | "port", _) | ("genericObject", "pullTask") => Self::Instances,
            ("service" | "stack" | "volumeTemplate" | "rollout", _) => Self::Services,
            ("task", _) => Self::Tasks,
            ("outgoingWebhook" | "webhookDelivery", _) => Self::Webhooks,
            _ => Self::Plain,
        }
    }
}

fn room_of(ty: &TypeView) -> Room {
    Room::of(&ty.def.root, &ty.def.id)
}

/// POST.
pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, input: Input) -> Result<Vec<Resource>> {
    // Whose the new row is: said by who may say it, else the caller's, else the Default project's.
    let given = input
        .get("accountId")
        .and_then(Value::as_str)
        .and_then(WireId::parse)
        .map(|w| w.id);
    let account = given.or(scope.owner()).unwrap_or(DEFAULT_PROJECT);
    let one = |row: Resource| vec![row];
    let room = match services::is_receiver(ty, &input) {
        true => Room::Services,
        false => room_of(ty),
    };
    match room {
        Room::Access => access::create(core, scope, ty, access::Owner { given, account }, input)
            .await
            .map(one),
        Room::Accounts => accounts::create(core, scope, ty, given, account, input).await.map(one),
        Room::Services => services::create(core, scope, ty, account, input).await.map(one),
        Room::Instances => instances::create(core, scope, ty, account, input).await,
        Room::Hosts => hosts::create(core, scope, ty, account, input).await.map(one),
        Room::Drivers | Room::Tasks | Room::Webhooks | Room::Plain => {
            core.create_plain(scope, &ty.def, account, input).await.map(one)
        }
    }
}

/// PUT.
pub(crate) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    id: ResourceId,
    input: Input,
) -> Result<Resource> {
    let row = core.visible(scope, ty, id)?;
    core.require(scope, &row, "update")?;
    match room_of(ty) {
        Room::Access => access::update(core, scope, ty, &row, input).await,
        Room::Accounts => accounts::update(core, scope, ty, &row, input).await,
        Room::Services => services::update(core, scope, ty, &row, input).await,
        Room::Instances => instances::update(core, scope, ty, &row, input).await,
        Room::Hosts => hosts::update(core, scope, ty, &row, input).await,
        Room::Drivers | Room::Tasks | Room::Webhooks | Room::Plain => {
            core.update_row(scope, id, input, crate::engine::core::Update::of(ty))
                .await
        }
    }
}

/// DELETE.
pub(crate) async fn delete(core: &Core, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
    let row = core.visible(scope, ty, id)?;
    core.require(scope, &row, "remove")?;
    match room_of(ty) {
        Room::Accounts => accounts::remove(core, scope, ty, &row).await,
        Room::Services => services::remove(core, scope, ty, &row).await,
        Room::Instances => instances::remove(core, scope, ty, &row).await,
        Room::Access => access::remove(core, scope, ty, &row).await,
        Room::Hosts | Room::Drivers | Room::Tasks | Room::Webhooks | Room::Plain => {
            core.remove_row(scope, &ty.def, id, unchecked).await
        }
    }
}

/// POST `?action=`.
pub(crate) async fn act(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    id: ResourceId,
    action: &str,
    input: Input,
) -> Result<Answer> {
    let row = core.visible(scope, ty, id)?;
    if !core.offers(scope.version, ty, &row, action) {
        return Err(core.refusal(scope.version, ty, &row, action));
    }
    core.require(scope, &row, action)?;
    match room_of(ty) {
        Room::Access => access::act(core, scope, &row, action, input).await,
        Room::Accounts => accounts::act(core, scope, ty, &row, action, input).await,
        Room::Services => services::act(core, scope, &row, action, input).await,
        Room::Instances => instances::act(core, scope, &row, action, input).await,
        Room::Tasks if action == "execute" => tasks::execute(core, &row).await,
        Room::Hosts => hosts::act(core, scope, &row, action).await,
        Room::Drivers | Room::Tasks | Room::Webhooks | Room::Plain => {
            core.start_action(scope, &row, action, "{}".to_owned(), unchecked).await
        }
    }
}
