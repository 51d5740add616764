//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

mod contract;
mod hostile;
mod hosts;
mod lifecycle;
mod matrix;
mod support;
mod ties;
mod trouble;
mod upgrades;
