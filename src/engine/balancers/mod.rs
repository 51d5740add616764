//! Balancers that live: the table of one, made of rows, and the balancers themselves, told what is new.
//!
//! `table.rs` decides, from values alone; `rows.rs` reads them. `keeping.rs` keeps one balancer: opens a way to it, and sends it
//! its table. `following.rs` says which there are, and whose rows changed. What a balancer is, is a service's business; what it
//! runs, `instances`'; what it does with a table, is not known here.

mod following;
mod keeping;
mod rows;
mod table;

pub use following::BalancerKeeper;
pub(crate) use following::{Follower, can_balance, survey};
pub(crate) use keeping::{Kept, Next};
