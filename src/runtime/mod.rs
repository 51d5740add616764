//! Where containers run: one trait, one implementation per sort of engine.
//!
//! A runtime does what it is told and decides nothing. Every call may be repeated: twice equals once. It knows
//! nothing of services, SQL or HTTP; the engine hands it complete specifications.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::model::launch::{Build, LaunchConfig};
use crate::model::port::PortSpec;
pub use crate::model::probe::{Probe, ProbeResult};

mod balancers;
mod cluster;
pub mod docker;
mod engine_address;
pub mod images;
mod names;
pub mod sim;
pub mod stats;
pub mod streams;
mod tls;

use crate::model::FileAccess;
use stats::{Sample, Samples};
use streams::{Bytestream, Connection, ExecWanted, LogsWanted, Pieces, Running};

pub use balancers::{BalancerFeed, FileSpec};
pub use cluster::{Availability, Cluster, Node, TunnelAddress, TunnelWay};
pub use engine_address::{ConnectEngine, EngineAddress, TlsTexts};
pub use images::{AskedRegistry, ImageDetails, ImageFound, ImagePlatform, Images, RegistryImage};
pub use names::{FirstTable, NameFeed, NameServerFound, NameServerSpec};

/// What can go wrong in a runtime. The texts are the engine's own words and are shown to the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The engine did not answer; nothing is known about the effect. Try again later.
    #[error("the engine does not answer: {0}")]
    Unreachable(String),
    /// The engine refused or failed, in its own words.
    #[error("{0}")]
    Failed(String),
    /// The host port is bound by something else.
    #[error("{0}")]
    PortTaken(String),
    /// The container name is taken by a container that is not ours.
    #[error("{0}")]
    NameTaken(String),
    /// The address is in use or outside the network.
    #[error("{0}")]
    AddressTaken(String),
    /// The network that the container was made for is not there any more.
    #[error("{0}")]
    NetworkGone(String),
    /// There is no such container, image or network.
    #[error("{0}")]
    Gone(String),
}

impl From<String> for Error {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

/// The result of a runtime call.
pub type Result<T> = std::result::Result<T, Error>;

/// What the engine says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// What tells it from every other engine; empty if it does not say.
    pub id: String,
    /// The engine's host name.
    pub name: String,
    /// For example `20.10.24`.
    pub version: String,
    /// The operating system's name.
    pub os: String,
    /// The kernel's version.
    pub kernel: String,
    /// What its processors are: `x86_64`; empty if it does not say.
    pub architecture: String,
    /// The number of cores.
    pub cores: i64,
    /// How fast they are, in MHz, where that is known.
    pub mhz: Option<u32>,
    /// What they call themselves, where that is known.
    pub cpu_model: Option<String>,
    /// The address by which others reach the machine, where that is known.
    pub address: Option<String>,
    /// The machine itself said the address, whatever others say of theirs.
    pub is_address_told: bool,
    /// Bytes.
    pub memory_bytes: i64,
    /// The engine's own labels.
    pub labels: BTreeMap<String, String>,
    /// By which a cluster knows its machine; empty if it is in none.
    pub node: String,
}

/// How a container is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkAttachment {
    /// The project's own bridge, created and found by [`Runtime::ensure_network`].
    Managed {
        /// The engine's id of the network.
        network_id: String,
        /// The fixed address.
        ip: String,
        /// Names that resolve to this container on the network.
        aliases: Vec<String>,
        /// Names that only this container sees: `(target name, alias)`.
        links: Vec<(String, String)>,
        /// Search domains besides the launch configuration's own.
        dns_search: Vec<String>,
    },
    /// The engine's default bridge; the links are `(external id, alias)`.
    Bridge {
        /// Links of the default bridge.
        links: Vec<(String, String)>,
    },
    /// The host's own network.
    Host,
    /// A network namespace without interfaces.
    None,
    /// The namespace of another container, by external id.
    Container(String),
}

/// A container, completely specified.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The identity: label `io.rancher.container.uuid`.
    pub uuid: String,
    /// The name to give it on the engine.
    pub name: String,
    /// All labels, ours included; the runtime adds `io.drover.server`.
    pub labels: BTreeMap<String, String>,
    /// The rest, in the API's words. References in it are already resolved into the fields of this struct.
    pub launch: LaunchConfig,
    /// How it is attached.
    pub network: NetworkAttachment,
    /// Published ports with both numbers known (random ones drawn by the engine have no public part).
    pub ports: Vec<PortSpec>,
    /// External ids of containers whose volumes it mounts.
    pub volumes_from: Vec<String>,
    /// `(volume name on the engine, path in the container)` besides `launch.data_volumes`.
    pub volume_mounts: Vec<(String, String)>,
    /// Whether it has a folder of secrets, which is filled before each start.
    pub has_secrets: bool,
    /// The paths of files outside of that folder that come with secrets, in the order in which those are delivered.
    pub placed: Vec<String>,
    /// What it has to have before it starts.
    pub files: Vec<FileSpec>,
}

