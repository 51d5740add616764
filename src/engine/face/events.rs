//! Following what changes.

use tokio::sync::broadcast;

use crate::engine::core::{Missed, News, Published, Scope};
use crate::model::{ResourceId, Result, Timestamp};

use super::Engine;

impl Engine {
    /// Listens from now on: what is committed after this call is told. Also says the position.
    pub fn listen(&self) -> Result<(broadcast::Receiver<News>, i64)> {
        self.core().listen()
    }

    /// What happened behind a position, up to now; `account` leaves out what belongs to others. Blocking.
    pub fn missed(&self, position: i64, account: Option<ResourceId>) -> Result<Missed> {
        self.core().missed(position, account)
    }

    /// Tells those who listen what was published.
    pub fn publish(&self, published: Published) {
        self.core().feed.publish(published);
    }

    /// The agents that are the caller's own.
    pub fn agents_of(&self, scope: &Scope) -> Result<Vec<ResourceId>> {
        Ok(self
            .core()
            .store
            .all("agent", Some(scope.user.id))?
            .into_iter()
            .map(|row| row.id)
            .collect())
    }

    /// The project a caller works for: that of its scope, or the one its agent belongs to.
    pub fn project_of(&self, scope: &Scope) -> Result<Option<ResourceId>> {
        if scope.project.is_some() {
            return Ok(scope.project);
        }
        let agents = self.core().store.all("agent", Some(scope.user.id))?;
        Ok(agents
            .iter()
            .find_map(|agent| {
                crate::model::Fields::parse(&agent.fields)
                    .ok()?
                    .text("resourceAccountId")
            })
            .and_then(|wire| crate::model::WireId::parse(&wire).map(|w| w.id)))
    }

    /// The time of the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.core().now()
    }

    /// Tells what is due at the clock's time. For tests.
    pub fn tell(&self) {
        self.core().tell();
    }
}
