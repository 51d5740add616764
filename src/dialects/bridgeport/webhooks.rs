//! Webhooks of an environment: who is told how deployments end, and the log of what was sent. They are subscriptions of the project's;
//! secrets are told to nobody.

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, fields};
use super::fields::text;
use super::refusal::{Outcome, Refusal};
use super::routes::Deed;
use super::things::list_of;
use crate::dialects::caller::blocking;
use crate::engine::{Input, Message, Subscription, Written};
use crate::model::{Error, Resource};

/// How subscriptions say that their messages are in these words.
pub const FORMAT: &str = "bridgeport";
/// The header for the signature of a subscription that has a secret.
const SIGNATURE: &str = "x-bridgeport-signature";
/// The type of their rows.
const KIND: &str = "outgoingWebhook";
/// What people call one.
const WHAT: &str = "Webhook subscription";
/// Events in BRIDGEPORT's words, and in the engine's; none for what does not happen here.
const EVENTS: [(&str, Option<&str>); 8] = [
    ("deployment.completed", Some("rollout.succeeded")),
    ("deployment.failed", Some("rollout.failed")),
    ("plan.completed", None),
    ("plan.failed", None),
    ("plan.rolled_back", None),
    ("backup.completed", None),
    ("backup.failed", None),
    ("sync.completed", None),
];

/// What an event of the engine's is called here.
fn word(event: &str) -> &str {
    let found = EVENTS.iter().find(|(_, own)| *own == Some(event));
    found.map_or(event, |(word, _)| word)
}

/// A message in these words. The same message is the same text each time.
pub fn written(message: &Message) -> Written {
    let about = message.data.get("about").cloned().unwrap_or_default();
    let status = match message.event.as_str() {
        "rollout.failed" => "failed",
        _ => "success",
    };
    let mut data = Map::new();
    let deployment = message.subject.map(|id| format!("1{}{id}", super::history::LETTERS));
    data.insert("deploymentId".into(), json!(deployment));
    for (name, kept) in [
        ("serviceId", "service"),
        ("serviceName", "serviceName"),
        ("serviceDeploymentId", "deployment"),
        ("serverName", "server"),
        ("imageName", "imageName"),
        ("imageTag", "imageTag"),
    ] {
        data.insert(name.into(), about.get(kept).cloned().unwrap_or_default());
    }
    data.insert("status".into(), json!(status));
    data.extend(message.data.get("message").map(|why| ("error".to_owned(), why.clone())));
    let event = word(&message.event);
    let body = json!({
        "event": event, "environmentId": message.project.map(|id| format!("1a{id}")),
        "timestamp": message.occurred.to_wire_millis(), "data": data,
    });
    Written {
        body: body.to_string(),
        headers: vec![
            ("x-bridgeport-event", event.to_owned()),
            ("x-bridgeport-delivery", message.id.clone()),
        ],
        signature_header: SIGNATURE,
    }
}

/// All of a project, newest first.
async fn all(caller: &Caller<'_>) -> Outcome<Vec<Resource>> {
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    let mut rows = blocking(move || engine.subscriptions(&scope, FORMAT)).await?;
    rows.reverse();
    Ok(rows)
}

/// The one of a path, and the caller in its project.
async fn reach<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, Resource)> {
    let missing = || Refusal::missing(WHAT);
    let caller = asker.environment(call)?.ok_or_else(missing)?;
    let all = all(&caller).await?;
    let found = all
        .into_iter()
        .find(|row| caller.engine.wire_id(row) == call.param("id"));
    Ok((caller, found.ok_or_else(missing)?))
}

/// What is asked of webhooks.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::List => {
            let Some(caller) = asker.environment(call)? else {
                return Ok(json!({"subscriptions": []}));
            };
            let all = all(&caller).await?;
            let shown = all.iter().map(|row| shown(&caller, row));
            Ok(json!({"subscriptions": shown.collect::<Outcome<Vec<Value>>>()?}))
        }
        Deed::Create => {
            let mut caller = asker.environment_to_change(call)?;
            let wanted = changed(Subscription::default(), &call.body)?;
            let def = caller.hidden(KIND)?;
            caller.note(&def, None, "create", &Input::new());
            let row = caller.engine.subscribe(&caller.scope, wanted).await?;
            Ok(json!({"subscription": shown(&caller, &row)?}))
        }
        Deed::Read => {
            let (caller, row) = reach(asker, call).await?;
            Ok(json!({"subscription": shown(&caller, &row)?}))
        }
        Deed::Update => {
            let (mut caller, row) = reach(asker, call).await?;
            caller.check_may_change()?;
            let wanted = changed(stands(&row)?, &call.body)?;
            let def = caller.hidden(KIND)?;
            caller.note(&def, Some(&row), "update", &Input::new());
            let row = caller.engine.change_subscription(&caller.scope, &row, wanted).await?;
            Ok(json!({"subscription": shown(&caller, &row)?}))
        }
        Deed::Remove => {
            let (mut caller, row) = reach(asker, call).await?;
            caller.check_may_change()?;
            let def = caller.hidden(KIND)?;
            caller.note(&def, Some(&row), "delete", &Input::new());
            caller.engine.unsubscribe(&caller.scope, &row).await?;
            Ok(json!({"success": true}))
        }
    }
}

