//! The bodies of the audit log, packed.
//!
//! What was asked repeats in what was answered, and answers of one type are alike: of a row only what is new in it takes
//! room. What answers are alike in is a sample, which is kept in the database: whoever reads needs the one that the row
//! was packed with, whatever build that was.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use diesel::prelude::*;
use zstd::bulk::{Compressor, Decompressor};

use super::dialect::{Conn, Line};
use crate::model::{Error, Result};
use crate::store::tables::audit_sample;

/// Stored as they are.
const PLAIN: i64 = 0;
/// Packed without a sample; greater numbers are those of samples.
const ALONE: i64 = 1;
/// Shorter ones are not worth it.
const SHORTEST: usize = 64;
/// How hard the packer tries: less than the least that counts as one. What repeats the sample is found all the same, and the rest is
/// not worth a code of its own, which costs more than all else.
const LEVEL: i32 = -1;
/// Both bodies together are no longer than this.
const LONGEST: usize = 1024 * 1024;
/// Parts what was asked from what was answered: JSON text has no such byte.
const BETWEEN: u8 = 0;

/// What was asked and what was answered, as JSON text.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Bodies {
    pub request: Option<String>,
    pub response: Option<String>,
}

/// Bodies as a row has them.
#[derive(Debug)]
pub(super) struct Packed {
    /// How.
    pub packing: i64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

fn joined(request: Option<&str>, response: Option<&str>) -> Vec<u8> {
    let (request, response) = (request.unwrap_or_default(), response.unwrap_or_default());
    let mut bytes = Vec::with_capacity(request.len() + response.len() + 1);
    bytes.extend_from_slice(request.as_bytes());
    bytes.push(BETWEEN);
    bytes.extend_from_slice(response.as_bytes());
    bytes
}

fn parted(bytes: &[u8]) -> Bodies {
    let text = |bytes: &[u8]| match bytes {
        [] => None,
        some => Some(String::from_utf8_lossy(some).into_owned()),
    };
    let mut parts = bytes.splitn(2, |byte| *byte == BETWEEN);
    Bodies {
        request: parts.next().and_then(text),
        response: parts.next().and_then(text),
    }
}

fn packs_badly(source: io::Error) -> Error {
    Error::internal("packing bodies of the audit log", source)
}

fn fails(source: diesel::result::Error) -> Error {
    super::failed("keeping a sample of the audit log")(source)
}

/// The writer's side: it keeps the sample of this build in the database as soon as it needs it.
#[derive(Default)]
pub(super) struct Packer {
    with: Option<(i64, Compressor<'static>)>,
    /// Whether the sample was stored by what is not committed yet.
    is_open: bool,
    /// For what the writer reads.
    pub reader: Unpacker,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer")
            .field("sample", &self.with.as_ref().map(|(id, _)| id))
            .finish()
    }
}

impl Packer {
    /// What was written is committed, or taken back: then a new sample is lost with it.
    pub(super) fn settle(&mut self, is_kept: bool) {
        if std::mem::take(&mut self.is_open) && !is_kept {
            self.with = None;
        }
    }

    /// Packs bodies with the sample.
    pub(super) fn pack(
        &mut self,
        line: &mut Line,
        sample: impl FnOnce() -> Vec<u8>,
        (request, response): (Option<&str>, Option<&str>),
    ) -> Result<Packed> {
        let bytes = joined(request, response);
        if bytes.len() < SHORTEST {
            return Ok(Packed { packing: PLAIN, bytes });
        }
        let (packing, compressor) = match &mut self.with {
            Some(with) => with,
            none => {
                let sample = sample();
                let (id, is_new) = keep(line.conn(), &sample)?;
                self.is_open = is_new;
                let compressor = Compressor::with_dictionary(LEVEL, &sample).map_err(packs_badly)?;
                none.insert((id, compressor))
            }
        };
        Ok(Packed {
            packing: *packing,
            bytes: compressor.compress(&bytes).map_err(packs_badly)?,
        })
    }
}

/// The number of a sample, which is stored if it is new; and whether it is.
fn keep(conn: &mut Conn, sample: &[u8]) -> Result<(i64, bool)> {
    let known: Option<i64> = audit_sample::table
        .filter(audit_sample::content.eq(sample))
        .select(audit_sample::id)
        .get_result(conn)
        .optional()
        .map_err(fails)?;
    if let Some(id) = known {
        return Ok((id, false));
    }
    let last: Option<i64> = audit_sample::table
        .select(diesel::dsl::max(audit_sample::id))
        .get_result(conn)
        .map_err(fails)?;
    let id = last.unwrap_or(ALONE) + 1;
    diesel::insert_into(audit_sample::table)
        .values((audit_sample::id.eq(id), audit_sample::content.eq(sample)))
        .execute(conn)
        .map_err(fails)?;
    Ok((id, true))
}

/// Packs bodies that were stored before there were samples.
pub(super) fn pack_alone(request: Option<&str>, response: Option<&str>) -> Result<Packed> {
    let bytes = joined(request, response);
    if bytes.len() < SHORTEST {
        return Ok(Packed { packing: PLAIN, bytes });
    }
    Ok(Packed {
        packing: ALONE,
        bytes: zstd::bulk::compress(&bytes, LEVEL).map_err(packs_badly)?,
    })
}

/// The readers' side.
#[derive(Default)]
pub(super) struct Unpacker {
    by_sample: Mutex<HashMap<i64, Decompressor<'static>>>,
}

impl Unpacker {
    /// Takes the bodies of a row out.
    pub(super) fn unpack(&self, conn: &mut Conn, packing: i64, bytes: &[u8]) -> Result<Bodies> {
        let unreadable = |source: io::Error| Error::internal("unpacking bodies of the audit log", source);
        let whole = match packing {
            PLAIN => return Ok(parted(bytes)),
            ALONE => zstd::bulk::decompress(bytes, LONGEST).map_err(unreadable)?,
            sample => {
                let mut known = self.by_sample.lock().unwrap_or_else(PoisonError::into_inner);
                let reader = match known.entry(sample) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => {
                        let content: Vec<u8> = audit_sample::table
                            .find(sample)
                            .select(audit_sample::content)
                            .get_result(conn)
                            .map_err(fails)?;
                        place.insert(Decompressor::with_dictionary(&content).map_err(unreadable)?)
                    }
                };
                reader.decompress(bytes, LONGEST).map_err(unreadable)?
            }
        };
        Ok(parted(&whole))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

