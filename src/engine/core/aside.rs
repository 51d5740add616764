//! What is set aside, because the server died each time it worked on it: a start must always succeed.
//!
//! A server that was not stopped in order leaves the file of marks behind. The next one is careful for a while: whenever it
//! computes for a row, in a handler or in a write, the row's number stands in that file, and only then. So what stands in it at
//! the start after is what the server died of, not what merely went on at the time. After the second such death nothing is
//! done for that row until somebody asks for something new of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::model::{Clock, ResourceId, Result, Timestamp};
use crate::store::{Changes, Priority, Tx};

use super::state::Core;

/// After so many deaths a row is set aside.
const DEATHS: i32 = 2;

/// How long a server is careful after one that died.
const CAREFUL: Duration = Duration::from_secs(600);

/// What is told of a row that is set aside.
pub(crate) const SET_ASIDE: &str =
    "Set aside: the server ended twice while it worked on this. A change, or an action, tries again";

/// A number in the file is so long.
const WIDTH: usize = 8;

tokio::task_local! {
    /// The row that the current task works on, where the server is careful.
    static WORKED_ON: ResourceId;
}

/// The file of marks, while the server is careful.
struct Marks {
    file: File,
    until: Timestamp,
    free: Mutex<Vec<u64>>,
    places: Mutex<u64>,
}

/// A place in the file; given back when it is dropped.
struct Place<'a> {
    marks: &'a Marks,
    at: u64,
}

impl Marks {
    fn place(&self) -> Place<'_> {
        let known = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let at = known.unwrap_or_else(|| {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            *places += 1;
            (*places - 1) * WIDTH as u64
        });
        Place { marks: self, at }
    }
}

impl Place<'_> {
    /// Does `work` while the row's number stands in the file. What cannot be written down is done all the same.
    fn during<T>(&self, id: ResourceId, work: impl FnOnce() -> T) -> T {
        let _ = self.marks.file.write_at(&id.0.to_le_bytes(), self.at);
        let done = work();
        let _ = self.marks.file.write_at(&[0; WIDTH], self.at);
        done
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut free = self.marks.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(self.at);
    }
}

/// What is set aside, and how it is found out.
#[derive(Default)]
pub(crate) struct Aside {
    path: Option<PathBuf>,
    marks: Option<Arc<Marks>>,
    /// What stood in the file at the start.
    died_of: BTreeSet<ResourceId>,
    rows: RwLock<BTreeSet<ResourceId>>,
    has_rows: AtomicBool,
}

