//! Plays a scenario: sends what was sent, and compares what comes back.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::client::{Ask, Client, Reply};
use super::compare::{Comparison, Difference};
use super::facts;
use super::script::{Script, Step};

/// What a poll gives a row that is in transition, and one that stands still but elsewhere than in the recording.
const IN_TRANSITION: u64 = 30;
const ELSEWHERE: u64 = 4;
/// What passes between two requests, so that rows have an age.
const TICK: Duration = Duration::from_millis(10);
/// The headers that were recorded and are compared.
const HEADERS: [&str; 10] = [
    "content-type",
    "x-api-schemas",
    "x-api-account-id",
    "x-api-user-id",
    "x-api-account-kind",
    "www-authenticate",
    "location",
    "allow",
    "cache-control",
    "x-api-roles",
];

/// What became of one request.
pub struct Outcome {
    pub n: u32,
    pub ask: String,
    pub unstable: bool,
    pub found: Vec<Difference>,
}

/// Plays all of a scenario on a server of its own.
pub async fn play(script: &Script) -> Vec<Outcome> {
    let mut client = Client::new().await;
    let mut outcomes = Vec::new();
    let mut answers: Vec<Value> = Vec::new();
    let mut schemas = None;
    for step in &script.steps {
        if let Some(seconds) = step.advance {
            client.world.advance(Duration::from_secs_f64(seconds)).await;
        } else if let (Some(title), Some(id)) = (&step.project, &step.id) {
            client
                .project(title, &format!("project of {title}"), id, &step.hosts, step.driver)
                .await;
        } else if let Some(ask) = &step.ask {
            if let Some(name) = client.names.unknown(ask) {
                outcomes.extend(step.n.map(|n| not_made(n, step, ask, name)));
                continue;
            }
            let reply = request(&mut client, script, step, ask, &answers).await;
            if let (Some(name), Some(id)) = (&step.makes, reply.body["id"].as_str()) {
                client.names.make(name, id);
            }
            if let Some(next) = reply.body["pagination"]["next"]
                .as_str()
                .and_then(|next| next.split_once("marker="))
            {
                client.names.marker = next.1.split('&').next().unwrap_or_default().to_owned();
            }
            if let Some(n) = step.n {
                let answer = if step.facts {
                    facts(&mut schemas, &reply.body)
                } else {
                    kept(step, &reply.body)
                };
                let found = differences(&mut client, step, ask, &reply, &answer);
                outcomes.push(Outcome {
                    n,
                    ask: ask.clone(),
                    unstable: step.unstable,
                    found,
                });
            }
            answers.push(reply.body);
        }
    }
    outcomes
}

/// A request about something that should have been made before it.
fn not_made(n: u32, step: &Step, ask: &str, name: &str) -> Outcome {
    let found = Difference {
        kind_of_row: "request".to_owned(),
        path: what(ask),
        how: "not made".to_owned(),
        original: name.to_owned(),
        drover: "-".to_owned(),
    };
    Outcome {
        n,
        ask: ask.to_owned(),
        unstable: step.unstable,
        found: vec![found],
    }
}

