//! Links between services.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::core::{Answer, Core, Input, Scope, new_row, retire, write_notes};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result, ServiceKind, State};
use crate::schema::render::wire_id;
use crate::store::{NewResource, Tx};

/// What a link leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A service that is there.
    Service(ResourceId),
    /// Whatever has this name when a container is made: `db` of the same stack, or `stack/db`.
    Named(String),
}

impl Target {
    /// Of a consume map.
    pub(super) fn of(map: &Resource) -> Result<Option<Self>> {
        let fields = Fields::parse(&map.fields)?;
        let service = fields.text("consumedServiceId").and_then(|w| parse_reference(&w));
        Ok(service
            .map(Self::Service)
            .or_else(|| named(fields.text("consumedService"))))
    }

    /// The service, if it is named by its id.
    pub(super) fn service(&self) -> Option<ResourceId> {
        match self {
            Self::Service(id) => Some(*id),
            Self::Named(_) => None,
        }
    }
}

fn named(name: Option<String>) -> Option<Target> {
    name.filter(|name| !name.is_empty()).map(Target::Named)
}

/// A link as an action names it.
struct Wanted {
    target: Target,
    alias: String,
}

fn read_link(link: &Value) -> Result<Wanted> {
    let text = |member: &str| link.get(member).and_then(Value::as_str);
    let target = text("serviceId").and_then(parse_reference).map(Target::Service);
    let target = target
        .or_else(|| named(text("service").map(str::to_owned)))
        .ok_or_else(|| Error::invalid("MissingRequired", "serviceId"))?;
    if matches!(&target, Target::Named(name) if name.matches('/').count() > 1) {
        let why = "links to services of other environments are not part of this build";
        return Err(Error::not_implemented(why).with_field("service"));
    }
    let alias = link.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    check_link_name(&alias)?;
    Ok(Wanted { target, alias })
}

/// Link names are DNS names: parts of at most 63, 253 in all.
fn check_link_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Ok(());
    }
    let legal = name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    let parts_legal = name
        .split('.')
        .all(|p| !p.is_empty() && !p.starts_with('-') && !p.ends_with('-') && !p.contains("--"));
    if !legal || !parts_legal {
        return Err(Error::invalid("InvalidCharacters", "name"));
    }
    if name.len() > 253 || name.split('.').any(|p| p.len() > 63) {
        return Err(Error::invalid("MaxLengthExceeded", "name"));
    }
    Ok(())
}

/// The live links of a service: `(map, target, alias)`.
pub(super) fn links_of(tx: &mut Tx<'_>, service: ResourceId) -> Result<Vec<(Resource, Target, String)>> {
    let mut links = Vec::new();
    for map in tx.children(service, "serviceConsumeMap")? {
        if let Some(target) = Target::of(&map)? {
            let alias = map.name.clone();
            links.push((map, target, alias));
        }
    }
    Ok(links)
}

pub(super) fn is_gone(row: Option<&Resource>) -> bool {
    row.is_none_or(|r| r.removed.is_some() || r.state == State::REMOVING)
}

/// What the engine notes of a link.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LinkNotes {
    /// Made by a selector, which also takes it away.
    pub(super) selected: bool,
    /// Made by a rule of a balancer, which also takes it away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_ruled: bool,
}

impl LinkNotes {
    /// Whether it follows from something else that the service says, and is made of that again: nobody asked for the link itself.
    pub(super) fn follows(&self) -> bool {
        self.selected || self.is_ruled
    }
}

pub(super) struct LinkTypes {
    map: std::sync::Arc<crate::schema::Type>,
    service_prefix: String,
}

impl Core {
    pub(super) fn link_types(&self) -> Result<LinkTypes> {
        Ok(LinkTypes {
            map: self.type_of("serviceConsumeMap")?.clone(),
            service_prefix: self.type_of("service")?.prefix.clone(),
        })
    }
}

pub(super) fn insert_link(
    tx: &mut Tx<'_>,
    types: &LinkTypes,
    service: &Resource,
    target: &Target,
    alias: &str,
    note: LinkNotes,
) -> Result<()> {
    let mut fields = Fields::default();
    fields.set("serviceId", &wire_id(&types.service_prefix, service.id))?;
    match target {
        Target::Service(id) => fields.set("consumedServiceId", &wire_id(&types.service_prefix, *id))?,
        Target::Named(name) => fields.set("consumedService", name)?,
    }
    let name = alias.to_owned();
    let base = NewResource {
        name,
        internal: write_notes(&note)?,
        ..new_row(&types.map, service.account_id, fields)
    };
    tx.insert(NewResource {
        parent_id: Some(service.id),
        state: State::ACTIVE,
        ..base
    })?;
    Ok(())
}

/// A link that goes: its references go at once, so that nobody follows them.
pub(crate) fn retire_link(tx: &mut Tx<'_>, map: &Resource, keep: Duration) -> Result<()> {
    tx.delete_refs(map.id, "serviceId")?;
    tx.delete_refs(map.id, "consumedServiceId")?;
    retire(tx, map, keep)?;
    Ok(())
}

