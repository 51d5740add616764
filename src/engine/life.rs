//! Starting and stopping the engine. One way for the first start, for a start after a crash, and for tests.
#![expect(clippy::disallowed_methods, reason = "these loops are what waits")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use crate::model::{Clock, ResourceId, Result, Timestamp};
use crate::runtime::{Found, Runtime};
use crate::schema::Registry;
use crate::store::{OpenError, SchemaState, Store, StoreConfig, SweepLimits, Wake, WriteFault};

use super::core::{Core, EngineConfig, Packing};
use super::door::Engine;
use super::feed::Feed;
use super::process::chain;
use super::proof::Access;
use super::queue::{Key, Queue};
use super::settings;

/// An engine that was opened but does not work yet.
pub struct Opened {
    /// The engine.
    pub engine: Engine,
    /// How many migrations were applied.
    pub migrated: SchemaState,
}

/// Rows deleted in one write of a sweep.
const SWEEP_CHUNK: i64 = 200;
/// What is committed in this time is told together: many small changes then cost little more than one.
const TELL_PAUSE: Duration = Duration::from_millis(3);
/// The time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// How often it is looked whether it is time for a ping.
const PING_TICK: Duration = Duration::from_secs(1);

/// The background work of an engine; dropping it ends the work, and nothing of it is lost.
pub struct Life {
    tasks: JoinSet<()>,
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
            for wake in wakes {
                match wake {
                    Wake::Process { id, at } => waking.push(Key::Process(id), at),
                    Wake::Resource(id) => waking.push(Key::Look(id), wake_clock.now()),
                    Wake::Access => known.forget(),
                    Wake::Outbox => growing.grow(),
                }
            }
        });
        let (store, state) = Store::open(store, clock.clone(), Arc::new(Packing(registry.clone())), after_commit, fault)?;
        let core = Core::new(registry, store, clock, queue, feed, config, access)
            .map_err(|e| OpenError::Open { file: "the network pool".into(), source: Box::new(e) })?;
        Ok(Opened { engine: Self::new(Arc::new(core)), migrated: state })
    }

    /// Seeds the database, takes over every open process, and fills what is kept in memory.
    pub async fn prepare(&self) -> Result<()> {
        let core = self.core();
        core.note_key().await?;
        core.seed().await?;
        for process in core.store.open_processes()? {
            // A back-off that had not ended goes on; everything else starts at once.
            let at = if process.attempts > 0 { process.run_after() } else { Timestamp(0) };
            core.queue.push(Key::Process(process.id), at);
        }
        core.attach_agents()
    }

    /// Ties an engine of containers to its host.
    pub async fn attach(&self, runtime: Arc<dyn Runtime>) -> Result<ResourceId> {
        self.core().attach(runtime, None).await
    }

    /// The same for one of several engines of a kind; each has a name and a host of its own.
    pub async fn attach_named(&self, runtime: Arc<dyn Runtime>, name: &str) -> Result<ResourceId> {
        self.core().attach(runtime, Some(name)).await
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
    pub fn start(&self) -> Life {
        let mut tasks = JoinSet::new();
        let core = self.core();
        tasks.spawn(core.clone().work());
        // Not before the first answer: with many rows this takes a while.
        let remembering = core.clone();
        tasks.spawn_blocking(move || {
            if let Err(error) = remembering.remember() {
                ::log::error!("reading what was watched: {}", chain(&error));
            }
        });
        tasks.spawn(watch_all(core.clone()));
        tasks.spawn(ping(core.clone()));
        tasks.spawn(tell(core.clone()));
        tasks.spawn(check_health(core.clone()));
        tasks.spawn(sweep(core.clone()));
        Life { tasks }
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

    /// Deletes what is no longer needed, now.
    pub async fn sweep(&self) -> Result<usize> {
        sweep_once(self.core()).await
    }

    /// Writes what was taken on, and closes the database.
    pub fn close(&self) {
        self.core().store.close();
    }
}

impl Life {
    /// Ends all background work and waits until it has ended.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Follows the events of every host that has a runtime, as hosts come and go.
async fn watch_all(core: Arc<Core>) {
    let mut watchers = JoinSet::new();
    let mut watched: HashMap<ResourceId, AbortHandle> = HashMap::new();
    loop {
        let runtimes = core.runtimes();
        watched.retain(|host, watcher| {
            let stays = runtimes.iter().any(|(id, _)| id == host);
            if !stays {
                watcher.abort();
            }
            stays
        });
        for (host, runtime) in runtimes {
            watched.entry(host).or_insert_with(|| watchers.spawn(core.clone().watch(host, runtime)));
        }
        core.runtimes_changed.notified().await;
    }
}

async fn ping(core: Arc<Core>) {
    loop {
        if let Err(error) = core.ping_due().await {
            ::log::warn!("pinging agents: {}", chain(&error));
        }
        tokio::time::sleep(PING_TICK).await;
    }
}

async fn tell(core: Arc<Core>) {
    loop {
        match core.tell() {
            None => core.feed.grown().await,
            Some(at) => {
                let wait = at.since(core.now()).max(TELL_PAUSE);
                let _ = tokio::time::timeout(wait, core.feed.grown()).await;
            }
        }
        tokio::time::sleep(TELL_PAUSE).await;
    }
}

async fn check_health(core: Arc<Core>) {
    loop {
        let wait = core.monitor.next_at().map_or(Duration::from_millis(500), |at| at.since(core.now()));
        tokio::time::sleep(wait.clamp(Duration::from_millis(20), Duration::from_millis(500))).await;
        if let Err(error) = core.probe_due().await {
            ::log::warn!("health checks: {}", chain(&error));
        }
    }
}

async fn sweep(core: Arc<Core>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if let Err(error) = sweep_once(&core).await {
            ::log::warn!("sweeping: {}", chain(&error));
        }
    }
}

pub(crate) async fn sweep_once(core: &Core) -> Result<usize> {
    let now = core.now();
    let before = |name| {
        let keep = i64::from(core.setting_count(name)?).saturating_mul(1_000);
        Ok::<_, crate::model::Error>(Timestamp(now.0.saturating_sub(keep)))
    };
    let limits = SweepLimits {
        processes_before: before(settings::PROCESS_SECONDS)?,
        events_before: before(settings::EVENT_SECONDS)?,
        events_kept: core.setting_count(settings::EVENT_ROWS)?.into(),
        logs_before: before(settings::SERVICE_LOG_SECONDS)?,
        audit_before: before(settings::AUDIT_SECONDS)?,
        audit_up_to: core.store.last_beyond("auditLog", core.setting_count(settings::AUDIT_ROWS)?)?,
        chunk: SWEEP_CHUNK,
    };
    let mut rows = 0;
    loop {
        let swept = core.write(move |tx| tx.sweep(&limits)).await?;
        rows += swept.rows;
        if !swept.has_more {
            return Ok(rows);
        }
    }
}
