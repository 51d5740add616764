//! The database, whichever it is: passes on to the one that is open.

use std::path::Path;
use std::sync::Arc;

use super::{
    ChangeEvent, CredentialSecret, Database, Direction, LayoutOf, ListSpec, OpenError, Priority, Process, ProcessOn,
    ProcessSpec, SchemaState, Selected, Session, Slim, StoreConfig, Tally, Tx, Wake, Whereabouts, WriteFault, sqlite,
};
#[cfg(feature = "postgres")]
use super::{PostgresUrl, postgres};
use crate::model::{Clock, Resource, ResourceId, Result, State, Timestamp};

/// Called after each commit with what its closures want woken.
pub type AfterCommit = Box<dyn Fn(Vec<Wake>) + Send + Sync>;

/// The database.
#[derive(Clone)]
pub struct Store(Kind);

#[derive(Clone)]
enum Kind {
    Sqlite(sqlite::Store),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Store),
}

/// Passes a call on.
macro_rules! on {
    ($store:expr, $name:ident($($arg:expr),*)) => {
        match &$store.0 {
            Kind::Sqlite(store) => store.$name($($arg),*),
            #[cfg(feature = "postgres")]
            Kind::Postgres(store) => store.$name($($arg),*),
        }
    };
}

macro_rules! passed_on {
    ($($(#[$about:meta])* fn $name:ident(&self $(, $arg:ident: $ty:ty)*) $(-> $answer:ty)?;)*) => {
        impl Store {
            $($(#[$about])* pub fn $name(&self $(, $arg: $ty)*) $(-> $answer)? {
                on!(self, $name($($arg),*))
            })*
        }
    };
}

impl Store {
    /// Opens (and makes, and migrates) the database and starts the writer. `layout` packs the fields of a row;
    /// `after_commit` is called with what the closures of a commit want woken.
    ///
    /// # Errors
    /// It cannot be opened, or is newer than this binary.
    pub fn open(
        config: &StoreConfig,
        clock: Arc<dyn Clock>,
        layout: Arc<dyn LayoutOf>,
        after_commit: AfterCommit,
        fault: Option<WriteFault>,
    ) -> Result<(Self, SchemaState), OpenError> {
        let (kind, state) = match &config.database {
            Database::File(file) => {
                let place = sqlite::Place::of(file);
                let (store, state) = sqlite::Store::open(&place, config, clock, layout, after_commit, fault)?;
                (Kind::Sqlite(store), state)
            }
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => {
                let place = postgres::Place::of(url)?.for_member(config.member.as_deref());
                let (store, state) = postgres::Store::open(&place, config, clock, layout, after_commit, fault)?;
                (Kind::Postgres(store), state)
            }
        };
        Ok((Self(kind), state))
    }

    /// Only migrates.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn migrate(database: &Database) -> Result<SchemaState, OpenError> {
        match database {
            Database::File(file) => sqlite::Store::migrate(&sqlite::Place::of(file)),
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => postgres::Store::migrate(&postgres::Place::of(url)?),
        }
    }

    /// Writes a consistent copy of a SQLite file to a new one, while others go on.
    ///
    /// # Errors
    /// One of them cannot be read or written.
    pub fn backup(file: &Path, to: &Path) -> Result<(), OpenError> {
        sqlite::backup(file, to)
    }

    /// Reads a whole SQLite file for faults.
    ///
    /// # Errors
    /// It is no database, or a damaged one.
    pub fn check(file: &Path) -> Result<(), OpenError> {
        sqlite::check(file)
    }

    /// Connects to a PostgreSQL database, and tells the version of its program.
    ///
    /// # Errors
    /// It cannot be reached.
    #[cfg(feature = "postgres")]
    pub fn reach(url: &PostgresUrl) -> Result<String, OpenError> {
        postgres::reach(url)
    }

    /// Runs a closure in a write transaction and answers once it is durable. An error rolls the closure back alone.
    ///
    /// # Errors
    /// What the closure says; 503 if nothing can be written.
    pub async fn write<T, F>(&self, priority: Priority, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        match &self.0 {
            Kind::Sqlite(store) => store.write(priority, closure).await,
            #[cfg(feature = "postgres")]
            Kind::Postgres(store) => store.write(priority, closure).await,
        }
    }
}

passed_on! {
    /// This database's own identity: the label by which its containers are known.
    fn server_uuid(&self) -> &str;
    /// How often the database was opened for serving.
    fn epoch(&self) -> i64;
    /// Why nothing can be written, if that is so.
    fn trouble(&self) -> Option<String>;
    /// Makes sure that the database is there, is the one that was opened, and says what it said then.
    ///
    /// # Errors
    /// [`crate::model::ErrorKind::Unavailable`] if it is not: whatever follows from rows must not be done. Others if it cannot be
    /// read now.
    fn check_same(&self) -> Result<()>;
    /// Stops the writer after what it has taken on, and leaves the database in order.
    fn close(&self);
    /// A row by id, removed ones too. A few microseconds: may be called on an async thread.
    fn find(&self, id: ResourceId) -> Result<Option<Resource>>;
    /// The same for who only reads it.
    fn shared(&self, id: ResourceId) -> Result<Option<Arc<Resource>>>;
    /// The live rows of this root that live in `parent`, by id.
    fn children(&self, parent: ResourceId, root: &str) -> Result<Vec<Resource>>;
    /// The newest rows of this root that an account has, or had, at most so many; those in `parent` alone, if one is given.
    fn history(&self, account: ResourceId, parent: Option<ResourceId>, root: &str, most: u32) -> Result<Vec<Resource>>;
    /// All live rows of this root, of one account or of all, by id.
    fn all(&self, root: &str, account: Option<ResourceId>) -> Result<Vec<Resource>>;
    /// Rows by ids, removed ones too, in order of id.
    fn many(&self, ids: &[ResourceId]) -> Result<Vec<Resource>>;
    /// `(parent, id)` of the live rows of this root that live in one of `parents`.
    fn child_ids(&self, parents: &[ResourceId], root: &str) -> Result<Vec<(ResourceId, ResourceId)>>;
    /// `(host, id, kind, state, notes)` of the live rows of this root on any of these hosts.
    fn on_hosts(&self, hosts: &[ResourceId], root: &str) -> Result<Vec<Slim>>;
    /// Which of these rows are live and of this root. Nothing else is read of them.
    fn only_of(&self, ids: &[ResourceId], root: &str) -> Result<Vec<ResourceId>>;
    /// Whether one of these rows is in this state. Nothing else is read of them.
    fn any_is(&self, ids: &[ResourceId], state: State) -> Result<bool>;
    /// State and health of the live rows of this root that live in `parent`. Nothing else is read of them.
    fn states_of_children(&self, parent: ResourceId, root: &str) -> Result<Vec<(State, String)>>;
    /// The live services of an account that select something of this kind. However many others there are, they are not read.
    fn selecting(&self, account: ResourceId, what: Selected) -> Result<Vec<Resource>>;
    /// All live rows of this root that have a health.
    fn with_health(&self, root: &str) -> Result<Vec<Resource>>;
    /// A live row of this root by its uuid.
    fn find_by_uuid(&self, uuid: &str) -> Result<Option<Resource>>;
    /// The ids of rows whose `field` refers to `to`.
    fn referrers(&self, to: ResourceId, field: &str) -> Result<Vec<ResourceId>>;
    /// All references `(from, to)` by this field that start (or end) at one of `ids`: one query for a page.
    fn references(&self, field: &str, ids: &[ResourceId], direction: Direction) -> Result<Vec<(ResourceId, ResourceId)>>;
    /// One page and the marker of the next. The rows may come without the engine's notes.
    fn list(&self, spec: &ListSpec) -> Result<(Vec<Arc<Resource>>, Option<String>)>;
    /// The rows of a list counted, however many pages it has; in no order.
    fn tally(&self, spec: &ListSpec) -> Result<Vec<Tally>>;
    /// Every open process: what there is to do after a start.
    fn open_processes(&self) -> Result<Vec<Process>>;
    /// The open processes by their names: how many may run now, and how many may not yet.
    fn count_open_processes(&self, now: Timestamp) -> Result<Vec<(String, i64, i64)>>;
    /// The names of those among these that are open.
    fn names_of_open_processes(&self, ids: &[i64]) -> Result<Vec<String>>;
    /// A process by its number.
    fn find_process(&self, id: i64) -> Result<Option<Process>>;
    /// The same for whoever is to run it: one that was asked for just now is not read.
    fn process_to_run(&self, id: i64) -> Result<Option<Process>>;
    /// The open processes of a resource.
    fn open_processes_of(&self, resource: ResourceId) -> Result<Vec<Process>>;
    /// Whose these processes are: each with the account of what it is done to, nobody's with 0.
    fn accounts_of_processes(&self, ids: &[i64]) -> Result<Vec<(i64, i64)>>;
    /// The same for resources.
    fn accounts_of_rows(&self, ids: &[ResourceId]) -> Result<Vec<(i64, i64)>>;
    /// Processes, ended ones too, with the resources they are done to.
    fn list_processes(&self, spec: &ProcessSpec) -> Result<Vec<ProcessOn>>;
    /// The number of the newest event, swept ones included; zero if there never was one. Whoever reads rows after it finds them as
    /// it left them, kept ones, too.
    fn newest_event(&self) -> i64;
    /// The number of the oldest event that is still there.
    fn oldest_event(&self) -> Result<Option<i64>>;
    /// At most `limit` events behind the one with this number, in order.
    fn events_after(&self, id: i64, limit: i64) -> Result<Vec<ChangeEvent>>;
    /// All credentials with this public half, in whatever case it is written, in order of id. Quick: by an index.
    fn credentials(&self, public_value: &str) -> Result<Vec<CredentialSecret>>;
    /// What is kept of one credential.
    fn credential(&self, id: ResourceId) -> Result<Option<CredentialSecret>>;
    /// The session whose token has this digest, expired or not. Quick: by an index.
    fn session(&self, digest: &str) -> Result<Option<Session>>;
    /// A session by its number.
    fn find_session(&self, id: i64) -> Result<Option<Session>>;
    /// A stored setting.
    fn setting(&self, name: &str) -> Result<Option<String>>;
    /// All stored settings, by name.
    fn settings(&self) -> Result<Vec<(String, String)>>;
    /// Each row that the server died of, and how often.
    fn deaths(&self) -> Result<Vec<(ResourceId, i32)>>;
    /// The last row that is one too many if so many are kept; 0 if there are not so many.
    fn last_audit_beyond(&self, kept: u32) -> Result<ResourceId>;
    /// `(id, host, state)` of all live rows of this root that are on a host, in no order.
    fn all_on_hosts(&self, root: &str) -> Result<Vec<(ResourceId, ResourceId, State)>>;
    /// The live rows of this root on a host, by id.
    fn rows_on(&self, host: ResourceId, root: &str) -> Result<Vec<Resource>>;
    /// Where these rows are, removed ones too, in no order. One that was deleted is left out.
    fn whereabouts(&self, ids: &[ResourceId]) -> Result<Vec<Whereabouts>>;
    /// The numbers of all live rows of this root, of one account or of all, in order. Nothing else is read of them.
    fn ids_of(&self, root: &str, account: Option<ResourceId>) -> Result<Vec<ResourceId>>;
}
