//! What selectors tie together: services that link, and containers that a service adopts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::core::{Core, notes, retire};
use crate::engine::instances::insert_expose_map;
use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::selector::Selector;
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::store::Selected;

use super::links::{LinkNotes, LinkTypes, Target, insert_link, is_gone, links_of, retire_link};
use super::snapshot::ServiceSnapshot;

/// What stands in the fields of a service that has a selector of services.
const HAS_LINK_SELECTOR: &str = "\"selectorLink\":\"";

impl Core {
    /// Ties what selectors of this service, and of others, ask for: containers to adopt, services to link.
    pub(crate) async fn follow_selectors(&self, snapshot: &ServiceSnapshot) -> Result<()> {
        let service = &snapshot.service;
        self.follow_rules(service).await?;
        self.follow_container_selector(snapshot).await?;
        let selector_of = |row: &Resource| -> Result<Option<Selector>> {
            // Reading the fields of those that have none would be most of the work.
            if !row.fields.contains(HAS_LINK_SELECTOR) {
                return Ok(None);
            }
            let text = Fields::parse(&row.fields)?
                .text("selectorLink")
                .filter(|s| !s.is_empty());
            text.map(|t| Selector::parse(&t, "selectorLink")).transpose()
        };
        let labels = primary_labels(snapshot.configs.first().map(|c| &c.launch));
        let types = Arc::new(self.link_types()?);
        let own = selector_of(service)?;
        // Most services have none, and are not read: each that is made would read all.
        let others = match own {
            Some(_) => self.store.all("service", service.account_id)?,
            None => self.selecting(service.account_id, Selected::Services)?,
        };
        let mut selected = Vec::new();
        for other in others.iter().filter(|o| o.id != service.id) {
            if let Some(own) = &own {
                let config: Option<LaunchConfig> = Fields::parse(&other.fields)?.read("launchConfig")?;
                if own.matches(pairs(&primary_labels(config.as_ref()))) {
                    selected.push(other.id);
                }
            }
            if let Some(theirs) = selector_of(other)? {
                let wanted = if theirs.matches(pairs(&labels)) {
                    vec![service.id]
                } else {
                    Vec::new()
                };
                self.link_selected(&types, other.id, Some(service.id), wanted).await?;
            }
        }
        self.link_selected(&types, service.id, None, selected).await
    }

