//! Balancers: from a table (`src/model/balancer_table.rs`) to a running HAProxy.
//!
//! Pure: `routes` (which rules lead where, in which order), `slots` (who is in which place), `sections` (a user's own lines),
//! `config` (text and files). Effects: `feed`, the program `drover balancer feed`, which the engine runs in a balancer's
//! container: it takes tables, writes files, has HAProxy check them, and tells it what changed. It knows no database and no Docker.

pub mod config;
mod feed;
mod haproxy;
pub mod places;
mod routes;
mod sections;
mod slots;
#[cfg(test)]
mod tests;

pub use feed::feed;
pub use sections::split as split_sections;
