//! A container's log, or a command in it, over a WebSocket: what a token opens, in the frames that Rancher's clients read.
//!
//! Both ways wait for whoever is slow: a frame is taken from the engine when there is room for it, and from the client when
//! the command has read the last one.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody as _;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::interval;

use super::proxy;
use super::written::{FRAME, TextFrames, Written};
use crate::engine::{Engine, Look, Looks, OpenStream, Piece, Pieces, Running, Sample, Terminal};
use crate::http::bursts::{Bursts, bursts};
use crate::http::headers::is_websocket;
use crate::http::sockets::{Admission, Place};
use crate::model::{Error, ErrorKind, Result};

/// The longest frame from a client.
const MAX_FRAME: usize = 64 * 1024;
/// The longest line of a log in one frame; what is longer comes in several.
const MAX_LINE: usize = 16 * 1024;
/// The longest piece of output in one frame (rancher/host-api: `exec`).
pub(super) const MAX_PIECE: usize = 4096;
/// Frames that may wait for a command to read them.
const TYPED: usize = 4;
/// So much of a log goes out at once.
const MOST_AT_ONCE: usize = 64 * 1024;
/// How long what was typed last is waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Between two pings.
pub(super) const BEAT: Duration = Duration::from_secs(30);
/// How a client tells of its window; not base64, as no base64 has a colon.
const RESIZE: &str = ":resizeTTY:";
/// What a terminal hears when whoever typed is gone.
const END_OF_TRANSMISSION: &[u8] = &[4];

/// What streams need of the server.
pub struct Streams {
    /// Who opens them.
    pub engine: Arc<Engine>,
    /// Who may have one more connection.
    pub sockets: Arc<Admission>,
    /// Places for requests to containers' ports.
    pub carried: Arc<Semaphore>,
    pub(super) stopping: watch::Sender<bool>,
}

impl Streams {
    /// None is open yet.
    pub fn new(engine: Arc<Engine>, sockets: Arc<Admission>) -> Self {
        let (stopping, _) = watch::channel(false);
        Self {
            engine,
            sockets,
            carried: proxy::places(),
            stopping,
        }
    }

    /// Ends all: the server stops.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// `/v1/logs/?token=…` and `/v1/exec/?token=…`: 101, and from then on what is written.
    ///
    /// # Errors
    /// 401 without a good token, 400 without a handshake, and what opening the stream may end in.
    pub async fn open(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        path: &str,
        token: &str,
    ) -> Result<HttpResponse> {
        let ticket = self.engine.stream_ticket(path, token)?;
        let no_handshake = |why: String| Error {
            detail: Some(why),
            ..Error::new(ErrorKind::BadRequest).with_code("InvalidHandshake")
        };
        if !is_websocket(request.headers()) {
            return Err(no_handshake("this address is for WebSockets".to_owned()));
        }
        let place = self.sockets.admit(ticket.account())?;
        let stream = self.engine.open_stream(&ticket).await?;
        let (response, session, messages) =
            actix_ws::handle(request, payload).map_err(|e| no_handshake(e.to_string()))?;
        let mut frames = None;
        let response = response.map_body(|_, session| {
            let (body, sender) = Written::around(session);
            frames = Some(sender);
            body.boxed()
        });
        let frames = frames.ok_or_else(|| Error::bug("an answer without a body"))?;
        let socket = Socket {
            session,
            frames,
            messages: messages.max_frame_size(MAX_FRAME),
            stopping: self.stopping.subscribe(),
            _place: place,
        };
        actix_web::rt::spawn(async move {
            match stream {
                OpenStream::Logs(pieces) => socket.tell(pieces).await,
                OpenStream::Exec(running) => socket.run(running).await,
                OpenStream::Stats(looks) => socket.show(looks).await,
                OpenStream::Socket(stream) => socket.join(stream).await,
            }
        });
        Ok(response)
    }
}

/// What is sent, as it comes; or why it ends too early.
type Frames = Pin<Box<dyn Stream<Item = std::result::Result<TextFrames, String>> + Send>>;

pub(super) struct Socket {
    pub(super) session: Session,
    /// To the client, whole frames at a time.
    frames: mpsc::Sender<Bytes>,
    pub(super) messages: MessageStream,
    pub(super) stopping: watch::Receiver<bool>,
    _place: Place,
}

/// Why a stream ends.
pub(super) enum End {
    /// The client is gone.
    Gone,
    /// All is said.
    Said,
    /// The engine broke off.
    Broken(String),
    /// The server stops.
    Stopping,
}

impl Socket {
    /// Sends a log until it ends.
    async fn tell(self, pieces: Pieces) {
        let log = Log {
            pieces: bursts(pieces, MOST_AT_ONCE, |piece| piece.as_ref().map_or(0, Piece::len)),
            lines: Lines::default(),
            broken: None,
            has_ended: false,
        };
        let frames = stream::unfold(log, |mut log| async move { Some((log.next().await?, log)) });
        self.read_out(Box::pin(frames)).await;
    }

