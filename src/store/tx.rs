//! A write transaction, as a closure sees it: passes on to that of the database that is open.

#[cfg(feature = "postgres")]
use super::postgres;
use super::{
    AuditEntry, Changes, CredentialSecret, NewProcess, NewResource, Process, Session, SweepLimits, Swept, Wake, Within,
    sqlite,
};
use crate::model::{Error, Resource, ResourceId, Result, Timestamp};

/// A write transaction.
pub struct Tx<'a>(pub(super) AnyTx<'a>);

pub(super) enum AnyTx<'a> {
    Sqlite(&'a mut sqlite::Tx),
    #[cfg(feature = "postgres")]
    Postgres(&'a mut postgres::Tx),
}

/// Passes a call on.
macro_rules! on {
    ($tx:expr, $name:ident($($arg:expr),*)) => {
        match $tx {
            AnyTx::Sqlite(tx) => tx.$name($($arg),*),
            #[cfg(feature = "postgres")]
            AnyTx::Postgres(tx) => tx.$name($($arg),*),
        }
    };
}

macro_rules! passed_on {
    ($($(#[$about:meta])* fn $name:ident(&mut self $(, $arg:ident: $ty:ty)*) $(-> $answer:ty)?;)*) => {
        impl Tx<'_> {
            $($(#[$about])* pub fn $name(&mut self $(, $arg: $ty)*) $(-> $answer)? {
                on!(&mut self.0, $name($($arg),*))
            })*
        }
    };
}

impl Tx<'_> {
    /// The time of this transaction.
    pub fn now(&self) -> Timestamp {
        on!(&self.0, now())
    }

    /// Whether so much is written that the rest should wait for a transaction of its own.
    pub fn is_full(&self) -> bool {
        on!(&self.0, is_full())
    }

    /// See the body's.
    pub(super) fn check_portion(&self) -> Result<()> {
        on!(&self.0, check_portion())
    }

    /// See the body's.
    pub(super) fn stuck_or(&mut self, error: Error) -> Error {
        on!(&mut self.0, stuck_or(error))
    }
}

passed_on! {
    /// A row by id, removed ones too, as this transaction sees it.
    fn find(&mut self, id: ResourceId) -> Result<Option<Resource>>;
    /// See [`Store::find_by_uuid`].
    fn find_by_uuid(&mut self, uuid: &str) -> Result<Option<Resource>>;
    /// A row that must be there.
    fn get(&mut self, id: ResourceId) -> Result<Resource>;
    /// See [`Store::children`].
    fn children(&mut self, parent: ResourceId, root: &str) -> Result<Vec<Resource>>;
    /// See [`Store::all`].
    fn all(&mut self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>>;
    /// See [`Store::many`].
    fn many(&mut self, ids: &[ResourceId]) -> Result<Vec<Resource>>;
    /// The ids of live rows of this root with this name, regardless of case, in an account or in a parent.
    fn named(&mut self, root: &str, within: Within, name: &str) -> Result<Vec<ResourceId>>;
    /// The live rows of this root in an account with exactly this name. Unlike [`Tx::named`] it is one step in an index.
    fn called(&mut self, root: &str, account: ResourceId, name: &str) -> Result<Vec<Resource>>;
    /// See [`Store::referrers`].
    fn referrers(&mut self, to: ResourceId, field: &str) -> Result<Vec<ResourceId>>;
    /// The rows that `from` refers to by `field`.
    fn referenced(&mut self, from: ResourceId, field: &str) -> Result<Vec<ResourceId>>;
    /// Notes a reference; one that is there already is fine.
    fn insert_ref(&mut self, from: ResourceId, field: &str, to: ResourceId) -> Result<()>;
    /// Forgets the references of a row by a field.
    fn delete_refs(&mut self, from: ResourceId, field: &str) -> Result<()>;
    /// Makes a row with its references and announces it.
    fn insert(&mut self, new: NewResource) -> Result<Resource>;
    /// Makes a row that nobody waits for.
    fn insert_unannounced(&mut self, new: NewResource) -> Result<Resource>;
    /// Changes a row if it is still as it was read (same version), and announces it. A row that moved on is a conflict.
    fn update_if(&mut self, row: &Resource, changes: &Changes) -> Result<Resource>;
    /// Asks for a process, to run at once. If it is open already its number is returned and it is woken.
    fn start_process(&mut self, new: &NewProcess<'_>) -> Result<i64>;
    /// The same for a row that has none, as it was made just now.
    fn start_first_process(&mut self, new: &NewProcess<'_>) -> Result<i64>;
    /// Has the open processes of a resource run.
    fn wake_processes_of(&mut self, resource: &Resource) -> Result<()>;
    /// Whether this process is still open: the fence of every write of a handler.
    fn is_open(&mut self, id: i64) -> Result<bool>;
    /// The version of what a process is done to, if the process is still open and its resource is there.
    fn version_under(&mut self, id: i64) -> Result<Option<i64>>;
    /// The open processes of a resource.
    fn open_processes_of(&mut self, resource: ResourceId) -> Result<Vec<Process>>;
    /// A process that has not ended.
    fn open_process(&mut self, id: i64) -> Result<Option<Process>>;
    /// Ends a process.
    fn end_process(&mut self, id: i64, reason: &str) -> Result<()>;
    /// Ends every open process of a resource: something else takes over.
    fn pre_empt(&mut self, resource: ResourceId) -> Result<()>;
    /// Lets a process wait: the next run is not before `at`.
    fn defer_process(&mut self, id: i64, at: Timestamp, attempts: i32, message: &str) -> Result<()>;
    /// Changes a process's own data.
    fn set_process_data(&mut self, id: i64, data: &str) -> Result<()>;
    /// Takes over every open process after a start: claims of an earlier epoch are void.
    fn adopt_processes(&mut self) -> Result<usize>;
    /// Says that a resource changed, to subscribers and to whoever owns it.
    fn announce(&mut self, id: ResourceId, account: Option<ResourceId>) -> Result<()>;
    /// See [`Store::credentials`].
    fn credentials(&mut self, public_value: &str) -> Result<Vec<CredentialSecret>>;
    /// See [`Store::credential`].
    fn credentials_of(&mut self, id: ResourceId) -> Result<Option<CredentialSecret>>;
    /// Keeps, or replaces, what a credential is proved by.
    fn set_credential(&mut self, credential: &CredentialSecret) -> Result<()>;
    /// Forgets what a credential was proved by: from now on it proves nothing.
    fn delete_credential(&mut self, id: ResourceId) -> Result<()>;
    /// Begins a session. An account that has too many loses the oldest.
    fn insert_session(&mut self, digest: &str, account: ResourceId, expires: Timestamp) -> Result<Session>;
    /// Ends every session there is but one.
    fn delete_all_sessions(&mut self, except: Option<i64>) -> Result<()>;
    /// Ends a session.
    fn delete_session(&mut self, id: i64) -> Result<()>;
    /// Ends all sessions of an account but one.
    fn delete_sessions(&mut self, account: ResourceId, except: Option<i64>) -> Result<()>;
    /// A stored setting.
    fn setting(&mut self, name: &str) -> Result<Option<String>>;
    /// Writes a setting.
    fn set_setting(&mut self, name: &str, value: &str) -> Result<()>;
    /// Forgets a setting: its default is in effect again.
    fn delete_setting(&mut self, name: &str) -> Result<()>;
    /// The server died of this row once more: how often that makes.
    fn note_death(&mut self, id: ResourceId) -> Result<i32>;
    /// A server was stopped in order: what it died of less often than this is forgotten.
    fn forget_fewer_deaths(&mut self, than: i32) -> Result<()>;
    /// It is worth another try.
    fn forget_deaths(&mut self, id: ResourceId) -> Result<()>;
    /// Appends a row to the audit log.
    fn record(&mut self, entry: &AuditEntry<'_>) -> Result<()>;
    /// Deletes a chunk of what is no longer needed.
    fn sweep(&mut self, limits: &SweepLimits) -> Result<Swept>;
    /// Writes something that changes nothing, to see whether writing works.
    fn try_out(&mut self) -> Result<()>;
    /// Wakes whoever looks after this resource.
    fn wake_owner(&mut self, id: ResourceId);
    /// Wakes the worker after the commit.
    fn wake(&mut self, wake: Wake);
}
