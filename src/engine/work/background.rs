//! Starting and stopping the engine's background work. One way for the first start, for a start after a crash, and for tests.

#![expect(clippy::disallowed_methods, reason = "these loops are what waits")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use crate::engine::accounts::Beginnings;
use crate::engine::commands::seed_tasks;
use crate::engine::core::{Core, Reader, Served, sweep_once};
use crate::engine::hosts::watch_name;
use crate::engine::names::{Follower, Kept, Next, survey};
use crate::model::{ResourceId, Result};
use crate::runtime::Runtime;

use super::balancers::keep_balancers;

/// What is committed in this time is told together: many small changes then cost little more than one.
const TELL_PAUSE: Duration = Duration::from_millis(3);

/// The time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Changes of names that are committed in this time are looked at together, and one project is told of them no more often than
/// once in this one: what comes after a rest is told at once.
const NAMES_PAUSE: Duration = Duration::from_millis(10);
const TABLE_PAUSE: Duration = Duration::from_millis(100);

/// How often all name servers are looked at, whatever engines tell.
const NAMES_EVERY: Duration = Duration::from_secs(60);

/// Between two attempts with a name server: the first wait, doubled up to the last.
const NAMES_FIRST: Duration = Duration::from_millis(200);
const NAMES_LAST: Duration = Duration::from_secs(10);

/// How often it is looked whether it is time for a ping.
const PING_TICK: Duration = Duration::from_secs(1);

/// Between two looks at the nodes of a cluster.
const NODES_TICK: Duration = Duration::from_secs(3);

/// The background work of an engine; dropping it ends the work, and nothing of it is lost.
pub struct Background {
    tasks: JoinSet<()>,
}

impl Background {
    /// Begins all of it.
    pub(crate) fn start(core: &Arc<Core>) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(core.clone().work());
        // Not before the first answer: with many rows this takes a while.
        let remembering = core.clone();
        tasks.spawn_blocking(move || {
            remembering
                .loops
                .ran("remember", remembering.now(), remembering.remember())
        });
        tasks.spawn(watch_all(core.clone()));
        tasks.spawn(ping(core.clone()));
        tasks.spawn(follow_nodes(core.clone()));
        tasks.spawn(tell(core.clone()));
        tasks.spawn(check_health(core.clone()));
        tasks.spawn(sweep(core.clone()));
        tasks.spawn(keep_names(core.clone()));
        tasks.spawn(keep_balancers(core.clone()));
        Self { tasks }
    }

    /// Ends all background work and waits until it has ended.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Follows the events of every host that has a runtime, as hosts come and go.
async fn watch_all(core: Arc<Core>) {
    let mut watchers = JoinSet::new();
    let mut watched: HashMap<ResourceId, (Arc<dyn Runtime>, AbortHandle)> = HashMap::new();
    loop {
        let runtimes = core.runtimes();
        let there: HashMap<ResourceId, &Arc<dyn Runtime>> =
            runtimes.iter().map(|(host, runtime)| (*host, runtime)).collect();
        watched.retain(|host, (runtime, watcher)| {
            // A host whose engine is asked by another way now has another runtime.
            let is_it = |other: &Arc<dyn Runtime>| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(runtime));
            let stays = there.get(host).is_some_and(|other| is_it(other));
            if !stays {
                watcher.abort();
                core.loops.forget(&watch_name(*host));
            }
            stays
        });
        for (host, runtime) in runtimes {
            watched.entry(host).or_insert_with(|| {
                let watcher = watchers.spawn(core.clone().watch(host, runtime.clone()));
                (runtime, watcher)
            });
        }
        core.runtimes_changed.notified().await;
    }
}

async fn ping(core: Arc<Core>) {
    loop {
        core.loops.ran("agent pings", core.now(), core.ping_due().await);
        tokio::time::sleep(PING_TICK).await;
    }
}

