//! `agenttunnel`: an agent dials in, says who it is, and from then on its machine's engine is behind this connection.
//!
//! One that shows a registration token is given a key of its own, and the connection ends. What goes through a tunnel is not
//! looked at here.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::subscribe::Handshake;
use crate::api::wire::call::Reply;
use crate::engine::{Engine, Scope};
use crate::http::headers::is_websocket;
use crate::http::sockets::Place;
use crate::model::{Error, ErrorKind, Result};
use crate::tunnel::{FRAME, Hello, Hub, LINES, Mux, SILENCE, Side, Welcome};

/// How long an agent may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an agent may take nothing of what is sent.
const STALL: Duration = Duration::from_secs(30);

/// `/agenttunnel`: 101, and from then on frames.
///
/// # Errors
/// 403 for who may not, 409 for an agent that is not wanted now, 400 without a handshake.
pub async fn tunnel(
    engine: &Arc<Engine>,
    scope: &Scope,
    hub: Option<&Arc<Hub>>,
    client: &str,
    shake: Handshake<'_>,
) -> Result<Reply> {
    let hub = hub.ok_or_else(|| Error::not_implemented("this server takes no tunnels"))?;
    if !engine.is_joining(scope) {
        engine.may_dial(scope)?;
    }
    let (session, messages, place) = accept(scope, shake)?;
    let dialled = Dialled {
        engine: engine.clone(),
        scope: scope.clone(),
        hub: hub.clone(),
        client: client.to_owned(),
        session,
        messages,
        _place: place,
    };
    actix_web::rt::spawn(dialled.run());
    Ok(Reply::new(StatusCode::SWITCHING_PROTOCOLS, String::new()))
}

fn accept(scope: &Scope, shake: Handshake<'_>) -> Result<(Session, AggregatedMessageStream, Place)> {
    let no_handshake = |why: String| Error {
        detail: Some(why),
        ..Error::new(ErrorKind::BadRequest).with_code("InvalidHandshake")
    };
    let request: &HttpRequest = shake.request;
    if !is_websocket(request.headers()) {
        return Err(no_handshake("this address is for WebSockets".to_owned()));
    }
    let place = shake.sockets.admit(scope.user.id)?;
    let payload: web::Payload = shake
        .payload
        .take()
        .ok_or_else(|| Error::bug("a request without its payload"))?;
    let (response, session, stream) = actix_ws::handle(request, payload).map_err(|e| no_handshake(e.to_string()))?;
    *shake.response = Some(response);
    let stream = stream
        .max_frame_size(FRAME * 2)
        .aggregate_continuations()
        .max_continuation_size(FRAME * 2);
    Ok((session, stream, place))
}

struct Dialled {
    engine: Arc<Engine>,
    scope: Scope,
    hub: Arc<Hub>,
    client: String,
    session: Session,
    messages: AggregatedMessageStream,
    _place: Place,
}

impl Dialled {
    async fn run(mut self) {
        let why = match tokio::time::timeout(PATIENCE, self.hello()).await {
            Ok(Some(hello)) => self.talk(hello).await,
            Ok(None) => "no agent speaks so".to_owned(),
            Err(_) => "nobody says who it is".to_owned(),
        };
        log::debug!("the tunnel of {} ends: {why}", self.scope.user.name);
        let reason = CloseReason {
            code: CloseCode::Normal,
            description: Some(why.chars().take(100).collect()),
        };
        // An agent that is gone needs no goodbye.
        let _ = self.session.close(Some(reason)).await;
    }