/// Where secrets are in containers.
pub const SECRETS: &str = crate::model::secret_reference::FOLDER;

/// A secret or a config as a file.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Its path below [`SECRETS`], or from the root on.
    pub name: String,
    /// What nobody else may see.
    pub content: Vec<u8>,
    /// Who owns it, and who may read it.
    pub access: FileAccess,
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One port as the engine really published it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoundPort {
    /// The bound address.
    pub ip: String,
    /// On the host.
    pub public: u16,
    /// In the container.
    pub private: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// The life of a container as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// Created, never started (or its start failed).
    Created,
    /// Running (or paused).
    Running,
    /// Ended.
    Exited,
}

/// A container as found on the engine: one of ours, or one that was not made through this API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Our identity of it.
    pub uuid: String,
    /// The engine's id.
    pub external_id: String,
    /// Its name on the engine, without slash.
    pub name: String,
    /// Whether it runs.
    pub life: Life,
    /// Whether it runs, and is held still.
    pub is_paused: bool,
    /// Its address on its first network.
    pub ip: Option<String>,
    /// Its hardware address there.
    pub mac: Option<String>,
    /// Published ports; empty unless running.
    pub ports: Vec<BoundPort>,
    /// The exit code, once it has exited.
    pub exit_code: Option<i64>,
    /// When it last started, in the engine's words (differs after each start); empty before.
    pub started_at: String,
    /// Volumes it mounts.
    pub mounts: Vec<FoundMount>,
    /// Ports that it listens on, published or not: `(number, protocol)`.
    pub exposed: Vec<(u16, String)>,
    /// What there is to know of a container that was not made through the API; none of one that was.
    pub native: Option<Native>,
}

/// A container that somebody made by hand, or another program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Native {
    /// Its image, with its scheme.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A mount as the engine made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMount {
    /// The volume's name, for volumes.
    pub volume: Option<String>,
    /// The path on the host.
    pub source: String,
    /// The path in the container.
    pub path: String,
    /// Whether it can be written.
    pub writable: bool,
    /// The volume driver.
    pub driver: String,
}

/// When to pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// Only if the image is not there.
    IfAbsent,
    /// Only if it is there, to have it anew.
    IfPresent,
    /// Always.
    Always,
}

/// A registry login.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// The user.
    pub username: String,
    /// The secret; never logged.
    pub password: String,
    /// The registry.
    pub server: String,
}

/// What a managed network is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// The project's uuid: the label by which the network is found again.
    pub project_uuid: String,
    /// Its name on the engine.
    pub name: String,
    /// The subnets to try in order (CIDR); the first that does not overlap is taken.
    pub candidates: Vec<String>,
}

/// A managed network as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFound {
    /// The engine's id.
    pub id: String,
    /// CIDR.
    pub subnet: String,
}

/// Something that happened to a container of ours, or of nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// The stream is open (again): compare everything.
    Connected,
    /// This container started, died, stopped, was destroyed, renamed …: look at it.
    Changed {
        /// Our identity of it.
        uuid: String,
    },
    /// Something happened to the name server of a project: look whether it is as it should be.
    NameServer {
        /// The project.
        project_uuid: String,
    },
    /// The engine stopped answering; a later `Connected` says that it is back.
    Disconnected(String),
}

/// Waits. Runtimes may, as no transaction and no request that others wait for stands still meanwhile.
#[expect(clippy::disallowed_methods, reason = "the one place in which runtimes wait")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// What an engine can do, and how it stands to this server: to be asked in place of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Networks of several projects may have the same subnet.
    pub overlapping_subnets: bool,
    /// A project has one network on all engines that say so: containers of one reach those of the others.
    pub shared_networks: bool,
    /// Its containers may be published on ports that programs of this machine have.
    pub shares_our_ports: bool,
    /// It can run name servers, if nothing else is in the way.
    pub network_services: bool,
    /// Balancers can be told there what to do.
    pub balancers: bool,
}

/// Engines of agents that dialled in, each behind the tunnel of its agent.
pub trait Tunnels: Send + Sync {
    /// The engine of an agent, whether its tunnel is open now or not.
    ///
    /// # Errors
    /// There can be no place for it on this machine.
    fn engine(&self, server_uuid: &str, agent: &str) -> Result<std::sync::Arc<dyn Runtime>>;
    /// The way to the engine of an agent, for who drives it as a node of a cluster.
    ///
    /// # Errors
    /// There can be no place for it on this machine.
    fn way(&self, agent: &str) -> Result<TunnelWay>;
    /// Ends the tunnel of an agent, if it is open.
    fn close(&self, agent: &str);
    /// Ends it for ever.
    fn forget(&self, agent: &str);
}

