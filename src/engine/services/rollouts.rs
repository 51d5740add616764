//! Rollouts: services that are brought to new launch configurations, one after another or all at once, until the first one fails.
//!
//! Each service's part is a row with a process of its own, written together with all the others; so what was asked for goes on
//! after a crash, and its rows say how it ended. The change itself is an upgrade that finishes by itself, watched over by the
//! labels of the new configuration.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::engine::core::{
    Core, Input, ObjectChange, Outcome, Scope, fenced, insert_and_start, live, new_row, notes, put_object, retire,
};
use crate::engine::instances::check_own_key;
use crate::engine::webhooks::{Event, tell};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State, Timestamp};
use crate::schema::Type;
use crate::store::{Changes, NewResource, Process, Tx, Within};

use super::new_service::NewService;
use super::snapshot::ServiceNotes;
use super::stack::NewStack;
use super::upgrade::{Config, Upgrade};

/// The type.
const KIND: &str = "rollout";
/// So many of a service are kept; older ones go.
const KEPT: usize = 50;
/// What is told when a service was brought to its new configuration, and when it could not be.
const SUCCEEDED: &str = "rollout.succeeded";
const FAILED: &str = "rollout.failed";
/// Between two looks at what is on its way.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So long a service may take once it is its turn, whatever it waits for.
const LONGEST: Duration = Duration::from_secs(900);
/// The most services of a rollout: they are written all at once.
const MOST: usize = 100;

/// What a part of a rollout is about.
pub enum RolloutService {
    /// A service that is there.
    There(ResourceId),
    /// One that is made together with the rollout, and runs nothing before its turn. Both are as their schemas left them.
    New {
        /// Its stack, which is made if there is none of that name.
        stack: Input,
        /// The service.
        service: Input,
    },
}

/// One service's part of a rollout, to be asked for.
pub struct RolloutStep {
    /// The service.
    pub service: RolloutService,
    /// Of an upgrade in place: `launchConfig`, `batchSize` and so on, checked by the schema.
    pub strategy: Map<String, Value>,
    /// Fields of the service that are written with it.
    pub beside: Input,
    /// What the interface that asks keeps of it; whoever subscribed to its end is told it, too.
    pub about: Value,
    /// The files that it goes by, which nobody is told of.
    pub files: Value,
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
    /// The files that it went by.
    pub files: Value,
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
            files: fields.read("files")?.unwrap_or_default(),
            after: id("afterId"),
        })
    }
}

