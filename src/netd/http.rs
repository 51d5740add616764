//! The metadata server: HTTP, paths, waiting. What is found is decided in `metadata`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded;

use super::metadata::{Depth, Edition, Form, View, error, text};
use super::pause;
use super::places::Places;
use super::tables::Tables;

/// Connections of one client. Containers on the host's own network share the gateway's.
const CONNECTIONS_OF_ONE: usize = 64;
/// Connections.
const CONNECTIONS: usize = 320;
/// Requests of one client that wait for a change.
const WAITERS_OF_ONE: usize = 32;
/// Requests that wait for a change.
const WAITERS: usize = 256;
/// How long a request may take to be read, and a connection be silent.
const IDLE: Duration = Duration::from_secs(30);
/// The longest head of a request.
const LONGEST_HEAD: usize = 16 * 1024;
/// How long a request waits for a change if it does not say.
const WAIT: Duration = Duration::from_secs(60);
/// How long a request waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The metadata server.
#[derive(Debug)]
pub struct Metadata {
    tables: Arc<Tables>,
    connections: Arc<Places>,
    waiters: Arc<Places>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    edition: Edition,
    path: Vec<String>,
    form: Form,
    wait: Option<Wait>,
}

/// A wait until the text is no longer this one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    value: String,
    most: Duration,
}

/// An answer: its status and its text.
type Answered = (StatusCode, String);

impl Metadata {
    /// A server that answers from these tables.
    pub fn new(tables: Arc<Tables>) -> Arc<Self> {
        Arc::new(Self {
            tables,
            connections: Places::new(CONNECTIONS_OF_ONE, CONNECTIONS),
            waiters: Places::new(WAITERS_OF_ONE, WAITERS),
        })
    }

    /// Answers until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                pause().await;
                continue;
            };
            let from = from.ip();
            // Others learn not even that there is something.
            let is_admitted = self.tables.now().index.admits(from);
            if let Some(place) = self.connections.take(from).filter(|_| is_admitted) {
                let metadata = self.clone();
                tokio::spawn(async move {
                    let _place = place;
                    metadata.converse(stream, from).await;
                });
            }
        }
    }

    /// One connection. What goes wrong on it is the client's.
    async fn converse(self: Arc<Self>, stream: TcpStream, from: IpAddr) {
        let service = service_fn(move |request: Request<Incoming>| {
            let metadata = self.clone();
            async move { Ok::<_, Infallible>(metadata.respond(&request, from).await) }
        });
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(LONGEST_HEAD);
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    }

    /// The answer to a request of a client.
    pub async fn respond<B>(&self, request: &Request<B>, from: IpAddr) -> Response<String> {
        let uri = request.uri();
        if let Some(clean) = cleaned(uri.path()) {
            let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
            let mut response = response((StatusCode::MOVED_PERMANENTLY, String::new()));
            if let Ok(place) = HeaderValue::try_from(clean + &query) {
                response.headers_mut().insert(LOCATION, place);
            }
            return response;
        }
        let accept: Vec<&str> = request
            .headers()
            .get_all(ACCEPT)
            .iter()
            .filter_map(|h| h.to_str().ok())
            .collect();
        let form = Form::accepted(&accept.join(","));
        let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
        response(match is_read && uri.path() != "/favicon.ico" {
            true => {
                self.answer(uri.path(), uri.query().unwrap_or_default(), form, from)
                    .await
            }
            false => (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        })
    }

    async fn answer(&self, path: &str, query: &str, form: Form, from: IpAddr) -> Answered {
        if path == "/" {
            return (StatusCode::OK, form.write(editions()));
        }
        match Asked::read(path, query, form) {
            Ok(asked) => self.look(&asked, from).await,
            Err((status, words)) => (status, error(form, status.as_u16(), words)),
        }
    }

    /// Looks at once, or until what is there is different.
    async fn look(&self, asked: &Asked, from: IpAddr) -> Answered {
        let Some(wait) = &asked.wait else {
            return asked.found(&self.tables, from);
        };
        let Some(_place) = self.waiters.take(from) else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return (status, error(asked.form, status.as_u16(), "Too many wait"));
        };
        let deadline = Instant::now() + wait.most;
        let mut changes = self.tables.watch();
        loop {
            changes.mark_unchanged();
            let listing = asked.listing(&self.tables, from);
            let is_other = listing.is_some_and(|value| text(&value) != wait.value);
            if is_other || !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return asked.found(&self.tables, from);
            }
        }
    }
}

impl Asked {
    /// Reads a path and a query; or why they ask for nothing.
    fn read(path: &str, query: &str, form: Form) -> Result<Self, (StatusCode, &'static str)> {
        let mut parts = path.trim_matches('/').split('/');
        let edition =
            Edition::find(parts.next().unwrap_or_default()).ok_or((StatusCode::NOT_FOUND, "Invalid version"))?;
        let path: Option<Vec<String>> = parts.map(unescaped).collect();
        let path = path.ok_or((StatusCode::BAD_REQUEST, "Invalid escape in the path"))?;
        let mut value = None;
        let (mut is_waiting, mut most) = (false, WAIT);
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "wait" => is_waiting = text == "true",
                "value" => value = Some(text.into_owned()),
                "maxWait" => {
                    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
                    most = seconds.map_or(WAIT, Duration::from_secs).min(LONGEST_WAIT);
                }
                _ => {}
            }
        }
        let wait = value.filter(|_| is_waiting).map(|value| Wait { value, most });
        Ok(Self {
            edition,
            wait: wait.filter(|_| !path.is_empty()),
            path,
            form,
        })
    }

    /// What is there now, as far as a text of it shows.
    fn listing(&self, tables: &Tables, from: IpAddr) -> Option<Value> {
        View::new(&tables.now(), self.edition, from).find(&self.path, Depth::Listing)
    }

    /// What is there now.
    fn found(&self, tables: &Tables, from: IpAddr) -> Answered {
        let loaded = tables.now();
        let depth = match self.form {
            Form::Text => Depth::Listing,
            Form::Json | Form::Yaml => Depth::Whole,
        };
        match View::new(&loaded, self.edition, from).find(&self.path, depth) {
            Some(value) => (StatusCode::OK, self.form.write(value)),
            None => (StatusCode::NOT_FOUND, error(self.form, 404, "Not found")),
        }
    }
}

/// A part of a path, read as forms are: `%2F` and `+`. None if it cannot be.
fn unescaped(part: &str) -> Option<String> {
    let bytes = part.replace('+', " ");
    let is_whole = |escape: &str| {
        escape
            .get(..2)
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let is_good = bytes.split('%').skip(1).all(is_whole);
    let decoded = percent_encoding::percent_decode_str(&bytes)
        .decode_utf8_lossy()
        .into_owned();
    is_good.then_some(decoded)
}

/// A path without empty parts and dots, if it has some.
fn cleaned(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    let clean = format!("/{}{slash}", parts.join("/"));
    (clean != path).then_some(clean)
}

/// What `/` shows.
fn editions() -> Value {
    let entries = Edition::NAMES.map(|(name, _)| (name.to_owned(), format!("/{name}").into()));
    Map::from_iter(entries).into()
}

fn response((status, words): Answered) -> Response<String> {
    let mut response = Response::new(words);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Quirk: it says so of JSON and YAML, too. Clients of the original do not look.
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
