//! An engine in memory: instant, deterministic, and able to fail on request. `docs/simulator.md` lists its knobs.
//!
//! It keeps what a real engine would keep, so one `Sim` shared by `Arc` outlives restarts of the server within a test.
//! It knows nothing of hosts: one `Sim` may stand for several, so clashes of names, ports and addresses between its own
//! containers are reported only after [`Sim::set_strict`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast;

use super::stats::{Sample, Samples};
use super::streams::{Connection, ExecWanted, LogsWanted, Pieces, Running};
use super::{
    BalancerFeed, Capabilities, ContainerSpec, EngineInfo, Error, Found, Life, NameFeed, NameServerFound,
    NameServerSpec, NetworkFound, NetworkSpec, Probe, ProbeResult, PullPolicy, RegistryAuth, Result, Runtime,
    RuntimeEvent, SecretFile,
};
use crate::model::{Clock, Timestamp};

mod balancers;
mod calls;
mod fate;
mod images;
mod knobs;
mod names;
mod ports;
mod state;
mod stats;
mod streams;

pub use knobs::Health;
use knobs::{Knobs, SimStep};
pub use names::Told;
use state::Contents;

/// Of the machine, as it says.
const MEMORY_BYTES: i64 = 16 << 30;

/// The longest log of calls; a test that asserts on more should look at [`Sim::count`].
const LOG_CAP: usize = 10_000;
/// Events a slow reader may lag behind before it is told to compare everything. There is room for all of them from the beginning: of
/// a thousand engines each has some.
const EVENT_CAP: usize = 256;

/// The words of a disconnected simulator.
const AWAY: &str = "the simulator is disconnected";

/// A simulated engine.
pub struct Sim {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    world: Mutex<SimWorld>,
    events: broadcast::Sender<RuntimeEvent>,
}

#[derive(Default)]
struct SimWorld {
    state: Contents,
    disconnected: bool,
    /// It was told not to answer any more, by a container.
    hung_up: bool,
    identity: String,
    node: String,
    names: names::NameServers,
    /// What containers have in their folder of secrets, by their uuids.
    secrets: BTreeMap<String, Vec<SecretFile>>,
    balancers: balancers::Balancers,
    log: VecDeque<String>,
    /// Nobody asks for the log.
    keeps_no_log: bool,
    counts: HashMap<&'static str, u64>,
}

impl SimWorld {
    fn is_silent(&self) -> bool {
        self.disconnected || self.hung_up
    }
}

impl Sim {
    /// An empty engine.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (events, _) = broadcast::channel(EVENT_CAP);
        Self {
            shared: Arc::new(Shared {
                clock,
                world: Mutex::default(),
                events,
            }),
        }
    }

    /// One that keeps no log of calls: of a server with a thousand of them nobody asks for it.
    pub fn without_log(clock: Arc<dyn Clock>) -> Self {
        let sim = Self::new(clock);
        sim.shared.lock().keeps_no_log = true;
        sim
    }

    /// Takes containers over from rows, for a server that starts with an empty simulator; those already here stay as
    /// they are. Knobs of adopted containers are lost, except by [`Sim::set_health`].
    pub fn adopt(&self, found: Vec<Found>) {
        let mut world = self.shared.lock();
        for f in found {
            world.state.adopt(f);
        }
    }

    /// Ends the containers whose time (`sim.exit`) has come; for tests that have advanced their clock. Every call does
    /// this too.
    pub fn tick(&self) {
        self.shared.tick();
    }

    /// The containers at this moment, by uuid.
    pub fn containers(&self) -> Vec<Found> {
        self.shared.lock().state.all()
    }

    /// Notes the call, ends what is due, and opens the world, unless the engine is away.
    fn enter(&self, method: &'static str, subject: Option<&str>) -> Result<MutexGuard<'_, SimWorld>> {
        self.shared.tick();
        let mut world = self.shared.lock();
        *world.counts.entry(method).or_default() += 1;
        if let Some(subject) = subject.filter(|_| !world.keeps_no_log) {
            let name = world.state.name_of(subject).unwrap_or_else(|| subject.to_owned());
            if world.log.len() == LOG_CAP {
                world.log.pop_front();
            }
            world.log.push_back(format!("{method} {name}"));
        }
        if world.is_silent() {
            Err(Error::Unreachable(AWAY.to_owned()))
        } else {
            Ok(world)
        }
    }
}

