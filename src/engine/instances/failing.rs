//! What becomes of a container that cannot be made or started.

use crate::engine::core::{Core, Outcome, fenced, notes, request, write_notes};
use crate::model::launch::LaunchConfig;
use crate::model::{Error, Resource, Result, State, Timestamp};
use crate::runtime;
use crate::store::{Changes, Process, exit};

use super::container_rows::{InstanceNotes, launch_of};
use super::making::{ENGINE_WAIT, SIBLING_WAIT};
use super::stopping::StopData;

/// Why a step on a container's way does not get through.
#[derive(Debug)]
pub(super) enum Hindrance {
    /// It cannot be as things are: the engine refuses, or there is no place. In words for whoever waits.
    Refused(runtime::Error),
    /// Something else has to be there first.
    NotYet(String),
    /// Our own failure.
    Failed(Error),
}

impl From<Error> for Hindrance {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<runtime::Error> for Hindrance {
    fn from(error: runtime::Error) -> Self {
        Self::Refused(error)
    }
}

impl Hindrance {
    pub(super) fn refused(words: &str) -> Self {
        Self::Refused(words.to_owned().into())
    }
}

/// What a step on a container's way comes to.
pub(super) type Step<T> = std::result::Result<T, Hindrance>;

/// A start that fails this often is an error; a service makes such a container anew.
const TRIES: i32 = 5;

impl Core {
    /// What a process says whose step did not get through: a refusal is a failed try.
    pub(super) async fn hindered(&self, process: &Process, row: &Resource, by: Hindrance) -> Result<Outcome> {
        match by {
            Hindrance::Refused(error) => self.start_failed(process, row, error).await,
            Hindrance::NotYet(message) => Ok(Outcome::Again(SIBLING_WAIT, message)),
            Hindrance::Failed(error) => Err(error),
        }
    }

    /// Counts a failed try. After the last one a container that never ran ends in `error`, and one that did is stopped.
    pub(super) async fn start_failed(
        &self,
        process: &Process,
        row: &Resource,
        error: impl Into<runtime::Error>,
    ) -> Result<Outcome> {
        let message = match error.into() {
            away @ runtime::Error::Unreachable(_) => return Ok(engine_failed(away)),
            other => other.to_string(),
        };
        if process.attempts + 1 < tries(&launch_of(row)?) {
            return Ok(Outcome::Failed(message));
        }
        log::warn!("{} is given up: {message}", row.name);
        if notes::<InstanceNotes>(row).ran {
            // It ran before: it is only stopped.
            let machine = self.machine_of(&row.kind)?.clone();
            let (process_id, row_id) = (process.id, row.id);
            let data = StopData {
                because: Some(message.clone()),
                ..StopData::default()
            };
            let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing a stop request", e))?;
            self.write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else {
                    return Ok(());
                };
                let changes = Changes {
                    message: Some(message),
                    internal: Some(given_up(&row, tx.now())?),
                    ..Changes::default()
                };
                request(tx, &machine, &row, "stop", &data, changes).map(drop)
            })
            .await?;
            return Ok(Outcome::Left);
        }
        self.to_error(process, row, message).await?;
        Ok(Outcome::Left)
    }

    /// Ends in `error` with the engine's words kept as the message.
    pub(super) async fn to_error(&self, process: &Process, row: &Resource, message: String) -> Result<()> {
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            tx.end_process(process_id, exit::ERROR)?;
            let internal = given_up(&row, tx.now())?;
            tx.update_if(
                &row,
                &Changes {
                    state: Some(State::ERROR),
                    message: Some(message),
                    internal: Some(internal),
                    ..Changes::default()
                },
            )?;
            if let Some(service) = row.parent_id {
                tx.wake_owner(service);
            }
            Ok(())
        })
        .await
    }
}

/// The notes of one that is given up now.
fn given_up(row: &Resource, now: Timestamp) -> Result<String> {
    let mut note: InstanceNotes = notes(row);
    note.failures = note.failures.saturating_add(1);
    note.failed_at = Some(now);
    write_notes(&note)
}

/// What the failure of a call comes to that is made until it succeeds. An engine that does not answer is nobody's fault
/// but its own: nothing is counted, the work waits.
pub(super) fn engine_failed(error: runtime::Error) -> Outcome {
    match error {
        runtime::Error::Unreachable(why) => Outcome::Again(ENGINE_WAIT, format!("Waiting for the host: {why}")),
        other => Outcome::Failed(other.to_string()),
    }
}

/// How often a start is tried: administrators may say so in `data` (cattle: `computeTries`, `InstanceStart`).
fn tries(launch: &LaunchConfig) -> i32 {
    let own = launch.data.as_ref().and_then(|d| {
        d.get("io.cattle.platform.process.instance.InstanceStart")?
            .get("computeTries")?
            .as_i64()
    });
    own.and_then(|n| i32::try_from(n).ok())
        .map_or(TRIES, |n| n.clamp(1, TRIES))
}
