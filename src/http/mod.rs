//! HTTP as every interface of this server speaks it: what is no matter of Rancher's, and of no other dialect's either.
//!
//! Here lives what reads headers and bodies, guards, and counts connections. Nothing here knows a path, the form of an
//! answer or an error, who may do what, or the engine: those are of the interfaces above.

pub mod address;
pub mod body;
pub mod browser;
pub mod bursts;
pub mod encoding;
#[cfg(test)]
pub mod fixture;
pub mod guard;
pub mod headers;
pub mod json;
pub mod path;
pub mod pieces;
pub mod rates;
pub mod sockets;
pub mod taken;
