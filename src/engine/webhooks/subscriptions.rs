//! Subscriptions: what is checked when one is made or changed, and how one goes.

use serde_json::{Value, json};

use crate::engine::core::{
    Core, Input, Scope, Update, WEBHOOKS_HTTP, WEBHOOKS_PRIVATE, apply_update, insert_and_start, live, retire_part,
    row_from_input,
};
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::outgoing::{Destination, Refused, Rules};
use crate::store::{CredentialSecret, Tx};

use super::events::test;

/// The most subscriptions of an account.
const MOST: usize = 50;
/// The most messages that are remembered of one.
pub(crate) const MOST_LOGGED: usize = 50;
/// The longest label, and the longest secret, in bytes.
const LONGEST_TEXT: usize = 255;
/// What secrets are sealed for.
pub(super) const SEALED: &str = "outgoingWebhook.secret";

/// What a subscription is to be.
#[derive(Debug, Clone, Default)]
pub struct Subscription {
    /// In whose words its messages are; see `Engine::write_messages`.
    pub format: &'static str,
    /// Where they go.
    pub url: String,
    /// What it is called; none for nothing.
    pub label: Option<String>,
    /// The project that it is about; none for all of its account.
    pub project: Option<ResourceId>,
    /// The events; none for all.
    pub events: Option<Vec<String>>,
    /// What messages are signed with; none leaves it as it is, an empty one takes it away.
    pub secret: Option<String>,
    /// Whether it is told anything now.
    pub is_enabled: bool,
}

impl Core {
    /// Where messages may go.
    pub(super) fn webhook_rules(&self) -> Result<Rules> {
        let is_on = |name: &str| -> Result<bool> {
            let setting = self.setting(name)?.and_then(|setting| setting.active_value);
            Ok(setting.as_deref() == Some("true"))
        };
        Ok(Rules {
            allows_http: is_on(WEBHOOKS_HTTP)?,
            allows_private: is_on(WEBHOOKS_PRIVATE)?,
        })
    }

    fn check_subscription(&self, wanted: &Subscription) -> Result<()> {
        let refused = |refused: Refused| {
            let code = match refused {
                Refused::NoUrl => "InvalidFormat",
                Refused::NotHttps => "NotHttps",
                Refused::Private => "NotPublic",
            };
            Error::invalid(code, "url").with_message(refused.to_string())
        };
        Destination::parse(&wanted.url, self.webhook_rules()?).map_err(refused)?;
        for (field, text) in [("label", &wanted.label), ("secret", &wanted.secret)] {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST_TEXT) {
                return Err(Error::invalid("MaxLengthExceeded", field));
            }
        }
        Ok(())
    }

    /// Its fields.
    fn subscription_fields(&self, wanted: &Subscription) -> Input {
        let project = wanted.project.map(|id| self.wire_id("project", id));
        let fields = [
            ("enabled", json!(wanted.is_enabled)),
            ("events", json!(wanted.events)),
            ("format", json!(wanted.format)),
            ("label", json!(wanted.label)),
            ("projectId", json!(project)),
            ("url", json!(wanted.url)),
        ];
        let is_signed = wanted.secret.as_ref().map(|secret| !secret.is_empty());
        fields
            .into_iter()
            .chain(is_signed.map(|is_signed| ("signed", json!(is_signed))))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn sealed_for_subscription(&self, wanted: &Subscription) -> Result<Option<String>> {
        let secret = wanted.secret.as_ref().filter(|secret| !secret.is_empty());
        secret
            .map(|secret| self.config.secrets.seal(SEALED, secret))
            .transpose()
    }
}

/// Makes one for an account.
///
/// # Errors
/// 422 for an address that messages may not go to, 409 for one that there is already and for one too many.
pub(crate) async fn create(core: &Core, scope: &Scope, account: ResourceId, wanted: Subscription) -> Result<Resource> {
    core.check_subscription(&wanted)?;
    let def = core.type_of("outgoingWebhook")?.clone();
    let fields = core.subscription_fields(&wanted);
    let sealed = core.sealed_for_subscription(&wanted)?;
    let new = row_from_input(&def, account, &fields)?;
    core.write_for(scope, move |tx| {
        check_free(tx, account, &fields, None)?;
        let row = insert_and_start(tx, def.machine.as_deref(), new)?;
        if let Some(secret) = sealed {
            tx.set_credential(&credential(&row, secret))?;
        }
        Ok(row)
    })
    .await
}

/// Writes all of one anew.
///
/// # Errors
/// As [`create`].
pub(crate) async fn update(core: &Core, scope: &Scope, row: &Resource, wanted: Subscription) -> Result<Resource> {
    core.check_subscription(&wanted)?;
    let update = Update::plain(core.type_of("outgoingWebhook")?);
    let mut fields = core.subscription_fields(&wanted);
    fields.insert("changedAt".to_owned(), json!(core.now().to_wire_millis()));
    let (sealed, has_new_secret) = (core.sealed_for_subscription(&wanted)?, wanted.secret.is_some());
    let (id, account) = (row.id, row.account_id.unwrap_or(row.id));
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        check_free(tx, account, &fields, Some(id))?;
        match sealed {
            Some(secret) => tx.set_credential(&credential(&row, secret))?,
            None if has_new_secret => tx.delete_credential(id)?,
            None => {}
        }
        apply_update(tx, &update, &row, &fields)
    })
    .await
}

/// Removes one, with its log. What is on its way to it goes no further.
pub(crate) async fn remove(core: &Core, scope: &Scope, row: &Resource) -> Result<Resource> {
    let (id, keep) = (row.id, core.keep_removed());
    core.write_for(scope, move |tx| {
        for delivery in tx.children(id, "webhookDelivery")? {
            retire_part(tx, delivery.id, keep)?;
        }
        retire_part(tx, id, keep)?;
        tx.get(id)
    })
    .await
}

/// Writes a message to it that says only that messages come.
pub(crate) async fn send_test(core: &Core, scope: &Scope, row: &Resource) -> Result<Resource> {
    let (id, telling) = (row.id, core.telling()?);
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        test(tx, &telling, &row)?;
        Ok(row)
    })
    .await
}

fn credential(row: &Resource, secret: String) -> CredentialSecret {
    CredentialSecret {
        id: row.id,
        kind: row.kind.clone(),
        public_value: String::new(),
        secret,
    }
}

/// No account has two subscriptions for one project to one address for the same events, and none has too many.
fn check_free(tx: &mut Tx<'_>, account: ResourceId, fields: &Input, except: Option<ResourceId>) -> Result<()> {
    let mut others = tx.all("outgoingWebhook", Some(account))?;
    others.retain(|other| Some(other.id) != except && other.removed.is_none());
    if except.is_none() && others.len() >= MOST {
        return Err(Error::conflict(format!("an account has at most {MOST} webhooks")));
    }
    for other in &others {
        let own = Fields::parse(&other.fields)?;
        let is_same = |name: &str| {
            let given = fields.get(name).and_then(Value::as_str);
            own.text(name).as_deref() == given
        };
        let events: Option<Value> = own.read("events")?;
        let are_same = events.as_ref().filter(|v| !v.is_null()) == fields.get("events").filter(|v| !v.is_null());
        if are_same && ["url", "projectId", "format"].into_iter().all(is_same) {
            return Err(Error::conflict("there is such a webhook already"));
        }
    }
    Ok(())
}
