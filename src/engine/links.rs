//! Links between services, and what selectors tie together.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::selector::Selector;
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::store::{NewResource, Tx};

use super::core::{Core, new_row, notes, write_notes};
use super::door::{Answer, Input, Scope};
use super::handlers::retire;
use super::instance::insert_expose_map;
use super::picture::Picture;

/// A link as an action names it.
struct Wanted {
    target: ResourceId,
    alias: String,
}

fn read_link(link: &Value) -> Result<Wanted> {
    let target = link.get("serviceId").and_then(Value::as_str).and_then(parse_reference);
    let target = target.ok_or_else(|| Error::invalid("MissingRequired", "serviceId"))?;
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
    let parts_legal = name.split('.').all(|p| !p.is_empty() && !p.starts_with('-') && !p.ends_with('-') && !p.contains("--"));
    if !legal || !parts_legal {
        return Err(Error::invalid("InvalidCharacters", "name"));
    }
    if name.len() > 253 || name.split('.').any(|p| p.len() > 63) {
        return Err(Error::invalid("MaxLengthExceeded", "name"));
    }
    Ok(())
}

/// The live links of a service: `(map, target, alias)`.
fn links_of(tx: &mut Tx<'_>, service: ResourceId) -> Result<Vec<(Resource, ResourceId, String)>> {
    let mut links = Vec::new();
    for map in tx.children(service, "serviceConsumeMap")? {
        let target = Fields::parse(&map.fields)?.text("consumedServiceId").and_then(|w| parse_reference(&w));
        if let Some(target) = target {
            let alias = map.name.clone();
            links.push((map, target, alias));
        }
    }
    Ok(links)
}

fn is_gone(row: Option<&Resource>) -> bool {
    row.is_none_or(|r| r.removed.is_some() || r.state == "removing")
}

/// What the engine notes of a link.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LinkNotes {
    /// Made by a selector, which also takes it away.
    selected: bool,
}

struct LinkTypes {
    map: std::sync::Arc<crate::schema::Type>,
    service_prefix: String,
}

impl Core {
    fn link_types(&self) -> Result<LinkTypes> {
        Ok(LinkTypes { map: self.type_of("serviceConsumeMap")?.clone(), service_prefix: self.type_of("service")?.prefix.clone() })
    }
}

fn insert_link(tx: &mut Tx<'_>, types: &LinkTypes, service: &Resource, target: ResourceId, alias: &str, note: LinkNotes) -> Result<()> {
    let mut fields = Fields::default();
    fields.set("serviceId", &format!("{}{}", types.service_prefix, service.id))?;
    fields.set("consumedServiceId", &format!("{}{target}", types.service_prefix))?;
    let name = alias.to_owned();
    let base = NewResource { name, internal: write_notes(&note)?, ..new_row(&types.map, service.account_id, fields) };
    tx.insert(NewResource { parent_id: Some(service.id), state: "active".into(), ..base })?;
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
    let wanted = read_link(input.get("serviceLink").ok_or_else(|| Error::invalid("MissingRequired", "serviceLink"))?)?;
    let (id, types) = (row.id, core.link_types()?);
    change(core, scope, id, move |tx| {
        let row = tx.get(id)?;
        let target = tx.find(wanted.target)?;
        // Quirk: a link to or from something that is going is ignored (cattle: ServiceDiscoveryApiServiceImpl).
        if is_gone(target.as_ref()) || is_gone(Some(&row)) {
            return Ok(());
        }
        if links_of(tx, id)?.iter().any(|(_, t, _)| *t == wanted.target) {
            return Err(Error::invalid("NotUnique", "serviceId"));
        }
        insert_link(tx, &types, &row, wanted.target, &wanted.alias, LinkNotes::default())
    })
    .await
}

pub(crate) async fn remove(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let link = input.get("serviceLink").ok_or_else(|| Error::invalid("MissingRequired", "serviceLink"))?;
    let wanted = read_link(link)?;
    let names_alias = link.get("name").is_some_and(|n| n.as_str().is_some_and(|n| !n.is_empty()));
    let (id, keep) = (row.id, core.keep_removed());
    change(core, scope, id, move |tx| {
        let fits =
            |(_, target, alias): &&(Resource, ResourceId, String)| *target == wanted.target && (!names_alias || *alias == wanted.alias);
        let links = links_of(tx, id)?;
        let Some((map, _, _)) = links.iter().find(fits) else { return Err(Error::invalid("InvalidReference", "serviceId")) };
        retire_link(tx, map, keep)
    })
    .await
}

