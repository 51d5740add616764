//! A swarm of Docker Engines: its nodes and its overlay networks, asked of its managers in turn. Containers are plain ones of
//! the node's own engine; a swarm's services are not used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{self, NodeSpecAvailabilityEnum, NodeState};
use bollard::query_parameters::{InspectContainerOptions, ListNodesOptions};

use super::address::Address;
use super::network::{self, Sort};
use super::{Docker, Inner, Owner, SHORT};
use crate::model::Lease;
use crate::runtime::{Availability, Cluster, Error, NetworkFound, NetworkSpec, Node, Result, Runtime, TunnelWay};

/// The label of a node whose value is the address of its engine.
pub const LABEL_ENGINE: &str = "drover.engine";

/// How long a manager may think before the next one is asked. One that is stopped takes the connection and never answers.
const MANAGER: Duration = Duration::from_secs(5);

/// Between two tries to remove a network that its last container has just left.
const LEAVING: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// A swarm, as its managers know it.
pub struct Swarm {
    inner: Arc<Managers>,
}

/// See [`Swarm`].
pub(super) struct Managers {
    managers: Vec<Manager>,
    /// The one that answered last: it is asked first.
    last: AtomicUsize,
    certificates: Option<PathBuf>,
    server_uuid: String,
    lease: Lease,
    /// Two callers of one server make no network twice.
    networks: tokio::sync::Mutex<()>,
    seen: Mutex<Seen>,
}

struct Manager {
    url: String,
    engine: Inner,
}

/// What was seen last.
#[derive(Default)]
enum Seen {
    #[default]
    Nothing,
    /// No manager answers, in their words.
    Away(String),
    /// Why nothing may be started, by node; none if something may.
    Nodes(HashMap<String, Option<Closed>>),
}

/// Why nothing may be attached to an overlay on a node: a start would hang for 20 seconds and fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Closed {
    #[error("the swarm does not hear of this node")]
    Down,
    #[error("the swarm's node is paused, and starts nothing")]
    Paused,
    #[error("the swarm's node is drained, and starts nothing")]
    Drained,
    #[error("the swarm has no such node any more")]
    Gone,
    #[error("{0}")]
    NoManager(String),
}

/// Which node an engine is.
pub(super) struct Membership {
    swarm: Arc<Managers>,
    node: String,
}

