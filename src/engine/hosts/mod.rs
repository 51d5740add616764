//! Hosts and agents: how they join, what they say of themselves, how they go, and the watch over their engines.
//! What runs on a host is asked by requests for instance processes; services are woken, not called.

mod agent_life;
mod agent_pings;
mod agents;
mod dispatch;
mod host;
mod host_fields;
mod host_life;
mod registration;
mod watch;

pub(crate) use dispatch::{create, handle, look_at, update};
pub(crate) use host::agent_state;
pub(crate) use host_fields::derive;
