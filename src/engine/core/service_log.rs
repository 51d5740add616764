//! The service log: what the engine did to a service, for its users.

use crate::model::{Fields, Resource, ResourceId, Result};
use crate::store::{NewResource, Tx};

/// Writes a line. `about` is the container it is about.
pub(crate) fn log_to_service(
    tx: &mut Tx<'_>,
    service: &Resource,
    event: &str,
    sentence: &str,
    about: Option<ResourceId>,
    is_error: bool,
) -> Result<()> {
    let mut fields = Fields::default();
    fields.set("eventType", event)?;
    fields.set("description", sentence)?;
    fields.set("level", if is_error { "error" } else { "info" })?;
    fields.set("serviceId", &format!("1s{}", service.id))?;
    fields.set("instanceId", &about.map(|id| format!("1i{id}")))?;
    let refs = vec![("serviceId".to_owned(), service.id)];
    tx.insert(NewResource {
        root: "serviceLog".into(),
        kind: "serviceLog".into(),
        account_id: service.account_id,
        parent_id: Some(service.id),
        fields,
        refs,
        ..NewResource::default()
    })?;
    Ok(())
}
