//! The queue of the one writer: closures that wait for a commit, and who waits for them.
//!
//! Whoever takes them out is in `body/commits.rs`, once for each kind of database.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot};

use super::trouble::Trouble;
use super::{Priority, Tx};
use crate::model::{Error, ErrorKind, Result};

/// More closures than this wait outside the queue: the bound of its memory.
const QUEUE_BOUND: usize = 4096;

/// Answers whoever waits: whether the commit is durable.
pub(super) type Finish = Box<dyn FnOnce(bool) + Send>;
/// A closure; it says whether what it did is to stay.
pub(super) type Job = Box<dyn FnOnce(&mut Tx<'_>) -> (bool, Finish) + Send>;

#[derive(Default)]
struct Queues {
    requests: VecDeque<Job>,
    background: VecDeque<Job>,
    is_closed: bool,
    is_dead: bool,
}

impl Queues {
    fn take(&mut self) -> Option<Job> {
        self.requests.pop_front().or_else(|| self.background.pop_front())
    }
}

/// What the writer's thread and those who wait for it have in common.
pub(super) struct Jobs {
    queues: Mutex<Queues>,
    work: Condvar,
    /// Why nothing can be written, since the last write that could.
    pub trouble: Trouble,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next closure; waits for one. None once there will be none.
    pub(super) fn wait(&self) -> Option<Job> {
        let mut queues = self.lock();
        loop {
            if queues.is_dead {
                return None;
            }
            if let Some(job) = queues.take() {
                return Some(job);
            }
            if queues.is_closed {
                return None;
            }
            queues = self.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next closure, if one waits already.
    pub(super) fn take(&self) -> Option<Job> {
        self.lock().take()
    }

    /// From now on nothing is written any more.
    pub(super) fn die(&self) {
        self.lock().is_dead = true;
    }

    /// Drops the waiting closures, which tells their requesters that the server is gone.
    pub(super) fn end(&self) {
        let mut queues = self.lock();
        queues.is_closed = true;
        queues.requests.clear();
        queues.background.clear();
    }
}

/// What a client hears of it.
const UNWRITABLE: &str = "the database cannot be written at the moment";

pub(super) fn unwritable() -> Error {
    Error::new(ErrorKind::Unavailable).with_message(UNWRITABLE)
}

/// What a client hears of a database that does not answer.
const UNREACHABLE: &str = "the database cannot be reached at the moment";

/// A database that does not answer.
pub(super) fn unreachable() -> Error {
    Error::new(ErrorKind::Unavailable).with_message(UNREACHABLE)
}

/// Whether that is what went wrong.
pub(super) fn is_unreachable(error: &Error) -> bool {
    error.external.as_deref() == Some(UNREACHABLE)
}

/// The side of those who want something written.
pub(super) struct Writer {
    jobs: Arc<Jobs>,
    room: Semaphore,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Has `run` take the closures out on a thread of its own.
    pub(super) fn start(trouble: Trouble, run: impl FnOnce(Arc<Jobs>) + Send + 'static) -> Self {
        let jobs = Arc::new(Jobs {
            queues: Mutex::default(),
            work: Condvar::new(),
            trouble,
        });
        let waiting = jobs.clone();
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || run(waiting));
        Self {
            jobs,
            room: Semaphore::new(QUEUE_BOUND),
            thread: Mutex::new(thread.ok()),
        }
    }

    pub(super) async fn write<T, F>(&self, priority: Priority, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let gone = || Error::new(ErrorKind::Unavailable).with_message("the server is stopping");
        let _room = self.room.acquire().await.map_err(|_| gone())?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            let result = match std::panic::catch_unwind(AssertUnwindSafe(|| closure(tx))) {
                Ok(result) => result
                    .and_then(|value| tx.check_portion().map(|()| value))
                    .map_err(|error| tx.stuck_or(error)),
                Err(_) => Err(Error::bug("a write closure panicked")),
            };
            let keep = result.is_ok();
            let finish: Finish = Box::new(move |is_durable| {
                let result = if is_durable || !keep { result } else { Err(unwritable()) };
                // A requester that left no longer cares.
                let _ = answer.send(result);
            });
            (keep, finish)
        });
        {
            let mut queues = self.jobs.lock();
            if queues.is_closed || queues.is_dead {
                return Err(gone());
            }
            match priority {
                Priority::Request => queues.requests.push_back(job),
                Priority::Background => queues.background.push_back(job),
            }
        }
        self.jobs.work.notify_one();
        answered.await.map_err(|_| gone())?
    }

    /// Why nothing can be written, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.jobs.trouble.why()
    }

    pub(super) fn close(&self) {
        self.jobs.lock().is_closed = true;
        self.jobs.work.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            log::error!("the writer thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}
