//! Services and stacks: checking and making them, links and selectors, upgrades; reconciling, which is a snapshot from the
//! rows, a plan, and its steps as requests for instance processes. No engine of containers is told anything here, and what
//! the next steps are is the planner's to say.

mod balancing;
mod balancing_of_v1;
mod composed;
mod configs;
mod dependencies;
mod deploy;
mod dispatch;
mod execute;
mod files;
mod floating;
mod forwarding;
mod fronted;
mod going_back;
mod lifecycle;
mod links;
mod mesh;
mod mesh_ports;
mod names;
mod new_service;
mod parts;
mod random_ports;
mod rebalance;
mod receiving;
mod reconcile;
mod rollouts;
mod rollup;
mod scheduled;
mod selectors;
mod service;
mod service_fields;
mod shared_volumes;
mod snapshot;
mod stack;
mod to_service;
mod upgrade;
mod upgrade_merge;
mod watched;

pub use composed::{Composed, read_compose};
pub use deploy::Deploy;
pub(crate) use deploy::deploy;
pub(crate) use dispatch::{act, create, handle, look_at, remove, update};
pub use files::StackFiles;
pub(crate) use files::files_of;
pub use floating::{ADDRESS_IN_USE, HAS_ADDRESS};
pub(crate) use floating::{allocate, lead, name, release};
pub use forwarding::Way;
pub use fronted::Fronted;
pub(crate) use fronted::{create_fronted, disband};
pub use receiving::Received;
pub(crate) use receiving::{RECEIVER, check_receiver, is_receiver, receive};
pub(crate) use rollouts::roll_out;
pub use rollouts::{RolloutOf, RolloutService, RolloutStep};
pub(crate) use service_fields::derive;
pub(crate) use watched::let_container_go;