    /// Links a service to what its selector matches, and unlinks what it matched before; links made by hand stay.
    /// `only` is the one target that was looked at.
    async fn link_selected(
        &self,
        types: &Arc<LinkTypes>,
        from: ResourceId,
        only: Option<ResourceId>,
        wanted: Vec<ResourceId>,
    ) -> Result<()> {
        if wanted.is_empty()
            && self
                .store
                .children(from, "serviceConsumeMap")?
                .iter()
                .all(|map| !notes::<LinkNotes>(map).selected)
        {
            return Ok(());
        }
        let (types, keep) = (types.clone(), self.keep_removed());
        self.write_on(move |tx| {
            let consumer = tx.get(from)?;
            let links = links_of(tx, from)?;
            for (map, target, _) in &links {
                let Some(target) = target.service() else { continue };
                let was_looked_at = only.is_none_or(|only| only == target);
                if was_looked_at && !wanted.contains(&target) && notes::<LinkNotes>(map).selected {
                    retire_link(tx, map, keep)?;
                    if tx.is_full() {
                        return Ok(true);
                    }
                }
            }
            for to in wanted.iter().copied() {
                let known = links.iter().any(|(_, target, _)| target.service() == Some(to));
                if !known && !is_gone(Some(&consumer)) && !is_gone(tx.find(to)?.as_ref()) {
                    insert_link(
                        tx,
                        &types,
                        &consumer,
                        &Target::Service(to),
                        "",
                        LinkNotes {
                            selected: true,
                            ..LinkNotes::default()
                        },
                    )?;
                    if tx.is_full() {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        })
        .await
    }

    /// The services of a project that select something; what is in no project selects nothing.
    fn selecting(&self, account: Option<ResourceId>, what: Selected) -> Result<Vec<Resource>> {
        account.map_or(Ok(Vec::new()), |account| self.store.selecting(account, what))
    }

    /// Adopts matching containers of no service, and lets go those that match no more.
    async fn adopt(&self, service: &Resource, selector: &Selector) -> Result<()> {
        let mut matching = Vec::new();
        for row in self.store.all("instance", service.account_id)? {
            let labels = Fields::parse(&row.fields)?.texts("labels")?;
            if row.parent_id.is_none() && selector.matches(pairs(&labels)) {
                matching.push(row);
            }
        }
        let (types, id, keep) = (Arc::new(self.instance_types()?), service.id, self.keep_removed());
        let matching = Arc::new(matching);
        self.write_on(move |tx| {
            let service = tx.get(id)?;
            if is_gone(Some(&service)) {
                // Removed while its containers were looked for: what it had was let go, and nothing comes after.
                return Ok(false);
            }
            let mut adopted = Vec::new();
            for map in tx.children(id, "serviceExposeMap")? {
                let fields = Fields::parse(&map.fields)?;
                let is_own =
                    fields.read::<bool>("managed")?.unwrap_or(true) || fields.read::<bool>("upgrade")?.unwrap_or(false);
                let Some(instance) = fields
                    .text("instanceId")
                    .and_then(|w| parse_reference(&w))
                    .filter(|_| !is_own)
                else {
                    continue;
                };
                if matching.iter().any(|m| m.id == instance) {
                    adopted.push(instance);
                } else {
                    tx.delete_refs(map.id, "serviceId")?;
                    tx.delete_refs(map.id, "instanceId")?;
                    retire(tx, &map, keep)?;
                    if tx.is_full() {
                        return Ok(true);
                    }
                }
            }
            // What runs is adopted; what was adopted stays so when it stops.
            for known in matching.iter().filter(|m| !adopted.contains(&m.id)) {
                if let Some(container) = tx.find(known.id)?.filter(|c| c.state == State::RUNNING) {
                    insert_expose_map(tx, &types, &service, &container, None, false)?;
                    if tx.is_full() {
                        return Ok(true);
                    }
                }
            }
            Ok(false)
        })
        .await
    }

    /// A container of no service began or ended to run: services that select containers look for theirs.
    pub(crate) fn wake_selecting(&self, account: Option<ResourceId>) -> Result<()> {
        for service in self.selecting(account, Selected::Containers)? {
            if Fields::parse(&service.fields)?
                .text("selectorContainer")
                .is_some_and(|s| !s.is_empty())
            {
                self.look(service.id);
            }
        }
        Ok(())
    }

    /// Adopts what the service's container selector matches now, if it has one.
    pub(crate) async fn follow_container_selector(&self, snapshot: &ServiceSnapshot) -> Result<()> {
        match snapshot.fields.selector_container.as_deref().filter(|t| !t.is_empty()) {
            Some(text) => {
                self.adopt(&snapshot.service, &Selector::parse(text, "selectorContainer")?)
                    .await
            }
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
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::testkit;

    #[tokio::test]
    async fn a_service_that_was_removed_meanwhile_adopts_nothing() {
        let (_folder, core) = testkit::empty();
        let mut fields = Fields::default();
        fields.set("labels", &BTreeMap::from([("colour", "blue")])).unwrap();
        testkit::insert(&core, "container", State::RUNNING, fields).await;
        let selector = Selector::parse("colour=blue", "selectorContainer").unwrap();
        // As it was read: what happened since is not seen in it.
        for (is_removed, expected) in [(false, 1), (true, 0)] {
            let service = testkit::insert(&core, "service", State::ACTIVE, Fields::default()).await;
            if is_removed {
                testkit::remove(&core, &service).await;
            }
            core.adopt(&service, &selector).await.unwrap();
            let maps = core.store.children(service.id, "serviceExposeMap").unwrap();
            assert_eq!(maps.len(), expected, "removed: {is_removed}");
        }
    }
}
