//! The nodes of a cluster as hosts: they join by themselves, and follow what the cluster says of them.

use std::collections::BTreeMap;

use crate::engine::core::{Core, DEFAULT_PROJECT, Followed, Following, notes, request, write_notes};
use crate::model::{Error, Resource, ResourceId, Result, State};
use crate::runtime::{self, Availability, Node};
use crate::store::Changes;

use super::attaching::{HostNotes, Tied};
use super::host::agent_state;
use super::nodes_by_agent::agent_to_node;

/// All nodes, and the hosts that are nodes.
type All<'a> = (&'a [Node], &'a [(Resource, HostNotes)]);

/// A node whose engine is to be tied to a host.
pub(super) struct Joining<'a> {
    pub(super) id: &'a str,
    /// Where its engine is asked: its address, or that of the agent that leads there.
    pub(super) at: &'a str,
    /// That agent.
    pub(super) agent: Option<ResourceId>,
    /// The name of a new host.
    pub(super) name: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl Core {
    /// From now on the nodes of a cluster are hosts. Those that were known before are tied at once, whether the cluster answers
    /// or not. Gives a line for whoever started the server.
    ///
    /// # Errors
    /// 404 if there is no such project, 409 if another cluster is followed.
    pub(crate) async fn follow_cluster(&self, following: Following) -> Result<String> {
        let project = match &following.project {
            None => DEFAULT_PROJECT,
            Some(named) => self.project_called(named)?,
        };
        let followed = Followed::new(following.cluster, project, following.labels);
        if self.followed.set(followed).is_err() {
            return Err(Error::conflict("a server follows one swarm"));
        }
        let Some(followed) = self.followed.get() else {
            return Err(Error::bug("a cluster that was set is not there"));
        };
        for (host, note) in self.node_hosts()? {
            let Some((id, at)) = note.node().zip(note.at.clone()) else {
                continue;
            };
            let joining = Joining {
                id,
                at: &at,
                agent: agent_to_node(&host),
                name: &host.name,
                labels: &note.labels,
            };
            if let Err(error) = self.tie_node(followed, &joining).await {
                log::error!("host {} is left alone: {}", host.id, error.chain());
            }
        }
        let words = match self.look_at_nodes().await {
            Ok(count) => format!("a swarm of {count} nodes"),
            Err(error) => format!("the swarm: {}; it is asked again and again", error.chain()),
        };
        Ok(words)
    }

    /// Compares all nodes with their hosts; says how many nodes there are.
    ///
    /// # Errors
    /// The cluster does not answer, or something of a node is not as it has to be: all other nodes are followed.
    pub(crate) async fn look_at_nodes(&self) -> Result<usize> {
        let Some(followed) = self.followed.get() else {
            return Ok(0);
        };
        let _only = followed.joining.lock().await;
        let nodes = followed.cluster.nodes().await;
        let nodes = nodes.map_err(|e| Error::internal("it is waited for", e))?;
        followed.list(nodes.iter().map(|node| &node.id));
        let hosts = self.node_hosts()?;
        let mut first = Ok(nodes.len());
        for node in nodes.iter().filter(|node| !followed.is_dismissed(&node.id)) {
            if let Err(error) = self.follow_node(followed, node, (&nodes, &hosts)).await {
                first = first.and(Err(error));
            }
        }
        for (host, _) in self.node_hosts()? {
            self.remove_if_late(&host).await?;
        }
        first
    }

    /// The hosts that are nodes, with their notes.
    pub(super) fn node_hosts(&self) -> Result<Vec<(Resource, HostNotes)>> {
        let hosts = self.store.all("host", None)?.into_iter();
        let noted = hosts.map(|host| {
            let note: HostNotes = notes(&host);
            (host, note)
        });
        Ok(noted.filter(|(_, note)| note.node().is_some()).collect())
    }

    /// `all` are all nodes, and the hosts that are nodes.
    async fn follow_node(&self, followed: &Followed, node: &Node, all: All<'_>) -> Result<()> {
        let (_, hosts) = all;
        let known = hosts.iter().find(|(_, note)| note.node() == Some(&node.id));
        let Some((host, note)) = known else {
            return self.join_node(followed, node, all).await;
        };
        let agent = agent_to_node(host);
        let is_away = agent_state(host) == Some(State::DISCONNECTED.as_str());
        if agent.is_none()
            && is_away
            && let Some((agent, info)) = self.agent_to(&node.id).await?
        {
            return self.tie_by_agent(followed, node, all.0, (&agent, &info)).await;
        }
        let labels = self.labels_of_node(followed, node, agent)?;
        // Where the cluster does not say it any more, its engine is where it was; so it is as long as an agent leads there.
        let known = note.at.as_deref().unwrap_or_default();
        let is_said = !node.engine.is_empty() && agent.is_none();
        let at = if is_said { node.engine.as_str() } else { known };
        if at != known || self.runtime(host.id).is_none() {
            let joining = Joining {
                id: &node.id,
                at,
                agent,
                name: &node.name,
                labels: &labels,
            };
            self.move_node(host.id, &node.id, at, None).await?;
            self.tie_node(followed, &joining).await?;
        }
        let note = HostNotes { labels, ..note.clone() };
        self.note_labels(host, &note).await?;
        self.follow_readiness(host, node.is_ready).await?;
        self.follow_availability(host.id, node.availability).await
    }

    /// A node that is no host yet: one is made, unless it is one that was here before.
    async fn join_node(&self, followed: &Followed, node: &Node, (all, hosts): All<'_>) -> Result<()> {
        if let Some((agent, info)) = self.agent_to(&node.id).await? {
            return self.tie_by_agent(followed, node, all, (&agent, &info)).await;
        }
        if node.engine.is_empty() {
            let why = format!(
                "it is not known where its engine is: give the node the label {}=tcp://ADDRESS:PORT, or start drover agent there",
                runtime::docker::LABEL_ENGINE
            );
            return Err(Error::internal(
                format!("node {}", node.name),
                runtime::Error::Failed(why),
            ));
        }
        let gone = |(_, note): &&(Resource, HostNotes)| !all.iter().any(|node| note.node() == Some(&node.id));
        let runtime = followed.cluster.engine(&node.id, &node.engine).map_err(refused)?;
        let described = match runtime.ping().await {
            Ok(()) => runtime.describe().await,
            Err(error) => Err(error),
        };
        let before = match &described {
            Ok(info) => hosts
                .iter()
                .filter(gone)
                .find(|(_, note)| !info.id.is_empty() && note.engine.as_ref() == Some(&info.id)),
            // Whether it is one of those that are gone only its engine knows.
            Err(error) if hosts.iter().filter(gone).any(|(host, _)| host.name == node.name) => {
                return Err(Error::internal(
                    format!("node {} is waited for", node.name),
                    error.clone(),
                ));
            }
            Err(_) => None,
        };
        if let Some((host, _)) = before {
            self.move_node(host.id, &node.id, &node.engine, None).await?;
            self.remove_runtime(host.id);
        }
        let labels = self.labels_of_node(followed, node, None)?;
        let joining = Joining {
            id: &node.id,
            at: &node.engine,
            agent: None,
            name: &node.name,
            labels: &labels,
        };
        let host = self.tie_node(followed, &joining).await?;
        self.follow_availability(host, node.availability).await
    }

    pub(super) async fn tie_node(&self, followed: &Followed, node: &Joining<'_>) -> Result<ResourceId> {
        let runtime = self.engine_of_node(followed, node)?;
        self.tie(Tied {
            host: None,
            project: followed.project,
            note: HostNotes {
                labels: node.labels.clone(),
                ..HostNotes::of_node(runtime.kind(), node.id, node.at)
            },
            runtime,
            name: Some(node.name.to_owned()).filter(|name| !name.is_empty()),
            agent: node.agent.map(|agent| self.wire_id("agent", agent)),
        })
        .await
    }

    /// Notes which node a host is, where its engine is asked, and the agent that leads there from now on, if there is one.
    pub(super) async fn move_node(
        &self,
        host: ResourceId,
        id: &str,
        at: &str,
        agent: Option<ResourceId>,
    ) -> Result<()> {
        let (id, at) = (id.to_owned(), at.to_owned());
        let agent = agent.map(|agent| (agent, self.wire_id("agent", agent)));
        self.write(move |tx| {
            let Some(row) = tx.find(host)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            let before: HostNotes = notes(&row);
            let note = HostNotes {
                engine: before.engine.clone(),
                labels: before.labels.clone(),
                is_held: before.is_held,
                ..HostNotes::of_node(&before.runtime, &id, &at)
            };
            if note == before && agent.is_none() {
                return Ok(());
            }
            let mut changes = Changes {
                internal: Some(write_notes(&note)?),
                ..Changes::default()
            };
            if let Some((agent, wire)) = agent {
                changes.patch.set("agentId", &wire)?;
                tx.insert_ref(row.id, "agentId", agent)?;
            }
            tx.update_if(&row, &changes).map(drop)
        })
        .await
    }

    /// What the cluster does not hear of is away, though its engine may answer.
    async fn follow_readiness(&self, host: &Resource, is_ready: bool) -> Result<()> {
        let is_away = agent_state(host) == Some(State::DISCONNECTED.as_str());
        match (is_ready, is_away) {
            (false, false) => self.host_changed(host.id, None).await,
            (true, true) => {
                let Some(runtime) = self.runtime(host.id) else {
                    return Ok(());
                };
                // One that does not answer yet says so when it does.
                let Ok(info) = runtime.describe().await else {
                    return Ok(());
                };
                self.check_engine(host.id, &info)?;
                self.host_changed(host.id, Some(&info)).await?;
                self.resync(host.id, &*runtime).await?;
                self.look_at_all(host.account_id)
            }
            (true, false) | (false, true) => Ok(()),
        }
    }

    /// A node that takes nothing new is inactive; it is active again when the cluster lets it, unless somebody else made it
    /// inactive before.
    pub(super) async fn follow_availability(&self, host: ResourceId, availability: Availability) -> Result<()> {
        let machine = self.machine_of("host")?.clone();
        self.write(move |tx| {
            let Some(row) = tx.find(host)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            let note: HostNotes = notes(&row);
            let (action, is_held) = match (availability, note.is_held, row.state) {
                (Availability::Active, true, State::INACTIVE) => (Some("activate"), false),
                (Availability::Active, true, State::ACTIVE) => (None, false),
                (Availability::Pause | Availability::Drain, _, State::ACTIVE) => (Some("deactivate"), true),
                _ => return Ok(()),
            };
            let changes = Changes {
                internal: Some(write_notes(&HostNotes { is_held, ..note })?),
                ..Changes::default()
            };
            match action {
                Some(action) => request(tx, &machine, &row, action, "{}", changes).map(drop),
                None => tx.update_if(&row, &changes).map(drop),
            }
        })
        .await
    }
}

pub(super) fn refused(error: runtime::Error) -> Error {
    Error::internal("the node's engine cannot be asked", error)
}
