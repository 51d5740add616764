//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

mod containers;
mod contract;
mod documents;
mod hostile;
mod hosts;
mod lifecycle;
mod lists;
mod matrix;
mod quirks;
mod stacks;
mod support;
mod tidy;
mod ties;
mod types;
mod upgrades;
