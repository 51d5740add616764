//! Compose files: the texts of a stack become a document, and what a stack is becomes texts.
//!
//! A document says what the fields of services are to be, in the words of the API, with the names of other services where
//! rows have ids. Nothing here knows rows, requests or the network: who makes services of a document checks them as those of
//! any client. Which keys there are and what becomes of them is one table, [`KEYS`]; docs/compose.md has it in words.

mod balancing;
mod emit;
mod forms;
mod keys;
pub mod limits;
mod parts;
mod problem;
mod read;
mod resources;
mod secrets;
mod special;
mod template;
mod variables;
mod volumes;
mod write;
mod yaml;

pub use balancing::{CERTIFICATES, DEFAULT_CERTIFICATE, TARGET};
pub use keys::{File, KEYS, Key, Treatment, is_config_field};
pub use parts::Link;
pub use problem::{Problem, Warning};
pub use read::{Document, Service, Texts, read};
pub use secrets::SECRET;
pub use special::{HASH, SELECTOR_CONTAINER, SELECTOR_LINK, SIDEKICKS};
pub use volumes::Volume;
pub use write::write;
