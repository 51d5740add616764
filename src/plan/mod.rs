//! The planner: from what is wanted and what is there to the next steps. Pure.
//!
//! It does no I/O, reads no clock, and is total: it never fails, it answers [`Verdict::Stuck`]. The engine calls it
//! again after each change; nothing is remembered between two calls but what the rows say. Who carries the steps
//! out has no choice left to make. The phases have a fixed order: remove broken → finish half-made units → bring
//! up missing → replace outdated → remove surplus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::launch::HealthCheck;
use crate::model::own_labels::{JobRule, PlacementRule, RestartRule, Restarts};
use crate::model::port::PortSpec;
use crate::model::{ResourceId, Timestamp};

mod affinity;
mod desired;
mod draft;
mod guard;
mod health;
mod jobs;
mod naming;
mod observed;
mod print;
mod roster;
mod schedule;
mod service;
mod spread;
mod step;
mod unit;
mod upgrade;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use desired::*;
pub use health::{Member, service_health, stack_health};
pub use naming::instance_name;
pub use observed::*;
pub use schedule::eligible_hosts;
pub use service::plan;
pub use step::*;
