//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

mod access;
mod audit;
mod containers;
mod contract;
mod credentials;
mod documents;
mod drivers;
mod hearing;
mod hostile;
mod hosts;
mod infrastructure;
mod input;
mod leaks;
mod lifecycle;
mod lists;
mod live;
mod machine;
mod matrix;
mod odd_clients;
mod openapi;
mod pages;
mod projects;
mod quirks;
mod recordings;
mod registration;
mod replay;
mod roles;
mod settings;
mod sockets;
mod stacks;
mod support;
mod tidy;
mod ties;
mod trouble;
mod types;
mod upgrades;
