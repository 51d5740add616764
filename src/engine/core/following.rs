//! The cluster whose nodes are hosts, if there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::ResourceId;
use crate::runtime::Cluster;

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
}

impl Followed {
    pub(crate) fn new(cluster: Arc<dyn Cluster>, project: ResourceId, labels: BTreeMap<String, String>) -> Self {
        Self {
            cluster,
            project,
            labels,
            dismissed: Mutex::default(),
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

    fn dismissed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.dismissed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
