//! Which rows are which: the accounts that are there from the start, and what a row's own columns tell.

use crate::model::{Resource, ResourceId};

/// The account of the first admin.
pub const ADMIN: ResourceId = ResourceId(1);

/// The account of what the server does by itself.
pub const SYSTEM: ResourceId = ResourceId(2);

/// The account that may do everything.
pub const SUPERADMIN: ResourceId = ResourceId(3);

/// Who has not logged in yet.
pub const TOKEN: ResourceId = ResourceId(4);

/// Programs beside the server.
pub const SERVICE: ResourceId = ResourceId(6);

/// Who holds a registration token.
pub const REGISTER: ResourceId = ResourceId(7);

/// The Default project, `1a5`.
pub const DEFAULT_PROJECT: ResourceId = ResourceId(5);

/// Whether an account is a project.
pub(crate) fn is_project(row: &Resource) -> bool {
    row.kind == "project" && row.root == "account"
}

/// Whether a row is a registration token: only who could use it sees it.
pub(crate) fn is_token(row: &Resource) -> bool {
    row.root == "credential" && row.kind == TOKEN_KIND
}

/// The kind of a token's credential.
pub(crate) const TOKEN_KIND: &str = "registrationToken";

/// Whether a host is the simulator.
pub(crate) fn is_sim(row: &Resource) -> bool {
    row.internal.contains("\"runtime\":\"sim\"")
}

/// The kind of a simulated engine.
pub(crate) const SIM_RUNTIME: &str = "sim";

/// States in which a service counts as up.
pub(crate) fn is_active_like(state: &str) -> bool {
    matches!(
        state,
        "activating"
            | "active"
            | "updating-active"
            | "upgrading"
            | "upgraded"
            | "finishing-upgrade"
            | "canceling-upgrade"
            | "canceled-upgrade"
            | "rolling-back"
            | "canceling-rollback"
            | "canceled-rollback"
            | "restarting"
    )
}

/// Whether an account, or a project, may be used: also while it is being changed.
pub(crate) fn is_usable(row: &Resource) -> bool {
    row.root == "account"
        && row.removed.is_none()
        && matches!(row.state.as_str(), "active" | "upgrading" | "updating-active")
}
