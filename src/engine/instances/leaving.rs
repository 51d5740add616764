//! Containers that balancers send requests to, and that are to be stopped: they are left first.

use std::time::Duration;

use crate::engine::core::{Core, Outcome, Use, notes};
use crate::model::{Resource, Timestamp};
use crate::runtime::Runtime;
use crate::store::Process;

use super::container_rows::InstanceNotes;

/// Before it is looked again whether everybody has left, in case nobody says so.
const LOOK: Duration = Duration::from_secs(2);

/// How long balancers may take to be told, beside the time for connections to end. One that does not answer keeps nobody from
/// stopping.
const TELLING: Duration = Duration::from_secs(10);

/// The shortest time for connections to end, and the longest. The shortest is for requests that are on their way when the stop is
/// asked for: without it each rolling upgrade would cut some of them off.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Core {
    /// What a stop waits for: that no balancer sends anybody there, and, for as long as its launch configuration says and a moment
    /// at least, that connections end. Nothing if it may go on. The time is counted from when the stop was asked for, so that it
    /// goes on when the server was away.
    pub(super) fn leave_balancers(&self, process: &Process, row: &Resource, runtime: &dyn Runtime) -> Option<Outcome> {
        let (Some(project), Some(host)) = (row.account_id, row.host_id) else {
            return None;
        };
        if !runtime.capabilities().balancers {
            return None;
        }
        let drains = drain_time(&notes(row));
        let waited = self.now().since(Timestamp(process.started_ms));
        if waited > drains + TELLING {
            log::warn!("{} stops, though a balancer may still send requests there", row.name);
            return None;
        }
        self.balancers.wait_for(&row.uuid, process.id);
        match self.balancers.use_of(project, host, &row.uuid) {
            Use::Free => return None,
            Use::Draining(connections) if connections == 0 || waited >= drains => {
                self.balancers.release(project, &row.uuid);
            }
            Use::Held if waited >= drains => self.balancers.release(project, &row.uuid),
            Use::Draining(_) | Use::Held => {}
        }
        // When the time is up it is looked, too, and when the patience is over.
        let end = if waited < drains { drains } else { drains + TELLING };
        let wait = (end.saturating_sub(waited) + Duration::from_millis(1)).min(LOOK);
        Some(Outcome::Again(wait, "Waiting for its balancers to leave it".into()))
    }
}

/// How long connections may take to end.
fn drain_time(note: &InstanceNotes) -> Duration {
    Duration::from_millis(u64::from(note.drain_ms)).clamp(SHORTEST, LONGEST)
}
