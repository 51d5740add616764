//! Stacks from compose files: what the files of a stack mean for its project, making it, upgrading to it, and writing what a
//! stack is as files.
//!
//! What the files say is `crate::compose`'s to know. Here names become rows: every service of a file is checked as that of any
//! client, and made by the same [`super::new_service::NewService`]. All of a file is checked before anything of it is made, and
//! what is there by its name is not made again, so that each step may be repeated.

mod balancing;
mod export;
mod import;
mod same;
mod secrets;
mod upgrade;
mod wanted;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compose::Texts;
use crate::model::{Fields, Result};

pub use export::StackFiles;
pub(crate) use export::{config_of, files_of};
pub(super) use import::failed;
pub(super) use same::means;
pub(super) use upgrade::accept;
pub(super) use wanted::OfProject;

/// The engine's own notes of a stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StackNotes {
    /// What the stack was before it was upgraded, until the upgrade is finished or rolled back: the fields of [`KEPT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<BTreeMap<String, Value>>,
}

/// The fields that say what a stack is made of.
const KEPT: [&str; 6] = [
    "answers",
    "dockerCompose",
    "environment",
    "externalId",
    "rancherCompose",
    "templates",
];

impl StackNotes {
    /// The fields of the stack before it was upgraded.
    fn before(&self) -> Result<Option<Fields>> {
        let Some(previous) = &self.previous else {
            return Ok(None);
        };
        let mut fields = Fields::default();
        for (name, value) in previous {
            fields.set(name, value)?;
        }
        Ok(Some(fields))
    }
}

/// The names of templates that are the docker-compose.yml, if nothing else is.
const DOCKER_TEMPLATES: [&str; 4] = [
    "docker-compose.yml",
    "docker-compose.yml.tpl",
    "compose.yml",
    "compose.yml.tpl",
];

/// The same for the rancher-compose.yml.
const RANCHER_TEMPLATES: [&str; 4] = [
    "rancher-compose.yml",
    "rancher-compose.yml.tpl",
    "rancher.yml",
    "rancher.yml.tpl",
];

/// The files of a stack; `None` if it was made without. Where a file is not given, the template of its name is it.
fn texts_of(fields: &Fields) -> Option<Texts> {
    let templates = fields.texts("templates").unwrap_or_default();
    let text = |field: &str, names: [&str; 4]| {
        let template = || names.iter().find_map(|name| templates.get(*name).cloned());
        let given = fields.text(field).filter(|text| !text.is_empty());
        given.or_else(template).unwrap_or_default()
    };
    let texts = Texts {
        docker: text("dockerCompose", DOCKER_TEMPLATES),
        rancher: text("rancherCompose", RANCHER_TEMPLATES),
    };
    (!texts.docker.trim().is_empty() || !texts.rancher.trim().is_empty()).then_some(texts)
}

/// The values of a stack's variables.
fn environment_of(fields: &Fields) -> Result<BTreeMap<String, String>> {
    let mut values = fields.texts("environment")?;
    let answers: Option<BTreeMap<String, Value>> = fields.read("answers")?;
    for (name, answer) in answers.into_iter().flatten() {
        let text = match answer {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        values.entry(name).or_insert(text);
    }
    Ok(values)
}
