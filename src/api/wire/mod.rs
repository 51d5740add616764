//! The wire: what a path, a query, a header and a body mean, the call that they become, and the table of errors.
//!
//! Nothing here knows what is done with a call: rows, accounts, pages and sockets are other rooms.

pub mod call;
pub mod error;
#[cfg(test)]
pub mod fixture;
pub mod posting;
pub mod query;
pub mod request;
pub mod route;
pub mod sender;
pub mod zip;
