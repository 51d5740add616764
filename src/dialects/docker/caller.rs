//! One caller in one project: what it may, and the rows that Docker's objects are here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::project::Others;
use super::refusal::{Outcome, Refusal};
use crate::dialects::caller;
pub use crate::dialects::caller::{Deed, fields, hostname, named, object};
use crate::model::{DockerIds, Fields, Resource, ResourceId, Result};

/// The most labels of an object.
pub const MOST_LABELS: usize = 100;

/// A caller that was let in.
#[derive(Clone)]
pub struct Caller {
    /// Who asks, in a project.
    pub one: caller::Caller,
    /// How rows are called here.
    pub ids: Arc<DockerIds>,
    /// The version of Docker's interface that the path named.
    pub version: Option<(u32, u32)>,
}

impl Deref for Caller {
    type Target = caller::Caller;

    fn deref(&self) -> &Self::Target {
        &self.one
    }
}

impl DerefMut for Caller {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.one
    }
}

/// Fields of containers as Docker calls them, and as launch configurations do.
const CONTAINER_FIELDS: [(&str, &str); 13] = [
    ("Env", "environment"),
    ("Command", "entryPoint"),
    ("Args", "command"),
    ("Labels", "labels"),
    ("Mounts", "dataVolumes"),
    ("Secrets", "secrets"),
    ("Configs", "secrets"),
    ("Hosts", "extraHosts"),
    ("User", "user"),
    ("Dir", "workingDir"),
    ("Hostname", "hostname"),
    ("Sysctls", "sysctls"),
    ("DNSConfig", "dns"),
];

impl Caller {
    /// Takes out of a service's or a task's description what the caller's view of launch configurations does not show.
    pub fn trim(&self, spec: &mut Value) {
        let task = if spec.get("TaskTemplate").is_some() {
            "/TaskTemplate/ContainerSpec"
        } else {
            "/ContainerSpec"
        };
        let launch = self.view.find_by_kind("launchConfig");
        if let Some(Value::Object(container)) = spec.pointer_mut(task) {
            for (field, native) in CONTAINER_FIELDS {
                if !launch.is_some_and(|launch| launch.fields.contains_key(native)) {
                    container.shift_remove(field);
                }
            }
        }
    }

    /// The names of the stacks.
    pub async fn stacks(&self) -> Result<HashMap<ResourceId, String>> {
        let stacks = self.rows("stack").await?;
        Ok(stacks.into_iter().map(|stack| (stack.id, stack.name)).collect())
    }

    /// The object of a path among `all`: by its id, by its name, by what its id begins with.
    pub fn pick<'r>(
        &self,
        all: &'r [Resource],
        what: &str,
        wanted: &str,
        name: impl Fn(&Resource) -> String,
    ) -> Outcome<&'r Resource> {
        if let Some(id) = self.ids.row(wanted)
            && let Some(row) = all.iter().find(|row| row.id == id)
        {
            return Ok(row);
        }
        if let Some(row) = all
            .iter()
            .find(|row| name(row) == wanted || self.engine.wire_id(row) == wanted)
        {
            return Ok(row);
        }
        let mut begun = all
            .iter()
            .filter(|row| !wanted.is_empty() && self.ids.of(row.id).starts_with(wanted));
        match (begun.next(), begun.next()) {
            (Some(row), None) => Ok(row),
            (Some(_), Some(_)) => Err(Refusal::bad(format!("{what} {wanted} is ambiguous (2 matches found)"))),
            (None, _) => Err(Refusal::missing(what, wanted)),
        }
    }

    /// The containers that Docker's clients see: all but those of balancers that are parts of services.
    pub async fn containers(&self) -> Result<Vec<Resource>> {
        let services = self.rows("service").await?;
        let parts = services.iter().filter(|row| self.engine.is_part(row));
        let parts: HashSet<ResourceId> = parts.map(|row| row.id).collect();
        let mut rows = self.lasting("instance").await?;
        rows.retain(|row| row.parent_id.is_none_or(|parent| !parts.contains(&parent)));
        Ok(rows)
    }
}

/// The rows that a service may name, read before it is translated.
pub struct Named<'c> {
    caller: &'c Caller,
    secrets: Vec<Resource>,
    configs: Vec<Resource>,
    hosts: Vec<Resource>,
}

impl<'c> Named<'c> {
    /// Reads them.
    pub async fn read(caller: &'c Caller) -> Result<Self> {
        Ok(Self {
            caller,
            secrets: caller.lasting("secret").await?,
            configs: caller.lasting("dockerConfig").await?,
            hosts: caller.lasting("host").await?,
        })
    }
}

impl Others for Named<'_> {
    fn secret(&self, id: &str) -> Outcome<String> {
        let row = self.caller.pick(&self.secrets, "secret", id, |row| row.name.clone());
        row.map(|row| self.caller.engine.wire_id(row))
            .map_err(|_| Refusal::argument(format!("secret not found: {id}")))
    }

    fn config(&self, id: &str) -> Outcome<String> {
        self.caller.may("secret", Deed::Read)?;
        let row = self.caller.pick(&self.configs, "config", id, |row| row.name.clone());
        row.map(|row| row.name.clone())
            .map_err(|_| Refusal::argument(format!("config not found: {id}")))
    }

    fn simulates(&self) -> bool {
        self.hosts.iter().any(|host| self.caller.engine.is_simulated(host))
    }

    fn node(&self, id: &str) -> Option<String> {
        let id = self.caller.ids.row(id)?;
        let row = self.hosts.iter().find(|row| row.id == id)?;
        Some(self.caller.engine.wire_id(row))
    }
}

/// Labels in a row's fields.
pub fn labels(fields: &Fields, name: &str) -> Result<BTreeMap<String, String>> {
    fields.texts(name)
}

/// The labels of a body.
pub fn given_labels(body: &Value) -> Outcome<Value> {
    let given = body.get("Labels").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let Some(labels) = given.as_object() else {
        return Err(Refusal::bad("json: cannot unmarshal: Labels are no object"));
    };
    if labels.len() > MOST_LABELS {
        return Err(Refusal::argument(format!("Labels: at most {MOST_LABELS}")));
    }
    match labels.values().all(Value::is_string) {
        true => Ok(given),
        false => Err(Refusal::bad("json: cannot unmarshal: a label is no text")),
    }
}

/// Whether a secret, a config or a network may be called so.
pub fn is_plain_name(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= 64 && name.chars().all(is_known) && is_edge(name.chars().next()) && is_edge(name.chars().last())
}
