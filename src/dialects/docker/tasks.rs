//! Tasks: the containers of services, those that are gone too.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields};
use super::query::{Filters, Query};
use super::record::{Service, nanos, written};
use super::refusal::{Outcome, Refusal};
use super::services;
use super::spec::Mode;
use super::swarm::Settings;
use crate::dialects::words::task_state;
use crate::engine::Unit;
use crate::model::{Error, Resource, ResourceId, Result, State};

/// So many at most of what a service waits for are told.
const MOST_PENDING: usize = 100;
/// More than a service has slots.
const SLOTS: i64 = 1 << 20;
/// The most containers that are looked at.
const MOST: u32 = 3_000;

/// All states that Docker knows of tasks.
const STATES: [&str; 15] = [
    "new",
    "allocated",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
    "remove",
    "orphaned",
];

/// A container as a task.
struct Task {
    row: Resource,
    unit: Unit,
    /// What Docker calls its state.
    state: &'static str,
    /// Whether it is meant to run.
    is_wanted: bool,
    /// Of which launch configuration it is.
    version: String,
    /// What the engine calls it.
    external_id: String,
}

/// How many containers of services run and have completed, and how many there are to be.
#[derive(Debug, Default)]
pub struct Tallies {
    /// That run.
    running: HashMap<ResourceId, u64>,
    /// That there are.
    there: HashMap<ResourceId, u64>,
    /// By version, too: what a job did before it was asked for again does not count.
    completed: HashMap<(ResourceId, String), u64>,
}

impl Tallies {
    /// `ServiceStatus`.
    pub fn of(&self, service: &Service) -> Value {
        let id = service.row.id;
        let of = |counts: &HashMap<_, _>| counts.get(&id).copied().unwrap_or(0);
        let mode = service.spec.mode.clone().unwrap_or_default();
        let completed = match mode.is_job() {
            true => self.completed.get(&(id, version_of(service))).copied().unwrap_or(0),
            false => 0,
        };
        let desired = match (mode.replicas(), mode.replicated_job) {
            (Some(replicas), _) => replicas,
            (_, Some(job)) => job.max_concurrent.unwrap_or(1),
            // Of those on each host there are to be as many as the engine makes.
            _ => of(&self.there).saturating_sub(completed),
        };
        json!({"RunningTasks": of(&self.running), "DesiredTasks": desired, "CompletedTasks": completed})
    }
}

/// Counts the containers of all services of the project.
pub async fn tally(caller: &Caller) -> Outcome<Tallies> {
    let mut tallies = Tallies::default();
    for row in caller.containers().await? {
        let Some(service) = row.parent_id else { continue };
        *tallies.there.entry(service).or_insert(0) += 1;
        let is_well = matches!(row.health.as_str(), "" | "healthy" | "updating-healthy");
        if matches!(row.state, State::RUNNING | State::UPDATING_RUNNING) && is_well {
            *tallies.running.entry(service).or_insert(0) += 1;
        } else if row.state == State::STOPPED {
            let task = Task::read(caller, row, false)?;
            if task.state == "complete" && task.unit.config.is_none() {
                *tallies.completed.entry((service, task.version)).or_insert(0) += 1;
            }
        }
    }
    Ok(tallies)
}

/// How many containers a project has.
#[derive(Debug, Clone, Copy, Default)]
pub struct States {
    /// In all.
    pub all: usize,
    /// That run.
    pub running: usize,
}

/// Counts the containers of the project.
pub async fn states(caller: &Caller) -> Outcome<States> {
    let rows = caller.containers().await?;
    Ok(States {
        all: rows.len(),
        running: rows.iter().filter(|row| row.state == State::RUNNING).count(),
    })
}

/// `GET /tasks`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let known = [
        "id",
        "name",
        "service",
        "node",
        "label",
        "desired-state",
        "_up-to-date",
        "runtime",
    ];
    let filters = query.filters(&known)?;
    filters.check("desired-state", &STATES)?;
    let services = asked_services(caller, &filters).await?;
    let hosts = asked_hosts(caller, &filters).await?;
    let mut out = Vec::new();
    let of_one = services
        .first()
        .filter(|_| services.len() == 1)
        .map(|service| service.row.id);
    let history = Settings::read(caller)?.history();
    let mut rows = by_service(read(caller, of_one).await?);
    for service in &services {
        let own = rows.remove(&Some(service.row.id)).unwrap_or_default();
        for task in of_rows(caller, service, own, history)? {
            if is_asked(caller, service, &task, &filters, hosts.as_deref()) {
                out.push(shown(caller, service, &task)?);
            }
        }
    }
    Ok(Value::Array(out))
}

