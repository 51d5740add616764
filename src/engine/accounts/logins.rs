//! Logins: passwords that begin sessions, and turning access control on and off.

use std::time::Duration;

use crate::engine::access::{API_KEY_SECRET, Candidate, is_of_bootstrap, is_secret_of_key};
use crate::engine::core::{Core, Proof, Scope, new_row, retire, retire_part};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::schema::Type;
use crate::secret::{self, Keeper};
use crate::store::{Changes, CredentialSecret, NewResource, Tx};

/// The provider that this build has: passwords of its own.
pub const LOCAL: &str = "localAuthConfig";

/// The setting that says whether access is controlled.
pub(super) const SECURITY: &str = "api.security.enabled";

/// The kind of what logins are opened with.
pub(super) const PASSWORD: &str = "password";

/// A setting that opens with this server's key only.
pub const KEY_CHECK: &str = "drover.key.check";

/// Whether this is the key that the setting, if there is one, was sealed with.
pub fn opens_check(keeper: &Keeper, sealed: Option<&str>) -> bool {
    sealed.is_none_or(|sealed| keeper.unseal(KEY_CHECK, sealed).is_some())
}

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
        [Self::Unrestricted, Self::Restricted, Self::Required]
            .into_iter()
            .find(|m| m.as_str().eq_ignore_ascii_case(text))
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