impl Swarm {
    /// A swarm that has these engines as managers. Does not talk yet.
    ///
    /// # Errors
    /// [`Error::Failed`] if an address cannot be understood or certificates are missing.
    pub fn connect(urls: &[String], certificates: Option<&Path>, owner: Owner<'_>) -> Result<Self> {
        let managers = urls.iter().map(|url| {
            let address = Address::parse(url, certificates)?;
            Ok(Manager {
                url: url.clone(),
                engine: Inner::at(address, owner, None),
            })
        });
        let inner = Managers {
            managers: managers.collect::<Result<_>>()?,
            last: AtomicUsize::new(0),
            certificates: certificates.map(Path::to_owned),
            server_uuid: owner.server_uuid.to_owned(),
            lease: owner.lease.clone(),
            networks: tokio::sync::Mutex::const_new(()),
            seen: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

#[async_trait]
impl Cluster for Swarm {
    async fn nodes(&self) -> Result<Vec<Node>> {
        let listed = self.inner.listed().await;
        *self.inner.seen() = match &listed {
            Ok(nodes) => Seen::Nodes(nodes.iter().map(|node| (node.id.clone(), closed(node))).collect()),
            Err(error) => Seen::Away(error.to_string()),
        };
        listed
    }

    fn engine(&self, id: &str, address: &str) -> Result<Arc<dyn Runtime>> {
        let address = Address::parse(address, self.inner.certificates.as_deref())?;
        Ok(self.member(id, address))
    }

    fn engine_behind(&self, id: &str, way: TunnelWay) -> Arc<dyn Runtime> {
        self.member(id, way.into())
    }
}

impl Swarm {
    fn member(&self, id: &str, address: Address) -> Arc<dyn Runtime> {
        let membership = Membership {
            swarm: self.inner.clone(),
            node: id.to_owned(),
        };
        let owner = Owner {
            server_uuid: &self.inner.server_uuid,
            lease: &self.inner.lease,
        };
        Arc::new(Docker {
            inner: Arc::new(Inner::at(address, owner, Some(membership))),
        })
    }
}

impl Managers {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the first manager says that says something, beginning with the one that did last.
    async fn ask<'m, T, F: Future<Output = Result<T>>>(&'m self, question: impl Fn(&'m Manager) -> F) -> Result<T> {
        let mut silent = Vec::new();
        let last = self.last.load(Ordering::Relaxed);
        let all = self.managers.iter().enumerate();
        let (before, after): (Vec<_>, Vec<_>) = all.partition(|(place, _)| *place < last);
        for (place, manager) in after.into_iter().chain(before) {
            match question(manager).await {
                Ok(answer) => {
                    self.last.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                // It is none, or has no leader: another one may know.
                Err(Error::Unreachable(why) | Error::Failed(why)) => silent.push(format!("{}: {why}", manager.url)),
                Err(other) => return Err(other),
            }
        }
        Err(Error::Unreachable(format!(
            "no manager of the swarm answers ({})",
            silent.join("; ")
        )))
    }

    async fn listed(&self) -> Result<Vec<Node>> {
        self.ask(|manager| async move {
            let engine = &manager.engine;
            let own = engine.call(MANAGER, engine.api()?.info()).await?.swarm;
            let own = own.and_then(|swarm| swarm.node_id).unwrap_or_default();
            let nodes = engine.api()?.list_nodes(None::<ListNodesOptions>);
            let nodes = engine.call(MANAGER, nodes).await?;
            Ok(nodes
                .into_iter()
                .filter_map(|each| node(each, &manager.url, &own))
                .collect())
        })
        .await
    }

    /// Makes an overlay present. Its addresses are handed out by the server; the first 256 are left to the swarm, which needs one
    /// for each node.
    pub(super) async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkFound> {
        let _guard = self.networks.lock().await;
        self.ask(|manager| network::ensure_sort(&manager.engine, spec, Sort::Overlay))
            .await?
            .into()
    }

    /// Removes a project's overlay. What its last container has just left is in use for some seconds yet.
    pub(super) async fn remove_network(&self, project_uuid: &str) -> Result<()> {
        let _guard = self.networks.lock().await;
        let mut waits = LEAVING.into_iter();
        loop {
            let removed = self
                .ask(|manager| network::remove_all(&manager.engine, project_uuid))
                .await;
            match (removed, waits.next()) {
                (Err(Error::Unreachable(why)), Some(wait)) if why.contains("is in use") => {
                    crate::runtime::pause(wait).await;
                }
                (other, _) => return other,
            }
        }
    }
}

impl Membership {
    pub(super) fn swarm(&self) -> &Managers {
        &self.swarm
    }

    /// Why nothing may be attached to an overlay on this node now.
    fn closed(&self) -> Option<Closed> {
        match &*self.swarm.seen() {
            Seen::Nothing => None,
            Seen::Away(why) => Some(Closed::NoManager(why.clone())),
            Seen::Nodes(nodes) => nodes.get(&self.node).cloned().unwrap_or(Some(Closed::Gone)),
        }
    }

    /// Nothing is known of a node that the swarm does not hear of, whatever its engine says.
    ///
    /// # Errors
    /// [`Error::Unreachable`] for such a one.
    pub(super) fn check_ready(&self) -> Result<()> {
        match self.closed() {
            Some(down @ Closed::Down) => Err(Error::Unreachable(down.to_string())),
            Some(Closed::Paused | Closed::Drained | Closed::Gone | Closed::NoManager(_)) | None => Ok(()),
        }
    }

    /// Whether a container may be started now: one on an overlay needs a manager that answers, and a node that takes it.
    ///
    /// # Errors
    /// [`Error::Unreachable`] with the reason.
    pub(super) async fn check_start(&self, engine: &Inner, id: &str) -> Result<()> {
        let Some(why) = self.closed() else { return Ok(()) };
        let looked = engine.api()?.inspect_container(id, None::<InspectContainerOptions>);
        let found = engine.call(SHORT, looked).await?;
        let mode = found.host_config.and_then(|config| config.network_mode);
        let mode = mode.unwrap_or_default();
        let is_own = matches!(mode.as_str(), "" | "default" | "bridge" | "host" | "none");
        match is_own || mode.starts_with("container:") {
            true => Ok(()),
            false => Err(Error::Unreachable(why.to_string())),
        }
    }
}

/// Why nothing may be attached to an overlay on a node.
fn closed(node: &Node) -> Option<Closed> {
    match node.availability {
        _ if !node.is_ready => Some(Closed::Down),
        Availability::Active => None,
        Availability::Pause => Some(Closed::Paused),
        Availability::Drain => Some(Closed::Drained),
    }
}

/// A node as the manager at `url` lists it, whose own id is `own`.
fn node(node: models::Node, url: &str, own: &str) -> Option<Node> {
    let id = node.id?;
    let (spec, status) = (node.spec.unwrap_or_default(), node.status.unwrap_or_default());
    let mut labels: HashMap<String, String> = spec.labels.unwrap_or_default();
    let told = labels.remove(LABEL_ENGINE).filter(|address| !address.is_empty());
    let is_elsewhere = |address: &&String| !address.is_empty() && *address != "0.0.0.0";
    let as_manager = node.manager_status.and_then(|status| status.addr);
    let as_manager = as_manager.and_then(|address| Some(address.rsplit_once(':')?.0.to_owned()));
    let address = status.addr.iter().find(is_elsewhere).cloned().or(as_manager);
    let engine = match (told, address) {
        (Some(told), _) => told,
        (None, _) if id == own => url.to_owned(),
        (None, Some(address)) => beside(url, &address),
        (None, None) => String::new(),
    };
    Some(Node {
        engine,
        name: node
            .description
            .and_then(|description| description.hostname)
            .unwrap_or_default(),
        is_ready: status.state == Some(NodeState::READY),
        availability: match spec.availability {
            Some(NodeSpecAvailabilityEnum::PAUSE) => Availability::Pause,
            Some(NodeSpecAvailabilityEnum::DRAIN) => Availability::Drain,
            _ => Availability::Active,
        },
        labels: labels.into_iter().collect(),
        id,
    })
}

/// The engine of another machine, at the same port as this one; nowhere if this one is at a socket.
fn beside(url: &str, address: &str) -> String {
    let Some((scheme, authority)) = url.split_once("://").filter(|(scheme, _)| *scheme != "unix") else {
        return String::new();
    };
    let host = match address.contains(':') {
        true => format!("[{}]", address.trim_matches(['[', ']'])),
        false => address.to_owned(),
    };
    let port = authority.rsplit_once(':').map_or("2376", |(_, port)| port);
    format!("{scheme}://{host}:{}", port.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn listed(text: &str) -> Node {
        let listed = serde_json::from_str(text).expect("a node");
        node(listed, "tcp://10.0.0.1:2376", "own").expect("it has an id")
    }

    #[test]
    fn an_engine_is_where_its_node_says_or_at_the_managers_port_of_its_address() {
        let engine = |text: &str| listed(text).engine;
        assert_eq!(
            engine(r#"{"ID": "own", "Status": {"Addr": "10.0.0.9"}}"#),
            "tcp://10.0.0.1:2376"
        );
        assert_eq!(
            engine(r#"{"ID": "b", "Status": {"Addr": "10.0.0.2"}}"#),
            "tcp://10.0.0.2:2376"
        );
        assert_eq!(
            engine(r#"{"ID": "c", "Status": {"Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "10.0.0.3:2377"}}"#),
            "tcp://10.0.0.3:2376"
        );
        let labelled = listed(
            r#"{"ID": "d", "Spec": {"Labels": {"drover.engine": "tcp://d:1", "disk": "ssd"}}, "Status": {"Addr": "10.0.0.4"}}"#,
        );
        assert_eq!(labelled.engine, "tcp://d:1");
        assert_eq!(labelled.labels, [("disk".to_owned(), "ssd".to_owned())].into());
        assert_eq!(beside("unix:///run/docker.sock", "10.0.0.2"), "");
        assert_eq!(beside("tcp://[fd00::1]:2375", "fd00::2"), "tcp://[fd00::2]:2375");
    }

    #[test]
    fn a_node_that_takes_nothing_says_why() {
        let why = |availability: &str, state: &str| {
            closed(&listed(&format!(
                r#"{{"ID": "a", "Spec": {{"Availability": "{availability}"}}, "Status": {{"State": "{state}"}}}}"#
            )))
        };
        assert_eq!(why("active", "ready"), None);
        assert_eq!(why("pause", "ready"), Some(Closed::Paused));
        assert_eq!(why("drain", "ready"), Some(Closed::Drained));
        assert_eq!(why("drain", "down"), Some(Closed::Down));
        assert_eq!(
            Closed::Drained.to_string(),
            "the swarm's node is drained, and starts nothing"
        );
    }
}
