//! The life-cycle mechanism: asking for a process, running it, ending it. Every change of state goes through here.

use std::time::Duration;

use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::{Machine, Transition};
use crate::store::{Changes, NewProcess, Process, Tx, Wake};

use super::core::Core;

/// How a run of a handler ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The goal is reached: the row goes to the done state, with these changes.
    Done(Box<Changes>),
    /// The same, and another process is asked for in the same transaction.
    Then(Box<Changes>, &'static str, String),
    /// Not yet: look again after this; the message is what the client reads meanwhile. No attempt is counted.
    Again(Duration, String),
    /// It failed, in these words; tried again after the back-off.
    Failed(String),
    /// The row moved on without this process.
    Left,
}

impl Outcome {
    pub(crate) fn done() -> Self {
        Self::Done(Box::default())
    }
}

/// How long a failed process waits: `min(2 s + 2^(n−1) × 100 ms, 2 min)`.
pub(crate) fn back_off(attempts: i32) -> Duration {
    let doubled = 100_u64.saturating_mul(1_u64 << u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0));
    Duration::from_millis((2_000 + doubled).min(120_000))
}

/// Starts `process` on a row that is in a state where it may: the transitioning state, the process row and the event
/// in one transaction. Whatever else ran on the row is pre-empted. `data` is the process's own JSON.
///
/// A process that only joins the running one changes no state and wakes that one.
pub(crate) fn request(
    tx: &mut Tx<'_>,
    machine: &Machine,
    row: &Resource,
    process: &str,
    data: &str,
    mut changes: Changes,
) -> Result<Resource> {
    let Some(edge) = machine.start(process, &row.state) else {
        return Err(Error::conflict(format!("{process} is not possible in state {}", row.state)));
    };
    if edge.joins {
        let row = tx.update_if(row, &changes)?;
        for open in tx.open_processes_of(row.id)? {
            let at = tx.now();
            tx.wake(Wake::Process { id: open.id, at });
        }
        return Ok(row);
    }
    tx.pre_empt(row.id)?;
    changes.state = Some(edge.via.clone());
    changes.message.get_or_insert_default();
    changes.progress = Some(None);
    let row = tx.update_if(row, &changes)?;
    tx.start_process(&NewProcess { resource: row.id, process: &qualified(&row, process), data })?;
    Ok(row)
}

/// `service.upgrade`: the name of a process on this row.
pub(crate) fn qualified(row: &Resource, process: &str) -> String {
    format!("{}.{process}", row.root)
}

/// The process's name without the type.
pub(crate) fn short_name(process: &Process) -> &str {
    process.process.split_once('.').map_or(process.process.as_str(), |(_, short)| short)
}

/// The edge an open process is on, or `None` if its row moved on.
pub(crate) fn edge<'m>(machine: &'m Machine, process: &Process, row: &Resource) -> Option<&'m Transition> {
    machine.running(short_name(process), &row.state)
}

/// The row of an open process as it is now; `None` if the process is over or the row moved on: the handler leaves.
pub(crate) fn fenced(tx: &mut Tx<'_>, process: i64, resource: ResourceId) -> Result<Option<Resource>> {
    if !tx.is_open(process)? {
        return Ok(None);
    }
    tx.find(resource)
}

impl Core {
    /// Runs one open process once and writes how it ended.
    pub(crate) async fn run_process(&self, id: i64) {
        let process = match self.store.find_process(id) {
            Ok(Some(process)) if process.ended_ms.is_none() => process,
            Ok(_) => return,
            Err(error) => return log::error!("{}", chain(&error)),
        };
        let row = match self.store.find(process.resource()) {
            Ok(Some(row)) => row,
            Ok(None) => return self.end_gone(id).await,
            Err(error) => return log::error!("{}", chain(&error)),
        };
        let outcome = match self.handle(&process, &row).await {
            Ok(outcome) => outcome,
            // Somebody else was quicker: read again.
            Err(error) if error.kind == ErrorKind::Conflict => Outcome::Again(Duration::ZERO, String::new()),
            Err(error) if error.kind == ErrorKind::Unavailable => return,
            Err(error) => {
                log::error!("process {} on {}: {}", process.process, process.resource_id, chain(&error));
                Outcome::Failed(error.external.unwrap_or_else(|| "internal error".to_owned()))
            }
        };
        if let Err(error) = self.settle(process, &row, outcome).await
            && error.kind != ErrorKind::Unavailable
        {
            log::error!("ending process {id}: {}", chain(&error));
            self.queue.push(super::queue::Key::Process(id), self.now().plus(Duration::from_secs(1)));
        }
    }

