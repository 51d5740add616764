//! The Rancher API: requests in, resources and collections out.
//!
//! A request enters in `server`, is taken apart by `wire`, is let in by `auth`, and reaches a handler in one of the other
//! rooms, which ask the engine. Nothing here knows what a type does, how rows are stored, or Docker. Which room may name
//! which is in `docs/ARCHITECTURE.md`.

mod accounts;
mod live;
mod pages;
mod resources;
mod server;
mod wire;

pub use pages::html::Folder as UiFolder;
pub use server::{ApiOptions, ApiState, Shared, configure};

pub use crate::http::sockets::SocketLimits;
