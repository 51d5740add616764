//! The table that is answered from. It is taken from a file at the start, changed by the feed, and saved before a change is
//! acknowledged. Readers hold the index that was there when they began, and never wait.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::index::Index;
use super::say;
use crate::model::id::random_uuid;
use crate::model::network_table::{Answer, Feed, Table};

/// An index, and the text that changes with it.
#[derive(Debug)]
pub struct Loaded {
    /// What is answered from.
    pub index: Index,
    /// The `version` of metadata.
    pub version: String,
}

/// The table that is answered from.
#[derive(Debug)]
pub struct Tables {
    file: PathBuf,
    current: watch::Sender<Arc<Loaded>>,
    /// Changes come one after another.
    turn: Mutex<()>,
}

impl Loaded {
    /// A table, ready to be asked.
    pub fn new(table: Table) -> Arc<Self> {
        Arc::new(Self {
            index: Index::new(table),
            version: random_uuid().to_string(),
        })
    }
}

impl Tables {
    /// What the file has. Without one that can be read the table is empty, and it is said why.
    pub fn open(file: PathBuf) -> Arc<Self> {
        let table = read(&file).unwrap_or_else(|error| {
            say(&format!("{}: {error}; beginning without names", file.display()));
            Table::default()
        });
        Arc::new(Self {
            file,
            current: watch::Sender::new(Loaded::new(table)),
            turn: Mutex::default(),
        })
    }

    /// What is answered from now.
    pub fn now(&self) -> Arc<Loaded> {
        self.current.borrow().clone()
    }

    /// Sees each change.
    pub fn watch(&self) -> watch::Receiver<Arc<Loaded>> {
        self.current.subscribe()
    }

    /// Takes a line of the feed.
    pub async fn take(&self, line: Vec<u8>) -> Answer {
        let _turn = self.turn.lock().await;
        let before = self.now();
        let next = match aside(move || next(&before.index, &line)).await {
            Ok(next) => next,
            Err(answer) => return answer,
        };
        let before = self.current.send_replace(next.clone());
        let (file, number) = (self.file.clone(), next.index.table().number);
        let saved = aside(move || {
            // To take a large one apart takes as long as to make it.
            drop(before);
            save(&file, next.index.table()).map_err(|error| unsaved(&file, &error))
        });
        match saved.await {
            Ok(()) => Answer::Applied(number),
            Err(answer) => answer,
        }
    }
}

/// Does what takes longer than a name should wait.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Answer> + Send + 'static) -> Result<T, Answer> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Answer::Refused(format!("the work was given up: {error}"))))
}

/// What a line makes of a table.
fn next(before: &Index, line: &[u8]) -> Result<Arc<Loaded>, Answer> {
    let feed =
        serde_json::from_slice(line).map_err(|error| Answer::Refused(format!("no line of the feed: {error}")))?;
    let table = match feed {
        Feed::Snapshot(table) => *table,
        Feed::Delta(delta) => {
            let number = before.table().number;
            if delta.after != number {
                return Err(Answer::Behind(number));
            }
            let mut table = before.table().clone();
            table.apply(*delta);
            table
        }
        Feed::Probe(_) => return Err(Answer::Refused("a probe is no table".into())),
    };
    Ok(Loaded::new(table))
}

fn unsaved(file: &Path, error: &io::Error) -> Answer {
    let words = format!("the table is in use, but not saved in {}: {error}", file.display());
    say(&words);
    Answer::Refused(words)
}

fn read(file: &Path) -> io::Result<Table> {
    serde_json::from_slice(&std::fs::read(file)?).map_err(io::Error::from)
}

/// Puts a table in a file: all of it, or nothing, also if the machine dies.
fn save(file: &Path, table: &Table) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    let mut writer = io::BufWriter::new(opened);
    serde_json::to_writer(&mut writer, table)?;
    let written = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    written.sync_data()?;
    std::fs::rename(&beside, file)?;
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
