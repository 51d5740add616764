//! The one writer: a thread that groups closures into commits.
//!
//! A commit costs a sync of the disk whatever it holds, so all closures that wait are run in one transaction, each
//! in a savepoint of its own: a refusal, a constraint or a panic hurts only the closure it happened in. Answers go
//! out after the commit. Requests go before background work.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tokio::sync::{Semaphore, oneshot};

use super::LayoutOf;
use super::bodies::Packer;
use super::cache::Written;
use super::dialect::{self, Begin, BeginPart, Commit, Conn, EndPart, TakeBackPart};
use super::numbers::Numbers;
use super::started::ProcessNote;
use super::statement::{Known, fixed};
use super::trouble::Trouble;
use crate::model::{Clock, Error, ErrorKind, ResourceId, Result, Timestamp};

/// Closures in one commit take at most about this long together: a request behind them should not notice.
const COMMIT_BUDGET: Duration = Duration::from_millis(5);
/// After so many rows a closure that has more to write leaves the rest to another one, and others get their turn in between.
const PORTION: usize = 100;
/// Rows that a closure writes at most: a portion, and the largest thing that is written whole (a container with all its
/// labels and ports).
const MOST_ROWS: usize = 300;
/// More closures than this wait outside the queue: the bound of its memory.
const QUEUE_BOUND: usize = 4096;

/// Whose write it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A client waits for it.
    Request,
    /// The engine's own.
    Background,
}

/// What is to be looked at after a commit. Carries a key, never the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wake {
    /// This process may run from then on.
    Process {
        /// The row in `process_instance`.
        id: i64,
        /// Not before.
        at: Timestamp,
        /// The number of the account that it is done for, 0 if there is none; nothing if whoever wakes it does not know.
        account: Option<i64>,
    },
    /// Something about this resource changed that its owner should look at.
    Resource(ResourceId),
    /// Who may ask for what changed: what was worked out about it is no longer true.
    Access,
    /// The outbox has grown.
    Outbox,
}

/// A test's way to die at a chosen commit: asked before each, `true` means that it and everything after is lost.
pub type WriteFault = Arc<dyn Fn() -> bool + Send + Sync>;

/// A write transaction, as a closure sees it.
///
/// The connection is for the files of the store, each of which writes its own tables; rows of `resource` are written by
/// `resource/write.rs` alone, as nobody else can name that table.
pub struct Tx<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) layout: &'a dyn LayoutOf,
    pub(super) packer: &'a mut Packer,
    pub(super) numbers: &'a mut Numbers,
    pub(super) server_uuid: &'a str,
    pub(super) epoch: i64,
    now: Timestamp,
    wakes: Vec<Wake>,
    changed: Vec<Written>,
    processes: Vec<ProcessNote>,
    written: usize,
    /// Why it could not write.
    stuck: Option<String>,
    pub(super) has_announced: bool,
}

impl Tx<'_> {
    /// The time of this transaction.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether so much is written that the rest should wait for a transaction of its own.
    pub fn is_full(&self) -> bool {
        self.written >= PORTION
    }

    /// What the requester hears of a failure: that the disk is full is no fault of the program.
    fn stuck_or(&mut self, error: Error) -> Error {
        let why = error.chain();
        if !dialect::is_full(&why) {
            return error;
        }
        self.stuck = Some(why);
        unwritable()
    }

    /// Writes something that changes nothing, to see whether writing works.
    pub fn try_out(&mut self) -> Result<()> {
        const NOTHING: ResourceId = ResourceId(0);
        self.note_death(NOTHING)?;
        self.forget_deaths(NOTHING)?;
        self.count_row();
        Ok(())
    }

    /// Notes that this row is no longer as whoever has read it knows it.
    pub(super) fn note_written(&mut self, what: Written) {
        self.changed.push(what);
    }

    /// Notes what was done to processes.
    pub(super) fn note_process(&mut self, what: ProcessNote) {
        self.processes.push(what);
    }

    /// Counts a row that was made or changed.
    pub(super) fn count_row(&mut self) {
        self.written += 1;
    }

    /// Notes that rows of this root decide who may ask for what.
    pub(super) fn touch(&mut self, root: &str) {
        if matches!(root, "account" | "credential" | "projectMember") {
            self.wake(Wake::Access);
        }
    }

    /// Wakes whoever looks after this resource.
    pub fn wake_owner(&mut self, id: ResourceId) {
        self.wake(Wake::Resource(id));
    }

    /// Wakes the worker after the commit.
    pub fn wake(&mut self, wake: Wake) {
        self.wakes.push(wake);
    }
}