    /// A process whose row was swept away.
    async fn end_gone(&self, id: i64) {
        if let Err(error) = self.write(move |tx| tx.end_process(id, "ResourceGone")).await {
            log::error!("ending process {id}: {}", chain(&error));
        }
    }

    /// `row` is as it was when the handler began; what is written goes by how it is now.
    async fn settle(&self, process: Process, row: &Resource, outcome: Outcome) -> Result<()> {
        let machine = self.machine_of_row(row)?.clone();
        let keep_removed = self.keep_removed();
        let owner = self.owner_of(row);
        let row_id = row.id;
        self.write(move |tx| {
            let Some(row) = fenced(tx, process.id, row_id)? else { return Ok(()) };
            let Some(edge) = edge(&machine, &process, &row) else {
                return tx.end_process(process.id, "StateChanged");
            };
            let (mut changes, follow) = match outcome {
                Outcome::Left => return Ok(()),
                Outcome::Again(wait, message) => {
                    if row.message != message {
                        tx.update_if(&row, &Changes { message: Some(message.clone()), ..Changes::default() })?;
                    }
                    let at = tx.now().plus(wait);
                    return tx.defer_process(process.id, at, process.attempts, &message);
                }
                Outcome::Failed(message) => {
                    if row.message != message {
                        tx.update_if(&row, &Changes { message: Some(message.clone()), ..Changes::default() })?;
                    }
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
            let next = follow
                .map(|(next, data)| (next.to_owned(), data))
                .or_else(|| machine.next(short_name(&process)).map(|next| (next.to_owned(), "{}".to_owned())));
            changes.message.get_or_insert_default();
            changes.progress = Some(None);
            changes.state = Some(edge.done.clone());
            if edge.done == "removed" {
                let now = tx.now();
                changes.removed = Some(now);
                changes.purge_after = Some(now.plus(keep_removed));
            }
            tx.end_process(process.id, "Done")?;
            match next.and_then(|(next, data)| machine.start(&next, &edge.done).map(|_| (next, data))) {
                // Straight on: the client sees the next transition, not the rest in between.
                Some((next, data)) => {
                    let resting = tx.update_if(&row, &changes)?;
                    request(tx, &machine, &resting, &next, &data, Changes::default())?;
                }
                None => {
                    tx.update_if(&row, &changes)?;
                }
            }
            if let Some(owner) = owner {
                tx.wake_owner(owner);
            }
            Ok(())
        })
        .await
    }

    /// Whoever has to know when this row changes: a container's service, a service's stack. A container of no service
    /// is looked at itself, for the services that select it; so is a host, for all that may run there.
    pub(crate) fn owner_of(&self, row: &Resource) -> Option<ResourceId> {
        match row.root.as_str() {
            "instance" => Some(row.parent_id.unwrap_or(row.id)),
            "service" | "serviceExposeMap" => row.parent_id,
            "host" | "agent" => Some(row.id),
            _ => None,
        }
    }
}

/// An error with its causes, for the log.
pub(crate) fn chain(error: &Error) -> String {
    error.chain()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_and_is_bounded() {
        let waits: Vec<u128> = [1, 2, 3, 12, 30].into_iter().map(|n| back_off(n).as_millis()).collect();
        assert_eq!(waits, [2_100, 2_200, 2_400, 120_000, 120_000]);
    }
}
