//! Making and removing services; all in between is reconciling.

use std::collections::BTreeSet;

use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::port::PortSpec;
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::store::{Changes, Process, Tx};

use super::super::core::{Core, notes, write_notes};
use super::super::picture::{Picture, ServiceNotes};
use super::super::process::{Outcome, fenced};
use super::instance::retire;

/// The range of a project that says nothing (cattle: `services.port.range`).
const DEFAULT_PORTS: (u16, u16) = (49_153, 65_535);

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
                let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(Ok(())) };
                let mut fields = Fields::parse(&row.fields)?;
                let mut note: ServiceNotes = notes(&row);
                match draw_ports(tx, &row, range, &busy, &mut fields, &mut note)? {
                    Err(message) => Ok(Err(message)),
                    Ok(false) => Ok(Ok(())),
                    Ok(true) => {
                        let changes = Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() };
                        tx.update_if(&row, &changes).map(|_| Ok(()))
                    }
                }
            })
            .await?;
        if let Err(message) = drawn {
            return Ok(Outcome::Failed(message));
        }
        self.ensure_driver(process, row).await?;
        let Some(picture) = self.picture(row.id)? else { return Ok(Outcome::done()) };
        self.follow_selectors(&picture).await?;
        self.roll_up(&picture).await?;
        let starts = Fields::parse(&row.fields)?.read::<bool>("startOnCreate")?.unwrap_or(false);
        Ok(if starts { Outcome::Then(Box::default(), "activate", "{}".into()) } else { Outcome::done() })
    }

    pub(crate) async fn remove_service(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let Some(picture) = self.picture(row.id)? else { return Ok(Outcome::done()) };
        if !picture.instances.is_empty() {
            return self.reconcile_service(process, row).await;
        }
        if !self.remove_drivers(process, row).await? {
            return Ok(Outcome::Again(DRIVER_WAIT, "Waiting for its driver".into()));
        }
        let (process_id, row_id) = (process.id, row.id);
        let keep = self.keep_removed();
        let touched = self
            .write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else { return Ok(Vec::new()) };
                let mut consumers = Vec::new();
                for map in tx.children(row.id, "serviceExposeMap")? {
                    retire(tx, &map, keep)?;
                    tx.delete_refs(map.id, "serviceId")?;
                    tx.delete_refs(map.id, "instanceId")?;
                }
                let mut maps = tx.children(row.id, "serviceConsumeMap")?;
                for id in tx.referrers(row.id, "consumedServiceId")? {
                    maps.extend(tx.find(id)?.filter(|m| m.removed.is_none() && m.root == "serviceConsumeMap"));
                }
                for map in maps {
                    if let Some(map) = tx.find(map.id)?.filter(|m| m.removed.is_none()) {
                        consumers.extend(map.parent_id.filter(|p| *p != row.id));
                        super::super::links::retire_link(tx, &map, keep)?;
                    }
                }
                Ok(consumers)
            })
            .await?;
        for consumer in touched {
            self.look(consumer);
        }
        for ip in picture.notes.retained.values() {
            if let Some(project) = row.account_id {
                self.addresses.release(project, ip);
            }
        }
        Ok(Outcome::done())
    }

    /// On activation: linked services that are on their way are waited for, a little.
    pub(crate) fn waits_for_linked(&self, process: &Process, picture: &Picture) -> Result<Option<String>> {
        // A circle of links must not wait for itself for ever.
        let waited = self.now().since(crate::model::Timestamp(process.started_ms));
        if waited > std::time::Duration::from_secs(30) {
            return Ok(None);
        }
        let data: ActivateData = serde_json::from_str(&process.data).unwrap_or_default();
        for map in self.store.children(picture.service.id, "serviceConsumeMap")? {
            let target = Fields::parse(&map.fields)?.text("consumedServiceId").and_then(|w| parse_reference(&w));
            let Some(target) = target.filter(|t| *t != picture.service.id).map(|id| self.store.find(id)).transpose()?.flatten() else {
                continue;
            };
            let is_moving = target.state == "registering" || data.wait_for.contains(&target.id.0) && target.state == "activating";
            if is_moving && target.removed.is_none() {
                return Ok(Some(format!("Waiting for {}", target.name)));
            }
        }
        Ok(None)
    }

    /// Ports at the beginning of the range that a program of this machine has, if the service draws any and an engine
    /// of this machine would bind them.
    pub(crate) async fn busy_ports(&self, fields: &Fields, range: (u16, u16)) -> Result<BTreeSet<u16>> {
        let configs: Option<LaunchConfig> = fields.read("launchConfig")?;
        let draws = configs.iter().flat_map(|c| c.ports.iter().flatten()).any(|p| PortSpec::parse(p).is_ok_and(|p| p.public.is_none()));
        if !draws || self.runtimes().iter().all(|(_, r)| !r.capabilities().shares_our_ports) {
            return Ok(BTreeSet::new());
        }
        let last = range.1.min(range.0.saturating_add(PROBED_PORTS));
        let probing = tokio::task::spawn_blocking(move || {
            (range.0..=last).filter(|port| std::net::TcpListener::bind(("0.0.0.0", *port)).is_err()).collect()
        });
        probing.await.map_err(|e| Error::internal("looking for free ports", e))
    }

    pub(crate) fn port_range(&self, account: Option<ResourceId>) -> Result<(u16, u16)> {
        let project = account.map(|a| self.store.find(a)).transpose()?.flatten();
        let fields = project.map(|p| Fields::parse(&p.fields)).transpose()?.unwrap_or_default();
        let range: Option<PortRange> = fields.read("servicesPortRange")?;
        Ok(range.map_or(DEFAULT_PORTS, |r| (r.start_port.unwrap_or(DEFAULT_PORTS.0), r.end_port.unwrap_or(DEFAULT_PORTS.1))))
    }
}

