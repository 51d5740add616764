//! What is there, as the rows say.

use super::*;

/// What is there now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Every not removed instance that the service made (managed or parked), in any order.
    pub instances: Vec<Instance>,
    /// All hosts of the project.
    pub hosts: Vec<Host>,
    /// Hosts that have something of a unit that does not go along, by the index of the unit.
    pub homes: BTreeMap<u32, ResourceId>,
    /// When the last batch of the running upgrade or restart was begun.
    pub last_batch_at: Option<Timestamp>,
    /// What is known of the running upgrade.
    pub trial: Trial,
}

/// What is known of an upgrade, or of a rollback, that is guarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// The highest create index before it: what has a higher one came with it.
    pub from: i64,
    /// When it began, if it leads back: what was started since came back with it.
    pub since: Option<Timestamp>,
    /// The indexes of units in which something new failed.
    pub failed: BTreeSet<u32>,
    /// Whether it was told to go on after its canary.
    pub is_released: bool,
}

impl Trial {
    /// Whether an instance is on trial: it came with the upgrade, or came back, or was to and could not.
    pub fn has(&self, create_index: i64, up_since: Option<Timestamp>, failed_at: Option<Timestamp>) -> bool {
        let is_later = |at: Option<Timestamp>| self.since.is_some_and(|since| at.is_some_and(|at| at >= since));
        create_index > self.from || is_later(up_since) || is_later(failed_at)
    }
}

/// One container of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its row.
    pub id: ResourceId,
    /// The unit it belongs to.
    pub unit: String,
    /// The unit's index: the `n` of the name.
    pub index: u32,
    /// Which launch configuration made it (none: the primary).
    pub config: Option<String>,
    /// The version of that configuration when it was made.
    pub version: String,
    /// Whether it counts (managed) or was put aside by an upgrade (managed=false, upgrade=true).
    pub is_parked: bool,
    /// What its row says.
    pub state: InstanceState,
    /// Its `healthState`; none counts as healthy.
    pub health: Health,
    /// The host it was placed on.
    pub host: Option<ResourceId>,
    /// Grows with each instance of the service.
    pub create_index: i64,
    /// How often it was started.
    pub start_count: i64,
    /// When it last started, as far as it is known.
    pub up_since: Option<Timestamp>,
    /// How often in a row it ended by itself soon after a start.
    pub exits: u32,
    /// When it last ended by itself.
    pub exited_at: Option<Timestamp>,
    /// How that went.
    pub exit_code: Option<i64>,
    /// How often it was started again after such an end.
    pub restarts: Restarts,
    /// How often in a row one in its place could not be started at all, itself included.
    pub failures: u32,
    /// When it was given up.
    pub failed_at: Option<Timestamp>,
}

/// Whoever ran so long does not exit at once any more.
pub const STEADY: Duration = Duration::from_secs(10);

/// The longest wait before one that keeps exiting is started again.
const LONGEST_WAIT_SECONDS: u64 = 120;

impl Instance {
    /// From when on it counts as staying up: at once, unless it exited soon after its last start.
    pub fn steady_at(&self) -> Option<Timestamp> {
        self.up_since.filter(|_| self.exits > 0).map(|up| up.plus(STEADY))
    }

    /// Whether it runs, but exited again and again and may do so soon.
    pub fn is_shaky(&self, now: Timestamp) -> bool {
        self.state == InstanceState::Running && self.steady_at().is_some_and(|at| at > now)
    }

    /// When it last ended by itself, if it was not started since.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.exited_at.filter(|at| self.up_since.is_none_or(|up| *at >= up))
    }

    /// When it may be started again.
    pub fn restart_at(&self, rule: &RestartRule) -> Option<Timestamp> {
        match rule.delay {
            Some(delay) => self.ended_at().map(|at| at.plus(delay)),
            None => after(self.exited_at?, self.exits),
        }
    }

    /// When another one may be made in its place, as it could not be started.
    pub fn remake_at(&self) -> Option<Timestamp> {
        after(self.failed_at?, self.failures)
    }
}

/// When it is tried again after so many times: after the first at once, then after one second, two, four ….
fn after(last: Timestamp, times: u32) -> Option<Timestamp> {
    let doublings = times.checked_sub(2)?;
    let seconds = 1_u64.checked_shl(doublings).unwrap_or(LONGEST_WAIT_SECONDS);
    Some(last.plus(Duration::from_secs(seconds.min(LONGEST_WAIT_SECONDS))))
}

/// The states of an instance, as far as planning goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceState {
    /// requested, creating, starting, restarting: on its way up by itself.
    Starting,
    /// running, updating-running, migrating.
    Running,
    /// On its way down.
    Stopping,
    /// stopped, updating-stopped.
    Stopped,
    /// erroring, error: broken for good.
    Broken,
    /// removing; treat it as gone, but wait for it where its name or port is needed.
    Removing,
}

/// The health of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// No health check.
    None,
    /// healthy, updating-healthy.
    Healthy,
    /// initializing, reinitializing and their updating- forms.
    Initializing,
    /// unhealthy, updating-unhealthy.
    Unhealthy,
}

/// A place to run units.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its row.
    pub id: ResourceId,
    /// Whether it takes `sim:` images (and nothing else).
    pub is_sim: bool,
    /// active: new units may be placed here.
    pub is_active: bool,
    /// removing or removed: its units are lost.
    pub is_gone: bool,
    /// disconnected: work there waits, nothing there is replaced.
    pub is_disconnected: bool,
    /// It is gone, and what is on it cannot be asked to go: nobody knows how long its names are taken.
    pub is_lost: bool,
    /// Host labels, for affinity.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Live instances on it, of all services and of none.
    pub live_instances: u32,
    /// Ports bound on it by running instances **of others** than this service.
    pub bound_ports: Vec<PortSpec>,
    /// Containers of others on it: name and labels, for container affinity.
    pub neighbours: Vec<Neighbour>,
    /// Bytes free to reserve; none is unlimited.
    pub free_memory: Option<i64>,
    /// Thousandths of a core free to reserve; none is unlimited.
    pub free_milli_cpu: Option<i64>,
}

/// A container of somebody else on a host, as far as affinity goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}
