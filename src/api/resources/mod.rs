//! Resources: what can be done with the types of the schemas, and how their rows, lists and descriptions are written.
//!
//! Types that are no rows (settings, processes, figures) are here too. Logins, what is no resource at all, and sockets are not.

pub mod audit;
pub mod chosen;
pub mod collection;
pub mod counts;
pub mod figures;
pub mod handler;
pub mod index;
pub mod inspect;
pub mod processes;
pub mod registration;
pub mod reply;
pub mod resource;
pub mod settings;
pub mod stack_files;
