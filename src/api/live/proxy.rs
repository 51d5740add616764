//! Requests to a port of a container by way of the server: what a token is for, and nothing else.
//!
//! A container's pages come from the server's own address here. So that they are nothing to the server's other pages, no login
//! goes to the container, none comes from it, and a browser keeps its pages in a sandbox without scripts.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::StatusCode, web};
use bytes::Bytes;
use futures_util::{Stream, stream};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::proxied_socket;
use super::streams::Streams;
use crate::api::wire::request::Query;
use crate::engine::Connection;
use crate::http::body::{self, Arriving};
use crate::http::headers::{OF_A_CONNECTION, is_websocket};
use crate::http::sockets::Place;
use crate::model::{Error, ErrorKind, Result};

/// What all addresses of ports begin with.
pub const PATH: &str = "/v1/container-proxy";
/// Requests on their way at a time.
pub const AT_ONCE: usize = 128;
/// How long a container may take until it begins to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long an answer may take in all.
pub(super) const LONGEST: Duration = Duration::from_secs(600);
/// The longest answer, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;
/// The longest head of an answer, in bytes.
pub(super) const LARGEST_HEAD: usize = 64 * 1024;
/// The most headers of an answer.
pub(super) const MOST_HEADERS: usize = 100;

/// What a browser may do with a page of a container: look at it.
const SANDBOX: &str = "sandbox; frame-ancestors 'none'";

/// Methods that are carried.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers of a request that are the server's: who logs in there, and where.
const OF_THE_SERVER: [&str; 6] = [
    "authorization",
    "cookie",
    "forwarded",
    "host",
    "referer",
    "content-length",
];
/// Headers of an answer that would change what a browser thinks of the server.
pub(super) const NOT_FOR_THE_SERVER: [&str; 11] = [
    "alt-svc",
    "clear-site-data",
    "content-length",
    "content-security-policy",
    "content-security-policy-report-only",
    "public-key-pins",
    "referrer-policy",
    "service-worker-allowed",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",
];

/// What stays taken until the connection to the container has ended.
struct Held {
    _place: Place,
    _permit: OwnedSemaphorePermit,
}

/// `/v1/container-proxy/…?token=…`: the same request to the container, and its answer.
///
/// # Errors
/// 401 without a good token, and what reaching the container may end in; 413 if the body is too long; 503 if too many are on their way.
pub async fn carry(
    streams: &Streams,
    arriving: Arriving,
    patience: Duration,
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
) -> Result<HttpResponse> {
    let ticket = streams.engine.stream_ticket("container-proxy", &token_of(request))?;
    if is_websocket(request.headers()) {
        return proxied_socket::open(streams, &ticket, request, payload).await;
    }
    let payload = payload.as_mut().ok_or_else(|| Error::bug("a body that was read"))?;
    if !METHODS.contains(&request.method().as_str()) {
        return Err(Error::new(ErrorKind::MethodNotAllowed));
    }
    let place = streams.sockets.admit(ticket.account())?;
    let permit = streams.carried.clone().try_acquire_owned();
    let many = |_| Error::new(ErrorKind::Unavailable).with_message("too many requests to containers are on their way");
    let held = Held {
        _place: place,
        _permit: permit.map_err(many)?,
    };
    let body = body::read(request.headers(), payload, patience, arriving).await?;
    let connection = streams.engine.open_port(&ticket).await?;
    let asked = request_of(request, &connection.host, body)?;
    let end = Instant::now() + LONGEST;
    let answer = timeout(PATIENCE, ask(connection, asked, held)).await.map_err(late)??;
    answer_of(answer, end)
}

/// How many may be on their way.
pub fn places() -> std::sync::Arc<Semaphore> {
    std::sync::Arc::new(Semaphore::new(AT_ONCE))
}

/// In the address, or as a bearer's.
fn token_of(request: &HttpRequest) -> String {
    let query = Query::parse(request.query_string());
    let in_address = query.first("token").filter(|token| !token.is_empty());
    let bearer = || {
        let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").map(|token| token.trim().to_owned())
    };
    in_address.map(str::to_owned).or_else(bearer).unwrap_or_default()
}

/// The path and the query that the container sees: without what all begin with, and without the token.
fn target(path: &str, query: &str) -> String {
    let path = path.strip_prefix(PATH).filter(|rest| !rest.is_empty()).unwrap_or("/");
    let mut has_token = false;
    let rest = query.split('&').filter(|pair| {
        // The first is the server's; another one is the container's own.
        let is_token = !has_token && (*pair == "token" || pair.starts_with("token="));
        has_token |= is_token;
        !is_token && !pair.is_empty()
    });
    let rest = rest.collect::<Vec<_>>().join("&");
    match rest.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{rest}"),
    }
}

