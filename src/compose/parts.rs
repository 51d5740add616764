//! One service of a file, read key by key; a sidekick is one, too.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::keys::{self, File, Treatment};
use super::problem::{Problem, Read, Warning};
use super::special;
use super::variables::Variables;
use super::yaml::Node;

/// A link as a file names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// `db` of the same stack, or `stack/db`.
    pub service: String,
    /// What it is called by.
    pub alias: String,
}

/// What a service of a file says.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) image: Option<String>,
    /// The kind that it says itself.
    pub(super) kind: Option<String>,
    /// The launch configuration.
    pub(super) config: Map<String, Value>,
    /// Fields of the service itself.
    pub(super) fields: Map<String, Value>,
    pub(super) links: Vec<Link>,
    pub(super) sidekicks: Vec<String>,
    /// `lb_config`, and the older keys for the same.
    pub(super) balancing: Map<String, Value>,
    /// Public ports that an older balancer does not read as HTTP.
    pub(super) older_tcp: Vec<u16>,
    pub(super) health_check: Option<Value>,
    /// `hostname` of rancher-compose.yml.
    pub(super) outside_name: Option<String>,
    pub(super) outside_addresses: Vec<String>,
    /// `upgrade_strategy`.
    pub(super) pace: Map<String, Value>,
}

/// What reading needs beside the file, and collects.
pub(super) struct Reader<'a> {
    pub(super) variables: Variables<'a>,
    pub(super) warnings: Vec<Warning>,
    /// What the file calls secrets, and what the project does.
    pub(super) secrets: BTreeMap<String, String>,
    /// The same of volumes that are there already, under another name.
    pub(super) volumes: BTreeMap<String, String>,
}

impl Reader<'_> {
    pub(super) fn warn(&mut self, service: Option<&str>, key: &str, reason: &str) {
        self.warnings.push(Warning {
            service: service.map(str::to_owned),
            key: key.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Reads a service; `extra` is what rancher-compose.yml says of it.
    pub(super) fn service(&mut self, name: &str, node: &Node, extra: Option<&Node>) -> Read<Parts> {
        let mut parts = Parts {
            name: name.to_owned(),
            ..Parts::default()
        };
        let within = |problem: Problem| problem.within(format!("service {name}"));
        for (file, node) in [(File::Docker, Some(node)), (File::Rancher, extra)] {
            let Some(node) = node else { continue };
            for (key, value) in node.as_map().map_err(within)? {
                self.key(&mut parts, file, key, value)
                    .map_err(|problem| within(problem.within(key.as_str())))?;
            }
        }
        Ok(parts)
    }

    fn key(&mut self, parts: &mut Parts, file: File, key: &str, node: &Node) -> Read<()> {
        let Some(known) = keys::find(file, key) else {
            if !key.starts_with("x-") {
                self.warn(Some(&parts.name), key, "is not known");
            }
            return Ok(());
        };
        match known.treatment {
            Treatment::Refused(why) => Err(node.wrong(why)),
            Treatment::Ignored(why) => {
                self.warn(Some(&parts.name), key, why);
                Ok(())
            }
            _ if node.is_null() => Ok(()),
            Treatment::Config(field, form) => {
                parts.config.insert(field.to_owned(), form.read(node)?);
                Ok(())
            }
            Treatment::Service(field, form) => {
                parts.fields.insert(field.to_owned(), form.read(node)?);
                Ok(())
            }
            Treatment::Special(_) => special::read(self, parts, known, node),
        }
    }
}

impl Parts {
    /// Adds to a list of the launch configuration.
    pub(super) fn push(&mut self, field: &str, text: String) {
        let list = self.config.entry(field).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(Value::String(text));
        }
    }

    /// Adds to a map of the launch configuration.
    pub(super) fn put(&mut self, field: &str, key: &str, value: Value) {
        let map = self.config.entry(field).or_insert_with(|| json!({}));
        if let Value::Object(map) = map {
            map.insert(key.to_owned(), value);
        }
    }

    /// A label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.config.get("labels")?.get(name)?.as_str()
    }
}
