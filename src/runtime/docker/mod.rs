//! Containers on a real Docker Engine: the only user of bollard.
//!
//! Identity is in labels, never in names: ours are the containers with `io.drover.server=<our uuid>`, and each is found
//! by `io.rancher.container.uuid`. Those without that label are nobody's, and found by the engine's own id; those with
//! another server's are not seen at all. Every call has a time limit of its own here, because the client's covers only the
//! wait for the answer's head. The client has no connections to keep, so one value serves for ever.

use super::stats::{Sample, Samples};
use super::streams::{Bytestream, Connection, ExecWanted, LogsWanted, Pieces, Running};
use super::{
    BalancerFeed, Build, Capabilities, ContainerSpec, EngineAddress, EngineInfo, Error, Found, Life, NameFeed,
    NameServerFound, NameServerSpec, NetworkFound, NetworkSpec, Probe, ProbeResult, PullPolicy, RegistryAuth, Result,
    Runtime, RuntimeEvent, SecretFile, TunnelWay,
};
use crate::model::Lease;
use address::Address;
use async_trait::async_trait;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
    StartContainerOptions, StopContainerOptionsBuilder,
};
use failure::{failure, forbidden, forgive_gone, gone, is_forbidden, start_failure};
use futures_util::stream::BoxStream;
pub use owner::Owner;
use owner::check_lease;
pub use spec::create_body;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
pub use swarm::{LABEL_ENGINE, Swarm};
use tokio::sync::{Mutex, OnceCell, Semaphore};

mod address;
mod balancer;
mod building;
mod commands;
mod describing;
mod events;
mod failure;
mod image;
mod log_stream;
mod looking;
mod machine;
mod name_feed;
mod name_image;
mod name_server;
mod network;
mod observed;
mod owner;
mod reach;
mod secrets;
mod socket;
mod spec;
mod spent;
mod stats;
mod streams;
mod swarm;
mod tape;
#[cfg(test)]
mod tests;
mod unwatched;
mod way;

/// The label whose value is the server that owns a container, network or volume.
pub const LABEL_SERVER: &str = "io.drover.server";

/// The label whose value is the container's identity.
pub const LABEL_UUID: &str = "io.rancher.container.uuid";

/// The label whose value is the project of a name server.
pub const LABEL_NAMES: &str = "io.drover.names";

/// On whoever holds the secrets of a container with this uuid, and on the volume that they are in.
pub const LABEL_SECRETS: &str = "io.drover.secrets";

/// The label whose value is the project of a network.
pub const LABEL_PROJECT: &str = "io.drover.project";

/// For what the engine answers from memory.
const SHORT: Duration = Duration::from_secs(30);

/// For what makes it work: a start under load, a first copy into a volume.
const LONG: Duration = Duration::from_secs(120);

/// For a sign of life.
const PING: Duration = Duration::from_secs(2);

/// The client's own limit, in seconds, out of the way of ours (the longest grace period included).
const CLIENT_SECONDS: u64 = 7 * 24 * 3600;

/// Starts at a time. Measured on two cores: eight at once end no sooner, each only takes twice as long.
const STARTS: usize = 4;

/// Between looks at a container that another call is creating or removing.
const POLL: Duration = Duration::from_millis(100);

/// One Docker Engine.
pub struct Docker {
    inner: Arc<Inner>,
}

/// What the event stream shares with the rest.
struct Inner {
    address: Address,
    client: OnceLock<bollard::Docker>,
    server_uuid: String,
    /// Whether this server may ask the engine for anything.
    lease: Lease,
    starts: Semaphore,
    networks: Mutex<()>,
    /// Where it is a node of a swarm.
    membership: Option<swarm::Membership>,
    /// What all containers used so far, as far as somebody looked.
    spent: spent::Spent,
    name_servers: Mutex<()>,
    /// The image of name servers, once it is known.
    name_image: OnceCell<name_image::Image>,
    /// The ways to name servers that are open.
    ways: name_feed::Ways,
    /// The commands by which containers are asked how they are.
    commands: commands::Commands,
}