/// Asks for a rollout: in turn, each after the one before it went well, or all at once. Services that are not there are made, and
/// `also` is an object that is changed, in the same transaction.
///
/// # Errors
/// 409 for a service that is in a rollout already, or is going, and for too many; 422 for what is wrong with a configuration, or for a
/// name that is not free.
pub(crate) async fn roll_out(
    core: &Core,
    scope: &Scope,
    mut steps: Vec<RolloutStep>,
    in_turn: bool,
    also: Option<(ResourceId, ObjectChange)>,
) -> Result<Vec<Resource>> {
    if steps.len() > MOST {
        return Err(Error::conflict(format!("at most {MOST} are brought anywhere at once")));
    }
    for step in &mut steps {
        check_step(core, scope, step)?;
    }
    let def = core.type_of(KIND)?.clone();
    let making = Making {
        stack: core.type_of("stack")?.clone(),
        service: core.type_of("service")?.clone(),
        account: scope.effective.id,
    };
    let (prefix, keep) = (def.prefix.clone(), core.keep_removed());
    core.write_for(scope, move |tx| {
        if let Some((id, change)) = also {
            let row = live(tx, id)?;
            put_object(tx, &row, &change)?;
        }
        let (mut rows, mut last): (Vec<Resource>, Option<ResourceId>) = (Vec::new(), None);
        for step in steps {
            let service = match step.service {
                RolloutService::There(id) => ready(tx, id, keep)?,
                RolloutService::New { stack, service } => making.make(tx, stack, service)?,
            };
            let mut fields = Fields::default();
            fields.set("serviceId", &format!("{}{}", making.service.prefix, service.id))?;
            fields.set("strategy", &step.strategy)?;
            fields.set("beside", &step.beside)?;
            fields.set("about", &step.about)?;
            fields.set("files", &step.files)?;
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

/// Finds what is wrong with a step and can be seen without its neighbours.
fn check_step(core: &Core, scope: &Scope, step: &mut RolloutStep) -> Result<()> {
    core.apply_image_rules(&mut step.strategy)?;
    check_own_key(scope, &step.strategy)?;
    match &mut step.service {
        RolloutService::There(id) => {
            let row = core.store.find(*id)?.ok_or_else(Error::not_found)?;
            core.require(scope, &row, "upgrade")?;
            core.check_host_use(row.account_id, &step.strategy)?;
            Upgrade::check(&row, step.strategy.clone()).map(drop)
        }
        RolloutService::New { stack, service } => {
            let account = scope.effective.id;
            core.apply_image_rules(service)?;
            check_own_key(scope, service)?;
            core.check_host_use(Some(account), service)?;
            let name = name_of(stack);
            let stacks = core.store.all("stack", Some(account))?;
            core.require_stack(
                scope,
                stacks.iter().find(|stack| stack.name.eq_ignore_ascii_case(&name)),
            )
        }
    }
}

fn name_of(input: &Input) -> String {
    input.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What making services together with a rollout needs.
struct Making {
    stack: Arc<Type>,
    service: Arc<Type>,
    account: ResourceId,
}

impl Making {
    /// A service, and its stack if that is not there.
    fn make(&self, tx: &mut Tx<'_>, stack: Input, service: Input) -> Result<Resource> {
        let named = tx.named("stack", Within::Account(self.account), &name_of(&stack))?;
        let stack = match named.first() {
            Some(id) => *id,
            None => NewStack::check(&self.stack, self.account, stack)?.insert(tx)?.id,
        };
        NewService::check(&self.service, self.account, stack, service)?.insert(tx)
    }
}

/// A service that a rollout can begin of.
fn ready(tx: &mut Tx<'_>, id: ResourceId, keep: Duration) -> Result<Resource> {
    let service = live(tx, id)?;
    if service.state == State::REMOVING {
        return Err(Error::conflict("the service is being removed"));
    }
    make_room(tx, id, keep)?;
    Ok(service)
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

/// Whether it is a step's turn, and since when; if not, how it stands.
enum Turn {
    Now(Timestamp),
    Not(Stand),
}

/// Whether a step could be begun, or may be yet; if not, why.
enum Begin {
    Goes(Outcome),
    Failed(String),
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
                Turn::Now(since) if self.now().since(since) > LONGEST => self.not_begun(&step)?,
                Turn::Now(_) => match self.begin_step(process, row, &step).await? {
                    Begin::Failed(why) => Stand::Over("failed", why),
                    Begin::Goes(outcome) => return Ok(outcome),
                },
                Turn::Not(stand) => stand,
            },
            Some(begun) => self.stand_of(&step, begun)?,
        };
        match stand {
            Stand::Over(outcome, reason) => self.end_step(process, row, outcome, reason).await,
            Stand::Waits(why) => Ok(Outcome::Again(LOOK_EVERY, why)),
        }
    }

    /// Whether it is a step's turn, and since when.
    fn turn_of(&self, step: &RolloutOf) -> Result<Turn> {
        let Some(before) = step.after else {
            return Ok(Turn::Now(step.created));
        };
        let before = self.store.find(before)?.map(|row| RolloutOf::of(&row)).transpose()?;
        let skipped = |why: &str| Turn::Not(Stand::Over("skipped", why.to_owned()));
        let Some(before) = before else {
            return Ok(skipped("the one before it is gone"));
        };
        Ok(match before.outcome.as_deref() {
            Some("success") => Turn::Now(before.ended.unwrap_or(step.created)),
            Some(_) => skipped("the one before it did not go well"),
            None => Turn::Not(Stand::Waits("Waiting for the one before it".to_owned())),
        })
    }

    /// A step whose turn has lasted too long, with what keeps its service from being upgraded.
    fn not_begun(&self, step: &RolloutOf) -> Result<Stand> {
        let service = step.service.map(|id| self.store.find(id)).transpose()?.flatten();
        let why = service.map(|row| row.message).filter(|message| !message.is_empty());
        Ok(too_long(why.as_deref().unwrap_or("it could not be begun")))
    }

    /// Writes the new configuration and asks for the upgrade, in one transaction with the note that it has begun.
    async fn begin_step(&self, process: &Process, row: &Resource, step: &RolloutOf) -> Result<Begin> {
        let waits = |why: &str| Ok(Begin::Goes(Outcome::Again(LOOK_EVERY, why.to_owned())));
        let Some(service) = step.service.map(|id| self.store.find(id)).transpose()?.flatten() else {
            return Ok(Begin::Failed("the service is gone".to_owned()));
        };
        if service.state == State::REGISTERING {
            return waits("Waiting for the service to be made");
        }
        let fields = Fields::parse(&row.fields)?;
        let strategy: Config = fields.read("strategy")?.unwrap_or_default();
        let beside: Input = fields.read("beside")?.unwrap_or_default();
        let begun = Upgrade::check(&service, strategy).map(|upgrade| upgrade.finishing().superseding(beside));
        let upgrade = match begun {
            Ok(upgrade) => upgrade,
            Err(error) => return Ok(Begin::Failed(said_of(&error))),
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
            Ok(Some(_)) => waits("Waiting for new containers"),
            Ok(None) => Ok(Begin::Goes(Outcome::Left)),
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Invalid) => {
                Ok(Begin::Failed(said_of(&error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Writes how a step ended, and the messages to whoever wants to know it, in one transaction. The process ends after that: what
    /// is written already it finds again.
    async fn end_step(
        &self,
        process: &Process,
        row: &Resource,
        outcome: &'static str,
        reason: String,
    ) -> Result<Outcome> {
        let (telling, process, id) = (self.telling()?, process.id, row.id);
        let written = self.write(move |tx| {
            let Some(row) = fenced(tx, process, id)? else {
                return Ok(None);
            };
            let mut patch = Fields::default();
            patch.set("outcome", outcome)?;
            patch.set("reason", &reason)?;
            patch.set("ended", &tx.now().0)?;
            let changes = Changes {
                patch,
                ..Changes::default()
            };
            let row = tx.update_if(&row, &changes)?;
            let event = event_of(&row, outcome, reason)?;
            event.map(|event| tell(tx, &telling, &event)).transpose()?;
            Ok(Some(row))
        });
        Ok(match written.await? {
            Some(_) => Outcome::done(),
            None => Outcome::Left,
        })
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
            true => Ok(too_long(&said("its containers did not get ready"))),
            false => Ok(Stand::Waits(said("Waiting for new containers"))),
        }
    }
}

/// A step that nobody waits for any longer, with what it waited for.
fn too_long(why: &str) -> Stand {
    let minutes = LONGEST.as_secs() / 60;
    Stand::Over("failed", format!("it took longer than {minutes} minutes: {why}"))
}

/// What a client may know of an error.
fn said_of(error: &Error) -> String {
    error.external.clone().unwrap_or_else(|| error.to_string())
}

/// What there is to tell of the end of a step; none of one that never began.
fn event_of(row: &Resource, outcome: &str, reason: String) -> Result<Option<Event>> {
    let name = match outcome {
        "success" => SUCCEEDED,
        "failed" => FAILED,
        _ => return Ok(None),
    };
    let Some(project) = row.account_id else { return Ok(None) };
    let about: Value = Fields::parse(&row.fields)?.read("about")?.unwrap_or_default();
    let data = [("name", Value::from(row.name.clone())), ("about", about)];
    let mut data: Map<String, Value> = data.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    if outcome == "failed" {
        data.insert("message".to_owned(), Value::from(reason));
    }
    Ok(Some(Event {
        name,
        project,
        subject: row.id,
        data,
    }))
}
