//! What is kept of a service beyond the engine's own row, and the service as Docker's clients read it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::caller::{Caller, fields, object};
use super::check;
use super::keys::canonical;
use super::project::{NAMESPACE, Others, project};
use super::refusal::Outcome;
use super::spec::{Mode, PortConfig, ServiceSpec};
use super::synth::{self, Published};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State, Timestamp};

/// The field of a service that it is kept in. No view of Rancher's shows it.
pub const FIELD: &str = "dockerSpec";
/// How the message of a service begins whose upgrade failed and led back.
const ROLLED_BACK: &str = "Upgrade rolled back";
/// The stack of services that belong to none.
pub const DEFAULT_STACK: &str = "default";

/// What Docker's clients wrote of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// The service as given, and what Docker adds.
    pub spec: ServiceSpec,
    /// The same before the last update.
    pub previous: Option<ServiceSpec>,
    /// One more with each write.
    pub index: u64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
    /// The last update that made containers anew.
    pub rollout: Option<Rollout>,
    /// How often a job was asked for again.
    pub iteration: u64,
    /// What the engine calls it: under another name it was renamed elsewhere.
    pub native_name: String,
}

impl Kept {
    /// Whether the last update failed, and led back by itself.
    fn went_back(&self, row: &Resource) -> bool {
        let is_forth = self.rollout.as_ref().is_some_and(|rollout| !rollout.is_rollback);
        is_forth && (row.state == State::ROLLING_BACK || row.message.starts_with(ROLLED_BACK))
    }

    /// What was before is what is now, and before it there was nothing.
    fn go_back(&mut self) {
        if let Some(previous) = self.previous.take() {
            self.spec = previous;
            self.index += 1;
        }
    }
}

/// An update that makes containers anew.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// When it was asked for, in milliseconds since 1970.
    pub began_at: i64,
    /// Whether it leads back.
    pub is_rollback: bool,
}

/// A service as it is now.
pub struct Service {
    /// Its row.
    pub row: Resource,
    /// What is kept of it, as it is stored.
    pub stored: Value,
    /// The same, read; none if no client of Docker's wrote it.
    pub kept: Option<Kept>,
    /// As Docker's clients read it.
    pub spec: ServiceSpec,
    /// Its ports as they are published.
    pub ports: Vec<Published>,
    /// Whether it was changed elsewhere since.
    pub differs: bool,
}

/// For what was translated before: whom it names makes no difference.
struct Whoever;

impl Others for Whoever {
    fn secret(&self, _id: &str) -> Outcome<String> {
        Ok(String::new())
    }

    fn config(&self, _id: &str) -> Outcome<String> {
        Ok(String::new())
    }

    fn simulates(&self) -> bool {
        false
    }

    fn node(&self, _id: &str) -> Option<String> {
        None
    }
}

impl Service {
    /// Reads a row; `stacks` are the names of all.
    pub fn read(row: Resource, stacks: &HashMap<ResourceId, String>) -> Result<Self> {
        let own = fields(&row)?;
        Self::of(row, &own, stacks)
    }

    /// The same of a row whose fields were parsed.
    pub fn of(row: Resource, own: &Fields, stacks: &HashMap<ResourceId, String>) -> Result<Self> {
        let stored: Value = own.read(FIELD)?.unwrap_or_default();
        let mut kept: Option<Kept> = match &stored {
            Value::Null => None,
            stored => Some(Kept::deserialize(stored).map_err(|e| Error::internal("reading a service of Docker's", e))?),
        };
        if let Some(kept) = kept.as_mut().filter(|kept| kept.went_back(&row)) {
            kept.go_back();
        }
        let launch = object(own, "launchConfig")?;
        let stack = row
            .parent_id
            .and_then(|id| stacks.get(&id))
            .map_or(DEFAULT_STACK, String::as_str);
        let (name, labels) = native_name(&row.name, stack);
        let is_named = kept.as_ref().is_some_and(|kept| kept.native_name == row.name);
        let name = match &kept {
            Some(kept) if is_named => kept.spec.name.clone(),
            _ => name,
        };
        let scale = scale(own, &launch)?;
        let changed = match &kept {
            None => Some(synth::synthesise(&name, &labels, &launch, scale)),
            Some(kept) => shown(kept, &name, &launch, scale)?,
        };
        let differs = kept.is_some() && changed.is_some();
        let spec = match (changed, &kept) {
            (None, Some(kept)) => kept.spec.clone(),
            // What is null, or of no name that Docker knows, is as good as absent.
            (changed, _) => serde_json::from_value(canonical(changed.unwrap_or_default()))
                .map_err(|e| Error::internal("writing a service as Docker does", e))?,
        };
        let mut ports = synth::ports(&launch);
        // In the order in which they were asked for.
        ports.sort_by_key(|port| given(&spec, port).map_or(usize::MAX, |(place, _)| place));
        Ok(Self {
            row,
            stored,
            kept,
            spec,
            ports,
            differs,
        })
    }