impl Docker {
    /// Prepares to talk to an engine at `unix:///path`, `tcp://host:port`, or with TLS at `https://host:port` (and at
    /// `tcp://` if `cert_dir` is given: it holds `key.pem`, `cert.pem` and `ca.pem`). Does not talk yet: an engine that
    /// is away is noticed, and forgiven, call by call.
    ///
    /// # Errors
    /// [`Error::Failed`] if the address cannot be understood or certificates are missing.
    pub fn connect(url: &str, cert_dir: Option<&Path>, owner: Owner<'_>) -> Result<Self> {
        Ok(Self::at(Address::parse(url, cert_dir)?, owner))
    }

    /// The same with certificates as texts.
    ///
    /// # Errors
    /// [`Error::Failed`] if the address cannot be understood, or has no TLS for the certificates.
    pub fn connect_to(address: &EngineAddress, owner: Owner<'_>) -> Result<Self> {
        Ok(Self::at(Address::read(address)?, owner))
    }

    /// The same for an engine on another machine that a socket of this one leads to.
    pub fn by_tunnel(way: TunnelWay, owner: Owner<'_>) -> Self {
        Self::at(way.into(), owner)
    }

    fn at(address: Address, owner: Owner<'_>) -> Self {
        Self {
            inner: Arc::new(Inner::at(address, owner, None)),
        }
    }
}

impl Inner {
    fn at(address: Address, owner: Owner<'_>, membership: Option<swarm::Membership>) -> Self {
        Self {
            address,
            client: OnceLock::new(),
            server_uuid: owner.server_uuid.to_owned(),
            lease: owner.lease.clone(),
            starts: Semaphore::new(STARTS),
            networks: Mutex::const_new(()),
            membership,
            spent: spent::Spent::default(),
            name_servers: Mutex::const_new(()),
            name_image: OnceCell::new(),
            ways: name_feed::Ways::default(),
            commands: commands::Commands::default(),
        }
    }

    /// The client. Made on first success, because bollard refuses to make one while the socket's file is missing.
    fn api(&self) -> Result<&bollard::Docker> {
        check_lease(&self.lease)?;
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = self.address.client(CLIENT_SECONDS)?;
        Ok(self.client.get_or_init(|| made))
    }

    /// Makes one call within a limit.
    async fn call<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = std::result::Result<T, bollard::errors::Error>>,
    ) -> Result<T> {
        check_lease(&self.lease)?;
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => match &self.address {
                Address::Unix(path) if is_forbidden(&e) => Err(forbidden(path)),
                Address::Unix(_) | Address::Tcp(_) | Address::Tls { .. } | Address::Tunnel { .. } => Err(failure(&e)),
            },
            Err(_) => Err(Error::Unreachable(format!("no answer within {} s", limit.as_secs()))),
        }
    }

    async fn ping(&self) -> Result<()> {
        self.call(PING, self.api()?.ping()).await.map(drop)
    }

    /// The label of all that is ours.
    fn ours(&self) -> String {
        format!("{LABEL_SERVER}={}", self.server_uuid)
    }

    /// All that are ours or nobody's, or those that go by this uuid.
    async fn list(&self, uuid: Option<&str>) -> Result<Vec<Found>> {
        let filters = match uuid {
            None => HashMap::new(),
            Some(id) if is_engines_id(id) => HashMap::from([("id", vec![id.to_owned()])]),
            Some(uuid) => HashMap::from([("label", vec![self.ours(), format!("{LABEL_UUID}={uuid}")])]),
        };
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self.call(SHORT, self.api()?.list_containers(Some(options))).await?;
        let mut found: Vec<Found> = listed
            .into_iter()
            .filter_map(|each| observed::from_summary(each, &self.server_uuid))
            .collect();
        found.retain(|each| uuid.is_none_or(|uuid| each.uuid == uuid));
        Ok(found)
    }
}

/// Whether a container goes by the engine's own id, as those do that are nobody's.
fn is_engines_id(uuid: &str) -> bool {
    uuid.len() == 64 && uuid.bytes().all(|b| b.is_ascii_hexdigit())
}

