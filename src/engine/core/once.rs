//! Requests that are done once, however often they are sent: by a key that the client chose. What was answered is kept for a
//! day, sealed, as answers may hold secrets that are shown once.
//!
//! A key is a row that is removed from the beginning, found by its uuid, and swept away like others: no list shows it.

use std::time::Duration;

use super::rows::new_row;
use super::state::Core;
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::store::{Changes, NewResource, Priority, Tx};

/// The type of such rows.
const KIND: &str = "idempotencyKey";
/// What answers are sealed for.
const PURPOSE: &str = "idempotencyKey.answer";
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// A request of this server that has not been answered after this time will not be.
const LOST: Duration = Duration::from_secs(300);

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// It is new, or what was done under it failed: this request is to be done, and the row is to be told how it ended.
    Begun(ResourceId),
    /// It was answered so.
    Answered {
        /// The status.
        status: u16,
        /// The body.
        answer: String,
    },
    /// The same request is being done.
    InFlight,
    /// It was used for another body.
    Reused,
}

/// A request under a key.
pub struct OnceKey {
    /// All that tells keys apart: who asks, for what, and the client's own key.
    pub identity: String,
    /// The body.
    pub body: String,
}

impl Core {
    /// Begins a request under a key, or says what became of it.
    pub(crate) async fn begin_once(&self, key: &OnceKey) -> Result<Once> {
        let def = self.type_of(KIND)?.clone();
        let secrets = &self.config.secrets;
        let uuid = format!("once-{}", secrets.digest(&key.identity));
        let digest = secrets.digest(&key.body);
        let epoch = self.store.epoch();
        let found = self.store.write(Priority::Request, move |tx| {
            let now = tx.now();
            let mut fields = Fields::default();
            fields.set("bodyDigest", &digest)?;
            fields.set("begun", &now.0)?;
            fields.set("epoch", &epoch)?;
            fields.set("status", &None::<i64>)?;
            fields.set("answer", &None::<String>)?;
            let Some(row) = tx.find_by_uuid(&uuid)? else {
                let new = NewResource {
                    uuid: Some(uuid),
                    ..new_row(&def, None, fields)
                };
                let row = tx.insert(new)?;
                return Ok(Kept::Begun(hide(tx, &row, Fields::default())?.id));
            };
            let kept = Fields::parse(&row.fields)?;
            let began = kept.read::<i64>("begun")?.unwrap_or(0);
            let age = Duration::from_millis(u64::try_from(now.0.saturating_sub(began)).unwrap_or(0));
            let (status, answer) = (kept.read::<u16>("status")?, kept.text("answer"));
            let is_over = match status {
                Some(_) => age >= KEPT,
                // Whoever did it is gone, or will not come back.
                None => age >= LOST || kept.read::<i64>("epoch")? != Some(epoch),
            };
            if is_over {
                return Ok(Kept::Begun(hide(tx, &row, fields)?.id));
            }
            if kept.text("bodyDigest") != fields.text("bodyDigest") {
                return Ok(Kept::Reused);
            }
            Ok(match (status, answer) {
                (Some(status), Some(answer)) => Kept::Sealed(status, answer),
                _ => Kept::InFlight,
            })
        });
        Ok(match found.await? {
            Kept::Begun(id) => Once::Begun(id),
            Kept::Reused => Once::Reused,
            Kept::InFlight => Once::InFlight,
            Kept::Sealed(status, answer) => {
                let answer = secrets.unseal(PURPOSE, &answer);
                let answer = answer.ok_or_else(|| Error::bug("an answer that was kept cannot be opened"))?;
                Once::Answered { status, answer }
            }
        })
    }

    /// Keeps what a request under a key was answered; without an answer the key is free again.
    pub(crate) async fn end_once(&self, id: ResourceId, answer: Option<(u16, &str)>) -> Result<()> {
        let sealed = match answer {
            Some((status, text)) => Some((status, self.config.secrets.seal(PURPOSE, text)?)),
            None => None,
        };
        let written = self.store.write(Priority::Request, move |tx| {
            let Some(row) = tx.find(id)? else { return Ok(()) };
            let mut fields = Fields::default();
            match sealed {
                Some((status, answer)) => {
                    fields.set("status", &status)?;
                    fields.set("answer", &answer)?;
                }
                // As if its time were over.
                None => fields.set("epoch", &-1)?,
            }
            hide(tx, &row, fields).map(drop)
        });
        written.await
    }
}

/// What a transaction finds of a key.
enum Kept {
    Begun(ResourceId),
    Sealed(u16, String),
    InFlight,
    Reused,
}

/// Writes these fields of a key's row, which stays out of lists and goes after a day.
fn hide(tx: &mut Tx<'_>, row: &Resource, patch: Fields) -> Result<Resource> {
    let now = tx.now();
    let changes = Changes {
        removed: Some(now),
        purge_after: Some(now.plus(KEPT)),
        patch,
        ..Changes::default()
    };
    tx.update_if(row, &changes)
}
