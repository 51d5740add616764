//! Answers made short: compressed in a way that the client takes, and not sent again where it has them.
//!
//! Knows bytes and headers. What may be compressed is for the interface to say: an answer that holds a secret together with
//! what somebody else chose would tell of the secret by its length.

use std::io::Write;
use std::sync::OnceLock;

use actix_web::http::header::{ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH};
use actix_web::web::Bytes;
use sha2::{Digest, Sha256};

/// Shorter bodies fit into a packet as they are.
const SHORTEST: usize = 1024;
/// For what is made once and sent often.
const KEPT: Effort = Effort { gzip: 9, zstd: 12 };
/// For what is made for one answer.
const ONCE: Effort = Effort { gzip: 4, zstd: 3 };

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// What every browser takes.
    Gzip,
    /// As small, in a fraction of the time.
    Zstd,
}

#[derive(Clone, Copy)]
struct Effort {
    gzip: u32,
    zstd: i32,
}

impl Coding {
    /// The word of the headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What a client that sent these headers likes best, of two that it likes equally zstd; none if it takes neither.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let (mut zstd, mut gzip, mut rest) = (None, None, None);
        for value in headers.get_all(ACCEPT_ENCODING) {
            for item in value.to_str().unwrap_or_default().split(',') {
                let mut parts = item.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default();
                let weight = parts
                    .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                    .map_or(Some(1.0), |text| text.parse::<f32>().ok())
                    .unwrap_or(0.0);
                match name.to_ascii_lowercase().as_str() {
                    "zstd" => zstd = Some(weight),
                    "gzip" | "x-gzip" => gzip = Some(weight),
                    "*" => rest = Some(weight),
                    _ => {}
                }
            }
        }
        let (zstd, gzip) = (zstd.or(rest).unwrap_or(0.0), gzip.or(rest).unwrap_or(0.0));
        match (zstd > 0.0, gzip > 0.0) {
            (true, _) if zstd >= gzip => Some(Self::Zstd),
            (_, true) => Some(Self::Gzip),
            _ => None,
        }
    }

    fn encode(self, effort: Effort, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(bytes, effort.zstd),
            Self::Gzip => {
                let room = Vec::with_capacity(bytes.len() / 4);
                let mut writer = flate2::write::GzEncoder::new(room, flate2::Compression::new(effort.gzip));
                writer.write_all(bytes)?;
                writer.finish()
            }
        }
    }
}

/// Whether a body is long enough to be compressed.
pub fn is_worth_it(bytes: &[u8]) -> bool {
    bytes.len() > SHORTEST
}

/// A body that was made for one answer, compressed. Long ones take milliseconds. None: it goes out as it is.
pub fn compress(coding: Coding, bytes: &[u8]) -> Option<Bytes> {
    if !is_worth_it(bytes) {
        return None;
    }
    coding.encode(ONCE, bytes).ok().map(Bytes::from)
}

/// By what a client names a body that it has: the same text whatever the compression, so it is a weak one.
pub fn tag(bytes: &[u8]) -> String {
    let digest: String = Sha256::digest(bytes)
        .iter()
        .take(12)
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("W/\"{digest}\"")
}

/// Whether the client has what this tag names.
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let plain = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let own = plain(tag);
    headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim() == "*" || plain(one) == own)
}

/// A body that is kept for many answers, with all that is ever asked of it; each is worked out once.
#[derive(Debug, Default)]
pub struct Kept {
    plain: Bytes,
    tag: OnceLock<String>,
    gzip: OnceLock<Bytes>,
    zstd: OnceLock<Bytes>,
}

impl Kept {
    /// Of these bytes.
    pub fn new(plain: impl Into<Bytes>) -> Self {
        Self {
            plain: plain.into(),
            ..Self::default()
        }
    }

    /// As it is.
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Its tag.
    pub fn tag(&self) -> &str {
        self.tag.get_or_init(|| tag(&self.plain))
    }

    /// Compressed; none if it is short, or cannot be.
    pub fn encoded(&self, coding: Coding) -> Option<Bytes> {
        let place = match coding {
            Coding::Gzip => &self.gzip,
            Coding::Zstd => &self.zstd,
        };
        if !is_worth_it(&self.plain) {
            return None;
        }
        let made = place.get_or_init(|| coding.encode(KEPT, &self.plain).map(Bytes::from).unwrap_or_default());
        Some(made.clone()).filter(|made| !made.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::io::Read;

    use super::*;
    use crate::http::fixture::headers;

    #[test]
    fn the_client_says_what_it_takes() {
        let best = |text: &str| Coding::accepted(&headers(&[("accept-encoding", text)])).map(Coding::as_str);
        for (text, expected) in [
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip", Some("gzip")),
            ("GZIP;q=0.5", Some("gzip")),
            ("gzip;q=1, zstd;q=0.5", Some("gzip")),
            ("zstd;q=0, gzip", Some("gzip")),
            ("*", Some("zstd")),
            ("*;q=0.2, zstd;q=0", Some("gzip")),
            ("identity", None),
            ("br", None),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
            ("", None),
        ] {
            assert_eq!(best(text), expected, "{text}");
        }
        assert_eq!(Coding::accepted(&headers(&[])), None);
    }

    #[test]
    fn what_was_compressed_is_what_it_was() {
        let text = "the same words again and again ".repeat(100);
        let kept = Kept::new(text.clone());
        for coding in [Coding::Gzip, Coding::Zstd] {
            for made in [
                compress(coding, text.as_bytes()).unwrap(),
                kept.encoded(coding).unwrap(),
            ] {
                assert!(made.len() < text.len() / 10);
                let mut back = Vec::new();
                match coding {
                    Coding::Gzip => {
                        flate2::read::GzDecoder::new(&*made).read_to_end(&mut back).unwrap();
                    }
                    Coding::Zstd => back = zstd::stream::decode_all(&*made).unwrap(),
                }
                assert_eq!(back, text.as_bytes());
            }
        }
        assert!(
            compress(Coding::Gzip, &[b'a'; SHORTEST]).is_none(),
            "short ones go as they are"
        );
        assert!(Kept::new("short").encoded(Coding::Zstd).is_none());
    }

    #[test]
    fn a_tag_is_known_however_it_is_written() {
        let tag = tag(b"text");
        let strong = tag.trim_start_matches("W/").to_owned();
        let asks = |text: &str| is_known(&headers(&[("if-none-match", text)]), &tag);
        assert!(asks(&tag) && asks(&strong) && asks("*") && asks(&format!("\"x\", {tag}")));
        assert!(!asks("\"x\"") && !asks("") && !is_known(&headers(&[]), &tag));
        assert_ne!(super::tag(b"texts"), tag);
    }
}
