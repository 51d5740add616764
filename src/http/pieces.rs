//! A body that goes out in pieces: what is copied for the socket stays short and in use, however long the body is.
//!
//! Long bodies are written into buffers that are used again: the system takes memory of that size back each time, and its
//! pages come one by one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// As much as actix takes before it writes.
const PIECE: usize = 32 * 1024;

/// Shorter ones are not worth it.
const LONG: usize = 64 * 1024;
/// Longer ones are too rare to be kept for.
const LONGEST: usize = 1024 * 1024;
/// So many buffers wait at most.
const SPARE: usize = 4;

/// Buffers that nobody uses.
static BUFFERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// An empty text for a body of about this length.
pub fn buffer(length: usize) -> String {
    if (LONG..LONGEST).contains(&length) {
        let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut buffer) = buffers.pop() {
            drop(buffers);
            buffer.reserve(length);
            return buffer;
        }
    }
    String::with_capacity(length)
}

/// A text that becomes a buffer when it has gone out.
struct Lent(String);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut text = std::mem::take(&mut self.0);
        text.clear();
        let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
        if text.capacity() <= LONGEST && buffers.len() < SPARE {
            buffers.push(text);
        }
    }
}

/// What is left of a body.
pub struct Pieces(Bytes);

impl Pieces {
    /// A body that was made for this answer.
    pub fn of(body: String) -> Self {
        Self(match body.capacity() {
            LONG.. => Bytes::from_owner(Lent(body)),
            _ => body.into(),
        })
    }

    /// One that is kept.
    pub fn of_kept(body: Bytes) -> Self {
        Self(body)
    }
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.0.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().0;
        let piece = rest.split_to(rest.len().min(PIECE));
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[actix_web::test]
    async fn pieces_make_the_whole() {
        for length in [0, 1, PIECE, PIECE * 2 + 7] {
            let body: String = (0..length)
                .map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap()))
                .collect();
            let pieces = Pieces::of(body.clone());
            assert_eq!(pieces.size(), BodySize::Sized(length as u64));
            assert_eq!(actix_web::body::to_bytes(pieces).await.unwrap(), body);
        }
        let next = buffer(LONG);
        assert!(next.is_empty() && next.capacity() >= LONG);
    }
}
