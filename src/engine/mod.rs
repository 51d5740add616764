//! What requests do, and what happens after them: commands, processes, reconciling.
//!
//! `door` is all that `api` and the dialects may use; `life` is what `app` starts and stops.

mod accounts;
mod agents;
mod audit;
mod commands;
mod containers;
mod core;
mod credentials;
mod derived;
mod door;
mod feed;
mod handlers;
mod health;
mod hosts;
mod infrastructure;
mod instance;
mod labels;
mod life;
mod links;
mod lists;
mod log;
mod logins;
mod network;
mod picture;
mod preferences;
mod process;
mod processes;
mod projects;
mod proof;
mod queue;
mod reconcile;
mod registration;
mod rollup;
mod seed;
mod services;
mod settings;
mod spec;
mod stacks;
mod steps;
mod storage;
mod tasks;
mod upgrade;
mod watch;
mod worker;

pub use self::accounts::Identity;
pub use self::audit::{Asked, Attempt};
pub use self::core::{ADMIN, DEFAULT_PROJECT, EngineConfig, MakeSimulator, REGISTER, SERVICE, SUPERADMIN, SYSTEM, Simulators, TOKEN};
pub use door::*;
pub use feed::{Change, Changed, Missed, News, Published};
pub use infrastructure::Allowed;
pub use life::{Life, Opened};
pub use logins::{AccessMode, LOCAL, LocalAuth};
pub use processes::{ProcessInstance, ProcessPage};
pub use proof::{Candidate, KeyProof, Policy};
pub use settings::{MAX_PINGS, MAX_QUEUED, PING_MILLIS};
