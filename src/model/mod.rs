//! The words every layer shares: ids, rows, errors, time, the launch configuration of a container, and what it may do
//! to its host.
//!
//! Nothing here does I/O, and nothing here knows SQL, Docker or HTTP.

pub mod balancer_table;
pub mod docker_ids;
pub mod error;
pub mod host_policy;
pub mod id;
pub mod json;
pub mod launch;
pub mod lb_config;
pub mod lease;
pub mod member;
pub mod network_table;
pub mod own_labels;
pub mod port;
pub mod probe;
pub mod resource;
pub mod schedule;
pub mod secret_reference;
pub mod selector;
pub mod service;
pub mod state;
pub mod time;

pub use docker_ids::DockerIds;
pub use error::{Error, ErrorKind, Result};
pub use host_policy::HostPolicy;
pub use id::{ResourceId, WireId};
pub use lease::Lease;
pub use member::{Member, Members};
pub use resource::{Fields, Resource};
pub use secret_reference::{FileAccess, SecretReference};
pub use service::ServiceKind;
pub use state::State;
pub use time::{Clock, Timestamp};
