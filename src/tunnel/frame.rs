//! What goes over the wire: first one line of JSON from each side, then frames. A frame has one byte for its kind, four for
//! the number of the stream, and the rest.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The longest frame that is taken.
pub const FRAME: usize = 64 * 1024;

/// What the server says first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Welcome {
    /// Which server it is, for ever.
    pub server: String,
    /// The key of a new agent, once it has one; the connection ends then.
    pub access_key: Option<String>,
    /// Its other half.
    pub secret_key: Option<String>,
}

/// What an agent says first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hello {
    /// A text of the agent's own, by which a new one is known again that died before it had its key.
    pub key: String,
    /// What the machine is called.
    pub name: String,
    /// By which address others reach the machine, if it was told.
    pub address: Option<String>,
    /// Labels for its host.
    pub labels: BTreeMap<String, String>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A new stream.
    Open(u32),
    /// Bytes of a stream.
    Data(u32, Bytes),
    /// So many bytes more may be sent.
    Window(u32, u32),
    /// No more bytes come; others may still be sent.
    End(u32),
    /// The stream is over.
    Reset(u32),
}

impl Frame {
    /// As it is sent.
    pub fn bytes(&self) -> Bytes {
        let (kind, stream, more) = match self {
            Self::Open(stream) => (0, stream, Bytes::new()),
            Self::Data(stream, bytes) => (1, stream, bytes.clone()),
            Self::Window(stream, more) => (2, stream, Bytes::copy_from_slice(&more.to_be_bytes())),
            Self::End(stream) => (3, stream, Bytes::new()),
            Self::Reset(stream) => (4, stream, Bytes::new()),
        };
        let mut bytes = BytesMut::with_capacity(more.len() + 5);
        bytes.put_u8(kind);
        bytes.put_u32(*stream);
        bytes.put(more);
        bytes.freeze()
    }

    /// What was sent; none if it is no frame.
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<5>()?;
        let [kind, stream @ ..] = head;
        let stream = u32::from_be_bytes(*stream);
        match (kind, rest.len()) {
            (0, 0) => Some(Self::Open(stream)),
            (1, 1..=FRAME) => Some(Self::Data(stream, bytes.slice(5..))),
            (2, 4) => Some(Self::Window(stream, u32::from_be_bytes(rest.try_into().ok()?))),
            (3, 0) => Some(Self::End(stream)),
            (4, 0) => Some(Self::Reset(stream)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_and_nothing_else_is_one() {
        for frame in [
            Frame::Open(1),
            Frame::Data(u32::MAX, Bytes::from_static(b"GET /")),
            Frame::Window(7, 65_536),
            Frame::End(0),
            Frame::Reset(9),
        ] {
            assert_eq!(Frame::parse(&frame.bytes()), Some(frame));
        }
        for none in [
            &b""[..],
            b"\x00\x00\x00\x00",
            b"\x00\x00\x00\x00\x01x",
            b"\x01\x00\x00\x00\x01",
            b"\x02\x00\x00\x00\x01\x00",
            b"\x05\x00\x00\x00\x01",
        ] {
            assert_eq!(Frame::parse(&Bytes::from_static(none)), None, "{none:?}");
        }
    }
}
