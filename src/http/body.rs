//! Bodies: taking in those of requests, within limits of size and time, and letting go of those that nobody reads.
//!
//! What a body holds (JSON, a form, a stream of a dialect's own) is for the interface that asked for it; here it is bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What is made ready for a body before anything of it has come.
const FIRST: usize = 16 * 1024;

/// Enough for the largest body on a slow line; whoever dribbles longer holds a connection and memory for nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of unfinished bodies that are held at a time.
const IN_FLIGHT: usize = 32 * LIMIT;

/// Those of them that come from one address.
const IN_FLIGHT_OF_ADDRESS: usize = 16 * LIMIT;

/// Seconds after which whoever sent too much at a time may try again.
const COME_AGAIN: u32 = 5;

/// How much of unfinished bodies is held, and for whom.
#[derive(Debug, Default)]
pub struct Intake(Mutex<HashMap<IpAddr, usize>>);

impl Intake {
    /// A body that begins to arrive.
    pub fn open(self: &Arc<Self>, from: IpAddr) -> Arriving {
        Arriving {
            intake: self.clone(),
            from,
            bytes: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body on its way; what is held of it is free again when this is dropped.
#[derive(Debug)]
pub struct Arriving {
    intake: Arc<Intake>,
    from: IpAddr,
    bytes: usize,
}

impl Arriving {
    /// Takes in so much more; 429 or 503 if that would be too much at a time, of this address or of all.
    fn grow(&mut self, bytes: usize) -> Result<()> {
        let mut held = self.intake.lock();
        let of_address = held.get(&self.from).copied().unwrap_or(0) + bytes;
        if of_address > IN_FLIGHT_OF_ADDRESS {
            return Err(Error::new(ErrorKind::TooMany(COME_AGAIN)));
        }
        if held.values().sum::<usize>() + bytes > IN_FLIGHT {
            return Err(Error::new(ErrorKind::Unavailable).with_message("too many requests are arriving"));
        }
        held.insert(self.from, of_address);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut held = self.intake.lock();
        if let Some(of_address) = held.get_mut(&self.from) {
            *of_address -= self.bytes;
            if *of_address == 0 {
                held.remove(&self.from);
            }
        }
    }
}

/// The same where a body may be twice as long: a config of Docker's is sent as base64.
pub async fn read_long(
    headers: &HeaderMap,
    payload: &mut web::Payload,
    patience: Duration,
    arriving: Arriving,
) -> Result<Vec<u8>> {
    read_within(2 * LIMIT, headers, payload, patience, arriving).await
}

/// Takes the whole body in; 413 if it is too long, 408 if it takes longer than `patience`.
pub async fn read(
    headers: &HeaderMap,
    payload: &mut web::Payload,
    patience: Duration,
    arriving: Arriving,
) -> Result<Vec<u8>> {
    read_within(LIMIT, headers, payload, patience, arriving).await
}

async fn read_within(
    limit: usize,
    headers: &HeaderMap,
    payload: &mut web::Payload,
    patience: Duration,
    mut arriving: Arriving,
) -> Result<Vec<u8>> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Error::new(ErrorKind::TooLarge));
    }
    // What comes from a connection that could become a WebSocket does not end with the body.
    let end = if is_websocket(headers) {
        announced.unwrap_or_default()
    } else {
        usize::MAX
    };
    let whole = async {
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(FIRST));
        while body.len() < end {
            let Some(piece) = payload.next().await else { break };
            // The client went away or sent a broken encoding.
            let piece = piece.map_err(|_| unreadable("the body cannot be read"))?;
            if body.len() + piece.len() > limit {
                return Err(Error::new(ErrorKind::TooLarge));
            }
            arriving.grow(piece.len())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dribbles_in_is_bounded_by_address_and_in_all() {
        let intake = Arc::new(Intake::default());
        let from = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut of_one: Vec<Arriving> = (0..17).map(|_| intake.open(from(1))).collect();
        let taken = of_one.iter_mut().filter_map(|body| body.grow(LIMIT).ok()).count();
        assert_eq!(taken, 16);
        let mut other = intake.open(from(2));
        assert!(other.grow(16 * LIMIT).is_ok());
        let refused = intake.open(from(3)).grow(1).map_err(|e| e.kind);
        assert_eq!(refused, Err(ErrorKind::Unavailable));
        drop(of_one);
        assert!(intake.open(from(3)).grow(1).is_ok());
        drop(other);
        assert!(intake.lock().is_empty());
    }
}
