//! The database: the only module that knows SQL.
//!
//! Reads go through a pool of read-only connections; every write is a closure run by one writer thread that groups
//! closures into commits. A closure is synchronous: no await, no runtime call. What it wants done after the commit
//! (waking the worker) it notes in its [`Tx`].
//!
//! What is asked of a database and written to it is in `body/`, which is compiled once for each kind of database, below
//! `sqlite` and `postgres`; [`Store`] and [`Tx`] pass on to whichever it is.

mod cache;
mod characters;
mod database;
mod entries;
#[cfg(test)]
mod fence_tests;
mod known;
mod layout;
mod list;
mod moved;
mod moving;
mod opening;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
mod rows;
mod seat;
mod sqlite;
mod started;
mod tables;
mod trouble;
mod tx;
mod writer;
mod writing;

#[cfg(test)]
#[path = "../../tests/databases/mod.rs"]
pub(crate) mod databases;

pub use database::{AfterCommit, Store};
pub use entries::{AuditEntry, ChangeEvent, CredentialSecret, Session, SweepLimits, Swept, Tally};
pub use layout::LayoutOf;
pub use list::{Condition, ListSpec, Marker, Order, Scalar, SortKey, Target};
pub use moving::{MoveError, move_database};
#[cfg(feature = "postgres")]
pub use opening::PostgresUrl;
pub use opening::{Database, MigrateError, OpenError, SchemaState, StoreConfig};
pub use process::{NewProcess, Process, ProcessCondition, ProcessField, ProcessOn, ProcessSpec, exit};
pub use rows::{Changes, Direction, NewResource, Selected, Slim, Whereabouts, Within};
pub use seat::{Seat, Seen};
pub use tx::Tx;
pub use writing::{Priority, Wake, WriteFault};
