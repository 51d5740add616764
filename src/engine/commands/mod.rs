//! What a request does, for every type alike: dispatch to the room that has the type, lists, links, derived fields, tasks.
//! No noun's fields are named here: what is special about one is asked of its room.

mod derive;
mod dispatch;
mod lists;
mod tasks;

pub(crate) use derive::derive;
pub(crate) use dispatch::{Room, act, create, delete, update};
pub(crate) use lists::{follow, list};
pub(crate) use tasks::seed_tasks;
