//! The engine's inside: what every noun works with, and what it is told from outside.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::{Clock, Error, Fields, Members, Resource, ResourceId, Result, Timestamp};
use crate::runtime::{ConnectEngine, Found, Runtime, Tunnels};
use crate::schema::{Machine, Registry, Type, TypeView, Version};
use crate::secret::{KEY_BYTES, Keeper};
use crate::store::{LayoutOf, Priority, Store, Tx};

use super::access_cache::Access;
use super::addresses::Addresses;
use super::aside::Aside;
use super::balancers::Balancers;
use super::census::Census;
use super::feed::Feed;
use super::floating_pool::FloatingPool;
use super::following::Followed;
use super::loops::Loops;
use super::monitor::Monitor;
use super::name_servers::NameServers;
use super::pings::Pings;
use super::queue::{Key, Queue};
use super::waiting::Waiting;
use super::webhooks::Webhooks;

/// What the engine is told from outside.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// From which project subnets are taken, CIDR.
    pub network_pool: String,
    /// Addresses and networks (CIDR) that projects can be given addresses of.
    pub floating_pool: Vec<String>,
    /// At least this long between two looks at the same thing (zero in tests).
    pub pace: Duration,
    /// How long a removed resource can still be read if the settings cannot be.
    pub keep_removed: Duration,
    /// By which address others reach this machine, if that was said; else the setting or the engine says it.
    pub host_address: Option<std::net::IpAddr>,
    /// Digests and seals secrets with the server's own key.
    pub secrets: Arc<Keeper>,
    /// Whether access control may be turned off: where others can reach the server, only if that was said.
    pub may_be_open: bool,
    /// Where it is written down what a server died of; none: it is not.
    pub marks: Option<PathBuf>,
    /// Makes the engines of simulated agents; without it none of them answers.
    pub simulators: Option<Simulators>,
    /// The engines of agents that dial in; without them none may.
    pub tunnels: Option<TunnelEngines>,
    /// Connects to engines that are named while the server runs; without it none may be.
    pub connect: Option<Connect>,
    /// The servers that share the database, where there are several.
    pub members: Members,
}

/// See [`EngineConfig::connect`].
#[derive(Clone)]
pub struct Connect(pub Arc<ConnectEngine>);

impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connect")
    }
}

/// See [`EngineConfig::tunnels`].
#[derive(Clone)]
pub struct TunnelEngines(pub Arc<dyn Tunnels>);

impl std::fmt::Debug for TunnelEngines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TunnelEngines")
    }
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
    /// The network pool is not CIDR, or too small; something in the other pool is no address and no network (`floatingPool`).
    pub fn check(&self) -> Result<()> {
        FloatingPool::parse(&self.floating_pool)?;
        Addresses::new(&self.network_pool)?.check_size()
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            network_pool: "10.42.0.0/16".into(),
            floating_pool: Vec::new(),
            pace: Duration::from_millis(10),
            keep_removed: day * 2,
            // For tests: a server is given a key of its own.
            secrets: Arc::new(Keeper::new(&[0; KEY_BYTES])),
            may_be_open: true,
            marks: None,
            host_address: None,
            simulators: None,
            tunnels: None,
            connect: None,
            members: Members::default(),
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
    pub(crate) floating_pool: FloatingPool,
    pub(crate) census: Census,
    pub(crate) monitor: Monitor,
    pub(crate) access: Arc<Access>,
    pub(crate) name_servers: NameServers,
    pub(crate) balancers: Balancers,
    pub(crate) pings: Pings,
    pub(crate) loops: Loops,
    pub(crate) aside: Aside,
    pub(crate) waiting: Waiting,
    pub(crate) webhooks: Webhooks,
    /// The cluster whose nodes are hosts.
    pub(crate) followed: OnceLock<Followed>,
    runtimes: RwLock<HashMap<ResourceId, Arc<dyn Runtime>>>,
    /// Somebody waits to hear that a host got a runtime or lost it.
    pub(crate) runtimes_changed: Notify,
}

