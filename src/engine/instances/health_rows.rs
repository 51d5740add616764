//! Who checks a container's health: one row for each container with a check, from its first start until it goes. It is its own
//! host that does, where the original drew some of the project's.

use std::sync::Arc;

use crate::engine::core::{Core, fenced, new_row};
use crate::model::{Fields, Resource, Result, State};
use crate::schema::Type;
use crate::schema::render::wire_id;
use crate::store::{Changes, NewResource, Process, Tx};

/// The root of those rows.
pub(super) const HEALTH_MAP: &str = "healthcheckInstanceHostMap";

/// What such a row is made with.
pub(super) struct HealthMaps {
    ty: Arc<Type>,
    instance_prefix: String,
}

impl Core {
    pub(super) fn health_maps(&self) -> Result<HealthMaps> {
        Ok(HealthMaps {
            ty: self.type_of(HEALTH_MAP)?.clone(),
            instance_prefix: self.type_of("container")?.prefix.clone(),
        })
    }

    /// A container with a check has started.
    pub(super) async fn note_checker(&self, process: &Process, row: &Resource, health: &'static str) -> Result<()> {
        let maps = self.health_maps()?;
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| match fenced(tx, process_id, row_id)? {
            Some(row) => maps.note(tx, &row, health),
            None => Ok(()),
        })
        .await
    }
}

impl HealthMaps {
    /// Says how healthy a container is; the row is made if it is not there.
    pub(super) fn note(&self, tx: &mut Tx<'_>, container: &Resource, health: &str) -> Result<()> {
        let known = tx.children(container.id, HEALTH_MAP)?;
        if let Some(map) = known.iter().find(|map| map.removed.is_none()) {
            if map.health != health {
                let changes = Changes {
                    health: Some(health.to_owned()),
                    ..Changes::default()
                };
                tx.update_if(map, &changes)?;
            }
            return Ok(());
        }
        let mut fields = Fields::default();
        fields.set("instanceId", &wire_id(&self.instance_prefix, container.id))?;
        let new = NewResource {
            parent_id: Some(container.id),
            host_id: container.host_id,
            health: health.to_owned(),
            state: State::ACTIVE,
            ..new_row(&self.ty, container.account_id, fields)
        };
        tx.insert(new).map(drop)
    }
}
