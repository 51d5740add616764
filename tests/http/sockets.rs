//! A real socket in front of a [`World`], and a WebSocket client that is not our own code.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use drover::api::{ApiOptions, ApiState, configure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{World, text};

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(20);

/// A server that listens.
pub struct Server {
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    /// Listens for a world.
    pub fn of(w: &World) -> Self {
        Self::over(w.api())
    }

    /// The same with other limits.
    pub fn with(w: &World, options: &ApiOptions) -> Self {
        Self::over(web::Data::new(ApiState::new(w.engine.clone(), options)))
    }

    fn over(state: web::Data<ApiState>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = HttpServer::new(move || App::new().configure(|c| configure(c, state.clone())))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            .listen(listener)
            .expect("a listener");
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, handle }
    }

    pub async fn stop(&self) {
        self.handle.stop(true).await;
    }

    /// Subscribes; `path` is relative to the project in v2-beta, or begins with a slash.
    pub async fn subscribe(&self, path: &str) -> Client {
        self.try_subscribe(path, &[])
            .await
            .unwrap_or_else(|(status, body)| panic!("{path}: {status} {body}"))
    }

    /// The same with headers; or the status and the body of the refusal.
    pub async fn try_subscribe(&self, path: &str, headers: &[(&'static str, &str)]) -> Result<Client, (u16, Value)> {
        let stream = TcpStream::connect(self.address).await.expect("a server that listens");
        self.shake_hands(stream, path, headers).await
    }

    /// A client that can take in little before it reads.
    pub async fn subscribe_narrowly(&self, path: &str) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let stream = socket.connect(self.address).await.expect("a server that listens");
        self.shake_hands(stream, path, &[])
            .await
            .unwrap_or_else(|(status, body)| panic!("{path}: {status} {body}"))
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, (u16, Value)> {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/v2-beta/projects/1a5/{path}")
        };
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((stream, _)) => Ok(Client {
                stream,
                path,
                kept: VecDeque::new(),
            }),
            Err(Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                Err((
                    response.status().as_u16(),
                    serde_json::from_slice(body).unwrap_or_default(),
                ))
            }
            Err(other) => panic!("{path}: {other}"),
        }
    }

    /// What a GET answers who shows these headers: the body as it is.
    pub async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let host = self.address;
        let answer = self
            .send(&format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
            ))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (
            head.get(9..12)
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            body.to_owned(),
        )
    }

    /// Sends a request as it is written and reads the answer up to the end of the connection.
    pub async fn send(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("a server that listens");
        // A server that has read enough may have answered and closed: what it said is asked for all the same.
        let _ = stream.write_all(request.as_ref()).await;
        let mut answer = Vec::new();
        // One that does not end with the connection ends with its body.
        while !is_whole(&answer) && within(stream.read_buf(&mut answer)).await.is_ok_and(|read| read > 0) {}
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Whether an answer says how long it is, and is.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("it comes in time")
}

/// A subscriber.
pub struct Client {
    pub stream: WebSocketStream<TcpStream>,
    path: String,
    /// Events that were passed over.
    kept: VecDeque<Value>,
}

impl Client {
    /// The next frame's text, or why there is none.
    pub async fn frame(&mut self) -> Result<String, Option<CloseFrame>> {
        loop {
            match within(self.stream.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(reason))) => return Err(reason),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next frame as it is, pings included.
    pub async fn any(&mut self) -> Value {
        let text = self
            .frame()
            .await
            .unwrap_or_else(|end| panic!("{}: closed: {end:?}", self.path));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", self.path))
    }

    /// The next event.
    pub async fn event(&mut self) -> Value {
        if let Some(kept) = self.kept.pop_front() {
            return kept;
        }
        loop {
            let event = self.any().await;
            if event["name"] != "ping" {
                return event;
            }
        }
    }

    /// The next change of a resource, whatever else changes; gives the resource.
    pub async fn change(&mut self, id: &str) -> Value {
        loop {
            let mut event = self.event().await;
            if event["resourceId"] == id {
                return event["data"]["resource"].take();
            }
        }
    }

    /// The states that a resource goes through, up to this one.
    pub async fn states(&mut self, id: &str, last: &str) -> Vec<String> {
        let mut states = Vec::new();
        while states.last().is_none_or(|s| s != last) {
            let state = text(&self.change(id).await, "state").to_owned();
            if states.last() != Some(&state) {
                states.push(state);
            }
        }
        states
    }

    /// Why the connection ended, once it has.
    pub async fn end(&mut self) -> Option<u16> {
        loop {
            match self.frame().await {
                Ok(_) => {}
                Err(reason) => return reason.map(|r| r.code.into()),
            }
        }
    }

    pub async fn say(&mut self, message: Message) {
        // The server may have closed already: the test asks for the end anyway.
        let _ = self.stream.send(message).await;
    }
}
