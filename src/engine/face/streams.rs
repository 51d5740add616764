//! Streams of containers: what a token opens.

use super::Engine;
use crate::engine::access::{StatsOf, Stream, Ticket};
use crate::engine::core::Scope;
use crate::engine::instances::{OpenStream, give_stats};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::runtime::streams::Connection;

/// A token that was read: what it opens, and for whom.
#[derive(Debug)]
pub struct StreamTicket(Ticket);

impl StreamTicket {
    /// The account that asked for it.
    pub fn account(&self) -> ResourceId {
        self.0.account()
    }
}

impl Engine {
    /// What a link of statistics (`containerStats` …) gives: the last part of an address, and the token that opens it; `None` if
    /// nothing runs that could be looked at.
    ///
    /// # Errors
    /// 404 if the row has no such link.
    pub fn stats_access(&self, scope: &Scope, row: &Resource, link: &str) -> Result<Option<(&'static str, String)>> {
        give_stats(self.core(), scope, row, link)
    }

    /// Reads a token that comes to an address of streams (`logs`, `exec` …).
    ///
    /// # Errors
    /// 401 if it is none of this server's, is too old, or belongs to another address.
    pub fn stream_ticket(&self, path: &str, token: &str) -> Result<StreamTicket> {
        let ticket = self.core().read_stream_token(token)?;
        let belongs = match ticket.stream() {
            Stream::Logs(_) => "logs",
            Stream::Exec(_) => "exec",
            Stream::Proxy(_) => "container-proxy",
            Stream::DockerSocket => "dockersocket",
            Stream::Stats(StatsOf::Containers) => "containerstats",
            Stream::Stats(StatsOf::Hosts) => "hoststats",
        };
        if belongs == path {
            Ok(StreamTicket(ticket))
        } else {
            Err(Error::new(ErrorKind::Unauthorized))
        }
    }

    /// Opens a connection to the port that a token is for.
    ///
    /// # Errors
    /// 401 if it is for something else, or its account is not active any more or has left the project; 404 if the container is gone; 409 if it does not run,
    /// or cannot be reached; 503 if its engine does not answer.
    pub async fn open_port(&self, ticket: &StreamTicket) -> Result<Connection> {
        self.core().open_port(&ticket.0).await
    }

    /// Opens what a token is for.
    ///
    /// # Errors
    /// 404 if the container is gone, 409 if it does not run, 503 if its engine does not answer.
    pub async fn open_stream(&self, ticket: &StreamTicket) -> Result<OpenStream> {
        self.core().open_stream(&ticket.0).await
    }
}