/// What is done with the rows and the processes that a commit changed, and with what its closures want woken.
pub(super) type AfterCommit = Box<dyn Fn(Vec<Written>, Vec<ProcessNote>, Vec<Wake>) + Send + Sync>;
type Finish = Box<dyn FnOnce(bool) + Send>;
type Job = Box<dyn FnOnce(&mut Tx<'_>) -> (bool, Finish) + Send>;

#[derive(Default)]
struct Queues {
    requests: VecDeque<Job>,
    background: VecDeque<Job>,
    is_closed: bool,
    is_dead: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    work: Condvar,
    /// Why nothing can be written, since the last write that could.
    trouble: Trouble,
}

/// What a client hears of it.
const UNWRITABLE: &str = "the database cannot be written at the moment";

fn unwritable() -> Error {
    Error::new(ErrorKind::Unavailable).with_message(UNWRITABLE)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    room: Semaphore,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(
        conn: Conn,
        clock: Arc<dyn Clock>,
        layout: Arc<dyn LayoutOf>,
        after_commit: AfterCommit,
        (file, server_uuid, epoch): (&Path, String, i64),
        fault: Option<WriteFault>,
    ) -> Self {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            work: Condvar::new(),
            trouble: Trouble::of(file),
        });
        let mut state = Loop {
            conn,
            clock,
            layout,
            packer: Packer::default(),
            after_commit,
            server_uuid,
            epoch,
            fault,
            shared: shared.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || state.run());
        Self {
            shared,
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
                    .and_then(|value| check_portion(tx).map(|()| value))
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
            let mut queues = self.shared.lock();
            if queues.is_closed || queues.is_dead {
                return Err(gone());
            }
            match priority {
                Priority::Request => queues.requests.push_back(job),
                Priority::Background => queues.background.push_back(job),
            }
        }
        self.shared.work.notify_one();
        answered.await.map_err(|_| gone())?
    }

    /// Why nothing can be written, if that is so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.trouble.why()
    }

    pub(super) fn close(&self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_all();
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

/// What follows from the closures of a commit.
#[derive(Default)]
struct Told {
    changed: Vec<Written>,
    processes: Vec<ProcessNote>,
    wakes: Vec<Wake>,
}

struct Loop {
    conn: Conn,
    clock: Arc<dyn Clock>,
    layout: Arc<dyn LayoutOf>,
    packer: Packer,
    after_commit: AfterCommit,
    server_uuid: String,
    epoch: i64,
    fault: Option<WriteFault>,
    shared: Arc<Shared>,
}

impl Loop {
    fn run(&mut self) {
        while let Some(first) = self.wait_for_job() {
            if !self.commit_group(first) {
                break;
            }
        }
        // Dropping the waiting jobs tells their requesters that the server is gone.
        let mut queues = self.shared.lock();
        queues.is_closed = true;
        queues.requests.clear();
        queues.background.clear();
        drop(queues);
        if let Err(error) = dialect::fold_log(&mut self.conn) {
            log::debug!("no checkpoint at the end: {error}");
        }
    }

    fn wait_for_job(&self) -> Option<Job> {
        let mut queues = self.shared.lock();
        loop {
            if queues.is_dead {
                return None;
            }
            if let Some(job) = take(&mut queues) {
                return Some(job);
            }
            if queues.is_closed {
                return None;
            }
            queues = self.shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs as many closures as there is time for and commits them. `false` ends the writer.
    fn commit_group(&mut self, first: Job) -> bool {
        if let Err(error) = self.run_statement(Begin) {
            self.shared.trouble.is_stuck(error.to_string());
            return true;
        }
        let began = Instant::now();
        let mut finished = Vec::new();
        let mut told = Told::default();
        let mut next = Some(first);
        let mut has_written = false;
        let mut numbers = Numbers::default();
        while let Some(job) = next.take() {
            has_written |= self.run_one(job, &mut numbers, &mut finished, &mut told);
            if began.elapsed() < COMMIT_BUDGET {
                next = take(&mut self.shared.lock());
            }
        }
        if self.fault.as_ref().is_some_and(|dies| dies()) {
            let _ = self.conn.batch_execute(dialect::ROLLBACK);
            self.shared.lock().is_dead = true;
            return false;
        }
        let noted = numbers.note(&mut self.conn);
        let is_durable = match noted.and_then(|()| self.run_statement(Commit)) {
            Ok(()) => {
                if has_written {
                    self.shared.trouble.has_written();
                }
                true
            }
            Err(error) => {
                self.shared.trouble.is_stuck(error.to_string());
                let _ = self.conn.batch_execute(dialect::ROLLBACK);
                false
            }
        };
        self.packer.settle(is_durable);
        // Before anybody is told: who then waits for what follows finds it in the queue.
        if is_durable {
            (self.after_commit)(told.changed, told.processes, told.wakes);
        }
        for finish in finished {
            finish(is_durable);
        }
        true
    }

    /// Begin, end and what is between them are the same few statements for every commit.
    fn run_statement<T: Known>(&mut self, text: T) -> QueryResult<()> {
        fixed(text, []).execute(&mut self.conn).map(drop)
    }

    /// Runs a closure; whether it wrote something that is to stay.
    fn run_one(&mut self, job: Job, numbers: &mut Numbers, finished: &mut Vec<Finish>, told: &mut Told) -> bool {
        if let Err(error) = self.run_statement(BeginPart) {
            self.shared.trouble.is_stuck(error.to_string());
            return false;
        }
        let before = *numbers;
        let mut tx = Tx {
            conn: &mut self.conn,
            layout: &*self.layout,
            packer: &mut self.packer,
            numbers,
            server_uuid: &self.server_uuid,
            epoch: self.epoch,
            now: self.clock.now(),
            wakes: Vec::new(),
            changed: Vec::new(),
            processes: Vec::new(),
            written: 0,
            stuck: None,
            has_announced: false,
        };
        let (keep, finish) = job(&mut tx);
        let (woken, changed, processes) = (tx.wakes, tx.changed, tx.processes);
        let (has_announced, written) = (tx.has_announced, tx.written);
        if let Some(why) = tx.stuck {
            self.shared.trouble.is_stuck(why);
        }
        let back = if keep {
            Ok(())
        } else {
            self.packer.settle(false);
            *numbers = before;
            self.run_statement(TakeBackPart)
        };
        if let Err(error) = back.and_then(|()| self.run_statement(EndPart)) {
            self.shared.trouble.is_stuck(error.to_string());
        }
        if keep {
            told.changed.extend(changed);
            told.processes.extend(processes);
            told.wakes.extend(woken);
            if has_announced {
                told.wakes.push(Wake::Outbox);
            }
        }
        finished.push(finish);
        keep && written > 0
    }
}

/// A closure that writes more than its portion is a fault of ours: debug builds refuse it, others say so.
fn check_portion(tx: &Tx<'_>) -> Result<()> {
    if tx.written <= MOST_ROWS {
        return Ok(());
    }
    let words = format!("a write closure wrote {} rows", tx.written);
    if cfg!(debug_assertions) {
        return Err(Error::bug(words));
    }
    log::warn!("{words}");
    Ok(())
}

fn take(queues: &mut Queues) -> Option<Job> {
    queues.requests.pop_front().or_else(|| queues.background.pop_front())
}
