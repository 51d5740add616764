//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

#![allow(clippy::expect_used, reason = "a failed test may panic")]

mod containers;
mod contract;
mod hostile;
mod hosts;
mod lifecycle;
mod lists;
mod matrix;
mod stacks;
mod support;
mod tidy;
mod ties;
mod trouble;
mod types;
mod upgrades;
