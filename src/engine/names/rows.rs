//! The rows that a table is made of.

use std::collections::BTreeMap;

use crate::engine::core::Core;
use crate::model::{Resource, ResourceId, Result};

/// Everything of a project that can be asked for. Removed rows are not here.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) project: Resource,
    pub(super) instances: Vec<Resource>,
    pub(super) services: Vec<Resource>,
    pub(super) stacks: Vec<Resource>,
    pub(super) hosts: Vec<Resource>,
    pub(super) networks: Vec<Resource>,
    pub(super) ports: Vec<Resource>,
    /// Which containers are whose.
    pub(super) expose_maps: Vec<Resource>,
    /// Which services are linked.
    pub(super) consume_maps: Vec<Resource>,
    /// What proves the containers of a service to each other.
    pub(super) tokens: BTreeMap<ResourceId, String>,
}

impl Rows {
    /// A project, and nothing of it yet.
    pub(super) fn of(project: Resource) -> Self {
        Self {
            project,
            instances: Vec::new(),
            services: Vec::new(),
            stacks: Vec::new(),
            hosts: Vec::new(),
            networks: Vec::new(),
            ports: Vec::new(),
            expose_maps: Vec::new(),
            consume_maps: Vec::new(),
            tokens: BTreeMap::new(),
        }
    }
}

impl Core {
    /// What proves the containers of a service to each other.
    pub(super) fn token_of_service(&self, service: &Resource) -> String {
        let words = format!("token of service {}", service.uuid);
        self.config.secrets.digest(&words)
    }

    /// Reads them; none if the project is gone.
    pub(super) fn rows_of_names(&self, project: ResourceId) -> Result<Option<Rows>> {
        let Some(row) = self.store.find(project)?.filter(|row| row.removed.is_none()) else {
            return Ok(None);
        };
        let all = |root: &str| self.store.all(root, Some(project));
        let services = all("service")?;
        Ok(Some(Rows {
            project: row,
            instances: all("instance")?,
            tokens: services
                .iter()
                .map(|service| (service.id, self.token_of_service(service)))
                .collect(),
            services,
            stacks: all("stack")?,
            hosts: all("host")?,
            networks: all("network")?,
            ports: all("port")?,
            expose_maps: all("serviceExposeMap")?,
            consume_maps: all("serviceConsumeMap")?,
        }))
    }
}
