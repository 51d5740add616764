//! Which containers are probed, and what their probes said so far: the state alone, in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::launch::{HealthCheck, LaunchConfig};
use crate::model::{ResourceId, Timestamp};

/// What is remembered of one container between two probes. In memory: after a restart counting begins anew.
pub(crate) struct Watched {
    check: HealthCheck,
    next_at: Timestamp,
    /// Since when it is initializing.
    since: Timestamp,
    successes: i64,
    failures: i64,
    is_probing: bool,
}

/// Which containers are probed.
#[derive(Default)]
pub(crate) struct Monitor {
    watched: Mutex<HashMap<ResourceId, Watched>>,
}

pub(crate) fn millis(value: Option<i64>, default: u64) -> Duration {
    Duration::from_millis(
        value
            .and_then(|v| u64::try_from(v).ok())
            .filter(|v| *v > 0)
            .unwrap_or(default),
    )
}

impl Monitor {
    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to probe a container that runs, if it has a check and is not probed yet.
    pub(crate) fn watch(&self, id: ResourceId, launch: &LaunchConfig, now: Timestamp) {
        let Some(check) = launch.check() else {
            return self.forget(id);
        };
        self.lock().entry(id).or_insert(Watched {
            check,
            next_at: now,
            since: now,
            successes: 0,
            failures: 0,
            is_probing: false,
        });
    }

    /// Ends the probing that a probe was taken for; one that began anew meanwhile goes on.
    pub(crate) fn forget_taken(&self, id: ResourceId) {
        let mut all = self.lock();
        if all.get(&id).is_some_and(|w| w.is_probing) {
            all.remove(&id);
        }
    }

    /// Ends probing.
    pub(crate) fn forget(&self, id: ResourceId) {
        self.lock().remove(&id);
    }

    /// Takes what is due now; each is marked until its answer comes.
    pub(crate) fn take_due(&self, now: Timestamp) -> Vec<(ResourceId, HealthCheck)> {
        let mut due = Vec::new();
        for (id, watched) in self.lock().iter_mut() {
            if !watched.is_probing && watched.next_at <= now {
                watched.is_probing = true;
                watched.next_at = now.plus(millis(watched.check.interval, 2_000));
                due.push((*id, watched.check.clone()));
            }
        }
        due
    }

    /// When the next probe is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.lock().values().filter(|w| !w.is_probing).map(|w| w.next_at).min()
    }

    /// Counts an answer; says whether a threshold is reached, and since when it has been watched.
    pub(crate) fn count(&self, id: ResourceId, up: bool) -> Option<Verdict> {
        let mut all = self.lock();
        let watched = all.get_mut(&id)?;
        watched.is_probing = false;
        if up {
            (watched.successes, watched.failures) = (watched.successes + 1, 0);
        } else {
            (watched.successes, watched.failures) = (0, watched.failures + 1);
        }
        Some(Verdict {
            is_up: up && watched.successes >= watched.check.healthy_threshold.unwrap_or(2).max(1),
            is_down: !up && watched.failures >= watched.check.unhealthy_threshold.unwrap_or(3).max(1),
            since: watched.since,
        })
    }

    /// An answer that says nothing about the container.
    pub(crate) fn skip(&self, id: ResourceId) {
        if let Some(watched) = self.lock().get_mut(&id) {
            watched.is_probing = false;
        }
    }
}

pub(crate) struct Verdict {
    pub(crate) is_up: bool,
    pub(crate) is_down: bool,
    pub(crate) since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_came_too_early_does_not_end_what_began_after_it() {
        let monitor = Monitor::default();
        let check = HealthCheck {
            port: Some(80),
            ..HealthCheck::default()
        };
        let launch = LaunchConfig {
            health_check: Some(check),
            ..LaunchConfig::default()
        };
        let (id, now) = (ResourceId(1), Timestamp(0));
        monitor.watch(id, &launch, now);
        assert_eq!(monitor.take_due(now).len(), 1);
        // It starts anew while the probe is on its way, and the probe finds a row that does not run yet.
        monitor.forget(id);
        monitor.watch(id, &launch, now);
        monitor.forget_taken(id);
        assert_eq!(monitor.take_due(now).len(), 1, "it is probed all the same");
        // Being seen to run again changes nothing of what is counted.
        assert!(monitor.count(id, true).is_some_and(|v| !v.is_up));
        monitor.watch(id, &launch, now);
        assert!(monitor.count(id, true).is_some_and(|v| v.is_up));
        // And what does not run any more is not probed for ever.
        assert_eq!(monitor.take_due(Timestamp(5_000)).len(), 1);
        monitor.forget_taken(id);
        assert_eq!(monitor.next_at(), None);
    }

    #[test]
    fn thresholds_count_in_a_row() {
        let monitor = Monitor::default();
        let check = HealthCheck {
            port: Some(80),
            healthy_threshold: Some(2),
            unhealthy_threshold: Some(2),
            ..HealthCheck::default()
        };
        let launch = LaunchConfig {
            health_check: Some(check),
            ..LaunchConfig::default()
        };
        let id = ResourceId(1);
        monitor.watch(id, &launch, Timestamp(0));
        let count = |up| monitor.count(id, up).map(|v| (v.is_up, v.is_down));
        let answers = [true, false, true, true, false, false].map(count);
        assert_eq!(
            answers.map(|a| a.unwrap_or_default()),
            [
                (false, false),
                (false, false),
                (false, false),
                (true, false),
                (false, false),
                (false, true)
            ]
        );
        monitor.forget(id);
        assert!(count(true).is_none());
    }
}
