//! Which balancers there are, and whose tables are not as new as the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::core::{Core, notes};
use crate::engine::instances::InstanceNotes;
use crate::model::{Resource, ResourceId, Result};
use crate::runtime::Runtime;

use super::keeping::{Kept, Next, go_on};

/// Rows read at once.
const ROWS: usize = 1000;

/// How far the outbox has been read.
#[derive(Default)]
pub(crate) struct Follower {
    read: Option<i64>,
}

impl Follower {
    /// No engine can have a balancer: what happens meanwhile is not read. Who gets one that can looks at all that is there.
    pub(crate) fn rest(&mut self) {
        self.read = None;
    }

    /// Finds containers that are balancers now, and says which projects' rows changed.
    pub(crate) fn follow(&mut self, core: &Core) -> Result<()> {
        let Some(read) = self.read else {
            // What is there already is found by looking at hosts, which is done after this.
            self.read = Some(core.store.newest_event());
            core.balancers.doubt_all();
            return Ok(());
        };
        let mut projects: BTreeSet<ResourceId> = BTreeSet::new();
        let mut changed: BTreeSet<ResourceId> = BTreeSet::new();
        let newest = core.changed_since(read, |event| {
            projects.extend(event.account);
            changed.insert(event.resource);
        })?;
        for ids in changed.into_iter().collect::<Vec<_>>().chunks(ROWS) {
            let instances = core.store.only_of(ids, "instance")?;
            for row in core.store.many(&instances)? {
                meet(core, &row);
            }
        }
        self.read = Some(newest);
        core.balancers.outdate(&projects);
        Ok(())
    }
}

/// Whether one of these engines can have a balancer.
pub(crate) fn can_balance(runtimes: &[(ResourceId, Arc<dyn Runtime>)]) -> bool {
    runtimes.iter().any(|(_, runtime)| runtime.capabilities().balancers)
}

/// A row that may be a balancer's container.
fn meet(core: &Core, row: &Resource) {
    if row.root != "instance" || row.removed.is_some() || !row.internal.contains("\"balances\":true") {
        return;
    }
    if let (true, Some(project), Some(host)) = (notes::<InstanceNotes>(row).balances, row.account_id, row.host_id)
        && core
            .runtime(host)
            .is_some_and(|runtime| runtime.capabilities().balancers)
    {
        core.balancers.want(row.id, project, host);
    }
}

/// Looks for balancers among the containers of a host.
pub(crate) fn survey(core: &Core, host: ResourceId) -> Result<()> {
    let slims = core.store.on_hosts(&[host], "instance")?;
    let found = slims.iter().filter(|slim| slim.internal.contains("\"balances\":true"));
    let ids: Vec<ResourceId> = found.map(|slim| slim.id).collect();
    for row in core.store.many(&ids)? {
        meet(core, &row);
    }
    go_on(core, &core.balancers.saw(host));
    Ok(())
}

/// Keeps all balancers, step by step. For tests; the background does the same, each by itself.
pub struct BalancerKeeper {
    core: Arc<Core>,
    follower: Follower,
    seen: BTreeSet<ResourceId>,
    kept: BTreeMap<ResourceId, Kept>,
}

impl BalancerKeeper {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            follower: Follower::default(),
            seen: BTreeSet::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Has all of them told everything again, as it is each minute.
    pub fn look(&self) {
        self.core.balancers.doubt_all();
    }

    /// Does everything that is due now.
    ///
    /// # Errors
    /// What the last one that could not go on says.
    pub async fn turn(&mut self) -> Result<()> {
        let runtimes = self.core.runtimes();
        let is_at_work = can_balance(&runtimes);
        if is_at_work {
            self.follower.follow(&self.core)?;
        } else {
            self.follower.rest();
            self.seen.clear();
        }
        for (host, _) in runtimes.into_iter().filter(|_| is_at_work) {
            if self.seen.insert(host) {
                survey(&self.core, host)?;
            }
        }
        let all = self.core.balancers.all();
        self.kept.retain(|container, _| all.contains(container));
        let mut result = Ok(());
        for container in all {
            let kept = self.kept.entry(container).or_insert_with(|| Kept::new(container));
            match kept.step(&self.core).await {
                Ok(Next::Never) => drop(self.kept.remove(&container)),
                Ok(Next::News | Next::After(_)) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }
}
