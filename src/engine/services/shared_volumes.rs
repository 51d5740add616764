//! Volumes that a stack declares: once, as templates. Each host has its own of one that all services share, and each container
//! its own of one that is `perContainer`.

use std::collections::BTreeMap;

use serde_json::value::to_raw_value;

use crate::compose::limits::MAX_VOLUMES;
use crate::engine::core::{Core, Input, Scope, insert_and_start, row_from_input};
use crate::engine::instances::{engine_name, is_per_container};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::TypeView;
use crate::store::Within;

use super::new_service::no_stack;
use super::snapshot::Config;

/// The volumes that a stack declares, by the names that its services have for them.
pub(super) struct DeclaredVolumes {
    stack: String,
    /// Whether each container has its own.
    own: BTreeMap<String, bool>,
}

impl Core {
    /// On which hosts units of a service have volumes for themselves; most services have none, and nothing is read for them.
    pub(super) fn homes_of_service(
        &self,
        stack: &Resource,
        service: ResourceId,
        configs: &[Config],
    ) -> Result<BTreeMap<u32, ResourceId>> {
        let mut volumes = configs
            .iter()
            .flat_map(|config| config.launch.data_volumes.iter().flatten());
        match volumes.any(|volume| !volume.starts_with('/') && volume.contains(':')) {
            true => self.homes_of_units(stack.id, service),
            false => Ok(BTreeMap::new()),
        }
    }

    pub(super) fn declared_volumes(&self, stack: &Resource) -> Result<DeclaredVolumes> {
        let mut own = BTreeMap::new();
        for template in self.store.children(stack.id, "volumeTemplate")? {
            if !Fields::parse(&template.fields)?.read("external")?.unwrap_or(false) {
                own.insert(template.name.clone(), is_per_container(&template)?);
            }
        }
        Ok(DeclaredVolumes {
            stack: stack.name.clone(),
            own,
        })
    }
}

impl DeclaredVolumes {
    /// Whether a unit with this launch configuration has a volume for itself.
    pub(super) fn has_own(&self, config: &Config) -> bool {
        let names = config.launch.data_volumes.iter().flatten();
        let mut names = names.filter_map(|volume| volume.split_once(':'));
        names.any(|(name, _)| self.own.get(name).copied().unwrap_or(false))
    }

    /// A launch configuration with the names that engines have for its volumes in one unit; nothing if none is declared.
    pub(super) fn named(&self, config: &Config, index: u32, unit: &str) -> Result<Option<Config>> {
        let volumes = config.launch.data_volumes.iter().flatten();
        let mut is_changed = false;
        let named: Vec<String> = volumes
            .map(|volume| match volume.split_once(':') {
                Some((name, rest)) if self.own.contains_key(name) => {
                    is_changed = true;
                    let own = self.own.get(name).copied().unwrap_or(false);
                    let engine = engine_name(&self.stack, name, own.then_some((index, unit)));
                    format!("{engine}:{rest}")
                }
                _ => volume.clone(),
            })
            .collect();
        if !is_changed {
            return Ok(None);
        }
        let raw = to_raw_value(&named).map_err(|e| Error::internal("writing the volumes of a container", e))?;
        let (mut launch, mut fields) = (config.launch.clone(), config.raw.clone());
        launch.data_volumes = Some(named);
        fields.insert("dataVolumes".into(), raw);
        Ok(Some(Config { launch, raw: fields }))
    }
}

/// A template that a client makes: one of its name in a stack.
pub(super) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: &Input,
) -> Result<Resource> {
    core.check_volume_use(Some(account), None, input)?;
    let is_set = |field: &str| input.get(field).and_then(serde_json::Value::as_bool).unwrap_or(false);
    if is_set("external") && is_set("perContainer") {
        return Err(Error::invalid("InvalidOption", "perContainer")
            .with_message("a volume that is there already belongs to no container"));
    }
    let new = row_from_input(&ty.def, account, input)?;
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| {
        let stack = new.parent_id.map(|id| tx.find(id)).transpose()?.flatten();
        let Some(stack) = stack.filter(|s| s.removed.is_none() && s.state != State::REMOVING) else {
            return Err(no_stack("stackId"));
        };
        if !tx
            .named("volumeTemplate", Within::Parent(stack.id), &new.name)?
            .is_empty()
        {
            return Err(Error::invalid("NotUnique", "name"));
        }
        if tx.children(stack.id, "volumeTemplate")?.len() >= MAX_VOLUMES {
            return Err(Error::invalid("MaxLimitExceeded", "stackId"));
        }
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}
