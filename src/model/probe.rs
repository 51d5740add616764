//! What a health probe asks, and what it found: the words that whoever probes and whoever judges share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A probe of a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The container.
    pub uuid: String,
    /// Its address, as last seen.
    pub ip: Option<String>,
    /// The port.
    pub port: u16,
    /// An HTTP request line, or none for a TCP connect.
    pub request_line: Option<String>,
    /// What is run in the container, in place of asking a port.
    #[serde(skip)]
    pub command: Option<String>,
    /// How long to wait for the whole probe.
    pub timeout: Duration,
    /// The project whose name server makes it, from beside the container; none: whoever drives the engine makes it.
    #[serde(skip)]
    pub beside: Option<String>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeResult {
    /// It answered (2xx/3xx for HTTP).
    Up,
    /// It refused, timed out or answered badly.
    Down(String),
    /// The prober itself cannot reach that network; says nothing about the container.
    Unreachable(String),
}
