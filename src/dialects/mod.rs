//! Interfaces of other servers over the same engine: each has its paths, its errors and its translation, and nothing else.
//!
//! What a service does is the engine's; what HTTP is stands in `http`, who may enter in `auth`. No interface here knows another
//! one, or Rancher's.

pub mod bridgeport;
pub mod caller;
pub mod carried;
pub mod docker;
pub mod entry;
pub mod hyper;
pub mod medstack;
pub mod pace;
pub mod paths;
pub mod words;
