//! What a container uses, in Docker's words.

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, MessageBody as _};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::DockerApi;
use super::caller::{Caller, Deed, fields};
use super::containers;
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use crate::engine::{Looks, OpenStream, Sample};
use crate::model::{Resource, Timestamp};

/// When nothing was looked at.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// `GET /containers/{id}/stats`.
pub async fn answer(state: &DockerApi, caller: &Caller, id: &str, query: &Query) -> Outcome<HttpResponse> {
    caller.may("container", Deed::Read)?;
    let row = containers::find(caller, id).await?;
    let is_followed = query.first("stream").is_none_or(|text| text.is_empty()) || query.is_on("stream");
    let mut told = Told::of(&row)?;
    let Some(mut looks) = open(caller, &row).await? else {
        // What does not run uses nothing, and tells that once.
        return Ok(whole(&told.nothing()));
    };
    if is_followed {
        let place = state.entry.sockets.admit(caller.scope.user.id)?;
        let lines = looks.filter_map(move |looked| {
            let _held = &place;
            let line = match looked {
                Ok(looks) => looks.into_iter().next().map(|look| Ok(told.line(&look.sample))),
                Err(error) => Some(Err(std::io::Error::other(error.to_string()))),
            };
            std::future::ready(line)
        });
        let body = BodyStream::new(lines).boxed();
        let mut answer = HttpResponse::build(StatusCode::OK);
        return Ok(answer.insert_header((CONTENT_TYPE, "application/json")).body(body));
    }
    // Of two, so that there is something to compare with.
    let mut last = told.nothing();
    let looked_at = if query.is_on("one-shot") { 1 } else { 2 };
    for _ in 0..looked_at {
        if let Some(look) = looks
            .next()
            .await
            .transpose()?
            .and_then(|looks| looks.into_iter().next())
        {
            last = told.tell(&look.sample);
        }
    }
    Ok(whole(&last))
}

fn whole(told: &Value) -> HttpResponse {
    super::json(StatusCode::OK, told)
}

async fn open(caller: &Caller, row: &Resource) -> Outcome<Option<Looks>> {
    let engine = &caller.engine;
    let Some((path, token)) = engine.stats_access(&caller.scope, row, "containerStats")? else {
        return Ok(None);
    };
    let ticket = engine.stream_ticket(path, &token)?;
    match engine.open_stream(&ticket).await? {
        OpenStream::Stats(looks) => Ok(Some(looks)),
        OpenStream::Logs(_) | OpenStream::Exec(_) | OpenStream::Socket(_) => Err(Refusal::nowhere()),
    }
}

/// What is told of a container, each time with the time before.
struct Told {
    name: String,
    id: String,
    since: Timestamp,
    before: (String, Value),
}

impl Told {
    fn of(row: &Resource) -> Outcome<Self> {
        Ok(Self {
            name: format!("/{}", row.name),
            id: fields(row)?.text("externalId").unwrap_or_default(),
            since: row.created,
            before: (NEVER.to_owned(), processors(&Sample::default(), 0)),
        })
    }

    fn nothing(&self) -> Value {
        let none = json!({"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}});
        json!({
            "read": NEVER, "preread": NEVER, "pids_stats": {}, "blkio_stats": {}, "num_procs": 0, "storage_stats": {},
            "cpu_stats": none, "precpu_stats": none, "memory_stats": {}, "name": self.name, "id": self.id,
        })
    }

    fn line(&mut self, sample: &Sample) -> Bytes {
        Bytes::from(format!("{}\n", self.tell(sample)))
    }

    fn tell(&mut self, sample: &Sample) -> Value {
        // What all processors could have done: the time that passed, on each of them.
        let passed = Timestamp::parse(&sample.timestamp).map_or(0, |now| now.since(self.since).as_nanos());
        let cpu = processors(sample, u64::try_from(passed).unwrap_or_default());
        let (preread, precpu) = std::mem::replace(&mut self.before, (sample.timestamp.clone(), cpu.clone()));
        let mut told = json!({
            "read": sample.timestamp, "preread": preread, "pids_stats": {}, "num_procs": 0, "storage_stats": {},
            "blkio_stats": disks(sample), "cpu_stats": cpu, "precpu_stats": precpu,
            "memory_stats": {"usage": sample.memory.usage, "limit": sample.memory.limit, "stats": {}},
            "name": self.name, "id": self.id,
        });
        let networks = networks(sample);
        if let Some(told) = told.as_object_mut().filter(|_| !networks.is_empty()) {
            told.insert("networks".into(), Value::Object(networks));
        }
        told
    }
}

fn processors(sample: &Sample, passed: u64) -> Value {
    let usage = &sample.cpu.usage;
    let count = u64::try_from(usage.per_cpu_usage.len()).unwrap_or_default();
    json!({
        "cpu_usage": {"total_usage": usage.total, "usage_in_kernelmode": usage.system, "usage_in_usermode": usage.user},
        "system_cpu_usage": passed.saturating_mul(count), "online_cpus": count,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    })
}

fn networks(sample: &Sample) -> Map<String, Value> {
    let interfaces = sample.network.interfaces.iter().flatten();
    let written = interfaces.filter_map(|each| Some((each.name.clone(), serde_json::to_value(&each.traffic).ok()?)));
    written.collect()
}

fn disks(sample: &Sample) -> Value {
    let mut entries = Vec::new();
    for disk in &sample.diskio.io_service_bytes {
        for (op, value) in [("read", disk.stats.read), ("write", disk.stats.write)] {
            entries.push(json!({"major": disk.major, "minor": disk.minor, "op": op, "value": value}));
        }
    }
    json!({"io_service_bytes_recursive": entries})
}
