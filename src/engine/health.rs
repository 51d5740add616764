//! Health checks: which containers are probed, when, and what the answers mean.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::launch::{HealthCheck, LaunchConfig};
use crate::model::{Fields, Resource, ResourceId, Result, Timestamp};
use crate::runtime::{Probe, ProbeResult};
use crate::store::Changes;

use super::commands::remove_container;
use super::core::Core;
use super::instance::launch_of;

/// What is remembered of one container between two probes. In memory: after a restart counting begins anew.
struct Watched {
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

fn millis(value: Option<i64>, default: u64) -> Duration {
    Duration::from_millis(value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default))
}

impl Monitor {
    fn lock(&self) -> MutexGuard<'_, HashMap<ResourceId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to probe a container that started, if it has a check.
    pub(crate) fn watch(&self, id: ResourceId, launch: &LaunchConfig, now: Timestamp, has_check: bool) {
        match launch.health_check.clone().filter(|_| has_check) {
            Some(check) => {
                let watched = Watched { check, next_at: now, since: now, successes: 0, failures: 0, is_probing: false };
                self.lock().insert(id, watched);
            }
            None => self.forget(id),
        }
    }

    /// Ends probing.
    pub(crate) fn forget(&self, id: ResourceId) {
        self.lock().remove(&id);
    }

    /// Takes what is due now; each is marked until its answer comes.
    fn take_due(&self, now: Timestamp) -> Vec<(ResourceId, HealthCheck)> {
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
    fn count(&self, id: ResourceId, up: bool) -> Option<Verdict> {
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
    fn skip(&self, id: ResourceId) {
        if let Some(watched) = self.lock().get_mut(&id) {
            watched.is_probing = false;
        }
    }
}

struct Verdict {
    is_up: bool,
    is_down: bool,
    since: Timestamp,
}

impl Core {
    /// Probes everything that is due, once.
    pub(crate) async fn probe_due(&self) -> Result<()> {
        let due = self.monitor.take_due(self.now());
        let probes = due.into_iter().map(|(id, check)| self.probe_one(id, check));
        let answers = futures_util::future::join_all(probes).await;
        // If nothing on an engine answers any more it is the prober's trouble, not the containers': health is frozen.
        let mut by_host: HashMap<ResourceId, (usize, usize)> = HashMap::new();
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        for (row, _, answer) in &answers {
            let counts = by_host.entry(row.host_id.unwrap_or(row.id)).or_default();
            counts.0 += 1;
            counts.1 += usize::from(!matches!(answer, ProbeResult::Up));
        }
        for (row, check, answer) in answers {
            let (all, down) = by_host.get(&row.host_id.unwrap_or(row.id)).copied().unwrap_or((1, 0));
            let is_frozen = all >= FREEZE_FROM && all == down && row.health == "healthy";
            self.judge(&row, &check, if is_frozen { ProbeResult::Unreachable("no probe of this host answers".into()) } else { answer })
                .await?;
        }
        Ok(())
    }

    async fn probe_one(&self, id: ResourceId, check: HealthCheck) -> Option<(Resource, HealthCheck, ProbeResult)> {
        let row = self.store.find(id).ok().flatten().filter(|r| r.state == "running");
        let Some((row, port)) = row.zip(check.port) else {
            self.monitor.forget(id);
            return None;
        };
        let runtime = row.host_id.and_then(|h| self.runtime(h))?;
        let ip = Fields::parse(&row.fields).ok().and_then(|f| f.text("primaryIpAddress"));
        let request_line = check.request_line.clone().filter(|l| !l.trim().is_empty());
        let probe = Probe { uuid: row.uuid.clone(), ip, port, request_line, timeout: millis(check.response_timeout, 2_000) };
        let answer = runtime.probe(&probe).await;
        Some((row, check, answer))
    }

    async fn judge(&self, row: &Resource, check: &HealthCheck, answer: ProbeResult) -> Result<()> {
        let up = match answer {
            ProbeResult::Up => true,
            ProbeResult::Down(_) => false,
            ProbeResult::Unreachable(why) => {
                self.monitor.skip(row.id);
                log::debug!("cannot reach {}: {why}", row.name);
                return Ok(());
            }
        };
        let Some(verdict) = self.monitor.count(row.id, up) else { return Ok(()) };
        let is_initializing = matches!(row.health.as_str(), "initializing" | "reinitializing");
        if verdict.is_up && row.health != "healthy" {
            return self.note_health(row.id, "healthy").await;
        }
        // While it initializes only its first success counts.
        if verdict.is_down && row.health == "healthy" {
            return self.note_health(row.id, "unhealthy").await;
        }
        let limit = if row.health == "initializing" { check.initializing_timeout } else { check.reinitializing_timeout };
        let is_over = limit.filter(|l| *l > 0).is_some_and(|l| self.now().since(verdict.since) > millis(Some(l), 1));
        if is_initializing && is_over && check.strategy.as_deref() != Some("none") && row.parent_id.is_some() {
            let machine = self.machine_of(&row.kind)?.clone();
            let id = row.id;
            self.write(move |tx| {
                if let Some(row) = tx.find(id)?.filter(|r| r.state == "running") {
                    remove_container(tx, &machine, &row)?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Writes a container's health, and wakes its service.
    async fn note_health(&self, id: ResourceId, health: &'static str) -> Result<()> {
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|r| r.state == "running" && r.health != health) else { return Ok(()) };
            tx.update_if(&row, &Changes { health: Some(health.to_owned()), ..Changes::default() })?;
            if let Some(service) = row.parent_id {
                tx.wake_owner(service);
            }
            Ok(())
        })
        .await
    }

    /// Watches every running container with a check, and looks at every service and stack; once, at start: what
    /// was to be woken by the last writes before it is forgotten.
    pub(crate) fn remember(&self) -> Result<()> {
        self.look_at_all(None)?;
        for stack in self.store.all("stack", None)? {
            self.look(stack.id);
        }
        for row in self.store.with_health("instance")?.iter().filter(|r| r.state == "running") {
            let launch = launch_of(row)?;
            let has_check = launch.health_check.as_ref().is_some_and(|c| c.port.is_some());
            self.monitor.watch(row.id, &launch, self.now(), has_check);
        }
        Ok(())
    }
}

/// With fewer probes than this at a time, all failing is no sign of the prober's own trouble.
const FREEZE_FROM: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_in_a_row() {
        let monitor = Monitor::default();
        let check = HealthCheck { port: Some(80), healthy_threshold: Some(2), unhealthy_threshold: Some(2), ..HealthCheck::default() };
        let launch = LaunchConfig { health_check: Some(check), ..LaunchConfig::default() };
        let id = ResourceId(1);
        monitor.watch(id, &launch, Timestamp(0), true);
        let count = |up| monitor.count(id, up).map(|v| (v.is_up, v.is_down));
        let answers = [true, false, true, true, false, false].map(count);
        assert_eq!(
            answers.map(|a| a.unwrap_or_default()),
            [(false, false), (false, false), (false, false), (true, false), (false, false), (false, true)]
        );
        monitor.forget(id);
        assert!(count(true).is_none());
    }
}
