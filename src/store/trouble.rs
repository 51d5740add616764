//! Why the database cannot be written, since the last write that could.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The same is said so often at most: what is refused meanwhile is refused for the same reason.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// Bytes that have to be free where the database is before it is called well again: something small may always fit into what its
/// own files have left.
const ROOM: u64 = 1 << 20;

/// What keeps the database from being written.
pub(super) struct Trouble {
    /// Where its files are, if they are here.
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    why: Option<String>,
    said: Option<Instant>,
}

impl Trouble {
    /// None, of a database in this file.
    pub(super) fn of(file: &Path) -> Self {
        Self {
            folder: Some(file.parent().unwrap_or(Path::new(".")).to_owned()),
            state: Mutex::default(),
        }
    }

    /// None, of a database whose files somebody else looks after.
    #[cfg(feature = "postgres")]
    pub(super) fn elsewhere() -> Self {
        Self {
            folder: None,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is now.
    pub(super) fn why(&self) -> Option<String> {
        self.state().why.clone()
    }

    /// Something could not be written.
    pub(super) fn is_stuck(&self, why: String) {
        let mut state = self.state();
        if state.said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            log::error!("the database cannot be written: {why}");
            state.said = Some(Instant::now());
        }
        state.why = Some(why);
    }

    /// Something was written.
    pub(super) fn has_written(&self) {
        let mut state = self.state();
        if state.why.is_some() && self.folder.as_deref().is_none_or(has_room) {
            state.why = None;
            log::warn!("the database can be written again");
        }
    }
}

/// Whether there is room on a disk. One that does not say has some.
fn has_room(folder: &Path) -> bool {
    let found = rustix::fs::statvfs(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    });
    found.map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM)
}
