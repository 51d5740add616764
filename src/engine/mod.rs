//! What requests do, and what happens after them: commands, processes, reconciling.
//!
//! `door` is all that `api` and the dialects may use.

mod door;

pub use door::*;