impl Shared {
    /// A panic elsewhere must not take the simulator with it: its state is valid after every statement.
    fn lock(&self) -> MutexGuard<'_, SimWorld> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: RuntimeEvent) {
        // No listener is fine: whoever comes later begins by comparing everything.
        let _no_listener = self.events.send(event);
    }

    /// Changes whether it answers, and tells who listens if that makes a difference.
    fn silence(&self, change: impl FnOnce(&mut SimWorld)) {
        let (was, is) = {
            let mut world = self.lock();
            let was = world.is_silent();
            change(&mut world);
            (was, world.is_silent())
        };
        if was != is {
            self.send(if is {
                RuntimeEvent::Disconnected(AWAY.to_owned())
            } else {
                RuntimeEvent::Connected
            });
        }
    }

    fn changed(&self, uuid: &str) {
        if !self.lock().is_silent() {
            self.send(RuntimeEvent::Changed { uuid: uuid.to_owned() });
        }
    }

    fn tick(&self) {
        let ended = self.lock().state.end_due(self.clock.now());
        for uuid in ended {
            self.changed(&uuid);
        }
    }

    /// Watches one container until its time has come. A clock that tests hold back is looked at again after the same wait.
    async fn end_later(self: Arc<Self>, due: Timestamp) {
        loop {
            let rest = due.since(self.clock.now());
            if rest.is_zero() {
                return self.tick();
            }
            super::pause(rest.max(Duration::from_millis(1))).await;
        }
    }
}