    async fn hello(&mut self) -> Option<Hello> {
        match self.messages.recv().await?.ok()? {
            AggregatedMessage::Text(text) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    /// Answers an agent, and serves it to its end.
    async fn talk(&mut self, hello: Hello) -> String {
        let mut welcome = Welcome {
            server: self.engine.server_uuid().to_owned(),
            ..Welcome::default()
        };
        if self.engine.is_joining(&self.scope) {
            let joined = self.engine.join_by_tunnel(&self.scope, &hello.key, &hello.name).await;
            match joined {
                Ok(key) => (welcome.access_key, welcome.secret_key) = key.unzip(),
                Err(error) => return self.refused(&error),
            }
            self.say(&welcome).await;
            return "come again with the key".to_owned();
        }
        let agent = match self.engine.dialled(&self.scope, hello.labels).await {
            Ok(agent) => agent,
            Err(error) => return self.refused(&error),
        };
        if !self.say(&welcome).await {
            return "it is gone".to_owned();
        }
        let address = hello.address.unwrap_or_else(|| self.client.clone());
        let is_address = address.parse::<std::net::IpAddr>().is_ok();
        let (out, frames) = mpsc::channel(LINES);
        let mux = Mux::new(Side::Server, out);
        let seat = match self
            .hub
            .enter(&agent.name, mux.clone(), Some(address).filter(|_| is_address))
        {
            Ok(seat) => seat,
            Err(error) => {
                log::error!("no place for the tunnel of {}: {error}", agent.name);
                return "the server has no place for it".to_owned();
            }
        };
        if let Err(error) = self.engine.tunnel_opened(&agent) {
            log::warn!("what waits for {}: {}", agent.name, error.chain());
        }
        log::info!("the tunnel of agent {} is open", agent.name);
        let why = self.serve(&mux, frames).await;
        mux.end();
        drop(seat);
        log::info!("the tunnel of agent {} has ended: {why}", agent.name);
        why
    }

    fn refused(&self, error: &Error) -> String {
        log::warn!("an agent is refused: {}", error.chain());
        error.external.clone().unwrap_or_else(|| "refused".to_owned())
    }

    async fn say(&mut self, welcome: &Welcome) -> bool {
        let text = serde_json::to_string(welcome).unwrap_or_default();
        self.session.text(text).await.is_ok()
    }

    /// Carries frames both ways, each by itself: neither waits for the other.
    async fn serve(&mut self, mux: &Mux, frames: mpsc::Receiver<Bytes>) -> String {
        let writing = write(self.session.clone(), frames);
        tokio::select! {
            why = writing => why,
            why = read(&mut self.session, &mut self.messages, mux) => why,
            () = mux.over() => "the server has closed it".to_owned(),
            () = revoked(&self.engine, &self.scope) => "its key has ended".to_owned(),
        }
    }
}

/// Waits until whoever dialled would not be let in any more.
async fn revoked(engine: &Engine, scope: &Scope) {
    let mut changes = engine.access_changes();
    // What cannot be read now is no reason to cut anybody off.
    while engine.still_admits(scope).unwrap_or(true) {
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn write(mut session: Session, mut frames: mpsc::Receiver<Bytes>) -> String {
    let mut beats = interval(SILENCE / 3);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => tokio::time::timeout(STALL, session.binary(frame)).await,
                None => return "nothing is left to say".to_owned(),
            },
            _ = beats.tick() => tokio::time::timeout(STALL, session.ping(b"")).await,
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return "the agent is gone".to_owned(),
            Err(_) => return "the agent takes nothing".to_owned(),
        }
    }
}

async fn read(session: &mut Session, messages: &mut AggregatedMessageStream, mux: &Mux) -> String {
    loop {
        let message = tokio::time::timeout_at(Instant::now() + SILENCE, messages.recv()).await;
        match message {
            Err(_) => return format!("the agent says nothing for {} s", SILENCE.as_secs()),
            Ok(Some(Ok(AggregatedMessage::Binary(bytes)))) => {
                if let Err(error) = mux.hear(&bytes).await {
                    return error.to_string();
                }
            }
            Ok(Some(Ok(AggregatedMessage::Ping(bytes)))) => {
                if session.pong(&bytes).await.is_err() {
                    return "the agent is gone".to_owned();
                }
            }
            Ok(Some(Ok(AggregatedMessage::Pong(_)))) => {}
            Ok(Some(Ok(AggregatedMessage::Text(_)))) => return "no agent speaks so".to_owned(),
            Ok(None | Some(Err(_) | Ok(AggregatedMessage::Close(_)))) => return "the agent has closed it".to_owned(),
        }
    }
}