/// `GET /tasks/{id}`.
pub async fn inspect(caller: &Caller, id: &str) -> Outcome<Value> {
    let (service, task) = find(caller, id).await?;
    shown(caller, &service, &task)
}

/// The container of a task, and its service.
pub async fn container(caller: &Caller, id: &str) -> Outcome<(Service, Resource)> {
    let (service, task) = find(caller, id).await?;
    Ok((service, task.row))
}

/// The containers of a service that can be asked for what they wrote, with the numbers of their slots.
pub async fn containers(caller: &Caller, service: &Service) -> Outcome<Vec<Resource>> {
    let tasks = of_service(caller, service).await?;
    Ok(tasks
        .into_iter()
        .filter(|task| task.row.removed.is_none())
        .map(|task| task.row)
        .collect())
}

async fn find(caller: &Caller, id: &str) -> Outcome<(Service, Task)> {
    caller.may("container", Deed::Read)?;
    let history = Settings::read(caller)?.history();
    let mut rows = by_service(read(caller, None).await?);
    for service in services::all(caller).await? {
        let own = rows.remove(&Some(service.row.id)).unwrap_or_default();
        let tasks = of_rows(caller, &service, own, history)?;
        let is_it = |task: &Task| {
            caller.ids.of(task.row.id) == id || (id.len() > 2 && caller.ids.of(task.row.id).starts_with(id))
        };
        if let Some(task) = tasks.into_iter().find(is_it) {
            return Ok((service, task));
        }
    }
    Err(Refusal::missing("task", id))
}

async fn asked_services(caller: &Caller, filters: &Filters) -> Outcome<Vec<Service>> {
    let Some(wanted) = filters.of("service") else {
        return services::all(caller).await;
    };
    let mut found: Vec<Service> = Vec::new();
    for name in wanted {
        let service = services::find(caller, name).await?;
        if !found.iter().any(|other| other.row.id == service.row.id) {
            found.push(service);
        }
    }
    Ok(found)
}

async fn asked_hosts(caller: &Caller, filters: &Filters) -> Outcome<Option<Vec<ResourceId>>> {
    let Some(wanted) = filters.of("node") else {
        return Ok(None);
    };
    let hosts = caller.lasting("host").await?;
    let found = wanted.iter().map(|name| {
        caller
            .pick(&hosts, "node", name, super::caller::hostname)
            .map(|row| row.id)
    });
    found.collect::<Outcome<Vec<_>>>().map(Some)
}

fn is_asked(caller: &Caller, service: &Service, task: &Task, filters: &Filters, hosts: Option<&[ResourceId]>) -> bool {
    let name = name_of(caller, service, task);
    let desired = desired_state(service, task);
    filters.fits("id", |id| caller.ids.of(task.row.id).starts_with(id))
        && filters.fits("name", |wanted| name.starts_with(wanted))
        && filters.fits("desired-state", |state| state.eq_ignore_ascii_case(desired))
        && filters.fits("runtime", |runtime| runtime == "container")
        // Docker asks for those that are whatever is said.
        && filters.fits("_up-to-date", |_| is_up_to_date(service, task))
        && filters.labels("label", &service.spec.labels)
        && hosts.is_none_or(|hosts| task.row.host_id.is_some_and(|host| hosts.contains(&host)))
}

fn is_up_to_date(service: &Service, task: &Task) -> bool {
    let version = version_of(service);
    (task.is_wanted || service.is_job()) && (version.is_empty() || version == task.version)
}

