//! What a container or a command wrote, as Docker sends it: as it is for a terminal, else each piece behind its stream and its length.

use actix_web::web::Bytes;

use crate::engine::Piece;

/// Which of a program's two outputs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outputs {
    /// Its standard output, and what it writes to a terminal.
    pub out: bool,
    /// Its standard error.
    pub err: bool,
}

/// A piece as it is sent; none if it is not wanted.
pub fn framed(piece: Piece, wanted: Outputs) -> Option<Bytes> {
    let (stream, text) = match piece {
        Piece::Terminal(text) => return wanted.out.then_some(text),
        Piece::Out(text) if wanted.out => (1, text),
        Piece::Err(text) if wanted.err => (2, text),
        Piece::Out(_) | Piece::Err(_) => return None,
    };
    let mut frame = Vec::with_capacity(text.len() + 8);
    frame.extend_from_slice(&[stream, 0, 0, 0]);
    frame.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&text);
    Some(Bytes::from(frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_stands_behind_its_stream_and_its_length() {
        let both = Outputs { out: true, err: true };
        let framed_as = |piece, wanted| framed(piece, wanted).map(|bytes| bytes.to_vec());
        let err = Piece::Err(Bytes::from_static(b"no"));
        assert_eq!(framed_as(err.clone(), both), Some(b"\x02\0\0\0\0\0\0\x02no".to_vec()));
        assert_eq!(framed_as(err, Outputs { err: false, ..both }), None);
        let terminal = Piece::Terminal(Bytes::from_static(b"x"));
        assert_eq!(framed_as(terminal, both), Some(b"x".to_vec()));
    }
}
