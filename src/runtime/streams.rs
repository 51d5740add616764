//! What comes out of a container and goes into it while somebody watches: its log, and commands that are run in it.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Result;

/// Which part of a container's log is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsWanted {
    /// What is still to come, too.
    pub follow: bool,
    /// How many of the last lines; none is all.
    pub lines: Option<u64>,
    /// Nothing from before this second (Unix time).
    pub since: Option<i64>,
    /// Each line begins with its time.
    pub timestamps: bool,
}

/// A command to be run in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecWanted {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// In a terminal.
    pub tty: bool,
    /// Something is written to it.
    pub stdin: bool,
    /// What it writes is wanted.
    pub stdout: bool,
}

/// A port of a container that is to be reached through the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortWanted {
    /// Its number.
    pub port: u16,
}

/// Bytes to and from a program.
pub trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for T {}

/// An open connection to a port of a container.
pub struct Connection {
    /// Its address and port, as HTTP has it.
    pub host: String,
    /// What is sent and comes back.
    pub stream: Box<dyn Bytestream>,
}

/// A piece of what a container, or a command in it, wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// To its standard output.
    Out(Bytes),
    /// To its standard error.
    Err(Bytes),
    /// To its terminal, which has no two.
    Terminal(Bytes),
}

/// What was written, as it comes; it ends with the container's process, or with the command.
pub type Pieces = BoxStream<'static, Result<Piece>>;

/// A command that runs in a container.
pub struct Running {
    /// What it writes.
    pub output: Pieces,
    /// What it reads. Closed, it reads an end.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its terminal.
    pub terminal: Box<dyn Terminal>,
}

/// The terminal of a command.
#[async_trait]
pub trait Terminal: Send + Sync {
    /// Tells it how large the window is; without effect where there is no terminal.
    async fn resize(&self, columns: u16, rows: u16) -> Result<()>;
}
