//! What an interface asks for that knows a project as a cluster: settings of the whole.

use serde_json::Value;

use super::Engine;
use crate::engine::core::Scope;
use crate::model::{Resource, Result};

impl Engine {
    /// A field of the caller's project that no view of Rancher's shows; null if it was never written.
    pub fn project_field(&self, scope: &Scope, field: &str) -> Result<Value> {
        self.core().project_field(scope, field)
    }

    /// Writes such a field, if it is still as it was read. Who may is who may change hosts.
    ///
    /// # Errors
    /// 403 for another role, 409 with the code [`crate::engine::FASTER`] if somebody else wrote it.
    pub async fn write_project_field(
        &self,
        scope: &Scope,
        field: &'static str,
        was: Value,
        now: Value,
    ) -> Result<Resource> {
        self.core().write_project_field(scope, field, was, now).await
    }
}
