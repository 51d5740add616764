//! Upgrading a stack to other files, and the ways on from there: finish and rollback.
//!
//! The request checks the files and keeps what the stack was; the process does the rest. Only what means something else than
//! before is upgraded, and each run looks anew at what is left to do.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::compose;
use crate::engine::core::{
    Answer, Core, Input, Outcome, Scope, Update, apply_update, fenced, not_available, notes, request, write_notes,
};
use crate::model::{Fields, Resource, Result, ServiceKind, State, Timestamp};
use crate::schema::{Role, Version};
use crate::store::{Changes, Process, Tx};

use super::super::names::Neighbours;
use super::super::snapshot::ServiceNotes;
use super::super::upgrade::{Upgrade, begin_rollback};
use super::import::link;
use super::same::{Difference, difference};
use super::wanted::{Wanted, WantedService, is_refusal, refused, sentence};
use super::{KEPT, StackNotes, environment_of, texts_of};

/// Services wake their stack; the time is only a safety net.
const SAFETY_WAIT: Duration = Duration::from_secs(15);

/// The pace of an upgrade that says none (rancher-compose: `--batch-size`, `--interval`).
const BATCH_SIZE: i64 = 2;
const INTERVAL_MILLIS: i64 = 1_000;

/// Takes an upgrade of a stack: files with an error are refused at once, and what is upgraded can be rolled back.
pub(in crate::engine::services) async fn accept(
    core: &Core,
    scope: &Scope,
    row: &Resource,
    input: Input,
) -> Result<Answer> {
    let new = asked(row, &input)?;
    if let Some(texts) = texts_of(&new) {
        core.wanted(row, &texts, &environment_of(&new)?)?;
    }
    let machine = core.machine_of_row(row)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("upgrade", row.state).is_none() {
            return Err(not_available());
        }
        let changes = begun(&row, &input)?;
        request(tx, &machine, &row, "upgrade", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

/// The fields of a stack once it is upgraded.
fn asked(row: &Resource, input: &Input) -> Result<Fields> {
    let mut fields = Fields::parse(&row.fields)?;
    let text = |field: &str| input.get(field).and_then(Value::as_str);
    for field in ["dockerCompose", "rancherCompose"] {
        if let Some(text) = text(field).filter(|text| !text.is_empty()) {
            fields.set(field, text)?;
        }
    }
    if let Some(id) = text("externalId") {
        fields.set("externalId", id)?;
    }
    for field in ["answers", "environment", "templates"] {
        if let Some(given) = input
            .get(field)
            .and_then(Value::as_object)
            .filter(|given| !given.is_empty())
        {
            let mut all: Map<String, Value> = fields.read(field)?.unwrap_or_default();
            all.extend(given.clone());
            fields.set(field, &all)?;
        }
    }
    Ok(fields)
}

/// What the request for an upgrade writes: the new files, and what was before, if that is not kept already.
fn begun(row: &Resource, input: &Input) -> Result<Changes> {
    let old = Fields::parse(&row.fields)?;
    let mut fields = asked(row, input)?;
    if fields == old {
        return Ok(Changes::default());
    }
    let mut note: StackNotes = notes(row);
    if note.previous.is_none() {
        let mut previous = BTreeMap::new();
        for field in KEPT {
            previous.extend(old.read::<Value>(field)?.map(|value| (field.to_owned(), value)));
        }
        fields.set("previousExternalId", &previous.get("externalId"))?;
        fields.set("previousEnvironment", &previous.get("environment"))?;
        note.previous = Some(previous);
    }
    Ok(Changes {
        fields: Some(fields),
        internal: Some(write_notes(&note)?),
        ..Changes::default()
    })
}

/// What of services is brought to what files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Their own fields, their links and their configurations; upgrades that failed since then are not tried again.
    All(Timestamp),
    /// No configurations: those that services keep come back by their own rollback.
    OwnFields,
}

/// How far a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Progress {
    /// It is what the files say.
    There,
    /// It is on its way, or has been asked to go.
    Waits,
    /// It cannot be upgraded in its state.
    Held,
    /// Its upgrade failed since the stack's began, and it is what it was.
    GivenUp(String),
}