pub(crate) async fn set(core: &Core, scope: &Scope, row: &Resource, input: &Input) -> Result<Answer> {
    let list = input.get("serviceLinks").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut wanted: BTreeMap<(ResourceId, String), ()> = BTreeMap::new();
    for link in &list {
        let link = read_link(link)?;
        if wanted.insert((link.target, link.alias), ()).is_some() {
            return Err(Error::invalid("NotUnique", "serviceId").with_message("the same service with the same name twice"));
        }
    }
    let (id, keep, types) = (row.id, core.keep_removed(), core.link_types()?);
    change(core, scope, id, move |tx| {
        let row = tx.get(id)?;
        for (target, _) in wanted.keys() {
            let found = tx.find(*target)?;
            if is_gone(found.as_ref()) {
                let name = found.map(|f| f.name).unwrap_or_default();
                return Err(Error::invalid("InvalidReference", "serviceId").with_message(format!("service {name} is removed")));
            }
        }
        for (map, target, alias) in links_of(tx, id)? {
            if wanted.remove(&(target, alias)).is_none() {
                retire_link(tx, &map, keep)?;
            }
        }
        for (target, alias) in wanted.into_keys() {
            insert_link(tx, &types, &row, target, &alias, LinkNotes::default())?;
        }
        Ok(())
    })
    .await
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
        Ok(row)
    })
    .await
    .map(|row| Answer::Done(Box::new(row)))
}

/// Copies the links that consumers have to one service onto another (updateLinks of an upgrade to a service).
pub(crate) async fn copy_consumers(core: &Core, from: ResourceId, to: ResourceId) -> Result<()> {
    let types = core.link_types()?;
    core.write(move |tx| {
        for id in tx.referrers(from, "consumedServiceId")? {
            let Some(map) = tx.find(id)?.filter(|m| m.removed.is_none()) else { continue };
            let Some(consumer) = map.parent_id.map(|p| tx.find(p)).transpose()?.flatten() else { continue };
            let known = links_of(tx, consumer.id)?.iter().any(|(_, target, alias)| *target == to && *alias == map.name);
            if !known && !is_gone(Some(&consumer)) {
                insert_link(tx, &types, &consumer, to, &map.name, LinkNotes::default())?;
            }
        }
        Ok(())
    })
    .await
}

impl Core {
    /// Ties what selectors of this service, and of others, ask for: containers to adopt, services to link.
    pub(crate) async fn follow_selectors(&self, picture: &Picture) -> Result<()> {
        let service = &picture.service;
        self.follow_container_selector(picture).await?;
        let selector_of = |row: &Resource| -> Result<Option<Selector>> {
            // Most services have none; reading their fields would be most of the work.
            if !row.fields.contains("\"selectorLink\":\"") {
                return Ok(None);
            }
            let text = Fields::parse(&row.fields)?.text("selectorLink").filter(|s| !s.is_empty());
            text.map(|t| Selector::parse(&t, "selectorLink")).transpose()
        };
        let labels = primary_labels(picture.configs.first().map(|c| &c.launch));
        let types = std::sync::Arc::new(self.link_types()?);
        let others = self.store.all("service", service.account_id)?;
        let own = selector_of(service)?;
        let mut selected = Vec::new();
        for other in others.iter().filter(|o| o.id != service.id) {
            if let Some(own) = &own {
                let config: Option<LaunchConfig> = Fields::parse(&other.fields)?.read("launchConfig")?;
                if own.matches(pairs(&primary_labels(config.as_ref()))) {
                    selected.push(other.id);
                }
            }
            if let Some(theirs) = selector_of(other)? {
                let wanted = if theirs.matches(pairs(&labels)) { vec![service.id] } else { Vec::new() };
                self.link_selected(&types, other.id, Some(service.id), wanted).await?;
            }
        }
        self.link_selected(&types, service.id, None, selected).await
    }

