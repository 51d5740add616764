//! Hosts as interfaces offer them that know machines: removed whatever they do, and with all their containers started anew.

use super::Engine;
use crate::engine::core::{Input, Scope};
use crate::engine::hosts;
use crate::model::{Resource, Result};

impl Engine {
    /// Whether hosts can be made here: only where the server simulates some.
    pub fn simulates(&self) -> Result<bool> {
        hosts::simulates(&self.core)
    }

    /// Makes a simulated host of the caller's project, with these fields beside its name. Who may is for the interface to say.
    ///
    /// # Errors
    /// 409 where the server simulates none.
    pub async fn simulate_host(&self, scope: &Scope, name: &str, fields: Input) -> Result<Resource> {
        hosts::simulate(&self.core, scope, scope.effective.id, name, fields).await
    }

    /// Asks a host to go: it takes nothing new, what runs there goes and comes up elsewhere, and then it is removed.
    ///
    /// # Errors
    /// 403 for who may not remove it.
    pub async fn remove_host(&self, scope: &Scope, row: &Resource) -> Result<Resource> {
        self.core.require(scope, row, "remove")?;
        hosts::ask_to_go(&self.core, scope, row).await
    }

    /// Whether a host was asked to go.
    pub fn is_host_going(&self, row: &Resource) -> Result<bool> {
        hosts::is_going(&self.core, row)
    }

    /// Restarts all containers that run on a host.
    ///
    /// # Errors
    /// 403 for who may not change it.
    pub async fn restart_containers_of(&self, scope: &Scope, row: &Resource) -> Result<Resource> {
        self.core.require(scope, row, "update")?;
        hosts::restart_all(&self.core, scope, row).await
    }
}