/// Of which launch configuration its containers are to be; empty if that is not known.
fn version_of(service: &Service) -> String {
    let launch = fields(&service.row).and_then(|own| super::caller::object(&own, "launchConfig"));
    let version = launch.ok().and_then(|mut launch| launch.shift_remove("version"));
    version.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn name_of(caller: &Caller, service: &Service, task: &Task) -> String {
    name_in(caller, service, &task.row, &task.unit)
}

fn name_in(caller: &Caller, service: &Service, row: &Resource, unit: &Unit) -> String {
    match (service.mode(), row.host_id) {
        ("global" | "global-job", Some(host)) => format!("{}.{}", service.spec.name, caller.ids.of(host)),
        _ => format!("{}.{}", service.spec.name, unit.index),
    }
}

/// What a swarm would call a container of a service.
pub fn container_name(caller: &Caller, service: &Service, row: &Resource) -> String {
    let unit = caller.engine.unit_of(row);
    format!("{}.{}", name_in(caller, service, row, &unit), caller.ids.of(row.id))
}

/// The containers that there are and were, the newest first: of one service, or of all.
async fn read(caller: &Caller, parent: Option<ResourceId>) -> Result<Vec<Resource>> {
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    tokio::task::spawn_blocking(move || engine.history(&scope, parent, "instance", MOST))
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))?
}

fn by_service(rows: Vec<Resource>) -> HashMap<Option<ResourceId>, Vec<Resource>> {
    let mut all: HashMap<_, Vec<Resource>> = HashMap::new();
    for row in rows {
        all.entry(row.parent_id).or_default().push(row);
    }
    all
}

async fn of_service(caller: &Caller, service: &Service) -> Outcome<Vec<Task>> {
    let history = Settings::read(caller)?.history();
    let rows = read(caller, Some(service.row.id)).await?;
    Ok(of_rows(caller, service, rows, history)?)
}

/// The tasks of a service by slot, those that are gone behind those that are there, at most `history` of them.
fn of_rows(caller: &Caller, service: &Service, rows: Vec<Resource>, history: usize) -> Result<Vec<Task>> {
    let mut gone: BTreeMap<(u32, Option<ResourceId>), usize> = BTreeMap::new();
    let slot_of = |task: &Task| match service.mode() {
        "global" | "global-job" => (0, task.row.host_id),
        _ => (task.unit.index, None),
    };
    let policy = service.spec.task_template.restart_policy.as_ref();
    let is_once = policy.is_some_and(|policy| policy.condition == "none");
    let mut all = rows
        .into_iter()
        .map(|row| Task::read(caller, row, is_once))
        .collect::<Result<Vec<_>>>()?;
    // A sidekick is a part of its unit; Docker has no word for it.
    all.retain(|task| task.unit.config.is_none());
    all.extend(pending(caller, service, &all)?);
    let kept: HashSet<_> = all
        .iter()
        .filter(|task| task.row.removed.is_none())
        .map(slot_of)
        .collect();
    // Of a slot that is no more nothing is remembered, as swarm does.
    all.retain(|task| kept.contains(&slot_of(task)));
    let mut tasks = Vec::new();
    for task in all {
        let slot = slot_of(&task);
        if !task.is_wanted {
            let seen = gone.entry(slot).or_insert(0);
            *seen += 1;
            if *seen > history {
                continue;
            }
        }
        tasks.push(task);
    }
    tasks.sort_by_key(|task| (task.unit.index, !task.is_wanted, std::cmp::Reverse(task.row.id)));
    Ok(tasks)
}

/// What is wanted and is no container yet, as it finds no host: a task for each slot that is empty.
fn pending(caller: &Caller, service: &Service, there: &[Task]) -> Result<Vec<Task>> {
    let row = &service.row;
    let is_on = !matches!(row.state, State::INACTIVE | State::DEACTIVATING | State::REMOVING);
    let replicas = service.spec.mode.as_ref().and_then(Mode::replicas).filter(|_| is_on);
    let taken: HashSet<u32> = there
        .iter()
        .filter(|task| task.row.removed.is_none())
        .map(|task| task.unit.index)
        .collect();
    let slots = 1..=u32::try_from(replicas.unwrap_or(0)).unwrap_or(u32::MAX);
    let launch = super::caller::object(&fields(row)?, "launchConfig")?;
    let version = launch.get("version").and_then(Value::as_str).unwrap_or_default();
    let empty = slots.filter(|slot| !taken.contains(slot)).take(MOST_PENDING);
    let tasks = empty.map(|slot| {
        let unplaced = Resource {
            // No row has a number below zero.
            id: ResourceId(-(row.id.0 * SLOTS + i64::from(slot))),
            state: State::REQUESTED,
            host_id: None,
            parent_id: Some(row.id),
            fields: "{}".into(),
            internal: "{}".into(),
            ..row.clone()
        };
        let unit = caller.engine.unit_of(&unplaced);
        Task {
            state: "pending",
            is_wanted: true,
            version: version.to_owned(),
            external_id: String::new(),
            unit: Unit { index: slot, ..unit },
            row: unplaced,
        }
    });
    Ok(tasks.collect())
}