pub(crate) async fn add(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let wanted = read_link(
        input
            .get("serviceLink")
            .ok_or_else(|| Error::invalid("MissingRequired", "serviceLink"))?,
    )?;
    let (id, types) = (row.id, core.link_types()?);
    change(core, scope, id, move |tx| {
        let row = tx.get(id)?;
        // Quirk: a link to or from something that is going is ignored (cattle: ServiceDiscoveryApiServiceImpl).
        if leads_nowhere(tx, &wanted.target)?.is_some() || is_gone(Some(&row)) {
            return Ok(());
        }
        let is_known = links_of(tx, id)?.iter().any(|(_, t, _)| *t == wanted.target);
        // A balancer's rules link it already (recorded: `loadbalancers`).
        if is_known && ServiceKind::of(&row.kind) == ServiceKind::LoadBalancer {
            return Ok(());
        }
        if is_known {
            return Err(Error::invalid("NotUnique", "serviceId"));
        }
        insert_link(tx, &types, &row, &wanted.target, &wanted.alias, LinkNotes::default())
    })
    .await
}

pub(crate) async fn remove(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let link = input
        .get("serviceLink")
        .ok_or_else(|| Error::invalid("MissingRequired", "serviceLink"))?;
    let wanted = read_link(link)?;
    let names_alias = link
        .get("name")
        .is_some_and(|n| n.as_str().is_some_and(|n| !n.is_empty()));
    let (id, keep) = (row.id, core.keep_removed());
    change(core, scope, id, move |tx| {
        let fits = |(_, target, alias): &&(Resource, Target, String)| {
            *target == wanted.target && (!names_alias || *alias == wanted.alias)
        };
        let links = links_of(tx, id)?;
        let Some((map, _, _)) = links.iter().find(fits) else {
            return Err(Error::invalid("InvalidReference", "serviceId"));
        };
        retire_link(tx, map, keep)
    })
    .await
}

pub(crate) async fn set(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let list = input
        .get("serviceLinks")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut wanted: BTreeMap<(Target, String), ()> = BTreeMap::new();
    for link in &list {
        let link = read_link(link)?;
        if wanted.insert((link.target, link.alias), ()).is_some() {
            return Err(Error::invalid("NotUnique", "serviceId and link name combination"));
        }
    }
    let (id, keep, types) = (row.id, core.keep_removed(), core.link_types()?);
    change(core, scope, id, move |tx| {
        let row = tx.get(id)?;
        for (target, _) in wanted.keys() {
            if let Some(name) = leads_nowhere(tx, target)? {
                return Err(
                    Error::invalid("InvalidReference", "serviceId").with_message(format!("service {name} is removed"))
                );
            }
        }
        for (map, target, alias) in links_of(tx, id)? {
            if wanted.remove(&(target, alias)).is_none() {
                retire_link(tx, &map, keep)?;
            }
        }
        for (target, alias) in wanted.into_keys() {
            insert_link(tx, &types, &row, &target, &alias, LinkNotes::default())?;
        }
        Ok(())
    })
    .await
}

/// The name of the service that a link is to lead to and that goes or is gone; whatever is named by its name may come.
fn leads_nowhere(tx: &mut Tx<'_>, target: &Target) -> Result<Option<String>> {
    let Some(id) = target.service() else { return Ok(None) };
    let found = tx.find(id)?;
    Ok(is_gone(found.as_ref()).then(|| found.map(|f| f.name).unwrap_or_default()))
}

/// Runs a change of links; the service's own row is announced with it.
async fn change(
    core: &Core,
    scope: &Scope,
    id: ResourceId,
    change: impl FnOnce(&mut Tx<'_>) -> Result<()> + Send + 'static,
) -> Result<Answer> {
    core.write_for(scope, move |tx| {
        change(tx)?;
        let row = tx.get(id)?;
        tx.announce(id, row.account_id)?;
        // Its activation may wait for what it is no longer linked to.
        tx.wake_processes_of(&row)?;
        Ok(row)
    })
    .await
    .map(|row| Answer::Done(Box::new(row)))
}

/// Copies the links that consumers have to one service onto another (updateLinks of an upgrade to a service).
pub(crate) async fn copy_consumers(core: &Core, from: ResourceId, to: ResourceId) -> Result<()> {
    let types = core.link_types()?;
    let maps = core.store.referrers(from, "consumedServiceId")?;
    core.write_each(maps, move |tx, id| {
        let Some(map) = tx.find(id)?.filter(|m| m.removed.is_none()) else {
            return Ok(());
        };
        let Some(consumer) = map.parent_id.map(|p| tx.find(p)).transpose()?.flatten() else {
            return Ok(());
        };
        let known = links_of(tx, consumer.id)?
            .iter()
            .any(|(_, target, alias)| target.service() == Some(to) && *alias == map.name);
        if known || is_gone(Some(&consumer)) {
            return Ok(());
        }
        let target = Target::Service(to);
        insert_link(tx, &types, &consumer, &target, &map.name, LinkNotes::default())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_are_dns_names() {
        for (name, code) in [
            ("", None),
            ("db", None),
            ("my.db_1", None),
            (".db", Some("InvalidCharacters")),
            ("a..b", Some("InvalidCharacters")),
            ("a.-b", Some("InvalidCharacters")),
            ("a b", Some("InvalidCharacters")),
        ] {
            assert_eq!(
                check_link_name(name).err().and_then(|e| e.code).as_deref(),
                code,
                "{name}"
            );
        }
        assert_eq!(
            check_link_name(&"x".repeat(64)).err().and_then(|e| e.code).as_deref(),
            Some("MaxLengthExceeded")
        );
    }
}
