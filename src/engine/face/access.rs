//! Proving who asks, logging in, and turning access control on and off.

use std::sync::Arc;

use tokio::sync::watch;

use crate::engine::access::{Candidate, KeyProof, SigningKey, notes_of_bootstrap_key, unauthorized};
use crate::engine::accounts::{AccessMode, KEY_CHECK, LocalAuth, opens_check};
use crate::engine::core::{Account, Input, Policy, Proof, Reach, Scope, Standing, TOKEN};
use crate::model::{Error, ResourceId, Result, State};
use crate::schema::{Role, Version};
use crate::secret;

use super::Engine;

impl Engine {
    /// How access is controlled now. Quick.
    pub fn policy(&self) -> Result<Arc<Policy>> {
        self.core().policy()
    }

    /// What a name and a secret prove, without anything that takes long.
    pub fn check_key(&self, name: &str, secret: &str) -> Result<KeyProof> {
        self.core().check_key(name, secret)
    }

    /// The API key of this name, for those who sign requests with its secret.
    pub fn signing_key(&self, name: &str) -> Result<SigningKey> {
        self.core().signing_key(name)
    }

    /// The credential among these, and its account, that the secret is the password of. Slow: not on a thread that serves.
    pub fn check_passwords(&self, candidates: &[Candidate], secret: &str) -> Option<(ResourceId, ResourceId)> {
        self.core().check_passwords(candidates, secret)
    }

    /// The same for a password that was checked not long ago. Quick.
    pub fn remembered(&self, candidates: &[Candidate], secret: &str) -> Option<(ResourceId, ResourceId)> {
        let core = self.core();
        candidates
            .iter()
            .find(|c| core.remembers(c, secret))
            .map(|c| (c.credential, c.account))
    }

    /// The session of a token, and its account.
    pub fn check_session(&self, token: &str) -> Result<Option<(i64, ResourceId)>> {
        Ok(self.core().session(token)?.map(|s| (s.id, s.account)))
    }

    /// The credential of a registration token, and its account.
    pub fn check_registration(&self, token: &str) -> Result<Option<(ResourceId, ResourceId)>> {
        self.core().registration(token)
    }

    /// The wire id of the project that a key belongs to, by its public half.
    pub fn project_of_key(&self, name: &str) -> Result<Option<String>> {
        let core = self.core();
        for key in core.keys(name)?.iter() {
            if let Standing::Holder(holder) = core.standing(key.account, None)?
                && holder.user.kind == "project"
            {
                return Ok(Some(core.wire_id("project", key.account)));
            }
        }
        Ok(None)
    }

    /// The scope of who proved to be this account; `project` is the wire id that the request names.
    ///
    /// # Errors
    /// 401 if the account may not ask for anything, 403 if the project is none, or none of its own.
    pub fn admit(&self, version: Version, proof: Proof, account: ResourceId, project: Option<&str>) -> Result<Scope> {
        self.core().admit(version, proof, account, project)
    }

    /// The scope of whoever comes while access is open: that of the first admin.
    pub fn admit_open(&self, version: Version, project: Option<&str>) -> Result<Scope> {
        let admin = self.core().first_admin()?.ok_or_else(unauthorized)?;
        self.core().admit(version, Proof::Open, admin, project)
    }

    /// The scope of who only wants to log in.
    pub fn admit_nobody(&self, version: Version) -> Scope {
        let nobody = Account {
            id: TOKEN,
            kind: "token".into(),
            name: "token".into(),
        };
        let proof = Proof::Nobody;
        let (role, auth, reach) = (Role::Token, proof.auth_type(), Reach::Account(nobody.id));
        Scope {
            version,
            project: None,
            role,
            reach,
            auth,
            proof,
            effective: nobody.clone(),
            user: nobody,
            attempt: None,
        }
    }

    /// Changes whenever something about who may ask for what has changed.
    pub fn access_changes(&self) -> watch::Receiver<u64> {
        self.core().access.changes.subscribe()
    }

    /// Whether a scope that was given once would be given again.
    pub fn still_admits(&self, scope: &Scope) -> Result<bool> {
        self.core().still_admits(scope)
    }
}

impl Engine {
    /// The passwords of this login name. Quick.
    pub fn logins(&self, name: &str) -> Result<Vec<Candidate>> {
        self.core().password_of(name)
    }

    /// Begins a session of an account that has proved itself: its number and its token.
    ///
    /// # Errors
    /// 403 if the access mode keeps the account out.
    pub async fn begin_session(&self, account: ResourceId) -> Result<(i64, String)> {
        self.core().begin_session(account, None).await
    }

