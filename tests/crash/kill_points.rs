//! When a server dies: the counters of everything that can be the last thing it does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use drover::model::balancer_table;
use drover::model::network_table::{Answer, Feed};
use drover::runtime::SecretFile;
use drover::runtime::sim::Sim;
use drover::runtime::stats::{Sample, Samples};
use drover::runtime::streams::{Connection, ExecWanted, LogsWanted, Pieces, Running};
use drover::runtime::{
    AskedRegistry, BalancerFeed, Capabilities, ContainerSpec, EngineInfo, Error, Found, ImageDetails, ImageFound,
    Images, NameFeed, NameServerFound, NameServerSpec, NetworkFound, NetworkSpec, Probe, ProbeResult, PullPolicy,
    RegistryAuth, Result, Runtime, RuntimeEvent,
};
use drover::store::WriteFault;
use futures_util::stream::BoxStream;

/// Where a server dies. Each counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// At this commit: it is lost.
    Commit(usize),
    /// Before this call has its effect.
    Before(usize),
    /// After this call had its effect, before anybody could note it.
    After(usize),
    /// When the request of this number is durable and not answered yet.
    Answer(usize),
}

impl Death {
    /// Its place among its like.
    pub fn number(self) -> usize {
        match self {
            Self::Commit(n) | Self::Before(n) | Self::After(n) | Self::Answer(n) => n,
        }
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commits.
    pub commits: usize,
    /// Runtime calls that have an effect.
    pub calls: usize,
    /// Requests that were answered.
    pub answers: usize,
}

#[derive(Default)]
struct State {
    counts: Counts,
    death: Option<Death>,
    is_counting: bool,
}

/// Decides when the server of a run dies. What is dead writes nothing and reaches no engine any more.
#[derive(Default)]
pub struct Fate {
    state: Mutex<State>,
    is_dead: AtomicBool,
}

impl Fate {
    /// Begins to count, and to die if that is to be.
    pub fn begin(&self, death: Option<Death>) {
        *self.state.lock().unwrap() = State {
            counts: Counts::default(),
            death,
            is_counting: true,
        };
    }