/// So many ports at the beginning of a range are tried: more than a project's services draw.
const PROBED_PORTS: u16 = 512;

/// What an activation by its stack waits for.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ActivateData {
    pub(crate) wait_for: Vec<i64>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortRange {
    start_port: Option<u16>,
    end_port: Option<u16>,
}

/// Gives each port specification without a public part one of the project's range, the same for all containers.
/// `Ok(false)`: nothing to draw. `Err`: the range is exhausted.
pub(crate) fn draw_ports(
    tx: &mut Tx<'_>,
    row: &Resource,
    range: (u16, u16),
    busy: &BTreeSet<u16>,
    fields: &mut Fields,
    note: &mut ServiceNotes,
) -> Result<std::result::Result<bool, String>> {
    let lacks = |config: &serde_json::Map<String, serde_json::Value>| {
        ports_of(config).iter().any(|p| PortSpec::parse(p).is_ok_and(|p| p.public.is_none()))
    };
    let mut configs: Vec<serde_json::Map<String, serde_json::Value>> = Vec::new();
    configs.extend(fields.read("launchConfig")?);
    let has_primary = !configs.is_empty();
    configs.extend(fields.read::<Vec<serde_json::Map<String, serde_json::Value>>>("secondaryLaunchConfigs")?.unwrap_or_default());
    if !configs.iter().any(lacks) {
        return Ok(Ok(false));
    }
    let mut used: BTreeSet<u16> = BTreeSet::new();
    for other in tx.all("service", row.account_id)? {
        used.extend(notes::<ServiceNotes>(&other).drawn_ports);
        let config: Option<LaunchConfig> = Fields::parse(&other.fields)?.read("launchConfig")?;
        used.extend(config.into_iter().flat_map(|c| c.ports.unwrap_or_default()).filter_map(|p| PortSpec::parse(&p).ok()?.public));
    }
    for port in tx.all("port", row.account_id)? {
        used.extend(Fields::parse(&port.fields)?.read::<u16>("publicPort")?);
    }
    let mut free = (range.0..=range.1).filter(|p| !used.contains(p) && !busy.contains(p));
    for config in &mut configs {
        let mut specs = Vec::new();
        for text in ports_of(config) {
            let mut spec = PortSpec::parse(&text)?;
            if spec.public.is_none() {
                let Some(port) = free.next() else { return Ok(Err("Not enough environment ports".into())) };
                note.drawn_ports.push(port);
                spec.public = Some(port);
            }
            specs.push(spec.to_string());
        }
        if !specs.is_empty() {
            config.insert("ports".into(), serde_json::json!(specs));
        }
    }
    if has_primary {
        let primary = configs.remove(0);
        fields.set("launchConfig", &primary)?;
    }
    fields.set("secondaryLaunchConfigs", &configs)?;
    Ok(Ok(true))
}

fn ports_of(config: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    config.get("ports").and_then(|p| serde_json::from_value(p.clone()).ok()).unwrap_or_default()
}
