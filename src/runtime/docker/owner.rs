//! For whom engines run containers, and whether they may be asked for anything now.

use crate::model::Lease;
use crate::runtime::{Error, Result};

/// For whom an engine runs containers.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The identity of the database, which is on all that is made.
    pub server_uuid: &'a str,
    /// As long as it is good, the engine is asked for something.
    pub lease: &'a Lease,
}

impl<'a> Owner<'a> {
    /// A server that shares its database with nobody.
    pub fn alone(server_uuid: &'a str) -> Self {
        static UNLIMITED: Lease = Lease::unlimited();
        let lease = &UNLIMITED;
        Self { server_uuid, lease }
    }
}

/// Of several servers only the one that leads asks engines for anything; one that stood still may find that it led.
pub(super) fn check_lease(lease: &Lease) -> Result<()> {
    match lease.holds() {
        true => Ok(()),
        false => Err(Error::Unreachable("this server does not lead at the moment".to_owned())),
    }
}
