//! One connection to the server: it is dialled, each side says who it is, and streams are led to the engine until it ends.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::memory::Memory;
use super::place::Place;
use crate::tunnel::{FRAME, Hello, LINES, Mux, SILENCE, Side, Stream, Welcome};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long dialling and the first words may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an agent shows of itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A registration token: it has no key yet.
    Token(String),
    /// Its own key.
    Key {
        /// The public half.
        access: String,
        /// The other one.
        secret: String,
    },
}

/// How a connection ended.
pub enum Ended {
    /// The server gave a key: dial again with that.
    Given(Welcome),
    /// It was served for a while.
    Served(String),
    /// It did not come to that.
    NotNow(String),
    /// It will not come to that.
    Never(String),
}

/// Dials, and serves until the connection ends.
pub async fn run(
    place: &Place,
    connector: Option<&Connector>,
    login: &Login,
    hello: &Hello,
    engine: &Path,
    memory: &Memory,
) -> Ended {
    let begun = timeout(PATIENCE, begin(place, connector, login, hello)).await;
    let (socket, welcome) = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(Error::Http(response))) if response.status() == 401 => {
            return Ended::Never(login.refusal(memory.folder()));
        }
        Ok(Err(Error::Http(response))) => {
            let body = response.body().as_deref().unwrap_or_default();
            let said = String::from_utf8_lossy(body.get(..body.len().min(300)).unwrap_or_default()).into_owned();
            return Ended::NotNow(format!("the server answers {}: {said}", response.status()));
        }
        Ok(Err(error)) => return Ended::NotNow(error.to_string()),
        Err(_) => return Ended::NotNow(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    if memory.server_uuid().is_some_and(|server| server != welcome.server) {
        return Ended::Never(format!(
            "another server answers at {}: this agent is of {}",
            place.base,
            memory.server_uuid().unwrap_or_default()
        ));
    }
    match login {
        Login::Token(_) if welcome.access_key.is_some() && welcome.secret_key.is_some() => Ended::Given(welcome),
        Login::Token(_) => Ended::NotNow("the server has no key for this agent yet".to_owned()),
        Login::Key { .. } => {
            super::say(&format!("the tunnel to {} is open", place.base));
            Ended::Served(serve(socket, engine).await)
        }
    }
}

/// Dials, says who this is, and hears who the server is.
async fn begin(
    place: &Place,
    connector: Option<&Connector>,
    login: &Login,
    hello: &Hello,
) -> Result<(Socket, Welcome), Error> {
    let mut request = place.tunnel().into_client_request()?;
    let pair = match login {
        Login::Token(token) => format!("registrationToken:{token}"),
        Login::Key { access, secret } => format!("{access}:{secret}"),
    };
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    // Also where everybody may do everything, a key that has ended is told so.
    let enforced = HeaderValue::from_static("true");
    request.headers_mut().insert("x-enforce-authentication", enforced);
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME * 2))
        .max_frame_size(Some(FRAME * 2))
        .write_buffer_size(0);
    let (mut socket, _) = connect_async_tls_with_config(request, Some(config), true, connector.cloned()).await?;
    let own = serde_json::to_string(hello).map_err(|e| Error::Io(e.into()))?;
    socket.send(Message::text(own)).await?;
    loop {
        match socket.next().await.ok_or(Error::ConnectionClosed)?? {
            Message::Text(text) => {
                let welcome = serde_json::from_str(&text).map_err(|e| Error::Io(e.into()))?;
                return Ok((socket, welcome));
            }
            Message::Close(_) => return Err(Error::ConnectionClosed),
            Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
        }
    }
}

/// Leads streams to the engine until the connection ends, and says why it did.
async fn serve(socket: Socket, engine: &Path) -> String {
    let (sink, source) = socket.split();
    let (out, frames) = mpsc::channel(LINES);
    let mux = Mux::new(Side::Agent, out);
    let mut writing = tokio::spawn(write(sink, frames));
    let why = tokio::select! {
        why = read(source, &mux, engine) => why,
        why = &mut writing => why.unwrap_or_else(|error| error.to_string()),
    };
    mux.end();
    writing.abort();
    why
}

async fn write(mut sink: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<Bytes>) -> String {
    let mut beats = interval(SILENCE / 3);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => Message::Binary(frame),
                None => return "nothing is left to say".to_owned(),
            },
            _ = beats.tick() => Message::Ping(Bytes::new()),
        };
        if let Err(error) = sink.send(message).await {
            return error.to_string();
        }
    }
}

async fn read(mut source: SplitStream<Socket>, mux: &Mux, engine: &Path) -> String {
    let mut carried = JoinSet::new();
    let mut heard = Instant::now();
    loop {
        let message = tokio::time::timeout_at(heard + SILENCE, source.next()).await;
        heard = Instant::now();
        while carried.try_join_next().is_some() {}
        let bytes = match message {
            Err(_) => return format!("the server says nothing for {} s", SILENCE.as_secs()),
            Ok(None) => return "the server has closed it".to_owned(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Close(reason)))) => {
                let reason = reason
                    .map(|reason| reason.reason.to_string())
                    .filter(|reason| !reason.is_empty());
                return reason.unwrap_or_else(|| "the server has closed it".to_owned());
            }
            Ok(Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => continue,
        };
        match mux.hear(&bytes).await {
            Ok(None) => {}
            Ok(Some(stream)) => drop(carried.spawn(lead(stream, engine.to_owned()))),
            Err(error) => return error.to_string(),
        }
    }
}

/// Leads one stream to the engine.
async fn lead(stream: Stream, engine: std::path::PathBuf) {
    match UnixStream::connect(&engine).await {
        Ok(socket) => stream.carry(socket).await,
        Err(error) => {
            super::say(&format!(
                "the engine at {} cannot be reached: {error}",
                engine.display()
            ));
            stream.refuse().await;
        }
    }
}
