//! Fields of a project that no view of Rancher's shows: other interfaces keep in them what holds for all of it.

use serde_json::Value;

use crate::engine::core::{Core, FASTER, Scope, live};
use crate::model::{Error, Fields, Resource, Result};
use crate::store::Changes;

impl Core {
    /// Such a field of the caller's project; null if it was never written.
    pub(crate) fn project_field(&self, scope: &Scope, field: &str) -> Result<Value> {
        let project = self.store.find(scope.effective.id)?.ok_or_else(Error::not_found)?;
        Ok(Fields::parse(&project.fields)?.read(field)?.unwrap_or_default())
    }

    /// Writes one, if it is still as it was read. Who may is who may change hosts.
    ///
    /// # Errors
    /// 403 for another role, 409 with the code `FASTER` if somebody else wrote it.
    pub(crate) async fn write_project_field(
        &self,
        scope: &Scope,
        field: &'static str,
        was: Value,
        now: Value,
    ) -> Result<Resource> {
        self.require_infrastructure(scope)?;
        let id = scope.effective.id;
        self.write_for(scope, move |tx| {
            let row = live(tx, id)?;
            let stored: Value = Fields::parse(&row.fields)?.read(field)?.unwrap_or_default();
            if stored != was {
                return Err(Error::conflict("it was changed meanwhile").with_code(FASTER));
            }
            let mut changes = Changes::default();
            changes.patch.set(field, &now)?;
            tx.update_if(&row, &changes)
        })
        .await
    }
}
