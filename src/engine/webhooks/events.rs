//! Events: a row for each subscriber who is to be told, in the transaction in which it happens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::engine::access::may_enter;
use crate::engine::core::{Core, insert_and_start, is_project, new_row, retire};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

use super::subscriptions::MOST_LOGGED;

/// Something that happened in a project.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// `host.down`, `host.up`, `service.upgradeFailed`, `rollout.succeeded`, `rollout.failed`.
    pub(crate) name: &'static str,
    /// Where.
    pub(crate) project: ResourceId,
    /// To which row.
    pub(crate) subject: ResourceId,
    /// What more there is to say.
    pub(crate) data: Map<String, Value>,
}

/// What telling needs of the schemas, to be taken into a transaction.
#[derive(Clone)]
pub(crate) struct Telling {
    delivery: Arc<Type>,
    /// How projects' ids begin.
    project: String,
    keep: Duration,
}

impl Core {
    /// What [`tell`] needs.
    pub(crate) fn telling(&self) -> Result<Telling> {
        Ok(Telling {
            delivery: self.type_of("webhookDelivery")?.clone(),
            project: self.type_of("project")?.prefix.clone(),
            keep: self.keep_removed(),
        })
    }
}

/// Writes a message to each subscriber of an event.
pub(crate) fn tell(tx: &mut Tx<'_>, telling: &Telling, event: &Event) -> Result<()> {
    for subscription in tx.all("outgoingWebhook", None)? {
        if subscription.state != State::REMOVING && wants(tx, &subscription, event)? {
            insert(tx, telling, &subscription, event.name, Some(event.project), Some(event))?;
        }
    }
    Ok(())
}

/// Writes a message to one subscriber that says only that messages come.
pub(crate) fn test(tx: &mut Tx<'_>, telling: &Telling, subscription: &Resource) -> Result<()> {
    let own = Fields::parse(&subscription.fields)?;
    let project = own.text("projectId").and_then(|wire| parse_reference(&wire));
    insert(tx, telling, subscription, "test", project, None)
}

/// Whether a subscription is to such an event, and its account may know of it: a project's own, and a member's.
fn wants(tx: &mut Tx<'_>, subscription: &Resource, event: &Event) -> Result<bool> {
    let own = Fields::parse(&subscription.fields)?;
    let events: Option<Vec<String>> = own.read("events")?;
    let is_of_kind = events.is_none_or(|events| events.iter().any(|name| name == event.name));
    let project = own.text("projectId").and_then(|wire| parse_reference(&wire));
    let is_there = project.is_none_or(|project| project == event.project);
    if !is_of_kind || !is_there || own.read("enabled")? == Some(false) {
        return Ok(false);
    }
    let Some(account) = subscription.account_id.map(|id| tx.find(id)).transpose()?.flatten() else {
        return Ok(false);
    };
    match account.id == event.project {
        true => Ok(true),
        false if account.removed.is_some() || is_project(&account) => Ok(false),
        false => may_enter(tx, &account, event.project),
    }
}

fn insert(
    tx: &mut Tx<'_>,
    telling: &Telling,
    subscription: &Resource,
    name: &str,
    project: Option<ResourceId>,
    event: Option<&Event>,
) -> Result<()> {
    forget_oldest(tx, telling, subscription)?;
    let mut fields = Fields::default();
    fields.set("event", name)?;
    fields.set("occurredMillis", &tx.now().0)?;
    fields.set("attempts", &0)?;
    let project = project.map(|id| format!("{}{id}", telling.project));
    fields.set("projectId", &project)?;
    if let Some(event) = event {
        fields.set("subjectId", &event.subject.0)?;
        fields.set("data", &event.data)?;
    }
    let ty = &telling.delivery;
    let machine = ty.machine.as_deref();
    let machine = machine.ok_or_else(|| Error::bug("messages have no machine"))?;
    let new = NewResource {
        name: name.to_owned(),
        parent_id: Some(subscription.id),
        ..new_row(ty, subscription.account_id, fields)
    };
    insert_and_start(tx, Some(machine), new).map(drop)
}

/// The log of a subscription is no longer than it may be. What is on its way is not forgotten: where too much is, the new message
/// waits for nobody, and the oldest on its way gives up.
fn forget_oldest(tx: &mut Tx<'_>, telling: &Telling, subscription: &Resource) -> Result<()> {
    let mut all = tx.children(subscription.id, "webhookDelivery")?;
    all.retain(|row| row.removed.is_none());
    all.sort_by_key(|row| (row.state != State::ACTIVE, row.id));
    let surplus = (all.len() + 1).saturating_sub(MOST_LOGGED);
    for row in all.iter().take(surplus) {
        tx.pre_empt(row.id)?;
        retire(tx, row, telling.keep)?;
    }
    Ok(())
}
