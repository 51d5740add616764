//! Settings: defaults, and what is stored over them.

use crate::model::{Error, Result};

use super::core::Core;
use super::door::{Scope, Setting};

/// `(name, default, everybody may read it)`.
const SETTINGS: [(&str, &str, bool); 8] = [
    ("rancher.server.version", "v1.6.30", true),
    ("drover.version", env!("CARGO_PKG_VERSION"), true),
    ("api.security.enabled", "false", true),
    ("api.auth.provider.configured", "none", true),
    ("api.host", "", false),
    ("api.show.removed.for.seconds", "-300", false),
    ("registry.default", "", false),
    ("ui.pl", "rancher", true),
];

impl Core {
    pub(crate) fn setting(&self, name: &str) -> Result<Option<Setting>> {
        let stored = self.store.setting(name)?;
        let known = SETTINGS.iter().find(|(n, _, _)| *n == name);
        if stored.is_none() && known.is_none() {
            return Ok(None);
        }
        let default = known.map(|(_, d, _)| (*d).to_owned()).filter(|d| !d.is_empty());
        Ok(Some(Setting {
            name: name.to_owned(),
            active_value: stored.clone().or_else(|| default.clone()),
            source: Some(if stored.is_some() { "Database" } else { "Code Packaged Defaults" }.to_owned()),
            in_db: stored.is_some(),
            is_public: known.is_some_and(|(_, _, p)| *p),
            value: stored.or(default),
        }))
    }

    pub(crate) fn all_settings(&self) -> Result<Vec<Setting>> {
        SETTINGS.iter().map(|(name, _, _)| self.setting(name)).filter_map(Result::transpose).collect()
    }

    pub(crate) async fn write_setting(&self, scope: &Scope, name: &str, value: Option<String>) -> Result<Setting> {
        let Some(value) = value else {
            return Err(Error::not_implemented("resetting a setting is not part of this build"));
        };
        let stored = name.to_owned();
        self.write_for(scope, move |tx| tx.set_setting(&stored, &value)).await?;
        self.setting(name)?.ok_or_else(Error::not_found)
    }
}
