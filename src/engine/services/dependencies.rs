//! Services whose containers start only when what they are linked to is well: `io.drover.depends_on: healthy`.

use std::collections::{BTreeSet, VecDeque};

use crate::engine::core::{Core, Entry, fenced, is_active_like};
use crate::model::launch::LaunchConfig;
use crate::model::own_labels::{DEPENDS_ON, depends_on_healthy};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::store::Process;

use super::lifecycle::ActivateData;
use super::snapshot::ServiceSnapshot;

/// So many services are followed in search of a circle; beyond that the wait is a long one anyway.
const MOST_FOLLOWED: usize = 1_000;

impl Core {
    /// What an activation waits for, in words, if its service is to wait until what it is linked to is well. Once that was
    /// so the activation goes on, whatever becomes of it.
    pub(super) async fn waits_for_healthy(
        &self,
        process: &Process,
        snapshot: &ServiceSnapshot,
    ) -> Result<Option<String>> {
        let data: ActivateData = serde_json::from_str(&process.data).unwrap_or_default();
        let labels = snapshot.configs.first().and_then(|c| c.launch.labels.as_ref());
        if data.is_ready || !labels.is_some_and(depends_on_healthy) {
            return Ok(None);
        }
        let service = &snapshot.service;
        let mut in_circle = None;
        for target in self.linked_to(service.id)? {
            if target.id == service.id || is_well(&target) {
                continue;
            }
            self.wait_for(target.id, process.id);
            if self.store.find(target.id)?.as_ref().is_none_or(is_well) {
                continue;
            }
            if !self.leads_back(&target, service.id)? {
                return Ok(Some(format!("Waiting for {} to be healthy", target.name)));
            }
            in_circle.get_or_insert(target.name);
        }
        self.go_ahead(process, service.id, data, in_circle).await?;
        Ok(None)
    }

    /// The services that a service is linked to, in the order of the links.
    fn linked_to(&self, service: ResourceId) -> Result<Vec<Resource>> {
        let mut targets = Vec::new();
        for map in self.store.children(service, "serviceConsumeMap")? {
            targets.extend(self.linked_service(&map)?.filter(|t| t.state != State::REMOVING));
        }
        Ok(targets)
    }

    /// Whether a service that is waited for waits itself, over links, for this one.
    fn leads_back(&self, from: &Resource, to: ResourceId) -> Result<bool> {
        let mut seen = BTreeSet::from([from.id]);
        let mut open = VecDeque::from([from.clone()]);
        while let Some(service) = open.pop_front() {
            if is_well(&service) || !waits(&service)? {
                continue;
            }
            for target in self.linked_to(service.id)? {
                if target.id == to {
                    return Ok(true);
                }
                if seen.len() < MOST_FOLLOWED && seen.insert(target.id) {
                    open.push_back(target);
                }
            }
        }
        Ok(false)
    }

    /// Remembers that nothing is waited for any more, and says so if that is because of a circle.
    async fn go_ahead(
        &self,
        process: &Process,
        service: ResourceId,
        data: ActivateData,
        in_circle: Option<String>,
    ) -> Result<()> {
        let data = ActivateData { is_ready: true, ..data };
        let data = serde_json::to_string(&data).map_err(|e| Error::internal("writing an activation", e))?;
        let entry = in_circle.map(|name| Entry {
            event: ".info",
            sentence: format!("Not waiting for {name}, which waits for this service"),
            about: None,
        });
        let (id, log) = (process.id, self.service_log(service, process)?);
        self.write(move |tx| {
            let Some(row) = fenced(tx, id, service)? else {
                return Ok(());
            };
            tx.set_process_data(id, &data)?;
            match entry {
                Some(entry) => log.write(tx, &row, vec![entry]),
                None => Ok(()),
            }
        })
        .await
    }
}

/// Whether a service is up, and all of it is healthy.
fn is_well(service: &Resource) -> bool {
    let is_up = is_active_like(service.state) && service.state != State::ACTIVATING;
    is_up && matches!(service.health.as_str(), "healthy" | "started-once")
}

/// Whether a service waits for what it is linked to.
fn waits(service: &Resource) -> Result<bool> {
    // Most services have no such label; reading their fields would be most of the work.
    if !service.fields.contains(DEPENDS_ON) {
        return Ok(false);
    }
    let launch: Option<LaunchConfig> = Fields::parse(&service.fields)?.read("launchConfig")?;
    Ok(launch
        .and_then(|launch| launch.labels)
        .is_some_and(|labels| depends_on_healthy(&labels)))
}
