//! Tasks: the containers of services, those that are gone too.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::caller::{Caller, Deed, blocking, fields, list as listed};
use super::record::Service;
use super::refusal::Outcome;
use super::services;
use crate::dialects::words::task_state;
use crate::engine::Unit;
use crate::model::{Resource, ResourceId, State, Timestamp};

/// So many of a slot that are gone are remembered, as swarm does.
const HISTORY: usize = 5;
/// So many at most of what a service waits for are told.
const MOST_PENDING: usize = 100;
/// More than a service has slots.
const SLOTS: i64 = 1 << 20;
/// The most containers that are looked at.
const MOST: u32 = 3_000;

/// A container as a task.
struct Task {
    row: Resource,
    unit: Unit,
    /// What swarm calls its state.
    state: &'static str,
    /// Whether it is meant to run.
    is_wanted: bool,
}

/// `GET …/tasks`.
pub async fn list(caller: &Caller) -> Outcome<Value> {
    caller.may("container", Deed::Read)?;
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    let rows = blocking(move || engine.history(&scope, None, "instance", MOST)).await?;
    let mut by_service: BTreeMap<Option<ResourceId>, Vec<Resource>> = BTreeMap::new();
    for row in rows {
        by_service.entry(row.parent_id).or_default().push(row);
    }
    let (services, _) = services::all(caller).await?;
    let mut out = Vec::new();
    for service in &services {
        let own = by_service.remove(&Some(service.row.id)).unwrap_or_default();
        for task in of_service(caller, service, own) {
            out.push(shown(caller, service, &task)?);
        }
    }
    Ok(listed(out))
}

/// The tasks of a service by slot, those that are gone behind those that are there.
fn of_service(caller: &Caller, service: &Service, rows: Vec<Resource>) -> Vec<Task> {
    let tasks = rows.into_iter().map(|row| {
        let unit = caller.engine.unit_of(&row);
        let (state, is_wanted) = state_of(&row, &unit);
        Task {
            row,
            unit,
            state,
            is_wanted,
        }
    });
    let mut all: Vec<Task> = tasks.collect();
    all.extend(pending(caller, service, &all));
    let is_there = |task: &&Task| task.row.removed.is_none();
    let kept: HashSet<u32> = all.iter().filter(is_there).map(|task| task.unit.index).collect();
    // Of a slot that is no more nothing is remembered, as swarm does.
    all.retain(|task| kept.contains(&task.unit.index));
    all.sort_by_key(|task| (task.unit.index, !task.is_wanted, std::cmp::Reverse(task.row.id)));
    let mut gone: BTreeMap<u32, usize> = BTreeMap::new();
    all.retain(|task| {
        let seen = gone.entry(task.unit.index).or_insert(0);
        *seen += usize::from(!task.is_wanted);
        task.is_wanted || *seen <= HISTORY
    });
    all
}

/// What is wanted and is no container yet, as it finds no host: a task for each slot that is empty.
fn pending(caller: &Caller, service: &Service, there: &[Task]) -> Vec<Task> {
    let row = &service.row;
    let is_on = !matches!(row.state, State::INACTIVE | State::DEACTIVATING | State::REMOVING);
    let taken = there.iter().filter(|task| task.row.removed.is_none());
    let taken: HashSet<u32> = taken.map(|task| task.unit.index).collect();
    let replicas = if is_on { service.spec.replicas } else { 0 };
    let slots = 1..=u32::try_from(replicas).unwrap_or(0);
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
            message: String::new(),
            ..row.clone()
        };
        let unit = Unit {
            index: slot,
            ..caller.engine.unit_of(&unplaced)
        };
        Task {
            row: unplaced,
            unit,
            state: "pending",
            is_wanted: true,
        }
    });
    tasks.collect()
}

/// What swarm calls a container's state, and whether it is meant to run.
fn state_of(row: &Resource, unit: &Unit) -> (&'static str, bool) {
    let (word, is_wanted) = task_state(row, unit);
    let own = match row.state {
        State::ERROR => "rejected",
        State::REQUESTED if row.removed.is_none() && row.host_id.is_some() => "assigned",
        State::REMOVING if row.removed.is_none() => "remove",
        _ => word,
    };
    (own, is_wanted)
}

fn shown(caller: &Caller, service: &Service, task: &Task) -> Outcome<Value> {
    let container = fields(&task.row)?.text("externalId").filter(|id| !id.is_empty());
    let message = match task.state {
        "running" | "failed" => "started",
        "complete" => "finished",
        "pending" => "pending task scheduling",
        other => other,
    };
    let desired = match task.is_wanted {
        true => "running",
        false if task.state == "remove" => "remove",
        false => "shutdown",
    };
    Ok(json!({
        "id": caller.ids.of("task", task.row.id),
        "service_id": caller.ids.of("service", service.row.id),
        "container_id": container,
        "status": {
            "timestamp": since(task).to_wire_millis(), "state": task.state, "message": message, "error": trouble(task),
        },
        "desired_state": desired,
        "created_at": task.row.created.to_wire_millis(),
    }))
}

fn since(task: &Task) -> Timestamp {
    let at = match task.state {
        "running" | "starting" => task.unit.up_since,
        _ => task.unit.exited_at.or(task.row.removed).or(task.unit.up_since),
    };
    at.unwrap_or(task.row.created)
}

/// Why it does not run, in the engine's words.
fn trouble(task: &Task) -> Option<String> {
    let code = task
        .unit
        .exit_code
        .filter(|code| *code != 0 && task.unit.ended_by_itself);
    match code {
        _ if !task.row.message.is_empty() && task.state != "running" => Some(task.row.message.clone()),
        Some(code) => Some(format!("task: non-zero exit ({code})")),
        None => None,
    }
}
