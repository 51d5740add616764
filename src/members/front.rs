//! What a server serves that does not lead: it passes on what it is asked to the one that does, answers and all, and waits where
//! there is none.
//!
//! Nothing is kept: a request that was not begun is tried again with whoever leads next, and one of which it is not known how far it
//! came only if it changes nothing.

#![expect(clippy::disallowed_methods, reason = "looking again is waiting")]

use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::hop::{self, Hop};
use super::reach::{Advertised, Stream};
use super::refusal;
use super::turn::Standing;
use crate::http::address::PassedOn;
use crate::http::headers::OF_A_CONNECTION;
use crate::model::Clock;
use crate::secret::Keeper;

/// How long a request waits for a server that leads, in all.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection to it may take.
const CONNECTING: Duration = Duration::from_secs(2);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);
/// Bodies up to this are read first, so that they can be sent twice, in bytes.
const KEPT: u64 = 1024 * 1024;
/// How long such a body may take to arrive.
const ARRIVING: Duration = Duration::from_secs(60);
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(120);
/// How long a handshake of TLS may take.
const SHAKING: Duration = Duration::from_secs(10);
/// The longest head of a request or an answer, in bytes.
const LARGEST_HEAD: usize = 128 * 1024;
/// Connections at a time.
const CONNECTIONS: usize = 10_000;

type Body = Either<Full<Bytes>, Incoming>;

/// Where requests arrive.
pub struct Door {
    /// By this socket.
    pub listener: TcpListener,
    /// In TLS, with this.
    pub tls: Option<Arc<ServerConfig>>,
    /// What its paths begin with at the main address of a server.
    pub prefix: &'static str,
    /// Whether others than this machine's own programs reach it.
    pub is_outward: bool,
}

/// Passes requests on.
pub struct Front {
    shared: Arc<Shared>,
    /// Whether another one serves its doors by now.
    closing: watch::Sender<bool>,
}

struct Shared {
    standing: watch::Receiver<Standing>,
    /// By which address this server is reached itself, once it leads.
    own: Advertised,
    keeper: Arc<Keeper>,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

/// What is known of a connection.
struct Arrived {
    shared: Arc<Shared>,
    hop: Hop,
    prefix: &'static str,
    /// The connection to the server that led at the last request.
    way: Mutex<Option<(String, SendRequest<Body>)>>,
}

impl Front {
    /// One that follows whoever leads.
    pub fn new(
        standing: watch::Receiver<Standing>,
        own: Advertised,
        keeper: Arc<Keeper>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        Self {
            shared: Arc::new(Shared {
                standing,
                own,
                keeper,
                clock,
                places,
            }),
            closing: watch::Sender::new(false),
        }
    }

    /// Serves this door as long as it is waited for. What was taken in till then is passed on to its end.
    ///
    /// # Errors
    /// Nobody can be heard there.
    pub async fn serve(&self, door: &Door) -> std::io::Result<()> {
        let listener = door.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let Ok(place) = self.shared.places.clone().acquire_owned().await else {
                return Ok(());
            };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    log::debug!("a connection is not taken: {error}");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            let arrived = self.arrived(door, peer.ip());
            let (tls, closing) = (door.tls.clone(), self.closing.subscribe());
            tokio::spawn(async move {
                let _place = place;
                let _ = stream.set_nodelay(true);
                match tls {
                    None => carry(stream, arrived, closing).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = timeout(SHAKING, TlsAcceptor::from(tls).accept(stream)).await {
                            carry(stream, arrived, closing).await;
                        }
                    }
                }
            });
        }
    }

    /// From now on another one serves the doors: connections end with the request that is on its way.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    fn arrived(&self, door: &Door, peer: IpAddr) -> Arc<Arrived> {
        Arc::new(Arrived {
            shared: self.shared.clone(),
            hop: Hop {
                from: PassedOn {
                    peer,
                    is_secured: door.tls.is_some(),
                },
                is_outward: door.is_outward,
            },
            prefix: door.prefix,
            way: Mutex::default(),
        })
    }
}

