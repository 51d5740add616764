//! What a plan consists of.

use super::*;

/// The next steps, and how things stand.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// To be requested now, in this order, in one transaction.
    pub steps: Vec<Step>,
    /// How things stand.
    pub verdict: Verdict,
    /// Plan again after this even if nothing changes (a batch interval).
    pub wake_after: Option<Duration>,
    /// A host that does not answer, and that something of this waits for.
    pub held_by: Option<ResourceId>,
    /// How much of a thing that goes in batches is done, in per cent.
    pub progress: Option<i32>,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is left to do.
    Converged,
    /// Something is under way; the sentence becomes the `transitioningMessage`.
    Working(String),
    /// Nothing can be done before the world changes; the sentence says why.
    Stuck(String),
    /// An upgrade goes no further until somebody decides; the sentence says what about.
    Held(String),
    /// An upgrade failed, and is to be rolled back; the sentence says why.
    GivenUp(String),
}

/// One request to be written. Complete: who carries it out decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new instance, started once created.
    Create {
        /// The unit's uuid; a new unit's is `new-<index>`-like and replaced consistently by the executor.
        unit: UnitId,
        /// The unit's index.
        index: u32,
        /// Which configuration (none: primary).
        config: Option<String>,
        /// Its version.
        version: String,
        /// Where.
        host: ResourceId,
        /// The container's name.
        name: String,
    },
    /// Start a stopped one.
    Start(ResourceId),
    /// Stop a running one.
    Stop(ResourceId),
    /// Remove one (stopping it first if need be).
    Remove {
        /// Which.
        id: ResourceId,
        /// For the service log.
        why: Why,
    },
    /// Put aside: managed=false, upgrade=true.
    Park(ResourceId),
    /// Take back: managed=true, upgrade=false.
    Unpark(ResourceId),
    /// A batch begins now (sets `last_batch_at`).
    BeginBatch,
    /// Something new in a unit failed: to be remembered for as long as the upgrade runs.
    NoteFailed {
        /// The unit's index.
        unit: u32,
        /// What failed.
        id: ResourceId,
    },
}

/// A unit that exists, or one that the plan makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitId {
    /// The unit with this uuid.
    Known(String),
    /// A new unit; equal numbers in one plan are the same unit.
    New(u32),
}

/// Why an instance is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// In error, or its host is gone.
    Broken,
    /// Unhealthy for good.
    Unhealthy,
    /// It depends on something that has to be made anew.
    Dependent,
    /// More than wanted.
    Surplus,
    /// Kept by an upgrade that is now finished or rolled back.
    Upgraded,
    /// The service is removed.
    Removed,
}