impl Task {
    fn read(caller: &Caller, row: Resource, is_once: bool) -> Result<Self> {
        let own = fields(&row)?;
        let unit = caller.engine.unit_of(&row);
        let (state, mut is_wanted) = task_state(&row, &unit);
        // What is started once is not wanted to run again.
        let is_over = matches!(row.state, State::STOPPED | State::UPDATING_STOPPED);
        is_wanted &= !(is_over && is_once);
        Ok(Self {
            state,
            is_wanted,
            version: own.text("version").unwrap_or_default(),
            external_id: own.text("externalId").unwrap_or_default(),
            unit,
            row,
        })
    }
}

fn shown(caller: &Caller, service: &Service, task: &Task) -> Outcome<Value> {
    let row = &task.row;
    let own = fields(row)?;
    let template = &service.spec.task_template;
    let mut out = Map::new();
    out.insert("ID".into(), json!(caller.ids.of(row.id)));
    out.insert("Version".into(), json!({"Index": row.version}));
    out.insert("CreatedAt".into(), json!(nanos(row.created)));
    let since = unit_time(task).unwrap_or_else(|| nanos(row.created));
    out.insert("UpdatedAt".into(), json!(since));
    out.insert("Labels".into(), json!({}));
    let mut spec = written(template)?;
    if let Some(spec) = spec.as_object_mut() {
        spec.shift_remove("Runtime");
    }
    caller.trim(&mut spec);
    if let (Some(image), Some(container)) = (own.text("imageUuid"), spec.pointer_mut("/ContainerSpec/Image")) {
        *container = json!(image.strip_prefix("docker:").unwrap_or(&image));
    }
    out.insert("Spec".into(), spec);
    out.insert("ServiceID".into(), json!(caller.ids.of(service.row.id)));
    // The slots of a job begin with 0, which is left out: so its clients count them.
    let slot = match service.mode() {
        "replicated" => Some(task.unit.index),
        "replicated-job" => task.unit.index.checked_sub(1).filter(|slot| *slot > 0),
        _ => None,
    };
    out.extend(slot.map(|slot| ("Slot".to_owned(), json!(slot))));
    if let Some(host) = row.host_id {
        out.insert("NodeID".into(), json!(caller.ids.of(host)));
    }
    let message = match task.state {
        "running" | "failed" => "started",
        "complete" => "finished",
        "pending" => "pending task scheduling",
        other => other,
    };
    let mut status = json!({"Timestamp": since, "State": task.state, "Message": message});
    if let Some(status) = status.as_object_mut() {
        if let Some(words) = trouble(task) {
            status.insert("Err".into(), json!(words));
        }
        if !task.external_id.is_empty() {
            let code = task.unit.exit_code.unwrap_or(0);
            let made = json!({"ContainerID": task.external_id, "PID": 0, "ExitCode": code});
            status.insert("ContainerStatus".into(), made);
        }
        status.insert("PortStatus".into(), json!({}));
    }
    out.insert("Status".into(), status);
    out.insert("DesiredState".into(), json!(desired_state(service, task)));
    if service.is_job() {
        out.insert("JobIteration".into(), service.iteration());
    }
    Ok(Value::Object(out))
}

/// What is wanted of a task.
fn desired_state(service: &Service, task: &Task) -> &'static str {
    match task.is_wanted {
        _ if service.is_job() && (task.is_wanted || task.state == "complete") => "complete",
        true => "running",
        false => "shutdown",
    }
}

fn unit_time(task: &Task) -> Option<String> {
    let at = match task.state {
        "running" | "starting" => task.unit.up_since,
        _ => task.unit.exited_at.or(task.row.removed).or(task.unit.up_since),
    };
    at.map(nanos)
}

/// Why it does not run, in the engine's words.
fn trouble(task: &Task) -> Option<String> {
    match task
        .unit
        .exit_code
        .filter(|code| *code != 0 && task.unit.ended_by_itself)
    {
        _ if !task.row.message.is_empty() && task.state != "running" => Some(task.row.message.clone()),
        Some(code) => Some(format!("task: non-zero exit ({code})")),
        None => None,
    }
}
