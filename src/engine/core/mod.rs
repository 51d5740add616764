//! What every noun needs: rows, processes, the queue, the feed, settings, the audit log, the words of a request, and the state
//! that nouns keep in memory. Nothing here calls another room: what a noun does stands with the noun, and what has to be known
//! of it here is handed in.

mod access_cache;
mod addresses;
mod aside;
mod audit;
mod balancers;
mod census;
mod derived;
mod feed;
mod figures;
mod floating_pool;
mod following;
mod ids;
mod loops;
mod monitor;
mod name_servers;
mod objects;
mod once;
mod pings;
mod process;
mod process_list;
mod queue;
mod request;
mod rows;
mod service_log;
mod settings;
mod state;
mod sweep;
#[cfg(test)]
pub(crate) mod testkit;
mod waiting;
mod webhooks;

pub use access_cache::Policy;
pub(crate) use access_cache::{Access, Holder, KEPT, KnownKey, Standing};
pub(crate) use addresses::{CLUSTER_PREFIX, PROJECT_PREFIX, ProjectNetwork, Subnet};
pub(crate) use audit::is_kept_as_written;
pub use audit::{Asked, Attempt};
pub(crate) use balancers::Use;
pub(crate) use census::Counted;
pub(crate) use derived::{add_ids, of_root};
pub use feed::{Change, Changed, Missed, News, Published};
pub(crate) use feed::{Feed, Reader};
pub(crate) use figures::HANDS;
pub use figures::{ProcessCount, ServerFigures, WorkerFigures};
pub use following::Following;
pub(crate) use following::{Followed, is_node, name_of_node, node_of};
pub use ids::{ADMIN, DEFAULT_PROJECT, REGISTER, SERVICE, SUPERADMIN, SYSTEM, TOKEN};
pub(crate) use ids::{
    MESH_OF, PART_OF, PARTS, SIM_RUNTIME, TOKEN_KIND, is_active_like, is_project, is_sim, is_token, is_usable,
    publishes_for, stable_uuid, whole_of,
};
pub use loops::LoopStatus;
pub(crate) use monitor::millis;
pub(crate) use name_servers::{ChangedRows, Served, Serving};
pub(crate) use objects::put_object;
pub use objects::{ObjectChange, TAKEN, Unique, spec_of};
pub use once::{Once, OnceKey};
pub(crate) use process::{Outcome, back_off, edge, fenced, fenced_as_read, qualified, request, short_name, supersede};
pub use process_list::{ProcessDefinition, ProcessInstance, ProcessPage, StateTransition};
pub(crate) use queue::{Key, Queue};
pub use request::{
    Account, Answer, AuthType, Derived, FASTER, Filter, Input, ListQuery, Page, Proof, Reach, Scope, Setting,
};
pub(crate) use rows::{
    Update, apply_update, check_free_in_account, insert_and_start, live, new_row, not_available, not_now, notes,
    retire, retire_part, row_from_input, unchecked, write_notes,
};
pub(crate) use service_log::{Entry, ServiceLog, ServiceLogs, note_service};
pub(crate) use settings::{
    DEFAULT_PORTS, DOCKER_SOCKET, HOST_ADDRESS, HOST_POLICY, INFRASTRUCTURE_ROLES, INSTALL_UUID, MEMBER_ROLES,
    NETWORK_SERVICES, NONRANCHER, PASSWORD_LENGTH, REGISTRY_DEFAULT, REGISTRY_WHITELIST, WEBHOOKS_HTTP,
    WEBHOOKS_PRIVATE,
};
pub use settings::{MAX_PINGS, MAX_QUEUED, PING_MILLIS};
pub use state::{Connect, EngineConfig, MakeSimulator, Simulators, TunnelEngines};
pub(crate) use state::{Core, Packing, listed_as};
pub(crate) use sweep::sweep_once;
pub use webhooks::{Message, WriteMessage, Written};
