//! What a request does, for every type alike: which room has the type, lists, links, derived fields; and the tasks that admins
//! have done at once. What is special about a noun is asked of its room, not decided here. What takes time does not belong here:
//! it is a process, and `work` runs it.

mod derive;
mod dispatch;
mod lists;
mod tasks;

pub(crate) use derive::derive;
pub(crate) use dispatch::{Room, act, create, delete, update};
pub(crate) use lists::{follow, follow_list, list, tally};
pub(crate) use tasks::seed_tasks;