impl Core {
    /// Brings a stack to what its files say.
    pub(crate) async fn upgrade_stack(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let fields = Fields::parse(&row.fields)?;
        let Some(texts) = texts_of(&fields) else {
            return Ok(Outcome::done());
        };
        let wanted = match self.wanted(row, &texts, &environment_of(&fields)?) {
            Ok(wanted) => wanted,
            Err(error) if is_refusal(&error) => return Ok(Outcome::Failed(error.external.unwrap_or_default())),
            Err(error) => return Err(error),
        };
        let before = self.store.children(row.id, "service")?;
        let goes = before
            .iter()
            .any(|service| crate::engine::core::is_active_like(service.state));
        let starts = fields.read::<bool>("startOnCreate")?.unwrap_or(false) || goes;
        if let Err(error) = self.make(process, row, &wanted, starts).await {
            return match is_refusal(&error) {
                true => Ok(Outcome::Failed(error.external.unwrap_or_default())),
                false => Err(error),
            };
        }
        let before = notes::<StackNotes>(row).before()?;
        let scales = changed_scales(&row.name, before.as_ref(), &wanted)?;
        let depth = Depth::All(Timestamp(process.started_ms));
        let progress = match self.bring(process, row, &wanted, scales, depth).await {
            Ok(progress) => progress,
            Err(error) if is_refusal(&error) => return Ok(Outcome::Failed(error.external.unwrap_or_default())),
            Err(error) => return Err(error),
        };
        let hindrance = progress.iter().find_map(|(name, progress)| match progress {
            Progress::Held => Some(format!("service {name} cannot be upgraded in its state")),
            Progress::GivenUp(why) => Some(format!("service {name}: {why}")),
            Progress::There | Progress::Waits => None,
        });
        Ok(match hindrance {
            Some(sentence) => Outcome::Failed(sentence),
            None if progress.iter().all(|(_, progress)| *progress == Progress::There) => Outcome::done(),
            None => Outcome::Again(SAFETY_WAIT, "Upgrading stack".into()),
        })
    }

    /// Asks each service for what it needs to be as its file says.
    async fn bring(
        &self,
        process: &Process,
        stack: &Resource,
        wanted: &Wanted,
        scales: Vec<String>,
        depth: Depth,
    ) -> Result<Vec<(String, Progress)>> {
        let view = self.registry.view(Version::V2Beta, Role::Project).clone();
        let (range, keep, types) = (
            self.port_range(stack.account_id)?,
            self.keep_removed(),
            self.link_types()?,
        );
        let prefix = self.type_of("service")?.prefix.clone();
        let (id, process) = (stack.id, process.id);
        let found = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let results = found.clone();
        self.write_portions(wanted.services.clone(), move |tx, services| {
            let Some(stack) = fenced(tx, process, id)? else {
                return Ok(());
            };
            let beside = Neighbours::read(tx, id, None)?;
            for mut service in services {
                let Some(row) = beside.service(&service.name) else {
                    continue;
                };
                if let Some(balancing) = service.balancing.clone() {
                    super::balancing::aim(tx, (&stack, &beside), &prefix, &mut service.input, &balancing)?;
                }
                link(tx, (&stack, &beside), &types, row, &service, Some(keep))?;
                let row = tx.get(row)?;
                let Some(ty) = view.find_by_kind(&row.kind) else {
                    continue;
                };
                let update = Update::of(ty);
                let scale = scales.contains(&service.name);
                let progress = bring_service(tx, &row, &service, &update, scale, depth, range)?;
                if let Ok(mut results) = results.lock() {
                    results.push((service.name, progress));
                }
                if tx.is_full() {
                    break;
                }
            }
            Ok(())
        })
        .await?;
        let progress = found.lock().map(|found| found.clone()).unwrap_or_default();
        Ok(progress)
    }

    /// Finishes the upgrades of a stack's services; there is no way back then.
    pub(crate) async fn finish_stack(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let waits = self
            .ask_each(process, row, "finishupgrade", |state| state == State::UPGRADED)
            .await?;
        if waits || self.any_is(row, &[State::FINISHING_UPGRADE])? {
            return Ok(Outcome::Again(SAFETY_WAIT, "Finishing upgrade".into()));
        }
        settled(row, None)
    }

