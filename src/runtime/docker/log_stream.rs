//! A container's log, read on a connection of its own.
//!
//! An engine writes each line as a piece of its answer. Whoever reads those by a task beside the connection is woken for each of
//! them; here the reader moves the connection itself, takes all that has come, and leaves what comes while it does something else
//! to the engine's socket, so that many lines are one read. It is the reader, too, who stops the engine by not reading.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use super::address::Address;
use super::failure::{chain, refusal};
use super::unwatched::Unwatched;
use super::{Inner, SHORT, socket};
use crate::runtime::streams::{Bytestream, LogsWanted, Piece, Pieces};
use crate::runtime::{Error, Result};

/// What is read at once at most; it is little until much comes.
const MOST_READ: usize = 64 * 1024;
/// The longest answer to a request that is refused.
const LONGEST_REFUSAL: usize = 16 * 1024;
/// How an engine says that each piece has a head.
const WITH_HEADS: &str = "application/vnd.docker.multiplexed-stream";
/// Where it was written, three zeros, and its length.
const HEAD: usize = 8;

type Connection = http1::Connection<TokioIo<Box<dyn Bytestream>>, String>;

/// Opens the log of the container with this id of the engine's.
pub(super) async fn open(docker: &Inner, id: &str, wanted: &LogsWanted) -> Result<Pieces> {
    let late = |_| Error::Unreachable("no answer in time".to_owned());
    let opening = answered(docker, address_of(id, wanted));
    let answer = tokio::time::timeout(SHORT, opening).await.map_err(late)??;
    Ok(answer.boxed())
}

fn address_of(id: &str, wanted: &LogsWanted) -> String {
    let lines = wanted.lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let since = wanted.since.unwrap_or_default();
    format!(
        "/containers/{id}/logs?follow={}&stdout=true&stderr=true&timestamps={}&tail={lines}&since={since}",
        wanted.follow, wanted.timestamps,
    )
}

async fn answered(docker: &Inner, address: String) -> Result<Told> {
    let stream = connected(&docker.address).await?;
    let mut client = http1::Builder::new();
    client.max_buf_size(MOST_READ);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(address).header(HOST, "docker").body(String::new());
    let request = request.map_err(|e| Error::Failed(e.to_string()))?;
    let mut moved = Moved(Some(Box::pin(connection)));
    let mut asking = Box::pin(sender.send_request(request));
    let answer = std::future::poll_fn(|context| match asking.as_mut().poll(context) {
        Poll::Pending => {
            moved.on(context);
            asking.as_mut().poll(context)
        }
        answer => answer,
    });
    let answer = answer.await.map_err(broken)?;
    let status = answer.status();
    let says_heads = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == WITH_HEADS.as_bytes());
    let mut told = Told {
        connection: moved,
        body: Some(answer.into_body()),
        kept: Kept {
            bytes: Bytes::new(),
            has_heads: says_heads.then_some(true),
        },
    };
    if status == StatusCode::OK {
        return Ok(told);
    }
    Err(told.refused(status.as_u16()).await)
}

async fn connected(address: &Address) -> Result<Box<dyn Bytestream>> {
    match address {
        Address::Unix(path) | Address::Tunnel { socket: path, .. } => {
            let opened = Unwatched::connect(path).await;
            Ok(Box::new(opened.map_err(|e| Error::Unreachable(e.to_string()))?))
        }
        Address::Tcp(_) | Address::Tls { .. } => socket::open(address).await,
    }
}

fn broken(error: hyper::Error) -> Error {
    Error::Unreachable(chain(&error))
}

/// A connection that is moved by who reads from it.
struct Moved(Option<Pin<Box<Connection>>>);

impl Moved {
    /// Reads and writes what can be; how it ends is told by the body.
    fn on(&mut self, context: &mut Context<'_>) {
        if let Some(connection) = &mut self.0
            && connection.as_mut().poll(context).is_ready()
        {
            self.0 = None;
        }
    }
}

