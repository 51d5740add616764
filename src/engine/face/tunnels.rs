//! Agents that dial in: how they join, and who is let in by its own key.

use std::collections::BTreeMap;

use super::Engine;
use crate::engine::core::{Proof, Scope};
use crate::model::{ResourceId, Result};

/// An agent that has shown its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialledAgent {
    id: ResourceId,
    /// By what its tunnel is known.
    pub name: String,
}

impl Engine {
    /// Whether somebody who asks for a tunnel has yet to join.
    pub fn is_joining(&self, scope: &Scope) -> bool {
        matches!(scope.proof, Proof::Registration(_))
    }

    /// The key of a new agent that shows a registration token and a text of its own, once there is one.
    ///
    /// # Errors
    /// 403 for who shows something else, 422 for a text that somebody could guess.
    pub async fn join_by_tunnel(&self, scope: &Scope, key: &str, name: &str) -> Result<Option<(String, String)>> {
        self.core().join_by_tunnel(scope, key, name).await
    }

    /// Whether the caller may open a tunnel now.
    ///
    /// # Errors
    /// 403 for who is no agent that dials in, 409 for one that is not wanted now.
    pub fn may_dial(&self, scope: &Scope) -> Result<()> {
        self.core().agent_that_dials(scope).map(drop)
    }

    /// The agent that dials, with the labels that it has for its host.
    ///
    /// # Errors
    /// As [`Self::may_dial`].
    pub async fn dialled(&self, scope: &Scope, labels: BTreeMap<String, String>) -> Result<DialledAgent> {
        let agent = self.core().agent_that_dials(scope)?;
        let name = self.core().tunnel_of(&agent, labels).await?;
        Ok(DialledAgent { id: agent.id, name })
    }

    /// The tunnel of an agent is open: whatever waits for it goes on.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn tunnel_opened(&self, agent: &DialledAgent) -> Result<()> {
        self.core().tunnel_opened(agent.id)
    }
}
