//! The cluster whose nodes are hosts, if there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Resource, ResourceId};
use crate::runtime::Cluster;

use super::rows::notes;

/// How the name of an engine begins that is a node of a cluster: no other engine has a name with a space but those that were added.
const NODE: &str = "node ";

/// What the engine of a node is called among a host's notes.
pub(crate) fn name_of_node(id: &str) -> String {
    format!("{NODE}{id}")
}

/// Which node an engine of this name is, if it is one.
pub(crate) fn node_of(name: &str) -> Option<&str> {
    name.strip_prefix(NODE)
}

/// Whether a host is a node of the cluster: containers there reach those on all other nodes.
pub(crate) fn is_node(host: &Resource) -> bool {
    #[derive(Default, serde::Deserialize)]
    struct Named {
        #[serde(default)]
        name: Option<String>,
    }
    notes::<Named>(host).name.as_deref().and_then(node_of).is_some()
}

/// A cluster that is to be followed.
pub struct Following {
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// The project that its nodes run containers for, by id, uuid or name; none is the Default project.
    pub project: Option<String>,
    /// Labels for all its hosts, beside those of the nodes.
    pub labels: BTreeMap<String, String>,
}

/// One that is followed.
pub(crate) struct Followed {
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) project: ResourceId,
    pub(crate) labels: BTreeMap<String, String>,
    /// Nodes whose hosts were removed since the server was started: they join again when it starts again.
    dismissed: Mutex<BTreeSet<String>>,
    /// All nodes, as they were listed last.
    listed: Mutex<Option<BTreeSet<String>>>,
    /// Held by whoever makes hosts of nodes: of one node there are no two.
    pub(crate) joining: tokio::sync::Mutex<()>,
}

impl Followed {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, project: ResourceId, labels: BTreeMap<String, String>) -> Self {
        Self {
            cluster,
            project,
            labels,
            dismissed: Mutex::default(),
            listed: Mutex::default(),
            joining: tokio::sync::Mutex::default(),
        }
    }

    /// The host of a node goes, and is not to come back by itself.
    pub(crate) fn dismiss(&self, node: &str) {
        self.dismissed().insert(node.to_owned());
    }

    /// Whether the host of a node was removed.
    pub(crate) fn is_dismissed(&self, node: &str) -> bool {
        self.dismissed().contains(node)
    }

    /// Somebody wants the host of a node after all.
    pub(crate) fn welcome(&self, node: &str) {
        self.dismissed().remove(node);
    }

    /// These are all nodes now.
    pub(crate) fn list<'n>(&self, nodes: impl Iterator<Item = &'n String>) {
        let listed = Some(nodes.cloned().collect());
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = listed;
    }

    /// Whether somebody took a node out of the cluster.
    pub(crate) fn has_left(&self, node: &str) -> bool {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.as_ref().is_some_and(|listed| !listed.contains(node))
    }

    fn dismissed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.dismissed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
