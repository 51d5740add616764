//! Health checks: making the probes that are due, and what their answers mean.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::core::{Core, Served, Serving, millis, notes, write_notes};
use crate::model::launch::{HealthCheck, parse_reference};
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::runtime::{Probe, ProbeResult, Runtime};
use crate::store::Changes;

use super::container_rows::{InstanceNotes, launch_of};
use super::stopping::remove_container;

/// A container that is to be probed now.
pub(crate) struct DueProbe {
    row: Resource,
    check: HealthCheck,
    port: u16,
    host: ResourceId,
    runtime: Arc<dyn Runtime>,
}

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
        let groups = self.due_probes().into_iter().map(|group| self.probe_group(group));
        futures_util::future::join_all(groups).await;
        Ok(())
    }

    /// What is due, by host: one whose engine is slow keeps no other waiting. Each is to be probed by [`Self::probe_group`].
    pub(crate) fn due_probes(&self) -> Vec<Vec<DueProbe>> {
        let mut by_host: HashMap<ResourceId, Vec<DueProbe>> = HashMap::new();
        for (id, check) in self.monitor.take_due(self.now()) {
            if let Some(due) = self.due_probe(id, check) {
                by_host.entry(due.host).or_default().push(due);
            }
        }
        by_host.into_values().collect()
    }

    /// Probes containers of one host, and judges them.
    pub(crate) async fn probe_group(&self, group: Vec<DueProbe>) {
        let probes = group.into_iter().map(|due| self.probe_one(due));
        let answers = futures_util::future::join_all(probes).await;
        let all: Vec<_> = answers.into_iter().flatten().collect();
        // If nothing on an engine answers any more it is the prober's trouble, not the containers': health is frozen.
        // What a command says was said by the engine.
        let is_up = |(_, answer): &&(DueProbe, ProbeResult)| matches!(answer, ProbeResult::Up);
        let probed = || all.iter().filter(|(due, _)| due.check.command.is_none());
        let is_silent = probed().count() >= FREEZE_FROM && !probed().any(|each| is_up(&each));
        for (due, answer) in all {
            let answer = if is_silent && due.check.command.is_none() && due.row.health == "healthy" {
                ProbeResult::Unreachable("no probe of this host answers".into())
            } else {
                answer
            };
            // One that cannot be judged now is asked again; it is no reason to leave the others.
            if let Err(error) = self.judge(&due.row, &due.check, answer).await {
                log::warn!("judging {}: {}", due.row.name, error.chain());
            }
        }
    }

    /// What a probe that is due goes to. None of a container that does not run, or that has no engine now.
    fn due_probe(&self, id: ResourceId, check: HealthCheck) -> Option<DueProbe> {
        let row = match self.store.find(id) {
            Ok(row) => row.filter(|r| matches!(r.state, State::RUNNING | State::UPDATING_RUNNING)),
            Err(error) => {
                log::warn!("reading {id} for a probe: {}", error.chain());
                self.monitor.skip(id);
                return None;
            }
        };
        // A command asks no port.
        let port = check.port.or(check.command.as_ref().map(|_| 0));
        let Some((row, port)) = row.zip(port) else {
            self.monitor.forget_taken(id);
            return None;
        };
        let Some((host, runtime)) = row.host_id.and_then(|h| Some((h, self.runtime(h)?))) else {
            self.monitor.skip(id);
            return None;
        };
        Some(DueProbe {
            row,
            check,
            port,
            host,
            runtime,
        })
    }

    async fn probe_one(&self, due: DueProbe) -> Option<(DueProbe, ProbeResult)> {
        let DueProbe { row, check, .. } = &due;
        let beside = match self.prober_beside(row) {
            // The engine itself runs a command.
            Ok(beside) => beside.filter(|_| check.command.is_none()),
            Err(error) => {
                log::warn!("who probes {}: {}", row.name, error.chain());
                self.monitor.skip(row.id);
                return None;
            }
        };
        let ip = self.probed_address_of(row).unwrap_or_default();
        let request_line = check.request_line.clone().filter(|l| !l.trim().is_empty());
        let probe = Probe {
            uuid: row.uuid.clone(),
            ip,
            port: due.port,
            request_line,
            command: check.command.clone(),
            timeout: millis(check.response_timeout, 2_000),
            beside: beside.as_ref().map(|(_, project_uuid)| project_uuid.clone()),
        };
        let answer = due.runtime.probe(&probe).await;
        if let (Some((served, _)), ProbeResult::Unreachable(_)) = (beside, &answer) {
            // Perhaps it has to be made, or the way to it opened.
            self.name_servers.doubt_one(served);
        }
        Some((due, answer))
    }

    /// By which address a container is reached; one in another's namespace by the other's.
    fn probed_address_of(&self, row: &Resource) -> Result<Option<String>> {
        let own = |row: &Resource| Fields::parse(&row.fields).map(|fields| fields.text("primaryIpAddress"));
        if let Some(address) = own(row)? {
            return Ok(Some(address));
        }
        let provider = launch_of(row)?.network_container_id;
        let provider = provider.as_deref().and_then(parse_reference);
        let provider = provider.map(|id| self.store.find(id)).transpose()?.flatten();
        provider.as_ref().map_or(Ok(None), own)
    }

    /// The name server that probes a container: of one on the project's network the one beside it, if that is kept there. Its
    /// address means something there, wherever the engine is.
    fn prober_beside(&self, row: &Resource) -> Result<Option<(Served, String)>> {
        let Some((project, host)) = row.account_id.zip(row.host_id) else {
            return Ok(None);
        };
        let served = Served { project, host };
        let is_kept = matches!(
            self.name_servers.serving(served),
            Some(Serving::At(_) | Serving::Wanted)
        );
        if !is_kept || launch_of(row)?.network_mode.as_deref() != Some("managed") {
            return Ok(None);
        }
        Ok(self.store.find(project)?.map(|project| (served, project.uuid)))
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
                    let note = InstanceNotes {
                        was_never_well: true,
                        ..notes(&row)
                    };
                    let changes = Changes {
                        internal: Some(write_notes(&note)?),
                        ..Changes::default()
                    };
                    let row = tx.update_if(&row, &changes)?;
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
        let maps = self.health_maps()?;
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|r| r.state == State::RUNNING && r.health != health) else {
                return Ok(());
            };
            maps.note(tx, &row, health)?;
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
