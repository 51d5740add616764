//! Which name servers there are to be, and whose tables are not as new as the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::core::{ChangedRows, Core, Served, is_usable};
use crate::engine::instances::InstanceNotes;
use crate::model::{Error, ResourceId, Result};
use crate::runtime;

use super::keeping::{Kept, Next};

/// How far the outbox has been read.
#[derive(Default)]
pub(crate) struct Follower {
    /// None while there is no name server: whoever gets one reads all rows anyway.
    read: Option<i64>,
}

impl Follower {
    /// Says which projects' rows changed.
    pub(crate) fn follow(&mut self, core: &Core) -> Result<()> {
        let kept = core.name_servers.all();
        if kept.is_empty() {
            self.read = None;
            return Ok(());
        }
        let Some(read) = self.read else {
            self.read = Some(core.store.newest_event());
            core.name_servers
                .outdate(&kept.iter().map(|served| (served.project, ChangedRows::Any)).collect());
            return Ok(());
        };
        let projects: BTreeSet<ResourceId> = kept.iter().map(|served| served.project).collect();
        let mut changed: BTreeMap<ResourceId, ChangedRows> = BTreeMap::new();
        let newest = core.changed_since(read, |event| {
            // The project itself, perhaps.
            for project in event.account.into_iter().chain([event.resource]) {
                if projects.contains(&project) {
                    let rows = BTreeSet::from([event.resource]);
                    changed.entry(project).or_default().add(ChangedRows::Rows(rows));
                }
            }
        })?;
        self.read = Some(newest);
        core.name_servers.outdate(&changed);
        Ok(())
    }
}

/// Asks an engine which name servers it has, and the rows which it is to have: those that are missing are wanted, those that
/// nobody needs are removed.
pub(crate) async fn survey(core: &Core, host: ResourceId) -> Result<()> {
    let Some(runtime) = core.runtime(host).filter(|r| r.capabilities().network_services) else {
        return Ok(());
    };
    let Some(row) = core.store.find(host)?.filter(|row| row.removed.is_none()) else {
        return Ok(());
    };
    let slims = core.store.on_hosts(&[host], "instance")?;
    let asks = |notes: &str| {
        serde_json::from_str::<InstanceNotes>(notes)
            .is_ok_and(|note| note.names.is_some_and(|names| names.server().is_some()))
    };
    let is_used = slims.iter().any(|slim| asks(&slim.internal));
    if let Some(project) = row.account_id.filter(|_| is_used) {
        core.name_servers.want(Served { project, host });
    }
    let is_on = core.wants_name_servers()?;
    let there = match runtime.name_servers().await {
        Ok(there) => there,
        // It is asked when it answers again.
        Err(runtime::Error::Unreachable(_)) => return Ok(()),
        Err(error) => return Err(Error::internal("asking which name servers there are", error)),
    };
    for found in there {
        let project = core.store.find_by_uuid(&found.project_uuid)?;
        let own = project.filter(|project| Some(project.id) == row.account_id && is_usable(project));
        match own {
            Some(project) if is_on || is_used => core.name_servers.want(Served {
                project: project.id,
                host,
            }),
            own => {
                // That no row knows it must not be because the rows are gone.
                core.store.check_same()?;
                if let Some(project) = own {
                    core.name_servers.forget(Served {
                        project: project.id,
                        host,
                    });
                }
                log::info!("removing the name server of {}, which nobody needs", found.project_uuid);
                if let Err(error) = runtime.remove_name_server(&found.project_uuid).await {
                    log::warn!("cannot remove it: {error}");
                }
            }
        }
    }
    Ok(())
}

/// Keeps all name servers, step by step. For tests; the background does the same, each by itself.
pub struct NameKeeper {
    core: Arc<Core>,
    follower: Follower,
    kept: BTreeMap<Served, Kept>,
}

impl NameKeeper {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            follower: Follower::default(),
            kept: BTreeMap::new(),
        }
    }

    /// Has every engine asked what is there, as it is each minute.
    pub fn look(&self) {
        for (host, _) in self.core.runtimes() {
            self.core.name_servers.look_at_host(host);
        }
    }

    /// Does everything that is due now.
    ///
    /// # Errors
    /// What the last one that could not go on says.
    pub async fn turn(&mut self) -> Result<()> {
        self.follower.follow(&self.core)?;
        for host in self.core.name_servers.take_unseen() {
            survey(&self.core, host).await?;
        }
        let all = self.core.name_servers.all();
        self.kept.retain(|served, _| all.contains(served));
        let mut result = Ok(());
        for served in all {
            let kept = self.kept.entry(served).or_insert_with(|| Kept::new(served));
            match kept.step(&self.core).await {
                Ok(Next::Never) => drop(self.kept.remove(&served)),
                Ok(Next::News | Next::After(_)) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }
}
