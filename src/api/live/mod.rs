//! Live changes: WebSockets over which clients are told what changes, as it happens.
//!
//! `subscribe` reads the request and answers 101; `socket` is one connection from then on. All connections that would get
//! the same bytes share a `channel`, which follows the engine's feed, reads the rows that changed, and writes each of
//! them once. `names` says which events are asked for, `frame` how one looks, and `publish` takes events in. `streams` and `tunnel` are connections of
//! other sorts: what a container writes, and agents that dial in. `engine_socket` is that of an engine. `proxy` carries requests to a container's port, `proxied_socket` those that become
//! WebSockets. Which rows a
//! reader may see is for the engine to say, and how a row is written for `resources`: neither belongs here.

mod channel;
mod engine_socket;
mod frame;
mod names;
mod proxied_socket;
mod proxy;
mod publish;
mod socket;
mod streams;
mod subscribe;
mod tunnel;
mod written;

pub use channel::Hub;
pub use proxy::{PATH as PORTS, carry};
pub use publish::publish;
pub use streams::Streams;
pub use subscribe::{Handshake, subscribe};
pub use tunnel::tunnel;
