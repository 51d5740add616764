//! Ports of simulated containers: each answers a probe as it was told, and every request with the request, so that it is seen
//! what came.

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::streams::gone;
use super::{Health, Sim};
use crate::runtime::streams::Connection;
use crate::runtime::{Error, Probe, ProbeResult, Result};

/// Bytes on their way.
const WAITING: usize = 64 * 1024;
/// No request here is longer.
const LONGEST: usize = 4 * 1024 * 1024;
/// What a program might say to whoever comes by the server's own address.
const SAID: &str = "Set-Cookie: token=stolen\r\nContent-Security-Policy: default-src *\r\nX-Said: by the container\r\nConnection: close, x-hop\r\nX-Hop: once\r\n";

impl Sim {
    /// The address of a container, if it runs and has one.
    pub(super) fn address_of(&self, uuid: &str) -> Result<IpAddr> {
        let world = self.enter("address", Some(uuid))?;
        world.state.get(uuid).ok_or_else(|| gone(uuid))?;
        let running = world.state.running(uuid);
        let running = running.ok_or_else(|| Error::Failed("the container does not run".to_owned()))?;
        let ip = running.found.ip.as_deref().and_then(|ip| ip.parse().ok());
        ip.ok_or_else(|| Error::Failed("the container has no address of its own".to_owned()))
    }

    /// What a container says to a probe.
    pub(super) fn answer_of(&self, probe: &Probe) -> ProbeResult {
        let mut world = match self.enter("probe", None) {
            Ok(world) => world,
            Err(e) => return ProbeResult::Unreachable(e.to_string()),
        };
        if let Some(Err(why)) = probe.beside.as_deref().map(|project| world.probe_beside(project)) {
            return ProbeResult::Unreachable(why);
        }
        let Some(container) = world.state.running(&probe.uuid) else {
            return ProbeResult::Down("the container does not run".to_owned());
        };
        match world
            .state
            .health
            .get(&probe.uuid)
            .copied()
            .unwrap_or(container.knobs.health)
        {
            Health::Healthy => ProbeResult::Up,
            Health::Unhealthy => ProbeResult::Down("unhealthy, as told".to_owned()),
            Health::Unreachable => ProbeResult::Unreachable("unreachable, as told".to_owned()),
        }
    }

    pub(super) fn connected(&self, uuid: &str, port: u16) -> Result<Connection> {
        let ip = self.address_of(uuid)?;
        let (stream, other) = tokio::io::duplex(WAITING);
        tokio::spawn(repeat(other));
        Ok(Connection {
            host: format!("{ip}:{port}"),
            stream: Box::new(stream),
        })
    }
}

/// Reads a request, and gives it back as the body of an answer.
async fn repeat(mut stream: DuplexStream) {
    let mut heard = Vec::new();
    while !is_whole(&heard) && heard.len() < LONGEST {
        match stream.read_buf(&mut heard).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&heard).to_ascii_lowercase();
    if text.contains("\r\nupgrade: websocket\r\n") && !text.contains("\r\nsec-websocket-protocol:") {
        return echo(stream).await;
    }
    let head = format!("HTTP/1.1 203 Repeated\r\n{SAID}Content-Length: {}\r\n\r\n", heard.len());
    let is_head = heard.starts_with(b"HEAD ");
    let written = stream.write_all(head.as_bytes()).await;
    if written.is_ok() && !is_head {
        let _ = stream.write_all(&heard).await;
    }
    let _ = stream.shutdown().await;
}

/// Agrees on another protocol, and says again what it hears, until it hears no more.
async fn echo(stream: DuplexStream) {
    let (mut from, mut to) = tokio::io::split(stream);
    let head = format!("HTTP/1.1 101 Switching Protocols\r\n{SAID}Upgrade: websocket\r\n\r\n");
    let head = head.replace("Connection: close", "Connection: Upgrade");
    if to.write_all(head.as_bytes()).await.is_ok() {
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    }
}

/// Whether a request has come to its end, by its length.
fn is_whole(heard: &[u8]) -> bool {
    let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(heard.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    heard.len() >= end + 4 + length
}
