//! The background: what runs all the time, taking what is due from the queue, running processes, waking owners, seeding.
//! It chooses only the room; what a process does is the noun's.

mod background;
mod handlers;
mod run;
mod worker;

pub use background::Background;
