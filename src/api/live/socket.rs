//! One connection: pings, what its channel tells, and what was missed before. What the client sends is counted and dropped.

use std::time::Duration;

use actix_ws::{CloseCode, CloseReason, Closed, Message, MessageStream, ProtocolError, Session};
use bytestring::ByteString;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use super::channel::{CHUNK, Frames, Seat, Told};
use super::frame;
use crate::engine::Missed;
use crate::http::sockets::Place;

/// The longest frame a client may send: there is nothing that it has to say.
pub const MAX_FRAME: usize = 4096;
/// Frames that a client may send between two pings.
const MAX_HEARD: u32 = 100;
/// A client that takes nothing for this long does not read.
const STALL: Duration = Duration::from_secs(1);
/// A client for which nothing else waits has this long.
const PATIENCE: u32 = 30;

/// What the settings say of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The time between two pings.
    pub beat: Duration,
    /// Pings until the connection ends: twelve hours, as they come.
    pub pings: u32,
    /// Events that may wait for a client that does not read.
    pub queued: u64,
}

/// A connection that has been accepted.
pub struct Socket {
    /// To the client.
    pub session: Session,
    /// From the client.
    pub stream: MessageStream,
    /// What it is told.
    pub seat: Seat,
    /// What it may be there by.
    pub place: Place,
    /// How it is served.
    pub limits: Limits,
    /// Where to go on from; none is now.
    pub since: Option<i64>,
}

/// Why a connection ends.
enum End {
    /// The client is gone, or does not read: there is nobody to tell.
    Silent,
    /// With a code, and a word for people.
    Close(CloseCode, &'static str),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Silent
    }
}

struct Run {
    session: Session,
    seat: Seat,
    /// Live events up to here came with what was missed.
    caught_up: i64,
    /// How many events of the channel have been seen.
    seen: u64,
    limits: Limits,
}

impl Socket {
    /// Serves the connection until it ends.
    ///
    /// There are thousands of these: what is kept while nothing happens is kept once, and what takes part in rare steps
    /// only is boxed there.
    pub fn run(self) -> impl Future<Output = ()> {
        let Self {
            session,
            mut stream,
            seat,
            place,
            limits,
            since,
        } = self;
        let seen = seat.channel.sent();
        let mut run = Run {
            session,
            seat,
            caught_up: 0,
            seen,
            limits,
        };
        async move {
            // The place is given back when everything here has ended.
            let _place = &place;
            let end = run.serve(&mut stream, since).await;
            if let End::Close(code, word) = end {
                // A client that is gone needs no goodbye.
                let _ = run
                    .session
                    .close(Some(CloseReason {
                        code,
                        description: Some(word.to_owned()),
                    }))
                    .await;
            }
        }
    }
}

