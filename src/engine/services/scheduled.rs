//! Services with a schedule: their containers, which run once, are started anew at each time.
//!
//! A run is a row of the service's log, from its start to its end. What is due follows from the rows alone: the time up to
//! which the schedule was followed, and the run that goes on, stand in the service's notes; a container that was asked for
//! notes the run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::core::{Core, Key, ServiceLogs, notes, request, stable_uuid, write_notes};
use crate::engine::instances::{InstanceNotes, plan_state};
use crate::model::own_labels::schedule_of;
use crate::model::schedule::Schedule;
use crate::model::{Resource, ResourceId, Result, State, Timestamp};
use crate::plan::InstanceState;
use crate::store::{Changes, Tx};

use super::snapshot::{ServiceNotes, ServiceSnapshot};

/// How long after a service became active its schedule is looked at: its process is over then.
pub(super) const SETTLED: Duration = Duration::from_secs(1);
/// So many containers are named in the log with how they ended; of the others it says how many there are.
const NAMED: usize = 10;

/// What is known of a service's schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ScheduleNotes {
    /// Up to when it was followed.
    pub(crate) until: Option<Timestamp>,
    /// The time of the run that goes on.
    pub(crate) run: Option<Timestamp>,
}

impl ScheduleNotes {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl ServiceSnapshot {
    /// The schedule by the labels of the primary. They were checked before they were stored.
    pub(super) fn schedule(&self) -> Option<Schedule> {
        schedule_of(self.configs.first()?.launch.labels.as_ref()?)
    }

    /// The containers that a run starts: the primaries.
    fn scheduled(&self) -> Vec<&Resource> {
        let all = self.observed.instances.iter().zip(&self.instances);
        let counts = all.filter(|(i, _)| !i.is_parked && i.config.is_none());
        counts.map(|(_, row)| row).collect()
    }
}

/// Whether a container is up, or on its way there or down.
fn goes_on(row: &Resource) -> bool {
    matches!(
        plan_state(row.state),
        InstanceState::Starting | InstanceState::Running | InstanceState::Stopping
    )
}

impl Core {
    /// From now on the schedule of a service that becomes active is followed: what was missed before is not made up for.
    pub(super) async fn begin_schedule(&self, snapshot: &ServiceSnapshot) -> Result<()> {
        if snapshot.schedule().is_none() {
            return Ok(());
        }
        self.change_schedule(snapshot.service.id, |note, now| note.until = Some(now))
            .await
    }

    /// Starts the run that is due, looks after the one that goes on, and comes back at the next time.
    pub(super) async fn follow_schedule(&self, snapshot: &ServiceSnapshot) -> Result<()> {
        let Some(schedule) = snapshot.schedule() else {
            return Ok(());
        };
        let (id, now) = (snapshot.service.id, self.now());
        let mut note = snapshot.notes.schedule.clone();
        if let Some(run) = note.run {
            self.start_for_run(snapshot, run).await?;
            if self.end_run(snapshot, run).await? {
                note.run = None;
            }
        }
        let until = note.until.unwrap_or(now);
        let due = schedule.next(until).filter(|at| *at <= now);
        if let Some(at) = due {
            let is_busy = note.run.is_some() || snapshot.scheduled().into_iter().any(goes_on);
            self.begin_run(id, at, is_busy).await?;
            // The containers are started by the next look, which knows of the run.
            self.look(id);
        } else if note.until.is_none() {
            self.change_schedule(id, |note, now| note.until = Some(now)).await?;
        }
        let after = if due.is_some() { now } else { until };
        if let Some(next) = schedule.next(after) {
            self.queue.push(Key::Look(id), next);
        }
        Ok(())
    }

