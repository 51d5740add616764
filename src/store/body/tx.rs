//! A write transaction, as the files of the body see it.

use std::sync::Arc;

use super::bodies::Packer;
use super::dialect::{self, Line};
use super::numbers::Numbers;
use super::{LayoutOf, Wake};
use crate::model::{Error, ResourceId, Result, Timestamp};
use crate::store::cache::Written;
use crate::store::started::ProcessNote;
use crate::store::writer::{is_unreachable, unwritable};

/// After so many rows a closure that has more to write leaves the rest to another one, and others get their turn in between.
const PORTION: usize = 100;
/// Rows that a closure writes at most: a portion, and the largest thing that is written whole (a container with all its
/// labels and ports).
const MOST_ROWS: usize = 300;

/// What the closures of a commit write with. The connection is for the files of the body, each of which writes its own tables;
/// rows of `resource` are written by `resource/write.rs` alone, as nobody else can name that table.
pub(in crate::store) struct Tx {
    pub(super) line: Line,
    pub(super) layout: Arc<dyn LayoutOf>,
    pub(super) packer: Packer,
    pub(super) numbers: Numbers,
    pub(super) server_uuid: String,
    pub(super) epoch: i64,
    pub(super) part: Part,
}

/// What one closure has to itself.
#[derive(Default)]
pub(super) struct Part {
    pub(super) now: Timestamp,
    pub(super) wakes: Vec<Wake>,
    pub(super) changed: Vec<Written>,
    pub(super) processes: Vec<ProcessNote>,
    pub(super) written: usize,
    /// Why it could not write.
    pub(super) stuck: Option<String>,
    pub(super) has_announced: bool,
}

impl Tx {
    pub fn now(&self) -> Timestamp {
        self.part.now
    }

    pub fn is_full(&self) -> bool {
        self.part.written >= PORTION
    }

    /// What the requester hears of a failure: that the disk is full, or the database away, is no fault of the program.
    pub fn stuck_or(&mut self, error: Error) -> Error {
        let why = error.chain();
        if !dialect::is_full(&why) && !is_unreachable(&error) {
            return error;
        }
        self.part.stuck = Some(why);
        unwritable()
    }

    /// A closure that writes more than its portion is a fault of ours: debug builds refuse it, others say so.
    pub fn check_portion(&self) -> Result<()> {
        if self.part.written <= MOST_ROWS {
            return Ok(());
        }
        let words = format!("a write closure wrote {} rows", self.part.written);
        if cfg!(debug_assertions) {
            return Err(Error::bug(words));
        }
        log::warn!("{words}");
        Ok(())
    }

    pub fn try_out(&mut self) -> Result<()> {
        const NOTHING: ResourceId = ResourceId(0);
        self.note_death(NOTHING)?;
        self.forget_deaths(NOTHING)?;
        self.count_row();
        Ok(())
    }

    /// Notes that this row is no longer as whoever has read it knows it.
    pub(super) fn note_written(&mut self, what: Written) {
        self.part.changed.push(what);
    }

    /// Notes what was done to processes.
    pub(super) fn note_process(&mut self, what: ProcessNote) {
        self.part.processes.push(what);
    }

    /// Counts a row that was made or changed.
    pub(super) fn count_row(&mut self) {
        self.part.written += 1;
    }

    /// Notes that rows of this root decide who may ask for what.
    pub(super) fn touch(&mut self, root: &str) {
        if matches!(root, "account" | "credential" | "projectMember") {
            self.wake(Wake::Access);
        }
    }

    pub fn wake_owner(&mut self, id: ResourceId) {
        self.wake(Wake::Resource(id));
    }

    pub fn wake(&mut self, wake: Wake) {
        self.part.wakes.push(wake);
    }
}
