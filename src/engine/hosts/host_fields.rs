//! Fields of hosts, registrations and tokens that are found in other rows.

use crate::engine::core::{Core, Derived, add_ids, of_root};
use crate::model::{Resource, Result};

/// The computed fields of what this room has.
pub(crate) fn derive(core: &Core, rows: &[Resource], derived: &mut Derived) -> Result<()> {
    let hosts = of_root(rows, "host");
    if !hosts.is_empty() {
        let on = core.store.on_hosts(&hosts, "instance")?;
        let pairs = on.into_iter().filter_map(|s| Some((s.host_id?, s.id))).collect();
        add_ids(derived, "instanceIds", &hosts, core.grouped(pairs, "container"));
    }
    core.derive_registrations(rows, derived)?;
    core.derive_tokens(rows, derived)
}