impl Run {
    async fn serve(&mut self, stream: &mut MessageStream, since: Option<i64>) -> End {
        let mut beats = interval(self.limits.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once.
        beats.tick().await;
        if let Err(end) = self.begin(since).await {
            return end;
        }
        let (mut pings, mut heard) = (1, 0);
        loop {
            let step = tokio::select! {
                biased;
                _ = beats.tick() => {
                    heard = 0;
                    pings += 1;
                    if pings > self.limits.pings { Err(End::Close(CloseCode::Normal, "come again")) } else { self.ping().await }
                }
                told = self.seat.told.recv() => match told {
                    Ok(Told::Frames(frames)) => self.tell(&frames).await,
                    Ok(Told::Logout) => self.send(frame::LOGOUT.into()).await.and(Err(End::Close(CloseCode::Normal, "logged out"))),
                    Ok(Told::Away) => Err(End::Close(CloseCode::Away, "the server stops")),
                    Ok(Told::Failed) => Err(End::Close(CloseCode::Error, "events cannot be read")),
                    // It was not this client that was slow, or it would have been cut.
                    Err(RecvError::Lagged(_)) => Box::pin(self.catch_up(self.seat.position)).await,
                    Err(RecvError::Closed) => Err(End::Close(CloseCode::Away, "the server stops")),
                },
                message = stream.recv() => {
                    heard += 1;
                    self.hear(message, heard).await
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// The first frames: a ping, and what was missed.
    async fn begin(&mut self, since: Option<i64>) -> Result<(), End> {
        if let Some(since) = since {
            // The ping does not claim more than the client has.
            self.send(frame::ping(
                since.min(self.seat.position),
                self.seat.channel.engine().now(),
            ))
            .await?;
            return Box::pin(self.catch_up(since)).await;
        }
        self.ping().await
    }

    async fn ping(&mut self) -> Result<(), End> {
        // Nothing waits, so all that the channel has told is at the client.
        let told = self.seat.channel.position();
        if self.seat.told.is_empty() {
            self.seat.position = told.max(self.seat.position);
        }
        self.send(frame::ping(self.seat.position, self.seat.channel.engine().now()))
            .await
    }

    async fn tell(&mut self, frames: &Frames) -> Result<(), End> {
        for frame in &frames.frames {
            self.seen += 1;
            if frame.event > self.caught_up {
                self.send(frame.text.clone()).await?;
            }
        }
        self.seat.position = frames.position.max(self.seat.position);
        Ok(())
    }

    /// Tells what happened behind a position, as it is now.
    async fn catch_up(&mut self, since: i64) -> Result<(), End> {
        let failed = |error: crate::model::Error| {
            log::error!("telling what was missed: {}", error.chain());
            End::Close(CloseCode::Error, "events cannot be read")
        };
        let channel = self.seat.channel.clone();
        match channel.missed(since).await.map_err(failed)? {
            Missed::Gone => self.send(frame::gone(self.seat.position, channel.engine().now())).await,
            Missed::Changes(changed) => {
                for chunk in changed.changes.chunks(CHUNK) {
                    for frame in channel.write(chunk, changed.position).await.map_err(failed)? {
                        self.send(frame.text).await?;
                    }
                }
                self.caught_up = changed.position;
                self.seat.position = changed.position.max(self.seat.position);
                self.seen = channel.sent().saturating_sub(self.seat.told.len() as u64);
                Ok(())
            }
        }
    }

    /// Sends, unless the client does not read and too much waits for it.
    async fn send(&mut self, text: ByteString) -> Result<(), End> {
        let (channel, seen, queued) = (self.seat.channel.clone(), self.seen, self.limits.queued);
        let stalled = async {
            let mut looks = interval_at(Instant::now() + STALL, STALL);
            for _ in 0..PATIENCE {
                looks.tick().await;
                if channel.sent().saturating_sub(seen) > queued {
                    break;
                }
            }
        };
        tokio::select! {
            biased;
            sent = self.session.text(text) => Ok(sent?),
            () = stalled => {
                log::debug!("a subscriber that does not read is cut");
                Err(End::Silent)
            }
        }
    }

    /// What a client sends is of no interest, as long as it is not too much.
    async fn hear(&mut self, message: Option<Result<Message, ProtocolError>>, heard: u32) -> Result<(), End> {
        let message = match message {
            None => return Err(End::Silent),
            Some(Ok(message)) => message,
            Some(Err(ProtocolError::Overflow)) => return Err(End::Close(CloseCode::Size, "the frame is too long")),
            Some(Err(ProtocolError::Io(error))) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(End::Close(CloseCode::Invalid, "the text is not UTF-8"));
            }
            Some(Err(ProtocolError::Io(_))) => return Err(End::Silent),
            Some(Err(_)) => return Err(End::Close(CloseCode::Protocol, "this is no WebSocket")),
        };
        if heard > MAX_HEARD {
            return Err(End::Close(CloseCode::Policy, "too many frames"));
        }
        match message {
            Message::Ping(bytes) => Ok(self.session.pong(&bytes).await?),
            Message::Close(reason) => Err(End::Close(reason.map_or(CloseCode::Normal, |r| r.code), "goodbye")),
            Message::Text(_) | Message::Binary(_) | Message::Continuation(_) | Message::Pong(_) | Message::Nop => {
                Ok(())
            }
        }
    }
}
