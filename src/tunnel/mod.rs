//! Tunnels: many streams of bytes over one connection that was dialled from behind a wall. An agent dials; the server opens
//! streams by it, each to the one socket that the agent leads to.
//!
//! `frame` is the wire, `mux` keeps the streams of one connection apart, `hub` is where the server keeps the connections of all
//! agents, each behind a socket of its own. What goes through is not known here, nor who may dial.

mod frame;
mod hub;
mod mux;

pub use frame::{FRAME, Hello, Welcome};
pub use hub::{Hub, Seat};
pub use mux::{Broken, LINES, Mux, Side, Stream};

/// The path of tunnels, behind the version.
pub const PATH: &str = "agenttunnel";

/// A side that has heard nothing for so long takes the connection for dead; it asks for a sign of life in a third of it.
pub const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);