#[async_trait]
impl Runtime for Sim {
    fn kind(&self) -> &'static str {
        "sim"
    }

    fn capabilities(&self) -> Capabilities {
        let world = self.shared.lock();
        Capabilities {
            // Nothing is routed, so nothing clashes.
            overlapping_subnets: true,
            shared_networks: false,
            shares_our_ports: false,
            network_services: world.names.are_possible,
            balancers: world.balancers.are_possible,
        }
    }

    async fn describe(&self) -> Result<EngineInfo> {
        let (id, node) = {
            let world = self.enter("describe", None)?;
            (world.identity.clone(), world.node.clone())
        };
        Ok(EngineInfo {
            id,
            node,
            mhz: None,
            cpu_model: None,
            address: None,
            is_address_told: false,
            name: "sim".to_owned(),
            version: "sim".to_owned(),
            os: "Simulator".to_owned(),
            kernel: "sim".to_owned(),
            architecture: String::new(),
            cores: 4,
            memory_bytes: MEMORY_BYTES,
            labels: BTreeMap::new(),
        })
    }

    async fn ping(&self) -> Result<()> {
        self.enter("ping", None).map(drop)
    }

    fn pick_up(&self) {
        self.shared.silence(|world| world.hung_up = false);
    }

    async fn observe(&self) -> Result<Vec<Found>> {
        let mut all = self.enter("observe", None)?.state.all();
        // No more than a real engine's list tells, so that nothing comes to rely on it.
        for found in &mut all {
            found.started_at.clear();
            found.exposed.clear();
            found
                .mounts
                .iter_mut()
                .filter(|m| m.volume.is_some())
                .for_each(|m| m.source.clear());
        }
        Ok(all)
    }

    async fn find(&self, uuid: &str) -> Result<Option<Found>> {
        Ok(self.enter("find", None)?.state.get(uuid).map(|c| c.found.clone()))
    }

    async fn pull(
        &self,
        image: &str,
        _policy: PullPolicy,
        auth: Option<&RegistryAuth>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<()> {
        {
            let mut world = self.enter("pull", Some(image))?;
            let knobs = Knobs::of_image(image);
            let server = auth.map(|auth| auth.server.clone());
            world.state.shown_to.insert(image.to_owned(), server);
            world.state.attempt(image, SimStep::Pull, &knobs)?;
            let now = self.shared.clock.now();
            world.state.pulled.entry(images::name(image)).or_insert(now);
        }
        progress(format!("Pulling {image} (1/1)"));
        Ok(())
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkFound> {
        self.enter("ensure_network", Some(&spec.name))?
            .state
            .ensure_network(spec)
    }

    async fn remove_network(&self, project_uuid: &str) -> Result<()> {
        self.enter("remove_network", Some(project_uuid))?
            .state
            .remove_network(project_uuid)
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Found> {
        let mut world = self.enter("create", Some(&spec.name))?;
        if let Some(there) = world.state.get(&spec.uuid) {
            return Ok(there.found.clone());
        }
        let knobs = Knobs::of(&spec.launch, &spec.labels);
        // Labels are not known to `pull`: the container that wanted the image fails in its place, and so it is with volumes.
        for step in [SimStep::Pull, SimStep::Volume, SimStep::Create] {
            world.state.attempt(&spec.uuid, step, &knobs)?;
        }
        world.state.create(spec, knobs)
    }

    async fn start(&self, uuid: &str) -> Result<Found> {
        let slow = {
            let mut world = self.enter("start", Some(uuid))?;
            let Some(container) = world.state.get(uuid) else {
                return Err(gone(uuid));
            };
            if container.found.life == Life::Running {
                return Ok(container.found.clone());
            }
            let knobs = container.knobs.clone();
            world.state.attempt(uuid, SimStep::Start, &knobs)?;
            knobs.slow
        };
        if !slow.is_zero() {
            super::pause(slow).await;
        }
        let now = self.shared.clock.now();
        let (found, after) = {
            let mut world = self.shared.lock();
            if world.is_silent() {
                return Err(Error::Unreachable(AWAY.to_owned()));
            }
            world.state.start(uuid, now)?
        };
        self.shared.changed(uuid);
        if let Some(stranger) = &after.stranger {
            self.shared.changed(stranger);
        }
        if after.forget {
            self.forget(uuid);
        }
        if after.hang_up {
            self.shared.silence(|world| world.hung_up = true);
        }
        // Without tokio around (a plain unit test) the next call ends it.
        if let (Some(due), Ok(handle)) = (after.due, tokio::runtime::Handle::try_current()) {
            drop(handle.spawn(Arc::clone(&self.shared).end_later(due)));
        }
        Ok(found)
    }

    async fn stop(&self, uuid: &str, _grace: Duration) -> Result<()> {
        {
            let mut world = self.enter("stop", Some(uuid))?;
            let Some(knobs) = world.state.running(uuid).map(|c| c.knobs.clone()) else {
                return Ok(());
            };
            world.state.attempt(uuid, SimStep::Stop, &knobs)?;
        }
        self.exit(uuid, 0);
        Ok(())
    }

    async fn remove(&self, uuid: &str) -> Result<()> {
        {
            let mut world = self.enter("remove", Some(uuid))?;
            let Some(knobs) = world.state.get(uuid).map(|c| c.knobs.clone()) else {
                return Ok(());
            };
            world.state.attempt(uuid, SimStep::Remove, &knobs)?;
            world.state.remove(uuid);
        }
        self.shared.changed(uuid);
        Ok(())
    }

    async fn ensure_volume(&self, name: &str, driver: &str, _options: &BTreeMap<String, String>) -> Result<()> {
        self.enter("ensure_volume", Some(name))?
            .state
            .volumes
            .insert(name.to_owned(), driver.to_owned());
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.enter("remove_volume", Some(name))?.state.remove_volume(name)
    }

    async fn logs(&self, uuid: &str, wanted: &LogsWanted) -> Result<Pieces> {
        self.log_of(uuid, wanted)
    }

    async fn deliver_secrets(&self, uuid: &str, files: &[SecretFile]) -> Result<()> {
        let mut world = self.enter("deliver_secrets", Some(uuid))?;
        world.secrets.insert(uuid.to_owned(), files.to_vec());
        Ok(())
    }

    async fn withdraw_secrets(&self, uuid: &str) -> Result<()> {
        self.enter("withdraw_secrets", Some(uuid))?.secrets.remove(uuid);
        Ok(())
    }

    async fn with_secrets(&self) -> Result<Vec<String>> {
        Ok(self.enter("with_secrets", None)?.secrets.keys().cloned().collect())
    }

    async fn stats(&self, uuid: &str) -> Result<Samples> {
        self.stats_of(uuid)
    }

    async fn machine_stats(&self) -> Result<Sample> {
        self.enter("machine_stats", None).map(|_| stats::idle())
    }

    async fn execute(&self, uuid: &str, wanted: &ExecWanted) -> Result<Running> {
        self.run_in(uuid, wanted)
    }

    async fn reach(&self, uuid: &str) -> Result<IpAddr> {
        self.address_of(uuid)
    }

    async fn connect(&self, uuid: &str, port: u16) -> Result<Connection> {
        self.connected(uuid, port)
    }

    async fn prepare_name_servers(&self) -> Result<()> {
        self.enter("prepare_name_servers", None)?.prepare_name_servers()
    }

    async fn name_servers(&self) -> Result<Vec<NameServerFound>> {
        Ok(self.enter("name_servers", None)?.found_name_servers())
    }

    async fn ensure_name_server(&self, spec: &NameServerSpec) -> Result<()> {
        self.enter("ensure_name_server", Some(&spec.project_uuid))?
            .ensure_name_server(spec)
    }

    async fn remove_name_server(&self, project_uuid: &str) -> Result<()> {
        self.enter("remove_name_server", Some(project_uuid))?
            .remove_name_server(project_uuid);
        Ok(())
    }

    async fn feed_name_server(&self, project_uuid: &str) -> Result<Box<dyn NameFeed>> {
        let mut world = self.enter("feed_name_server", Some(project_uuid))?;
        names::open(&self.shared, &mut world, project_uuid)
    }

    async fn feed_balancer(&self, uuid: &str) -> Result<Box<dyn BalancerFeed>> {
        let world = self.enter("feed_balancer", Some(uuid))?;
        balancers::open(&self.shared, &world, uuid)
    }

    async fn probe(&self, probe: &Probe) -> ProbeResult {
        self.answer_of(probe)
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        // Subscribed before the first word is chosen, so that nothing falls in between.
        let receiver = self.shared.events.subscribe();
        let first = if self.shared.lock().is_silent() {
            RuntimeEvent::Disconnected(AWAY.to_owned())
        } else {
            RuntimeEvent::Connected
        };
        let later = stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((RuntimeEvent::Connected, receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
        stream::once(async move { first }).chain(later).boxed()
    }
}

fn gone(uuid: &str) -> Error {
    Error::Gone(format!("No such container: {uuid}"))
}

#[cfg(test)]
mod tests;