/// The actions by which an upgrade, or what it came to, goes on or ends.
const LEADING_ON: [&str; 4] = ["finishupgrade", "rollback", "cancelupgrade", "continueupgrade"];

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
        let aside = Aside::open(config.marks.as_deref(), &*clock)
            .map_err(|source| Error::internal("opening the file of marks", source))?;
        let addresses = Addresses::new(&config.network_pool)?;
        let floating_pool = FloatingPool::parse(&config.floating_pool)?;
        Ok(Self {
            registry,
            store,
            clock,
            queue,
            feed,
            config,
            addresses,
            floating_pool,
            census: Census::default(),
            monitor: Monitor::default(),
            access,
            name_servers: NameServers::default(),
            balancers: Balancers::default(),
            pings: Pings::default(),
            loops: Loops::default(),
            aside,
            waiting: Waiting::default(),
            webhooks: Webhooks::default(),
            followed: OnceLock::new(),
            runtimes: RwLock::default(),
            runtimes_changed: Notify::new(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The runtime of a host, if it is connected in this process.
    pub(crate) fn runtime(&self, host: ResourceId) -> Option<Arc<dyn Runtime>> {
        self.runtimes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&host)
            .cloned()
    }

    /// All hosts with a runtime.
    pub(crate) fn runtimes(&self) -> Vec<(ResourceId, Arc<dyn Runtime>)> {
        let mut all: Vec<_> = self
            .runtimes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(id, r)| (*id, r.clone()))
            .collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }

    pub(crate) fn add_runtime(&self, host: ResourceId, runtime: Arc<dyn Runtime>) {
        self.runtimes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(host, runtime);
        self.runtimes_changed.notify_one();
        self.balancers.hosts_changed();
    }

    /// The host is gone: nothing is asked of its engine any more.
    pub(crate) fn remove_runtime(&self, host: ResourceId) {
        self.runtimes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&host);
        self.runtimes_changed.notify_one();
    }

    /// The type of this name.
    pub(crate) fn type_of(&self, kind: &str) -> Result<&Arc<Type>> {
        self.registry
            .find_type(kind)
            .ok_or_else(|| Error::bug(format!("no type {kind}")))
    }

    /// The type of a row; every stored root is in the registry unless an overlay lost it.
    pub(crate) fn type_of_row(&self, row: &Resource) -> Result<&Arc<Type>> {
        self.registry
            .type_of(&row.root, &row.kind)
            .ok_or_else(|| Error::bug(format!("no type {}", row.root)))
    }

    /// Whether `action` is legal on `row` now, for clients of `version`.
    pub(crate) fn offers(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> bool {
        let action = listed_as(&ty.def.root, action);
        if action == "restore" || !ty.actions.contains_key(action) {
            return false;
        }
        match ty.def.machine.as_deref() {
            Some(machine) if machine.has_process(action) => machine.offers(action, row.state, version),
            _ => {
                let states = ty.def.offered_in.get(action);
                states.is_none_or(|states| states.is_empty() || states.iter().any(|s| s == row.state.as_str()))
            }
        }
    }

    /// 422 for an action that is not legal now. An upgrade is told what comes first, if anything does.
    pub(crate) fn refusal(&self, version: Version, ty: &TypeView, row: &Resource, action: &str) -> Error {
        let leads_on = |name: &&str| action == "upgrade" && self.offers(version, ty, row, name);
        let first: Vec<&str> = LEADING_ON.into_iter().filter(leads_on).collect();
        let error = Error::invalid("ActionNotAvailable", "action");
        match first.is_empty() {
            true => error,
            false => error.with_message(format!("it is {}: {} comes first", row.state, first.join(" or "))),
        }
    }

    /// The machine of a row's type.
    pub(crate) fn machine_of_row(&self, row: &Resource) -> Result<&Arc<Machine>> {
        self.type_of_row(row)?
            .machine
            .as_ref()
            .ok_or_else(|| Error::bug(format!("{} has no machine", row.kind)))
    }

    /// The machine of a type.
    pub(crate) fn machine_of(&self, kind: &str) -> Result<&Arc<Machine>> {
        self.type_of(kind)?
            .machine
            .as_ref()
            .ok_or_else(|| Error::bug(format!("{kind} has no machine")))
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
        let closure = self.aside.marked_write(self.now(), closure);
        self.store.write(Priority::Background, closure).await
    }

    /// Background writes for each of `items`, a portion in each transaction: others get their turn in between. What is written
    /// must make sense if only the first ones are.
    pub(crate) async fn write_each<I, F>(&self, items: Vec<I>, mut each: F) -> Result<()>
    where
        I: Send + 'static,
        F: FnMut(&mut Tx<'_>, I) -> Result<()> + Send + 'static,
    {
        self.write_portions(items, move |tx, portion| {
            for item in portion {
                each(tx, item)?;
                if tx.is_full() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    /// The same for who reads something before the first item of each transaction: it takes items until that is full. A portion
    /// that takes none is the last.
    pub(crate) async fn write_portions<I, F>(&self, items: Vec<I>, mut portion: F) -> Result<()>
    where
        I: Send + 'static,
        F: FnMut(&mut Tx<'_>, &mut std::iter::Take<&mut std::vec::IntoIter<I>>) -> Result<()> + Send + 'static,
    {
        let mut left = items.into_iter();
        while left.len() > 0 {
            let before = left.len();
            (left, portion) = self
                .write(move |tx| {
                    portion(tx, &mut left.by_ref().take(ITEMS_A_WRITE))?;
                    Ok((left, portion))
                })
                .await?;
            if left.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// Background writes by one closure, again and again while it says that something is left: it stops when its transaction is
    /// full, and finds by itself what to go on with.
    pub(crate) async fn write_on<F>(&self, closure: F) -> Result<()>
    where
        F: Fn(&mut Tx<'_>) -> Result<bool> + Clone + Send + 'static,
    {
        while self.write(closure.clone()).await? {}
        Ok(())
    }
}

/// Actions that Rancher does not know: `(root, action, like)`. No schema lists them, so that no client offers them; whoever may
/// ask for `like` may ask for them, in the same states.
const OWN_ACTIONS: [(&str, &str, &str); 1] = [("service", "rebalance", "restart")];

/// The action of the schemas that an action is asked for like: itself, unless it is one of our own.
pub(crate) fn listed_as<'a>(root: &str, action: &'a str) -> &'a str {
    let own = OWN_ACTIONS.iter().find(|(of, own, _)| *of == root && *own == action);
    own.map_or(action, |(_, _, like)| *like)
}

/// However little each of them writes, so many items are looked at in one transaction.
const ITEMS_A_WRITE: usize = 100;

/// Packs rows by their types.
pub(crate) struct Packing(pub(crate) Arc<Registry>);

impl LayoutOf for Packing {
    fn pack(&self, root: &str, kind: &str, fields: &Fields) -> Result<(String, String)> {
        let ty = self
            .0
            .type_of(root, kind)
            .ok_or_else(|| Error::bug(format!("no type {kind}")))?;
        Ok(crate::schema::layout::pack(ty, fields))
    }

    fn sample(&self) -> Vec<u8> {
        crate::schema::layout::sample(self.0.types.values().map(|ty| &**ty))
    }
}

impl Core {
    /// Whether `kind` is `base` or comes from it.
    pub(crate) fn derives(&self, kind: &str, base: &str) -> bool {
        let mut current = Some(kind.to_owned());
        while let Some(name) = current {
            if name == base {
                return true;
            }
            current = self.registry.find_type(&name).and_then(|t| t.parent.clone());
        }
        false
    }

    /// Looks at every service of a project: something they all depend on changed.
    pub(crate) fn look_at_all(&self, account: Option<ResourceId>) -> Result<()> {
        let (now, services) = (self.now(), self.store.ids_of("service", account)?);
        log::debug!("looking at all {} services of {account:?}", services.len());
        self.queue.push_all(
            services
                .into_iter()
                .map(|id| (Key::Look(id), now, account.map(|id| id.0))),
        );
        Ok(())
    }

    /// The same once, however many ask for it until then: of a thousand hosts that answer at one time each does.
    pub(crate) fn look_at_project(&self, account: Option<ResourceId>, at: Timestamp) -> Result<()> {
        match account {
            Some(project) => {
                self.queue.push(Key::Look(project), at);
                Ok(())
            }
            None => self.look_at_all(None),
        }
    }
}