async fn request(client: &mut Client, script: &Script, step: &Step, ask: &str, answers: &[Value]) -> Reply {
    let guess = |letters: &str, _: &str| Client::latest_id(answers, letters);
    let mut parts = ask.splitn(3, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let (role, method, path) = (part(), part(), part());
    let key = script.keys.get(role).map_or(role, String::as_str);
    let fill = |text: &str| client.names.fill(text, &guess);
    let body = step
        .raw
        .as_deref()
        .map(fill)
        .or_else(|| step.body.as_ref().map(|body| filled(body, &fill).to_string()));
    let headers = step
        .with
        .iter()
        .map(|(name, value)| (name.clone(), fill(value)))
        .collect();
    let ask = Ask {
        method: method.to_owned(),
        path: fill(path),
        body,
        headers,
    };
    client.world.clock.advance(TICK);
    if step.poll {
        return poll(client, step, key, &ask).await;
    }
    // What follows from a request goes on behind the next ones. A refusal may have met it unfinished; reads show whether they did.
    let is_unfinished = match method {
        "GET" => rows(&step.answer).any(|row| row["transitioning"] == "yes"),
        _ => {
            step.status.is_some_and(|status| status >= 400)
                || step.note.as_deref().is_some_and(|note| note.contains("at once"))
        }
    };
    let is_updating = answers
        .last()
        .and_then(|answer| answer["state"].as_str())
        .is_some_and(|state| state.starts_with("updating-"));
    if !is_unfinished || is_updating {
        client.world.settle().await;
    }
    client.send(key, &ask).await
}

/// Asks until nothing is in transition and states are as recorded, or time is up.
async fn poll(client: &Client, step: &Step, key: &str, ask: &Ask) -> Reply {
    client.world.settle().await;
    let (mut passed, mut reply) = (0, client.send(key, ask).await);
    while reply.status == 200 {
        let is_moving = rows(&reply.body).any(|row| row["transitioning"] == "yes");
        let is_there = step.n.is_none() || states(&step.answer) == states(&reply.body);
        let was_moving = step.settled == Some(false) || rows(&step.answer).any(|row| row["transitioning"] == "yes");
        if is_there && (!is_moving || was_moving) || passed >= if is_moving { IN_TRANSITION } else { ELSEWHERE } {
            break;
        }
        passed += 1;
        client.world.advance(Duration::from_secs(1)).await;
        reply = client.send(key, ask).await;
    }
    reply
}

fn rows(answer: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match answer["data"].as_array() {
        Some(rows) => Box::new(rows.iter()),
        None => Box::new(std::iter::once(answer)),
    }
}

fn states(answer: &Value) -> Vec<&str> {
    let mut states: Vec<&str> = rows(answer)
        .map(|row| row["state"].as_str().unwrap_or_default())
        .collect();
    states.sort_unstable();
    states
}

fn filled(value: &Value, fill: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => fill(text).into(),
        Value::Array(list) => list.iter().map(|v| filled(v, fill)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (fill(k), filled(v, fill)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// All facts about the first schemas, of others what differs from them.
fn facts(first: &mut Option<Value>, answer: &Value) -> Value {
    let facts = facts::of(answer);
    match first {
        Some(first) => facts::since(first, &facts),
        None => first.insert(facts).clone(),
    }
}

fn differences(client: &mut Client, step: &Step, ask: &str, reply: &Reply, got: &Value) -> Vec<Difference> {
    let mut comparison = Comparison {
        names: &mut client.names,
        found: Vec::new(),
    };
    let wanted = step.status.unwrap_or_default();
    if wanted != reply.status {
        let how = format!("{wanted}/{}", reply.status);
        let note = step.note.as_deref().unwrap_or_default();
        let path = format!("{} {note}", what(ask)).trim_end().to_owned();
        comparison.note(
            "status",
            &path,
            &how,
            &described(wanted, &step.answer),
            &described(reply.status, &reply.body),
        );
    }
    headers(&mut comparison, &step.wanted_headers, &reply.headers);
    // Of two refusals for different reasons, or of a refusal and an answer, nothing else can be compared.
    if wanted == reply.status || [&step.answer, got].iter().all(|answer| answer["type"] != "error") {
        comparison.answers(&step.answer, got);
    }
    comparison.found
}

/// A request without role and ids: `POST services?action=activate`.
fn what(ask: &str) -> String {
    let (_, request) = ask.split_once(' ').unwrap_or_default();
    let (method, path) = request.split_once(' ').unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_word = |part: &&str| !part.starts_with('{') && !part.starts_with(|c: char| c.is_ascii_digit());
    let words: Vec<&str> = path.split('/').skip(2).filter(is_word).collect();
    let words = words
        .strip_prefix(["projects"].as_slice())
        .filter(|rest| !rest.is_empty())
        .unwrap_or(&words)
        .join("/");
    let action = query
        .split('&')
        .find(|part| part.starts_with("action="))
        .map(|part| format!("?{part}"))
        .unwrap_or_default();
    format!("{method} {words}{action}")
}

fn described(status: u16, answer: &Value) -> Value {
    let words = ["code", "fieldName", "message"].map(|member| answer[member].as_str().unwrap_or("-"));
    match answer["type"] == "error" {
        true => format!("{status} {}", words.join(" ")).into(),
        false => status.to_string().into(),
    }
}

fn headers(comparison: &mut Comparison<'_>, want: &HashMap<String, String>, got: &HashMap<String, String>) {
    for name in HEADERS {
        let is_same = match (want.get(name), got.get(name)) {
            (Some(want), Some(got)) => comparison.names.fits(want, got),
            (want, got) => want.is_none() && got.is_none(),
        };
        if !is_same {
            let text = |value: Option<&String>| value.map_or(Value::Null, |v| Value::from(v.as_str()));
            comparison.note("header", name, "header", &text(want.get(name)), &text(got.get(name)));
        }
    }
}

/// The members of an answer that were recorded.
fn kept(step: &Step, answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let (Some(members), Value::Object(map)) = (&step.shown, &mut answer) {
        map.retain(|key, _| members.contains(key));
        keep_of_rows(map, |key| key == "id" || key == "name");
    }
    if let (Some(members), Value::Object(map)) = (&step.row_members, &mut answer)
        && map.get("data").is_some_and(Value::is_array)
    {
        map.retain(|key, _| ["type", "resourceType", "data"].contains(&key.as_str()));
        for key in ["type", "resourceType"] {
            map.entry(key).or_insert(Value::Null);
        }
        keep_of_rows(map, |key| members.iter().any(|member| member == key));
    }
    answer
}

fn keep_of_rows(map: &mut Map<String, Value>, keep: impl Fn(&str) -> bool) {
    for row in map
        .get_mut("data")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        row.retain(|key, _| keep(key));
    }
}