impl Aside {
    /// Looks for the file of a server that died, and makes one for this server.
    pub(crate) fn open(path: Option<&Path>, clock: &dyn Clock) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let was_there = path.exists();
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        file.set_len(0)?;
        let number = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).unwrap_or_default();
        let died_of = bytes.chunks(WIDTH).map(number).filter(|id| *id > 0);
        let marks = Marks {
            file,
            until: clock.now().plus(CAREFUL),
            free: Mutex::default(),
            places: Mutex::default(),
        };
        Ok(Self {
            path: Some(path.to_owned()),
            marks: was_there.then(|| Arc::new(marks)),
            died_of: died_of.map(ResourceId).collect(),
            ..Self::default()
        })
    }

    /// The server stops in order.
    pub(crate) fn close(&self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("{}: {error}", path.display());
        }
    }

    /// Whether nothing is to be done for this row.
    pub(crate) fn has(&self, id: ResourceId) -> bool {
        self.has_rows.load(Ordering::Acquire) && self.rows.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    fn add(&self, id: ResourceId) {
        self.rows.write().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.has_rows.store(true, Ordering::Release);
    }

    fn forget(&self, id: ResourceId) {
        self.rows.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn careful(&self, now: Timestamp) -> Option<&Arc<Marks>> {
        self.marks.as_ref().filter(|marks| now < marks.until)
    }

    /// Works for a row; whenever that computes, the row is marked, if the server is careful.
    pub(crate) async fn marked<F: Future>(&self, id: ResourceId, now: Timestamp, work: F) -> F::Output {
        let Some(marks) = self.careful(now) else {
            return work.await;
        };
        let place = marks.place();
        let mut work = pin!(WORKED_ON.scope(id, work));
        poll_fn(|context| place.during(id, || work.as_mut().poll(context))).await
    }

    /// The same for a write of the current task, which runs elsewhere.
    pub(crate) fn marked_write<T, F>(
        &self,
        now: Timestamp,
        closure: F,
    ) -> impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + use<T, F>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    {
        let marks = self.careful(now).cloned();
        let worked_on = WORKED_ON.try_with(|id| *id).ok();
        move |tx| match marks.zip(worked_on) {
            Some((marks, id)) => marks.place().during(id, || closure(tx)),
            None => closure(tx),
        }
    }
}

impl Core {
    /// Counts what the server died of, and sets aside what it died of too often. Before anything runs.
    pub(crate) async fn note_deaths(&self) -> Result<()> {
        let died_of = self.aside.died_of.clone();
        let was_in_order = self.aside.marks.is_none();
        if was_in_order && self.store.deaths()?.iter().any(|(_, deaths)| *deaths < DEATHS) {
            self.write(|tx| tx.forget_fewer_deaths(DEATHS)).await?;
        }
        if !died_of.is_empty() {
            let now_aside = self
                .store
                .write(Priority::Background, move |tx| {
                    let mut now_aside = Vec::new();
                    for id in died_of {
                        if tx.note_death(id)? >= DEATHS {
                            now_aside.push(id);
                            if let Some(row) = tx.find(id)? {
                                let changes = Changes {
                                    message: Some(SET_ASIDE.to_owned()),
                                    ..Changes::default()
                                };
                                tx.update_if(&row, &changes)?;
                            }
                        }
                    }
                    Ok(now_aside)
                })
                .await?;
            for id in now_aside {
                log::error!("the server ended twice while it worked on row {id}: set aside");
            }
        }
        for (id, _) in self.store.deaths()?.into_iter().filter(|(_, deaths)| *deaths >= DEATHS) {
            self.aside.add(id);
        }
        Ok(())
    }

    /// Somebody asked for something new of a row: if it was set aside, it is tried again.
    pub(crate) async fn try_again(&self, id: ResourceId) -> Result<()> {
        if !self.aside.has(id) {
            return Ok(());
        }
        self.store
            .write(Priority::Background, move |tx| tx.forget_deaths(id))
            .await?;
        self.aside.forget(id);
        for process in self.store.open_processes_of(id)? {
            self.queue.push(super::queue::Key::Process(process.id), self.now());
        }
        self.look(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::model::time::SystemClock;

    #[tokio::test]
    async fn only_what_a_server_computed_for_when_it_died_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drover.marks");
        let open = || Aside::open(Some(&path), &SystemClock).unwrap();
        let now = SystemClock.now();

        let first = open();
        // Not careful: nothing is written down.
        first
            .marked(ResourceId(1), now, async {
                assert!(std::fs::read(&path).unwrap().is_empty())
            })
            .await;
        drop(first);

        let second = open();
        assert!(second.died_of.is_empty());
        second
            .marked(ResourceId(7), now, async {
                assert_eq!(std::fs::read(&path).unwrap(), 7_i64.to_le_bytes());
                tokio::task::yield_now().await;
            })
            .await;
        assert_eq!(std::fs::read(&path).unwrap(), [0; 8]);
        let mut waiting = Box::pin(second.marked(ResourceId(8), now, std::future::pending::<()>()));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        // Waits, so it is not what the server died of; this is:
        std::fs::write(&path, [&[0; 8][..], &9_i64.to_le_bytes()].concat()).unwrap();

        let third = open();
        assert_eq!(third.died_of, [ResourceId(9)].into());
        third.close();
        assert!(open().marks.is_none());
    }
}
