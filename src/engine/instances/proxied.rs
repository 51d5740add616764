//! Ports of containers by way of the server: a client asks for a token, and what it sends along with that goes to the port.

use std::sync::Arc;

use serde_json::Value;

use super::container_rows::launch_of;
use crate::engine::access::{Stream, Ticket};
use crate::engine::core::{Answer, Core, Input, Scope, Standing};
use crate::model::{Error, ErrorKind, Resource, Result, State};
use crate::runtime::streams::{Connection, PortWanted};
use crate::runtime::{self, Runtime};
use crate::schema::Role;

/// The container's own words about which port is meant, whatever is asked for (cattle: `ContainerProxyActionHandler`).
const LABEL_PORT: &str = "io.rancher.websocket.proxy.port";
/// The same about the scheme.
const LABEL_SCHEME: &str = "io.rancher.websocket.proxy.scheme";
/// The port where none is asked for.
const PORT: u16 = 80;

/// Gives out a token for a port of a container that can be reached.
pub(super) async fn give_access(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let wanted = wanted(row, input)?;
    runtime_of(core, row)?.reach(&row.uuid).await.map_err(refused)?;
    let token = core.stream_token(scope.user.id, row.id, Stream::Proxy(wanted))?;
    Ok(Answer::Access {
        scheme: "http",
        path: "container-proxy",
        token,
    })
}

fn wanted(row: &Resource, input: &Input) -> Result<PortWanted> {
    let labels = launch_of(row)?.labels.unwrap_or_default();
    let scheme = labels.get(LABEL_SCHEME).map(String::as_str);
    let scheme = scheme.or_else(|| input.get("scheme").and_then(Value::as_str));
    let tls = match scheme {
        None | Some("http") => false,
        Some("https") => true,
        Some(_) if labels.contains_key(LABEL_SCHEME) => return Err(Error::invalid("InvalidOption", LABEL_SCHEME)),
        Some(_) => return Err(Error::invalid("InvalidOption", "scheme")),
    };
    let asked = input.get("port").and_then(Value::as_u64);
    let port = match labels.get(LABEL_PORT) {
        Some(label) => label.trim().parse().ok(),
        None => asked,
    };
    match port {
        None if labels.contains_key(LABEL_PORT) => Err(Error::invalid("InvalidFormat", LABEL_PORT)),
        None => Ok(PortWanted { port: PORT, tls }),
        Some(0) => Err(Error::invalid("MinLimitExceeded", "port")),
        Some(port) => {
            let too_large = |_| Error::invalid("MaxLimitExceeded", "port");
            port.try_into().map(|port| PortWanted { port, tls }).map_err(too_large)
        }
    }
}

fn runtime_of(core: &Core, row: &Resource) -> Result<Arc<dyn Runtime>> {
    row.host_id.and_then(|host| core.runtime(host)).ok_or_else(away)
}

fn away() -> Error {
    Error::new(ErrorKind::Unavailable).with_message("the container's host does not answer")
}

fn refused(error: runtime::Error) -> Error {
    match error {
        runtime::Error::Unreachable(_) => away(),
        runtime::Error::Gone(_) => Error::not_found(),
        other => Error::conflict(other.to_string()),
    }
}

impl Core {
    /// Opens a connection to the port that a token is for.
    ///
    /// # Errors
    /// 401 if it is for something else, or whoever asked for it is not let in any more; 404 if the container is gone; 409 if it
    /// does not run, or the port cannot be reached; 503 if its engine does not answer.
    pub(crate) async fn open_port(&self, ticket: &Ticket) -> Result<Connection> {
        let nobody = || Error::new(ErrorKind::Unauthorized);
        let Stream::Proxy(wanted) = ticket.stream() else {
            return Err(nobody());
        };
        let row = self.store.find(ticket.resource())?;
        let row = row.filter(|row| row.removed.is_none()).ok_or_else(Error::not_found)?;
        // A token is good for hours: whoever asked for it may have gone meanwhile, or have left the project.
        match self.standing(ticket.account(), row.account_id)? {
            Standing::Holder(holder) if holder.role != Role::Readonly => {}
            _ => return Err(nobody()),
        }
        if row.state != State::RUNNING {
            return Err(Error::conflict(format!("{} does not run", row.name)));
        }
        let opened = runtime_of(self, &row)?.connect(&row.uuid, wanted.port).await;
        let opened = opened.map_err(refused)?;
        match wanted.tls {
            true => opened.in_tls().await.map_err(refused),
            false => Ok(opened),
        }
    }
}
