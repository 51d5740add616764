//! The name server and the metadata server of a project on one engine: `drover netd`, which the engine runs as a container of
//! its own beside those that ask.
//!
//! It answers from a table that the engine feeds to it (`src/model/network_table.rs`), and from nothing else: it knows no
//! database, no Docker and no other project. Without a feed it goes on answering from the last table, which it saves.
//!
//! Pure: `index` (a table, ready to be asked) over `packed` (records in few bytes), `message` (bytes), `answers` (what to do
//! about a question), `metadata` (paths, objects, texts). Effects: `tables`, `saved`, `feed`, `probing`, `dns`, `upstream`,
//! `http`. It runs on one thread, as process 1.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::failure::{Failure, Status};

mod answers;
mod dns;
mod feed;
mod http;
mod index;
mod message;
mod metadata;
mod packed;
mod places;
mod probing;
mod saved;
mod tables;
#[cfg(test)]
mod tests;
mod upstream;

/// Between two tries when the machine has nothing left to give.
const PAUSE: Duration = Duration::from_millis(50);

/// How many free ports are tried, if any will do.
const FREE_PORTS: usize = 8;

/// What `drover netd` is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the table is kept.
    pub table: PathBuf,
    /// The socket of the feed.
    pub feed: PathBuf,
    /// Where names are asked, over UDP and TCP.
    pub dns: SocketAddr,
    /// Where metadata is asked.
    pub http: SocketAddr,
    /// Who knows all other names, in order.
    pub upstreams: Vec<SocketAddr>,
    /// The address that is told for this server; none for the one where it was asked.
    pub address: Option<Ipv4Addr>,
}

/// Serves until it is told to stop.
pub async fn run(options: Options) -> Result<(), Failure> {
    // First of all: what has no handler is not heard by process 1.
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    let tables = tables::Tables::open(options.table);
    let names = dns::Names::new(tables.clone(), options.upstreams, options.address);
    let (udp, tcp) = both(options.dns).await.map_err(|e| taken("--dns", options.dns, &e))?;
    let dns = udp.local_addr().unwrap_or(options.dns);
    let web = TcpListener::bind(options.http)
        .await
        .map_err(|e| taken("--http", options.http, &e))?;
    let lines = feed::listen(&options.feed).map_err(|error| {
        let words = format!(
            "cannot listen on {}: {error}. Choose another with --feed.",
            options.feed.display()
        );
        Failure::new(Status::NotWritable, words)
    })?;
    let http = web.local_addr().unwrap_or(options.http);
    say(&format!("names on {dns}, metadata on {http}"));
    let mut serving = JoinSet::new();
    serving.spawn(names.clone().serve_udp(udp));
    serving.spawn(names.serve_tcp(tcp));
    serving.spawn(http::Metadata::new(tables.clone()).serve(web));
    serving.spawn(feed::serve(lines, tables));
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = serving.join_next() => Err(Failure::new(Status::Internal, "a part of the name server ended by itself")),
    }
}

/// The sockets of one address, for UDP and TCP. If any free port will do, one that is free for both.
async fn both(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..FREE_PORTS {
        let udp = UdpSocket::bind(address).await?;
        if let Ok(tcp) = TcpListener::bind(udp.local_addr()?).await {
            return Ok((udp, tcp));
        }
    }
    let udp = UdpSocket::bind(address).await?;
    let tcp = TcpListener::bind(udp.local_addr()?).await?;
    Ok((udp, tcp))
}

/// Copies lines from this process's input to the feed of a server, and the answers to its output.
pub fn feed(path: &Path) -> Result<(), Failure> {
    feed::copy(path).map_err(|error| {
        let words = format!("cannot feed {}: {error}. Is drover netd running?", path.display());
        Failure::new(Status::Port, words)
    })
}

/// Does nothing until it is told to stop.
pub async fn hold() -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn hear(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Status::Internal, format!("cannot hear signals: {error}")))
}

fn taken(flag: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let words = format!("cannot listen on {address}: {error}. Choose another with {flag}.");
    Failure::new(Status::Port, words)
}

/// A line for whoever looks at the container's log; that nobody can is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "drover netd: {line}");
}

/// Waits a moment, so that what has run out can come back.
#[expect(
    clippy::disallowed_methods,
    reason = "a socket that fails at once would be asked without end"
)]
async fn pause() {
    tokio::time::sleep(PAUSE).await;
}
