//! What comes out of a container and goes into it while somebody watches: its log, and commands that are run in it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Result, tls};

/// How long a container may take to agree on TLS.
const TLS_PATIENCE: Duration = Duration::from_secs(10);

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
    /// Who runs it; none is who runs the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The folder that it begins in; none is the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Variables beside the container's, as `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
}

/// A port of a container that is to be reached through the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortWanted {
    /// Its number.
    pub port: u16,
    /// What is said there is said in TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
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

impl Connection {
    /// The same in TLS. Who the container says it is makes no difference.
    ///
    /// # Errors
    /// [`super::Error::Failed`] if it speaks none.
    pub async fn in_tls(self) -> Result<Self> {
        let address = self.host.parse::<SocketAddr>();
        let address = address.map_err(|_| super::Error::Failed(format!("{} is no address", self.host)))?;
        let wrapping = tls::with_container(self.stream, address.ip());
        let late = |_| super::Error::Failed("no TLS: the container does not answer in time".to_owned());
        let stream = tokio::time::timeout(TLS_PATIENCE, wrapping).await.map_err(late)??;
        Ok(Self { stream, ..self })
    }
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

impl Piece {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Out(bytes) | Self::Err(bytes) | Self::Terminal(bytes) => bytes.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What was written, as it comes; it ends with the container's process, or with the command.
pub type Pieces = BoxStream<'static, Result<Piece>>;

/// A command that runs in a container.
pub struct Running {
    /// What it writes.
    pub output: Pieces,
    /// What it reads. Closed, it reads an end.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its terminal, and its end.
    pub terminal: Box<dyn Terminal>,
}

/// The terminal of a command, and how it ended.
#[async_trait]
pub trait Terminal: Send + Sync {
    /// Tells it how large the window is; without effect where there is no terminal.
    async fn resize(&self, columns: u16, rows: u16) -> Result<()>;

    /// With what the command ended; none while it runs.
    async fn exit_code(&self) -> Result<Option<i64>>;
}
