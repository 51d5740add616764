//! Volumes: those of the project that have a name. Each is made on the engine of the host whose containers mount it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::caller::{Caller, Deed, fields, list as listed, named};
use super::project::Others;
use super::read::Members;
use super::record::Service;
use super::references::Named;
use super::refusal::{Form, Outcome, Refusal};
use super::services;
use crate::engine::Input;
use crate::model::Resource;
use crate::model::launch::parse_reference;
use crate::schema::validate::Purpose;

/// The volumes by their names, the oldest row of each first.
async fn all(caller: &Caller) -> Outcome<BTreeMap<String, Vec<Resource>>> {
    let mut all: BTreeMap<String, Vec<Resource>> = BTreeMap::new();
    for row in caller.lasting("volume").await? {
        let is_path = fields(&row)?.read("isHostPath")? == Some(true);
        if !row.name.is_empty() && !is_path {
            all.entry(row.name.clone()).or_default().push(row);
        }
    }
    Ok(all)
}

/// `GET …/volumes`.
pub async fn list(caller: &Caller) -> Outcome<Value> {
    caller.may("volume", Deed::Read)?;
    let (services, rows) = services::all(caller).await?;
    let volumes = all(caller).await?;
    let shown = volumes.iter().filter_map(|(name, all)| {
        let first = all.first()?;
        Some(shown(caller, first, &usage(&services, &rows, name)))
    });
    Ok(listed(shown.collect()))
}

/// The names of the services that mount a volume.
fn usage(services: &[Service], rows: &Named, name: &str) -> BTreeSet<String> {
    let mounts_it = |service: &&Service| {
        service
            .spec
            .mounts
            .iter()
            .any(|mount| rows.volume(&mount.source) == name)
    };
    services
        .iter()
        .filter(mounts_it)
        .map(|service| service.spec.name.clone())
        .collect()
}

/// `POST …/volumes`.
pub async fn create(caller: &mut Caller, body: Value) -> Outcome<Value> {
    let ty = caller.may("volume", Deed::Create)?;
    caller.note(&ty.def, None, "create", &Input::new());
    let mut own = Members::new(Form::Plain, body);
    let name = own.needed("name")?;
    let is_first = |c: char| c.is_ascii_alphanumeric();
    let is_other = |c: char| is_first(c) || "_.-".contains(c);
    if name.len() < 2 || name.len() > 255 || !name.starts_with(is_first) || !name.chars().all(is_other) {
        return own.wrong(
            "name",
            "must have letters, digits, dots, hyphens and underscores, from 2 to 255",
        );
    }
    own.end()?;
    caller.note(&ty.def, None, "create", &named(&name));
    if all(caller).await?.contains_key(&name) {
        return Err(Refusal::field(Form::Plain, "name", "must be unique"));
    }
    let sent = json!({"name": name, "driver": "local"});
    let input = caller
        .validated(&ty, sent, (Purpose::Create, None), (Form::Plain, &[]))
        .await?;
    let made = caller.engine.create(&caller.scope, &ty, input).await;
    let made = made.map_err(|error| Refusal::about(Form::Plain, error, &[]))?;
    let (services, rows) = services::all(caller).await?;
    let row = made.first().ok_or_else(Refusal::nowhere)?;
    Ok(shown(caller, row, &usage(&services, &rows, &name)))
}

/// `DELETE …/volumes/{volume_id}`: refused while a service or a container has it.
pub async fn remove(caller: &mut Caller, id: &str) -> Outcome<()> {
    let ty = caller.may("volume", Deed::Remove)?;
    let id = caller.ids.row("volume", id).ok_or_else(Refusal::nowhere)?;
    let mut volumes = all(caller).await?.into_values();
    let found = volumes.find(|all| all.iter().any(|row| row.id == id));
    let found = found.ok_or_else(Refusal::nowhere)?;
    let (services, rows) = services::all(caller).await?;
    let name = found.first().map(|row| row.name.clone()).unwrap_or_default();
    if let Some(first) = found.first() {
        caller.note(&ty.def, Some(first), "delete", &Input::new());
    }
    let mut is_used = !usage(&services, &rows, &name).is_empty();
    for mount in caller.lasting("mount").await? {
        let volume = fields(&mount)?.text("volumeId").as_deref().and_then(parse_reference);
        is_used |= found.iter().any(|row| Some(row.id) == volume);
    }
    if is_used {
        return Err(Refusal::conflict());
    }
    for row in found {
        caller.note(&ty.def, Some(&row), "delete", &Input::new());
        caller.engine.delete(&caller.scope, &ty, row.id).await?;
    }
    Ok(())
}

fn shown(caller: &Caller, row: &Resource, usage: &BTreeSet<String>) -> Value {
    json!({
        "id": caller.ids.of("volume", row.id),
        "object": "volume",
        "name": row.name,
        "created": row.created.to_wire(),
        "service_usage": usage,
    })
}
