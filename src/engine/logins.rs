//! Logins: passwords that begin sessions, and turning access control on and off.

use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result};
use crate::schema::Type;
use crate::secret;
use crate::store::{CredentialSecret, NewResource, Tx};

use super::core::{Core, new_row};
use super::door::{Account, Engine, Proof, Reach, Scope};
use super::handlers::retire;
use super::proof::Candidate;

/// The provider that this build has: passwords of its own.
pub const LOCAL: &str = "localAuthConfig";
/// A setting that opens with this server's key only.
pub(crate) const KEY_CHECK: &str = "drover.key.check";
/// How long a login lasts if no setting says otherwise: sixteen hours.
const EXPIRY_MS: u64 = 57_600_000;
/// The longest a setting may let it last: a year.
const LONGEST_MS: u64 = 31_536_000_000;

/// Who may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// Whoever has a password.
    Unrestricted,
    /// Admins, those who are named, and members of projects.
    Restricted,
    /// Admins and those who are named.
    Required,
}

impl AccessMode {
    /// Reads what a setting or a body says.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unrestricted, Self::Restricted, Self::Required].into_iter().find(|m| m.as_str().eq_ignore_ascii_case(text))
    }

    /// As settings have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unrestricted => "unrestricted",
            Self::Restricted => "restricted",
            Self::Required => "required",
        }
    }
}

/// What turning access control on takes.
#[derive(Clone)]
pub struct LocalAuth {
    /// The name to log in by.
    pub username: String,
    /// What to log in with.
    pub password: String,
    /// What the admin is called.
    pub name: String,
    /// Who else may log in.
    pub mode: AccessMode,
}

impl std::fmt::Debug for LocalAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalAuth({} {})", self.username, self.mode.as_str())
    }
}

impl Core {
    /// Notes which key this database's secrets are written with.
    pub(crate) async fn note_key(&self) -> Result<()> {
        if self.store.setting(KEY_CHECK)?.is_some() {
            return Ok(());
        }
        let sealed = self.config.secrets.seal(KEY_CHECK, "drover")?;
        self.write(move |tx| tx.set_setting(KEY_CHECK, &sealed)).await
    }

    fn password_of(&self, name: &str) -> Result<Vec<Candidate>> {
        self.candidates(name, "password")
    }

    fn access_mode(&self) -> Result<AccessMode> {
        let stored = self.setting("api.auth.local.access.mode")?.and_then(|s| s.active_value);
        Ok(stored.as_deref().and_then(AccessMode::parse).unwrap_or(AccessMode::Unrestricted))
    }

