//! Who asks, for interfaces whose callers always prove who they are: by a bearer token, by the token of a login, or by a key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Gate, Presented};
use crate::engine::{Bearer, Proof};
use crate::model::{Error, ErrorKind, ResourceId, Result, Timestamp};

/// A token that is used all the time is noted as used so often.
const NOTED_EVERY: Duration = Duration::from_secs(60);
/// So many tokens are remembered as noted; then it begins anew.
const REMEMBERED: usize = 10_000;
/// What wrong tokens count for, where names of logins and keys do.
const NAMELESS: &str = "bearer";

/// Who proved to be somebody.
#[derive(Debug, Clone)]
pub struct Identified {
    /// By what.
    pub proof: Proof,
    /// Whose it is.
    pub account: ResourceId,
    /// The token, if that is what it was.
    pub bearer: Option<Bearer>,
}

/// When tokens were last noted as used.
#[derive(Default)]
pub(super) struct Uses(Mutex<HashMap<ResourceId, Timestamp>>);

impl Uses {
    /// Whether it is time to note a use.
    fn is_due(&self, id: ResourceId, now: Timestamp) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(&id).is_some_and(|last| now.since(*last) < NOTED_EVERY) {
            return false;
        }
        if noted.len() >= REMEMBERED {
            noted.clear();
        }
        noted.insert(id, now);
        true
    }
}

impl Gate {
    /// Who sent this, whether the server is open or not.
    ///
    /// # Errors
    /// 401 for nobody, 429 for too many wrong tokens, passwords and keys.
    pub async fn identify(&self, presented: &Presented<'_>) -> Result<Identified> {
        let nobody = || Error::new(ErrorKind::Unauthorized);
        if let Some(basic) = presented.basic() {
            let found = self.check_basic(&basic, presented.client, true).await?;
            let (proof, account) = found
                .filter(|(proof, _)| matches!(proof, Proof::Key(_)))
                .ok_or_else(nobody)?;
            return Ok(Identified {
                proof,
                account,
                bearer: None,
            });
        }
        let (token, _) = presented.token().ok_or_else(nobody)?;
        if let Some(bearer) = self.engine.bearer(token)? {
            if self.uses.is_due(bearer.id, self.engine.clock().now()) {
                self.engine.note_bearer_use(bearer.id).await?;
            }
            return Ok(Identified {
                proof: Proof::Bearer(bearer.id),
                account: bearer.account,
                bearer: Some(bearer),
            });
        }
        if let Some((session, account)) = self.engine.check_session(token)? {
            return Ok(Identified {
                proof: Proof::Session(session),
                account,
                bearer: None,
            });
        }
        self.wrong_token(presented.client).await?;
        Err(nobody())
    }

    /// Counts a wrong token.
    async fn wrong_token(&self, client: IpAddr) -> Result<()> {
        self.limits.check(client, NAMELESS)?;
        self.failed(client, NAMELESS).await
    }
}
