//! Watching the engines: what happened to a container there becomes what its row says.
//!
//! An event is only a hint to look. A slow comparison of everything finds what no event told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use crate::engine::core::{Core, Served, is_active_like, notes, request, write_notes};
use crate::engine::instances::{BY_ITSELF, InstanceNotes, StopData, launch_of, plan_state, remove_data};
use crate::model::launch::LABEL_START_ONCE;
use crate::model::own_labels::RestartRule;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::plan::InstanceState;
use crate::runtime::{self, Found, Life, Runtime, RuntimeEvent};
use crate::store::{Changes, Tx, Wake};

/// All containers of an engine are compared with their rows this often, whatever events say.
const RESYNC: Duration = Duration::from_secs(60);

/// Engines that answer in this time have the services of their project looked at together.
const CROWD: Duration = Duration::from_millis(200);

/// What a container says while its processes are held still.
const PAUSED: &str = "Paused on its engine";

impl Core {
    /// Follows the events of one host until the task is dropped.
    pub(crate) async fn watch(self: Arc<Self>, host: ResourceId, runtime: Arc<dyn Runtime>) {
        let mut events = runtime.events();
        let name = watch_name(host);
        let mut is_away = false;
        let mut resync = tokio::time::interval(RESYNC);
        // The first tick comes at once; the stream's own `Connected` is the first comparison.
        resync.tick().await;
        loop {
            let result = tokio::select! {
                event = events.next() => match event {
                    Some(RuntimeEvent::Changed { uuid }) => self.changed(host, &*runtime, &uuid).await,
                    Some(RuntimeEvent::NameServer { project_uuid }) => self.name_server_changed(host, &project_uuid),
                    Some(RuntimeEvent::Connected) => {
                        is_away = false;
                        self.connected(host, &*runtime).await
                    }
                    Some(RuntimeEvent::Disconnected(why)) => {
                        is_away = true;
                        let away = Error::internal("it is waited for", runtime::Error::Unreachable(why));
                        self.host_changed(host, None).await.and(Err(away))
                    }
                    None => return,
                },
                // One that is away is compared when it answers again.
                _ = resync.tick(), if !is_away => self.refresh(host, &*runtime).await,
            };
            self.loops.ran(&name, self.now(), result);
        }
    }

    /// Asks an engine what it is and what it has.
    async fn refresh(&self, host: ResourceId, runtime: &dyn Runtime) -> Result<()> {
        if let Ok(info) = runtime.describe().await {
            if let Err(error) = self.check_engine(host, &info) {
                self.host_changed(host, None).await?;
                return Err(error);
            }
            self.host_changed(host, Some(&info)).await?;
        }
        if runtime.capabilities().network_services {
            self.name_servers.look_at_host(host);
        }
        self.resync(host, runtime).await
    }

    /// What becomes of it is for whoever keeps it.
    fn name_server_changed(&self, host: ResourceId, project_uuid: &str) -> Result<()> {
        if let Some(project) = self.store.find_by_uuid(project_uuid)? {
            let project = project.id;
            self.name_servers.happened(Served { project, host });
        }
        Ok(())
    }

    async fn connected(&self, host: ResourceId, runtime: &dyn Runtime) -> Result<()> {
        self.refresh(host, runtime).await?;
        let account = self.store.find(host)?.and_then(|h| h.account_id);
        self.look_at_project(account, self.now().plus(CROWD))
    }

    /// Compares every container of a host with its row; removes those of ours that no row knows.
    pub(crate) async fn resync(&self, host: ResourceId, runtime: &dyn Runtime) -> Result<()> {
        // Before the engine is asked: a row that changed since is of another version then, and left alone.
        let rows = self.store.rows_on(host, "instance")?;
        let found = match runtime.observe().await {
            Ok(found) => found,
            Err(error) => {
                // It is compared when it answers again.
                log::debug!("host {host} cannot be compared: {error}");
                return Ok(());
            }
        };
        let by_uuid: HashMap<&str, &Found> = found.iter().map(|f| (f.uuid.as_str(), f)).collect();
        let known: HashSet<&str> = rows.iter().map(|r| r.uuid.as_str()).collect();
        for row in &rows {
            self.compare(runtime, row, by_uuid.get(row.uuid.as_str()).copied())
                .await?;
        }
        self.compare_secrets(&rows, runtime).await?;
        for stray in found.iter().filter(|f| !known.contains(f.uuid.as_str())) {
            // Made after the rows were read, or ours from a row that is gone: only the latter is an orphan. Nobody's is never
            // one, whatever became of its row.
            let row = self.store.find_by_uuid(&stray.uuid)?;
            match (&row, &stray.native) {
                (None, Some(native)) => self.import(host, stray, native).await?,
                (Some(_), Some(_)) => {}
                (Some(row), None) if row.removed.is_none() => {}
                (Some(_) | None, None) => {
                    // That no row knows it must not be because the rows are gone.
                    self.store.check_same()?;
                    log::info!("removing {}, which no row knows", stray.name);
                    if let Err(error) = runtime.remove(&stray.uuid).await {
                        log::warn!("cannot remove {}: {error}", stray.name);
                    }
                }
            }
        }
        Ok(())
    }