    /// 403 unless the mode lets this account log in.
    fn check_mode(&self, account: ResourceId) -> Result<()> {
        let mode = self.access_mode()?;
        let row = self.store.find(account)?.ok_or_else(|| Error::new(ErrorKind::Unauthorized))?;
        if mode == AccessMode::Unrestricted || matches!(row.kind.as_str(), "admin" | "superadmin") {
            return Ok(());
        }
        let identity = self.wire_id("account", account);
        let named = self.setting("api.auth.local.allowed.identities")?.and_then(|s| s.active_value).unwrap_or_default();
        let is_named = named.split(',').any(|n| n.trim().trim_start_matches("rancher_id:") == identity);
        if is_named || mode == AccessMode::Restricted && !self.projects_of(account)?.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden).with_message("this account may not log in"))
    }

    async fn begin_session(&self, account: ResourceId) -> Result<(i64, String)> {
        self.check_mode(account)?;
        let token = secret::secret_key()?;
        let digest = self.config.secrets.digest(&token);
        let value = |name: &str| Ok::<_, Error>(self.setting(name)?.and_then(|s| s.active_value));
        let expiry = value("api.auth.jwt.token.expiry")?.and_then(|v| v.parse().ok()).unwrap_or(EXPIRY_MS).clamp(1000, LONGEST_MS);
        let is_only = value("api.auth.restrict.concurrent.sessions")?.is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let expires = self.now().plus(std::time::Duration::from_millis(expiry));
        let written = self.store.write(crate::store::Priority::Request, move |tx| {
            let session = tx.insert_session(&digest, account, expires)?;
            if is_only {
                tx.delete_sessions(account, Some(session.id))?;
            }
            Ok(session.id)
        });
        Ok((written.await?, token))
    }

    /// Turns access control on: the first admin logs in by this name from now on, or shows that it could already.
    async fn turn_on(&self, scope: &Scope, auth: LocalAuth) -> Result<()> {
        let candidates = self.password_of(&auth.username)?;
        let wrong = || Error::new(ErrorKind::Unauthorized).with_code("IncorrectPassword");
        let password = auth.password.clone();
        let (known, hash) = tokio::task::spawn_blocking(move || match candidates.as_slice() {
            [] => secret::hash_password(&password).map(|hash| (None, Some(hash))),
            some => match some.iter().find(|c| c.fits(&password)) {
                Some(found) => Ok((Some(found.account()), None)),
                None => Err(wrong()),
            },
        })
        .await
        .map_err(|e| Error::internal("hashing a password", e))??;
        let admin = match known {
            Some(account) => account,
            None => self.first_admin()?.ok_or_else(|| Error::conflict("there is no active admin"))?,
        };
        let row = self.store.find(admin)?.ok_or_else(Error::not_found)?;
        if row.kind != "admin" {
            return Err(Error::new(ErrorKind::Forbidden).with_message("that account is no admin's"));
        }
        let ty = self.type_of("password")?.clone();
        let keep = self.keep_removed();
        let written = self.write_for(scope, move |tx| {
            if let Some(kept) = hash {
                for old in tx.all("credential", Some(admin))?.iter().filter(|old| old.kind == "password") {
                    tx.delete_credential(old.id)?;
                    retire(tx, old, keep)?;
                }
                insert_active(tx, &ty, admin, &auth.username, &kept)?;
                let row = tx.get(admin)?;
                if row.name != auth.name && !auth.name.is_empty() {
                    let changes = crate::store::Changes { name: Some(auth.name.clone()), ..Default::default() };
                    tx.update_if(&row, &changes)?;
                }
            }
            tx.set_setting("api.security.enabled", "true")?;
            tx.set_setting("api.auth.provider.configured", LOCAL)?;
            tx.set_setting("api.auth.local.access.mode", auth.mode.as_str())
        });
        written.await
    }

    async fn turn_off(&self, scope: &Scope) -> Result<()> {
        self.check_may_be_open()?;
        let written = self.write_for(scope, |tx| {
            tx.set_setting("api.security.enabled", "false")?;
            tx.set_setting("api.auth.provider.configured", "none")
        });
        written.await
    }

    /// 403 if others can reach the server and nobody said that it may be open to them.
    pub(crate) fn check_may_be_open(&self) -> Result<()> {
        if self.config.may_be_open {
            return Ok(());
        }
        let why = "other machines can reach this server: access control stays on unless it is started with --open-access";
        Err(Error::new(ErrorKind::Forbidden).with_message(why))
    }

    /// Sets the key of an account, at once usable. Twice equals once.
    async fn set_key(&self, account: ResourceId, access: String, secret: &str) -> Result<()> {
        let kept = self.config.secrets.digest(secret);
        let ty = self.type_of("apiKey")?.clone();
        let keep = self.keep_removed();
        let written = self.write(move |tx| {
            for found in tx.credentials(&access)? {
                let Some(row) = tx.find(found.id)? else { continue };
                let is_same = row.account_id == Some(account) && found.kind == "apiKey" && row.state == "active" && row.removed.is_none();
                if is_same && found.secret == kept {
                    return Ok(());
                }
                tx.delete_credential(found.id)?;
                if row.removed.is_none() {
                    retire(tx, &row, keep)?;
                }
            }
            insert_active(tx, &ty, account, &access, &kept).map(drop)
        });
        written.await
    }

    /// The account that a flag names: `superadmin`, `admin` or a project's id.
    fn named_account(&self, name: &str) -> Result<Option<ResourceId>> {
        if name == "admin" {
            return self.first_admin();
        }
        if name == "superadmin" {
            let all = self.store.all("account", None)?;
            return Ok(all.iter().filter(|row| row.kind == "superadmin" && row.state == "active").map(|row| row.id).min());
        }
        let id = crate::model::WireId::parse(name).filter(|w| w.letters == "a").map(|w| w.id);
        let row = id.map(|id| self.store.find(id)).transpose()?.flatten();
        Ok(row.filter(|row| row.root == "account" && row.removed.is_none()).map(|row| row.id))
    }
}

