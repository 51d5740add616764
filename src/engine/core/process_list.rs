//! Processes, as those who look into the machinery read them: what runs, how often it failed, what it said last.

use crate::model::{Result, State, Timestamp, WireId};
use crate::schema::{Machine, Type};
use crate::store::{ProcessCondition, ProcessField, ProcessOn, ProcessSpec, Scalar};

use super::request::{Filter, ListQuery, Scope};
use super::state::Core;

/// A process, as the wire shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInstance {
    /// Its number; the wire puts `1pi` before it.
    pub id: i64,
    /// `service.upgrade`
    pub process_name: String,
    /// The root of the resource's type.
    pub resource_type: String,
    /// The resource, as a wire id.
    pub resource_id: String,
    /// The resource's account, as a wire id.
    pub account: Option<String>,
    /// When it was asked for.
    pub start: Timestamp,
    /// When it ended, if it has.
    pub end: Option<Timestamp>,
    /// When it runs next, or ran last.
    pub run_after: Timestamp,
    /// How often it was run to an end, good or bad.
    pub executions: i32,
    /// How it ended: `DONE`, `STATE_CHANGED` …; empty while it is open.
    pub exit_reason: String,
    /// The server that has it, or had it last.
    pub server: String,
    /// The last thing it said, or empty.
    pub message: String,
}

/// What a process does to the rows of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessDefinition {
    /// `service.upgrade`
    pub name: String,
    /// The root of the types whose rows it is done to.
    pub resource_type: String,
    /// In the order of the state machine.
    pub transitions: Vec<StateTransition>,
}

/// One step of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTransition {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Whether it is the last one.
    pub is_done: bool,
}

/// One page of processes.
#[derive(Debug, Clone, Default)]
pub struct ProcessPage {
    /// In order of their numbers.
    pub processes: Vec<ProcessInstance>,
    /// The marker of the next page, if there is more.
    pub next: Option<String>,
}

impl Core {
    pub(crate) fn processes(&self, scope: &Scope, query: &ListQuery) -> Result<ProcessPage> {
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let spec = ProcessSpec {
            account: scope.owner(),
            conditions: query.filters.iter().filter_map(condition).collect(),
            descending: query.descending && query.sort.as_deref() == Some("id"),
            after: query
                .marker
                .as_deref()
                .and_then(|m| m.strip_prefix("mp"))
                .and_then(|id| id.parse().ok()),
            limit: i64::from(query.limit).saturating_add(1),
        };
        let mut rows = self.store.list_processes(&spec)?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows
            .last()
            .filter(|_| has_more)
            .map(|row| format!("mp{}", row.process.id));
        Ok(ProcessPage {
            processes: rows.into_iter().map(|row| self.shown_process(row)).collect(),
            next,
        })
    }

    pub(crate) fn find_process_instance(&self, scope: &Scope, id: i64) -> Result<Option<ProcessInstance>> {
        let is_it = ProcessCondition {
            field: ProcessField::Id,
            modifier: "eq".into(),
            value: Some(Scalar::Int(id)),
        };
        let spec = ProcessSpec {
            account: scope.owner(),
            conditions: vec![is_it],
            limit: 1,
            ..ProcessSpec::default()
        };
        Ok(self
            .store
            .list_processes(&spec)?
            .pop()
            .map(|row| self.shown_process(row)))
    }

    /// Runs an open process at once, as if it had never failed. One that has ended stays as it is.
    pub(crate) async fn replay_process(&self, scope: &Scope, id: i64) -> Result<()> {
        self.write_for(scope, move |tx| match tx.open_process(id)? {
            Some(process) => {
                let at = tx.now();
                tx.defer_process(id, at, 0, &process.message)
            }
            None => Ok(()),
        })
        .await?;
        match self
            .store
            .find_process(id)?
            .filter(|process| process.ended_ms.is_none())
        {
            Some(process) => self.try_again(process.resource()).await,
            None => Ok(()),
        }
    }

    /// What processes there are, by name.
    pub(crate) fn process_definitions(&self) -> Vec<ProcessDefinition> {
        let roots = self.registry.types.values().filter(|ty| ty.id == ty.root);
        let mut all: Vec<ProcessDefinition> = roots
            .filter_map(|ty| Some(definitions(ty, ty.machine.as_deref()?)))
            .flatten()
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn shown_process(&self, row: ProcessOn) -> ProcessInstance {
        let process = row.process;
        ProcessInstance {
            id: process.id,
            resource_id: self.wire_id(&row.kind, process.resource()),
            start: Timestamp(process.started_ms),
            end: process.ended_ms.map(Timestamp),
            run_after: process.run_after(),
            executions: process.attempts + i32::from(process.ended_ms.is_some()),
            server: process.claimed_by,
            process_name: process.process,
            exit_reason: process.exit_reason,
            message: process.message,
            resource_type: row.root,
            account: row.account_id.map(|id| self.wire_id("account", id)),
        }
    }
}

/// The processes of one type's machine, each with all its edges.
fn definitions(ty: &Type, machine: &Machine) -> Vec<ProcessDefinition> {
    let mut names: Vec<&str> = Vec::new();
    for edge in &machine.transitions {
        if !names.contains(&edge.process.as_str()) {
            names.push(&edge.process);
        }
    }
    let defined = names.into_iter().map(|name| {
        let edges = machine.transitions.iter().filter(|edge| edge.process == name);
        let mut transitions = Vec::new();
        for edge in edges {
            let from = edge.from.iter().map(|from| (*from, edge.via, false));
            for (from, to, is_done) in from.chain([(edge.via, edge.done, true)]) {
                transitions.push(StateTransition { from, to, is_done });
            }
        }
        ProcessDefinition {
            name: format!("{}.{name}", ty.root),
            resource_type: ty.root.clone(),
            transitions,
        }
    });
    defined.collect()
}

/// A filter as the store's condition; `None` for what processes do not have.
fn condition(filter: &Filter) -> Option<ProcessCondition> {
    let text = || Some(Scalar::Text(filter.value.clone()));
    let number = || filter.value.trim().parse().ok().map(Scalar::Int);
    let id = || {
        WireId::parse(&filter.value)
            .map(|w| w.id.0)
            .or_else(|| filter.value.parse().ok())
            .map(Scalar::Int)
    };
    let date = || {
        Timestamp::parse(filter.value.trim())
            .map(|at| Scalar::Int(at.0))
            .or_else(number)
    };
    let (field, value) = match filter.field.as_str() {
        "id" => (ProcessField::Id, id()),
        "processName" => (ProcessField::Process, text()),
        "resourceType" => (ProcessField::ResourceRoot, text()),
        "resourceId" => (ProcessField::ResourceId, id()),
        "accountId" => (ProcessField::AccountId, id()),
        "executionCount" => (ProcessField::Attempts, number()),
        "startTime" => (ProcessField::StartedMs, date()),
        "runAfter" => (ProcessField::RunAfterMs, date()),
        "endTime" => (ProcessField::EndedMs, date()),
        "exitReason" => (ProcessField::ExitReason, text()),
        "message" => (ProcessField::Message, text()),
        "phase" => (ProcessField::Phase, text()),
        "result" => (ProcessField::Result, text()),
        "priority" => (ProcessField::Priority, number()),
        "startProcessServerId" => (ProcessField::StartServer, text()),
        "runningProcessServerId" => (ProcessField::RunningServer, text()),
        _ => return None,
    };
    Some(ProcessCondition {
        field,
        modifier: filter.modifier.clone(),
        value,
    })
}
