//! What else is kept and counted: the audit log, the outbox, credentials, sessions, what is swept.

use crate::model::{ResourceId, Timestamp};

/// The type of the rows of the audit log.
pub(super) const AUDIT_LOG: &str = "auditLog";

/// A row of the audit log to be written.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// The account that the request acted for.
    pub account: ResourceId,
    /// How the caller proved who it is.
    pub auth_type: &'a str,
    /// Who asked, as the wire writes it.
    pub user: &'a str,
    /// The same as an identity.
    pub identity: &'a str,
    /// Where the request came from, or empty.
    pub client_ip: &'a str,
    /// `api.stack.create`
    pub event_type: &'a str,
    /// The type that it was about.
    pub resource_type: &'a str,
    /// The row that it was about, as the wire writes it.
    pub resource_id: Option<&'a str>,
    /// The status of the answer.
    pub response_code: u16,
    /// How long it took, in milliseconds.
    pub runtime_ms: i64,
    /// The body, as far as it is kept.
    pub request: Option<&'a str>,
    /// The answer, as far as it is kept.
    pub response: Option<&'a str>,
}

/// That a resource changed; how it looks now is in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeEvent {
    /// Where it stands in the outbox: ascending in the order of the commits, without gaps.
    pub id: i64,
    /// What changed.
    pub resource: ResourceId,
    /// Whose it is.
    pub account: Option<ResourceId>,
}

/// What is kept of one credential beside its row.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialSecret {
    /// The row.
    pub id: ResourceId,
    /// The kind of the row: `apiKey`, `password`, `agentApiKey` …
    pub kind: String,
    /// The public half, as it was given.
    pub public_value: String,
    /// A digest, a slow hash or a seal of the secret half, by the kind.
    pub secret: String,
}

impl std::fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CredentialSecret({} {} {})", self.id, self.kind, self.public_value)
    }
}

/// One login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// Who logged in.
    pub account: ResourceId,
    /// From then on it is none.
    pub expires: Timestamp,
}

/// What may go.
#[derive(Debug, Clone, Copy)]
pub struct SweepLimits {
    /// Ended processes older than this.
    pub processes_before: Timestamp,
    /// Change events older than this.
    pub events_before: Timestamp,
    /// Keep at most so many change events.
    pub events_kept: i64,
    /// Service logs older than this.
    pub logs_before: Timestamp,
    /// Rows of the audit log older than this.
    pub audit_before: Timestamp,
    /// Rows of the audit log up to this one.
    pub audit_up_to: ResourceId,
    /// Rows of each table in one call.
    pub chunk: i64,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows deleted in all.
    pub rows: usize,
    /// Whether a chunk was full: call again.
    pub has_more: bool,
}

/// How many rows of a list have these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The type.
    pub kind: String,
    /// What they belong to.
    pub parent: Option<ResourceId>,
    /// Where they are.
    pub host: Option<ResourceId>,
    /// The state, as it is kept.
    pub state: String,
    /// The health; empty for none.
    pub health: String,
    /// So many.
    pub count: u64,
}
