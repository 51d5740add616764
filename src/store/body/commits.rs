//! The one writer: a thread that groups closures into commits.
//!
//! A commit costs a sync of the disk whatever it holds, so all closures that wait are run in one transaction, each
//! in a part of its own: a refusal, a constraint or a panic hurts only the closure it happened in. Answers go
//! out after the commit. Requests go before background work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bodies::Packer;
use super::dialect::{self, Line};
use super::numbers::Numbers;
use super::tx::{Part, Tx};
use super::{LayoutOf, Wake, WriteFault};
use crate::model::Clock;
use crate::store::cache::Written;
use crate::store::started::ProcessNote;
use crate::store::writer::{Finish, Job, Jobs};

/// Closures in one commit take at most about this long together: a request behind them should not notice.
const COMMIT_BUDGET: Duration = Duration::from_millis(5);

/// What is done with the rows and the processes that a commit changed, with the number of its last event, if it has any, and with
/// what its closures want woken.
pub(super) type AfterCommit = Box<dyn Fn(Vec<Written>, Vec<ProcessNote>, Option<i64>, Vec<Wake>) + Send + Sync>;

/// What the writer's thread has to itself.
pub(super) struct Commits {
    tx: Tx,
    clock: Arc<dyn Clock>,
    after_commit: AfterCommit,
    fault: Option<WriteFault>,
}

/// What follows from the closures of a commit.
#[derive(Default)]
struct Told {
    changed: Vec<Written>,
    processes: Vec<ProcessNote>,
    wakes: Vec<Wake>,
}

impl Commits {
    pub(super) fn new(
        line: Line,
        clock: Arc<dyn Clock>,
        layout: Arc<dyn LayoutOf>,
        after_commit: AfterCommit,
        (server_uuid, epoch): (String, i64),
        fault: Option<WriteFault>,
    ) -> Self {
        let tx = Tx {
            line,
            layout,
            packer: Packer::default(),
            numbers: Numbers::default(),
            server_uuid,
            epoch,
            part: Part::default(),
        };
        Self {
            tx,
            clock,
            after_commit,
            fault,
        }
    }

    /// Writes what there is until there will be no more.
    pub(super) fn run(mut self, jobs: &Jobs) {
        while let Some(first) = jobs.wait() {
            if !self.commit_group(first, jobs) {
                break;
            }
        }
        jobs.end();
        self.tx.line.end();
    }

    /// Runs as many closures as there is time for and commits them. `false` ends the writer.
    fn commit_group(&mut self, first: Job, jobs: &Jobs) -> bool {
        if let Err(error) = self.tx.line.begin() {
            jobs.trouble.is_stuck(error.to_string());
            return true;
        }
        let began = Instant::now();
        let mut finished = Vec::new();
        let mut told = Told::default();
        let mut next = Some(first);
        let mut has_written = false;
        if !dialect::KEEPS_NUMBERS {
            self.tx.numbers = Numbers::default();
        }
        while let Some(job) = next.take() {
            has_written |= self.run_one(job, jobs, &mut finished, &mut told);
            if began.elapsed() < COMMIT_BUDGET {
                next = jobs.take();
            }
        }
        if self.fault.as_ref().is_some_and(|dies| dies()) {
            self.tx.line.roll_back();
            jobs.die();
            return false;
        }
        let noted = self.tx.numbers.note(&mut self.tx.line);
        let is_durable = match noted.and_then(|()| self.tx.line.commit()) {
            Ok(()) => {
                if has_written {
                    jobs.trouble.has_written();
                }
                true
            }
            Err(error) => {
                jobs.trouble.is_stuck(error.to_string());
                self.tx.line.roll_back();
                self.tx.numbers = Numbers::default();
                false
            }
        };
        self.tx.packer.settle(is_durable);
        // Before anybody is told: who then waits for what follows finds it in the queue.
        if is_durable {
            (self.after_commit)(told.changed, told.processes, self.tx.numbers.newest_event(), told.wakes);
        }
        for finish in finished {
            finish(is_durable);
        }
        true
    }

    /// Runs a closure; whether it wrote something that is to stay.
    fn run_one(&mut self, job: Job, jobs: &Jobs, finished: &mut Vec<Finish>, told: &mut Told) -> bool {
        if let Err(error) = self.tx.line.begin_part() {
            jobs.trouble.is_stuck(error.to_string());
            return false;
        }
        let before = self.tx.numbers;
        self.tx.part = Part {
            now: self.clock.now(),
            ..Part::default()
        };
        let (keep, finish) = job(&mut dialect::as_any(&mut self.tx));
        let part = std::mem::take(&mut self.tx.part);
        if let Some(why) = part.stuck {
            jobs.trouble.is_stuck(why);
        }
        let ended = if keep {
            self.tx.line.keep_part()
        } else {
            self.tx.packer.settle(false);
            self.tx.numbers = before;
            self.tx.line.take_back_part()
        };
        if let Err(error) = ended {
            jobs.trouble.is_stuck(error.to_string());
        }
        if keep {
            told.changed.extend(part.changed);
            told.processes.extend(part.processes);
            told.wakes.extend(part.wakes);
            if part.has_announced {
                told.wakes.push(Wake::Outbox);
            }
        }
        finished.push(finish);
        keep && part.written > 0
    }
}
