//! Outgoing webhooks, as interfaces offer them: subscriptions of an account, and the log of what was sent to them.

use std::sync::Arc;

use super::Engine;
use crate::engine::core::{Scope, WriteMessage};
use crate::engine::webhooks::{self, Subscription};
use crate::model::{Fields, Resource, Result};

impl Engine {
    /// From now on `writer` writes the messages to subscriptions of this format. Those that there are already wait for it.
    pub fn write_messages(&self, format: &'static str, writer: Arc<WriteMessage>) {
        self.core.webhooks.write_by(format, writer);
    }

    /// The live subscriptions of a format that the caller's account has, by id. Blocking.
    pub fn subscriptions(&self, scope: &Scope, format: &str) -> Result<Vec<Resource>> {
        let mut rows = self.core.store.all("outgoingWebhook", Some(scope.effective.id))?;
        let is_of =
            |row: &Resource| Fields::parse(&row.fields).is_ok_and(|own| own.text("format").as_deref() == Some(format));
        rows.retain(|row| row.removed.is_none() && is_of(row));
        Ok(rows)
    }

    /// A new subscription of the caller's account.
    ///
    /// # Errors
    /// 422 for an address that messages may not go to (`NotHttps`, `NotPublic`), 409 for one that there is already.
    pub async fn subscribe(&self, scope: &Scope, wanted: Subscription) -> Result<Resource> {
        webhooks::create(&self.core, scope, scope.effective.id, wanted).await
    }

    /// Writes all of a subscription anew.
    ///
    /// # Errors
    /// As for a new one.
    pub async fn change_subscription(&self, scope: &Scope, row: &Resource, wanted: Subscription) -> Result<Resource> {
        webhooks::update(&self.core, scope, row, wanted).await
    }

    /// Ends a subscription. What is on its way to it goes no further.
    pub async fn unsubscribe(&self, scope: &Scope, row: &Resource) -> Result<Resource> {
        webhooks::remove(&self.core, scope, row).await
    }

    /// Sends a message that says only that messages come.
    pub async fn test_subscription(&self, scope: &Scope, row: &Resource) -> Result<()> {
        webhooks::send_test(&self.core, scope, row).await.map(drop)
    }

    /// The messages to a subscription, the newest first. Blocking.
    pub fn messages_to(&self, row: &Resource) -> Result<Vec<Resource>> {
        let mut rows = self.core.store.children(row.id, "webhookDelivery")?;
        rows.retain(|row| row.removed.is_none());
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        Ok(rows)
    }
}