/// All requests of one connection.
async fn carry(stream: impl Stream + 'static, arrived: Arc<Arrived>, mut closing: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let arrived = arrived.clone();
        async move { Ok::<_, Infallible>(arrived.answer(request).await) }
    });
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(LARGEST_HEAD);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let closes = async move {
        let _ = closing.wait_for(|closing| *closing).await.is_ok();
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = closes => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        log::debug!("a connection that is passed on: {error}");
    }
}

/// Why a request was not answered by another server.
enum Unanswered {
    /// It was not begun.
    Before(Box<Body>),
    /// It is not known how far it came.
    Midway,
}

impl Unanswered {
    fn before(request: Request<Body>) -> Self {
        Self::Before(Box::new(request.into_body()))
    }
}

impl Arrived {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        if request.method() == hyper::Method::GET && request.uri().path() == "/healthz" {
            let whom = match self.shared.now() {
                Some(leader) => format!("ok, follows {leader}"),
                None => "ok, and nobody leads".to_owned(),
            };
            return said(StatusCode::OK, "text/plain; charset=utf-8", whom);
        }
        let from_member = request.headers().get(hop::HEADER).and_then(|value| value.to_str().ok());
        if from_member.is_some_and(|value| Hop::read(value, &self.shared.keeper, self.shared.clock.now()).is_some()) {
            let mut answer = unavailable("this server does not lead; nothing was done");
            answer.headers_mut().insert(
                HeaderName::from_static(hop::NOT_LEADING),
                HeaderValue::from_static("true"),
            );
            return answer;
        }
        let upgrade = has_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        let body = match body.size_hint().upper() {
            Some(length) if length <= KEPT => match timeout(ARRIVING, body.collect()).await {
                Ok(Ok(body)) => Either::Left(Full::new(body.to_bytes())),
                Ok(Err(_)) | Err(_) => {
                    return error(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "the body did not arrive");
                }
            },
            _ => Either::Right(body),
        };
        match (self.ask(&head, body).await, upgrade) {
            (Ok(mut answer), Some(upgrade)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                let other = hyper::upgrade::on(&mut answer);
                let moved = self.shared.moved(self.shared.now());
                tokio::spawn(async move {
                    tokio::select! {
                        () = join(upgrade, other) => {}
                        () = moved => {}
                    }
                });
                answer.map(Either::Right)
            }
            (Ok(mut answer), _) => {
                without_hop(answer.headers_mut());
                answer.map(Either::Right)
            }
            (Err(refused), _) => *refused,
        }
    }

    /// What the server that leads answers, whoever that is by now.
    async fn ask(&self, head: &Parts, body: Body) -> Result<Response<Incoming>, Box<Response<Body>>> {
        let end = Instant::now() + PATIENCE;
        let kept = match &body {
            Either::Left(body) => Some(body.clone()),
            Either::Right(_) => None,
        };
        let mut body = Some(body);
        loop {
            let Some(target) = self.shared.leader(end).await else {
                return Err(Box::new(unavailable("no server leads at the moment; nothing was done")));
            };
            let again = || kept.clone().map(Either::Left);
            let Some(sent) = body.take().or_else(again) else {
                return Err(Box::new(unavailable("the server that led is gone; nothing was done")));
            };
            match self.ask_one(&target, self.request(head, sent)).await {
                Ok(answer) if !answer.headers().contains_key(hop::NOT_LEADING) => return Ok(answer),
                Ok(_) => {}
                Err(Unanswered::Before(unsent)) => body = Some(*unsent),
                Err(Unanswered::Midway) if head.method.is_safe() && kept.is_some() => {}
                Err(Unanswered::Midway) => {
                    let why = "the server that leads went away while it was asked: whether it was done is not known";
                    return Err(Box::new(error(StatusCode::BAD_GATEWAY, "BadGateway", why)));
                }
            }
            if Instant::now() >= end {
                return Err(Box::new(unavailable(
                    "the server that leads does not answer; nothing was done",
                )));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn ask_one(&self, target: &Advertised, request: Request<Body>) -> Result<Response<Incoming>, Unanswered> {
        let url = target.to_string();
        let mut way = self.way.lock().await;
        let open = way.take().filter(|(to, sender)| *to == url && !sender.is_closed());
        let mut sender = match open {
            Some((_, sender)) => sender,
            None => match connect(target, self.shared.moved(Some(url.clone()))).await {
                Ok(sender) => sender,
                Err(error) => {
                    log::debug!("{url}: {error}");
                    return Err(Unanswered::before(request));
                }
            },
        };
        if sender.ready().await.is_err() {
            return Err(Unanswered::before(request));
        }
        match sender.try_send_request(request).await {
            Ok(answer) => {
                *way = Some((url, sender));
                Ok(answer)
            }
            Err(mut error) => Err(match error.take_message() {
                Some(request) => Unanswered::before(request),
                None => Unanswered::Midway,
            }),
        }
    }

    /// The same request as another server is to see it.
    fn request(&self, head: &Parts, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = self.target(&head.uri);
        *request.headers_mut() = head.headers.clone();
        let headers = request.headers_mut();
        match has_upgrade(headers) {
            // Which protocol, stays.
            true => drop(headers.remove(TE)),
            false => without_hop(headers),
        }
        headers.remove(TRANSFER_ENCODING);
        let written = self.hop.written(&self.shared.keeper, self.shared.clock.now());
        if let Ok(value) = HeaderValue::from_str(&written) {
            headers.insert(HeaderName::from_static(hop::HEADER), value);
        }
        request
    }

    fn target(&self, uri: &Uri) -> Uri {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let whole = format!("{}{path}", self.prefix);
        whole.parse().unwrap_or_else(|_| Uri::from_static("/"))
    }
}

impl Shared {
    /// By which address whoever leads now is reached.
    fn now(&self) -> Option<String> {
        self.address_in(&self.standing.borrow())
    }

    fn address_in(&self, standing: &Standing) -> Option<String> {
        match standing {
            Standing::Following(leader) => leader.clone(),
            Standing::Leading => Some(self.own.to_string()),
            Standing::Lost => None,
        }
    }

    /// Waits until another one leads than the one at this address.
    fn moved(self: &Arc<Self>, from: Option<String>) -> impl Future<Output = ()> + Send + use<> {
        let (shared, mut standing) = (self.clone(), self.standing.clone());
        async move {
            let is_another = |now: &Standing| shared.address_in(now).is_some_and(|now| Some(&now) != from.as_ref());
            if standing.wait_for(is_another).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Who leads; waited for until then.
    async fn leader(&self, end: Instant) -> Option<Advertised> {
        let mut standing = self.standing.clone();
        let known = standing.wait_for(|standing| self.address_in(standing).is_some());
        let standing = timeout_at(end, known).await.ok()?.ok()?.clone();
        Advertised::parse(&self.address_in(&standing)?, 0)
    }
}

/// A connection that is there until `moved` has come: one that leads no more may stand still, and never answer.
async fn connect(
    target: &Advertised,
    moved: impl Future<Output = ()> + Send + 'static,
) -> Result<SendRequest<Body>, String> {
    let stream = timeout(CONNECTING, target.connect()).await;
    let stream = stream
        .map_err(|_| "no connection in time")?
        .map_err(|e| e.to_string())?;
    let mut client = hyper::client::conn::http1::Builder::new();
    client.max_buf_size(LARGEST_HEAD);
    let made = timeout(CONNECTING, client.handshake(TokioIo::new(stream))).await;
    let (sender, carrying) = made.map_err(|_| "no connection in time")?.map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        tokio::select! {
            ended = carrying.with_upgrades() => drop(ended),
            () = moved => {}
        }
    });
    Ok(sender)
}

/// Carries bytes both ways, whatever they are.
async fn join(one: hyper::upgrade::OnUpgrade, other: hyper::upgrade::OnUpgrade) {
    let (Ok(one), Ok(other)) = tokio::join!(one, other) else {
        return;
    };
    let (mut one, mut other) = (TokioIo::new(one), TokioIo::new(other));
    if let Err(error) = tokio::io::copy_bidirectional(&mut one, &mut other).await {
        log::debug!("a connection that is passed on: {error}");
    }
}

fn has_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// Takes out what is for one connection, and ends with it.
fn without_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
}

fn said(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(text))));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A refusal as the API has them.
fn error(status: StatusCode, code: &str, why: &str) -> Response<Body> {
    said(status, "application/json", refusal::body(status.as_u16(), code, why))
}

fn unavailable(why: &str) -> Response<Body> {
    let mut answer = error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
