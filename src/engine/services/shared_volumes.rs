//! Volumes that the services of a stack share: they are declared once, as templates, and each host has its own of each.

use std::collections::BTreeSet;

use serde_json::value::to_raw_value;

use crate::engine::core::Core;
use crate::engine::instances::shared_name;
use crate::model::{Error, Fields, Result};

use super::snapshot::{Config, ServiceSnapshot};

impl Core {
    /// Puts the names that engines know shared volumes by into the launch configurations of a service.
    pub(super) fn name_shared_volumes(&self, snapshot: &ServiceSnapshot, configs: &mut [Config]) -> Result<()> {
        let mut shared = BTreeSet::new();
        for template in self.store.children(snapshot.stack.id, "volumeTemplate")? {
            if !Fields::parse(&template.fields)?.read("external")?.unwrap_or(false) {
                shared.insert(template.name);
            }
        }
        for config in configs {
            let mut is_changed = false;
            for volume in config.launch.data_volumes.iter_mut().flatten() {
                if let Some((name, rest)) = volume.split_once(':')
                    && shared.contains(name)
                {
                    *volume = format!("{}:{rest}", shared_name(&snapshot.stack.name, name));
                    is_changed = true;
                }
            }
            if is_changed {
                let raw = to_raw_value(&config.launch.data_volumes);
                let raw = raw.map_err(|e| Error::internal("writing the volumes of a container", e))?;
                config.raw.insert("dataVolumes".into(), raw);
            }
        }
        Ok(())
    }
}
