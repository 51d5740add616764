//! Fields that are found in other rows: each room adds those of its own.

use crate::engine::core::{Core, Derived};
use crate::engine::{accounts, hosts, instances, services};
use crate::model::{Resource, Result};

pub(crate) fn derive(core: &Core, rows: &[&Resource]) -> Result<Derived> {
    let mut derived = Derived::new();
    services::derive(core, rows, &mut derived)?;
    instances::derive(core, rows, &mut derived)?;
    hosts::derive(core, rows, &mut derived)?;
    accounts::derive(core, rows, &mut derived)?;
    Ok(derived)
}
