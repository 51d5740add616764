//! Opening the engine, starting and stopping its background work, and stepping it in tests.

use std::sync::Arc;

use crate::engine::balancers::BalancerKeeper;
use crate::engine::core::{Access, Core, EngineConfig, Feed, Following, Key, LoopStatus, Packing, Queue, sweep_once};
use crate::engine::hosts::{Attachment, TiedHost};
use crate::engine::names::NameKeeper;
use crate::engine::work::Background;
use crate::model::{Clock, ResourceId, Result, Timestamp};
use crate::runtime::Found;
use crate::schema::Registry;
use crate::store::{OpenError, SchemaState, Store, StoreConfig, Wake, WriteFault};

use super::Engine;

/// An engine that was opened but does not work yet.
pub struct Opened {
    /// The engine.
    pub engine: Engine,
    /// How many migrations were applied.
    pub migrated: SchemaState,
}

impl Engine {
    /// Opens the database and everything that is read from it. Nothing runs yet.
    ///
    /// # Errors
    /// The database cannot be opened, or is newer than this binary.
    pub fn open(
        registry: Arc<Registry>,
        store: &StoreConfig,
        clock: Arc<dyn Clock>,
        config: EngineConfig,
        fault: Option<WriteFault>,
    ) -> Result<Opened, OpenError> {
        let queue = Arc::new(Queue::default());
        let feed = Arc::new(Feed::default());
        let (waking, growing) = (queue.clone(), feed.clone());
        let wake_clock = clock.clone();
        let access = Arc::new(Access::default());
        let known = access.clone();
        let after_commit = Box::new(move |wakes: Vec<Wake>| {
            let (mut keys, mut has_grown) = (Vec::with_capacity(wakes.len()), false);
            for wake in wakes {
                match wake {
                    Wake::Process { id, at, account } => keys.push((Key::Process(id), at, account)),
                    Wake::Resource(id) => keys.push((Key::Look(id), wake_clock.now(), None)),
                    Wake::Access => known.forget(),
                    Wake::Outbox => has_grown = true,
                }
            }
            if !keys.is_empty() {
                waking.push_all(keys);
            }
            if has_grown {
                growing.grow();
            }
        });
        let (store, state) = Store::open(
            store,
            clock.clone(),
            Arc::new(Packing(registry.clone())),
            after_commit,
            fault,
        )?;
        let core = Core::new(registry, store, clock, queue, feed, config, access).map_err(|e| OpenError::Open {
            file: "the network pool, or the file of marks".into(),
            source: Box::new(e),
        })?;
        Ok(Opened {
            engine: Self::new(Arc::new(core)),
            migrated: state,
        })
    }

    /// Seeds the database, takes over every open process, and fills what is kept in memory.
    pub async fn prepare(&self) -> Result<()> {
        let core = self.core();
        core.note_key().await?;
        core.seed().await?;
        core.note_deaths().await?;
        for process in core.store.open_processes()? {
            // A back-off that had not ended goes on; everything else starts at once.
            let at = if process.attempts > 0 {
                process.run_after()
            } else {
                Timestamp(0)
            };
            core.queue.push(Key::Process(process.id), at);
        }
        core.attach_agents()
    }

    /// Ties an engine of containers to its host.
    ///
    /// # Errors
    /// 404 if there is no such project, 409 if the engine may not be that host's: its host is left alone.
    pub async fn attach(&self, engine: Attachment) -> Result<ResourceId> {
        self.core().attach(engine).await
    }

    /// Lets the nodes of a cluster be hosts from now on; a line for whoever started the server.
    ///
    /// # Errors
    /// 404 if there is no such project, 409 if another cluster is followed.
    pub async fn follow_cluster(&self, cluster: Following) -> Result<String> {
        self.core().follow_cluster(cluster).await
    }

    /// Compares the nodes of the cluster with their hosts. For tests.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn look_at_nodes(&self) -> Result<usize> {
        self.core().look_at_nodes().await
    }

    /// Ties the engines of all hosts that were added by the API.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn attach_added(&self) -> Result<Vec<TiedHost>> {
        self.core().attach_added().await
    }

    /// Whether a host was ever tied to an engine of this kind, and is there still.
    pub fn had_engine(&self, kind: &str) -> Result<bool> {
        self.core().had_engine(kind)
    }

    /// What a simulator that begins anew is to remember.
    pub fn simulated_containers(&self) -> Result<Vec<Found>> {
        self.core().simulated_containers()
    }

    /// The identity of this database, by which its containers are known.
    pub fn server_uuid(&self) -> &str {
        self.core().store.server_uuid()
    }

    /// Begins all background work.
    pub fn start(&self) -> Background {
        Background::start(self.core())
    }

    /// How each loop of the background fares.
    pub fn background(&self) -> Vec<LoopStatus> {
        self.core().loops.all()
    }

    /// Reads again what is only kept in memory: which containers are probed, which services to look at.
    pub fn remember(&self) -> Result<()> {
        self.core().remember()
    }

    /// Does everything that is due at the clock's time, and what follows from it. For tests.
    pub async fn settle(&self) {
        self.core().settle_all().await;
    }

    /// Does the one thing that is due first, alone; `false` if nothing is due. For tests that count what happens.
    pub async fn settle_next(&self) -> bool {
        self.core().settle_next().await
    }

    /// When something is due next. For tests.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.core().queue.next_at()
    }

    /// Compares every host with its rows, as after a lost event. For tests and after a start.
    pub async fn resync(&self) -> Result<()> {
        for (host, runtime) in self.core().runtimes() {
            self.core().resync(host, &*runtime).await?;
        }
        Ok(())
    }

    /// Makes every health probe that is due. For tests.
    pub async fn probe(&self) -> Result<()> {
        self.core().probe_due().await
    }

    /// Pings the agents if it is time to. For tests.
    pub async fn ping(&self) -> Result<()> {
        self.core().ping_due().await
    }

    /// What keeps the name servers, to be stepped. For tests.
    pub fn names(&self) -> NameKeeper {
        NameKeeper::new(self.core().clone())
    }

    /// What keeps the balancers, to be stepped. For tests.
    pub fn balancers(&self) -> BalancerKeeper {
        BalancerKeeper::new(self.core().clone())
    }

    /// Deletes what is no longer needed, now.
    pub async fn sweep(&self) -> Result<usize> {
        sweep_once(self.core()).await
    }

    /// Makes sure that the database is the one that was opened.
    ///
    /// # Errors
    /// It was removed or replaced (`Unavailable`), or cannot be read now.
    pub fn check_database(&self) -> Result<()> {
        self.core().store.check_same()
    }

    /// Writes what was taken on, and closes the database.
    pub fn close(&self) {
        self.core().store.close();
        self.core().aside.close();
    }
}
