//! Driving one container through its runtime: all that makes and starts containers. Others stop and remove what no row wants.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::model::launch::{LABEL_PULL_IMAGE, LaunchConfig, image_reference, is_sim_image, parse_reference};
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::plan;
use crate::runtime::{self, Found, PullPolicy, Runtime};
use crate::store::{Changes, Process, Tx};

use super::super::core::{Core, notes, write_notes};
use super::super::credentials::CREDENTIAL_FIELD;
use super::super::instance::{InstanceNotes, launch_of};
use super::super::process::{self, Outcome, fenced, request};
use super::super::spec::SpecError;

/// A start that fails this often is an error (of a container of no service), or waits for long (of a service).
const TRIES: i32 = 5;
/// How long a container waits for another one before it looks again.
const SIBLING_WAIT: Duration = Duration::from_millis(100);
/// A pull that is over so soon says nothing: the image was there.
const QUICK_PULL_MS: i64 = 200;
/// How long work waits for an engine that does not answer before it asks again.
const ENGINE_WAIT: Duration = Duration::from_secs(2);
/// What `docker stop` waits by default.
const STOP_GRACE: Duration = Duration::from_secs(10);

impl Core {
    pub(crate) async fn create_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let launch = launch_of(row)?;
        let row = match row.host_id {
            Some(_) => row.clone(),
            None => match self.place(process, row, &launch).await? {
                Ok(row) => row,
                Err(message) => return self.start_failed(process, row, message).await,
            },
        };
        let Some(host) = row.host_id else { return Ok(Outcome::Failed("Waiting for a host".into())) };
        let Some(runtime) = self.runtime(host) else { return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into())) };
        if let Err(error) = self.pull(process, &row, &launch, &*runtime).await {
            return self.start_failed(process, &row, error).await;
        }
        if let Err(error) = self.prepare_volumes(&row, &launch, &*runtime).await? {
            return self.start_failed(process, &row, error).await;
        }
        let (row, network) = match self.network_of(process, &row, &launch).await? {
            Ok(found) => found,
            Err(message) => return self.start_failed(process, &row, message).await,
        };
        let spec = match self.container_spec(&row, network) {
            Ok(spec) => spec,
            Err(SpecError::NotYet(message)) => return Ok(Outcome::Again(SIBLING_WAIT, message)),
            Err(SpecError::Impossible(message)) if row.parent_id.is_none() => {
                // Trying again would change nothing.
                self.to_error(process, &row, message).await?;
                return Ok(Outcome::Left);
            }
            Err(SpecError::Impossible(message)) => return self.start_failed(process, &row, message).await,
            Err(SpecError::Internal(error)) => return Err(error),
        };
        let found = match runtime.create(&spec).await {
            Ok(found) => found,
            Err(runtime::Error::NameTaken(_)) => return self.rename(process, &row).await,
            Err(error) => return self.start_failed(process, &row, error).await,
        };
        self.note_creation(process, &row, found, &launch).await
    }

    /// Writes what the engine made, and goes straight on to the start unless that is not wanted.
    async fn note_creation(&self, process: &Process, row: &Resource, found: Found, launch: &LaunchConfig) -> Result<Outcome> {
        // One that is made anew on its way up only goes on: it is its start that noticed.
        let goes_on = row.state != "creating";
        let starts = !goes_on && launch.start_on_create.unwrap_or(true);
        let machine = self.machine_of(&row.kind)?.clone();
        let (process_id, row_id) = (process.id, row.id);
        let external_id = found.external_id.clone();
        let types = self.instance_types()?;
        let image = self.type_of("image")?.clone();
        let on_managed = launch.network_mode.as_deref() == Some("managed");
        let network_prefix = self.type_of("network")?.prefix.clone();
        let (volume, mount) = (self.type_of("volume")?.clone(), self.type_of("mount")?.clone());
        let pulled_with = self.registry_credential(row, image_reference(launch.image_uuid.as_deref().unwrap_or_default()))?;
        let pulled_with = pulled_with.map(|(credential, _)| (credential.id, self.wire_id("registryCredential", credential.id)));
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(()) };
            let mut fields = Fields::parse(&row.fields)?;
            fields.set("externalId", &external_id)?;
            if let Some((credential, wire)) = pulled_with {
                fields.set(CREDENTIAL_FIELD, &wire)?;
                tx.insert_ref(row.id, CREDENTIAL_FIELD, credential)?;
            }
            if on_managed
                && fields.text("primaryNetworkId").is_none()
                && let Some(network) = super::super::drivers::default_network(tx, row.account_id)?
            {
                fields.set("primaryNetworkId", &format!("{network_prefix}{network}"))?;
                tx.insert_ref(row.id, "primaryNetworkId", network)?;
            }
            let note = InstanceNotes { is_made: true, docker_name: found.name.clone(), ..notes(&row) };
            super::super::storage::note_mounts(tx, &types, &volume, &mount, &row, &found)?;
            super::super::storage::note_image(tx, &image, &row)?;
            let changes = Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() };
            if starts {
                tx.end_process(process_id, "Done")?;
                request(tx, &machine, &row, "start", "{}", changes)?;
            } else {
                tx.update_if(&row, &changes)?;
            }
            Ok(())
        })
        .await?;
        Ok(match (goes_on, starts) {
            (true, _) => Outcome::Again(Duration::ZERO, row.message.clone()),
            (false, true) => Outcome::Left,
            (false, false) => Outcome::done(),
        })
    }

    pub(crate) async fn start_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let note: InstanceNotes = notes(row);
        if !note.is_made {
            // Stopped before the engine ever had it: make it now.
            return self.create_instance(process, row).await;
        }
        let launch = launch_of(row)?;
        if let Some(message) = self.waits_for(&launch)? {
            return Ok(Outcome::Again(SIBLING_WAIT, message));
        }
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
        };
        if launch.label(LABEL_PULL_IMAGE) == Some("always")
            && let Err(error) = self.pull(process, row, &launch, &*runtime).await
        {
            return self.start_failed(process, row, error).await;
        }
        match runtime.start(&row.uuid).await {
            Ok(found) => self.started(row, &launch, found).await,
            Err(runtime::Error::Gone(_)) => self.make_again(process, row).await,
            Err(runtime::Error::AddressTaken(message)) => {
                log::info!("{}: {message}", row.name);
                self.new_address(process, row).await
            }
            Err(error) => self.start_failed(process, row, error).await,
        }
    }

    /// Everything that changes with a start, in one go.
    async fn started(&self, row: &Resource, launch: &LaunchConfig, found: Found) -> Result<Outcome> {
        let fields = Fields::parse(&row.fields)?;
        let mut patch = Fields::default();
        let count: i64 = fields.read("startCount")?.unwrap_or(0);
        patch.set("startCount", &(count + 1))?;
        if fields.text("firstRunning").is_none() {
            patch.set("firstRunning", &self.now().to_wire())?;
        }
        let note: InstanceNotes = notes(row);
        let address = found.ip.clone().or_else(|| note.ip.clone()).or(self.provider_address(launch)?);
        patch.set("primaryIpAddress", &address)?;
        let restarted = note.ran;
        let health = launch.health_check.as_ref().filter(|c| c.port.is_some()).map(|_| {
            if row.health == "healthy" || row.health == "unhealthy" || row.health == "reinitializing" {
                "reinitializing"
            } else {
                "initializing"
            }
        });
        let note = InstanceNotes { ran: true, started_at: found.started_at.clone(), ..note };
        let changes = Changes { patch, internal: Some(write_notes(&note)?), health: health.map(str::to_owned), ..Changes::default() };
        self.note_ports_and_address(row, &found, address).await?;
        self.monitor.watch(row.id, launch, self.now(), health.is_some());
        if restarted {
            self.restart_dependants(row).await?;
        }
        Ok(Outcome::Done(Box::new(changes)))
    }

    /// Containers that share this one's network namespace hold a dead one after its restart: they start again too.
    async fn restart_dependants(&self, row: &Resource) -> Result<()> {
        let dependants = self.store.referrers(row.id, "networkContainerId")?;
        if dependants.is_empty() {
            return Ok(());
        }
        let machine = self.machine_of(&row.kind)?.clone();
        self.write(move |tx| {
            for id in dependants {
                if let Some(dependant) = tx.find(id)?
                    && dependant.state == "running"
                {
                    request(tx, &machine, &dependant, "restart", "{}", Changes::default())?;
                }
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn restart_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
        };
        if let Err(error) = runtime.stop(&row.uuid, grace(process, &launch_of(row)?)).await {
            return Ok(Outcome::Failed(error.to_string()));
        }
        self.start_instance(process, row).await
    }

    pub(crate) async fn stop_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let launch = launch_of(row)?;
        self.monitor.forget(row.id);
        match row.host_id.and_then(|h| self.runtime(h)) {
            Some(runtime) => {
                if let Err(error) = runtime.stop(&row.uuid, grace(process, &launch)).await {
                    return Ok(Outcome::Failed(error.to_string()));
                }
            }
            None if row.host_id.is_some() && self.host_is_there(row.host_id)? => {
                return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
            }
            None => {}
        }
        self.note_ports_down(row).await?;
        let data: StopData = serde_json::from_str(&process.data).unwrap_or_default();
        let removes =
            data.remove || launch.instance_triggered_stop.as_deref() == Some("remove") && row.parent_id.is_none() && data.by_itself;
        let failed = data.error.clone();
        Ok(match (removes, failed) {
            (true, _) => Outcome::Then(Box::default(), "remove", "{}".into()),
            (false, Some(message)) => {
                self.to_error(process, row, message).await?;
                Outcome::Left
            }
            (false, None) => Outcome::Done(Box::new(Changes { message: data.because, ..Changes::default() })),
        })
    }

    pub(crate) async fn remove_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        self.monitor.forget(row.id);
        match row.host_id.and_then(|h| self.runtime(h)) {
            Some(runtime) => {
                if let Err(error) = runtime.remove(&row.uuid).await {
                    return Ok(Outcome::Failed(error.to_string()));
                }
            }
            // A host that is only away will have to be told later; one that was removed never will be.
            None if row.host_id.is_some() && self.host_is_there(row.host_id)? => {
                return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
            }
            None => {}
        }
        let keep = self.keep_removed();
        let row_id = row.id;
        let dependants = self.store.referrers(row.id, "networkContainerId")?;
        let process_id = process.id;
        let machine = self.machine_of(&row.kind)?.clone();
        let volumes = self.machine_of("volume")?.clone();
        let cleanup = super::super::storage::Cleanup::of(&launch_of(row)?);
        let is_kept = self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(true) };
            super::super::storage::release_volumes(tx, &volumes, &row, cleanup)?;
            for root in ["port", "mount", "nic", "ipAddress", "label"] {
                for part in tx.children(row.id, root)? {
                    retire(tx, &part, keep)?;
                }
            }
            for map in tx.referrers(row.id, "instanceId")? {
                if let Some(map) = tx.find(map)?.filter(|m| m.root == "serviceExposeMap" && m.removed.is_none()) {
                    retire(tx, &map, keep)?;
                    tx.delete_refs(map.id, "serviceId")?;
                    tx.delete_refs(map.id, "instanceId")?;
                }
            }
            // Given back with the row's knowledge: a second run of this handler must not give it back from a new owner.
            let note = InstanceNotes { ip: None, ..notes(&row) };
            tx.update_if(&row, &Changes { internal: Some(write_notes(&note)?), ..Changes::default() })?;
            // Who lived in its namespace cannot go on: containers of no service stop, the others are the planner's.
            for id in dependants {
                if let Some(dependant) = tx.find(id)?.filter(|d| d.parent_id.is_none() && d.state == "running") {
                    request(tx, &machine, &dependant, "stop", "{}", Changes::default())?;
                }
            }
            super::super::steps::keep_address(tx, &row)
        });
        let is_kept = is_kept.await?;
        let note: InstanceNotes = notes(row);
        if let (Some(project), Some(ip), false) = (row.account_id, &note.ip, is_kept) {
            self.addresses.release(project, ip);
        }
        Ok(Outcome::done())
    }

    /// Counts a failed try. A container of no service ends in `error`; a service's is tried on, with the engine's words.
    async fn start_failed(&self, process: &Process, row: &Resource, error: impl Into<runtime::Error>) -> Result<Outcome> {
        let message = match error.into() {
            // Nobody's fault but the engine's: nothing is counted, the work waits.
            runtime::Error::Unreachable(why) => return Ok(Outcome::Again(ENGINE_WAIT, format!("Waiting for the host: {why}"))),
            other => other.to_string(),
        };
        if row.parent_id.is_some() || process.attempts + 1 < tries(&launch_of(row)?) {
            return Ok(Outcome::Failed(message));
        }
        let note: InstanceNotes = notes(row);
        if note.ran {
            // It ran before: it is only stopped.
            let machine = self.machine_of(&row.kind)?.clone();
            let (process_id, row_id) = (process.id, row.id);
            let data = StopData { because: Some(message.clone()), ..StopData::default() };
            let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing a stop request", e))?;
            self.write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(()) };
                request(tx, &machine, &row, "stop", &data, Changes { message: Some(message), ..Changes::default() })?;
                Ok(())
            })
            .await?;
            return Ok(Outcome::Left);
        }
        self.to_error(process, row, message).await?;
        Ok(Outcome::Left)
    }

    /// Ends in `error` with the engine's words kept as the message.
    async fn to_error(&self, process: &Process, row: &Resource, message: String) -> Result<()> {
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(()) };
            tx.end_process(process_id, "Error")?;
            tx.update_if(&row, &Changes { state: Some("error".into()), message: Some(message), ..Changes::default() })?;
            Ok(())
        })
        .await
    }

    /// The name is taken by a stranger: the intent is written with a name that cannot be, and tried again.
    async fn rename(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let name = super::super::instance::unique_name(&row.name, &row.uuid);
        self.change_notes(process, row, move |note| note.docker_name = name).await?;
        Ok(Outcome::Again(Duration::ZERO, String::new()))
    }

    /// Somebody has the address: another one is taken, and the container made anew with it.
    async fn new_address(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        if let Some(runtime) = row.host_id.and_then(|h| self.runtime(h))
            && let Err(error) = runtime.remove(&row.uuid).await
        {
            return Ok(Outcome::Failed(error.to_string()));
        }
        // The old address stays reserved: whoever has it is not ours.
        self.change_notes(process, row, |note| {
            note.ip = None;
            note.is_made = false;
        })
        .await?;
        Ok(Outcome::Again(Duration::ZERO, String::new()))
    }

    /// The engine no longer has it: it is made again as it was.
    async fn make_again(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        if let (Some(project), Some(host)) = (row.account_id, row.host_id) {
            self.forget_network(project, host);
        }
        self.change_notes(process, row, |note| note.is_made = false).await?;
        Ok(Outcome::Again(Duration::ZERO, String::new()))
    }

    async fn change_notes(
        &self,
        process: &Process,
        row: &Resource,
        change: impl FnOnce(&mut InstanceNotes) + Send + 'static,
    ) -> Result<()> {
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(()) };
            let mut note: InstanceNotes = notes(&row);
            change(&mut note);
            tx.update_if(&row, &Changes { internal: Some(write_notes(&note)?), ..Changes::default() })?;
            Ok(())
        })
        .await
    }

    /// Chooses a host for a container of no service.
    async fn place(&self, process: &Process, row: &Resource, launch: &LaunchConfig) -> Result<Result<Resource, String>> {
        let host = match launch.requested_host_id.as_deref().and_then(parse_reference) {
            Some(host) => host,
            None => match self.place_for(row, launch)? {
                Ok(host) => host,
                Err(message) => return Ok(Err(message)),
            },
        };
        let (process_id, row_id) = (process.id, row.id);
        let placed = self
            .write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(None) };
                tx.update_if(&row, &Changes { host_id: Some(Some(host)), ..Changes::default() }).map(Some)
            })
            .await?;
        Ok(placed.ok_or_else(|| "the container moved on".to_owned()))
    }

    /// The planner's choice for a service of one unit is the choice for a container of no service.
    fn place_for(&self, row: &Resource, launch: &LaunchConfig) -> Result<Result<ResourceId, String>> {
        let desired = plan::Desired {
            stack: String::new(),
            service: row.name.clone(),
            goal: plan::Goal::Run,
            scale: plan::Scale::Units(1),
            configs: vec![self.plan_config(None, launch)],
            health: plan::HealthStrategy::None,
            divider: '-',
        };
        let hosts = self.plan_hosts(row.account_id, None, &[launch])?;
        let plan = plan::plan(&desired, &plan::Observed { hosts, ..plan::Observed::default() }, self.now());
        let chosen = plan.steps.iter().find_map(|step| match step {
            plan::Step::Create { host, .. } => Some(*host),
            _ => None,
        });
        Ok(chosen.ok_or_else(|| match plan.verdict {
            plan::Verdict::Stuck(message) => message,
            _ if is_sim_image(launch.image_uuid.as_deref().unwrap_or_default()) => {
                "Scheduling failed: no simulated host (start the server with --simulator)".into()
            }
            _ => "Scheduling failed: no host".into(),
        }))
    }

    /// The network and address of a container in managed networking, decided and written before it is made.
    async fn network_of(
        &self,
        process: &Process,
        row: &Resource,
        launch: &LaunchConfig,
    ) -> Result<runtime::Result<(Resource, Option<(String, String)>)>> {
        let (Some("managed"), Some(project), Some(host)) = (launch.network_mode.as_deref(), row.account_id, row.host_id) else {
            return Ok(Ok((row.clone(), None)));
        };
        let Some(project) = self.store.find(project)? else { return Ok(Err("the project is gone".to_owned().into())) };
        let network = match self.managed_network(&project, host).await {
            Ok(network) => network,
            Err(error) => return Ok(Err(error)),
        };
        let note: InstanceNotes = notes(row);
        if let Some(ip) = note.ip {
            return Ok(Ok((row.clone(), Some((network.id, ip)))));
        }
        let wanted: Vec<String> = launch
            .label("io.rancher.container.requested_ip")
            .map(|l| l.split(',').map(|w| w.trim().to_owned()).collect())
            .unwrap_or_default();
        let ip = match self.allocate_address(project.id, &network, &wanted)? {
            Ok(ip) => ip,
            Err(message) => return Ok(Err(message.into())),
        };
        let (process_id, row_id, held) = (process.id, row.id, ip.clone());
        let written = self
            .write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(None) };
                let note = InstanceNotes { ip: Some(held), ..notes(&row) };
                tx.update_if(&row, &Changes { internal: Some(write_notes(&note)?), ..Changes::default() }).map(Some)
            })
            .await;
        match written {
            Ok(Some(row)) => Ok(Ok((row, Some((network.id, ip))))),
            other => {
                self.addresses.release(project.id, &ip);
                other?;
                Ok(Err("the container moved on".to_owned().into()))
            }
        }
    }

    /// Makes the image present; progress becomes the message, once a second at most, and never of a pull that is over
    /// before anybody could read it.
    async fn pull(&self, process: &Process, row: &Resource, launch: &LaunchConfig, runtime: &dyn Runtime) -> runtime::Result<()> {
        let image = image_reference(launch.image_uuid.as_deref().unwrap_or_default()).to_owned();
        let policy = if launch.label(LABEL_PULL_IMAGE) == Some("always") { PullPolicy::Always } else { PullPolicy::IfAbsent };
        let auth = self.registry_auth(row, &image).map_err(|e| runtime::Error::Failed(e.to_string()))?;
        let last = AtomicI64::new(self.now().0 - 1_000 + QUICK_PULL_MS);
        let (sender, mut progress) = tokio::sync::mpsc::unbounded_channel::<String>();
        let clock = self.clock.clone();
        let report = move |sentence: String| {
            let now = clock.now().0;
            if now - last.load(Ordering::Relaxed) >= 1_000 {
                last.store(now, Ordering::Relaxed);
                // Nobody listens any more once the pull has ended.
                let _ = sender.send(sentence);
            }
        };
        let (process_id, row_id) = (process.id, row.id);
        let pulling = async {
            let result = runtime.pull(&image, policy, auth.as_ref(), &report).await;
            drop(report);
            result
        };
        let telling = async {
            while let Some(message) = progress.recv().await {
                let told = self
                    .write(move |tx| {
                        let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(()) };
                        tx.update_if(&row, &Changes { message: Some(message), ..Changes::default() })?;
                        Ok(())
                    })
                    .await;
                if let Err(error) = told {
                    log::debug!("progress of {row_id} not written: {}", process::chain(&error));
                }
            }
        };
        let (result, ()) = tokio::join!(pulling, telling);
        result
    }

    /// What has to run before this container may start.
    fn waits_for(&self, launch: &LaunchConfig) -> Result<Option<String>> {
        let Some(provider) = launch.network_container_id.as_deref().filter(|_| launch.network_mode.as_deref() == Some("container")) else {
            return Ok(None);
        };
        let row = parse_reference(provider).map(|id| self.store.find(id)).transpose()?.flatten();
        Ok(row.filter(|r| r.state != "running" && r.removed.is_none()).map(|r| format!("Waiting for {} to start", r.name)))
    }

    /// A container in another's namespace has the other's address.
    fn provider_address(&self, launch: &LaunchConfig) -> Result<Option<String>> {
        let provider = launch.network_container_id.as_deref().and_then(parse_reference);
        let row = provider.map(|id| self.store.find(id)).transpose()?.flatten();
        row.map(|r| Fields::parse(&r.fields)).transpose().map(|f| f.and_then(|f| f.text("primaryIpAddress")))
    }

    fn host_is_there(&self, host: Option<ResourceId>) -> Result<bool> {
        let host = host.map(|h| self.store.find(h)).transpose()?.flatten();
        Ok(host.is_some_and(|h| h.removed.is_none() && h.state != "removing"))
    }
}

