//! Reconciling a service: a snapshot from the rows, a plan, and its steps as requests.

use std::time::Duration;

use crate::engine::core::{Core, Outcome, notes, short_name};
use crate::engine::instances::{InstanceNotes, plan_state};
use crate::model::{Resource, Result, ServiceKind, State};
use crate::plan::{self, Goal, Verdict};
use crate::store::Process;

use super::snapshot::ServiceSnapshot;

/// A pass that only waits is made again after this, in case a wake-up was lost.
const SAFETY_WAIT: Duration = Duration::from_secs(15);

impl Core {
    /// One pass of a service's process: plan, ask for the steps, say how things stand.
    pub(crate) async fn reconcile_service(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let name = short_name(process);
        if matches!(name, "activate" | "update") {
            self.ensure_driver(process, row).await?;
        }
        let Some(snapshot) = self.snapshot(row.id)? else {
            return Ok(Outcome::done());
        };
        if name == "update" && row.state == State::UPDATING_INACTIVE {
            self.follow_selectors(&snapshot).await?;
            return Ok(Outcome::done());
        }
        if matches!(name, "activate" | "update") {
            self.follow_selectors(&snapshot).await?;
        }
        if matches!(name, "upgrade" | "continueupgrade")
            && let Some(outcome) = self.upgrade_to_service(process, &snapshot).await?
        {
            return Ok(outcome);
        }
        if name == "activate"
            && let Some(message) = self.waits_for_linked(process, &snapshot)?
        {
            return Ok(Outcome::Again(SAFETY_WAIT.min(Duration::from_secs(1)), message));
        }
        if matches!(name, "activate" | "update") && ServiceKind::of(&row.kind) == ServiceKind::External {
            self.expose_outside(process, row).await?;
        }
        let mut desired = snapshot.desired(self, snapshot.goal(name));
        let mut plan = plan::plan(&desired, &snapshot.observed, self.now());
        let held = Some("").filter(|_| plan.held_by.is_some() && plan.steps.is_empty());
        let stuck = match &plan.verdict {
            Verdict::Stuck(message) => Some(message.as_str()),
            Verdict::Converged | Verdict::Working(_) => held,
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
        Ok(match verdict {
            Verdict::Converged if had_steps => Outcome::Again(Duration::ZERO, row.message.clone()),
            Verdict::Converged => {
                self.release_surplus_units(&snapshot).await?;
                Outcome::done()
            }
            Verdict::Working(message) => Outcome::Again(
                wake_after.unwrap_or(SAFETY_WAIT),
                self.trouble(&snapshot).unwrap_or(message),
            ),
            Verdict::Stuck(message) => Outcome::Failed(message),
        })
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