/// A credential that is active from the start.
fn insert_active(tx: &mut Tx<'_>, ty: &Type, account: ResourceId, name: &str, kept: &str) -> Result<Resource> {
    let mut fields = Fields::default();
    fields.set("publicValue", name)?;
    let row = tx.insert(NewResource { state: "active".into(), ..new_row(ty, Some(account), fields) })?;
    let (kind, public_value, secret) = (row.kind.clone(), name.to_owned(), kept.to_owned());
    tx.set_credential(&CredentialSecret { id: row.id, kind, public_value, secret })?;
    Ok(row)
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
        self.core().begin_session(account).await
    }

    /// Gives a user that has no project one of its own, called after the login.
    pub async fn make_first_project(&self, scope: &Scope, login: &str) -> Result<()> {
        let core = self.core();
        let wanted = core.setting("project.create.default")?.and_then(|s| s.active_value);
        let is_off = wanted.is_some_and(|v| v.eq_ignore_ascii_case("false"));
        if is_off || scope.user.kind != "user" || !core.projects_of(scope.user.id)?.is_empty() {
            return Ok(());
        }
        let Some(ty) = core.registry.view(scope.version, scope.role).types.get("project").cloned() else { return Ok(()) };
        let mut input = super::door::Input::new();
        input.insert("name".into(), format!("{login}-Default").into());
        self.create(scope, &ty, input).await.map(drop)
    }

    /// Ends a session; its token is worth nothing from then on.
    pub async fn end_session(&self, id: i64) -> Result<()> {
        self.core().store.write(crate::store::Priority::Request, move |tx| tx.delete_session(id)).await
    }

    /// An account by its number.
    pub fn account(&self, id: ResourceId) -> Result<Option<Account>> {
        let row = self.core().store.find(id)?.filter(|row| row.root == "account");
        Ok(row.map(|row| Account { id: row.id, kind: row.kind, name: row.name }))
    }

    /// Who may log in.
    pub fn access_mode(&self) -> Result<AccessMode> {
        self.core().access_mode()
    }

    /// Turns access control on.
    ///
    /// # Errors
    /// 401 `IncorrectPassword` if the name is in use with another password.
    pub async fn turn_access_control_on(&self, scope: &Scope, auth: LocalAuth) -> Result<()> {
        self.core().turn_on(scope, auth).await
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
        self.core().write(move |tx| tx.set_setting("api.security.enabled", if is_on { "true" } else { "false" })).await
    }

    /// Whether any admin has a key or a password.
    pub fn has_admin_credential(&self) -> Result<bool> {
        let core = self.core();
        let kinds = ["apiKey", "password", "usernamePassword"];
        let credentials = core.store.all("credential", None)?;
        let mut owners =
            credentials.iter().filter(|c| c.state == "active" && kinds.contains(&c.kind.as_str())).filter_map(|c| c.account_id);
        let is_admin = |id| {
            Ok::<_, Error>(core.store.find(id)?.is_some_and(|a| a.state == "active" && matches!(a.kind.as_str(), "admin" | "superadmin")))
        };
        owners.try_fold(false, |found, id| Ok(found || is_admin(id)?))
    }

    /// Whether the secrets in the database were written with this server's key, if any were.
    pub fn key_fits(&self) -> Result<bool> {
        let core = self.core();
        let stored = core.store.setting(KEY_CHECK)?;
        Ok(stored.is_none_or(|sealed| core.config.secrets.unseal(KEY_CHECK, &sealed).is_some()))
    }

    /// Makes a key, or makes it right, for the account that `name` says.
    ///
    /// # Errors
    /// 404 if there is no such account.
    pub async fn set_key(&self, name: &str, access: String, secret: &str) -> Result<()> {
        let account = self.core().named_account(name)?.ok_or_else(Error::not_found)?;
        self.core().set_key(account, access, secret).await
    }

    /// A new key for the first admin: its access key and its secret.
    pub async fn rescue_admin(&self) -> Result<(String, String)> {
        let core = self.core();
        let admin = core.first_admin()?.ok_or_else(|| Error::conflict("there is no active admin"))?;
        let (access, secret) = (secret::access_key()?, secret::secret_key()?);
        core.set_key(admin, access.clone(), &secret).await?;
        Ok((access, secret))
    }
}

impl Scope {
    /// Whether the caller may turn access control on and off.
    pub fn rules(&self) -> bool {
        self.reach == Reach::All && (matches!(self.user.kind.as_str(), "admin" | "superadmin") || self.proof == Proof::Open)
    }
}