    /// Rolls the services of a stack back to what they were, as far as its upgrade changed them.
    pub(crate) async fn roll_stack_back(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let waits = self
            .ask_each(process, row, "rollback", |state| {
                matches!(state, State::UPGRADING | State::UPGRADED | State::CANCELED_UPGRADE)
            })
            .await?;
        if waits || self.any_is(row, &[State::ROLLING_BACK])? {
            return Ok(Outcome::Again(SAFETY_WAIT, "Rolling back".into()));
        }
        let note: StackNotes = notes(row);
        let Some(before) = note.before()? else {
            return settled(row, None);
        };
        // What is no part of a launch configuration was changed, and is not kept by services.
        if let Some(texts) = texts_of(&before) {
            match self.wanted(row, &texts, &environment_of(&before)?) {
                Ok(wanted) => {
                    let scales = changed_scales(&row.name, Some(&Fields::parse(&row.fields)?), &wanted)?;
                    self.bring(process, row, &wanted, scales, Depth::OwnFields).await?;
                }
                Err(error) if is_refusal(&error) => log::warn!("rolling stack {} back: {error}", row.name),
                Err(error) => return Err(error),
            }
        }
        settled(row, Some(&before))
    }

    /// Asks the services of a stack that are in such a state for a process; says whether any was.
    async fn ask_each(
        &self,
        process: &Process,
        stack: &Resource,
        action: &'static str,
        is_due: fn(State) -> bool,
    ) -> Result<bool> {
        let mut services = self.store.children(stack.id, "service")?;
        services.retain(|service| is_due(service.state));
        let is_any = !services.is_empty();
        let machine = self.machine_of("service")?.clone();
        let (id, process) = (stack.id, process.id);
        self.write_each(services, move |tx, service| {
            if fenced(tx, process, id)?.is_none() {
                return Ok(());
            }
            let Some(service) = tx.find(service.id)?.filter(|s| is_due(s.state)) else {
                return Ok(());
            };
            match action {
                "rollback" => begin_rollback(tx, &machine, &service, None).map(drop),
                action => request(tx, &machine, &service, action, "{}", Changes::default()).map(drop),
            }
        })
        .await?;
        Ok(is_any)
    }

    fn any_is(&self, stack: &Resource, states: &[State]) -> Result<bool> {
        let services = self.store.children(stack.id, "service")?;
        Ok(services.iter().any(|service| states.contains(&service.state)))
    }
}

/// The services whose scale files say otherwise than those before them: what somebody scaled meanwhile stays.
fn changed_scales(stack: &str, before: Option<&Fields>, wanted: &Wanted) -> Result<Vec<String>> {
    let Some(fields) = before else { return Ok(Vec::new()) };
    let texts = texts_of(fields).unwrap_or_default();
    let old = compose::read(stack, &texts, &environment_of(fields)?).unwrap_or_default();
    let said = |name: &str| -> Option<i64> {
        let service = old.services.iter().find(|service| service.name == name)?;
        Some(service.fields.get("scale").and_then(Value::as_i64).unwrap_or(1))
    };
    let differs = |service: &&WantedService| {
        let scale = service.input.get("scale").and_then(Value::as_i64).unwrap_or(1);
        said(&service.name).is_some_and(|old| old != scale)
    };
    let changed = wanted.services.iter().filter(differs);
    Ok(changed.map(|service| service.name.clone()).collect())
}

/// The end of an upgrade: nothing is kept of what was, or the stack is that again.
fn settled(row: &Resource, back_to: Option<&Fields>) -> Result<Outcome> {
    let mut changes = Changes::default();
    let fields = Fields::parse(&row.fields)?;
    if let Some(before) = back_to {
        for field in KEPT {
            let value: Option<Value> = before.read(field)?;
            if fields.read::<Value>(field)? != value {
                changes.patch.set(field, &value)?;
            }
        }
    }
    for field in ["previousExternalId", "previousEnvironment"] {
        if fields.get(field).is_some_and(|value| value != "null") {
            changes.patch.set(field, &Value::Null)?;
        }
    }
    let mut note: StackNotes = notes(row);
    if note.previous.take().is_some() {
        changes.internal = Some(write_notes(&note)?);
    }
    Ok(Outcome::Done(Box::new(changes)))
}