    async fn changed(&self, host: ResourceId, runtime: &dyn Runtime, uuid: &str) -> Result<()> {
        let row = self.store.find_by_uuid(uuid)?;
        if row.as_ref().is_some_and(|r| r.removed.is_some()) {
            return Ok(());
        }
        let found = match runtime.find(uuid).await {
            Ok(found) => found,
            Err(error) => {
                return Err(Error::bug(format!("looking at container {uuid}")).with_message(error.to_string()));
            }
        };
        match (row, found) {
            (Some(row), found) => self.compare(runtime, &row, found.as_ref()).await,
            (None, Some(found)) => match &found.native {
                Some(native) => self.import(host, &found, native).await,
                None => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }

    /// Looks at a container whose row has come to rest: what its engine told meanwhile was left to the row's process.
    pub(crate) async fn look_at_container(&self, row: &Resource) -> Result<()> {
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            return Ok(());
        };
        if row.removed.is_some() || !notes::<InstanceNotes>(row).is_made {
            return Ok(());
        }
        match runtime.find(&row.uuid).await {
            Ok(found) => self.compare(&*runtime, row, found.as_ref()).await,
            Err(error) => {
                // Everything is compared when it answers again.
                log::debug!("{} cannot be looked at: {error}", row.name);
                Ok(())
            }
        }
    }

    /// Makes a row follow what the engine says. Rows on their way somewhere are left to their process, and looked at
    /// again when they have come to rest.
    async fn compare(&self, runtime: &dyn Runtime, row: &Resource, found: Option<&Found>) -> Result<()> {
        let note: InstanceNotes = notes(row);
        if !note.is_made {
            return Ok(());
        }
        match (plan_state(row.state), found.map(|f| f.life)) {
            (InstanceState::Running, Some(Life::Exited | Life::Created)) => self.follow_stop(row, found).await,
            (InstanceState::Running | InstanceState::Stopped, None) => self.follow_stop(row, None).await,
            (InstanceState::Running, Some(Life::Running)) => {
                self.watch_health_of(row)?;
                self.follow_pause(row, found.is_some_and(|found| found.is_paused))
                    .await?;
                self.follow_restart(row, &note, found).await
            }
            (InstanceState::Stopped, Some(Life::Running)) => self.follow_start(runtime, row).await,
            _ => Ok(()),
        }
    }

    /// It stopped by itself, or by somebody's hand; where nothing is found it was removed.
    async fn follow_stop(&self, row: &Resource, found: Option<&Found>) -> Result<()> {
        let gone = found.is_none();
        let machine = self.machine_of(&row.kind)?.clone();
        let (id, version) = (row.id, row.version);
        let launch = launch_of(row)?;
        let is_native = notes::<InstanceNotes>(row).is_native;
        let triggers = || launch.instance_triggered_stop.as_deref() == Some("remove");
        let removes = gone || row.parent_id.is_none() && !is_native && triggers();
        let data = StopData {
            by_itself: true,
            remove: removes,
            // It may be there again, by somebody's hand.
            leave: is_native,
            ..StopData::default()
        };
        let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing a stop request", e))?;
        let exit_code = found.and_then(|f| f.exit_code);
        let rule = RestartRule::checked(launch.labels.as_ref());
        // Whoever has done its work is in nobody's way.
        let is_done = launch.has_label_true(LABEL_START_ONCE) || rule.on_failure_only && exit_code == Some(0);
        self.write(move |tx| {
            let Some(row) = unchanged(tx, id, version)? else {
                return Ok(());
            };
            if machine.start("stop", row.state).is_some() {
                let mut note: InstanceNotes = notes(&row);
                match is_done {
                    true => note.note_end(exit_code, tx.now()),
                    false => note.note_exit(exit_code, tx.now()),
                }
                let changes = Changes {
                    internal: Some(write_notes(&note)?),
                    ..Changes::default()
                };
                request(tx, &machine, &row, "stop", &data, changes)?;
            } else if gone && machine.start("remove", row.state).is_some() {
                request(
                    tx,
                    &machine,
                    &row,
                    "remove",
                    &remove_data(is_native)?,
                    Changes::default(),
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Somebody started it: wanted or not, that is what the row says next.
    async fn follow_start(&self, runtime: &dyn Runtime, row: &Resource) -> Result<()> {
        if !self.may_run(row)? {
            log::info!("stopping {}, which was started by hand", row.name);
            if let Err(error) = runtime.stop(&row.uuid, Duration::from_secs(10)).await {
                log::warn!("cannot stop {}: {error}", row.name);
            }
            return Ok(());
        }
        let machine = self.machine_of(&row.kind)?.clone();
        let (id, version) = (row.id, row.version);
        self.write(move |tx| {
            if let Some(row) = unchanged(tx, id, version)?.filter(|r| machine.start("start", r.state).is_some()) {
                request(tx, &machine, &row, "start", BY_ITSELF, Changes::default())?;
            }
            Ok(())
        })
        .await
    }

    /// A container of a service runs while its service is up and it is not put aside.
    fn may_run(&self, row: &Resource) -> Result<bool> {
        let Some(service) = row.parent_id.map(|id| self.store.find(id)).transpose()?.flatten() else {
            return Ok(true);
        };
        let mut parked = false;
        for map in self.store.referrers(row.id, "instanceId")? {
            if let Some(map) = self.store.find(map)?.filter(|m| m.root == "serviceExposeMap") {
                parked |= Fields::parse(&map.fields)?.read::<bool>("upgrade")?.unwrap_or(false);
            }
        }
        Ok(is_active_like(service.state) && !parked)
    }

    /// Somebody holds it still, or lets it go on: it runs all the same, and says so. There is no state for it.
    async fn follow_pause(&self, row: &Resource, is_paused: bool) -> Result<()> {
        if is_paused == (row.message == PAUSED) {
            return Ok(());
        }
        let (id, version) = (row.id, row.version);
        self.write(move |tx| {
            let message = if is_paused { PAUSED } else { "" };
            let changes = Changes {
                message: Some(message.to_owned()),
                ..Changes::default()
            };
            match unchanged(tx, id, version)? {
                Some(row) => tx.update_if(&row, &changes).map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    /// It was restarted behind our back: addresses and ports may be new, and who shares its network has a dead one.
    async fn follow_restart(&self, row: &Resource, note: &InstanceNotes, found: Option<&Found>) -> Result<()> {
        let Some(found) = found.filter(|f| !f.started_at.is_empty() && f.started_at != note.started_at) else {
            return Ok(());
        };
        if note.started_at.is_empty() {
            return Ok(());
        }
        let machine = self.machine_of(&row.kind)?.clone();
        let dependants = self.store.referrers(row.id, "networkContainerId")?;
        let (id, version, started_at) = (row.id, row.version, found.started_at.clone());
        self.write(move |tx| {
            let Some(row) = unchanged(tx, id, version)? else {
                return Ok(());
            };
            let note = InstanceNotes {
                started_at,
                ..notes(&row)
            };
            let mut fields = Fields::parse(&row.fields)?;
            let count: i64 = fields.read("startCount")?.unwrap_or(0);
            fields.set("startCount", &(count + 1))?;
            tx.update_if(
                &row,
                &Changes {
                    fields: Some(fields),
                    internal: Some(write_notes(&note)?),
                    ..Changes::default()
                },
            )?;
            for id in dependants {
                if let Some(dependant) = tx.find(id)?.filter(|d| d.state == State::RUNNING) {
                    request(tx, &machine, &dependant, "restart", "{}", Changes::default())?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// What the watch over a host's engine is called among the loops.
pub(crate) fn watch_name(host: ResourceId) -> String {
    format!("engine of host {host}")
}

/// The row as it was compared. One that changed since is looked at again: what was found is not forgotten.
fn unchanged(tx: &mut Tx<'_>, id: ResourceId, version: i64) -> Result<Option<Resource>> {
    let row = tx.find(id)?;
    let is_same = row.as_ref().is_some_and(|r| r.version == version);
    if !is_same {
        tx.wake(Wake::Resource(id));
    }
    Ok(row.filter(|_| is_same))
}
