//! What happened, and what happens while somebody listens.
//!
//! The engine's feed says which rows changed. What that is in Docker's words is found by comparing how objects were with how they
//! are; what came and went between two looks is not told. What nobody listened to is told by what is kept of processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, MessageBody as _};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::DockerApi;
use super::caller::Caller;
use super::event_filters::Wanted;
use super::event_kinds::{Kind, Seen};
use super::past_events;
use super::query::Query;
use super::refusal::Outcome;
use crate::engine::{Changed, News};
use crate::http::sockets::Place;
use crate::model::{Error, ResourceId, Result};

/// `GET /events`.
pub async fn follow(state: &DockerApi, caller: &Caller, query: &Query) -> Outcome<HttpResponse> {
    let wanted = Wanted::read(query)?;
    let place = state.entry.sockets.admit(caller.scope.user.id)?;
    let now = caller.engine.now();
    let end = wanted.left(now).map(|left| Instant::now() + left);
    let is_over = wanted.until.is_some_and(|until| until <= now);
    // In this order: what happens in between is seen twice rather than never.
    let (news, _) = caller.engine.listen()?;
    let mut listener = Listener {
        caller: caller.clone(),
        wanted,
        seen: BTreeMap::new(),
        waiting: VecDeque::new(),
        news,
        access: caller.engine.access_changes(),
        end,
        _place: place,
    };
    if let Some(since) = listener.wanted.since.filter(|since| *since <= now) {
        let until = listener.wanted.until.map_or(now, |until| until.min(now));
        let past = past_events::told(&listener.caller, since, until).await?;
        let past = past.iter().filter(|(_, event)| listener.wanted.has(event));
        listener.waiting.extend(past.map(|(at, event)| event.line(*at)));
    }
    if !is_over {
        for kind in Kind::ALL {
            let seen = kind.look(&listener.caller).await?;
            listener.seen.insert(kind, seen);
        }
    }
    let lines = stream::unfold((listener, is_over), |(mut listener, is_over)| async move {
        let line = match is_over {
            true => listener.waiting.pop_front(),
            false => listener.next().await,
        };
        line.map(|line| (Ok::<_, std::io::Error>(Bytes::from(line)), (listener, is_over)))
    });
    let body = BodyStream::new(Box::pin(lines)).boxed();
    let mut answer = HttpResponse::build(StatusCode::OK);
    Ok(answer.insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// Somebody who listens.
struct Listener {
    caller: Caller,
    wanted: Wanted,
    seen: BTreeMap<Kind, Seen>,
    /// Lines that were not told yet.
    waiting: VecDeque<String>,
    news: broadcast::Receiver<News>,
    access: watch::Receiver<u64>,
    end: Option<Instant>,
    _place: Place,
}

impl Listener {
    /// The next line; none at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Some(line);
            }
            let kinds = tokio::select! {
                biased;
                Ok(()) = self.access.changed() => {
                    match self.caller.engine.still_admits(&self.caller.scope) {
                        Ok(true) => continue,
                        Ok(false) => return None,
                        Err(error) => return failed(&error),
                    }
                }
                news = self.news.recv() => match news {
                    Ok(News::Changes(changed)) => self.kinds(&changed).await,
                    Ok(News::Published(_)) => continue,
                    Err(RecvError::Lagged(_)) => Ok(Kind::ALL.into()),
                    Err(RecvError::Closed) => return None,
                },
                () = ends(self.end) => return None,
            };
            let told = match kinds {
                Ok(kinds) => self.look(kinds).await,
                Err(error) => return failed(&error),
            };
            if let Err(refusal) = told {
                log::error!("telling what happened: {}", refusal.message);
                return None;
            }
        }
    }

    /// Which kinds of objects rows are that changed.
    async fn kinds(&self, changed: &Changed) -> Result<BTreeSet<Kind>> {
        let project = self.caller.scope.effective.id;
        let own = changed.changes.iter().filter(|change| change.account == Some(project));
        let ids: Vec<ResourceId> = own.map(|change| change.resource).collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (engine, scope, count) = (self.caller.engine.clone(), self.caller.scope.clone(), ids.len());
        let rows = tokio::task::spawn_blocking(move || engine.find_all(&scope, &ids))
            .await
            .map_err(|e| Error::internal("waiting for a blocking thread", e))??;
        let mut kinds: BTreeSet<Kind> = rows.iter().filter_map(|row| Kind::of(&row.root)).collect();
        if rows.len() < count {
            // No view of Rancher's shows these.
            kinds.extend([Kind::Config, Kind::Network]);
        }
        Ok(kinds)
    }

    async fn look(&mut self, kinds: BTreeSet<Kind>) -> Outcome<()> {
        for kind in kinds {
            let now = kind.look(&self.caller).await?;
            let time = self.caller.engine.now();
            let before = self.seen.entry(kind).or_default();
            let events = kind.compare(before, &now);
            *before = now;
            let events = events.iter().filter(|event| self.wanted.has(event));
            self.waiting.extend(events.map(|event| event.line(time)));
        }
        Ok(())
    }
}

fn failed(error: &Error) -> Option<String> {
    log::error!("telling what happened: {}", error.chain());
    None
}

async fn ends(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