/// Names that a `Connection` header says are for this connection only.
fn named(headers: &[(String, Vec<u8>)]) -> Vec<String> {
    let values = headers.iter().filter(|(name, _)| name == "connection");
    let values = values.filter_map(|(_, value)| std::str::from_utf8(value).ok());
    values
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// What goes on of these headers.
pub(super) fn carried(headers: Vec<(String, Vec<u8>)>, without: &[&str]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let named = named(&headers);
    headers.into_iter().filter(move |(name, _)| {
        let name = name.as_str();
        !OF_A_CONNECTION.contains(&name)
            && !without.contains(&name)
            && !name.starts_with("x-forwarded-")
            && !name.starts_with("x-api-")
            && !named.iter().any(|other| other == name)
    })
}

pub(super) fn request_of(request: &HttpRequest, host: &str, body: Vec<u8>) -> Result<hyper::Request<Whole>> {
    let unreadable = |error: &dyn std::fmt::Display| body::unreadable(error);
    let target = target(request.uri().path(), request.query_string());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()));
    let mut asked = hyper::Request::builder()
        .method(request.method().as_str())
        .uri(target)
        .header("host", host);
    for (name, value) in carried(headers.collect(), &OF_THE_SERVER) {
        asked = asked.header(name, value);
    }
    asked.body(Whole(Some(body.into()))).map_err(|e| unreadable(&e))
}

/// A body that is here already.
pub(super) struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.0.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

pub(super) fn broken(error: hyper::Error) -> Error {
    log::debug!("a container's answer: {error}");
    Error::new(ErrorKind::Unavailable).with_message("what the container answers is no HTTP, or breaks off")
}

pub(super) fn late(_: tokio::time::error::Elapsed) -> Error {
    Error::new(ErrorKind::Unavailable).with_message("the container did not answer in time")
}

async fn ask(connection: Connection, asked: hyper::Request<Whole>, held: Held) -> Result<hyper::Response<Incoming>> {
    let mut client = http1::Builder::new();
    client.max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let (mut sender, carrying) = client
        .handshake(TokioIo::new(connection.stream))
        .await
        .map_err(broken)?;
    // It ends with the answer, or with whoever reads that; whoever reads nothing keeps no place for ever.
    actix_web::rt::spawn(async move {
        let _held = held;
        let _ = timeout(LONGEST, carrying).await;
    });
    sender.send_request(asked).await.map_err(broken)
}

pub(super) fn answer_of(answer: hyper::Response<Incoming>, end: Instant) -> Result<HttpResponse> {
    let (head, body) = answer.into_parts();
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length > LARGEST) {
        return Err(Error::conflict("the container's answer is too long"));
    }
    let status = StatusCode::from_u16(head.status.as_u16()).ok();
    // No other protocol was asked for.
    let status = status.filter(|status| !status.is_informational());
    let status = status.ok_or_else(|| Error::conflict("the container's answer has no status"))?;
    let mut response = HttpResponseBuilder::new(status);
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()));
    for (name, value) in carried(headers.collect(), &NOT_FOR_THE_SERVER) {
        response.append_header((name.as_str(), value.as_slice()));
    }
    if let Some(length) = length {
        response.no_chunking(length);
    }
    let mut response = response.streaming(pieces(body, end));
    guard(response.headers_mut());
    Ok(response)
}

fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        ("content-security-policy", SANDBOX),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// An answer as it comes; it breaks off where it is too long, or takes too long.
fn pieces(body: Incoming, end: Instant) -> impl Stream<Item = std::result::Result<Bytes, Broken>> {
    stream::unfold(Some((body, 0)), move |reading| async move {
        let (mut body, before) = reading?;
        loop {
            let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let piece = match timeout_at(end, next).await {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => piece,
                    // Trailers are for the connection.
                    Err(_) => continue,
                },
                Ok(Some(Err(_))) | Err(_) => return Some((Err(Broken), None)),
            };
            let read = u64::try_from(piece.len()).map_or(u64::MAX, |length| length.saturating_add(before));
            return match read > LARGEST {
                true => Some((Err(Broken), None)),
                false => Some((Ok(piece), Some((body, read)))),
            };
        }
    })
}

/// An answer that ends too early.
#[derive(Debug, thiserror::Error)]
#[error("the container's answer breaks off")]
struct Broken;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_sees_its_own_path_and_no_token() {
        let cases = [
            ("/v1/container-proxy", "token=a.b.c", "/"),
            ("/v1/container-proxy/", "token=a.b.c", "/"),
            ("/v1/container-proxy/a%20b/c", "x=1&token=a&y=2", "/a%20b/c?x=1&y=2"),
            ("/v1/container-proxy/a", "token=a&token=its", "/a?token=its"),
            ("/v1/container-proxy/a", "tokens=1", "/a?tokens=1"),
            ("/v1/container-proxy//host/a", "", "//host/a"),
        ];
        for (path, query, expected) in cases {
            assert_eq!(target(path, query), expected, "{path} {query}");
        }
    }

    #[test]
    fn logins_and_what_is_for_one_connection_stay_here() {
        let headers = [
            ("accept", "text/html"),
            ("cookie", "token=x"),
            ("authorization", "Basic x"),
            ("connection", "Keep-Alive, X-Own"),
            ("keep-alive", "5"),
            ("x-own", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-api-project-id", "1a5"),
            ("x-other", "2"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_owned()));
        let left: Vec<_> = carried(headers.into(), &OF_THE_SERVER).map(|(name, _)| name).collect();
        assert_eq!(left, ["accept", "x-other"]);
    }
}
