//! What happens on the engine, for ever, across its outages.
//!
//! A stopped engine leaves a stream silent instead of ending it, so the stream is doubted: a ping every few seconds
//! tells silence from death.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::name_server::project_of;
use super::observed::uuid_of;
use super::{Inner, SHORT};
use crate::runtime::{Error, Result, RuntimeEvent};

/// Between pings of a silent stream.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Before the second, deciding ping after a miss.
const PING_AGAIN: Duration = Duration::from_secs(1);
/// Misses in a row that make an engine disconnected.
const MISSES: u32 = 2;
/// The first wait before a stream is opened again; doubled up to the last.
const BACK_OFF_FIRST: Duration = Duration::from_millis(250);
const BACK_OFF_LAST: Duration = Duration::from_secs(5);

/// What changes a container. Health checks of Docker's own come as a flood of `exec_*` and are left out.
const ACTIONS: [&str; 8] = ["start", "die", "stop", "destroy", "oom", "rename", "pause", "unpause"];

type Messages = BoxStream<'static, std::result::Result<EventMessage, bollard::errors::Error>>;

/// The stream of [`crate::runtime::Runtime::events`].
pub(super) fn watch(inner: Arc<Inner>) -> BoxStream<'static, RuntimeEvent> {
    let watch = Watch {
        inner,
        messages: None,
        since: None,
        last: None,
        told_away: false,
        back_off: Duration::ZERO,
    };
    stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await;
        Some((event, watch))
    })
    .boxed()
}

struct Watch {
    inner: Arc<Inner>,
    messages: Option<Messages>,
    /// Where to take up again, in the engine's time.
    since: Option<String>,
    /// The last event, because `since` includes it.
    last: Option<(i64, String, String)>,
    told_away: bool,
    back_off: Duration,
}

impl Watch {
    async fn next(&mut self) -> RuntimeEvent {
        loop {
            let outcome = match self.messages.as_mut() {
                None => self.open().await,
                Some(messages) => {
                    let outcome = listen(&self.inner, messages).await;
                    self.heard(outcome)
                }
            };
            if let Some(event) = outcome {
                return event;
            }
        }
    }

    /// Opens the stream if the engine answers; else says so once and waits longer each time.
    async fn open(&mut self) -> Option<RuntimeEvent> {
        crate::runtime::pause(self.back_off).await;
        self.back_off = (self.back_off * 2).clamp(BACK_OFF_FIRST, BACK_OFF_LAST);
        match self.try_open().await {
            Ok(messages) => {
                self.messages = Some(messages);
                self.told_away = false;
                Some(RuntimeEvent::Connected)
            }
            Err(_) if self.told_away => None,
            Err(e) => {
                self.told_away = true;
                Some(RuntimeEvent::Disconnected(words(e)))
            }
        }
    }

    /// The request itself goes out when the stream is first read. It asks from a moment before the listener hears
    /// `Connected`, so nothing can fall between the listener's comparison and the stream.
    async fn try_open(&mut self) -> Result<Messages> {
        self.inner.ping().await?;
        let api = self.inner.api()?;
        if self.since.is_none() {
            self.since = self
                .inner
                .call(SHORT, api.info())
                .await?
                .system_time
                .and_then(|t| unix_time(&t));
        }
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("event", ACTIONS.map(str::to_owned).to_vec()),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(since) = &self.since {
            options = options.since(since);
        }
        Ok(api.events(Some(options.build())).boxed())
    }

    fn heard(&mut self, outcome: Heard) -> Option<RuntimeEvent> {
        match outcome {
            Heard::Message(message) => {
                self.back_off = Duration::ZERO;
                self.told(*message)
            }
            Heard::Quiet => {
                self.back_off = Duration::ZERO;
                None
            }
            Heard::Ended => {
                self.messages = None;
                None
            }
            Heard::Away(message) => {
                self.messages = None;
                self.told_away = true;
                Some(RuntimeEvent::Disconnected(message))
            }
        }
    }

    fn told(&mut self, message: EventMessage) -> Option<RuntimeEvent> {
        let actor = message.actor?;
        let nanos = message.time_nano.unwrap_or_default();
        let id = actor.id.unwrap_or_default();
        let this = (nanos, id.clone(), message.action.unwrap_or_default());
        if self.last.as_ref() == Some(&this) {
            return None;
        }
        if nanos > 0 {
            self.since = Some(format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000));
        }
        self.last = Some(this);
        // Labels are among the attributes.
        let labels = actor.attributes.unwrap_or_default();
        if let Some(project_uuid) = project_of(&labels, &self.inner.server_uuid) {
            return Some(RuntimeEvent::NameServer { project_uuid });
        }
        let uuid = uuid_of(&labels, &id, &self.inner.server_uuid)?;
        Some(RuntimeEvent::Changed { uuid })
    }
}

enum Heard {
    Message(Box<EventMessage>),
    Quiet,
    Ended,
    Away(String),
}

/// Waits for one message, but not longer than until the next ping; then pings.
async fn listen(inner: &Inner, messages: &mut Messages) -> Heard {
    match timeout_at(Instant::now() + PING_EVERY, messages.next()).await {
        Ok(Some(Ok(message))) => return Heard::Message(Box::new(message)),
        Ok(Some(Err(_)) | None) => return Heard::Ended,
        Err(_) => {}
    }
    let mut missed = match inner.ping().await {
        Ok(()) => return Heard::Quiet,
        Err(e) => e,
    };
    for _ in 1..MISSES {
        // A message is as good as a ping.
        match timeout(PING_AGAIN, messages.next()).await {
            Ok(Some(Ok(message))) => return Heard::Message(Box::new(message)),
            Ok(Some(Err(_)) | None) => return Heard::Ended,
            Err(_) => {}
        }
        missed = match inner.ping().await {
            Ok(()) => return Heard::Quiet,
            Err(e) => e,
        };
    }
    Heard::Away(words(missed))
}

/// The cause alone: that the engine is away is what `Disconnected` says already.
fn words(error: Error) -> String {
    match error {
        Error::Unreachable(m)
        | Error::Failed(m)
        | Error::PortTaken(m)
        | Error::NameTaken(m)
        | Error::AddressTaken(m)
        | Error::NetworkGone(m)
        | Error::Gone(m) => m,
    }
}

/// The engine's clock, as the `since` of a request.
fn unix_time(text: &str) -> Option<String> {
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(format!("{}.{:09}", time.timestamp(), time.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_time_becomes_a_since() {
        assert_eq!(
            unix_time("2026-11-21T01:02:03.000000004Z").as_deref(),
            Some("1795222923.000000004")
        );
        assert_eq!(
            unix_time("2026-11-21T03:02:03+02:00").as_deref(),
            Some("1795222923.000000000")
        );
        assert_eq!(unix_time("soon"), None);
    }
}