    async fn change_schedule(
        &self,
        id: ResourceId,
        change: impl FnOnce(&mut ScheduleNotes, Timestamp) + Send + 'static,
    ) -> Result<()> {
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            let now = tx.now();
            write_schedule(tx, &row, |note| change(note, now))
        })
        .await
    }

    /// Notes that a time has come: a run begins, unless the one before still goes on, and the log says which.
    async fn begin_run(&self, id: ResourceId, at: Timestamp, is_busy: bool) -> Result<()> {
        let logs = ServiceLogs::new(self)?;
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| row.state == State::ACTIVE) else {
                return Ok(());
            };
            let now = tx.now();
            let uuid = run_uuid(&row, at);
            if tx.find_by_uuid(&uuid)?.is_none() {
                let sentence = match is_busy {
                    true => format!("Skipped the run of {}: the one before still goes on", at.to_wire()),
                    false => format!("Running, as scheduled for {}", at.to_wire()),
                };
                logs.begin(tx, &row, &uuid, "service.schedule", &sentence, is_busy)?;
            }
            write_schedule(tx, &row, |note| {
                note.until = Some(now);
                if !is_busy {
                    note.run = Some(at);
                }
            })
        })
        .await
    }

    /// Starts what was not yet asked for.
    async fn start_for_run(&self, snapshot: &ServiceSnapshot, run: Timestamp) -> Result<()> {
        let due: Vec<ResourceId> = snapshot
            .scheduled()
            .into_iter()
            .filter(|row| row.state == State::STOPPED && notes::<InstanceNotes>(row).scheduled_run != Some(run))
            .map(|row| row.id)
            .collect();
        let machine = self.machine_of("container")?.clone();
        self.write_each(due, move |tx, id| {
            let Some(row) = tx.find(id)?.filter(|row| row.state == State::STOPPED) else {
                return Ok(());
            };
            let note = InstanceNotes {
                scheduled_run: Some(run),
                exit_code: None,
                ..notes(&row)
            };
            let changes = Changes {
                internal: Some(write_notes(&note)?),
                ..Changes::default()
            };
            request(tx, &machine, &row, "start", "{}", changes).map(drop)
        })
        .await
    }

    /// Writes the end of a run into the log, once everything that it started has ended; says whether it has.
    async fn end_run(&self, snapshot: &ServiceSnapshot, run: Timestamp) -> Result<bool> {
        let mine = snapshot.scheduled();
        let is_due =
            |row: &&Resource| row.state == State::STOPPED && notes::<InstanceNotes>(row).scheduled_run != Some(run);
        if mine.iter().any(|row| is_due(row) || goes_on(row)) {
            return Ok(false);
        }
        let ends: Vec<String> = mine
            .iter()
            .take(NAMED)
            .map(|row| match notes::<InstanceNotes>(row).exit_code {
                Some(code) => format!("{} exited with code {code}", row.name),
                None if row.message.is_empty() => format!("{} ended", row.name),
                None => format!("{}: {}", row.name, row.message),
            })
            .collect();
        let more = mine.len().saturating_sub(ends.len());
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let sentence = format!("Ran as scheduled for {}: {}{more}", run.to_wire(), ends.join(", "));
        let (id, logs) = (snapshot.service.id, ServiceLogs::new(self)?);
        self.write(move |tx| {
            let Some(row) = tx.find(id)? else { return Ok(()) };
            logs.end(tx, &run_uuid(&row, run), &sentence)?;
            write_schedule(tx, &row, |note| note.run = None)
        })
        .await?;
        Ok(true)
    }
}

/// The row of the log of a run: the same, however often it is written.
fn run_uuid(service: &Resource, at: Timestamp) -> String {
    stable_uuid(service.uuid.bytes().chain(*b"run").chain(at.0.to_be_bytes()))
}

fn write_schedule(tx: &mut Tx<'_>, row: &Resource, change: impl FnOnce(&mut ScheduleNotes)) -> Result<()> {
    let mut note: ServiceNotes = notes(row);
    change(&mut note.schedule);
    let changes = Changes {
        internal: Some(write_notes(&note)?),
        ..Changes::default()
    };
    tx.update_if(row, &changes).map(drop)
}
