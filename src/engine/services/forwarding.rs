//! The driver `forwardPost` of receivers: what is sent to one is posted to a container of a service of its project, and to
//! nobody else. The containers' own addresses are the only ones there are; who posts is whoever speaks HTTP.

use serde_json::{Map, Value};

use crate::engine::core::Core;
use crate::engine::instances::plan_health;
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, State, WireId};
use crate::plan::Health;
use crate::runtime;
use crate::runtime::streams::Connection;

use super::receiving::{bad, is_own, no_service};

/// The longest path.
const LONGEST_PATH: usize = 2_048;

/// What such a receiver is set to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forward {
    /// `service`, or `stack/service`.
    service: String,
    /// The project that was named, which can only be its own.
    project: Option<ResourceId>,
    port: u16,
    path: String,
}

/// A connection to who is to have it, and the path there.
pub struct Way {
    /// To a port of a container.
    pub connection: Connection,
    /// Where on it.
    pub path: String,
}

impl Forward {
    /// Reads a configuration.
    pub(super) fn read(config: &Map<String, Value>) -> Result<Self> {
        let text = |field: &str| {
            config
                .get(field)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let service = text("serviceName").ok_or_else(|| bad("serviceName not provided").with_field("serviceName"))?;
        let port = config.get("port").and_then(|port| match port {
            Value::String(port) => port.trim().parse().ok(),
            port => port.as_u64().and_then(|port| u16::try_from(port).ok()),
        });
        let port = port.filter(|port| *port > 0);
        let path = text("path").unwrap_or("/");
        let is_legal =
            |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}');
        if !path.starts_with('/') || path.len() > LONGEST_PATH || !path.chars().all(is_legal) {
            return Err(bad("path is that of an address, and begins with a /").with_field("path"));
        }
        let project = text("projectId").map(|id| WireId::parse(id).map(|wire| wire.id));
        let project = project.map(|id| id.ok_or_else(|| bad("projectId is no id").with_field("projectId")));
        Ok(Self {
            service: service.to_owned(),
            project: project.transpose()?,
            port: port.ok_or_else(|| bad("port is a number from 1 to 65535").with_field("port"))?,
            path: path.to_owned(),
        })
    }

    /// 400 for a service that is not there, or another project's.
    pub(super) fn check(&self, core: &Core, project: ResourceId) -> Result<()> {
        if self.project.is_some_and(|named| named != project) {
            return Err(bad("projectId is the receiver's own project").with_field("projectId"));
        }
        self.service(core, Some(project)).map(drop)
    }

    /// The service of this name, if there is one and no other.
    fn service(&self, core: &Core, project: Option<ResourceId>) -> Result<Resource> {
        let none = || no_service().with_field("serviceName");
        let (stack, name) = match self.service.split_once('/') {
            Some((stack, name)) => (Some(stack), name),
            None => (None, self.service.as_str()),
        };
        let mut found = Vec::new();
        for service in core.store.all("service", project)? {
            if service.name.eq_ignore_ascii_case(name) && is_own(&service, project)? {
                let in_stack = service.parent_id.map(|id| core.store.find(id)).transpose()?.flatten();
                if stack.is_none_or(|stack| in_stack.is_some_and(|row| row.name.eq_ignore_ascii_case(stack))) {
                    found.push(service);
                }
            }
        }
        match (found.pop(), found.pop()) {
            (Some(service), None) => Ok(service),
            (None, _) => Err(none()),
            (Some(_), Some(_)) => {
                let why = format!("several services are called {name}: name the stack, too, as in stack/{name}");
                Err(bad(why).with_field("serviceName"))
            }
        }
    }

    /// A connection to the first container of the service that is well.
    pub(super) async fn open(self, core: &Core, project: Option<ResourceId>) -> Result<Way> {
        let service = self.service(core, project)?;
        let is_well = |row: &&Resource| {
            row.state == State::RUNNING && matches!(plan_health(&row.health), Health::None | Health::Healthy)
        };
        let all = core.store.children(service.id, "instance")?;
        let container = all.iter().find(is_well);
        let container =
            container.ok_or_else(|| Error::conflict(format!("no container of {} is well", service.name)))?;
        let away = || Error::new(ErrorKind::Unavailable).with_message("the container's host does not answer");
        let runtime = container.host_id.and_then(|host| core.runtime(host)).ok_or_else(away)?;
        let opened = runtime.connect(&container.uuid, self.port).await;
        let connection = opened.map_err(|error| match error {
            runtime::Error::Unreachable(_) => away(),
            other => Error::conflict(other.to_string()),
        })?;
        Ok(Way {
            connection,
            path: self.path,
        })
    }
}