    /// The number that an update has to name.
    pub fn index(&self) -> u64 {
        self.kept.as_ref().map_or(1, |kept| kept.index) + u64::from(self.differs)
    }

    /// As an object of an answer.
    pub fn to_json(&self, caller: &Caller, with_defaults: bool) -> Result<Map<String, Value>> {
        let row = &self.row;
        let created = nanos(row.created);
        let updated = self
            .kept
            .as_ref()
            .map_or(created.clone(), |kept| nanos(Timestamp(kept.updated_at)));
        let spec = self.spec.clone();
        let mut out = Map::new();
        out.insert("ID".into(), json!(caller.ids.of(row.id)));
        out.insert("Version".into(), json!({"Index": self.index()}));
        out.insert("CreatedAt".into(), json!(created));
        out.insert("UpdatedAt".into(), json!(updated));
        let spec = match with_defaults {
            true => check::with_defaults(spec),
            false => spec,
        };
        let mut shown = written(&spec)?;
        caller.trim(&mut shown);
        out.insert("Spec".into(), shown);
        if let Some(previous) = self.kept.as_ref().and_then(|kept| kept.previous.as_ref()) {
            let mut shown = written(previous)?;
            caller.trim(&mut shown);
            out.insert("PreviousSpec".into(), shown);
        }
        out.insert("Endpoint".into(), self.endpoint()?);
        Ok(out)
    }

    fn endpoint(&self) -> Result<Value> {
        // A swarm gives an endpoint to what has something to be reached by.
        let has_networks = !self.spec.networks.is_empty() || !self.spec.task_template.networks.is_empty();
        let given = self.spec.endpoint_spec.as_ref();
        let Some(spec) = given.filter(|spec| has_networks || !spec.ports.is_empty()) else {
            return Ok(json!({"Spec": {}}));
        };
        let mut out = json!({"Spec": written(spec)?});
        let ports = self.ports.iter().map(|port| {
            written(&PortConfig {
                name: self.given(port).map(|given| given.name.clone()).unwrap_or_default(),
                protocol: port.protocol.clone(),
                target_port: port.target,
                published_port: port.published,
                publish_mode: self.publish_mode(port).to_owned(),
            })
        });
        let ports: Vec<Value> = ports.collect::<Result<_>>()?;
        if let Some(out) = out.as_object_mut().filter(|_| !ports.is_empty()) {
            out.insert("Ports".into(), Value::Array(ports));
        }
        Ok(out)
    }

    /// How a port of it was asked for.
    fn given(&self, port: &Published) -> Option<&PortConfig> {
        given(&self.spec, port).map(|(_, given)| given)
    }

    /// By whom a port of it is published: `ingress`, `host`.
    pub fn publish_mode(&self, port: &Published) -> &str {
        let mode = self.given(port).map_or("", |given| given.publish_mode.as_str());
        if mode.is_empty() { port.mode() } else { mode }
    }

    /// How its last update goes; none if there was none. `ended` is when the process of it ended.
    pub fn update_status(&self, ended: Option<Timestamp>) -> Option<Value> {
        let rollout = self.kept.as_ref()?.rollout.as_ref()?;
        let row = &self.row;
        let (back, message) = (rollout.is_rollback, row.message.as_str());
        let rolled_back = message.starts_with(ROLLED_BACK);
        let paused = message.starts_with("Upgrade paused") || row.state == State::CANCELED_UPGRADE;
        let failed = "due to failure or early termination of task";
        let (state, words) = match row.state {
            State::UPGRADING | State::CANCELING_UPGRADE | State::CANCELED_UPGRADE if paused => match back {
                true => ("rollback_paused", format!("rollback paused {failed}")),
                false => ("paused", format!("update paused {failed}")),
            },
            State::UPGRADING => match back {
                true => ("rollback_started", "manually requested rollback".to_owned()),
                false => ("updating", "update in progress".to_owned()),
            },
            State::ROLLING_BACK if message.starts_with("Rollback paused") => {
                ("rollback_paused", format!("rollback paused {failed}"))
            }
            State::ROLLING_BACK => ("rollback_started", format!("update rolled back {failed}")),
            _ if rolled_back || back => ("rollback_completed", "rollback completed".to_owned()),
            _ => ("completed", "update completed".to_owned()),
        };
        let mut out = Map::new();
        out.insert("State".into(), json!(state));
        out.insert("StartedAt".into(), json!(nanos(Timestamp(rollout.began_at))));
        if let Some(ended) = ended.filter(|_| state.ends_with("completed")) {
            out.insert("CompletedAt".into(), json!(nanos(ended)));
        }
        out.insert("Message".into(), json!(words));
        Some(Value::Object(out))
    }