/// One engine on which containers run.
#[async_trait]
pub trait Runtime: Images + Send + Sync {
    /// `docker` or `sim`: the host's kind.
    fn kind(&self) -> &'static str;
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// What the engine says about itself.
    async fn describe(&self) -> Result<EngineInfo>;
    /// A cheap sign of life.
    async fn ping(&self) -> Result<()>;
    /// Asks an engine that was told to be silent to answer again; only a simulated one ever was.
    fn pick_up(&self) {}
    /// Every container of ours, by label, and every one that is nobody's; without what only a closer look tells, which
    /// [`Runtime::find`] takes: `started_at`, `exposed`, and the `source` of volumes in `mounts`, are empty.
    async fn observe(&self) -> Result<Vec<Found>>;
    /// One container of ours or nobody's by uuid (nobody's is the engine's own id); `None` if it is not there.
    async fn find(&self, uuid: &str) -> Result<Option<Found>>;
    /// Makes the image present. `progress` gets sentences such as `Pulling nginx:1.9 (3/7)`.
    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        auth: Option<&RegistryAuth>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<()>;
    /// Makes the image present by building it of an address, unless it is there and was built of the same; `again` builds it in
    /// any case. `progress` gets the steps as the engine tells them.
    async fn build(
        &self,
        image: &str,
        build: &Build,
        again: bool,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<()> {
        let _ = (build, again, progress);
        Err(Error::Failed(format!(
            "{image} cannot be built: this engine is simulated"
        )))
    }
    /// Makes the project's network present.
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkFound>;
    /// Removes a project's network, if it is there; one that running containers use is [`Error::Failed`].
    async fn remove_network(&self, project_uuid: &str) -> Result<()>;
    /// Creates the container, unless one with this uuid is there already; returns it either way.
    async fn create(&self, spec: &ContainerSpec) -> Result<Found>;
    /// Fills the folder of secrets of a container that is there, running or not, or is about to be made. They are in memory, of the engine's machine, for
    /// as long as that runs and nobody takes them back.
    async fn deliver_secrets(&self, uuid: &str, files: &[SecretFile]) -> Result<()>;
    /// Takes a container's secrets back; where there are none that is fine. Once the container is gone, so is their folder.
    async fn withdraw_secrets(&self, uuid: &str) -> Result<()>;
    /// The uuids of containers that have secrets now.
    async fn with_secrets(&self) -> Result<Vec<String>>;
    /// Starts it (a running one is left alone) and returns it with address and ports.
    async fn start(&self, uuid: &str) -> Result<Found>;
    /// Stops it with a grace period; one that is not running, or gone, is left alone.
    async fn stop(&self, uuid: &str, grace: Duration) -> Result<()>;
    /// Removes it, but none of its volumes: those are let go by `remove_volume`. One that is gone is fine.
    async fn remove(&self, uuid: &str) -> Result<()>;
    /// Makes a named volume present.
    async fn ensure_volume(&self, name: &str, driver: &str, options: &BTreeMap<String, String>) -> Result<()>;
    /// Removes a named volume; one that is gone is fine.
    async fn remove_volume(&self, name: &str) -> Result<()>;
    /// What a container has written, and goes on to write.
    async fn logs(&self, uuid: &str, wanted: &LogsWanted) -> Result<Pieces>;
    /// What a container uses, about once a second until it ends.
    async fn stats(&self, uuid: &str) -> Result<Samples>;
    /// What the machine of the engine uses; of one elsewhere only what its containers use, all together. [`Error::Failed`] if that
    /// cannot be known.
    async fn machine_stats(&self) -> Result<Sample>;
    /// Runs a command in a running container.
    async fn execute(&self, uuid: &str, wanted: &ExecWanted) -> Result<Running>;
    /// By which address this program reaches a running container. [`Error::Failed`] says why it cannot.
    async fn reach(&self, uuid: &str) -> Result<IpAddr>;
    /// Opens a connection to a port of a running container, at its own address and no other.
    async fn connect(&self, uuid: &str, port: u16) -> Result<Connection>;
    /// Makes what name servers are made of present. [`Error::Failed`] says why they cannot run on this engine.
    async fn prepare_name_servers(&self) -> Result<()>;
    /// The name servers that are there, running or not.
    async fn name_servers(&self) -> Result<Vec<NameServerFound>>;
    /// Makes a project's name server present and has it run; one that is of another program, or elsewhere, is replaced.
    async fn ensure_name_server(&self, spec: &NameServerSpec) -> Result<()>;
    /// Removes a project's name server, if it is there.
    async fn remove_name_server(&self, project_uuid: &str) -> Result<()>;
    /// Opens a way to a project's name server.
    async fn feed_name_server(&self, project_uuid: &str) -> Result<Box<dyn NameFeed>>;
    /// Opens a way to a balancer that runs.
    async fn feed_balancer(&self, uuid: &str) -> Result<Box<dyn BalancerFeed>>;
    /// Asks a container how it is.
    async fn probe(&self, probe: &Probe) -> ProbeResult;
    /// Opens one more connection to the engine itself, on which nothing has been said.
    async fn socket(&self) -> Result<Box<dyn Bytestream>> {
        Err(Error::Failed("this engine has no socket: it is simulated".to_owned()))
    }

    /// What happens to our containers, for ever: reconnects by itself, with `Disconnected` and `Connected` around a gap.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;
}
