//! Bodies: taking in those of requests, within limits of size and time, and letting go of those that nobody reads.
//!
//! What a body holds (JSON, a form, a stream of a dialect's own) is for the interface that asked for it; here it is bytes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::{HttpResponse, web};
use futures_util::StreamExt as _;

use super::headers::is_websocket;
use crate::model::{Error, ErrorKind, Result};

/// The longest body: no resource comes near it, and a body is held in memory.
const LIMIT: usize = 1024 * 1024;

/// Enough for the largest body on a slow line; whoever dribbles longer holds a connection and memory for nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the whole body in; 413 if it is too long, 408 if it takes longer than `patience`.
pub async fn read(headers: &HeaderMap, payload: &mut web::Payload, patience: Duration) -> Result<Vec<u8>> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LIMIT) {
        return Err(Error::new(ErrorKind::TooLarge));
    }
    // What comes from a connection that could become a WebSocket does not end with the body.
    let end = if is_websocket(headers) {
        announced.unwrap_or_default()
    } else {
        usize::MAX
    };
    let whole = async {
        let mut body = Vec::with_capacity(announced.unwrap_or_default());
        while body.len() < end {
            let Some(piece) = payload.next().await else { break };
            // The client went away or sent a broken encoding.
            let piece = piece.map_err(|_| unreadable("the body cannot be read"))?;
            if body.len() + piece.len() > LIMIT {
                return Err(Error::new(ErrorKind::TooLarge));
            }
            body.extend_from_slice(&piece);
        }
        body.truncate(end);
        Ok(body)
    };
    let late = |_| Error::new(ErrorKind::Timeout).with_message("the body took too long");
    tokio::time::timeout(patience, whole).await.map_err(late)?
}

/// 400 for a body that is not what it has to be. Why is for the log: the wire says the code, and no more.
pub fn unreadable(why: impl std::fmt::Display) -> Error {
    log::debug!("a body that cannot be read: {why}");
    Error::new(ErrorKind::BadRequest).with_code("InvalidBodyContent")
}

/// The answer, and what is left of the request's body, if anything is.
pub fn holding(response: HttpResponse, rest: Option<web::Payload>) -> HttpResponse {
    match rest.map(web::Payload::into_inner) {
        // The rest of a body that is let go would be waited for without end: of one that is held, actix closes the
        // connection after the answer.
        Some(rest @ (Payload::H1 { .. } | Payload::Stream { .. })) => response
            .map_body(|_, body| Holding { body, _rest: rest })
            .map_into_boxed_body(),
        Some(Payload::None) | None => response,
    }
}

/// An answer that holds on to the rest of a request.
struct Holding {
    body: BoxBody,
    _rest: Payload,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
