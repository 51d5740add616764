//! Processes: durable intent, one open row per resource and process.

use diesel::prelude::*;

use super::Scalar;
use crate::model::{Resource, ResourceId, Timestamp};

/// A row of `process_instance`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Process {
    /// The row's number.
    pub id: i64,
    /// What it is done to.
    pub resource_id: i64,
    /// `service.upgrade`
    pub process: String,
    /// How often it failed.
    pub attempts: i32,
    /// Not before.
    pub run_after_ms: i64,
    /// The server that runs it.
    pub claimed_by: String,
    /// That server's start at which it was claimed.
    pub epoch: i64,
    /// The request's own data, JSON.
    pub data: String,
    /// The last thing it said.
    pub message: String,
    /// When it was asked for.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// How it ended: one of [`exit`]; empty while it is open.
    pub exit_reason: String,
}

impl Process {
    /// What it is done to.
    pub fn resource(&self) -> ResourceId {
        ResourceId(self.resource_id)
    }

    /// Not before.
    pub fn run_after(&self) -> Timestamp {
        Timestamp(self.run_after_ms)
    }
}

/// How processes end, in the words of the wire (cattle: `ExitReason`).
pub mod exit {
    /// It did what it was to do.
    pub const DONE: &str = "DONE";
    /// It did, and another process went on from there.
    pub const CHAIN: &str = "CHAIN";
    /// Its row went on without it, or is gone.
    pub const STATE_CHANGED: &str = "STATE_CHANGED";
    /// Its row ended in `error`.
    pub const ERROR: &str = "ERROR";
}

/// A process to be asked for.
#[derive(Debug, Clone)]
pub struct NewProcess<'a> {
    /// On what.
    pub resource: &'a Resource,
    /// `service.upgrade`
    pub process: &'a str,
    /// The request's own data, JSON text; `{}` for none.
    pub data: &'a str,
}

/// What a list of processes is to contain.
#[derive(Debug, Clone, Default)]
pub struct ProcessSpec {
    /// Only those on resources of this account; none is all.
    pub account: Option<ResourceId>,
    /// All must hold.
    pub conditions: Vec<ProcessCondition>,
    /// Newest first.
    pub descending: bool,
    /// Only those behind this one in the order.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// One condition on a process.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessCondition {
    /// What is looked at.
    pub field: ProcessField,
    /// One of the wire's modifiers.
    pub modifier: String,
    /// With what it is compared; `null` and `notnull` need none.
    pub value: Option<Scalar>,
}

/// What conditions on processes can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the columns")]
pub enum ProcessField {
    Id,
    Process,
    ResourceId,
    ResourceRoot,
    AccountId,
    Attempts,
    StartedMs,
    RunAfterMs,
    EndedMs,
    ExitReason,
    Message,
    Phase,
    Result,
    Priority,
    StartServer,
    RunningServer,
}

/// A process and what its list shows of the resource it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessOn {
    /// The process.
    pub process: Process,
    /// The root of the resource's type.
    pub root: String,
    /// The resource's type.
    pub kind: String,
    /// The resource's account.
    pub account_id: Option<ResourceId>,
}