    use diesel::connection::SimpleConnection as _;

    use super::super::dialect;
    use super::*;

    #[test]
    fn bodies_come_back_as_they_were() {
        let Some(mut line) = dialect::scratch() else { return };
        let (mut packer, unpacker) = (Packer::default(), Unpacker::default());
        let long = format!(r#"{{"name":"{}"}}"#, "é".repeat(40_000));
        for (request, response) in [
            (None, None),
            (Some("{}"), None),
            (None, Some("{}")),
            (Some(r#"{"name":"n"}"#), Some(&*long)),
            (Some(&*long), Some(&*long)),
        ] {
            let packed = packer
                .pack(&mut line, || b"sample".repeat(20), (request, response))
                .unwrap();
            let alone = pack_alone(request, response).unwrap();
            assert!(packed.bytes.len() <= 200 && alone.bytes.len() <= 200);
            for packed in [packed, alone] {
                let bodies = unpacker.unpack(line.conn(), packed.packing, &packed.bytes).unwrap();
                assert_eq!(
                    (bodies.request.as_deref(), bodies.response.as_deref()),
                    (request, response)
                );
            }
        }
    }

    #[test]
    fn a_sample_that_is_taken_back_is_stored_again() {
        let Some(mut line) = dialect::scratch() else { return };
        let mut packer = Packer::default();
        let body = r#"{"name":"name"}"#.repeat(9);
        let pack = |packer: &mut Packer, line: &mut Line| {
            packer
                .pack(line, || b"sample".repeat(20), (None, Some(&*body)))
                .unwrap()
                .packing
        };
        line.conn().batch_execute("BEGIN").unwrap();
        pack(&mut packer, &mut line);
        line.conn().batch_execute("ROLLBACK").unwrap();
        packer.settle(false);
        let packing = pack(&mut packer, &mut line);
        packer.settle(true);
        packer.settle(false);
        assert!(packer.with.is_some(), "what is stored stays");
        assert_eq!(
            audit_sample::table.select(audit_sample::id).get_result(line.conn()),
            Ok(packing)
        );
    }

    #[test]
    fn each_row_is_read_with_the_sample_it_was_written_with() {
        let Some(mut line) = dialect::scratch() else { return };
        let text =
            r#"{"one":null,"two":null,"three":null,"four":null,"five":null,"six":null,"seven":null,"eight":null}"#;
        let other = text.replace("null", "false");
        let mut rows = Vec::new();
        for sample in [text, &other, text] {
            // Each time as after a start.
            let packed = Packer::default()
                .pack(&mut line, || sample.into(), (None, Some(text)))
                .unwrap();
            rows.push(packed);
        }
        let lengths: Vec<_> = rows.iter().map(|r| r.bytes.len()).collect();
        assert!(
            lengths[0] < 40 && lengths[1] > lengths[0] && lengths[2] == lengths[0],
            "{lengths:?}"
        );
        assert_eq!(rows.iter().map(|r| r.packing).collect::<Vec<_>>(), [2, 3, 2]);
        let unpacker = Unpacker::default();
        for row in rows {
            let bodies = unpacker.unpack(line.conn(), row.packing, &row.bytes).unwrap();
            assert_eq!(bodies.response.as_deref(), Some(text));
        }
    }
}
