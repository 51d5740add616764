//! The secrets and configs that a service names: whether they are there, in swarm's words.

use super::caller::Caller;
use super::refusal::{Outcome, Refusal};
use super::spec::{ContainerSpec, FileTarget};
use super::things::Thing;
use crate::model::Resource;

/// A secret or a config as a service names it.
struct Reference<'s> {
    id: &'s str,
    name: &'s str,
    file: Option<&'s FileTarget>,
    /// Whether it need not be a file.
    is_read_elsewhere: bool,
}

/// Checks all of a container.
pub async fn check(caller: &Caller, container: &ContainerSpec) -> Outcome<()> {
    let secrets = container.secrets.iter().map(|secret| Reference {
        id: &secret.secret_id,
        name: &secret.secret_name,
        file: secret.file.as_ref(),
        is_read_elsewhere: false,
    });
    let configs = container.configs.iter().map(|config| Reference {
        id: &config.config_id,
        name: &config.config_name,
        file: config.file.as_ref(),
        is_read_elsewhere: config.runtime.is_some(),
    });
    check_all(caller, Thing::Secret, secrets.collect()).await?;
    check_all(caller, Thing::Config, configs.collect()).await
}

async fn check_all(caller: &Caller, thing: Thing, all: Vec<Reference<'_>>) -> Outcome<()> {
    if all.is_empty() {
        return Ok(());
    }
    check_form(thing, &all)?;
    let rows = caller.lasting(thing.root()).await?;
    let is_there = |reference: &Reference<'_>| {
        let is_it = |row: &Resource| Some(row.id) == caller.ids.row(reference.id) && row.name == reference.name;
        rows.iter().any(is_it)
    };
    let missing: Vec<&str> = all.iter().filter(|one| !is_there(one)).map(|one| one.name).collect();
    let (kind, many) = (thing.name(), if missing.len() > 1 { "s" } else { "" });
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Refusal::argument(format!(
            "{kind}{many} not found: {}",
            missing.join(", ")
        ))),
    }
}

fn check_form(thing: Thing, all: &[Reference<'_>]) -> Outcome<()> {
    let kind = thing.name();
    let mut targets: Vec<(&str, &str)> = Vec::new();
    for one in all {
        if one.id.is_empty() || one.name.is_empty() {
            return Err(Refusal::argument(format!("malformed {kind} reference")));
        }
        let Some(file) = one.file else {
            match one.is_read_elsewhere {
                true => continue,
                false => {
                    return Err(Refusal::argument(format!(
                        "malformed {kind} reference, no target provided"
                    )));
                }
            }
        };
        if file.name.is_empty() {
            let words = format!("malformed file {kind} reference, invalid target file name provided");
            return Err(Refusal::argument(words));
        }
        if let Some((_, other)) = targets.iter().find(|(target, _)| *target == file.name) {
            let (name, target) = (one.name, &file.name);
            return Err(Refusal::argument(format!(
                "{kind} references '{other}' and '{name}' have a conflicting target: '{target}'"
            )));
        }
        targets.push((&file.name, one.name));
    }
    Ok(())
}
