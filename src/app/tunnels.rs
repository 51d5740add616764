//! Agents' engines: each is a Docker Engine behind the socket that the hub has for its agent.

use std::sync::Arc;

use crate::engine::{EngineConfig, TunnelEngines};
use crate::model::Lease;
use crate::runtime::docker::{Docker, Owner};
use crate::runtime::{Error, Result, Runtime, TunnelWay, Tunnels};
use crate::tunnel::Hub;

/// The engines behind a hub.
struct ByHub(Arc<Hub>, Lease);

impl Tunnels for ByHub {
    fn engine(&self, server_uuid: &str, agent: &str) -> Result<Arc<dyn Runtime>> {
        let lease = &self.1;
        Ok(Arc::new(Docker::by_tunnel(
            self.way(agent)?,
            Owner { server_uuid, lease },
        )))
    }

    fn way(&self, agent: &str) -> Result<TunnelWay> {
        let socket = self
            .0
            .door(agent)
            .map_err(|e| Error::Failed(format!("no socket for it: {e}")))?;
        let (hub, name) = (self.0.clone(), agent.to_owned());
        let address = Box::new(move || hub.address(&name));
        Ok(TunnelWay { socket, address })
    }

    fn close(&self, agent: &str) {
        self.0.close(agent);
    }

    fn forget(&self, agent: &str) {
        self.0.forget(agent);
    }
}

/// Lets agents dial in, each into its place of the hub.
pub(super) fn allow(config: EngineConfig, hub: &Arc<Hub>, lease: &Lease) -> EngineConfig {
    EngineConfig {
        tunnels: Some(TunnelEngines(Arc::new(ByHub(hub.clone(), lease.clone())))),
        ..config
    }
}