    /// Its mode, as filters name it.
    pub fn mode(&self) -> &'static str {
        self.spec.mode.as_ref().map_or("replicated", Mode::name)
    }

    /// Whether its containers run until they have succeeded.
    pub fn is_job(&self) -> bool {
        self.spec.mode.as_ref().is_some_and(Mode::is_job)
    }

    /// How often a job was asked for again: `JobIteration`.
    pub fn iteration(&self) -> Value {
        match self.kept.as_ref().map_or(0, |kept| kept.iteration) {
            0 => json!({}),
            index => json!({"Index": index}),
        }
    }

    /// `JobStatus`.
    pub fn job_status(&self) -> Option<Value> {
        let rollout = self.kept.as_ref().and_then(|kept| kept.rollout.as_ref());
        let begun = rollout.map_or(self.row.created, |rollout| Timestamp(rollout.began_at));
        self.is_job()
            .then(|| json!({"JobIteration": self.iteration(), "LastExecution": nanos(begun)}))
    }
}

/// How a port was asked for, and in which place: by its number on hosts, else as any.
fn given<'s>(spec: &'s ServiceSpec, port: &Published) -> Option<(usize, &'s PortConfig)> {
    let all = &spec.endpoint_spec.as_ref()?.ports;
    let find = |published: u16| {
        let is_it = |given: &PortConfig| {
            given.target_port == port.target && given.protocol == port.protocol && given.published_port == published
        };
        all.iter().enumerate().find(|(_, given)| is_it(given))
    };
    find(port.published).or_else(|| find(0))
}

/// What is kept, with what was changed elsewhere; none if nothing was.
fn shown(kept: &Kept, name: &str, launch: &Map<String, Value>, scale: Option<i64>) -> Result<Option<Value>> {
    let Ok(then) = project(&kept.spec, &Whoever) else {
        return Ok(None);
    };
    let labels = BTreeMap::new();
    let to_scale = then.scale.and_then(|scale| i64::try_from(scale).ok());
    let then_ports = synth::ports(&then.launch);
    let then = synth::synthesise(&kept.spec.name, &labels, &then.launch, to_scale);
    let mut launch = launch.clone();
    synth::undraw(&mut launch, &then_ports);
    let now = synth::synthesise(name, &labels, &launch, scale);
    match then == now {
        true => Ok(None),
        false => Ok(Some(synth::overlay(&written(&kept.spec)?, &then, &now))),
    }
}

/// How many it is to have; none is one on each host.
fn scale(own: &Fields, launch: &Map<String, Value>) -> Result<Option<i64>> {
    match synth::is_global(launch) {
        true => Ok(None),
        false => Ok(Some(own.read("scale")?.unwrap_or(1))),
    }
}

/// What a service of Rancher's is called here, and the labels that say so.
fn native_name(name: &str, stack: &str) -> (String, BTreeMap<String, String>) {
    match stack {
        DEFAULT_STACK => (name.to_owned(), BTreeMap::new()),
        stack => (
            format!("{stack}_{name}"),
            BTreeMap::from([(NAMESPACE.to_owned(), stack.to_owned())]),
        ),
    }
}

/// A time as Docker writes it.
pub fn nanos(time: Timestamp) -> String {
    let text = time.to_wire_millis();
    match text.strip_suffix('Z') {
        Some(text) => format!("{text}000000Z"),
        None => text,
    }
}

/// Something of ours as JSON.
pub fn written<T: Serialize>(what: &T) -> Result<Value> {
    serde_json::to_value(what).map_err(|e| Error::internal("writing JSON", e))
}
