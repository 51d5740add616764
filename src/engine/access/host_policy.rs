//! What the containers of a project may do to its hosts: asked at every door by which a configuration comes in, by one function.
//!
//! It binds what is asked for from now on. What was accepted before it was narrowed goes on, is healed, scaled and rolled back to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::engine::core::{Core, HOST_POLICY, Input};
use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::{Error, Fields, HostPolicy, Resource, ResourceId, Result};

/// The field of a project that has it.
pub(crate) const HOST_POLICY_FIELD: &str = "hostPolicy";

/// 422 for a field that asks for more of the host than a project may have.
fn not_allowed(field: &str) -> Error {
    Error::invalid("NotAllowed", field)
        .with_message(format!("the host policy of this project does not allow this {field}"))
}

impl Core {
    /// What a project may do to its hosts; `None` is everything: access is open, or its project has no policy.
    fn host_policy(&self, project: Option<ResourceId>) -> Result<Option<HostPolicy>> {
        if !self.policy()?.is_on {
            return Ok(None);
        }
        let project = project.map(|id| self.store.find(id)).transpose()?.flatten();
        match project {
            Some(project) => Fields::parse(&project.fields)?.read(HOST_POLICY_FIELD),
            None => Ok(None),
        }
    }

    /// What a new project begins with; null is everything.
    pub(crate) fn new_host_policy(&self) -> Result<Value> {
        let text = self.setting(HOST_POLICY)?.and_then(|setting| setting.active_value);
        let policy = HostPolicy::parse(text.as_deref().unwrap_or("{}"));
        let policy = policy.map_err(|e| Error::internal("reading the setting host.policy", e))?;
        serde_json::to_value(policy).map_err(|e| Error::internal("writing a host policy", e))
    }

    /// 422 `NotAllowed` for who would do with the engine itself what the project may not; who runs the server may anyway.
    pub(crate) fn check_engine_use(&self, project: Option<ResourceId>, kind: &str) -> Result<()> {
        match self.host_policy(project)? {
            Some(_) if !matches!(kind, "admin" | "superadmin" | "service") => Err(not_allowed("dockersocket")),
            _ => Ok(()),
        }
    }

    /// 422 `NotAllowed` for a container, a service or an upgrade that would do more to the host than the project may.
    pub(crate) fn check_host_use(&self, project: Option<ResourceId>, input: &Input) -> Result<()> {
        let Some(policy) = self.host_policy(project)? else {
            return Ok(());
        };
        self.check_config(&policy, input)?;
        let primary = input.get("launchConfig").and_then(Value::as_object);
        let sidekicks = input.get("secondaryLaunchConfigs").and_then(Value::as_array);
        let sidekicks = sidekicks.into_iter().flatten().filter_map(Value::as_object);
        for config in primary.into_iter().chain(sidekicks) {
            self.check_config(&policy, config)?;
        }
        Ok(())
    }

    /// The same for a volume that is made or changed; what a change leaves alone was checked before.
    pub(crate) fn check_volume_use(
        &self,
        project: Option<ResourceId>,
        row: Option<&Resource>,
        input: &Input,
    ) -> Result<()> {
        let Some(policy) = self.host_policy(project)? else {
            return Ok(());
        };
        let text = |field: &str| input.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text("name").is_some_and(|name| !policy.allows_volume_name(name)) {
            return Err(not_allowed("name"));
        }
        let by_id = text("storageDriverId").and_then(parse_reference);
        let by_id = by_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let kept = row.map(|row| Fields::parse(&row.fields)).transpose()?;
        let kept = kept.and_then(|fields| fields.text("driver"));
        let driver = text("driver").map(str::to_owned).or(by_id.map(|row| row.name)).or(kept);
        let driver = driver.unwrap_or_default();
        if !policy.allows_driver(&driver, false) {
            return Err(not_allowed("driver"));
        }
        let options = input.get("driverOpts").and_then(Value::as_object);
        match options.is_some_and(|options| !options.is_empty()) && !policy.allows_driver(&driver, true) {
            true => Err(not_allowed("driverOpts")),
            false => Ok(()),
        }
    }

    fn check_config(&self, policy: &HostPolicy, config: &Input) -> Result<()> {
        // What is no launch configuration is refused where those are read.
        let Ok(launch) = serde_json::from_value::<LaunchConfig>(Value::Object(config.clone())) else {
            return Ok(());
        };
        let refused = policy.refused(&launch).or(self.refused_reference(policy, &launch)?);
        refused.map_or(Ok(()), |field| Err(not_allowed(field)))
    }

    /// The first field by which a configuration would take from another container, or from a volume, what it may not have.
    fn refused_reference(&self, policy: &HostPolicy, launch: &LaunchConfig) -> Result<Option<&'static str>> {
        if self.mounts_path(policy, launch)? {
            return Ok(Some("dataVolumeMounts"));
        }
        let mut seen = BTreeSet::new();
        for wire in launch.data_volumes_from.iter().flatten() {
            if self.lends_volumes(policy, wire, &mut seen)? {
                return Ok(Some("dataVolumesFrom"));
            }
        }
        let joins = launch.network_container_id.as_deref();
        let joined = joins.map(|wire| self.instance_at(wire)).transpose()?.flatten();
        let is_refused = joined.is_some_and(|(row, other)| {
            let is_host = other.network_mode.as_deref() == Some("host") && !policy.network_host;
            is_host || is_foreign(policy, &row)
        });
        Ok(is_refused.then_some("networkContainerId"))
    }

    /// Whether a container would lend volumes that the policy does not allow: its own, or those it has from others.
    fn lends_volumes(&self, policy: &HostPolicy, wire: &str, seen: &mut BTreeSet<ResourceId>) -> Result<bool> {
        let Some((row, launch)) = self.instance_at(wire)? else {
            return Ok(false);
        };
        if !seen.insert(row.id) {
            return Ok(false);
        }
        let mut volumes = launch.data_volumes.iter().flatten();
        if is_foreign(policy, &row)
            || !volumes.all(|text| policy.allows_volume(text))
            || self.mounts_path(policy, &launch)?
        {
            return Ok(true);
        }
        for wire in launch.data_volumes_from.iter().flatten() {
            if self.lends_volumes(policy, wire, seen)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a volume is mounted that is a path of the host.
    fn mounts_path(&self, policy: &HostPolicy, launch: &LaunchConfig) -> Result<bool> {
        for wire in launch.data_volume_mounts.iter().flatten().map(|(_, wire)| wire) {
            let volume = parse_reference(wire)
                .map(|id| self.store.find(id))
                .transpose()?
                .flatten();
            if volume.is_some_and(|volume| !policy.allows_volume_name(&volume.name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn instance_at(&self, wire: &str) -> Result<Option<(Resource, LaunchConfig)>> {
        let row = parse_reference(wire)
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten();
        let Some(row) = row.filter(|row| row.root == "instance") else {
            return Ok(None);
        };
        let launch = serde_json::from_str(&row.fields)
            .map_err(|e| Error::internal(format!("reading the launch configuration of {}", row.id), e))?;
        Ok(Some((row, launch)))
    }
}

/// Whether a container was run by hand, so that nobody knows what it has, and the policy does not take it all the same.
fn is_foreign(policy: &HostPolicy, row: &Resource) -> bool {
    let is_native = || Fields::parse(&row.fields).and_then(|fields| fields.read::<bool>("nativeContainer"));
    !policy.native_containers && is_native().ok().flatten().unwrap_or(false)
}
