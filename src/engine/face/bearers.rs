//! Bearer tokens, and the first person of a server.

use std::time::Duration;

use super::Engine;
use crate::engine::access::{Bearer, NewBearer};
use crate::engine::accounts::FirstAdmin;
use crate::engine::core::Scope;
use crate::model::{Resource, ResourceId, Result};

impl Engine {
    /// A new bearer token and its text, which nobody is told again. Who may make one is for the interface to say.
    ///
    /// # Errors
    /// 422 for an account that has as many as one may have.
    pub async fn create_bearer(&self, scope: &Scope, new: NewBearer) -> Result<(Bearer, String)> {
        self.core().create_bearer(scope, new).await
    }

    /// The token that a text is, if it is one that holds.
    pub fn bearer(&self, text: &str) -> Result<Option<Bearer>> {
        self.core().bearer(text)
    }

    /// All tokens, or those of one account. Blocking.
    pub fn bearers(&self, account: Option<ResourceId>) -> Result<Vec<Bearer>> {
        self.core().bearers(account)
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// 404 for what is none, 409 for one that has ended.
    pub async fn end_bearer(&self, scope: &Scope, id: ResourceId) -> Result<()> {
        self.core().end_bearer(scope, id).await
    }

    /// Notes that a token was used now.
    pub async fn note_bearer_use(&self, id: ResourceId) -> Result<()> {
        self.core().note_bearer_use(id).await
    }

    /// Makes the first person, an admin; whether access is controlled stays as it is.
    ///
    /// # Errors
    /// 403 unless it is the first, 422 for a name that a key has.
    pub async fn register_first(&self, scope: &Scope, first: FirstAdmin) -> Result<Resource> {
        self.core().register_first(scope, first).await
    }

    /// Begins a session that lasts so long, whatever the setting says: its number and its token.
    ///
    /// # Errors
    /// 403 if the access mode keeps the account out.
    pub async fn begin_session_for(&self, account: ResourceId, lasts: Duration) -> Result<(i64, String)> {
        self.core().begin_session(account, Some(lasts)).await
    }

    /// The name that an account logs in by, if it has a password. Blocking.
    pub fn login_of(&self, account: ResourceId) -> Result<Option<String>> {
        self.core().login_of(account)
    }
}