/// A subscription as it stands; its secret stays.
fn stands(row: &Resource) -> Outcome<Subscription> {
    let own = fields(row)?;
    Ok(Subscription {
        url: own.text("url").unwrap_or_default(),
        events: own.read("events")?,
        is_enabled: own.read("enabled")?.unwrap_or(true),
        ..Subscription::default()
    })
}

/// A subscription with what a body says of it. A secret that is null or empty is taken away.
fn changed(was: Subscription, body: &Map<String, Value>) -> Outcome<Subscription> {
    let is_new = was.url.is_empty();
    let secret = body.get("secret").map(|secret| secret.as_str().unwrap_or_default());
    let events = match body.get("events").and_then(Value::as_array) {
        Some(words) => Some(events(words)?),
        None => was.events,
    };
    Ok(Subscription {
        format: FORMAT,
        url: text(body, "url").unwrap_or(was.url),
        events,
        secret: secret.map(str::to_owned),
        is_enabled: body
            .get("enabled")
            .and_then(Value::as_bool)
            .unwrap_or(is_new || was.is_enabled),
        ..Subscription::default()
    })
}

/// Events in the engine's words.
fn events(words: &[Value]) -> Outcome<Vec<String>> {
    if words.is_empty() {
        return Err(Refusal::bad("events", "must have at least 1 member"));
    }
    let mut all: Vec<String> = Vec::new();
    for word in words.iter().filter_map(Value::as_str) {
        let Some((_, own)) = EVENTS.iter().find(|(known, _)| *known == word) else {
            return Err(Refusal::bad("events", format!("{word} is no event")));
        };
        let Some(own) = own else {
            let why = format!("events: nothing here is a {word}: plans, backups and syncs are not part of this build");
            return Err(Refusal::not_built(why).about("events"));
        };
        if !all.iter().any(|known| known == own) {
            all.push((*own).to_owned());
        }
    }
    Ok(all)
}

fn shown(caller: &Caller<'_>, row: &Resource) -> Outcome<Value> {
    let own = fields(row)?;
    let events: Vec<String> = own.read("events")?.unwrap_or_default();
    let words: Vec<&str> = events.iter().map(|event| word(event)).collect();
    let changed = own.text("changedAt").unwrap_or_else(|| row.created.to_wire_millis());
    Ok(json!({
        "id": caller.engine.wire_id(row), "environmentId": caller.environment_id(), "url": own.text("url"),
        "events": words, "hasSecret": own.read("signed")?.unwrap_or(false),
        "enabled": own.read("enabled")?.unwrap_or(true),
        "createdAt": row.created.to_wire_millis(), "updatedAt": changed,
    }))
}

/// `GET …/webhooks/{id}/deliveries`: newest first, without what was sent.
pub async fn deliveries(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, row) = reach(asker, call).await?;
    let engine = caller.engine.clone();
    let rows = blocking(move || engine.messages_to(&row)).await?;
    let shown = rows.iter().map(delivery).collect::<Outcome<Vec<Value>>>()?;
    list_of(call, "deliveries", shown, 25)
}

fn delivery(row: &Resource) -> Outcome<Value> {
    let own = fields(row)?;
    let attempts: i64 = own.read("attempts")?.unwrap_or(0);
    let status = match own.text("outcome").as_deref() {
        Some("delivered") => "delivered",
        None if attempts == 0 => "pending",
        _ => "failed",
    };
    let created = row.created.to_wire_millis();
    let next = match status {
        "pending" => Some(created.clone()),
        _ => own.text("nextAttemptAt"),
    };
    let event = own.text("event").ok_or_else(|| Error::bug("a message of no event"))?;
    Ok(json!({
        "id": row.uuid, "event": word(&event), "status": status, "attempts": attempts, "nextAttemptAt": next,
        "lastError": own.text("error"), "responseStatus": own.read::<i64>("lastStatus")?,
        "createdAt": created, "deliveredAt": own.text("deliveredAt"),
    }))
}
