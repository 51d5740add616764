//! What is said of writes: who waits for one, and what follows from it.

use std::sync::Arc;

use crate::model::{ResourceId, Timestamp};

/// Whose write it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A client waits for it.
    Request,
    /// The engine's own.
    Background,
}

/// What is to be looked at after a commit. Carries a key, never the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wake {
    /// This process may run from then on.
    Process {
        /// The row in `process_instance`.
        id: i64,
        /// Not before.
        at: Timestamp,
        /// The number of the account that it is done for, 0 if there is none; nothing if whoever wakes it does not know.
        account: Option<i64>,
    },
    /// Something about this resource changed that its owner should look at.
    Resource(ResourceId),
    /// Who may ask for what changed: what was worked out about it is no longer true.
    Access,
    /// The outbox has grown.
    Outbox,
}

/// A test's way to die at a chosen commit: asked before each, `true` means that it and everything after is lost.
pub type WriteFault = Arc<dyn Fn() -> bool + Send + Sync>;