    /// Links a service to what its selector matches, and unlinks what it matched before; links made by hand stay.
    /// `only` is the one target that was looked at.
    async fn link_selected(
        &self,
        types: &std::sync::Arc<LinkTypes>,
        from: ResourceId,
        only: Option<ResourceId>,
        wanted: Vec<ResourceId>,
    ) -> Result<()> {
        if wanted.is_empty() && self.store.children(from, "serviceConsumeMap")?.iter().all(|map| !notes::<LinkNotes>(map).selected) {
            return Ok(());
        }
        let (types, keep) = (types.clone(), self.keep_removed());
        self.write(move |tx| {
            let consumer = tx.get(from)?;
            let links = links_of(tx, from)?;
            for (map, target, _) in &links {
                let was_looked_at = only.is_none_or(|only| only == *target);
                if was_looked_at && !wanted.contains(target) && notes::<LinkNotes>(map).selected {
                    retire_link(tx, map, keep)?;
                }
            }
            for to in wanted {
                let known = links.iter().any(|(_, target, _)| *target == to);
                if !known && !is_gone(Some(&consumer)) && !is_gone(tx.find(to)?.as_ref()) {
                    insert_link(tx, &types, &consumer, to, "", LinkNotes { selected: true })?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Adopts matching containers of no service, and lets go those that match no more.
    async fn adopt(&self, service: &Resource, selector: &Selector) -> Result<()> {
        let mut matching = Vec::new();
        for row in self.store.all("instance", service.account_id)? {
            let labels: BTreeMap<String, String> = Fields::parse(&row.fields)?.read("labels")?.unwrap_or_default();
            if row.parent_id.is_none() && selector.matches(pairs(&labels)) {
                matching.push(row);
            }
        }
        let (types, id, keep) = (self.instance_types()?, service.id, self.keep_removed());
        self.write(move |tx| {
            let service = tx.get(id)?;
            let mut adopted = Vec::new();
            for map in tx.children(id, "serviceExposeMap")? {
                let fields = Fields::parse(&map.fields)?;
                let is_own = fields.read::<bool>("managed")?.unwrap_or(true) || fields.read::<bool>("upgrade")?.unwrap_or(false);
                let Some(instance) = fields.text("instanceId").and_then(|w| parse_reference(&w)).filter(|_| !is_own) else { continue };
                if matching.iter().any(|m| m.id == instance) {
                    adopted.push(instance);
                } else {
                    tx.delete_refs(map.id, "serviceId")?;
                    tx.delete_refs(map.id, "instanceId")?;
                    retire(tx, &map, keep)?;
                }
            }
            // What runs is adopted; what was adopted stays so when it stops.
            for container in matching.iter().filter(|m| m.state == "running" && !adopted.contains(&m.id)) {
                insert_expose_map(tx, &types, &service, container, None, false)?;
            }
            Ok(())
        })
        .await
    }

    /// A container of no service began or ended to run: services that select containers look for theirs.
    pub(crate) fn wake_selecting(&self, account: Option<ResourceId>) -> Result<()> {
        for service in self.store.all("service", account)? {
            if Fields::parse(&service.fields)?.text("selectorContainer").is_some_and(|s| !s.is_empty()) {
                self.look(service.id);
            }
        }
        Ok(())
    }

    /// Adopts what the service's container selector matches now, if it has one.
    pub(crate) async fn follow_container_selector(&self, picture: &Picture) -> Result<()> {
        match picture.fields.selector_container.as_deref().filter(|t| !t.is_empty()) {
            Some(text) => self.adopt(&picture.service, &Selector::parse(text, "selectorContainer")?).await,
            None => Ok(()),
        }
    }
}

fn primary_labels(launch: Option<&LaunchConfig>) -> BTreeMap<String, String> {
    launch.and_then(|l| l.labels.clone()).unwrap_or_default()
}

fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(k, v)| (k.as_str(), v.as_str()))
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
            assert_eq!(check_link_name(name).err().and_then(|e| e.code).as_deref(), code, "{name}");
        }
        assert_eq!(check_link_name(&"x".repeat(64)).err().and_then(|e| e.code).as_deref(), Some("MaxLengthExceeded"));
    }
}
