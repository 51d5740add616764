//! Nodes of a cluster whose engines cannot be asked at an address: an agent on the machine has dialled in and leads there. Which
//! node that is its engine says itself, so the host is the node's, and there is no second one.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::core::{Core, Followed, is_node, notes};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::runtime::{EngineInfo, Node, Runtime};

use super::attaching::HostNotes;
use super::host::agent_of;
use super::nodes::{Joining, refused};
use super::tunnels::SCHEME;

impl Core {
    /// Ties the engine that an agent leads to, if that is one of a node: says whether it is. `project` is the one that the
    /// agent's hosts are to be of.
    ///
    /// # Errors
    /// 409 if it is one and cannot be tied now.
    pub(super) async fn report_node(
        &self,
        agent: &Resource,
        project: ResourceId,
        runtime: &dyn Runtime,
    ) -> Result<bool> {
        let Some(followed) = self.followed.get() else {
            return Ok(false);
        };
        let info = runtime.describe().await;
        let info = info.map_err(|e| Error::internal("asking an engine which node it is", e))?;
        if info.node.is_empty() {
            return Ok(false);
        }
        let _only = followed.joining.lock().await;
        let nodes = followed.cluster.nodes().await;
        let unknown = |e| {
            Error::conflict(format!(
                "its engine is in a swarm, and whether in this one is not known: {e}"
            ))
        };
        let nodes = nodes.map_err(unknown)?;
        let Some(node) = nodes.iter().find(|node| node.id == info.node) else {
            return Ok(false);
        };
        if project != followed.project {
            return Err(Error::conflict(format!(
                "its engine is that of node {}, whose host is of another project: let it join that one",
                node.name
            )));
        }
        self.tie_by_agent(followed, node, &nodes, (agent, &info)).await?;
        Ok(true)
    }

    /// `nodes` are all there are. A host that is the node's already, or was that of its machine before it left and joined again,
    /// is reached by the agent from now on.
    ///
    /// # Errors
    /// 409 if another agent leads there, or the host had another engine.
    pub(super) async fn tie_by_agent(
        &self,
        followed: &Followed,
        node: &Node,
        nodes: &[Node],
        (agent, info): (&Resource, &EngineInfo),
    ) -> Result<()> {
        let at = Fields::parse(&agent.fields)?.text("uri").unwrap_or_default();
        let labels = self.labels_of_node(followed, node, Some(agent.id))?;
        let hosts = self.node_hosts()?;
        let has_left = |note: &HostNotes| !nodes.iter().any(|other| note.node() == Some(&other.id));
        let was_here =
            |note: &HostNotes| has_left(note) && !info.id.is_empty() && note.engine.as_ref() == Some(&info.id);
        let known = hosts.iter().find(|(_, note)| note.node() == Some(&node.id));
        let known = known.or_else(|| hosts.iter().find(|(_, note)| was_here(note)));
        if let Some((host, note)) = known {
            let leads = agent_of(host);
            if leads.is_some_and(|other| other != agent.id) {
                return Err(Error::conflict(format!(
                    "the engine {} is that of host {} already",
                    info.id, host.name
                )));
            }
            self.check_identity_of(host.id, info)?;
            if note.node() == Some(&node.id) && note.at.as_ref() == Some(&at) && self.runtime(host.id).is_some() {
                return Ok(());
            }
            self.move_node(host.id, &node.id, &at, Some(agent.id)).await?;
            self.remove_runtime(host.id);
        }
        followed.welcome(&node.id);
        let joining = Joining {
            id: &node.id,
            at: &at,
            agent: Some(agent.id),
            name: &node.name,
            labels: &labels,
        };
        let host = self.tie_node(followed, &joining).await?;
        self.follow_availability(host, node.availability).await
    }

    /// The agent that leads to a node and has no host for it, if there is one.
    pub(super) async fn agent_to(&self, node: &str) -> Result<Option<(Resource, EngineInfo)>> {
        // One that is on its way to be active looks for its host itself.
        let agents = self.store.all("agent", None)?.into_iter();
        for agent in agents.filter(|agent| agent.state == State::ACTIVE) {
            let Some(runtime) = self.tunnelled(&agent) else {
                continue;
            };
            let is_plain = |host: &Resource| !is_node(host);
            if self.hosts_of(&agent)?.iter().any(is_plain) || runtime.ping().await.is_err() {
                continue;
            }
            if let Ok(info) = runtime.describe().await
                && info.node == node
            {
                return Ok(Some((agent, info)));
            }
        }
        Ok(None)
    }

    /// The labels of a node's host: those for all of them, those of the agent that leads there, and the node's own.
    pub(super) fn labels_of_node(
        &self,
        followed: &Followed,
        node: &Node,
        agent: Option<ResourceId>,
    ) -> Result<BTreeMap<String, String>> {
        let agent = agent.map(|id| self.store.find(id)).transpose()?.flatten();
        let agents = agent.map(|agent| Fields::parse(&agent.fields)?.texts("labels"));
        let mut labels = followed.labels.clone();
        labels.extend(agents.transpose()?.unwrap_or_default());
        labels.extend(node.labels.clone());
        Ok(labels)
    }

    /// What drives the engine of a node.
    pub(super) fn engine_of_node(&self, followed: &Followed, node: &Joining<'_>) -> Result<Arc<dyn Runtime>> {
        if !node.at.starts_with(SCHEME) {
            return followed.cluster.engine(node.id, node.at).map_err(refused);
        }
        let (Some(agent), Some(tunnels)) = (node.agent, self.tunnels()) else {
            return Err(Error::conflict("the agent that leads to its engine is not there"));
        };
        let way = tunnels.way(&self.tunnel_name(agent)).map_err(refused)?;
        Ok(followed.cluster.engine_behind(node.id, way))
    }
}

/// The agent that leads to the engine of a node's host.
pub(super) fn agent_to_node(host: &Resource) -> Option<ResourceId> {
    agent_of(host).filter(|_| notes::<HostNotes>(host).is_by_agent())
}
