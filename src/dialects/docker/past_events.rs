//! What happened before somebody listened, as far as it is kept: told by the processes that have come to rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::caller::Caller;
use super::event_filters::Event;
use super::event_kinds::Kind;
use super::refusal::Outcome;
use crate::engine::{Filter, ListQuery, ProcessInstance};
use crate::model::{Error, Resource, ResourceId, Result, Timestamp, WireId};

/// The most processes that are looked at, the newest.
const MOST: u32 = 10_000;
/// The most rows of a kind that are looked at, the newest.
const MOST_ROWS: u32 = 10_000;
/// How processes end that did what they were for: by themselves, or with another one behind them.
const DONE: [&str; 2] = ["DONE", "CHAIN"];

/// What a process was to the objects of a kind, and whether that was when it was asked for or when it was done.
fn actions(process: &str) -> Option<(Kind, &'static [&'static str], When)> {
    Some(match process {
        "service.create" => (Kind::Service, &["create"], When::Asked),
        "service.update" | "service.upgrade" | "service.rollback" => (Kind::Service, &["update"], When::Asked),
        "service.remove" => (Kind::Service, &["remove"], When::Asked),
        "host.create" => (Kind::Node, &["create"], When::Done),
        "host.update" | "host.activate" | "host.deactivate" | "host.evacuate" => (Kind::Node, &["update"], When::Done),
        "host.remove" => (Kind::Node, &["remove"], When::Asked),
        "secret.create" => (Kind::Secret, &["create"], When::Asked),
        "secret.remove" => (Kind::Secret, &["remove"], When::Asked),
        "dockerConfig.create" => (Kind::Config, &["create"], When::Asked),
        "dockerConfig.remove" => (Kind::Config, &["remove"], When::Asked),
        "dockerNetwork.create" => (Kind::Network, &["create"], When::Asked),
        "dockerNetwork.remove" => (Kind::Network, &["remove"], When::Asked),
        "instance.create" => (Kind::Container, &["create"], When::Done),
        "instance.start" => (Kind::Container, &["start"], When::Done),
        "instance.stop" => (Kind::Container, &["die", "stop"], When::Done),
        "instance.remove" => (Kind::Container, &["destroy"], When::Done),
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Asked,
    Done,
}

/// What happened from `since` to `until`, in order of time.
pub async fn told(caller: &Caller, since: Timestamp, until: Timestamp) -> Outcome<Vec<(Timestamp, Event)>> {
    let mut found: BTreeMap<(Timestamp, i64), (Kind, &'static [&'static str], ResourceId)> = BTreeMap::new();
    for (when, field) in [(When::Asked, "startTime"), (When::Done, "endTime")] {
        for process in processes(caller, field, since, until).await? {
            let Some((kind, actions, of)) = actions(&process.process_name).filter(|(_, _, of)| *of == when) else {
                continue;
            };
            let at = match of {
                When::Asked => Some(process.start),
                When::Done => process.end.filter(|_| DONE.contains(&process.exit_reason.as_str())),
            };
            let row = WireId::parse(&process.resource_id).map(|wire| wire.id);
            if let (Some(at), Some(row)) = (at, row) {
                found.insert((at, process.id), (kind, actions, row));
            }
        }
    }
    let kinds: BTreeSet<Kind> = found.values().map(|(kind, ..)| *kind).collect();
    let mut objects = HashMap::new();
    for kind in kinds.into_iter().filter(|kind| kind.is_for(caller)) {
        let rows = rows(caller, kind.root()).await?;
        let stacks = match kind {
            Kind::Service => self::rows(caller, "stack").await?,
            _ => Vec::new(),
        };
        let stacks = stacks.into_iter().map(|stack| (stack.id, stack.name)).collect();
        for row in rows {
            let id = row.id;
            if let Some(object) = kind.of_row(caller, row, &stacks)? {
                objects.insert((kind, id), object);
            }
        }
    }
    let mut events = Vec::new();
    for ((at, _), (kind, actions, row)) in found {
        if let Some((id, one)) = objects.get(&(kind, row)) {
            events.extend(actions.iter().map(|action| (at, kind.event(id, one, action))));
        }
    }
    Ok(events)
}

async fn processes(caller: &Caller, field: &str, since: Timestamp, until: Timestamp) -> Outcome<Vec<ProcessInstance>> {
    let filter = |modifier: &str, at: Timestamp| Filter {
        field: field.to_owned(),
        modifier: modifier.to_owned(),
        value: at.0.to_string(),
    };
    let asked = ListQuery {
        filters: vec![filter("gte", since), filter("lte", until)],
        sort: Some("id".to_owned()),
        descending: true,
        limit: MOST,
        ..ListQuery::default()
    };
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    let page = tokio::task::spawn_blocking(move || engine.processes(&scope, &asked))
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))??;
    Ok(page.processes)
}

/// The rows of a root that there are and were.
async fn rows(caller: &Caller, root: &'static str) -> Result<Vec<Resource>> {
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    tokio::task::spawn_blocking(move || engine.history(&scope, None, root, MOST_ROWS))
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))?
}
