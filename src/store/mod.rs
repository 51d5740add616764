//! The database: the only module that knows SQL.
//!
//! Reads go through a pool of read-only connections; every write is a closure run by one writer thread that groups
//! closures into commits. A closure is synchronous: no await, no runtime call. What it wants done after the commit
//! (waking the worker) it notes in its [`Tx`].

mod aside;
mod audit;
mod bodies;
mod cache;
mod conn;
mod credential;
mod dialect;
#[cfg(test)]
mod fence_tests;
mod identity;
mod layout;
mod migrate;
mod numbers;
mod outbox;
mod process;
mod query;
mod resource;
mod session;
mod setting;
mod started;
mod statement;
mod sweep;
mod tables;
mod tally;
mod trouble;
mod writer;

pub use audit::AuditEntry;
pub use conn::{OpenError, Reader, Store, StoreConfig};
pub use credential::CredentialSecret;
pub use layout::LayoutOf;
pub use migrate::{MigrateError, SchemaState};
pub use outbox::ChangeEvent;
pub use process::{NewProcess, Process, ProcessCondition, ProcessField, ProcessOn, ProcessSpec, exit};
pub use query::{Condition, ListSpec, Marker, Order, Scalar, SortKey, Target};
pub use resource::{Changes, Direction, NewResource, Selected, Slim, Whereabouts, Within};
pub use session::Session;
pub use sweep::{SweepLimits, Swept};
pub use tally::Tally;
pub use writer::{Priority, Tx, Wake, WriteFault};
