//! The Rancher wire: requests in, resources and collections out.
//!
//! A request passes `guard`, `route`, `request` and then one of the handlers, which ask the engine and let
//! `schema::render` write the rows. Nothing here knows what a type does, how rows are stored, or Docker.

mod error;
#[cfg(test)]
mod fixture;
mod guard;
mod query;
mod request;
mod route;
mod text;
