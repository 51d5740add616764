//! Tests against real parts: the built `drover` program, a Docker Engine, and clients from PyPI.
//!
//! `scripts/test` runs them, beside a private engine with images of its own (`scripts/lib/live-env`). Without an
//! engine named by `DROVER_TEST_DOCKER` they skip with a printed reason; with `DROVER_TEST_LIVE=1` that is a
//! failure. Run them one at a time: `scripts/lib/live-env cargo test --test live -- --test-threads=1`.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "the rules are for the program"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test reports")]

mod agents;
mod application;
mod attacker;
mod balancers;
mod browser;
mod builds;
mod chaos;
mod clients;
mod compose;
mod containers;
mod crash;
mod docker_api;
mod docker_specs;
mod engines;
mod full_disk;
mod fuzz;
mod growing;
mod hyper;
mod many;
mod medstack;
mod members;
mod mesh;
mod name_servers;
mod names;
mod natives;
mod packaged;
mod registries;
mod runtime;
mod secrets;
mod services;
mod several;
mod soak;
mod staying_up;
mod streams;
mod support;
mod swarm;
mod swarm_beside;
mod swarm_nodes;
mod swarm_services;
mod upgrades;