#[async_trait]
impl Runtime for Docker {
    fn kind(&self) -> &'static str {
        "docker"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            overlapping_subnets: false,
            shared_networks: self.inner.membership.is_some(),
            // An address does not tell whether the engine is on this machine; avoiding a port too many does no harm.
            shares_our_ports: true,
            network_services: true,
            balancers: true,
        }
    }

    async fn describe(&self) -> Result<EngineInfo> {
        describing::describe(&self.inner).await
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    async fn observe(&self) -> Result<Vec<Found>> {
        self.inner.list(None).await
    }

    async fn find(&self, uuid: &str) -> Result<Option<Found>> {
        match self.inner.look_up(uuid).await? {
            Some(listed) => self.inner.inspect(&listed.external_id).await,
            None => Ok(None),
        }
    }

    async fn pull(
        &self,
        image: &str,
        policy: PullPolicy,
        auth: Option<&RegistryAuth>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<()> {
        image::pull(&self.inner, image, policy, auth, progress).await
    }

    async fn build(
        &self,
        image: &str,
        build: &Build,
        again: bool,
        told: &(dyn Fn(String) + Send + Sync),
    ) -> Result<()> {
        building::build(&self.inner, image, build, again, told).await
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkFound> {
        network::ensure(&self.inner, spec).await
    }

    async fn remove_network(&self, project_uuid: &str) -> Result<()> {
        network::remove(&self.inner, project_uuid).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<Found> {
        if let Some(there) = self.find(&spec.uuid).await? {
            if there.life == Life::Created {
                balancer::put_files(&self.inner, &there.external_id, spec).await?;
            }
            return Ok(there);
        }
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        let mut body = create_body(spec, &self.inner.server_uuid);
        let placed = secrets::placed(&self.inner, spec).await?;
        if let Some(config) = &mut body.host_config {
            config.mounts.get_or_insert_default().extend(placed);
        }
        let id = match self
            .inner
            .call(LONG, self.inner.api()?.create_container(Some(options), body))
            .await
        {
            Ok(created) => created.id,
            Err(Error::NameTaken(message)) => return self.inner.holder_of_name(spec, message).await,
            Err(other) => return Err(other),
        };
        balancer::put_files(&self.inner, &id, spec).await?;
        self.inner.inspect(&id).await?.ok_or_else(|| gone(&spec.uuid))
    }

    async fn deliver_secrets(&self, uuid: &str, files: &[SecretFile]) -> Result<()> {
        secrets::deliver(&self.inner, uuid, files).await
    }

    async fn withdraw_secrets(&self, uuid: &str) -> Result<()> {
        secrets::withdraw(&self.inner, uuid).await
    }

    async fn with_secrets(&self) -> Result<Vec<String>> {
        secrets::held(&self.inner).await
    }

    async fn start(&self, uuid: &str) -> Result<Found> {
        let listed = self.inner.look_up(uuid).await?.ok_or_else(|| gone(uuid))?;
        let id = listed.external_id;
        if listed.life != Life::Running {
            if let Some(membership) = &self.inner.membership {
                membership.check_start(&self.inner, &id).await?;
            }
            let _permit = self
                .inner
                .starts
                .acquire()
                .await
                .map_err(|e| Error::Failed(e.to_string()))?;
            let started = self
                .inner
                .call(
                    LONG,
                    self.inner.api()?.start_container(&id, None::<StartContainerOptions>),
                )
                .await;
            started.map_err(|e| start_failure(e, &id))?;
        }
        self.inner.inspect(&id).await?.ok_or_else(|| gone(uuid))
    }

    async fn stop(&self, uuid: &str, grace: Duration) -> Result<()> {
        let Some(listed) = self.inner.look_up(uuid).await? else {
            return Ok(());
        };
        if listed.life != Life::Running {
            return Ok(());
        }
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::default()
            .t(i32::try_from(seconds).unwrap_or(i32::MAX))
            .build();
        forgive_gone(
            self.inner
                .call(
                    grace.saturating_add(LONG),
                    self.inner.api()?.stop_container(&listed.external_id, Some(options)),
                )
                .await,
        )
    }

    async fn remove(&self, uuid: &str) -> Result<()> {
        self.inner.commands.forget(uuid);
        // All of them, should an accident have made two.
        for listed in self.inner.list(Some(uuid)).await? {
            let id = listed.external_id;
            let options = RemoveContainerOptionsBuilder::default().force(true).v(false).build();
            match self
                .inner
                .call(LONG, self.inner.api()?.remove_container(&id, Some(options)))
                .await
            {
                Err(Error::Failed(message)) if message.contains("already in progress") => {
                    self.inner.wait_until_gone(&id).await?
                }
                other => forgive_gone(other)?,
            }
        }
        Ok(())
    }

    async fn ensure_volume(&self, name: &str, driver: &str, options: &BTreeMap<String, String>) -> Result<()> {
        let own = (LABEL_SERVER.to_owned(), self.inner.server_uuid.clone());
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some(driver.to_owned()).filter(|d| !d.is_empty()),
            driver_opts: Some(options.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            labels: Some(HashMap::from([own])),
            ..VolumeCreateRequest::default()
        };
        self.inner
            .call(LONG, self.inner.api()?.create_volume(request))
            .await
            .map(drop)
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        forgive_gone(
            self.inner
                .call(LONG, self.inner.api()?.remove_volume(name, None::<RemoveVolumeOptions>))
                .await,
        )
    }

    async fn logs(&self, uuid: &str, wanted: &LogsWanted) -> Result<Pieces> {
        streams::logs(&self.inner, uuid, wanted).await
    }

    async fn stats(&self, uuid: &str) -> Result<Samples> {
        stats::stats(&self.inner, uuid).await
    }

    async fn machine_stats(&self) -> Result<Sample> {
        stats::machine(&self.inner).await
    }

    async fn execute(&self, uuid: &str, wanted: &ExecWanted) -> Result<Running> {
        streams::execute(&self.inner, uuid, wanted).await
    }

    async fn reach(&self, uuid: &str) -> Result<IpAddr> {
        reach::address(&self.inner, uuid).await
    }

    async fn connect(&self, uuid: &str, port: u16) -> Result<Connection> {
        reach::connect(&self.inner, uuid, port).await
    }

    async fn socket(&self) -> Result<Box<dyn Bytestream>> {
        socket::open(&self.inner.address).await
    }

    async fn prepare_name_servers(&self) -> Result<()> {
        name_image::ensure(&self.inner).await.map(drop)
    }

    async fn name_servers(&self) -> Result<Vec<NameServerFound>> {
        name_server::all(&self.inner).await
    }

    async fn ensure_name_server(&self, spec: &NameServerSpec) -> Result<()> {
        name_server::ensure(&self.inner, spec).await
    }

    async fn remove_name_server(&self, project_uuid: &str) -> Result<()> {
        name_server::remove(&self.inner, project_uuid).await
    }

    async fn feed_name_server(&self, project_uuid: &str) -> Result<Box<dyn NameFeed>> {
        name_feed::open(&self.inner, project_uuid).await
    }

    async fn feed_balancer(&self, uuid: &str) -> Result<Box<dyn BalancerFeed>> {
        balancer::open(&self.inner, uuid).await
    }

    async fn probe(&self, probe: &Probe) -> ProbeResult {
        if let Some(command) = &probe.command {
            return commands::ask(&self.inner, &probe.uuid, command, probe.timeout).await;
        }
        match (&probe.beside, &self.inner.address) {
            (Some(project), _) => self.inner.ways.probe(project, probe).await,
            (None, Address::Unix(_)) => crate::probe::run(probe).await,
            (None, Address::Tcp(_) | Address::Tls { .. } | Address::Tunnel { .. }) => ProbeResult::Unreachable(
                "the engine is on another machine, where its containers' addresses mean nothing to us".to_owned(),
            ),
        }
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        events::watch(Arc::clone(&self.inner))
    }
}