    /// Gives a user that has no project one of its own, called after the login.
    pub async fn make_first_project(&self, scope: &Scope, login: &str) -> Result<()> {
        let core = self.core();
        let wanted = core.setting("project.create.default")?.and_then(|s| s.active_value);
        let is_off = wanted.is_some_and(|v| v.eq_ignore_ascii_case("false"));
        if is_off || scope.user.kind != "user" || !core.projects_of(scope.user.id)?.is_empty() {
            return Ok(());
        }
        let Some(ty) = core
            .registry
            .view(scope.version, scope.role)
            .types
            .get("project")
            .cloned()
        else {
            return Ok(());
        };
        let mut input = Input::new();
        input.insert("name".into(), format!("{login}-Default").into());
        self.create(scope, &ty, input).await.map(drop)
    }

    /// Ends a session; its token is worth nothing from then on.
    pub async fn end_session(&self, id: i64) -> Result<()> {
        self.core()
            .store
            .write(crate::store::Priority::Request, move |tx| tx.delete_session(id))
            .await
    }

    /// An account by its number.
    pub fn account(&self, id: ResourceId) -> Result<Option<Account>> {
        let row = self.core().store.find(id)?.filter(|row| row.root == "account");
        Ok(row.map(|row| Account {
            id: row.id,
            kind: row.kind,
            name: row.name,
        }))
    }

    /// Who may log in.
    pub fn access_mode(&self) -> Result<AccessMode> {
        self.core().access_mode()
    }

    /// Turns access control on.
    ///
    /// # Errors
    /// 401 `IncorrectPassword` if the name is in use with another password.
    pub async fn set_access_control_up(&self, scope: &Scope, auth: LocalAuth) -> Result<()> {
        self.core().set_up_logins(scope, auth).await
    }

    /// Turns access control off.
    ///
    /// # Errors
    /// 403 if the server is where others reach it.
    pub async fn turn_access_control_off(&self, scope: &Scope) -> Result<()> {
        self.core().turn_off(scope).await
    }

    /// What `--access-control` does: callers have to prove who they are, or not.
    pub async fn require_proof(&self, is_on: bool) -> Result<()> {
        self.core()
            .write(move |tx| tx.set_setting("api.security.enabled", if is_on { "true" } else { "false" }))
            .await
    }

    /// Whether any admin has a key or a password.
    pub fn has_admin_credential(&self) -> Result<bool> {
        let core = self.core();
        let kinds = ["apiKey", "password", "usernamePassword"];
        let credentials = core.store.all("credential", None)?;
        let mut owners = credentials
            .iter()
            .filter(|c| c.state == State::ACTIVE && kinds.contains(&c.kind.as_str()))
            .filter_map(|c| c.account_id);
        let is_admin = |id| {
            Ok::<_, Error>(
                core.store
                    .find(id)?
                    .is_some_and(|a| a.state == State::ACTIVE && matches!(a.kind.as_str(), "admin" | "superadmin")),
            )
        };
        owners.try_fold(false, |found, id| Ok(found || is_admin(id)?))
    }

    /// Whether the secrets in the database were written with this server's key, if any were.
    pub fn key_fits(&self) -> Result<bool> {
        let core = self.core();
        let stored = core.store.setting(KEY_CHECK)?;
        Ok(opens_check(&core.config.secrets, stored.as_deref()))
    }

    /// Makes a key, or makes it right, for the account that `name` says.
    ///
    /// # Errors
    /// 404 if there is no such account.
    pub async fn set_key(&self, name: &str, access: String, secret: &str) -> Result<()> {
        let account = self.core().named_account(name)?.ok_or_else(Error::not_found)?;
        self.core().set_key(account, access, secret, String::new()).await
    }

    /// The same for keys that the configuration says: it is noted of them, so that they end when it says them no more.
    ///
    /// # Errors
    /// 404 if there is no such account.
    pub async fn set_bootstrap_key(&self, name: &str, access: String, secret: &str) -> Result<()> {
        let account = self.core().named_account(name)?.ok_or_else(Error::not_found)?;
        let noted = notes_of_bootstrap_key()?;
        self.core().set_key(account, access, secret, noted).await
    }

    /// Ends the keys that the configuration said once; `kept` are the public halves that it says now. Gives those that ended.
    pub async fn end_bootstrap_keys(&self, kept: &[String]) -> Result<Vec<String>> {
        self.core().end_bootstrap_keys(kept).await
    }

    /// A new key for the first admin: its access key and its secret.
    pub async fn rescue_admin(&self) -> Result<(String, String)> {
        let core = self.core();
        let admin = core
            .first_admin()?
            .ok_or_else(|| Error::conflict("there is no active admin"))?;
        let (access, secret) = (secret::access_key()?, secret::secret_key()?);
        core.set_key(admin, access.clone(), &secret, String::new()).await?;
        Ok((access, secret))
    }
}
