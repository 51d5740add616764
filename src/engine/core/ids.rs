//! Which rows are which: the accounts that are there from the start, and what a row's own columns tell.

use crate::model::launch::parse_reference;
use crate::model::{Fields, Resource, ResourceId, State};

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

/// The field of a part that names the service whose ports it publishes. No view shows it.
pub(crate) const MESH_OF: &str = "meshOf";
/// The field of a part that names the service together with which it was made. No view shows it.
pub(crate) const PART_OF: &str = "partOf";
/// The fields of parts, each of which says what for.
pub(crate) const PARTS: [&str; 2] = [MESH_OF, PART_OF];

/// The service whose ports of the mesh a row publishes; none if it is anything else.
pub(crate) fn publishes_for(row: &Resource) -> Option<ResourceId> {
    named_as_whole(row, MESH_OF)
}

/// The service of which a row is a part; none if it is there for itself.
pub(crate) fn whole_of(row: &Resource) -> Option<ResourceId> {
    PARTS.iter().find_map(|field| named_as_whole(row, field))
}

fn named_as_whole(row: &Resource, field: &str) -> Option<ResourceId> {
    let can_be = matches!(row.kind.as_str(), "loadBalancerService" | "certificate");
    // Most of these are parts of nothing, and reading their fields would be most of the work.
    if !can_be || !row.fields.contains(&format!("\"{field}\":\"")) {
        return None;
    }
    let wire = Fields::parse(&row.fields).ok()?.text(field)?;
    parse_reference(&wire)
}

/// States in which a service counts as up.
pub(crate) fn is_active_like(state: State) -> bool {
    matches!(
        state,
        State::ACTIVATING
            | State::ACTIVE
            | State::UPDATING_ACTIVE
            | State::UPGRADING
            | State::UPGRADED
            | State::FINISHING_UPGRADE
            | State::CANCELING_UPGRADE
            | State::CANCELED_UPGRADE
            | State::ROLLING_BACK
            | State::CANCELING_ROLLBACK
            | State::CANCELED_ROLLBACK
            | State::RESTARTING
    )
}

/// Whether an account, or a project, may be used: also while it is being changed.
pub(crate) fn is_usable(row: &Resource) -> bool {
    row.root == "account"
        && row.removed.is_none()
        && matches!(row.state, State::ACTIVE | State::UPGRADING | State::UPDATING_ACTIVE)
}

/// A uuid that follows from these bytes: the same whenever it is made again.
pub(crate) fn stable_uuid(bytes: impl Iterator<Item = u8>) -> String {
    // FNV-1a, 128 bits: stable over versions, and as unlikely to meet another as a random one.
    let hash = bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    uuid::Builder::from_random_bytes(hash.to_be_bytes())
        .into_uuid()
        .to_string()
}
