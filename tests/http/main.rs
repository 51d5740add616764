//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

mod containers;
mod contract;
mod hostile;
mod input;
mod lifecycle;
mod lists;
mod matrix;
mod stacks;
mod support;
mod types;
mod upgrades;