/// What setting access control up takes.
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
    /// Whether it is on from now on. If not, one can log in, and need not.
    pub is_on: bool,
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

    pub(crate) fn password_of(&self, name: &str) -> Result<Vec<Candidate>> {
        self.candidates(name, PASSWORD)
    }

    pub(crate) fn access_mode(&self) -> Result<AccessMode> {
        let stored = self.setting("api.auth.local.access.mode")?.and_then(|s| s.active_value);
        Ok(stored
            .as_deref()
            .and_then(AccessMode::parse)
            .unwrap_or(AccessMode::Unrestricted))
    }

    /// 403 unless the mode lets this account log in.
    fn check_mode(&self, account: ResourceId) -> Result<()> {
        let mode = self.access_mode()?;
        let row = self
            .store
            .find(account)?
            .ok_or_else(|| Error::new(ErrorKind::Unauthorized))?;
        if mode == AccessMode::Unrestricted || matches!(row.kind.as_str(), "admin" | "superadmin") {
            return Ok(());
        }
        let identity = self.wire_id("account", account);
        let named = self
            .setting("api.auth.local.allowed.identities")?
            .and_then(|s| s.active_value)
            .unwrap_or_default();
        let is_named = named
            .split(',')
            .any(|n| n.trim().trim_start_matches("rancher_id:") == identity);
        if is_named || mode == AccessMode::Restricted && !self.projects_of(account)?.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden).with_message("this account may not log in"))
    }

    /// Begins a session that lasts so long, or as long as a setting says.
    pub(crate) async fn begin_session(&self, account: ResourceId, lasts: Option<Duration>) -> Result<(i64, String)> {
        self.check_mode(account)?;
        let token = secret::secret_key()?;
        let digest = self.config.secrets.digest(&token);
        let value = |name: &str| Ok::<_, Error>(self.setting(name)?.and_then(|s| s.active_value));
        let expiry = value("api.auth.jwt.token.expiry")?
            .and_then(|v| v.parse().ok())
            .unwrap_or(EXPIRY_MS)
            .clamp(1000, LONGEST_MS);
        let is_only = value("api.auth.restrict.concurrent.sessions")?.is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let expires = self.now().plus(lasts.unwrap_or(Duration::from_millis(expiry)));
        let written = self.store.write(crate::store::Priority::Request, move |tx| {
            let session = tx.insert_session(&digest, account, expires)?;
            if is_only {
                tx.delete_sessions(account, Some(session.id))?;
            }
            Ok(session.id)
        });
        Ok((written.await?, token))
    }

    /// Turns access control on, or makes it ready: the first admin logs in by this name from now on, or shows that it could
    /// already.
    pub(crate) async fn set_up_logins(&self, scope: &Scope, auth: LocalAuth) -> Result<()> {
        let candidates = self.password_of(&auth.username)?;
        let was_off = !self.policy()?.is_on;
        if !auth.is_on && !was_off {
            self.check_may_be_open()?;
        }
        let security = self.store.setting(SECURITY)?;
        let first = self.first_admin()?;
        let passwords = match first {
            Some(admin) => passwords_among(self.store.all("credential", Some(admin))?),
            None => Vec::new(),
        };
        if candidates.is_empty() {
            self.check_length(PASSWORD, &auth.password, "password")?;
        }
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
            None => first.ok_or_else(|| Error::conflict("there is no active admin"))?,
        };
        let row = self.store.find(admin)?.ok_or_else(Error::not_found)?;
        if row.kind != "admin" {
            return Err(Error::new(ErrorKind::Forbidden).with_message("that account is no admin's"));
        }
        let ty = self.type_of("password")?.clone();
        let keep = self.keep_removed();
        let own = match scope.proof {
            Proof::Session(session) if scope.user.id == admin => Some(session),
            _ => None,
        };
        let written = self.write_for(scope, move |tx| {
            let old = passwords_among(tx.all("credential", Some(admin))?);
            // Somebody else was quicker: this one was let in by what holds no more.
            if tx.setting(SECURITY)? != security || hash.is_some() && old != passwords {
                return Err(Error::conflict("access control was changed meanwhile"));
            }
            if let Some(kept) = hash {
                for id in old {
                    retire_part(tx, id, keep)?;
                }
                insert_active(tx, &ty, admin, &auth.username, &kept, String::new())?;
                let row = tx.get(admin)?;
                if row.name != auth.name && !auth.name.is_empty() {
                    let changes = Changes {
                        name: Some(auth.name.clone()),
                        ..Changes::default()
                    };
                    tx.update_if(&row, &changes)?;
                }
            }
            if was_off && auth.is_on {
                // Whoever is logged in was so under other rules; but for the one who turns it on by the login it is about.
                tx.delete_all_sessions(own)?;
            }
            tx.set_setting(SECURITY, if auth.is_on { "true" } else { "false" })?;
            tx.set_setting("api.auth.provider.configured", LOCAL)?;
            tx.set_setting("api.auth.local.access.mode", auth.mode.as_str())
        });
        written.await
    }

    pub(crate) async fn turn_off(&self, scope: &Scope) -> Result<()> {
        self.check_may_be_open()?;
        let written = self.write_for(scope, |tx| {
            tx.set_setting(SECURITY, "false")?;
            tx.set_setting("api.auth.provider.configured", "none")
        });
        written.await
    }

    /// Sets the key of an account, at once usable, with what is noted of it. Twice equals once.
    pub(crate) async fn set_key(
        &self,
        account: ResourceId,
        access: String,
        secret: &str,
        internal: String,
    ) -> Result<()> {
        let (keeper, plain) = (self.config.secrets.clone(), secret.to_owned());
        let kept = keeper.seal(API_KEY_SECRET, secret)?;
        let ty = self.type_of("apiKey")?.clone();
        let keep = self.keep_removed();
        let written = self.write(move |tx| {
            for found in tx.credentials(&access)? {
                let Some(row) = tx.find(found.id)? else { continue };
                let is_same = row.account_id == Some(account)
                    && found.kind == "apiKey"
                    && row.state == State::ACTIVE
                    && row.removed.is_none();
                if is_same && is_secret_of_key(&keeper, &plain, &found.secret) {
                    if keeper.unseal(API_KEY_SECRET, &found.secret).is_none() {
                        // It is older than seals.
                        tx.set_credential(&CredentialSecret { secret: kept, ..found })?;
                    }
                    let changes = Changes {
                        internal: Some(internal),
                        ..Changes::default()
                    };
                    return tx.update_if(&row, &changes).map(drop);
                }
                tx.delete_credential(found.id)?;
                if row.removed.is_none() {
                    retire(tx, &row, keep)?;
                }
            }
            insert_active(tx, &ty, account, &access, &kept, internal).map(drop)
        });
        written.await
    }

    /// Ends the keys that the configuration said once, and now says no more: `kept` are the public halves that it says. Gives
    /// those that ended.
    pub(crate) async fn end_bootstrap_keys(&self, kept: &[String]) -> Result<Vec<String>> {
        let (mut ended, mut rows) = (Vec::new(), Vec::new());
        for row in self.store.all("credential", None)? {
            let name = Fields::parse(&row.fields)?.text("publicValue").unwrap_or_default();
            if is_of_bootstrap(&row) && !kept.iter().any(|kept| kept.eq_ignore_ascii_case(&name)) {
                ended.push(name);
                rows.push(row.id);
            }
        }
        let keep = self.keep_removed();
        self.write_each(rows, move |tx, id| retire_part(tx, id, keep)).await?;
        Ok(ended)
    }

    /// The account that a flag names: `superadmin`, `admin` or a project's id.
    pub(crate) fn named_account(&self, name: &str) -> Result<Option<ResourceId>> {
        if name == "admin" {
            return self.first_admin();
        }
        if name == "superadmin" {
            let all = self.store.all("account", None)?;
            return Ok(all
                .iter()
                .filter(|row| row.kind == "superadmin" && row.state == State::ACTIVE)
                .map(|row| row.id)
                .min());
        }
        let id = crate::model::WireId::parse(name)
            .filter(|w| w.letters == "a")
            .map(|w| w.id);
        let row = id.map(|id| self.store.find(id)).transpose()?.flatten();
        Ok(row
            .filter(|row| row.root == "account" && row.removed.is_none())
            .map(|row| row.id))
    }
}

/// Which of these credentials are passwords.
fn passwords_among(credentials: Vec<Resource>) -> Vec<ResourceId> {
    let passwords = credentials.into_iter().filter(|row| row.kind == PASSWORD);
    passwords.map(|row| row.id).collect()
}

/// A credential that is active from the start.
pub(super) fn insert_active(
    tx: &mut Tx<'_>,
    ty: &Type,
    account: ResourceId,
    name: &str,
    kept: &str,
    internal: String,
) -> Result<Resource> {
    let mut fields = Fields::default();
    fields.set("publicValue", name)?;
    let row = tx.insert(NewResource {
        state: State::ACTIVE,
        internal,
        ..new_row(ty, Some(account), fields)
    })?;
    let (kind, public_value, secret) = (row.kind.clone(), name.to_owned(), kept.to_owned());
    tx.set_credential(&CredentialSecret {
        id: row.id,
        kind,
        public_value,
        secret,
    })?;
    Ok(row)
}
