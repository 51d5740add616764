//! The upgrade from one service to another: their scales move against each other.

use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::core::{Answer, Core, Outcome, Scope, fenced, not_available, notes, request, write_notes};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, Result, State};
use crate::plan;
use crate::store::{Changes, Process};

use super::links;
use super::snapshot::{ServiceNotes, ServiceSnapshot};
use super::upgrade::{Config, check_pace};

pub(super) async fn accept_to_service(core: &Core, scope: &Scope, row: &Resource, strategy: Config) -> Result<Answer> {
    check_pace(&strategy)?;
    let target = strategy
        .get("toServiceId")
        .and_then(Value::as_str)
        .and_then(parse_reference);
    let Some(target) = target else {
        return Err(Error::invalid("MissingRequired", "toServiceId"));
    };
    if target == row.id {
        return Err(
            Error::invalid("InvalidReference", "toServiceId").with_message("a service cannot be upgraded to itself")
        );
    }
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("upgrade", row.state).is_none() {
            return Err(not_available());
        }
        let mut fields = Fields::parse(&row.fields)?;
        fields.set(
            "upgrade",
            &json!({"type": "serviceUpgrade", "inServiceStrategy": null, "toServiceStrategy": strategy}),
        )?;
        let note = ServiceNotes {
            last_batch_at: None,
            to_service: Some(target.0),
            links_copied: false,
            ..notes::<ServiceNotes>(&row)
        };
        let changes = Changes {
            fields: Some(fields),
            internal: Some(write_notes(&note)?),
            ..Changes::default()
        };
        request(tx, &machine, &row, "upgrade", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// One step of an upgrade to another service, from their scales: `(from, to)`, or `None` when it is done.
fn next_scales(from: i64, to: i64, final_scale: i64, batch: i64) -> Option<(i64, i64)> {
    if from == 0 && to == final_scale {
        return None;
    }
    let total = from + to;
    let (mut new_from, mut new_to) = (from, to);
    if total > final_scale {
        new_from = (from - batch.min(total - final_scale)).max(0);
    } else if to < final_scale {
        new_to = to + batch.min(final_scale - to).min(final_scale + batch - total);
    }
    if new_from == 0 && new_to != final_scale && (new_from, new_to) == (from, to) || from == 0 {
        new_to = final_scale;
    }
    Some((new_from, new_to))
}

impl Core {
    /// A pass of an upgrade to another service; `None` if this is an upgrade in place.
    pub(crate) async fn upgrade_to_service(
        &self,
        process: &Process,
        snapshot: &ServiceSnapshot,
    ) -> Result<Option<Outcome>> {
        let Some(upgrade) = &snapshot.fields.upgrade else {
            return Ok(None);
        };
        let (None, Some(strategy)) = (&upgrade.in_service_strategy, &upgrade.to_service_strategy) else {
            return Ok(None);
        };
        let target = strategy.to_service_id.as_deref().and_then(parse_reference);
        let target = target
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten()
            .filter(|t| t.removed.is_none() && t.state != State::REMOVING);
        // The rest of this service is reconciled on the way, whatever the other one does.
        let plan = plan::plan(&snapshot.desired_run(self), &snapshot.observed, self.now());
        let is_settled = plan.steps.is_empty() && plan.verdict == plan::Verdict::Converged;
        if !plan.steps.is_empty() {
            self.carry_out(process, snapshot, plan).await?;
        }
        self.roll_up(snapshot).await?;
        let Some(target) = target else {
            return Ok(Some(Outcome::done()));
        };
        if strategy.update_links.unwrap_or(false) && !snapshot.notes.links_copied {
            links::copy_consumers(self, snapshot.service.id, target.id).await?;
        }
        let waiting = |wait: Duration, text: &str| Ok(Some(Outcome::Again(wait, text.to_owned())));
        let target_fields = Fields::parse(&target.fields)?;
        let (to, there): (i64, i64) = (
            target_fields.read("scale")?.unwrap_or(1),
            target_fields.read("currentScale")?.unwrap_or(0),
        );
        if target.state == State::INACTIVE {
            let machine = self.machine_of(&target.kind)?.clone();
            let id = target.id;
            self.write(move |tx| {
                let row = tx.get(id)?;
                if machine.start("activate", row.state).is_some() {
                    request(tx, &machine, &row, "activate", "{}", Changes::default())?;
                }
                Ok(())
            })
            .await?;
            return waiting(POLL, "Activating the other service");
        }
        if !is_settled || target.state != State::ACTIVE || there != to || target.health == "initializing" {
            return waiting(POLL, "Waiting for both services");
        }
        let interval = Duration::from_millis(u64::try_from(strategy.interval_millis.unwrap_or(2_000)).unwrap_or(2_000));
        if let Some(last) = snapshot.notes.last_batch_at
            && self.now().since(last) < interval
        {
            return waiting(interval - self.now().since(last), "Waiting for the next batch");
        }
        let from = snapshot.fields.scale.unwrap_or(1);
        let Some((new_from, new_to)) = next_scales(
            from,
            to,
            strategy.final_scale.unwrap_or(1),
            strategy.batch_size.unwrap_or(1),
        ) else {
            return Ok(Some(Outcome::done()));
        };
        self.write_scales(process, snapshot, &target, new_from, new_to).await?;
        waiting(POLL, "Moving to the other service")
    }

    async fn write_scales(
        &self,
        process: &Process,
        snapshot: &ServiceSnapshot,
        target: &Resource,
        from: i64,
        to: i64,
    ) -> Result<()> {
        let machine = self.machine_of(&target.kind)?.clone();
        let (process_id, from_id, to_id) = (process.id, snapshot.service.id, target.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, from_id)? else {
                return Ok(());
            };
            let mut fields = Fields::parse(&row.fields)?;
            fields.set("scale", &from)?;
            let note = ServiceNotes {
                last_batch_at: Some(tx.now()),
                links_copied: true,
                ..notes::<ServiceNotes>(&row)
            };
            tx.update_if(
                &row,
                &Changes {
                    fields: Some(fields),
                    internal: Some(write_notes(&note)?),
                    ..Changes::default()
                },
            )?;
            let target = tx.get(to_id)?;
            let mut fields = Fields::parse(&target.fields)?;
            if fields.read::<i64>("scale")? != Some(to) {
                fields.set("scale", &to)?;
                request(
                    tx,
                    &machine,
                    &target,
                    "update",
                    "{}",
                    Changes {
                        fields: Some(fields),
                        ..Changes::default()
                    },
                )?;
            }
            Ok(())
        })
        .await
    }
}

/// How often two services that wait for each other are looked at.
const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn run(mut from: i64, mut to: i64, final_scale: i64, batch: i64) -> (i64, i64, usize) {
        for round in 0..100 {
            match next_scales(from, to, final_scale, batch) {
                None => return (from, to, round),
                Some((f, t)) => {
                    assert!(f >= 0 && t >= 0 && (f, t) != (from, to), "stuck at {from}, {to}");
                    (from, to) = (f, t);
                }
            }
        }
        (from, to, 100)
    }

    #[test]
    fn an_upgrade_to_a_service_ends_at_the_final_scale() {
        for (from, to, final_scale, batch) in [
            (1, 1, 2, 1),
            (5, 2, 3, 100),
            (1, 5, 2, 2),
            (3, 0, 3, 1),
            (0, 0, 1, 1),
            (10, 10, 1, 3),
        ] {
            let (f, t, _) = run(from, to, final_scale, batch);
            assert_eq!((f, t), (0, final_scale), "{from} {to} {final_scale} {batch}");
        }
    }
}
