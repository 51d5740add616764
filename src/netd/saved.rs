//! The file of a table: a whole one, and behind it the changes since, a line each. A change costs what it is long; when they
//! are longer than the table, it is written anew.
//!
//! What is acknowledged is in the file, whatever becomes of this process. A machine that loses power keeps at least the last
//! table that was written whole, and of the changes behind it those that its disk had.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::index::{Index, read_table};

/// Changes up to this length may stand behind any table.
const CHANGES: u64 = 256 * 1024;

/// The file.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    /// To write behind what is there; none before the first whole table.
    file: Option<File>,
    table: u64,
    changes: u64,
}

impl Saved {
    /// What the file has.
    pub fn open(path: PathBuf) -> (Self, io::Result<Index>) {
        let mut saved = Self {
            path,
            file: None,
            table: 0,
            changes: 0,
        };
        let index = saved.read();
        (saved, index)
    }

    fn read(&mut self) -> io::Result<Index> {
        let (index, length) = read_table(BufReader::new(File::open(&self.path)?))?;
        // What was not written to its end would stand before the next change. Who cannot write here finds out then.
        let file = File::options().append(true).open(&self.path);
        if let Ok(file) = file
            && file.set_len(length as u64).is_ok()
        {
            (self.file, self.table) = (Some(file), length as u64);
        }
        Ok(index)
    }

    /// Puts a change behind what is there; or all of it in its place, if it is time.
    pub fn append(&mut self, line: &[u8], index: &Index) -> io::Result<()> {
        let length = line.len() as u64 + 1;
        let has_room = self.changes + length <= self.table.max(CHANGES);
        let Some(file) = self.file.as_mut().filter(|_| has_room) else {
            return self.write(index);
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let written = file.write_all(&[b"\n", line].concat());
        match written {
            Ok(()) => self.changes += length,
            // Perhaps a part of it is there: the next one writes it anew.
            Err(_) => self.file = None,
        }
        written
    }

    /// Puts a table in the file: all of it, or nothing, also if the machine dies.
    pub fn write(&mut self, index: &Index) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let opened = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        let mut writer = BufWriter::new(opened);
        serde_json::to_writer(&mut writer, index)?;
        let written = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        written.sync_data()?;
        self.file = None;
        std::fs::rename(&beside, &self.path)?;
        (self.table, self.changes) = (written.metadata()?.len(), 0);
        self.file = Some(written);
        match self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