    /// Ends counting; returns what was counted.
    pub fn end(&self) -> Counts {
        let mut state = self.state.lock().unwrap();
        state.is_counting = false;
        state.death = None;
        state.counts
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// A new server, which lives on.
    pub fn revive(&self) {
        self.end();
        self.is_dead.store(false, Ordering::SeqCst);
    }

    /// Counts something and says whether it is the end.
    fn meets(&self, count: impl FnOnce(&mut Counts), is_it: impl FnOnce(Counts, Death) -> bool) -> bool {
        if self.is_dead() {
            return true;
        }
        let mut state = self.state.lock().unwrap();
        if !state.is_counting {
            return false;
        }
        count(&mut state.counts);
        if state.death.is_some_and(|death| is_it(state.counts, death)) {
            self.is_dead.store(true, Ordering::SeqCst);
        }
        self.is_dead()
    }

    /// An answer is ready; `true` if it does not arrive.
    pub fn loses_answer(&self) -> bool {
        self.meets(|c| c.answers += 1, |c, death| death == Death::Answer(c.answers))
    }

    /// Asked before each commit.
    pub fn write_fault(self: &Arc<Self>) -> WriteFault {
        let fate = self.clone();
        Arc::new(move || fate.meets(|c| c.commits += 1, |c, death| death == Death::Commit(c.commits)))
    }

    fn before_call(&self) -> Result<()> {
        match self.meets(|c| c.calls += 1, |c, death| death == Death::Before(c.calls)) {
            true => Err(dead()),
            false => Ok(()),
        }
    }

    fn after_call<T>(&self, result: Result<T>) -> Result<T> {
        match self.meets(|_| (), |c, death| death == Death::After(c.calls)) {
            true => Err(dead()),
            false => result,
        }
    }

    fn alive(&self) -> Result<()> {
        if self.is_dead() { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> Error {
    Error::Unreachable("the server is dead".into())
}

/// A simulator that a server reaches only while it lives.
pub struct Mortal {
    pub sim: Arc<Sim>,
    pub fate: Arc<Fate>,
}

#[async_trait]
impl Images for Mortal {
    async fn images(&self, with_all: bool) -> Result<Vec<ImageFound>> {
        self.fate.alive()?;
        self.sim.images(with_all).await
    }

    async fn image(&self, name: &str) -> Result<Option<ImageDetails>> {
        self.fate.alive()?;
        self.sim.image(name).await
    }

    async fn ask_registry(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<AskedRegistry> {
        self.fate.alive()?;
        self.sim.ask_registry(image, auth).await
    }
}

#[async_trait]
impl Runtime for Mortal {
    fn kind(&self) -> &'static str {
        self.sim.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.sim.capabilities()
    }

    async fn describe(&self) -> Result<EngineInfo> {
        self.fate.alive()?;
        self.sim.describe().await
    }

    async fn ping(&self) -> Result<()> {
        self.fate.alive()?;
        self.sim.ping().await
    }

    async fn observe(&self) -> Result<Vec<Found>> {
        self.fate.alive()?;
        self.sim.observe().await
    }

    async fn find(&self, uuid: &str) -> Result<Option<Found>> {
        self.fate.alive()?;
        self.sim.find(uuid).await
    }

    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        auth: Option<&RegistryAuth>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.pull(image, policy, auth, progress).await)
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkFound> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.ensure_network(spec).await)
    }

    async fn remove_network(&self, project_uuid: &str) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.remove_network(project_uuid).await)
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Found> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.create(spec).await)
    }

    async fn start(&self, uuid: &str) -> Result<Found> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.start(uuid).await)
    }

    async fn stop(&self, uuid: &str, grace: Duration) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.stop(uuid, grace).await)
    }

    async fn remove(&self, uuid: &str) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.remove(uuid).await)
    }

    async fn ensure_volume(&self, name: &str, driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
        self.fate.before_call()?;
        self.fate
            .after_call(self.sim.ensure_volume(name, driver, options).await)
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.remove_volume(name).await)
    }

    async fn logs(&self, uuid: &str, wanted: &LogsWanted) -> Result<Pieces> {
        self.fate.alive()?;
        self.sim.logs(uuid, wanted).await
    }

    async fn deliver_secrets(&self, uuid: &str, files: &[SecretFile]) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.deliver_secrets(uuid, files).await)
    }

    async fn withdraw_secrets(&self, uuid: &str) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.withdraw_secrets(uuid).await)
    }

    async fn with_secrets(&self) -> Result<Vec<String>> {
        self.fate.alive()?;
        self.sim.with_secrets().await
    }

    async fn stats(&self, uuid: &str) -> Result<Samples> {
        self.fate.alive()?;
        self.sim.stats(uuid).await
    }

    async fn machine_stats(&self) -> Result<Sample> {
        self.fate.alive()?;
        self.sim.machine_stats().await
    }

    async fn reach(&self, uuid: &str) -> Result<IpAddr> {
        self.fate.alive()?;
        self.sim.reach(uuid).await
    }

    async fn connect(&self, uuid: &str, port: u16) -> Result<Connection> {
        self.fate.alive()?;
        self.sim.connect(uuid, port).await
    }

    async fn execute(&self, uuid: &str, wanted: &ExecWanted) -> Result<Running> {
        self.fate.alive()?;
        self.sim.execute(uuid, wanted).await
    }

    async fn prepare_name_servers(&self) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.prepare_name_servers().await)
    }

    async fn name_servers(&self) -> Result<Vec<NameServerFound>> {
        self.fate.alive()?;
        self.sim.name_servers().await
    }

    async fn ensure_name_server(&self, spec: &NameServerSpec) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.ensure_name_server(spec).await)
    }

    async fn remove_name_server(&self, project_uuid: &str) -> Result<()> {
        self.fate.before_call()?;
        self.fate.after_call(self.sim.remove_name_server(project_uuid).await)
    }

    async fn feed_name_server(&self, project_uuid: &str) -> Result<Box<dyn NameFeed>> {
        self.fate.before_call()?;
        let way = self.fate.after_call(self.sim.feed_name_server(project_uuid).await)?;
        Ok(Box::new(MortalFeed {
            way,
            fate: self.fate.clone(),
        }))
    }

    async fn feed_balancer(&self, uuid: &str) -> Result<Box<dyn BalancerFeed>> {
        self.fate.before_call()?;
        let way = self.fate.after_call(self.sim.feed_balancer(uuid).await)?;
        Ok(Box::new(MortalBalancerFeed {
            way,
            fate: self.fate.clone(),
        }))
    }

    async fn probe(&self, probe: &Probe) -> ProbeResult {
        if self.fate.is_dead() {
            return ProbeResult::Unreachable("the server is dead".into());
        }
        self.sim.probe(probe).await
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.sim.events()
    }
}

/// A way to a name server that a server has only while it lives.
struct MortalFeed {
    way: Box<dyn NameFeed>,
    fate: Arc<Fate>,
}

#[async_trait]
impl NameFeed for MortalFeed {
    fn is_broken(&self) -> bool {
        self.way.is_broken()
    }

    async fn send(&mut self, news: &Feed) -> Result<Answer> {
        self.fate.before_call()?;
        self.fate.after_call(self.way.send(news).await)
    }
}

/// A way to a balancer that a server has only while it lives.
struct MortalBalancerFeed {
    way: Box<dyn BalancerFeed>,
    fate: Arc<Fate>,
}

#[async_trait]
impl BalancerFeed for MortalBalancerFeed {
    async fn send(&mut self, news: &balancer_table::Feed) -> Result<balancer_table::Answer> {
        self.fate.before_call()?;
        self.fate.after_call(self.way.send(news).await)
    }
}
