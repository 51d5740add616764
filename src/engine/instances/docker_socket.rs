//! The socket of a host's engine, carried to whoever runs the server or owns the host's project: whoever has it is root there.
//!
//! It is off until a setting turns it on. Who may have it is asked when a token is given, and again when one is shown.

use crate::engine::access::{Stream, Ticket};
use crate::engine::core::{Answer, Core, DOCKER_SOCKET, Scope, Standing};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, State};
use crate::runtime;
use crate::runtime::streams::Bytestream;
use crate::schema::Role;

/// Gives out a token for the engine of a host.
///
/// # Errors
/// 501 while the setting is off, 403 for who is no owner, 422 where the project's host policy forbids it, 409 where the host has
/// no such socket.
pub(crate) async fn give_access(core: &Core, scope: &Scope, row: &Resource) -> Result<Answer> {
    core.check_socket(scope.user.id, row)?;
    // That there is one is seen now, and not first by whoever is told that there is.
    core.socket_of(row).await?;
    let token = core.stream_token(scope.user.id, row.id, Stream::DockerSocket)?;
    Ok(Answer::Access {
        scheme: "ws",
        path: "dockersocket",
        token,
    })
}

impl Core {
    fn check_socket(&self, account: ResourceId, host: &Resource) -> Result<()> {
        let setting = self.setting(DOCKER_SOCKET)?;
        if setting.and_then(|setting| setting.value).as_deref() != Some("on") {
            return Err(Error::not_implemented(format!(
                "the setting {DOCKER_SOCKET} is off: engines are not lent out"
            )));
        }
        match self.standing(account, host.account_id)? {
            Standing::Holder(holder) if holder.role == Role::Owner => {
                self.check_engine_use(host.account_id, &holder.user.kind)
            }
            _ => Err(Error::new(ErrorKind::Forbidden).with_message("only an owner may have the socket of an engine")),
        }
    }

    async fn socket_of(&self, host: &Resource) -> Result<Box<dyn Bytestream>> {
        let away = || Error::new(ErrorKind::Unavailable).with_message("the host does not answer");
        let runtime = self.runtime(host.id).ok_or_else(away)?;
        runtime.socket().await.map_err(|error| match error {
            runtime::Error::Unreachable(_) => away(),
            other => Error::conflict(other.to_string()),
        })
    }

    /// Opens the socket that a token is for.
    pub(super) async fn open_socket(&self, ticket: &Ticket) -> Result<Box<dyn Bytestream>> {
        let row = self.store.find(ticket.resource())?;
        let row = row.filter(|row| row.removed.is_none()).ok_or_else(Error::not_found)?;
        self.check_socket(ticket.account(), &row)?;
        if !matches!(row.state, State::ACTIVE | State::INACTIVE) {
            return Err(Error::conflict(format!("the host is {}", row.state)));
        }
        self.socket_of(&row).await
    }
}
