//! Receivers: addresses that do one thing to a project's services for whoever has them.

use serde_json::{Map, Value};

use crate::engine::core::{Account, AuthType, Input, Proof, Reach, Scope, is_usable};
use crate::engine::services::{self, Received};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, State, WireId};
use crate::schema::{Role, Version};
use crate::secret;

use super::Engine;

/// What the keys of receivers are signed as.
const CONTEXT: &str = "receiver";

impl Engine {
    /// The kind of the generic objects that are receivers.
    pub const RECEIVER: &'static str = services::RECEIVER;

    /// Checks what a receiver is to do before it is made.
    ///
    /// # Errors
    /// 400 in the words of the original, 501 for a driver that is not built.
    pub fn check_receiver(&self, project: ResourceId, driver: &str, config: &Map<String, Value>) -> Result<()> {
        services::check_receiver(self.core(), project, driver, config)
    }

    /// By what a receiver is called. It is stored nowhere: the server's own key makes it of the receiver.
    pub fn receiver_key(&self, row: &Resource) -> String {
        let signature = self.core().config.secrets.signature(CONTEXT, &row.uuid);
        format!("{}.{signature}", row.id)
    }

    /// The receiver of a project that has this key, and who it acts for: the project, and nobody else.
    ///
    /// # Errors
    /// 403 in the same words, whatever is wrong.
    pub fn open_receiver(&self, project: &str, key: &str) -> Result<(Scope, Resource)> {
        let refused = || {
            let why = "Requested webhook has been revoked/does not exist for this account";
            Error::new(ErrorKind::Forbidden).with_message(why)
        };
        let id = key.split('.').next().and_then(|id| id.parse().ok()).map(ResourceId);
        let row = id.map(|id| self.core().store.find(id)).transpose()?.flatten();
        let row = row
            .filter(|row| row.root == "genericObject" && row.kind == services::RECEIVER && row.removed.is_none())
            .filter(|row| row.state != State::REMOVING)
            .filter(|row| secret::is_same(self.receiver_key(row).as_bytes(), key.as_bytes()))
            .ok_or_else(refused)?;
        let named = WireId::parse(project).map(|wire| wire.id);
        let account = row
            .account_id
            .filter(|account| Some(*account) == named)
            .ok_or_else(refused)?;
        let project = self.core().store.find(account)?.filter(is_usable).ok_or_else(refused)?;
        let account = Account {
            id: project.id,
            kind: project.kind.clone(),
            name: project.name.clone(),
        };
        let scope = Scope {
            version: Version::V2Beta,
            project: Some(project.id),
            role: Role::Project,
            reach: Reach::Account(project.id),
            auth: AuthType::None,
            proof: Proof::Nobody,
            user: account.clone(),
            effective: account,
            attempt: None,
        };
        Ok((scope, row))
    }

    /// Does what a receiver is for, with what it was sent.
    pub async fn receive(&self, scope: &Scope, receiver: &Resource, payload: &Input) -> Result<Received> {
        services::receive(self.core(), scope, receiver, payload).await
    }
}