    /// Sends what containers or hosts use.
    async fn show(self, looks: Looks) {
        let frames = looks.map(|looks| match looks {
            Ok(looks) => Ok(TextFrames::of([looks_frame(&looks)])),
            Err(error) => Err(error.to_string()),
        });
        self.read_out(Box::pin(frames)).await;
    }

    /// Sends frames until there are no more.
    async fn read_out(mut self, mut frames: Frames) {
        let mut beats = interval(BEAT);
        let end = loop {
            tokio::select! {
                next = frames.next() => match next {
                    Some(Ok(frames)) => {
                        if !self.send(frames).await {
                            break End::Gone;
                        }
                    }
                    Some(Err(why)) => break End::Broken(why),
                    None => break End::Said,
                },
                message = self.messages.recv() => {
                    // A reader has nothing to say.
                    if !self.hears(message).await {
                        break End::Gone;
                    }
                }
                _ = beats.tick() => if self.session.ping(b"").await.is_err() { break End::Gone },
                _ = self.stopping.changed() => break End::Stopping,
            }
        };
        self.close(end).await;
    }

    /// Carries between a command and a client until one of them ends. What is typed is written beside, so that a command
    /// that reads nothing until somebody has read what it wrote does not stop both.
    async fn run(mut self, running: Running) {
        let Running {
            mut output,
            input,
            terminal,
        } = running;
        let (typed, to_write) = mpsc::channel(TYPED);
        let writing = actix_web::rt::spawn(write_typed(input, to_write));
        let mut beats = interval(BEAT);
        let end = loop {
            tokio::select! {
                piece = output.next() => match piece {
                    Some(Ok(Piece::Out(bytes) | Piece::Err(bytes) | Piece::Terminal(bytes))) => {
                        let frames = bytes.chunks(MAX_PIECE).map(|piece| STANDARD.encode(piece));
                        if !self.send(TextFrames::of(frames)).await {
                            break End::Gone;
                        }
                    }
                    Some(Err(error)) => break End::Broken(error.to_string()),
                    None => break End::Said,
                },
                // A client is heard when there is room for what it says.
                room = typed.reserve(), if typed.capacity() == 0 => drop(room),
                message = self.messages.recv(), if typed.capacity() > 0 => {
                    let Some(Ok(Message::Text(text))) = message else {
                        if self.hears(message).await {
                            continue;
                        }
                        break End::Gone;
                    };
                    match text.strip_prefix(RESIZE) {
                        Some(size) => resize(&*terminal, size).await,
                        // What is no base64 is none of ours, and a command that reads no more gets no more.
                        None => {
                            let _ = STANDARD.decode(text.trim()).map(|bytes| typed.try_send(bytes));
                        }
                    }
                }
                _ = beats.tick() => if self.session.ping(b"").await.is_err() { break End::Gone },
                _ = self.stopping.changed() => break End::Stopping,
            }
        };
        if matches!(end, End::Gone | End::Stopping) {
            // A shell that nobody types in any more ends.
            let _ = typed.try_send(END_OF_TRANSMISSION.to_vec());
        }
        drop(typed);
        drop(output);
        let abort = writing.abort_handle();
        if tokio::time::timeout(LAST_WORDS, writing).await.is_err() {
            abort.abort();
        }
        self.close(end).await;
    }

    /// Sends frames; `false` if the client is gone.
    pub(super) async fn send(&mut self, frames: TextFrames) -> bool {
        frames.is_empty() || self.frames.send(frames.into_bytes()).await.is_ok()
    }

    /// Takes what a client says beside text; `false` if it is gone.
    pub(super) async fn hears(
        &mut self,
        message: Option<std::result::Result<Message, actix_ws::ProtocolError>>,
    ) -> bool {
        match message {
            Some(Ok(Message::Ping(bytes))) => self.session.pong(&bytes).await.is_ok(),
            Some(Ok(Message::Close(_)) | Err(_)) | None => false,
            Some(Ok(_)) => true,
        }
    }

    pub(super) async fn close(self, end: End) {
        let (code, word) = match end {
            End::Gone | End::Said => (CloseCode::Normal, None),
            End::Broken(why) => (CloseCode::Error, Some(why.chars().take(100).collect())),
            End::Stopping => (CloseCode::Away, Some("the server stops".to_owned())),
        };
        let reason = CloseReason {
            code,
            description: word,
        };
        let _ = self.session.close(Some(reason)).await;
    }
}

/// Writes what is typed, as fast as the command reads it, and then its end.
async fn write_typed(mut input: Pin<Box<dyn AsyncWrite + Send>>, mut typed: mpsc::Receiver<Vec<u8>>) {
    while let Some(bytes) = typed.recv().await {
        if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
            log::debug!("a command takes nothing more");
            return;
        }
    }
    let _ = input.shutdown().await;
}

async fn resize(terminal: &dyn Terminal, size: &str) {
    let Some((columns, rows)) = window(size) else { return };
    if let Err(error) = terminal.resize(columns, rows).await {
        log::debug!("resizing a terminal: {error}");
    }
}

/// `80,24`
fn window(text: &str) -> Option<(u16, u16)> {
    let (columns, rows) = text.split_once(',')?;
    Some((columns.trim().parse().ok()?, rows.trim().parse().ok()?))
}

