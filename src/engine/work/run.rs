//! Running processes: what a handler said becomes the row's next state, in one transaction with the end of the process.

use std::time::Duration;

use crate::engine::core::{Core, Key, Outcome, back_off, edge, fenced_as_read, publishes_for, request, short_name};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, State};
use crate::schema::Machine;
use crate::store::{Changes, Process, Tx, Wake, exit};

impl Core {
    /// Runs one open process once and writes how it ended.
    pub(crate) async fn run_process(&self, id: i64) {
        let process = match self.store.process_to_run(id) {
            Ok(Some(process)) if process.ended_ms.is_none() => process,
            Ok(_) => return,
            Err(error) => return self.run_later(id, "reading", &error),
        };
        let row = match self.store.find(process.resource()) {
            Ok(Some(row)) => row,
            Ok(None) => return self.end_gone(id).await,
            Err(error) => return self.run_later(id, "reading the row of", &error),
        };
        if self.aside.has(row.id) {
            return;
        }
        let handling = self.aside.marked(row.id, self.now(), self.handle(&process, &row));
        let outcome = match handling.await {
            Ok(outcome) => outcome,
            // Somebody else was quicker: read again.
            Err(error) if error.kind == ErrorKind::Conflict => Outcome::Again(Duration::ZERO, String::new()),
            Err(error) if error.kind == ErrorKind::Unavailable => return,
            Err(error) => {
                log::error!(
                    "process {} on {}: {}",
                    process.process,
                    process.resource_id,
                    error.chain()
                );
                Outcome::Failed(error.external.unwrap_or_else(|| "internal error".to_owned()))
            }
        };
        let goes_on = matches!(outcome, Outcome::Again(..) | Outcome::Along(..) | Outcome::Failed(_));
        let resource = row.id;
        match self.settle(process, row, outcome).await {
            Ok(()) if goes_on => {}
            Ok(()) => self.wake_waiting(resource),
            Err(error) if error.kind == ErrorKind::Unavailable => {}
            Err(error) => self.run_later(id, "ending", &error),
        }
    }

    /// What the database refused once is tried again: nobody else knows that the process is due.
    fn run_later(&self, id: i64, doing: &str, error: &Error) {
        log::error!("{doing} process {id}: {}", error.chain());
        self.queue
            .push(Key::Process(id), self.now().plus(Duration::from_secs(1)));
    }

    /// A process whose row was swept away.
    async fn end_gone(&self, id: i64) {
        if let Err(error) = self.write(move |tx| tx.end_process(id, exit::STATE_CHANGED)).await {
            log::error!("ending process {id}: {}", error.chain());
        }
    }

    /// How long what a process removes can still be read. Asking for it is asking the database: only for those that may remove.
    fn keep_removed_by(&self, process: &Process, machine: &Machine) -> Duration {
        match machine.may_end(short_name(process), State::REMOVED) {
            true => self.keep_removed(),
            false => Duration::ZERO,
        }
    }

    /// `row` is as it was when the handler began; what is written goes by how it is now.
    async fn settle(&self, process: Process, row: Resource, outcome: Outcome) -> Result<()> {
        let machine = self.machine_of_row(&row)?.clone();
        let keep_removed = self.keep_removed_by(&process, &machine);
        let owner = self.owner_of(&row);
        let log = (row.root == "service")
            .then(|| self.service_log(row.id, &process))
            .transpose()?;
        self.write(move |tx| {
            let Some(row) = fenced_as_read(tx, process.id, row)? else {
                return Ok(());
            };
            let Some(edge) = edge(&machine, &process, &row) else {
                return tx.end_process(process.id, exit::STATE_CHANGED);
            };
            let (mut changes, follow) = match outcome {
                Outcome::Left => return Ok(()),
                Outcome::Again(wait, message) => {
                    note(tx, &row, &message, row.progress)?;
                    let at = tx.now().plus(wait);
                    return tx.defer_process(process.id, at, process.attempts, &message);
                }
                Outcome::Along(wait, message, progress) => {
                    note(tx, &row, &message, Some(progress))?;
                    let at = tx.now().plus(wait);
                    return tx.defer_process(process.id, at, process.attempts, &message);
                }
                Outcome::Failed(message) => {
                    if row.message != message {
                        log::warn!("{} of {}: {message}; it is tried again", process.process, row.name);
                    }
                    note(tx, &row, &message, row.progress)?;
                    if let Some(owner) = owner {
                        tx.wake_owner(owner);
                    }
                    let attempts = process.attempts.saturating_add(1);
                    let at = tx.now().plus(back_off(attempts));
                    return tx.defer_process(process.id, at, attempts, &message);
                }
                Outcome::Done(changes) => (*changes, None),
                Outcome::Then(changes, next, data) => (*changes, Some((next, data))),
            };
            let next = follow.map(|(next, data)| (next.to_owned(), data)).or_else(|| {
                machine
                    .next(short_name(&process))
                    .map(|next| (next.to_owned(), "{}".to_owned()))
            });
            changes.message.get_or_insert_default();
            changes.progress = Some(None);
            changes.state = Some(edge.done);
            if edge.done == State::REMOVED {
                let now = tx.now();
                changes.removed = Some(now);
                changes.purge_after = Some(now.plus(keep_removed));
            }
            let next = next.and_then(|(next, data)| machine.start(&next, edge.done).map(|_| (next, data)));
            tx.end_process(process.id, if next.is_some() { exit::CHAIN } else { exit::DONE })?;
            if let Some(log) = log {
                log.finish(tx, &row)?;
            }
            match next {
                // Straight on: the client sees the next transition, not the rest in between.
                Some((next, data)) => {
                    let resting = tx.update_if(&row, &changes)?;
                    request(tx, &machine, &resting, &next, &data, Changes::default())?;
                }
                None => {
                    tx.update_if(&row, &changes)?;
                }
            }
            wake_beside(tx, &row, owner);
            Ok(())
        })
        .await
    }
}

/// Wakes whoever has to know that a process of a row is over.
fn wake_beside(tx: &mut Tx<'_>, row: &Resource, owner: Option<ResourceId>) {
    // What its engine told of it while the process ran is looked at now.
    let itself = (row.root == "instance").then_some(row.id);
    for id in itself.into_iter().chain(publishes_for(row)) {
        tx.wake(Wake::Resource(id));
    }
    if let Some(owner) = owner {
        tx.wake_owner(owner);
    }
}

/// Writes what a process says while it waits, if that is new.
fn note(tx: &mut Tx<'_>, row: &Resource, message: &str, progress: Option<i32>) -> Result<()> {
    if row.message == message && row.progress == progress {
        return Ok(());
    }
    let changes = Changes {
        message: Some(message.to_owned()),
        progress: (row.progress != progress).then_some(progress),
        ..Changes::default()
    };
    tx.update_if(row, &changes).map(drop)
}
