//! Accounts: logging in and out, turning access control on and off, who there is.
//!
//! Only their forms on the wire: who may do what is decided by the engine, and who asks is found out by `auth`. Accounts
//! and projects as rows are resources like all others, and not here.

pub mod identities;
pub mod local_auth;
pub mod token;
