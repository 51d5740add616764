//! The loops that keep balancers, each by a task of its own, as they come and go.

#![expect(clippy::disallowed_methods, reason = "these loops are what waits")]

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use crate::engine::balancers::{Follower, Kept, Next, can_balance, survey};
use crate::engine::core::{Core, Reader};
use crate::model::ResourceId;

/// Changes that are committed in this time are looked at together, and those for one balancer in this one.
const PAUSE: Duration = Duration::from_millis(10);
const TABLE_PAUSE: Duration = Duration::from_millis(30);

/// How often all are told everything again, whatever happens.
const EVERY: Duration = Duration::from_secs(60);

/// Between two attempts with a balancer: the first wait, doubled up to the last.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);

pub(super) async fn keep_balancers(core: Arc<Core>) {
    let mut keepers = JoinSet::new();
    let mut kept: HashMap<ResourceId, AbortHandle> = HashMap::new();
    let mut seen = BTreeSet::new();
    let mut follower = Follower::default();
    let mut again = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = core.feed.grown_for(Reader::Balancers) => {}
            () = core.balancers.changed() => {}
            _ = again.tick() => core.balancers.doubt_all(),
        }
        tokio::time::sleep(PAUSE).await;
        let runtimes = core.runtimes();
        let is_at_work = can_balance(&runtimes);
        if is_at_work {
            core.loops.ran("balancers", core.now(), follower.follow(&core));
        } else {
            // Whoever can balance later looks at all hosts then.
            follower.rest();
            seen.clear();
            core.loops.ran("balancers", core.now(), Ok(()));
        }
        for (host, _) in runtimes.into_iter().filter(|_| is_at_work) {
            if !seen.contains(&host) {
                let found = survey(&core, host);
                if found.is_ok() {
                    seen.insert(host);
                }
                core.loops.ran(&format!("balancers of host {host}"), core.now(), found);
            }
        }
        let wanted = core.balancers.all();
        kept.retain(|container, keeper| {
            let stays = wanted.contains(container) && !keeper.is_finished();
            if !stays {
                keeper.abort();
            }
            stays
        });
        for container in wanted {
            kept.entry(container)
                .or_insert_with(|| keepers.spawn(keep(core.clone(), container)));
        }
        while keepers.try_join_next().is_some() {}
    }
}

/// Keeps one balancer for as long as it is one.
async fn keep(core: Arc<Core>, container: ResourceId) {
    let name = Kept::name(container);
    let mut kept = Kept::new(container);
    let mut wait = FIRST;
    while let Some(news) = core.balancers.news_of(container) {
        let began = tokio::time::Instant::now();
        let stepped = kept.step(&core).await;
        let pause = TABLE_PAUSE.max(began.elapsed());
        let next = match stepped {
            Ok(next) => {
                wait = FIRST;
                core.loops.ran(&name, core.now(), Ok(()));
                next
            }
            Err(error) => {
                core.loops.ran(&name, core.now(), Err(error));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LAST);
                continue;
            }
        };
        match next {
            Next::Never => break,
            Next::News => news.notified().await,
            Next::After(time) => drop(tokio::time::timeout(time, news.notified()).await),
        }
        tokio::time::sleep(pause.min(TABLE_PAUSE * 10)).await;
    }
    core.loops.forget(&name);
}
