//! Making and removing services; all in between is reconciling.

use std::collections::BTreeSet;

use crate::engine::core::{Core, Outcome, fenced, new_row, notes, retire, write_notes};
use crate::model::{Fields, Resource, ResourceId, Result, ServiceKind, State};
use crate::store::{Changes, NewResource, Process};

use super::balancing;
use super::links;
use super::random_ports::{Drawn, EXHAUSTED, draw_ports};
use super::snapshot::{ServiceNotes, ServiceSnapshot};

/// How long a service that goes waits for a driver that is on its way up.
const DRIVER_WAIT: std::time::Duration = std::time::Duration::from_millis(500);

impl Core {
    /// Draws random public ports, ties selected containers and services, and goes on to activate if that was asked for.
    pub(crate) async fn create_service(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let (process_id, row_id) = (process.id, row.id);
        let range = self.port_range(row.account_id)?;
        let busy = self.busy_ports(&Fields::parse(&row.fields)?, range).await?;
        let drawn = self
            .write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else {
                    return Ok(Drawn::Nothing);
                };
                let mut fields = Fields::parse(&row.fields)?;
                let mut note: ServiceNotes = notes(&row);
                let drawn = draw_ports(tx, &row, range, &busy, &mut fields, &mut note)?;
                if drawn == Drawn::Ports {
                    let changes = Changes {
                        fields: Some(fields),
                        internal: Some(write_notes(&note)?),
                        ..Changes::default()
                    };
                    tx.update_if(&row, &changes)?;
                }
                Ok(drawn)
            })
            .await?;
        if drawn == Drawn::Exhausted {
            return Ok(Outcome::Failed(EXHAUSTED.into()));
        }
        self.ensure_driver(process, row).await?;
        let Some(snapshot) = self.snapshot(row.id)? else {
            return Ok(Outcome::done());
        };
        self.follow_selectors(&snapshot).await?;
        self.roll_up(&snapshot).await?;
        self.follow_mesh(row.id, Some(process.id)).await?;
        let fields = Fields::parse(&row.fields)?;
        let mut changes = Box::<Changes>::default();
        // Clients walk through the sidekicks of every service: none is an empty list, not nothing.
        let has_none = fields
            .get("secondaryLaunchConfigs")
            .is_none_or(|configs| configs == "null");
        if has_none && self.type_of(&row.kind)?.fields.contains_key("secondaryLaunchConfigs") {
            changes.patch.set("secondaryLaunchConfigs", &[(); 0])?;
        }
        let is_bare = matches!(ServiceKind::of(&row.kind), ServiceKind::External | ServiceKind::Dns);
        if is_bare && fields.get("launchConfig").is_none_or(|config| config == "null") {
            let bare = serde_json::json!({"type": "launchConfig"});
            changes.patch.set("launchConfig", &bare)?;
        }
        Ok(if fields.read::<bool>("startOnCreate")?.unwrap_or(false) {
            Outcome::Then(changes, "activate", "{}".into())
        } else {
            Outcome::Done(changes)
        })
    }

    /// Where an external service is, as rows: one for each address, or one for its host name.
    pub(crate) async fn expose_outside(&self, process: &Process, row: &Resource) -> Result<()> {
        let map_type = self.type_of("serviceExposeMap")?.clone();
        let (wire, keep) = (self.wire_id("service", row.id), self.keep_removed());
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let fields = Fields::parse(&row.fields)?;
            let addresses: Vec<String> = fields.read("externalIpAddresses")?.unwrap_or_default();
            let mut wanted: BTreeSet<(Option<String>, Option<String>)> =
                addresses.into_iter().map(|address| (Some(address), None)).collect();
            if let Some(name) = fields.text("hostname").filter(|_| wanted.is_empty()) {
                wanted.insert((None, Some(name)));
            }
            for map in tx.children(row.id, "serviceExposeMap")? {
                let of = Fields::parse(&map.fields)?;
                if !wanted.remove(&(of.text("ipAddress"), of.text("hostName"))) {
                    retire(tx, &map, keep)?;
                    tx.delete_refs(map.id, "serviceId")?;
                }
            }
            for (address, name) in wanted {
                let mut fields = Fields::default();
                fields.set("serviceId", &wire)?;
                fields.set("ipAddress", &address)?;
                fields.set("hostName", &name)?;
                fields.set("managed", &true)?;
                fields.set("upgrade", &false)?;
                tx.insert(NewResource {
                    parent_id: Some(row.id),
                    state: State::ACTIVE,
                    ..new_row(&map_type, row.account_id, fields)
                })?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn remove_service(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        self.remove_parts(process.id, row.id).await?;
        let Some(snapshot) = self.snapshot(row.id)? else {
            return Ok(Outcome::done());
        };
        if !snapshot.instances.is_empty() {
            return self.reconcile_service(process, row).await;
        }
        if !self.remove_drivers(process, row).await? {
            return Ok(Outcome::Again(DRIVER_WAIT, "Waiting for its driver".into()));
        }
        self.retire_maps(process.id, row.id).await?;
        self.release_units(snapshot.stack.id, row.id, BTreeSet::new()).await?;
        for ip in snapshot.notes.retained.values() {
            if let Some(project) = row.account_id {
                self.addresses.release(project, ip);
            }
        }
        // Nothing is reached there any more; who looked at it last, and when, makes no difference.
        let mut changes = Box::<Changes>::default();
        let endpoints = snapshot.fields.public_endpoints.as_ref().map_or("null", |e| e.get());
        if !matches!(endpoints, "null" | "[]") {
            changes.patch.set("publicEndpoints", &[(); 0])?;
        }
        Ok(Outcome::Done(changes))
    }

    /// Lets go of what ties a service to others and to its containers; who was linked to it is looked at.
    async fn retire_maps(&self, process: i64, service: ResourceId) -> Result<()> {
        let keep = self.keep_removed();
        let exposed = self.store.children(service, "serviceExposeMap")?;
        self.write_each(exposed, move |tx, map| {
            if fenced(tx, process, service)?.is_none() {
                return Ok(());
            }
            if let Some(map) = tx.find(map.id)?.filter(|m| m.removed.is_none()) {
                retire(tx, &map, keep)?;
            }
            tx.delete_refs(map.id, "serviceId")?;
            tx.delete_refs(map.id, "instanceId")
        })
        .await?;
        let mut links = self.store.children(service, "serviceConsumeMap")?;
        let others = self.store.referrers(service, "consumedServiceId")?;
        let others = self.store.many(&others)?.into_iter();
        links.extend(others.filter(|m| m.removed.is_none() && m.root == "serviceConsumeMap"));
        let consumers: Vec<ResourceId> = links.iter().filter_map(|link| link.parent_id).collect();
        self.write_each(links, move |tx, link| {
            if fenced(tx, process, service)?.is_none() {
                return Ok(());
            }
            match tx.find(link.id)?.filter(|m| m.removed.is_none()) {
                Some(link) => {
                    links::retire_link(tx, &link, keep)?;
                    match link.parent_id {
                        Some(consumer) if consumer != service => balancing::forget_target(tx, consumer, service),
                        _ => Ok(()),
                    }
                }
                None => Ok(()),
            }
        })
        .await?;
        for consumer in consumers.into_iter().filter(|c| *c != service) {
            self.look(consumer);
        }
        Ok(())
    }

    /// On activation: linked services that are on their way are waited for, a little.
    pub(crate) fn waits_for_linked(&self, process: &Process, snapshot: &ServiceSnapshot) -> Result<Option<String>> {
        // A circle of links must not wait for itself for ever.
        let waited = self.now().since(crate::model::Timestamp(process.started_ms));
        if waited >= std::time::Duration::from_secs(30) {
            return Ok(None);
        }
        let data: ActivateData = serde_json::from_str(&process.data).unwrap_or_default();
        for map in self.store.children(snapshot.service.id, "serviceConsumeMap")? {
            let target = self.linked_service(&map)?;
            let Some(target) = target.filter(|t| t.id != snapshot.service.id) else {
                continue;
            };
            let is_moving = |target: &Resource| {
                let is_activating = data.wait_for.contains(&target.id.0) && target.state == State::ACTIVATING;
                (is_activating || target.state == State::REGISTERING) && target.removed.is_none()
            };
            if !is_moving(&target) {
                continue;
            }
            self.wait_for(target.id, process.id);
            if self.store.find(target.id)?.as_ref().is_some_and(is_moving) {
                return Ok(Some(format!("Waiting for {}", target.name)));
            }
        }
        Ok(None)
    }
}

/// What an activation by its stack waits for.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ActivateData {
    pub(crate) wait_for: Vec<i64>,
    /// Whether what it is linked to was well, for a service that waits for that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_ready: bool,
}
