//! Rollouts: services that are brought to new launch configurations, one after another or all at once, until the first one fails.
//!
//! Each service's part is a row with a process of its own, written together with all the others; so what was asked for goes on
//! after a crash, and its rows say how it ended. The change itself is an upgrade that finishes by itself, watched over by the
//! labels of the new configuration.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::engine::core::{
    Core, Input, ObjectChange, Outcome, Scope, fenced, insert_and_start, live, new_row, notes, put_object, retire,
};
use crate::engine::instances::check_own_key;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State, Timestamp};
use crate::store::{Changes, NewResource, Process, Tx};

use super::snapshot::ServiceNotes;
use super::upgrade::{Config, Upgrade};

/// The type.
const KIND: &str = "rollout";
/// So many of a service are kept; older ones go.
const KEPT: usize = 50;
/// Between two looks at what is on its way.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So long a service may take beside what its own labels let it take.
const LONGEST: Duration = Duration::from_secs(900);

/// One service's part of a rollout, to be asked for.
pub struct RolloutStep {
    /// The service.
    pub service: ResourceId,
    /// Of an upgrade in place: `launchConfig`, `batchSize` and so on, checked by the schema.
    pub strategy: Map<String, Value>,
    /// Fields of the service that are written with it.
    pub beside: Input,
    /// What the interface that asks keeps of it.
    pub about: Value,
}

/// A service's part of a rollout as it stands.
#[derive(Debug, Clone)]
pub struct RolloutOf {
    /// Its row.
    pub id: ResourceId,
    /// The service.
    pub service: Option<ResourceId>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it began.
    pub begun: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// `success`, `failed`, `skipped`; none while it is on its way.
    pub outcome: Option<String>,
    /// Why it failed, or what it waits for.
    pub reason: String,
    /// What the interface that asked keeps of it.
    pub about: Value,
    after: Option<ResourceId>,
}

impl RolloutOf {
    pub(crate) fn of(row: &Resource) -> Result<Self> {
        let fields = Fields::parse(&row.fields)?;
        let id = |name: &str| {
            let wire = fields.text(name)?;
            crate::model::WireId::parse(&wire).map(|wire| wire.id)
        };
        let time = |name: &str| Ok::<_, Error>(fields.read::<i64>(name)?.map(Timestamp));
        Ok(Self {
            id: row.id,
            service: id("serviceId"),
            created: row.created,
            begun: time("begun")?,
            ended: time("ended")?,
            outcome: fields.text("outcome"),
            reason: fields.text("reason").unwrap_or_default(),
            about: fields.read("about")?.unwrap_or_default(),
            after: id("afterId"),
        })
    }
}

/// Asks for a rollout: in turn, each after the one before it went well, or all at once. `also` is an object that is changed in the
/// same transaction.
///
/// # Errors
/// 409 for a service that is in a rollout already, or is going; 422 for what is wrong with a configuration.
pub(crate) async fn roll_out(
    core: &Core,
    scope: &Scope,
    mut steps: Vec<RolloutStep>,
    in_turn: bool,
    also: Option<(ResourceId, ObjectChange)>,
) -> Result<Vec<Resource>> {
    for step in &mut steps {
        core.apply_image_rules(&mut step.strategy)?;
        let row = core.store.find(step.service)?.ok_or_else(Error::not_found)?;
        core.require(scope, &row, "upgrade")?;
        core.check_host_use(row.account_id, &step.strategy)?;
        check_own_key(scope, &step.strategy)?;
        Upgrade::check(&row, step.strategy.clone())?;
    }
    let def = core.type_of(KIND)?.clone();
    let (prefix, service_prefix) = (def.prefix.clone(), core.type_of("service")?.prefix.clone());
    let keep = core.keep_removed();
    core.write_for(scope, move |tx| {
        if let Some((id, change)) = also {
            let row = live(tx, id)?;
            put_object(tx, &row, &change)?;
        }
        let (mut rows, mut last): (Vec<Resource>, Option<ResourceId>) = (Vec::new(), None);
        for step in steps {
            let service = live(tx, step.service)?;
            if service.state == State::REMOVING {
                return Err(Error::conflict("the service is being removed"));
            }
            make_room(tx, step.service, keep)?;
            let mut fields = Fields::default();
            fields.set("serviceId", &format!("{service_prefix}{}", step.service))?;
            fields.set("strategy", &step.strategy)?;
            fields.set("beside", &step.beside)?;
            fields.set("about", &step.about)?;
            let after = last.filter(|_| in_turn).map(|id| format!("{prefix}{id}"));
            fields.set("afterId", &after)?;
            let new = NewResource {
                name: service.name.clone(),
                ..new_row(&def, service.account_id, fields)
            };
            let row = insert_and_start(tx, def.machine.as_deref(), new)?;
            last = Some(row.id);
            rows.push(row);
        }
        Ok(rows)
    })
    .await
}

/// 409 if a rollout of this service is on its way. Of those that are over the oldest go.
fn make_room(tx: &mut Tx<'_>, service: ResourceId, keep: Duration) -> Result<()> {
    let mut over = Vec::new();
    for id in tx.referrers(service, "serviceId")? {
        let Some(row) = tx.find(id)?.filter(|row| row.root == KIND && row.removed.is_none()) else {
            continue;
        };
        match RolloutOf::of(&row)?.outcome {
            None => return Err(Error::conflict("this is being deployed already")),
            Some(_) => over.push(row),
        }
    }
    over.sort_by_key(|row| row.id);
    let surplus = over.len().saturating_sub(KEPT.saturating_sub(1));
    for row in over.iter().take(surplus) {
        retire(tx, row, keep)?;
    }
    Ok(())
}

