//! Reconciling a service: a snapshot from the rows, a plan, and its steps as requests.

use std::time::Duration;

use crate::engine::core::{Core, Entry, Key, Outcome, fenced, notes, short_name};
use crate::engine::instances::{InstanceNotes, plan_state};
use crate::engine::webhooks::{Event, Telling, tell};
use crate::model::{Resource, Result, ServiceKind, State};
use crate::plan::{self, Goal, Verdict};
use crate::store::{Changes, Process, Tx};

use super::scheduled::SETTLED;
use super::snapshot::ServiceSnapshot;
use super::upgrade::{RollbackData, UpgradeData, begin_rollback};

/// A pass that only waits is made again after this, in case a wake-up was lost.
const SAFETY_WAIT: Duration = Duration::from_secs(15);

/// An entry of the log about a process as such.
fn info(sentence: &str) -> Entry {
    Entry {
        event: ".info",
        sentence: sentence.to_owned(),
        about: None,
    }
}

/// Tells whoever wants to know that an upgrade failed, or the way back from one, and what is done about it. One that waits after its
/// canary did not fail.
fn tell_failed(tx: &mut Tx<'_>, telling: &Telling, row: &Resource, message: &str) -> Result<()> {
    let is_failure = ["Upgrade ", "Rollback "].iter().any(|what| message.starts_with(what));
    let Some(project) = row.account_id.filter(|_| is_failure) else {
        return Ok(());
    };
    let data = [("name", row.name.as_str()), ("message", message)];
    let data = data.into_iter().map(|(key, text)| (key.to_owned(), text.into()));
    let event = Event {
        name: "service.upgradeFailed",
        project,
        subject: row.id,
        data: data.collect(),
    };
    tell(tx, telling, &event)
}

/// Whether an upgrade finishes by itself.
fn finishes(process: &Process) -> bool {
    let data: UpgradeData = serde_json::from_str(&process.data).unwrap_or_default();
    short_name(process) == "upgrade" && data.finishes
}

/// Why a rollback runs that nobody asked for.
fn because_of(process: &Process) -> Option<String> {
    let is_rollback = short_name(process) == "rollback";
    let data: RollbackData = serde_json::from_str(&process.data).unwrap_or_default();
    data.because.filter(|_| is_rollback)
}

/// How long an activation waits before it looks at what it is linked to again. It is woken when that is up or well; where hundreds
/// wait for each other, looking often is what would keep them from coming up.
const LINK_WAIT: Duration = Duration::from_secs(10);

impl Core {
    /// One pass of a service's process: plan, ask for the steps, say how things stand.
    pub(crate) async fn reconcile_service(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let name = short_name(process);
        if matches!(name, "activate" | "update") {
            self.ensure_driver(process, row).await?;
        }
        self.follow_mesh(row.id, Some(process.id)).await?;
        let Some(snapshot) = self.snapshot(row.id)? else {
            return Ok(Outcome::done());
        };
        if let Some(outcome) = self.before_planning(process, row, &snapshot).await? {
            return Ok(outcome);
        }
        let mut desired = snapshot.desired(self, snapshot.goal(name));
        let mut plan = plan::plan(&desired, &snapshot.observed, self.now());
        let held = Some("").filter(|_| plan.held_by.is_some() && plan.steps.is_empty());
        let stuck = match &plan.verdict {
            Verdict::Stuck(message) => Some(message.as_str()),
            Verdict::Converged | Verdict::Working(_) | Verdict::Held(_) | Verdict::GivenUp(_) => held,
        };
        if let (Some(message), Some(scale)) = (stuck, snapshot.scale_that_fits()) {
            // What a scale policy asks for beyond its minimum is only a wish: whatever fits is enough.
            if plan.steps.is_empty() {
                desired.scale = scale;
                plan = plan::plan(&desired, &snapshot.observed, self.now());
            } else {
                plan.verdict = Verdict::Working(message.to_owned());
            }
        }
        let verdict = plan.verdict.clone();
        let wake_after = plan.wake_after;
        let progress = plan.progress;
        let had_steps = !plan.steps.is_empty();
        if had_steps {
            log::debug!(
                "{} {}: {} steps, {verdict:?}",
                process.process,
                snapshot.service.name,
                plan.steps.len()
            );
            self.carry_out(process, &snapshot, plan).await?;
        }
        self.roll_up(&snapshot).await?;
        if verdict == Verdict::Converged && had_steps {
            return Ok(Outcome::Again(Duration::ZERO, row.message.clone()));
        }
        let outcome = self.outcome_of(verdict, wake_after.unwrap_or(SAFETY_WAIT), process, &snapshot);
        Ok(match (outcome.await?, progress) {
            (Outcome::Again(wait, message), Some(progress)) => Outcome::Along(wait, message, progress),
            (outcome, _) => outcome,
        })
    }

