//! Several engines that are one cluster: its nodes, and what is theirs together. What runs on a node is that node's engine's.

use std::collections::BTreeMap;
use std::path::PathBuf;
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

/// Says by which address a machine is reached that is behind a tunnel, while that is known.
pub type TunnelAddress = dyn Fn() -> Option<String> + Send + Sync;

/// A way to an engine that cannot be asked at an address: its agent has dialled in.
pub struct TunnelWay {
    /// A socket of this machine that leads there.
    pub socket: PathBuf,
    /// Where that is.
    pub address: Box<TunnelAddress>,
}

/// A cluster of engines, asked by those of its nodes that know all others.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// All nodes, as they are now.
    async fn nodes(&self) -> Result<Vec<Node>>;
    /// What drives the engine of a node; nothing is asked of it yet.
    fn engine(&self, id: &str, address: &str) -> Result<Arc<dyn Runtime>>;
    /// The same where an agent leads to it.
    fn engine_behind(&self, id: &str, way: TunnelWay) -> Arc<dyn Runtime>;
}
