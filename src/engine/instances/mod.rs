//! Containers and what they have: ports, volumes, addresses, health. Only here are containers, networks and volumes made on an
//! engine, and containers started. Why a container is wanted is not known here: that is the services' business, or the
//! client's.

mod balancing;
mod container_fields;
mod container_rows;
mod containers;
mod counting;
mod declared_volumes;
mod dispatch;
mod docker_socket;
mod ending;
mod env_rules;
mod failing;
mod granted;
mod health;
mod health_rows;
mod images;
mod leaving;
mod making;
mod naming;
mod network;
mod own_key;
mod placement;
mod ports;
mod proxied;
mod pull_tasks;
mod pulling;
mod secrets;
mod spec;
mod starting;
mod stats;
mod stopping;
mod streams;
mod templates;
mod volumes;

pub(crate) use container_fields::derive;
pub(crate) use container_rows::{
    InstanceFacts, InstanceNotes, InstanceTypes, Wanted, insert_expose_map, insert_found_ports,
    insert_service_container, launch_of, plan_health, plan_state,
};
pub(crate) use containers::{check_launch, check_ports};
pub(crate) use declared_volumes::{engine_name, is_per_container, user_of_volume};
pub(crate) use dispatch::{act, create, handle, remove, update};
pub(crate) use docker_socket::give_access as give_docker_socket;
pub(crate) use ending::is_left;
pub(crate) use granted::{NAME_SERVER, wants_names};
pub(crate) use naming::{domains, search_list};
pub(crate) use own_key::{check_own_key, refuse_own_key};
pub(crate) use placement::PortFields;
pub(crate) use stats::give_access as give_stats;
pub use stats::{Look, Looks};
pub(crate) use stopping::{BY_ITSELF, StopData, abandon, dismiss, is_leaving, remove_container, remove_data};
pub use streams::OpenStream;