/// A log that is read out.
struct Log {
    pieces: Bursts<Pieces>,
    lines: Lines,
    /// Why it breaks off, behind what came before.
    broken: Option<String>,
    has_ended: bool,
}

impl Log {
    /// The frames of the lines that are whole now.
    async fn next(&mut self) -> Option<std::result::Result<TextFrames, String>> {
        if let Some(why) = self.broken.take() {
            return Some(Err(why));
        }
        if self.has_ended {
            return None;
        }
        let mut frames = TextFrames::default();
        let Some(burst) = self.pieces.next().await else {
            self.has_ended = true;
            self.lines.rest(&mut frames);
            return Some(Ok(frames));
        };
        frames.make_room(burst.iter().flatten().map(|piece| piece.len() + FRAME).sum());
        for piece in burst {
            match piece {
                Ok(piece) => self.lines.add(&piece, &mut frames),
                Err(error) => {
                    self.broken = Some(error.to_string());
                    break;
                }
            }
        }
        Some(Ok(frames))
    }
}

/// What of a log's lines has begun and not ended, for standard output and standard error apart.
#[derive(Default)]
struct Lines {
    out: Vec<u8>,
    err: Vec<u8>,
    terminal: Vec<u8>,
}

/// What each line begins with: a version, where it was written, and a space.
const TERMINAL: &str = "00 ";
const OUT: &str = "01 ";
const ERR: &str = "02 ";

impl Lines {
    /// Writes a frame of each line that is whole now.
    fn add(&mut self, piece: &Piece, frames: &mut TextFrames) {
        let (kind, begun, bytes) = match piece {
            Piece::Terminal(bytes) => (TERMINAL, &mut self.terminal, bytes),
            Piece::Out(bytes) => (OUT, &mut self.out, bytes),
            Piece::Err(bytes) => (ERR, &mut self.err, bytes),
        };
        // Nearly always: whole lines of text.
        if begun.is_empty()
            && let Ok(text) = std::str::from_utf8(bytes)
            && text.ends_with('\n')
        {
            for line in text.split_terminator('\n') {
                frames.push([kind, line]);
            }
            return;
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = part.ends_with(b"\n");
            begun.extend_from_slice(part);
            if is_whole || begun.len() >= MAX_LINE {
                push_line(frames, kind, begun);
                begun.clear();
            }
        }
    }

    /// Writes frames of the lines that never ended.
    fn rest(&mut self, frames: &mut TextFrames) {
        let all = [(TERMINAL, &self.terminal), (OUT, &self.out), (ERR, &self.err)];
        for (kind, line) in all.into_iter().filter(|(_, line)| !line.is_empty()) {
            push_line(frames, kind, line);
        }
    }
}

fn push_line(frames: &mut TextFrames, kind: &str, line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    frames.push([kind, &String::from_utf8_lossy(line)]);
}

/// A list, each with its id, as Rancher's agents send it.
fn looks_frame(looks: &[Look]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Item<'l> {
        id: &'l str,
        resource_type: &'l str,
        #[serde(flatten)]
        sample: &'l Sample,
    }
    let items = looks.iter().map(|look| Item {
        id: &look.id,
        resource_type: look.resource_type,
        sample: &look.sample,
    });
    serde_json::to_string(&items.collect::<Vec<_>>()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn lines_are_framed_when_they_are_whole() {
        let mut lines = Lines::default();
        let mut of = |piece: Piece| {
            let mut frames = TextFrames::default();
            lines.add(&piece, &mut frames);
            texts(frames)
        };
        assert_eq!(of(Piece::Out("a 1\nb".into())), ["01 a 1"]);
        assert_eq!(of(Piece::Err("x\n".into())), ["02 x"]);
        assert_eq!(of(Piece::Out(" 2\n\n".into())), ["01 b 2", "01 "]);
        assert_eq!(of(Piece::Terminal("end".into())), Vec::<String>::new());
        let long = vec![b'x'; MAX_LINE + 1];
        let frames = of(Piece::Out(long.into()));
        assert_eq!(frames.len(), 1, "no line is waited for without end");
        assert_eq!(of(Piece::Err(b"\xff\n".to_vec().into())), ["02 \u{fffd}"]);
        let mut rest = TextFrames::default();
        lines.rest(&mut rest);
        assert_eq!(texts(rest), ["00 end"]);
    }

    /// The texts of frames of fewer than 64 KiB.
    fn texts(frames: TextFrames) -> Vec<String> {
        let (bytes, mut at, mut all) = (frames.into_bytes(), 0, Vec::new());
        while at < bytes.len() {
            let (begin, length) = match bytes[at + 1] {
                126 => (at + 4, usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]))),
                short => (at + 2, usize::from(short)),
            };
            at = begin + length;
            all.push(String::from_utf8(bytes[begin..at].to_vec()).unwrap());
        }
        all
    }

    #[test]
    fn a_window_has_columns_and_rows() {
        assert_eq!(window("80,24"), Some((80, 24)));
        for none in ["", "80", "80,", "-1,24", "80,99999", "a,b"] {
            assert_eq!(window(none), None, "{none}");
        }
    }
}
