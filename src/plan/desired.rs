//! What a service is to look like.

use super::*;

/// What is wanted of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The stack's name, for container names and affinity macros.
    pub stack: String,
    /// The service's name.
    pub service: String,
    /// What the service's state asks for.
    pub goal: Goal,
    /// How many units.
    pub scale: Scale,
    /// The primary first (its `name` is none), then the sidekicks. Empty: a service without containers of its own.
    pub configs: Vec<UnitConfig>,
    /// Replacing unhealthy units, from the primary's health check.
    pub health: HealthStrategy,
    /// Whether units that run move, until each host has its share.
    pub moves: Moves,
    /// Between name parts: `-` (or `_` for old habits).
    pub divider: char,
}

impl Desired {
    /// How units move, as far as the goal lets them.
    pub(super) fn moving(&self) -> Moves {
        match self.goal {
            Goal::Run => self.moves,
            _ => Moves::Stay,
        }
    }
}

/// How many units a service is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// So many, anywhere.
    Units(u32),
    /// One on each eligible host.
    Global,
}

/// Whether, and how, units move to hosts that have fewer of the service. Only [`Goal::Run`] moves any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// They stay where they are.
    Stay,
    /// One at a time; its successor serves before it goes.
    StartFirst,
    /// One at a time; it goes first, because its successor gets what only one can have.
    StopFirst,
}

/// What the service's state asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Activating, active, updating-active: everything up, nothing outdated is touched.
    Run,
    /// Upgrading (also after continue): replace in batches, keep the old ones stopped.
    Upgrade(Batches),
    /// Rolling back: the kept ones come back, the new ones are removed. No waiting for health, unless they are watched.
    Rollback(Batches),
    /// Finishing an upgrade: run it to its end, then remove what was kept.
    FinishUpgrade(Batches),
    /// Restarting in batches of units; an instance whose start count differs from the recorded one is done.
    Restart {
        /// Batch size and interval.
        batches: Batches,
        /// Start count of each instance when the restart was asked for.
        start_counts: BTreeMap<ResourceId, i64>,
    },
    /// Cancelled, upgraded or inactive: nothing at all.
    Hold,
    /// Deactivating: everything stopped, nothing removed.
    Stop,
    /// Removing: everything removed, also what was kept. Adopted containers stay.
    Remove,
}

/// How an upgrade proceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// Units at a time, at least one.
    pub size: u32,
    /// The wait between two batches.
    pub interval: Duration,
    /// New ones up before old ones are stopped.
    pub start_first: bool,
    /// What holds it up on the way.
    pub guard: Guard,
}

/// What an upgrade or a rollback watches over, and where it stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// What is done when too many new units fail.
    pub on_failure: OnFailure,
    /// How long a new instance has to stay up before the next batch.
    pub monitor: Duration,
    /// How many units may fail, in millionths of all.
    pub tolerated_ppm: u32,
    /// So many units first, and then a stop until somebody lets it go on; 0 for no such stop.
    pub canary: u32,
}

impl Guard {
    /// Nothing is watched over: what fails is tried again, for as long as it takes.
    pub const NONE: Self = Self {
        on_failure: OnFailure::Continue,
        monitor: Duration::ZERO,
        tolerated_ppm: 0,
        canary: 0,
    };
}

/// What an upgrade does when too many new units fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It tries them again.
    Continue,
    /// No further batch begins.
    Pause,
    /// It is given up, for a rollback.
    RollBack,
}

/// One launch configuration, as far as planning goes.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitConfig {
    /// None for the primary.
    pub name: Option<String>,
    /// Equal to an instance's version: that instance is current.
    pub version: String,
    /// A `sim:` image: only on simulated hosts; all others only on Docker hosts.
    pub is_sim: bool,
    /// Runs once; a stopped one that ran is as good as running.
    pub start_once: bool,
    /// What becomes of those that ended by themselves.
    pub restarts: RestartRule,
    /// Whether instances have to become healthy.
    pub health_checked: bool,
    /// The configuration whose network namespace it joins (none of its own; `Some(None)` is the primary).
    pub network_from: Option<Option<String>>,
    /// The configurations whose volumes it mounts (`None` is the primary).
    pub volumes_from: Vec<Option<String>>,
    /// Ports it publishes on its host.
    pub host_ports: Vec<PortSpec>,
    /// Its labels, for affinity rules of this unit and of others.
    pub labels: BTreeMap<String, String>,
    /// The host asked for by `requestedHostId`; overrides scheduling and the host's state.
    pub requested_host: Option<ResourceId>,
    /// Bytes to reserve, 0 for none.
    pub memory_reservation: i64,
    /// Thousandths of a core to reserve, 0 for none.
    pub milli_cpu_reservation: i64,
}

/// What to do with an unhealthy unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStrategy {
    /// Keep it.
    None,
    /// Remove and create it again.
    Recreate,
    /// The same, but only while at least so many units are healthy.
    RecreateOnQuorum(u32),
}

impl HealthStrategy {
    /// From a health check's `strategy`; recreate is the default.
    pub fn of(check: Option<&HealthCheck>) -> Self {
        match check.and_then(|c| c.strategy.as_deref()) {
            Some("none") => Self::None,
            Some("recreateOnQuorum") => {
                let quorum = check
                    .and_then(|c| c.recreate_on_quorum_strategy_config.as_ref())
                    .and_then(|q| q.quorum)
                    .unwrap_or(1);
                Self::RecreateOnQuorum(u32::try_from(quorum).unwrap_or(1))
            }
            _ => Self::Recreate,
        }
    }
}
