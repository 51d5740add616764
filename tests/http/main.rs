//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

mod containers;
mod contract;
mod hostile;
mod hosts;
mod input;
mod lifecycle;
mod lists;
mod machine;
mod matrix;
mod stacks;
mod support;
mod tidy;
mod ties;
mod types;
mod upgrades;
