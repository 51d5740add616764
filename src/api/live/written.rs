//! Frames that are written here and not by the library: many of them are one piece of bytes, and one message on their way to the
//! connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::mpsc;

/// Pieces that may wait for the connection to write them.
const WAITING: usize = 2;
/// What a frame has beside its text, at most.
pub(super) const FRAME: usize = 10;
/// A whole frame of text (RFC 6455, 5.2).
const TEXT: u8 = 0x81;

/// Text frames, one behind the other.
#[derive(Default)]
pub(super) struct TextFrames(BytesMut);

impl TextFrames {
    /// Frames of these texts.
    pub(super) fn of(texts: impl IntoIterator<Item = String>) -> Self {
        let mut all = Self::default();
        for text in texts {
            all.push(["", &text]);
        }
        all
    }

    /// Makes room for so many bytes more, [`FRAME`] for each frame among them.
    pub(super) fn make_room(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// One more frame of the texts of these parts together.
    pub(super) fn push(&mut self, parts: [&str; 2]) {
        let length = parts[0].len() + parts[1].len();
        self.0.reserve(length + FRAME);
        self.0.put_u8(TEXT);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..=125), _) => self.0.put_u8(short),
            (_, Ok(medium)) => {
                self.0.put_u8(126);
                self.0.put_u16(medium);
            }
            _ => {
                self.0.put_u8(127);
                self.0.put_u64(length as u64);
            }
        }
        for part in parts {
            self.0.put_slice(part.as_bytes());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0.freeze()
    }
}

/// The body of a WebSocket: frames that were written here, and what the library's session says between them. What was written
/// before the session was closed comes before its end.
pub(super) struct Written {
    frames: mpsc::Receiver<Bytes>,
    session: BoxBody,
}

impl Written {
    /// The body, and where its frames go.
    pub(super) fn around(session: BoxBody) -> (Self, mpsc::Sender<Bytes>) {
        let (sender, frames) = mpsc::channel(WAITING);
        (Self { frames, session }, sender)
    }
}

impl MessageBody for Written {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Poll::Ready(Some(bytes)) = self.frames.poll_recv(context) {
            return Poll::Ready(Some(Ok(bytes)));
        }
        Pin::new(&mut self.session).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is() {
        for (length, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = "x".repeat(length);
            let mut frames = TextFrames::default();
            frames.push([&text[..length / 2], &text[length / 2..]]);
            frames.push(["", "y"]);
            let bytes = frames.into_bytes();
            assert_eq!(bytes[..head.len()], *head, "{length}");
            assert_eq!(bytes[head.len()..head.len() + length], *text.as_bytes());
            assert_eq!(bytes[head.len() + length..], [0x81, 1, b'y']);
        }
    }
}
