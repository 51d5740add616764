//! Names of services, sidekicks and stacks: which are taken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::engine::core::check_free_in_account;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::store::Tx;

/// The names in a stack, as one transaction sees them. Whoever makes many services in it reads them once.
pub(super) struct Neighbours {
    services: BTreeMap<String, ResourceId>,
    sidekicks: BTreeSet<String>,
}

impl Neighbours {
    pub(super) fn read(tx: &mut Tx<'_>, stack: ResourceId, except: Option<ResourceId>) -> Result<Self> {
        let mut names = Self {
            services: BTreeMap::new(),
            sidekicks: BTreeSet::new(),
        };
        for service in tx.children(stack, "service")? {
            if Some(service.id) == except || service.state == State::REMOVING && service.removed.is_some() {
                continue;
            }
            names.services.entry(service.name.to_lowercase()).or_insert(service.id);
            names.sidekicks.extend(sidekick_names(&service)?);
        }
        Ok(names)
    }

    /// The service of this name.
    pub(super) fn service(&self, name: &str) -> Option<ResourceId> {
        self.services.get(&name.to_lowercase()).copied()
    }

    /// No service and no sidekick has one of these names.
    pub(super) fn check_free<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Result<()> {
        let is_taken = |name: &str| {
            let name = name.to_lowercase();
            self.services.contains_key(&name) || self.sidekicks.contains(&name)
        };
        match names.any(is_taken) {
            true => Err(Error::invalid("NotUnique", "name")),
            false => Ok(()),
        }
    }

    /// A service that was made since they were read.
    pub(super) fn add<'a>(&mut self, name: &str, id: ResourceId, sidekicks: impl Iterator<Item = &'a String>) {
        self.services.insert(name.to_lowercase(), id);
        self.sidekicks.extend(sidekicks.map(|name| name.to_lowercase()));
    }
}

/// No service and no sidekick of the stack has one of these names.
fn check_names_free<'a>(
    tx: &mut Tx<'_>,
    stack: ResourceId,
    names: impl Iterator<Item = &'a str>,
    except: Option<ResourceId>,
) -> Result<()> {
    Neighbours::read(tx, stack, except)?.check_free(names)
}

/// In lower case.
fn sidekick_names(service: &Resource) -> Result<Vec<String>> {
    // Most services have none; reading their fields would be most of the work.
    if !service.fields.contains("\"secondaryLaunchConfigs\":[{") {
        return Ok(Vec::new());
    }
    let sidekicks: Option<Vec<Named>> = Fields::parse(&service.fields)?.read("secondaryLaunchConfigs")?;
    Ok(sidekicks
        .into_iter()
        .flatten()
        .map(|sidekick| sidekick.name.to_lowercase())
        .collect())
}

/// No other service of the stack has the name of one of these sidekicks.
pub(crate) fn check_names_free_of_sidekicks(
    tx: &mut Tx<'_>,
    row: &Resource,
    sidekicks: &[Map<String, Value>],
) -> Result<()> {
    let names = sidekicks.iter().filter_map(|s| s.get("name").and_then(Value::as_str));
    match row.parent_id {
        Some(stack) => check_names_free(tx, stack, names, Some(row.id)),
        None => Ok(()),
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

/// The name rules of a rename, whatever the type.
pub(crate) fn check_name_free(tx: &mut Tx<'_>, row: &Resource, name: &str) -> Result<()> {
    match (row.root.as_str(), row.parent_id, row.account_id) {
        ("service", Some(stack), _) => {
            check_names_free(tx, stack, std::iter::once(name), Some(row.id))?;
            // Nor one of its own sidekicks: their containers would be called alike.
            match sidekick_names(row)?.contains(&name.to_lowercase()) {
                true => Err(Error::invalid("NotUnique", "name")),
                false => Ok(()),
            }
        }
        ("stack", _, Some(account)) => check_free_in_account(tx, "stack", account, name, Some(row.id)),
        _ => Ok(()),
    }
}
