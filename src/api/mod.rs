//! The Rancher wire: requests in, resources and collections out.
//!
//! A request passes `guard`, `route` and `request`, is let in by the engine, and reaches one of the handlers, which ask
//! the engine and let `schema::render` write the rows. Nothing here knows what a type does, how rows are stored, or Docker.

mod audit;
mod call;
mod catalog;
mod collection;
mod error;
#[cfg(test)]
mod fixture;
mod handler;
mod html;
mod identities;
mod index;
mod inspect;
mod live;
mod local_auth;
mod openapi;
mod processes;
mod query;
mod registration;
mod reply;
mod request;
mod resource;
mod route;
mod scripts;
mod sender;
mod server;
mod settings;
mod token;

pub use html::Folder as UiFolder;
pub use server::{ApiOptions, ApiState, configure};

pub use crate::http::sockets::SocketLimits;