/// What became of a step, or what it waits for.
enum Stand {
    Over(&'static str, String),
    Waits(String),
}

impl Core {
    /// Does a service's part of a rollout.
    pub(crate) async fn run_rollout(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let step = RolloutOf::of(row)?;
        if step.outcome.is_some() {
            return Ok(Outcome::done());
        }
        let stand = match step.begun {
            None => match self.turn_of(&step)? {
                None => return self.begin_step(process, row, &step).await,
                Some(stand) => stand,
            },
            Some(begun) => self.stand_of(&step, begun)?,
        };
        Ok(match stand {
            Stand::Over(outcome, reason) => over(outcome, &reason, self.now())?,
            Stand::Waits(why) => Outcome::Again(LOOK_EVERY, why),
        })
    }

    /// What a step waits for before it begins; none if nothing.
    fn turn_of(&self, step: &RolloutOf) -> Result<Option<Stand>> {
        let Some(before) = step.after else { return Ok(None) };
        let before = self.store.find(before)?.map(|row| RolloutOf::of(&row)).transpose()?;
        let Some(before) = before else {
            return Ok(Some(Stand::Over("skipped", "the one before it is gone".to_owned())));
        };
        Ok(match before.outcome.as_deref() {
            Some("success") => None,
            Some(_) => Some(Stand::Over("skipped", "the one before it did not go well".to_owned())),
            None => Some(Stand::Waits("Waiting for the one before it".to_owned())),
        })
    }

    /// Writes the new configuration and asks for the upgrade, in one transaction with the note that it has begun.
    async fn begin_step(&self, process: &Process, row: &Resource, step: &RolloutOf) -> Result<Outcome> {
        let Some(service) = step.service.map(|id| self.store.find(id)).transpose()?.flatten() else {
            return over("failed", "the service is gone", self.now());
        };
        if service.state == State::REGISTERING {
            return Ok(Outcome::Again(
                LOOK_EVERY,
                "Waiting for the service to be made".to_owned(),
            ));
        }
        let fields = Fields::parse(&row.fields)?;
        let strategy: Config = fields.read("strategy")?.unwrap_or_default();
        let beside: Input = fields.read("beside")?.unwrap_or_default();
        let begun = Upgrade::check(&service, strategy).map(|upgrade| upgrade.finishing().superseding(beside));
        let upgrade = match begun {
            Ok(upgrade) => upgrade,
            Err(error) => return refused(&error, self.now()),
        };
        let machine = self.machine_of(&service.kind)?.clone();
        let range = self.port_range(service.account_id)?;
        let (process, id, service) = (process.id, row.id, service.id);
        let written = self.write(move |tx| {
            let Some(row) = fenced(tx, process, id)? else {
                return Ok(None);
            };
            let service = live(tx, service)?;
            upgrade.begin(tx, &machine, &service, range)?;
            let mut patch = Fields::default();
            patch.set("begun", &tx.now().0)?;
            let changes = Changes {
                patch,
                ..Changes::default()
            };
            tx.update_if(&row, &changes).map(Some)
        });
        match written.await {
            Ok(Some(_)) => Ok(Outcome::Again(LOOK_EVERY, "Waiting for new containers".to_owned())),
            Ok(None) => Ok(Outcome::Left),
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Invalid) => refused(&error, self.now()),
            Err(error) => Err(error),
        }
    }

    /// How a step stands that has begun.
    fn stand_of(&self, step: &RolloutOf, begun: Timestamp) -> Result<Stand> {
        let failed = |why: String| Ok(Stand::Over("failed", why));
        let service = step.service.map(|id| self.store.find(id)).transpose()?.flatten();
        let Some(service) = service.filter(|row| row.removed.is_none() && row.state != State::REMOVING) else {
            return failed("the service was removed".to_owned());
        };
        let note: ServiceNotes = notes(&service);
        let said = |what: &str| match service.message.is_empty() {
            true => what.to_owned(),
            false => service.message.clone(),
        };
        if !note.upgrade.failed.is_empty() {
            return failed(said("the new container failed"));
        }
        match service.state {
            State::ACTIVE => return Ok(Stand::Over("success", String::new())),
            State::INACTIVE | State::DEACTIVATING => return failed("the service was stopped".to_owned()),
            State::ROLLING_BACK | State::CANCELED_UPGRADE | State::CANCELING_UPGRADE => {
                return failed(said("the upgrade was cancelled"));
            }
            _ => {}
        }
        match self.now().since(begun) > LONGEST {
            true => failed(said("it took too long")),
            false => Ok(Stand::Waits(said("Waiting for new containers"))),
        }
    }
}

/// A step that ended because it cannot be begun.
fn refused(error: &Error, now: Timestamp) -> Result<Outcome> {
    let why = error.external.clone().unwrap_or_else(|| error.to_string());
    over("failed", &why, now)
}

/// A step that is over.
fn over(outcome: &str, reason: &str, now: Timestamp) -> Result<Outcome> {
    let mut patch = Fields::default();
    patch.set("outcome", outcome)?;
    patch.set("reason", reason)?;
    patch.set("ended", &now.0)?;
    Ok(Outcome::Done(Box::new(Changes {
        patch,
        ..Changes::default()
    })))
}
