//! Secrets that files name: names become ids, and ids names.

use serde_json::{Map, Value, json};

use crate::compose::SECRET;
use crate::engine::core::{Core, Input};
use crate::model::launch::parse_reference;
use crate::model::{Error, ResourceId, Result};

/// The references to secrets in the launch configurations of a service.
fn references(fields: &mut Input) -> Vec<&mut Map<String, Value>> {
    let mut configs: Vec<&mut Value> = Vec::new();
    for (name, value) in fields.iter_mut() {
        match (name.as_str(), value) {
            ("launchConfig", config) => configs.push(config),
            ("secondaryLaunchConfigs", Value::Array(list)) => configs.extend(list),
            _ => {}
        }
    }
    let lists = configs
        .into_iter()
        .filter_map(|config| config.get_mut("secrets")?.as_array_mut());
    lists.flatten().filter_map(Value::as_object_mut).collect()
}

impl Core {
    /// Puts ids for the names of secrets. 422 for one that the project does not have.
    pub(super) fn secrets_by_id(&self, project: Option<ResourceId>, fields: &mut Input) -> Result<()> {
        let references = references(fields);
        if references.is_empty() {
            return Ok(());
        }
        let all = self.store.all("secret", project)?;
        for reference in references {
            let Some(name) = reference.shift_remove(SECRET) else {
                continue;
            };
            let name = name.as_str().unwrap_or_default();
            let found = all
                .iter()
                .find(|row| row.name == name)
                .or_else(|| all.iter().find(|row| row.name.eq_ignore_ascii_case(name)));
            let missing =
                || Error::invalid("InvalidReference", "secrets").with_message(format!("there is no secret {name}"));
            let id = self.wire_id("secret", found.ok_or_else(missing)?.id);
            reference.insert("secretId".to_owned(), json!(id));
        }
        Ok(())
    }

    /// Puts names for the ids of secrets.
    pub(super) fn secrets_by_name(&self, fields: &mut Input) -> Result<()> {
        for reference in references(fields) {
            let id = reference.shift_remove("secretId");
            let id = id.as_ref().and_then(Value::as_str).and_then(parse_reference);
            if let Some(row) = id.map(|id| self.store.find(id)).transpose()?.flatten() {
                reference.insert(SECRET.to_owned(), json!(row.name));
            }
        }
        Ok(())
    }
}
