//! Hosts and agents: how they join, what they say of themselves, how they go, and the watch over their engines: rows follow what
//! happened there, and what no row wants is stopped or removed. All else that is to happen to a container is asked for as a
//! process of it; services are woken, not called.

mod added;
mod agent_life;
mod agent_pings;
mod agents;
mod attaching;
mod availability;
mod dispatch;
mod host;
mod host_fields;
mod host_life;
mod host_rows;
mod identity;
mod natives;
mod nodes;
mod nodes_by_agent;
mod registration;
mod remove_delay;
#[cfg(test)]
mod testkit;
mod tunnels;
mod watch;
mod whole;

pub use added::TiedHost;
pub use attaching::Attachment;
pub(crate) use availability::ask;
pub(crate) use dispatch::{act, create, handle, look_at, update};
pub(crate) use host::agent_state;
pub(crate) use host_fields::derive;
pub(crate) use watch::watch_name;
pub(crate) use whole::{ask_to_go, is_going, restart_all, simulate, simulates};
