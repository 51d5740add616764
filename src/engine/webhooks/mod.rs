//! Outgoing webhooks: who wants to be told of what happens in projects, and the messages to them.
//!
//! A subscription is a row of an account, `outgoingWebhook`; a message to one subscriber is a row, too, `webhookDelivery`, written
//! in the transaction in which the event happens ([`tell`]). Its process posts it, as often as it takes, and it stays as a line of the
//! log. What an interface calls an event, and how its messages look, is handed in ([`crate::engine::core::WriteMessage`]). Here is
//! nothing that knows why something happened: rooms above say it.

mod delivering;
mod events;
mod subscriptions;

pub(crate) use delivering::handle;
pub(crate) use events::{Event, Telling, tell};
pub use subscriptions::Subscription;
pub(crate) use subscriptions::{create, remove, send_test, update};
