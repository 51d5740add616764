//! The table that is answered from. It is taken from a file at the start, changed by the feed, and saved before a change is
//! acknowledged.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use super::index::{Index, Line, read_line};
use super::saved::Saved;
use super::say;
use crate::model::id::random_uuid;
use crate::model::network_table::{Answer, Delta};

/// A line that is longer is not taken between two answers, but beside them.
const SHORT: usize = 64 * 1024;

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
    path: PathBuf,
    current: RwLock<Loaded>,
    changed: watch::Sender<()>,
    /// Changes come one after another.
    turn: tokio::sync::Mutex<()>,
    saved: Mutex<Saved>,
}

impl Loaded {
    /// An index, ready to be asked.
    pub fn new(index: Index) -> Self {
        Self {
            index,
            version: random_uuid().to_string(),
        }
    }
}

impl Tables {
    /// What the file has. Without one that can be read the table is empty, and it is said why.
    pub fn open(path: PathBuf) -> Arc<Self> {
        let (saved, index) = Saved::open(path.clone());
        let index = index.unwrap_or_else(|error| {
            say(&format!("{}: {error}; beginning without names", path.display()));
            Index::default()
        });
        Arc::new(Self {
            path,
            current: RwLock::new(Loaded::new(index)),
            changed: watch::Sender::new(()),
            turn: tokio::sync::Mutex::default(),
            saved: Mutex::new(saved),
        })
    }

    /// What is answered from now. Nothing changes while somebody has it.
    pub fn now(&self) -> RwLockReadGuard<'_, Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees each change.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Takes a line of the feed.
    pub async fn take(self: &Arc<Self>, line: Vec<u8>) -> Answer {
        let _turn = self.turn.lock().await;
        if line.len() <= SHORT {
            return self.take_now(&line);
        }
        let tables = self.clone();
        let done = tokio::task::spawn_blocking(move || tables.take_now(&line)).await;
        done.unwrap_or_else(|error| Answer::Refused(format!("the work was given up: {error}")))
    }

    fn take_now(&self, line: &[u8]) -> Answer {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let written = match read_line(line) {
            Err(error) => return Answer::Refused(format!("no line of the feed: {error}")),
            Ok(Line::Probe) => return Answer::Refused("a probe is no table".into()),
            Ok(Line::Snapshot(index)) => {
                self.put(Loaded::new(*index));
                saved.write(&self.now().index)
            }
            Ok(Line::Delta(delta)) => {
                if let Err(number) = self.change(*delta) {
                    return Answer::Behind(number);
                }
                saved.append(line, &self.now().index)
            }
        };
        match written {
            Ok(()) => Answer::Applied(self.now().index.rest().number),
            Err(error) => Answer::Refused(unsaved(&self.path, &error)),
        }
    }

    /// Applies a delta; or says what number it would have to follow.
    fn change(&self, delta: Delta) -> Result<(), u64> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !current.index.apply(delta) {
            return Err(current.index.rest().number);
        }
        current.version = random_uuid().to_string();
        drop(current);
        self.changed.send_replace(());
        Ok(())
    }

    fn put(&self, loaded: Loaded) {
        let before = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, loaded)
        };
        self.changed.send_replace(());
        // To take a large one apart takes a while, in which nobody waits.
        drop(before);
    }
}

fn unsaved(file: &Path, error: &io::Error) -> String {
    let words = format!("the table is in use, but not saved in {}: {error}", file.display());
    say(&words);
    words
}
