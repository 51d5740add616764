//! What requests do, and what happens after them: commands, processes, reconciling.
//!
//! Each folder or file here is a room, and calls go down only: `core`; `access`, `labels`, `drivers`; `instances`, `webhooks`; `services`,
//! `hosts`, `accounts`, `names`, `balancers`; `commands`; `work`; `face`. What other layers may use is `Engine`, which is the face, and the words
//! that are listed below; HTTP, SQL and the engines of containers are theirs.

mod access;
mod accounts;
mod balancers;
mod commands;
mod core;
mod drivers;
mod face;
mod hosts;
mod instances;
mod labels;
mod names;
mod services;
mod webhooks;
mod work;

pub use crate::runtime::stats::Sample;
pub use crate::runtime::streams::{Bytestream, Connection, Piece, Pieces, Running, Terminal};
pub use crate::runtime::{AskedRegistry, ImageDetails, ImageFound, ImagePlatform, RegistryAuth, RegistryImage};
pub use crate::store::Tally;
pub use access::{Allowed, Rights};
pub use access::{Bearer, BearerRole, NewBearer};
pub use access::{Candidate, KeptKey, KeyProof, SigningKey};
pub use accounts::FirstAdmin;
pub use accounts::Identity;
pub use accounts::{AccessMode, KEY_CHECK, LOCAL, LocalAuth, opens_check};
pub use balancers::BalancerKeeper;
pub use core::FASTER;
pub use core::Policy;
pub use core::{ADMIN, DEFAULT_PROJECT, REGISTER, SERVICE, SUPERADMIN, SYSTEM, TOKEN};
pub use core::{Account, Answer, AuthType, Derived, Filter, Input, ListQuery, Page, Proof, Reach, Scope, Setting};
pub use core::{Asked, Attempt};
pub use core::{Change, Changed, Missed, News, Published};
pub use core::{Connect, EngineConfig, Following, MakeSimulator, Simulators, TunnelEngines};
pub use core::{LoopStatus, ProcessDefinition, ProcessInstance, ProcessPage, StateTransition};
pub use core::{MAX_PINGS, MAX_QUEUED, PING_MILLIS};
pub use core::{Message, WriteMessage, Written};
pub use core::{ObjectChange, Once, OnceKey, TAKEN, Unique, spec_of};
pub use core::{ProcessCount, ServerFigures, WorkerFigures};
pub use face::{Checked, DialledAgent, Engine, Opened, StreamTicket, Unit};
pub use hosts::{Attachment, TiedHost};
pub use instances::{Look, Looks, OpenStream};
pub use names::NameKeeper;
pub use services::{
    ADDRESS_IN_USE, Composed, Deploy, Fronted, HAS_ADDRESS, Received, RolloutOf, RolloutService, RolloutStep,
    StackFiles, Way,
};
pub use webhooks::Subscription;
pub use work::Background;
