//! Dying at every point and starting again: the end is the same as if nothing had happened.
//!
//! `matrix` runs whole lives of services in process and dies at each commit, before and after each call of the
//! runtime, and between a commit and its answer. `process` does what only a real process can: being killed, sharing
//! a folder, ending with a status; `resume` is about those who listen to a server that is killed, `logs` about what a
//! server writes down while secrets pass through it, `members` about several servers on one database, `members_database` about
//! what becomes of them when the database goes away, `configured` about
//! what a start does with its flags, `command_line` about what is said of them.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "the rules are for the program"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test reports")]

#[macro_use]
#[path = "../databases/mod.rs"]
mod databases;

mod added;
mod balancers;
mod command_line;
mod configured;
mod deployed;
mod dialling;
mod dialling_by_tls;
mod docker_socket;
mod dump;
mod files;
mod golden;
mod guarded;
mod hyper;
mod kill_points;
mod logs;
mod matrix;
mod members;
mod members_database;
mod members_world;
mod meshed;
mod moved;
mod process;
mod resume;
mod rolled;
mod scenarios;
mod secured;
mod served;
mod unattended;
mod world;
