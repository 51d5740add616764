//! Outgoing webhooks of a company: subscriptions of its account, whose messages are in `messages`.

use serde_json::{Value, json};

use super::caller::{Caller, Deed, blocking, fields, list as listed};
use super::read::Members;
use super::refusal::{Form, Outcome, Refusal};
use crate::engine::{Input, Subscription};
use crate::model::launch::parse_reference;
use crate::model::{Error, Resource};

/// How subscriptions say that their messages are in these words.
pub const FORMAT: &str = "medstack";
/// What is told here.
const EVENTS: [&str; 3] = ["host.down", "host.up", "service.upgradeFailed"];
/// The longest label, in bytes.
const LONGEST_LABEL: usize = 255;

/// 403 for a role that changes nothing: who may make services may be told of them.
fn may_change(caller: &Caller) -> Outcome<()> {
    match caller.scope.effective.kind == "project" {
        true => Ok(caller.may("service", Deed::Create).map(drop)?),
        false if caller.scope.effective.kind == "readAdmin" => {
            Err(Refusal::forbidden("The role of this access token changes nothing"))
        }
        false => Ok(()),
    }
}

async fn all(caller: &Caller) -> Outcome<Vec<Resource>> {
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    Ok(blocking(move || engine.subscriptions(&scope, FORMAT)).await?)
}

async fn find(caller: &Caller, id: &str) -> Outcome<Resource> {
    let id = caller.ids.row("outgoing_webhook", id).ok_or_else(Refusal::nowhere)?;
    let found = all(caller).await?.into_iter().find(|row| row.id == id);
    found.ok_or_else(Refusal::nowhere)
}

/// `GET …/webhooks/outgoing`.
pub async fn list(caller: &Caller) -> Outcome<Value> {
    let rows = all(caller).await?;
    let shown = rows.iter().map(|row| shown(caller, row)).collect::<Outcome<_>>()?;
    Ok(listed(shown))
}

/// `GET …/webhooks/outgoing/{outgoing_webhook_id}`.
pub async fn show(caller: &Caller, id: &str) -> Outcome<Value> {
    shown(caller, &find(caller, id).await?)
}

/// `POST …/webhooks/outgoing`.
pub async fn create(caller: &mut Caller, body: Value) -> Outcome<Value> {
    may_change(caller)?;
    let def = caller.hidden("outgoingWebhook")?;
    caller.note(&def, None, "create", &Input::new());
    let wanted = wanted(caller, body).await?;
    let row = caller.engine.subscribe(&caller.scope, wanted).await.map_err(refused)?;
    shown(caller, &row)
}

/// `PUT …/webhooks/outgoing/{outgoing_webhook_id}`.
pub async fn update(caller: &mut Caller, id: &str, body: Value) -> Outcome<Value> {
    may_change(caller)?;
    let row = find(caller, id).await?;
    let def = caller.hidden("outgoingWebhook")?;
    caller.note(&def, Some(&row), "update", &Input::new());
    let wanted = wanted(caller, body).await?;
    let changed = caller.engine.change_subscription(&caller.scope, &row, wanted).await;
    shown(caller, &changed.map_err(refused)?)
}

/// `DELETE …/webhooks/outgoing/{outgoing_webhook_id}`.
pub async fn remove(caller: &mut Caller, id: &str) -> Outcome<()> {
    may_change(caller)?;
    let row = find(caller, id).await?;
    let def = caller.hidden("outgoingWebhook")?;
    caller.note(&def, Some(&row), "delete", &Input::new());
    caller.engine.unsubscribe(&caller.scope, &row).await?;
    Ok(())
}

/// `POST …/webhooks/outgoing/{outgoing_webhook_id}/test`.
pub async fn test(caller: &mut Caller, id: &str) -> Outcome<()> {
    may_change(caller)?;
    let row = find(caller, id).await?;
    let def = caller.hidden("outgoingWebhook")?;
    caller.note(&def, Some(&row), "test", &Input::new());
    Ok(caller.engine.test_subscription(&caller.scope, &row).await?)
}

/// What a body asks for.
async fn wanted(caller: &Caller, body: Value) -> Outcome<Subscription> {
    let mut own = Members::new(Form::Webhook, body);
    let label = own.text("label")?;
    if label.as_ref().is_some_and(|label| label.len() > LONGEST_LABEL) {
        return own.wrong("label", &format!("must have at most {LONGEST_LABEL} characters"));
    }
    let url = own.needed("url")?;
    let project = match own.text("cluster_id")? {
        None => None,
        Some(id) => {
            let row = caller.ids.row("cluster", &id);
            let clusters = caller.clusters().await?;
            let found = clusters.iter().find(|cluster| Some(cluster.id) == row);
            match found {
                Some(cluster) => Some(cluster.id),
                None => return own.wrong("cluster_id", "must be the id of a cluster of the company"),
            }
        }
    };
    own.end()?;
    Ok(Subscription {
        format: FORMAT,
        url,
        label,
        project,
        events: Some(EVENTS.map(str::to_owned).into()),
        is_enabled: true,
        ..Subscription::default()
    })
}

/// What the engine says of an address, in the words that its clients know.
fn refused(error: Error) -> Refusal {
    let why = match error.code.as_deref() {
        Some("NotHttps") => "must use https protocol",
        Some("NotPublic") => "must not lead to this machine or into a private network",
        Some("InvalidFormat") if error.field.as_deref() == Some("url") => "must be an address that begins with https",
        _ => return Refusal::about(Form::Webhook, error, &[]),
    };
    Refusal::field(Form::Webhook, "url", why)
}

fn shown(caller: &Caller, row: &Resource) -> Outcome<Value> {
    let own = fields(row)?;
    let project = own.text("projectId").as_deref().and_then(parse_reference);
    Ok(json!({
        "id": caller.ids.of("outgoing_webhook", row.id),
        "object": "outgoing_webhook",
        "url": own.text("url").unwrap_or_default(),
        "label": own.text("label"),
        "cluster_id": project.map(|id| caller.ids.of("cluster", id)),
        "metadata": {
            "last_triggered": own.text("lastTriggered"),
            "failure_count": own.read::<i64>("failureCount")?.unwrap_or(0),
        },
    }))
}
