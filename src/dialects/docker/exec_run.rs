//! How a command is started, and what it writes and reads is carried.

use std::pin::Pin;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody as _};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, UPGRADE};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::caller::Caller;
use super::exec::Exec;
use super::frames::{Outputs, framed};
use super::keys::canonical;
use super::refusal::{Outcome, Refusal};
use super::{API_VERSION, DockerApi};
use crate::engine::{OpenStream, Pieces, Running};
use crate::http::sockets::Place;
use crate::http::taken::{self, Duplex};

/// What all of this is, whether it has heads or not: a version before 1.42 says it so.
const RAW: &str = "application/vnd.docker.raw-stream";
/// What a terminal hears when whoever typed is gone.
const END_OF_TRANSMISSION: &[u8] = &[4];
/// How long a client is waited for that has not read the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// `POST /exec/{id}/start`.
pub async fn start(
    request: &HttpRequest,
    state: &DockerApi,
    caller: &Caller,
    id: &str,
    body: Value,
) -> Outcome<HttpResponse> {
    let body = canonical(body);
    let exec = state.execs.find(caller, id)?;
    let is_detached = body.get("Detach").and_then(Value::as_bool) == Some(true);
    let place = state.entry.sockets.admit(caller.scope.user.id)?;
    let upgrades = request.headers().contains_key(UPGRADE);
    let (path, token) = exec.token()?;
    let running = open(caller, &exec, path, &token).await?;
    let reads = exec.has("AttachStdin");
    let carried = Carried {
        output: running.output,
        input: running.input,
        reads,
        has_terminal: exec.has("TTY"),
        outputs: exec.outputs(),
        _place: place,
    };
    if is_detached {
        actix_web::rt::spawn(carried.alone());
        return Ok(HttpResponse::Ok().finish());
    }
    let Some((answer, connection)) = taken::take(request) else {
        if reads {
            return Err(Refusal::not_built(
                "AttachStdin: this connection cannot be taken out of HTTP",
            ));
        }
        return Ok(carried.into_answer(upgrades));
    };
    actix_web::rt::spawn(async move {
        match connection.begin(head(upgrades).as_bytes()).await {
            Ok(stream) => carried.over(stream).await,
            Err(error) => log::debug!("whoever started a command is gone: {error}"),
        }
    });
    Ok(answer)
}

async fn open(caller: &Caller, exec: &Exec, path: &str, token: &str) -> Outcome<RunningStreams> {
    let ticket = caller.engine.stream_ticket(path, token).map_err(|_| {
        Refusal::new(
            StatusCode::CONFLICT,
            "the command was not started within five minutes: make it again",
        )
    })?;
    let OpenStream::Exec(running) = caller.engine.open_stream(&ticket).await? else {
        return Err(Refusal::nowhere());
    };
    let Running {
        output,
        input,
        terminal,
    } = running;
    exec.begin(terminal);
    Ok(RunningStreams { output, input })
}

/// A command's output and input.
struct RunningStreams {
    output: Pieces,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// What a connection says before the command does.
fn head(upgrades: bool) -> String {
    let first = if upgrades { "101 UPGRADED" } else { "200 OK" };
    let more = if upgrades {
        "Connection: Upgrade\r\nUpgrade: tcp\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {first}\r\nContent-Type: {RAW}\r\n{more}Api-Version: {API_VERSION}\r\nDocker-Experimental: false\r\nOstype: linux\r\n\r\n"
    )
}

/// A command that is carried to whoever started it.
struct Carried {
    output: Pieces,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Something is written to it.
    reads: bool,
    has_terminal: bool,
    outputs: Outputs,
    _place: Place,
}

impl Carried {
    /// Nobody looks: what it writes is read, so that it does not wait.
    async fn alone(mut self) {
        drop(self.input);
        while let Some(Ok(_)) = self.output.next().await {}
    }

    /// What it writes as the body of an answer.
    fn into_answer(self, upgrades: bool) -> HttpResponse {
        let outputs = self.outputs;
        let held = (self.input, self._place);
        let body = self.output.filter_map(move |piece| {
            let _held = &held;
            std::future::ready(match piece {
                Ok(piece) => framed(piece, outputs).map(Ok),
                Err(error) => Some(Err(std::io::Error::other(error.to_string()))),
            })
        });
        let mut answer = match upgrades {
            true => HttpResponseBuilder::new(StatusCode::SWITCHING_PROTOCOLS),
            false => HttpResponse::Ok(),
        };
        if upgrades {
            answer.upgrade("tcp");
        }
        let body = BodyStream::new(Box::pin(body)).boxed();
        let mut answer = answer.insert_header((CONTENT_TYPE, RAW)).body(body);
        // What follows an upgrade is no HTTP: no pieces with their lengths before them.
        answer.head_mut().no_chunking(upgrades);
        answer
    }

    /// Both ways over a connection, until the command ends or whoever reads is gone.
    async fn over(self, stream: Box<dyn Duplex>) {
        let Self {
            mut output,
            input,
            reads,
            has_terminal,
            outputs,
            _place,
        } = self;
        let (mut from, mut to) = tokio::io::split(stream);
        let typing = async {
            type_in(&mut from, reads.then_some(input), has_terminal).await;
            // The end of what is typed is not the end of the command.
            std::future::pending::<()>().await;
        };
        let writing = async {
            while let Some(Ok(piece)) = output.next().await {
                let Some(bytes) = framed(piece, outputs) else { continue };
                if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = writing => {}
            () = typing => {}
        }
        // What was typed and not read would break the connection off before all is read at the other side.
        let rest = async {
            let _ = to.shutdown().await;
            let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
        };
        let _ = timeout(LAST_WORDS, rest).await;
    }
}

/// Writes what a client sends to a command, and then its end; without an input it is read all the same.
async fn type_in(
    from: &mut (impl AsyncRead + Unpin),
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    has_terminal: bool,
) {
    let Some(mut input) = input else {
        let _ = tokio::io::copy(from, &mut tokio::io::sink()).await;
        return;
    };
    if let Err(error) = carry(from, &mut input).await {
        log::debug!("what is typed for a command: {error}");
    }
    if has_terminal {
        // A shell that nobody types in any more ends.
        let _ = input.write_all(END_OF_TRANSMISSION).await;
    }
    let _ = input.shutdown().await;
}

async fn carry(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
    let mut piece = vec![0; 4096];
    loop {
        let length = from.read(&mut piece).await?;
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}