/// Follows the nodes of the cluster, if there is one.
async fn follow_nodes(core: Arc<Core>) {
    if core.followed.get().is_none() {
        return;
    }
    loop {
        tokio::time::sleep(NODES_TICK).await;
        let looked = core.look_at_nodes().await;
        core.loops.ran("nodes of the swarm", core.now(), looked.map(drop));
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
    let mut groups = JoinSet::new();
    loop {
        let wait = core
            .monitor
            .next_at()
            .map_or(Duration::from_millis(500), |at| at.since(core.now()));
        tokio::time::sleep(wait.clamp(Duration::from_millis(20), Duration::from_millis(500))).await;
        for group in core.due_probes() {
            let core = core.clone();
            groups.spawn(async move { core.probe_group(group).await });
        }
        while groups.try_join_next().is_some() {}
        core.loops.ran("health checks", core.now(), Ok(()));
    }
}

async fn sweep(core: Arc<Core>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        core.loops.ran("sweep", core.now(), sweep_once(&core).await.map(drop));
    }
}

/// Keeps the name servers that are wanted, each by a task of its own, as they come and go.
async fn keep_names(core: Arc<Core>) {
    let mut keepers = JoinSet::new();
    let mut kept: HashMap<Served, AbortHandle> = HashMap::new();
    let mut follower = Follower::default();
    let mut again = tokio::time::interval(NAMES_EVERY);
    loop {
        tokio::select! {
            () = core.feed.grown_for(Reader::Names) => {}
            () = core.name_servers.changed() => {}
            _ = again.tick() => core.runtimes().iter().for_each(|(host, _)| core.name_servers.look_at_host(*host)),
        }
        tokio::time::sleep(NAMES_PAUSE).await;
        core.loops.ran("names", core.now(), follower.follow(&core));
        for host in core.name_servers.take_unseen() {
            let core = core.clone();
            keepers.spawn(async move {
                let name = format!("name servers of host {host}");
                core.loops.ran(&name, core.now(), survey(&core, host).await);
            });
        }
        let wanted = core.name_servers.all();
        kept.retain(|served, keeper| {
            let stays = wanted.contains(served) && !keeper.is_finished();
            if !stays {
                keeper.abort();
            }
            stays
        });
        for served in wanted {
            kept.entry(served)
                .or_insert_with(|| keepers.spawn(keep_name_server(core.clone(), served)));
        }
        while keepers.try_join_next().is_some() {}
    }
}

/// Keeps one name server for as long as it is wanted.
async fn keep_name_server(core: Arc<Core>, served: Served) {
    let name = Kept::name(served);
    let mut kept = Kept::new(served);
    let mut wait = NAMES_FIRST;
    while let Some(news) = core.name_servers.news_of(served) {
        let began = tokio::time::Instant::now();
        let stepped = kept.step(&core).await;
        // Of thousands of containers a table takes a while to make: it leaves others the larger part of the time.
        let rested = tokio::time::Instant::now() + TABLE_PAUSE.max(began.elapsed() * 2);
        let next = match &stepped {
            Ok(next) => {
                wait = NAMES_FIRST;
                *next
            }
            Err(_) => Next::News,
        };
        if stepped.is_err() {
            core.loops.ran(&name, core.now(), stepped.map(drop));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(NAMES_LAST);
            continue;
        }
        core.loops.ran(&name, core.now(), Ok(()));
        match next {
            Next::Never => break,
            Next::News => news.notified().await,
            Next::After(time) => drop(tokio::time::timeout(time, news.notified()).await),
        }
        tokio::time::sleep_until(rested).await;
    }
    core.loops.forget(&name);
}

impl Core {
    /// Watches every running container with a check, and looks at every service and stack; once, at start: what
    /// was to be woken by the last writes before it is forgotten.
    pub(crate) fn remember(&self) -> Result<()> {
        self.look_at_all(None)?;
        for stack in self.store.ids_of("stack", None)? {
            self.look(stack);
        }
        self.watch_health()
    }

    /// Makes what is missing. Run at each start: twice equals once.
    pub(crate) async fn seed(&self) -> Result<()> {
        let (beginnings, task) = (Beginnings::of(self)?, self.type_of("task")?.clone());
        self.write(move |tx| {
            beginnings.insert(tx)?;
            seed_tasks(tx, &task)?;
            tx.adopt_processes().map(drop)
        })
        .await
    }
}
