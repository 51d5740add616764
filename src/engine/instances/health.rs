//! Health checks: making the probes that are due, and what their answers mean.

use std::collections::HashMap;

use crate::engine::core::{Core, millis};
use crate::model::launch::HealthCheck;
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::runtime::{Probe, ProbeResult};
use crate::store::Changes;

use super::container_rows::launch_of;
use super::stopping::remove_container;

impl Core {
    /// Watches every running container with a check, at start.
    pub(crate) fn watch_health(&self) -> Result<()> {
        for row in self
            .store
            .with_health("instance")?
            .iter()
            .filter(|r| r.state == State::RUNNING)
        {
            self.watch_health_of(row)?;
        }
        Ok(())
    }

    /// Watches a running container, if it has a check and is not watched yet.
    pub(crate) fn watch_health_of(&self, row: &Resource) -> Result<()> {
        if !row.health.is_empty() {
            self.monitor.watch(row.id, &launch_of(row)?, self.now());
        }
        Ok(())
    }

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
            let answer = if is_frozen {
                ProbeResult::Unreachable("no probe of this host answers".into())
            } else {
                answer
            };
            // One that cannot be judged now is asked again; it is no reason to leave the others.
            if let Err(error) = self.judge(&row, &check, answer).await {
                log::warn!("judging {}: {}", row.name, error.chain());
            }
        }
        Ok(())
    }

    async fn probe_one(&self, id: ResourceId, check: HealthCheck) -> Option<(Resource, HealthCheck, ProbeResult)> {
        let row = match self.store.find(id) {
            Ok(row) => row.filter(|r| matches!(r.state, State::RUNNING | State::UPDATING_RUNNING)),
            Err(error) => {
                log::warn!("reading {id} for a probe: {}", error.chain());
                self.monitor.skip(id);
                return None;
            }
        };
        let Some((row, port)) = row.zip(check.port) else {
            self.monitor.forget_taken(id);
            return None;
        };
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            self.monitor.skip(id);
            return None;
        };
        let ip = Fields::parse(&row.fields).ok().and_then(|f| f.text("primaryIpAddress"));
        let request_line = check.request_line.clone().filter(|l| !l.trim().is_empty());
        let probe = Probe {
            uuid: row.uuid.clone(),
            ip,
            port,
            request_line,
            timeout: millis(check.response_timeout, 2_000),
        };
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
        let Some(verdict) = self.monitor.count(row.id, up) else {
            return Ok(());
        };
        let is_initializing = matches!(row.health.as_str(), "initializing" | "reinitializing");
        if verdict.is_up && row.health != "healthy" {
            return self.note_health(row.id, "healthy").await;
        }
        // While it initializes only its first success counts.
        if verdict.is_down && row.health == "healthy" {
            return self.note_health(row.id, "unhealthy").await;
        }
        let limit = if row.health == "initializing" {
            check.initializing_timeout
        } else {
            check.reinitializing_timeout
        };
        let is_over = limit
            .filter(|l| *l > 0)
            .is_some_and(|l| self.now().since(verdict.since) > millis(Some(l), 1));
        if is_initializing && is_over && check.strategy.as_deref() != Some("none") && row.parent_id.is_some() {
            let machine = self.machine_of(&row.kind)?.clone();
            let id = row.id;
            self.write(move |tx| {
                if let Some(row) = tx.find(id)?.filter(|r| r.state == State::RUNNING) {
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
            let Some(row) = tx.find(id)?.filter(|r| r.state == State::RUNNING && r.health != health) else {
                return Ok(());
            };
            tx.update_if(
                &row,
                &Changes {
                    health: Some(health.to_owned()),
                    ..Changes::default()
                },
            )?;
            if let Some(service) = row.parent_id {
                tx.wake_owner(service);
            }
            Ok(())
        })
        .await
    }
}

/// With fewer probes than this at a time, all failing is no sign of the prober's own trouble.
const FREEZE_FROM: usize = 5;