/// What an engine tells, piece by piece.
struct Told {
    connection: Moved,
    /// None behind its end.
    body: Option<Incoming>,
    kept: Kept,
}

impl Told {
    /// The next bytes of the body.
    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let mut next = Pin::new(&mut *body).poll_frame(context);
            if next.is_pending() {
                self.connection.on(context);
                next = Pin::new(body).poll_frame(context);
            }
            match std::task::ready!(next) {
                // What follows a body says nothing here.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Poll::Ready(Some(Err(broken(error))));
                }
                None => self.body = None,
            }
        }
    }

    /// Why the engine tells nothing.
    async fn refused(&mut self, status: u16) -> Error {
        let mut all = Vec::new();
        while let Some(bytes) = std::future::poll_fn(|context| self.poll_bytes(context)).await {
            match bytes {
                Ok(bytes) if all.len() + bytes.len() <= LONGEST_REFUSAL => all.extend_from_slice(&bytes),
                Ok(_) => break,
                Err(error) => return error,
            }
        }
        let said: Option<serde_json::Value> = serde_json::from_slice(&all).ok();
        let words = said.as_ref().and_then(|said| said["message"].as_str());
        let words = words.map_or_else(|| String::from_utf8_lossy(&all), Into::into);
        refusal(status, words.trim())
    }
}

impl Stream for Told {
    type Item = Result<Piece>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(piece) = self.kept.next() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match std::task::ready!(self.poll_bytes(context)) {
                Some(Ok(bytes)) => self.kept.add(bytes),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// What has come and was not told yet.
struct Kept {
    bytes: Bytes,
    /// Whether pieces have heads, as they have unless the container has a terminal; not known before the first byte where the
    /// engine does not say it.
    has_heads: Option<bool>,
}

impl Kept {
    fn add(&mut self, bytes: Bytes) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
            return;
        }
        // A piece came in parts.
        let mut both = BytesMut::with_capacity(self.bytes.len() + bytes.len());
        both.extend_from_slice(&self.bytes);
        both.extend_from_slice(&bytes);
        self.bytes = both.freeze();
    }

    fn next(&mut self) -> Option<Piece> {
        let first = *self.bytes.first()?;
        // Where something was written is 0, 1 or 2: no text begins with these.
        if !*self.has_heads.get_or_insert(first <= 2) {
            return Some(Piece::Terminal(std::mem::take(&mut self.bytes)));
        }
        let (head, rest) = self.bytes.split_at_checked(HEAD)?;
        let (_, length) = head.split_last_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        if rest.len() < length {
            return None;
        }
        self.bytes.advance(HEAD);
        let piece = self.bytes.split_to(length);
        Some(if first == 2 {
            Piece::Err(piece)
        } else {
            Piece::Out(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kept: &mut Kept) -> Vec<Piece> {
        std::iter::from_fn(|| kept.next()).collect()
    }

    #[test]
    fn pieces_are_found_by_their_heads_however_they_come() {
        let mut kept = Kept {
            bytes: Bytes::new(),
            has_heads: None,
        };
        let whole = b"\x01\0\0\0\0\0\0\x02a\n\x02\0\0\0\0\0\0\x02b\n";
        let expected = [Piece::Out("a\n".into()), Piece::Err("b\n".into())];
        kept.add(Bytes::from_static(whole));
        assert_eq!(all(&mut kept), expected);
        let mut told = Vec::new();
        for byte in whole {
            kept.add(Bytes::copy_from_slice(&[*byte]));
            told.extend(all(&mut kept));
        }
        assert_eq!(told, expected);
    }

    #[test]
    fn a_terminal_has_no_heads() {
        let mut kept = Kept {
            bytes: Bytes::new(),
            has_heads: None,
        };
        kept.add(Bytes::from_static(b"2026 \x01"));
        assert_eq!(all(&mut kept), [Piece::Terminal(Bytes::from_static(b"2026 \x01"))]);
        kept.add(Bytes::from_static(b"\x01"));
        assert_eq!(all(&mut kept), [Piece::Terminal(Bytes::from_static(b"\x01"))]);
    }
}
