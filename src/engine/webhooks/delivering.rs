//! The process of a message: it is posted until somebody takes it, or nobody did often enough.
//!
//! What an attempt came to is written before the process ends. A server that dies between the answer and that write posts the message
//! again: whoever gets it twice knows it by its id.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::engine::core::{Core, Message, Outcome, fenced};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result, Timestamp};
use crate::outgoing::{Destination, Letter};
use crate::secret::message_signature;
use crate::store::{Changes, Process};

use super::subscriptions::SEALED;

/// How long it is waited after each failed attempt, in seconds; there is one attempt more.
const WAITS: [u64; 4] = [5, 10, 20, 40];
/// How long a message waits for a place, or for who writes it.
const SOON: Duration = Duration::from_secs(1);

/// What is read of a message's row.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Delivery {
    attempts: Option<usize>,
    data: Option<Map<String, Value>>,
    event: Option<String>,
    occurred_millis: Option<i64>,
    outcome: Option<String>,
    project_id: Option<String>,
    subject_id: Option<i64>,
}

/// Runs the handler of a process of this room.
pub(crate) async fn handle(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    match process.process.as_str() {
        "webhookDelivery.create" => deliver(core, process, row).await,
        _ => Ok(Outcome::done()),
    }
}

async fn deliver(core: &Core, process: &Process, row: &Resource) -> Result<Outcome> {
    let own: Delivery =
        serde_json::from_str(&row.fields).map_err(|e| Error::internal(format!("reading message {}", row.id), e))?;
    let subscription = row.parent_id.map(|id| core.store.find(id)).transpose()?.flatten();
    let Some(subscription) = subscription.filter(|row| row.removed.is_none()) else {
        return Ok(Outcome::done());
    };
    if own.outcome.is_some() {
        return Ok(Outcome::done());
    }
    let Some(_place) = core.webhooks.place() else {
        return Ok(Outcome::Again(SOON, "Waiting for other messages to be sent".into()));
    };
    let fields = Fields::parse(&subscription.fields)?;
    if fields.read("enabled")? == Some(false) {
        // Nobody wants it any more: this attempt is the last one.
        let (attempts, why) = (WAITS.len() + 1, "the subscription is turned off");
        return note(core, process, row, subscription.id, attempts, Err(why.to_owned())).await;
    }
    let format = fields.text("format").unwrap_or_default();
    let Some(writer) = core.webhooks.writer(&format) else {
        return Ok(Outcome::Again(
            SOON,
            format!("Waiting for who writes messages of {format}"),
        ));
    };
    let written = writer(&message(row, &subscription, &own));
    let secret = core.store.credential(subscription.id)?;
    let secret = secret.and_then(|kept| core.config.secrets.unseal(SEALED, &kept.secret));
    let mut headers = vec![
        ("x-drover-event", own.event.clone().unwrap_or_default()),
        ("x-drover-delivery", row.uuid.clone()),
    ];
    headers.extend(written.headers);
    if let Some(secret) = secret {
        let signed = format!("sha256={}", message_signature(&secret, &written.body));
        headers.push((written.signature_header, signed));
    }
    let letter = Letter {
        body: written.body,
        headers,
    };
    let rules = core.webhook_rules()?;
    let answered = match Destination::parse(&fields.text("url").unwrap_or_default(), rules) {
        Ok(to) => core.webhooks.sender.post(&to, rules, letter).await,
        Err(refused) => Err(refused.to_string()),
    };
    note(
        core,
        process,
        row,
        subscription.id,
        own.attempts.unwrap_or(0) + 1,
        answered,
    )
    .await
}

fn message(row: &Resource, subscription: &Resource, own: &Delivery) -> Message {
    Message {
        id: row.uuid.clone(),
        event: own.event.clone().unwrap_or_default(),
        account: subscription.account_id.unwrap_or(subscription.id),
        project: own.project_id.as_deref().and_then(parse_reference),
        subject: own.subject_id.map(ResourceId),
        occurred: own.occurred_millis.map_or(row.created, Timestamp),
        data: own.data.clone().unwrap_or_default(),
    }
}

/// Writes what an attempt came to, at the message and at its subscription.
async fn note(
    core: &Core,
    process: &Process,
    row: &Resource,
    subscription: ResourceId,
    attempts: usize,
    answered: std::result::Result<u16, String>,
) -> Result<Outcome> {
    let status = answered.as_ref().ok().copied();
    let error = match &answered {
        Ok(200..=299) => None,
        Ok(status) => Some(format!("answered {status}")),
        Err(why) => Some(why.clone()),
    };
    let wait = WAITS.get(attempts.saturating_sub(1)).copied().map(Duration::from_secs);
    let outcome = match (&error, wait) {
        (None, _) => Some("delivered"),
        (Some(_), None) => Some("failed"),
        (Some(_), Some(_)) => None,
    };
    let (id, process) = (row.id, process.id);
    let said = error.clone();
    let next = wait
        .filter(|_| outcome.is_none())
        .map(|wait| core.now().plus(wait).to_wire_millis());
    core.write(move |tx| {
        let Some(row) = fenced(tx, process, id)? else {
            return Ok(());
        };
        let now = tx.now().to_wire_millis();
        let mut patch = Fields::default();
        patch.set("attempts", &attempts)?;
        patch.set("lastStatus", &status)?;
        patch.set("error", &said)?;
        patch.set("outcome", &outcome)?;
        patch.set("nextAttemptAt", &next)?;
        if outcome == Some("delivered") {
            patch.set("deliveredAt", &now)?;
        }
        let changed = |patch| Changes {
            patch,
            ..Changes::default()
        };
        tx.update_if(&row, &changed(patch))?;
        let Some(subscription) = tx.find(subscription)?.filter(|row| row.removed.is_none()) else {
            return Ok(());
        };
        let mut patch = Fields::default();
        patch.set("lastTriggered", &now)?;
        if outcome == Some("failed") {
            let failures: i64 = Fields::parse(&subscription.fields)?.read("failureCount")?.unwrap_or(0);
            patch.set("failureCount", &failures.saturating_add(1))?;
        }
        tx.update_if(&subscription, &changed(patch)).map(drop)
    })
    .await?;
    Ok(match (outcome, wait) {
        (None, Some(wait)) => Outcome::Again(wait, error.unwrap_or_default()),
        _ => Outcome::done(),
    })
}
