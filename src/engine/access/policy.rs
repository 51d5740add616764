//! How access is controlled now, and who everybody is while it is not. cattle: `ApiAuthenticator`.

use std::sync::Arc;

use crate::engine::core::{Core, INFRASTRUCTURE_ROLES, Policy, is_usable};
use crate::model::{Error, ResourceId, Result};

impl Core {
    pub(crate) fn policy(&self) -> Result<Arc<Policy>> {
        let known = self.access.known();
        if let Some(policy) = known.policy.get() {
            return Ok(policy.clone());
        }
        let value = |name: &str| Ok::<_, Error>(self.setting(name)?.and_then(|s| s.active_value));
        let kinds = value("account.by.key.credential.types")?
            .unwrap_or_else(|| "agentApiKey,apiKey,usernamePassword".to_owned());
        let realm = value("api.auth.realm")?;
        let infrastructure = value(INFRASTRUCTURE_ROLES)?.unwrap_or_default();
        let policy = Arc::new(Policy {
            is_on: value("api.security.enabled")?.is_some_and(|v| v.eq_ignore_ascii_case("true")),
            provider: value("api.auth.provider.configured")?.filter(|p| !p.is_empty() && p != "none"),
            realm: realm.unwrap_or_else(|| "Enter API access key and secret key as username and password".to_owned()),
            infrastructure: infrastructure.split(',').map(|name| name.trim().to_owned()).collect(),
            key_kinds: kinds.split(',').map(|k| k.trim().to_owned()).collect(),
        });
        Ok(known.policy.get_or_init(|| policy).clone())
    }

    /// The active admin with the lowest id: who everybody is while access is open.
    pub(crate) fn first_admin(&self) -> Result<Option<ResourceId>> {
        let known = self.access.known();
        if let Some(admin) = known.first_admin.get() {
            return Ok(*admin);
        }
        let admins = self.store.all("account", None)?;
        let first = admins
            .iter()
            .filter(|row| row.kind == "admin" && is_usable(row))
            .map(|row| row.id)
            .min();
        Ok(*known.first_admin.get_or_init(|| first))
    }
}