/// What a stop is asked with.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StopData {
    /// Remove it afterwards.
    pub(crate) remove: bool,
    /// Seconds.
    pub(crate) timeout: Option<u64>,
    /// It stopped by itself: only the row follows.
    pub(crate) by_itself: bool,
    /// Why it is stopped, if it had to be: kept as the message.
    pub(crate) because: Option<String>,
    /// End in `error` with this message.
    pub(crate) error: Option<String>,
}

/// How often a start is tried: administrators may say so in `data` (cattle: `computeTries`, `InstanceStart`).
fn tries(launch: &LaunchConfig) -> i32 {
    let own = launch.data.as_ref().and_then(|d| d.get("io.cattle.platform.process.instance.InstanceStart")?.get("computeTries")?.as_i64());
    own.and_then(|n| i32::try_from(n).ok()).map_or(TRIES, |n| n.clamp(1, TRIES))
}

fn grace(process: &Process, launch: &LaunchConfig) -> Duration {
    let data: StopData = serde_json::from_str(&process.data).unwrap_or_default();
    let configured = launch.stop_timeout.and_then(|s| u64::try_from(s).ok());
    data.timeout.or(configured).map_or(STOP_GRACE, |s| Duration::from_secs(s.min(3_600)))
}

/// A part of something that goes: removed at once, readable for a while.
pub(crate) fn retire(tx: &mut Tx<'_>, part: &Resource, keep: Duration) -> Result<Resource> {
    let now = tx.now();
    let changes = Changes { state: Some("removed".into()), removed: Some(now), purge_after: Some(now.plus(keep)), ..Changes::default() };
    tx.update_if(part, &changes)
}
