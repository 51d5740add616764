//! The background: the loops that run all the time, the worker that takes what is due from the queue, running processes and
//! waking owners, seeding at start. Of a row it knows only the room and the owner: what a process does, and what follows from
//! a wake, is the noun's.

mod background;
mod balancers;
mod handlers;
mod run;
mod worker;

pub use background::Background;
