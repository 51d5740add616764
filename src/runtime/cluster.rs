//! Several engines that are one cluster: its nodes, and what is theirs together. What runs on a node is that node's engine's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Result, Runtime};

/// Whether a node takes what is new, as the cluster's own people say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// It does.
    Active,
    /// Not now.
    Pause,
    /// Not now, and what there is leaves.
    Drain,
}

impl Availability {
    /// In the cluster's own word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}

/// A machine of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// By which the cluster knows it; a machine that leaves and comes again has another one.
    pub id: String,
    /// What the machine is called.
    pub name: String,
    /// Where its engine is asked: an address, as [`super::docker::Docker::connect`] takes it.
    pub engine: String,
    /// The cluster hears of it.
    pub is_ready: bool,
    /// Whether it takes what is new.
    pub availability: Availability,
    /// What people say of it.
    pub labels: BTreeMap<String, String>,
}

/// A cluster of engines, asked by those of its nodes that know all others.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// All nodes, as they are now.
    async fn nodes(&self) -> Result<Vec<Node>>;
    /// What drives the engine of a node; nothing is asked of it yet.
    fn engine(&self, id: &str, address: &str) -> Result<Arc<dyn Runtime>>;
}
