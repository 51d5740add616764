//! Names of services, sidekicks and stacks: which are taken.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::engine::core::check_free_in_account;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::store::Tx;

/// No service and no sidekick of the stack has one of these names.
pub(crate) fn check_names_free<'a>(
    tx: &mut Tx<'_>,
    stack: ResourceId,
    names: impl Iterator<Item = &'a str>,
    except: Option<ResourceId>,
) -> Result<()> {
    let mut taken = BTreeSet::new();
    for service in tx.children(stack, "service")? {
        if Some(service.id) == except || service.state == State::REMOVING && service.removed.is_some() {
            continue;
        }
        taken.insert(service.name.to_lowercase());
        taken.extend(sidekick_names(&service)?);
    }
    for name in names {
        if taken.contains(&name.to_lowercase()) {
            return Err(Error::invalid("NotUnique", "name"));
        }
    }
    Ok(())
}

/// In lower case.
fn sidekick_names(service: &Resource) -> Result<Vec<String>> {
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
