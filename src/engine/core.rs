//! What every part of the engine works with.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::{Clock, Error, Fields, Resource, ResourceId, Result, Timestamp};
use crate::runtime::{Found, Runtime};
use crate::schema::{Machine, Registry, Type, TypeView, Version};
use crate::secret::{KEY_BYTES, Keeper};
use crate::store::{LayoutOf, NewResource, Priority, Store, Tx};

use super::agents::Pings;
use super::feed::Feed;
use super::health::Monitor;
use super::network::Addresses;
use super::proof::Access;
use super::queue::{Key, Queue};

/// The account of the first admin.
pub const ADMIN: ResourceId = ResourceId(1);
/// The account of what the server does by itself.
pub const SYSTEM: ResourceId = ResourceId(2);
/// The account that may do everything.
pub const SUPERADMIN: ResourceId = ResourceId(3);
/// Who has not logged in yet.
pub const TOKEN: ResourceId = ResourceId(4);
/// Programs beside the server.
pub const SERVICE: ResourceId = ResourceId(6);
/// Who holds a registration token.
pub const REGISTER: ResourceId = ResourceId(7);
/// The Default project, `1a5`.
pub const DEFAULT_PROJECT: ResourceId = ResourceId(5);

/// What the engine is told from outside.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// From which project subnets are taken, CIDR.
    pub network_pool: String,
    /// At least this long between two looks at the same thing (zero in tests).
    pub pace: Duration,
    /// How long a removed resource can still be read if the settings cannot be.
    pub keep_removed: Duration,
    /// Digests and seals secrets with the server's own key.
    pub secrets: Arc<Keeper>,
    /// Whether access control may be turned off: where others can reach the server, only if that was said.
    pub may_be_open: bool,
    /// Makes the engines of simulated agents; without it none of them answers.
    pub simulators: Option<Simulators>,
}

/// Makes a simulated engine of this name that remembers these containers.
#[derive(Clone)]
pub struct Simulators(pub Arc<MakeSimulator>);

/// See [`Simulators`].
pub type MakeSimulator = dyn Fn(&str, Vec<Found>) -> Arc<dyn Runtime> + Send + Sync;

impl std::fmt::Debug for Simulators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Simulators")
    }
}

impl EngineConfig {
    /// Says what does not fit, before anything is opened.
    ///
    /// # Errors
    /// The network pool is not CIDR.
    pub fn check(&self) -> Result<()> {
        Addresses::new(&self.network_pool).map(drop)
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            network_pool: "10.42.0.0/16".into(),
            pace: Duration::from_millis(10),
            keep_removed: day * 2,
            // For tests: a server is given a key of its own.
            secrets: Arc::new(Keeper::new(&[0; KEY_BYTES])),
            may_be_open: true,
            simulators: None,
        }
    }
}

/// The engine's inside.
pub(crate) struct Core {
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) config: EngineConfig,
    pub(crate) addresses: Addresses,
    pub(crate) monitor: Monitor,
    pub(crate) access: Arc<Access>,
    pub(crate) pings: Pings,
    runtimes: RwLock<HashMap<ResourceId, Arc<dyn Runtime>>>,
    /// Somebody waits to hear that a host got a runtime or lost it.
    pub(crate) runtimes_changed: Notify,
}

