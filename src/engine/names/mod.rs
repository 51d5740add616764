//! Names that live: the table of a project, made of its rows, and the name servers that answer from it, kept and fed.
//!
//! `table.rs` decides, from values alone; `changes.rs` has it decide about the entries that changed, and `told.rs` is what is
//! remembered of the others. `keeping.rs` keeps one name server: makes it, and sends it what is new.
//! `following.rs` says which there are to be, and whose rows changed. Why a name server is wanted is known to `instances`;
//! how one is made, to the runtime. What it answers, and how, is not known here.

mod changes;
mod following;
mod keeping;
mod rows;
mod services;
mod table;
mod told;

pub use following::NameKeeper;
pub(crate) use following::{Follower, survey};
pub(crate) use keeping::{Kept, Next};
