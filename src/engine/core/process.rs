//! The life-cycle mechanism: asking for a process, and what a run of it can say. Every change of state goes through here.

use std::time::Duration;

use crate::model::{Error, Resource, ResourceId, Result};
use crate::schema::{Machine, Transition};
use crate::store::{Changes, NewProcess, Process, Tx};

use super::service_log::end_log;

/// How a run of a handler ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The goal is reached: the row goes to the done state, with these changes.
    Done(Box<Changes>),
    /// The same, and another process is asked for in the same transaction.
    Then(Box<Changes>, &'static str, String),
    /// Not yet: look again after this; the message is what the client reads meanwhile. No attempt is counted.
    Again(Duration, String),
    /// The same, and so much of it is done, in per cent.
    Along(Duration, String, i32),
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
    let Some(edge) = machine.start(process, row.state) else {
        return Err(Error::conflict(format!(
            "{process} is not possible in state {}",
            row.state
        )));
    };
    if edge.joins {
        let row = tx.update_if(row, &changes)?;
        tx.wake_processes_of(&row)?;
        return Ok(row);
    }
    changes.state = Some(edge.via);
    begin(tx, row, process, data, changes)
}

/// The same where the row is on its way to what `process` leads to, or has come there, and is to be led there anew: from a state that
/// the machine has between the begin and the end of such a process. Whatever ran is pre-empted.
pub(crate) fn supersede(
    tx: &mut Tx<'_>,
    machine: &Machine,
    row: &Resource,
    process: &str,
    data: &str,
    mut changes: Changes,
) -> Result<Resource> {
    let Some(via) = machine.anew(process, row.state) else {
        return request(tx, machine, row, process, data, changes);
    };
    changes.state = Some(via);
    begin(tx, row, process, data, changes)
}

/// Ends what runs on a row, and begins a process in the state that `changes` say.
fn begin(tx: &mut Tx<'_>, row: &Resource, process: &str, data: &str, mut changes: Changes) -> Result<Resource> {
    if row.root == "service" {
        for open in tx.open_processes_of(row.id)? {
            end_log(tx, row, open.id)?;
        }
    }
    tx.pre_empt(row.id)?;
    changes.message.get_or_insert_default();
    changes.progress = Some(None);
    let row = tx.update_if(row, &changes)?;
    tx.start_process(&NewProcess {
        resource: &row,
        process: &qualified(&row, process),
        data,
    })?;
    Ok(row)
}

/// `service.upgrade`: the name of a process on this row.
pub(crate) fn qualified(row: &Resource, process: &str) -> String {
    format!("{}.{process}", row.root)
}

/// The process's name without the type.
pub(crate) fn short_name(process: &Process) -> &str {
    process
        .process
        .split_once('.')
        .map_or(process.process.as_str(), |(_, short)| short)
}

/// The edge an open process is on, or `None` if its row moved on.
pub(crate) fn edge<'m>(machine: &'m Machine, process: &Process, row: &Resource) -> Option<&'m Transition> {
    machine.running(short_name(process), row.state)
}

/// The row of an open process as it is now; `None` if the process is over or the row moved on: the handler leaves.
pub(crate) fn fenced(tx: &mut Tx<'_>, process: i64, resource: ResourceId) -> Result<Option<Resource>> {
    if !tx.is_open(process)? {
        return Ok(None);
    }
    tx.find(resource)
}

/// The same where the row was read before, and most times is still as it was.
pub(crate) fn fenced_as_read(tx: &mut Tx<'_>, process: i64, read: Resource) -> Result<Option<Resource>> {
    match tx.version_under(process)? {
        None => Ok(None),
        Some(version) if version == read.version => Ok(Some(read)),
        Some(_) => tx.find(read.id),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::super::testkit;
    use super::*;
    use crate::model::{Fields, State, Timestamp};

    #[test]
    fn back_off_grows_and_is_bounded() {
        let waits: Vec<u128> = [1, 2, 3, 12, 30].into_iter().map(|n| back_off(n).as_millis()).collect();
        assert_eq!(waits, [2_100, 2_200, 2_400, 120_000, 120_000]);
    }

    #[tokio::test]
    async fn what_a_write_gives_back_is_what_is_read_whoever_keeps_it() {
        let (_folder, core) = testkit::empty();
        let made = testkit::insert(&core, "service", State::ACTIVE, Fields::default()).await;
        assert_eq!(core.store.find(made.id).unwrap().as_ref(), Some(&made));
        let mut patch = Fields::default();
        patch.set("scale", &3).unwrap();
        let changes = Changes {
            state: Some(State::REMOVED),
            health: Some("healthy".into()),
            kind: Some("dnsService".into()),
            name: Some("other".into()),
            message: Some("said".into()),
            progress: Some(Some(7)),
            host_id: Some(Some(ResourceId(8))),
            account_id: Some(Some(ResourceId(5))),
            removed: Some(Timestamp(12_345)),
            purge_after: Some(Timestamp(67_890)),
            fields: None,
            patch,
            internal: Some(r#"{"a":1}"#.into()),
        };
        let id = made.id;
        let (new, read) = core
            .write(move |tx| {
                assert_eq!(tx.find(made.id)?.as_ref(), Some(&made));
                let new = tx.update_if(&made, &changes)?;
                Ok((new, tx.find(made.id)?))
            })
            .await
            .unwrap();
        assert_eq!(Some(&new), read.as_ref());
        assert_eq!(Some(new), core.store.find(id).unwrap());
    }

    #[tokio::test]
    async fn what_is_to_run_is_what_was_written_and_nothing_that_is_over() {
        let (_folder, core) = testkit::empty();
        let ask = |name: &'static str, data: &'static str| {
            let core = &core;
            async move {
                let row = testkit::insert(core, "service", State::ACTIVE, Fields::default()).await;
                let asked = row.clone();
                let id = core
                    .write(move |tx| {
                        tx.start_process(&NewProcess {
                            resource: &asked,
                            process: name,
                            data,
                        })
                    })
                    .await
                    .unwrap();
                (row, id)
            }
        };
        let (_, id) = ask("service.update", r#"{"a":1}"#).await;
        let written = core.store.find_process(id).unwrap();
        assert!(written.is_some());
        assert_eq!(core.store.process_to_run(id).unwrap(), written, "as it is kept");
        assert_eq!(core.store.process_to_run(id).unwrap(), written, "as it is read");
        let (row, id) = ask("service.update", "{}").await;
        core.write(move |tx| tx.pre_empt(row.id)).await.unwrap();
        let over = core.store.process_to_run(id).unwrap().unwrap();
        assert_eq!(over.exit_reason, crate::store::exit::STATE_CHANGED);
        let (_, id) = ask("service.update", "{}").await;
        core.write(move |tx| tx.set_process_data(id, "[]")).await.unwrap();
        assert_eq!(core.store.process_to_run(id).unwrap().unwrap().data, "[]");
    }
}