/// One service: its own fields by an update, its configurations by an upgrade.
fn bring_service(
    tx: &mut Tx<'_>,
    row: &Resource,
    wanted: &WantedService,
    update: &Update,
    with_scale: bool,
    depth: Depth,
    range: (u16, u16),
) -> Result<Progress> {
    let Some(machine) = wanted.def.machine.clone() else {
        return Ok(Progress::There);
    };
    let mut row = row.clone();
    let changed = changed_fields(&row, wanted, with_scale)?;
    let may_update = row.state == State::UPGRADED || machine.start("update", row.state).is_some();
    if !changed.is_empty() {
        if !may_update {
            return Ok(Progress::Waits);
        }
        row = apply_update(tx, update, &row, &changed)?;
    }
    let Depth::All(since) = depth else {
        return Ok(Progress::There);
    };
    let found = difference_of(&row, wanted)?;
    if found.is_none() || !ServiceKind::of(&row.kind).has_containers() {
        let is_moving = matches!(
            row.state,
            State::UPGRADING
                | State::FINISHING_UPGRADE
                | State::REGISTERING
                | State::UPDATING_ACTIVE
                | State::UPDATING_INACTIVE
        );
        return Ok(if is_moving { Progress::Waits } else { Progress::There });
    }
    if let Some(failed) = notes::<ServiceNotes>(&row)
        .upgrade
        .given_up
        .filter(|failed| failed.at >= since)
    {
        return Ok(Progress::GivenUp(failed.why));
    }
    if row.state == State::UPGRADED {
        // An earlier upgrade is finished first.
        request(tx, &machine, &row, "finishupgrade", "{}", Changes::default())?;
        return Ok(Progress::Waits);
    }
    if machine.start("upgrade", row.state).is_none() {
        let is_stuck = matches!(row.state, State::CANCELED_UPGRADE | State::CANCELED_ROLLBACK);
        return Ok(if is_stuck { Progress::Held } else { Progress::Waits });
    }
    let upgrade =
        Upgrade::check(&row, strategy(wanted, found)).and_then(|upgrade| upgrade.begin(tx, &machine, &row, range));
    match upgrade {
        Ok(_) => Ok(Progress::Waits),
        Err(error) if is_refusal(&error) => Err(refused(sentence(&row.name, &error))),
        Err(error) => Err(error),
    }
}

/// The fields of a service itself that its file says otherwise.
fn changed_fields(row: &Resource, wanted: &WantedService, with_scale: bool) -> Result<Input> {
    let mut changed = Input::new();
    let fields = Fields::parse(&row.fields)?;
    let own = [
        "metadata",
        "retainIp",
        "scalePolicy",
        "selectorContainer",
        "selectorLink",
        "lbConfig",
        "externalIpAddresses",
        "hostname",
        "healthCheck",
    ];
    let bare = (!ServiceKind::of(&row.kind).has_containers()).then_some("launchConfig");
    for field in own.into_iter().chain(with_scale.then_some("scale")).chain(bare) {
        if !wanted.def.fields.contains_key(field) {
            continue;
        }
        let new = wanted.input.get(field).cloned().unwrap_or(Value::Null);
        let old: Value = fields.read(field)?.unwrap_or_default();
        // One without containers has an empty configuration, whether or not its file says any.
        let is_default = new.is_null() && field == "launchConfig";
        if super::same::means(&new) != super::same::means(&old) && !is_default {
            changed.insert(field.to_owned(), new);
        }
    }
    Ok(changed)
}

fn difference_of(row: &Resource, wanted: &WantedService) -> Result<Difference> {
    let fields = Fields::parse(&row.fields)?;
    let primary: Option<Map<String, Value>> = fields.read("launchConfig")?;
    let sidekicks: Vec<Map<String, Value>> = fields.read("secondaryLaunchConfigs")?.unwrap_or_default();
    let of = |field: &str| wanted.input.get(field);
    let wanted_sidekicks: Vec<Map<String, Value>> = of("secondaryLaunchConfigs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|config| config.as_object().cloned())
        .collect();
    let wanted_primary = of("launchConfig").and_then(Value::as_object);
    Ok(difference(
        primary.as_ref(),
        &sidekicks,
        wanted_primary,
        &wanted_sidekicks,
    ))
}

/// The upgrade of a service, at its own pace.
fn strategy(wanted: &WantedService, found: Difference) -> Map<String, Value> {
    let mut strategy = Map::from_iter([
        ("type".to_owned(), json!("inServiceUpgradeStrategy")),
        ("batchSize".to_owned(), json!(BATCH_SIZE)),
        ("intervalMillis".to_owned(), json!(INTERVAL_MILLIS)),
        ("startFirst".to_owned(), json!(false)),
    ]);
    strategy.extend(wanted.pace.clone());
    strategy.insert("launchConfig".into(), json!(found.primary));
    strategy.insert("secondaryLaunchConfigs".into(), json!(found.sidekicks));
    strategy
}