    /// What a service does and waits for before its containers are planned; an outcome ends the pass.
    async fn before_planning(
        &self,
        process: &Process,
        row: &Resource,
        snapshot: &ServiceSnapshot,
    ) -> Result<Option<Outcome>> {
        let name = short_name(process);
        if matches!(name, "activate" | "update") {
            self.follow_selectors(snapshot).await?;
        }
        if name == "update" && row.state == State::UPDATING_INACTIVE {
            return Ok(Some(Outcome::done()));
        }
        if matches!(name, "upgrade" | "continueupgrade")
            && let Some(outcome) = self.upgrade_to_service(process, snapshot).await?
        {
            return Ok(Some(outcome));
        }
        if name == "activate" {
            let linked = self.waits_for_linked(process, snapshot)?;
            let waits = match linked {
                None => self.waits_for_healthy(process, snapshot).await?,
                waits => waits,
            };
            if let Some(message) = waits {
                return Ok(Some(Outcome::Again(LINK_WAIT, message)));
            }
        }
        if matches!(name, "activate" | "update") && ServiceKind::of(&row.kind) == ServiceKind::External {
            self.expose_outside(process, row).await?;
        }
        Ok(None)
    }

    /// What a pass comes to.
    async fn outcome_of(
        &self,
        verdict: Verdict,
        wait: Duration,
        process: &Process,
        snapshot: &ServiceSnapshot,
    ) -> Result<Outcome> {
        let because = because_of(process);
        let row = &snapshot.service;
        Ok(match verdict {
            Verdict::Converged => {
                self.release_surplus_units(snapshot).await?;
                self.end_rebalance(process, snapshot).await?;
                if short_name(process) == "activate" {
                    self.begin_schedule(snapshot).await?;
                }
                if snapshot.schedule().is_some() {
                    self.queue.push(Key::Look(row.id), self.now().plus(SETTLED));
                }
                let changes = Box::new(Changes {
                    message: because,
                    ..Changes::default()
                });
                match finishes(process) {
                    true => Outcome::Then(changes, "finishupgrade", "{}".into()),
                    false => Outcome::Done(changes),
                }
            }
            Verdict::Working(message) => {
                let message = because.or_else(|| self.trouble(snapshot)).unwrap_or(message);
                Outcome::Again(wait, message)
            }
            Verdict::Held(message) => {
                self.say_held(process, row, &message).await?;
                Outcome::Again(wait, message)
            }
            Verdict::GivenUp(message) => {
                let message = match self.trouble(snapshot) {
                    Some(trouble) => format!("{message} ({trouble})"),
                    None => message,
                };
                self.end_failed_upgrade(process, row, message).await?;
                Outcome::Left
            }
            Verdict::Stuck(message) => Outcome::Failed(message),
        })
    }

    /// Writes into the log why an upgrade goes no further, once.
    async fn say_held(&self, process: &Process, row: &Resource, message: &str) -> Result<()> {
        if row.message == message {
            return Ok(());
        }
        let (id, process_id, entry) = (row.id, process.id, info(message));
        let (log, telling, message) = (self.service_log(id, process)?, self.telling()?, message.to_owned());
        self.write(move |tx| match fenced(tx, process_id, id)? {
            Some(row) => {
                log.write(tx, &row, vec![entry])?;
                tell_failed(tx, &telling, &row, &message)
            }
            None => Ok(()),
        })
        .await
    }

    /// Ends an upgrade that failed, and begins the way back in the same transaction.
    async fn end_failed_upgrade(&self, process: &Process, row: &Resource, message: String) -> Result<()> {
        let machine = self.machine_of(&row.kind)?.clone();
        let (id, process_id, entry) = (row.id, process.id, info(&message));
        let (log, telling) = (self.service_log(id, process)?, self.telling()?);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, id)? else {
                return Ok(());
            };
            log.write(tx, &row, vec![entry])?;
            tell_failed(tx, &telling, &row, &message)?;
            begin_rollback(tx, &machine, &row, Some(message)).map(drop)
        })
        .await
    }

    /// Lets go of what units had for themselves that the service is done without.
    pub(crate) async fn release_surplus_units(&self, snapshot: &ServiceSnapshot) -> Result<()> {
        let kept = snapshot.instances.iter().map(|row| notes::<InstanceNotes>(row).index);
        self.release_units(snapshot.stack.id, snapshot.service.id, kept.collect())
            .await
    }

    /// Whether the planner would do anything to an active service, now or in a while.
    pub(crate) fn needs_reconcile(&self, snapshot: &ServiceSnapshot) -> bool {
        let plan = plan::plan(&snapshot.desired(self, Goal::Run), &snapshot.observed, self.now());
        !plan.steps.is_empty() || plan.wake_after.is_some()
    }

    /// What a container that cannot get up says: Docker's own words reach the service's reader.
    fn trouble(&self, snapshot: &ServiceSnapshot) -> Option<String> {
        use plan::InstanceState as S;
        let cannot_start =
            |r: &&Resource| matches!(plan_state(r.state), S::Starting | S::Broken) && !r.message.is_empty();
        if let Some(row) = snapshot.instances.iter().find(cannot_start) {
            return Some(format!("{}: {}", row.name, row.message));
        }
        let now = self.now();
        let live = snapshot.observed.instances.iter().zip(&snapshot.instances);
        live.filter(|(i, _)| !i.is_parked && (i.state != S::Running || i.is_shaky(now)))
            .find_map(|(_, row)| {
                let words = notes::<InstanceNotes>(row).exits_in_words()?;
                Some(format!("{} {words}", row.name))
            })
    }
}
