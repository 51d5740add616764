//! WebSockets to a port of a container: the handshake is the container's, and from then on bytes are carried, whatever they are.

use std::pin::Pin;

use actix_web::body::BodyStream;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::proxy::{
    LARGEST_HEAD, LONGEST, MOST_HEADERS, NOT_FOR_THE_SERVER, PATIENCE, answer_of, broken, carried, late, request_of,
};
use super::streams::Streams;
use crate::engine::StreamTicket;
use crate::http::sockets::Place;
use crate::model::{Error, Result};

/// Bytes that are carried at a time.
const PIECE: usize = 16 * 1024;

/// The same handshake with the container; if it agrees, what is sent both ways from then on.
///
/// # Errors
/// What reaching the container may end in. What it answers instead of agreeing is an answer like any other.
pub(super) async fn open(
    streams: &Streams,
    ticket: &StreamTicket,
    request: &HttpRequest,
    payload: &mut Option<web::Payload>,
) -> Result<HttpResponse> {
    let place = streams.sockets.admit(ticket.account())?;
    let connection = streams.engine.open_port(ticket).await?;
    let mut asked = request_of(request, &connection.host, Vec::new())?;
    asked
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    asked
        .headers_mut()
        .insert(UPGRADE, HeaderValue::from_static("websocket"));
    let mut client = http1::Builder::new();
    client.max_buf_size(LARGEST_HEAD).max_headers(MOST_HEADERS);
    let (mut sender, carrying) = client
        .handshake(TokioIo::new(connection.stream))
        .await
        .map_err(broken)?;
    // Until the connection is another one's, or the answer is read.
    actix_web::rt::spawn(async move {
        let _ = timeout(LONGEST, carrying.with_upgrades()).await;
    });
    let end = Instant::now() + LONGEST;
    let mut answer = timeout(PATIENCE, sender.send_request(asked))
        .await
        .map_err(late)?
        .map_err(broken)?;
    if answer.status().as_u16() != StatusCode::SWITCHING_PROTOCOLS.as_u16() {
        return answer_of(answer, end);
    }
    let upgraded = hyper::upgrade::on(&mut answer).await.map_err(broken)?;
    let (from, to) = tokio::io::split(TokioIo::new(upgraded));
    let mut response = HttpResponseBuilder::new(StatusCode::SWITCHING_PROTOCOLS);
    response.upgrade("websocket");
    let headers = answer.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()));
    for (name, value) in carried(headers.collect(), &NOT_FOR_THE_SERVER) {
        response.append_header((name.as_str(), value.as_slice()));
    }
    let payload = payload.take().ok_or_else(|| Error::bug("a body that was read"))?;
    let (gone, is_gone) = watch::channel(false);
    actix_web::rt::spawn(carry(payload, Box::pin(to), streams.stopping.subscribe(), gone, place));
    let body = BodyStream::new(pieces(Box::pin(from), is_gone));
    response
        .message_body(body)
        .map(HttpResponse::map_into_boxed_body)
        .map_err(|e| Error::bug(format!("an answer without a form: {e}")))
}

/// What the client sends, till one of them ends; then the container hears an end, and the client no more.
async fn carry(
    mut payload: web::Payload,
    mut to: Pin<Box<dyn AsyncWrite>>,
    mut stopping: watch::Receiver<bool>,
    gone: watch::Sender<bool>,
    place: Place,
) {
    let _place = place;
    loop {
        let next = tokio::select! {
            next = payload.next() => next,
            // The container has ended, and nobody reads its end of the connection any more.
            () = gone.closed() => None,
            _ = stopping.changed() => {
                gone.send_replace(true);
                None
            }
        };
        let Some(Ok(bytes)) = next else { break };
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// What the container sends, as it comes, until it ends or the server stops.
fn pieces(
    from: Pin<Box<dyn AsyncRead>>,
    stops: watch::Receiver<bool>,
) -> impl Stream<Item = std::result::Result<Bytes, std::io::Error>> {
    stream::unfold((from, stops), |(mut from, mut stops)| async move {
        let mut piece = vec![0; PIECE];
        let read = tokio::select! {
            read = from.read(&mut piece) => read,
            // Dropped, it only says that the client sends nothing more.
            stopped = stops.wait_for(|stops| *stops), if stops.has_changed().is_ok() => match stopped {
                Ok(_) => Ok(0),
                Err(_) => from.read(&mut piece).await,
            },
        };
        match read {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(piece.into()), (from, stops)))
            }
            Err(error) => Some((Err(error), (from, stops))),
        }
    })
}