impl Core {
    pub(crate) fn new(
        registry: Arc<Registry>,
        store: Store,
        clock: Arc<dyn Clock>,
        queue: Arc<Queue>,
        feed: Arc<Feed>,
        config: EngineConfig,
        access: Arc<Access>,
    ) -> Result<Self> {
        let addresses = Addresses::new(&config.network_pool)?;
        Ok(Self {
            registry,
            store,
            clock,
            queue,
            feed,
            config,
            addresses,
            monitor: Monitor::default(),
            access,
            pings: Pings::default(),
            runtimes: RwLock::default(),
            runtimes_changed: Notify::new(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The runtime of a host, if it is connected in this process.
    pub(crate) fn runtime(&self, host: ResourceId) -> Option<Arc<dyn Runtime>> {
        self.runtimes.read().unwrap_or_else(PoisonError::into_inner).get(&host).cloned()
    }

    /// All hosts with a runtime.
    pub(crate) fn runtimes(&self) -> Vec<(ResourceId, Arc<dyn Runtime>)> {
        let mut all: Vec<_> = self.runtimes.read().unwrap_or_else(PoisonError::into_inner).iter().map(|(id, r)| (*id, r.clone())).collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }

    pub(crate) fn add_runtime(&self, host: ResourceId, runtime: Arc<dyn Runtime>) {
        self.runtimes.write().unwrap_or_else(PoisonError::into_inner).insert(host, runtime);
        self.runtimes_changed.notify_one();
    }

    /// The host is gone: nothing is asked of its engine any more.
    pub(crate) fn remove_runtime(&self, host: ResourceId) {
        self.runtimes.write().unwrap_or_else(PoisonError::into_inner).remove(&host);
        self.runtimes_changed.notify_one();
    }

    /// The type of this name.
    pub(crate) fn type_of(&self, kind: &str) -> Result<&Arc<Type>> {
        self.registry.find_type(kind).ok_or_else(|| Error::bug(format!("no type {kind}")))
    }

    /// The type of a row; every stored root is in the registry unless an overlay lost it.
    pub(crate) fn type_of_row(&self, row: &Resource) -> Result<&Arc<Type>> {
        self.registry.type_of(&row.root, &row.kind).ok_or_else(|| Error::bug(format!("no type {}", row.root)))
    }

    /// Whether `action` is legal on `row` now, for clients of `version`.
    pub(crate) fn offers(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> bool {
        if action == "restore" || !ty.actions.contains_key(action) {
            return false;
        }
        match ty.def.machine.as_deref() {
            Some(machine) if machine.has_process(action) => machine.offers(action, &row.state, version),
            _ => true,
        }
    }

    /// The machine of a row's type.
    pub(crate) fn machine_of_row(&self, row: &Resource) -> Result<&Arc<Machine>> {
        self.type_of_row(row)?.machine.as_ref().ok_or_else(|| Error::bug(format!("{} has no machine", row.kind)))
    }

    /// The machine of a type.
    pub(crate) fn machine_of(&self, kind: &str) -> Result<&Arc<Machine>> {
        self.type_of(kind)?.machine.as_ref().ok_or_else(|| Error::bug(format!("{kind} has no machine")))
    }

    /// A row's id as the wire writes it.
    pub(crate) fn wire_id(&self, kind: &str, id: ResourceId) -> String {
        match self.registry.find_type(kind) {
            Some(ty) => format!("{}{id}", ty.prefix),
            None => format!("1{id}"),
        }
    }

    /// Looks at a resource as soon as possible.
    pub(crate) fn look(&self, id: ResourceId) {
        self.queue.push(Key::Look(id), self.now());
    }

    /// A background write.
    pub(crate) async fn write<T, F>(&self, closure: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.store.write(Priority::Background, closure).await
    }
}

/// Packs rows by their types.
pub(crate) struct Packing(pub(crate) Arc<Registry>);

impl LayoutOf for Packing {
    fn pack(&self, root: &str, kind: &str, fields: &Fields) -> Result<(String, String)> {
        let ty = self.0.type_of(root, kind).ok_or_else(|| Error::bug(format!("no type {kind}")))?;
        Ok(crate::schema::layout::pack(ty, fields))
    }
}

/// `(field, row)` for each reference in own fields.
pub(crate) fn references(ty: &Type, fields: &Fields) -> Vec<(String, ResourceId)> {
    use crate::schema::{FieldType, Source};
    let mut found = Vec::new();
    for (name, field) in &ty.fields {
        if field.source != Source::Fields {
            continue;
        }
        let wires: Vec<String> = match &field.ty {
            FieldType::Reference(_) => fields.text(name).into_iter().collect(),
            FieldType::Array(of) if matches!(**of, FieldType::Reference(_)) => fields.read(name).ok().flatten().unwrap_or_default(),
            _ => continue,
        };
        found.extend(wires.iter().filter_map(|w| crate::model::WireId::parse(w)).map(|w| (name.clone(), w.id)));
    }
    found
}

/// Rows made by the engine itself: the type's root and references are filled in from the type.
pub(crate) fn new_row(ty: &Type, account: Option<ResourceId>, fields: Fields) -> NewResource {
    let refs = references(ty, &fields);
    NewResource { root: ty.root.clone(), kind: ty.id.clone(), account_id: account, fields, refs, ..NewResource::default() }
}

/// Reads the engine's notes of a row.
pub(crate) fn notes<T: serde::de::DeserializeOwned + Default>(row: &Resource) -> T {
    serde_json::from_str(&row.internal).unwrap_or_default()
}

/// Writes the engine's notes of a row.
pub(crate) fn write_notes<T: serde::Serialize>(notes: &T) -> Result<String> {
    serde_json::to_string(notes).map_err(|e| Error::internal("writing notes", e))
}
