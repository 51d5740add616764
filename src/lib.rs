//! Drover: the Rancher 1.x resource API over real Docker. `docs/ARCHITECTURE.md` is the map.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::indexing_slicing,
        reason = "the rules are for the program"
    )
)]

/// The version and the commit it was made from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DROVER_COMMIT"), ")");

// By the name that the tests beside it know it by, for what they have in common with those in here.
#[cfg(test)]
extern crate self as drover;

pub mod agent;
pub mod api;
pub mod app;
pub mod auth;
pub mod balancer;
pub mod cli;
pub mod compose;
pub mod config;
pub mod dialects;
pub mod engine;
pub mod failure;
pub mod http;
pub mod keyfile;
pub mod members;
pub mod model;
pub mod netd;
pub mod outgoing;
pub mod plan;
pub mod probe;
pub mod runtime;
pub mod schema;
pub mod secret;
pub mod store;
pub mod tls;
pub mod tunnel;
