//! Who may ask for what: what proves an account, and what an account may reach.
//!
//! What every request needs is read once and kept until a commit touches an account, a credential, a membership, a
//! session or a setting: then all of it is forgotten at once, before the writer of that commit is answered. So a key that
//! was removed proves nothing from then on. cattle: `ApiAuthenticator`, `BasicAuthImpl`, `AuthDaoImpl`.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::core::{Core, notes};
use super::door::{Account, AuthType, Engine, Proof, Reach, Scope};
use super::settings::INFRASTRUCTURE_ROLES;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, Timestamp, WireId};
use crate::schema::{Role, Version};
use crate::secret;
use crate::store::{Direction, Session};

/// Entries of each thing kept: beyond that it begins anew.
const KEPT: usize = 10_000;
/// How long a password that was checked by its slow hash is known again by a fast one.
const REMEMBER_PASSWORD: Duration = Duration::from_secs(300);
/// How long a registration token is good for, unless a setting says otherwise: ten years.
const REGISTRATION_PERIOD_MS: i64 = 315_360_000_000;
/// What an open server's callers see outside projects.
const OPEN_ROLE: Role = Role::Admin;

/// How access is controlled now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether callers have to prove who they are.
    pub is_on: bool,
    /// Who checks logins, if anybody does.
    pub provider: Option<String>,
    /// What a challenge says.
    pub realm: String,
    /// The roles that may change what runs everything else.
    pub(crate) infrastructure: Vec<String>,
    /// The kinds of credentials that prove an account by HTTP Basic.
    key_kinds: Vec<String>,
}

/// What a name and a secret prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyProof {
    /// This credential, of this account.
    Proved(ResourceId, ResourceId),
    /// Perhaps one of these; finding out takes long.
    Slow(Vec<Candidate>),
    /// There is no such name that the secret could belong to. What was found is a key whose secret is another one, or nothing.
    Nothing {
        /// Whether there is a key of this name.
        is_known: bool,
    },
}

/// A credential whose secret is kept as a slow hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    credential: ResourceId,
    account: ResourceId,
    hash: String,
}

impl Candidate {
    /// Whose it is.
    pub(crate) fn account(&self) -> ResourceId {
        self.account
    }

    /// Whether this is its password. Slow.
    pub(crate) fn fits(&self, password: &str) -> bool {
        secret::check_password(password, &self.hash)
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Candidate({})", self.credential)
    }
}

/// What is kept in memory about who may ask for what.
pub(crate) struct Access {
    generation: AtomicU64,
    changes: watch::Sender<u64>,
    known: RwLock<Arc<Known>>,
    passwords: Mutex<HashMap<ResourceId, (String, Timestamp)>>,
}

impl Default for Access {
    fn default() -> Self {
        let changes = watch::Sender::new(0);
        Self { generation: AtomicU64::new(0), changes, known: RwLock::default(), passwords: Mutex::default() }
    }
}

impl Access {
    /// Forgets everything: something about it changed.
    pub(crate) fn forget(&self) {
        let generation = self.generation.fetch_add(1, Ordering::SeqCst) + 1;
        self.changes.send_replace(generation);
    }

    /// What is known since the last change. What is read into it is at least as new.
    fn known(&self) -> Arc<Known> {
        let generation = self.generation.load(Ordering::SeqCst);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.generation == generation {
            return known;
        }
        let fresh = Arc::new(Known { generation, ..Known::default() });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.generation < generation {
            *known = fresh;
        }
        known.clone()
    }
}

#[derive(Default)]
struct Known {
    generation: u64,
    policy: OnceLock<Arc<Policy>>,
    first_admin: OnceLock<Option<ResourceId>>,
    keys: Cache<String, Arc<[Key]>>,
    sessions: Cache<String, Option<Session>>,
    standings: Cache<(ResourceId, Option<ResourceId>), Standing>,
}

/// A bounded map.
struct Cache<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn keep(&self, key: K, value: V) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= KEPT {
            map.clear();
        }
        map.insert(key, value);
    }
}

/// An active credential of an active account.
struct Key {
    id: ResourceId,
    kind: String,
    secret: String,
    account: ResourceId,
}

/// What an account is for a project, or by itself.
#[derive(Clone)]
enum Standing {
    /// No account that may ask for anything.
    Nobody,
    /// The project is none of its own, or none.
    Foreign,
    /// This.
    Holder(Arc<Holder>),
}

struct Holder {
    user: Account,
    effective: Account,
    project: Option<ResourceId>,
    role: Role,
    reach: Reach,
}

/// What the engine notes of the account of an agent that acts for its project.
#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Acting {
    acts_for: Option<i64>,
    acts_as: Option<String>,
}

fn unauthorized() -> Error {
    Error::new(ErrorKind::Unauthorized)
}

/// Whether an account, or a project, may be used: also while it is being changed.
fn is_usable(row: &Resource) -> bool {
    row.root == "account" && row.removed.is_none() && matches!(row.state.as_str(), "active" | "upgrading" | "updating-active")
}

fn account_of(row: &Resource) -> Account {
    Account { id: row.id, kind: row.kind.clone(), name: row.name.clone() }
}

/// Whether accounts of this kind see the rows of all accounts.
fn reaches_all(kind: &str) -> bool {
    matches!(kind, "superadmin" | "admin" | "readAdmin" | "service")
}

impl Core {
    pub(crate) fn policy(&self) -> Result<Arc<Policy>> {
        let known = self.access.known();
        if let Some(policy) = known.policy.get() {
            return Ok(policy.clone());
        }
        let value = |name: &str| Ok::<_, Error>(self.setting(name)?.and_then(|s| s.active_value));
        let kinds = value("account.by.key.credential.types")?.unwrap_or_else(|| "agentApiKey,apiKey,usernamePassword".to_owned());
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
        let first = admins.iter().filter(|row| row.kind == "admin" && is_usable(row)).map(|row| row.id).min();
        Ok(*known.first_admin.get_or_init(|| first))
    }

    /// The active credentials of active accounts with this name, of whatever kind.
    fn keys(&self, name: &str) -> Result<Arc<[Key]>> {
        let known = self.access.known();
        let folded = name.to_ascii_lowercase();
        if let Some(keys) = known.keys.get(&folded) {
            return Ok(keys);
        }
        let mut keys = Vec::new();
        for found in self.store.credentials(name)? {
            let Some(row) = self.store.find(found.id)?.filter(|r| r.removed.is_none() && r.state == "active") else { continue };
            let account = row.account_id.map(|id| self.store.find(id)).transpose()?.flatten().filter(is_usable);
            if let Some(account) = account {
                keys.push(Key { id: found.id, kind: found.kind, secret: found.secret, account: account.id });
            }
        }
        let keys: Arc<[Key]> = keys.into();
        known.keys.keep(folded, keys.clone());
        Ok(keys)
    }

    /// The active credentials of one kind with this name, whose secrets are kept as slow hashes.
    pub(crate) fn candidates(&self, name: &str, kind: &str) -> Result<Vec<Candidate>> {
        let keys = self.keys(name)?;
        let of_kind = keys.iter().filter(|key| key.kind == kind);
        Ok(of_kind.map(|key| Candidate { credential: key.id, account: key.account, hash: key.secret.clone() }).collect())
    }

    /// The active projects that an account is a member of.
    pub(crate) fn projects_of(&self, account: ResourceId) -> Result<Vec<ResourceId>> {
        let mut projects = Vec::new();
        for project in self.store.all("account", None)?.into_iter().filter(|row| row.kind == "project" && is_usable(row)) {
            if self.best_membership(account, project.id)?.is_some() {
                projects.push(project.id);
            }
        }
        Ok(projects)
    }

    fn check_key(&self, name: &str, secret: &str) -> Result<KeyProof> {
        let policy = self.policy()?;
        let keeper = &self.config.secrets;
        let mut slow = Vec::new();
        let mut is_known = false;
        for key in self.keys(name)?.iter().filter(|key| policy.key_kinds.contains(&key.kind)) {
            is_known = true;
            let fits = match key.kind.as_str() {
                "password" | "usernamePassword" => {
                    let candidate = Candidate { credential: key.id, account: key.account, hash: key.secret.clone() };
                    slow.push(candidate);
                    false
                }
                "agentApiKey" => {
                    let kept = keeper.unseal("agentApiKey.secretValue", &key.secret);
                    kept.is_some_and(|kept| !kept.is_empty() && secret::is_same(kept.as_bytes(), secret.as_bytes()))
                }
                _ => keeper.matches(secret, &key.secret),
            };
            if fits {
                return Ok(KeyProof::Proved(key.id, key.account));
            }
        }
        Ok(if slow.is_empty() { KeyProof::Nothing { is_known } } else { KeyProof::Slow(slow) })
    }

    /// A digest of a password and the hash it fits: with another hash it is another digest.
    fn pair_digest(&self, candidate: &Candidate, secret: &str) -> String {
        self.config.secrets.digest(&format!("{}\n{secret}", candidate.hash))
    }

    fn remembers(&self, candidate: &Candidate, secret: &str) -> bool {
        let kept = self.access.passwords.lock().unwrap_or_else(PoisonError::into_inner).get(&candidate.credential).cloned();
        kept.is_some_and(|(digest, until)| {
            until > self.now() && secret::is_same(digest.as_bytes(), self.pair_digest(candidate, secret).as_bytes())
        })
    }

    fn check_passwords(&self, candidates: &[Candidate], secret: &str) -> Option<(ResourceId, ResourceId)> {
        let found = candidates.iter().find(|candidate| secret::check_password(secret, &candidate.hash))?;
        let mut kept = self.access.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(found.credential, (self.pair_digest(found, secret), self.now().plus(REMEMBER_PASSWORD)));
        Some((found.credential, found.account))
    }

    /// The live session of a token.
    pub(crate) fn session(&self, token: &str) -> Result<Option<Session>> {
        let known = self.access.known();
        let digest = self.config.secrets.digest(token);
        let session = match known.sessions.get(&digest) {
            Some(session) => session,
            None => {
                let session = self.store.session(&digest)?;
                // Others are somebody's guesses: no reason to keep them.
                if session.is_some() {
                    known.sessions.keep(digest, session);
                }
                session
            }
        };
        Ok(session.filter(|s| s.expires > self.now()))
    }

    /// The credential and the account of a registration token: `<name>:<milliseconds>:<signature>`.
    pub(crate) fn registration(&self, token: &str) -> Result<Option<(ResourceId, ResourceId)>> {
        let Some((signed, signature)) = token.rsplit_once(':') else { return Ok(None) };
        let Some((name, since)) = signed.split_once(':') else { return Ok(None) };
        let Ok(since) = since.parse::<i64>() else { return Ok(None) };
        let period = self.setting("registration.token.period.millis")?.and_then(|s| s.active_value).and_then(|v| v.parse().ok());
        if self.now().0.saturating_sub(since) > period.unwrap_or(REGISTRATION_PERIOD_MS) {
            return Ok(None);
        }
        for key in self.keys(name)?.iter().filter(|key| key.kind == "registrationToken") {
            let Some(secret) = self.config.secrets.unseal("registrationToken.secretValue", &key.secret) else { continue };
            if secret::is_same(secret::token_signature(&secret, signed)?.as_bytes(), signature.as_bytes()) {
                return Ok(Some((key.id, key.account)));
            }
        }
        Ok(None)
    }

    /// What an account is for a project, or by itself.
    fn standing(&self, account: ResourceId, project: Option<ResourceId>) -> Result<Standing> {
        let known = self.access.known();
        if let Some(standing) = known.standings.get(&(account, project)) {
            return Ok(standing);
        }
        let standing = match project {
            None => self.standing_alone(account)?,
            Some(project) => self.standing_in(account, project)?,
        };
        known.standings.keep((account, project), standing.clone());
        Ok(standing)
    }

    fn standing_alone(&self, account: ResourceId) -> Result<Standing> {
        let Some(row) = self.store.find(account)?.filter(is_usable) else { return Ok(Standing::Nobody) };
        let user = account_of(&row);
        let acting: Acting = notes(&row);
        if let (Some(project), Some(role)) = (acting.acts_for, acting.acts_as.as_deref().and_then(Role::parse)) {
            let project = self.store.find(ResourceId(project))?.filter(|p| p.kind == "project" && is_usable(p));
            let Some(project) = project.filter(|_| matches!(role, Role::Environment | Role::ProjectAdmin)) else {
                return Ok(Standing::Nobody);
            };
            let (effective, reach) = (account_of(&project), Reach::Account(project.id));
            return Ok(Standing::Holder(Arc::new(Holder { user, effective, project: Some(project.id), role, reach })));
        }
        if row.kind == "project" {
            let (id, effective) = (row.id, user.clone());
            let holder = Holder { user, effective, project: Some(id), role: Role::Project, reach: Reach::Account(id) };
            return Ok(Standing::Holder(Arc::new(holder)));
        }
        // A kind that no role is named after (`system`, `registeredAgent`) is nobody's who may ask.
        let Some(role) = Role::parse(&row.kind) else { return Ok(Standing::Nobody) };
        let reach = if reaches_all(&row.kind) { Reach::All } else { Reach::Account(row.id) };
        Ok(Standing::Holder(Arc::new(Holder { effective: user.clone(), user, project: None, role, reach })))
    }

    fn standing_in(&self, account: ResourceId, project: ResourceId) -> Result<Standing> {
        let Standing::Holder(alone) = self.standing(account, None)? else { return Ok(Standing::Nobody) };
        let Some(row) = self.store.find(project)?.filter(|r| r.kind == "project" && is_usable(r)) else { return Ok(Standing::Foreign) };
        if alone.project == Some(project) {
            return Ok(Standing::Holder(alone));
        }
        let role = match alone.user.kind.as_str() {
            // Who changes nothing outside changes nothing inside.
            "readAdmin" => Some(Role::Readonly),
            kind if reaches_all(kind) => Some(Role::Owner),
            "user" => self.best_membership(account, project)?,
            _ => None,
        };
        let Some(role) = role else { return Ok(Standing::Foreign) };
        let (user, effective) = (alone.user.clone(), account_of(&row));
        Ok(Standing::Holder(Arc::new(Holder { user, effective, project: Some(project), role, reach: Reach::Account(project) })))
    }

    /// The role of the best of an account's memberships in a project.
    pub(crate) fn best_membership(&self, account: ResourceId, project: ResourceId) -> Result<Option<Role>> {
        let identity = self.wire_id("account", account);
        let members: Vec<ResourceId> =
            self.store.references("projectId", &[project], Direction::To)?.into_iter().map(|(member, _)| member).collect();
        let mut best = None;
        for member in self.store.many(&members)? {
            if member.root != "projectMember" || member.removed.is_some() || member.state != "active" {
                continue;
            }
            let fields = Fields::parse(&member.fields)?;
            if fields.text("externalIdType").is_none_or(|t| t == "rancher_id") && fields.text("externalId").as_ref() == Some(&identity) {
                let role = fields.text("role").as_deref().and_then(Role::parse);
                best = best.max(role.and_then(rank));
            }
        }
        Ok(best.map(|(_, role)| role))
    }

    /// The scope of an account that has proved itself; `project` is the wire id that the request names.
    fn admit(&self, version: Version, proof: Proof, account: ResourceId, project: Option<&str>) -> Result<Scope> {
        let asked = match project {
            None => None,
            Some(wire) => match WireId::parse(wire).filter(|w| w.letters == "a") {
                Some(wire) => Some(wire.id),
                None => return Err(Error::new(ErrorKind::Forbidden)),
            },
        };
        let holder = match self.standing(account, asked)? {
            Standing::Nobody => return Err(unauthorized()),
            Standing::Foreign => return Err(Error::new(ErrorKind::Forbidden)),
            Standing::Holder(holder) => holder,
        };
        let role = match proof {
            Proof::Registration(_) => Role::Register,
            Proof::Open if holder.project.is_none() => OPEN_ROLE,
            _ => holder.role,
        };
        let (user, effective) = (holder.user.clone(), holder.effective.clone());
        Ok(Scope {
            version,
            project: holder.project,
            role,
            reach: holder.reach,
            auth: proof.auth_type(),
            proof,
            user,
            effective,
            attempt: None,
        })
    }

    fn still_admits(&self, scope: &Scope) -> Result<bool> {
        let account = match scope.proof {
            Proof::Nobody => return Ok(true),
            Proof::Open if self.policy()?.is_on => None,
            Proof::Open => self.first_admin()?,
            Proof::Key(id) | Proof::Registration(id) => {
                let is_live = |row: &Resource| row.removed.is_none() && row.state == "active" && row.root == "credential";
                self.store.find(id)?.filter(is_live).and_then(|row| row.account_id)
            }
            Proof::Session(id) => self.store.find_session(id)?.filter(|s| s.expires > self.now()).map(|s| s.account),
        };
        let Some(account) = account.filter(|id| *id == scope.user.id) else { return Ok(false) };
        let project = scope.project.map(|id| self.wire_id("project", id));
        match self.admit(scope.version, scope.proof, account, project.as_deref()) {
            Ok(now) => Ok(now.role == scope.role && now.reach == scope.reach),
            Err(e) if matches!(e.kind, ErrorKind::Unauthorized | ErrorKind::Forbidden) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// The better role is the greater one.
fn rank(role: Role) -> Option<(u8, Role)> {
    let rank = match role {
        Role::Owner => 4,
        Role::Member => 3,
        Role::Restricted => 2,
        Role::Readonly => 1,
        _ => return None,
    };
    Some((rank, role))
}

impl Proof {
    fn auth_type(self) -> AuthType {
        match self {
            Self::Open => AuthType::Admin,
            Self::Key(_) => AuthType::Basic,
            Self::Session(_) => AuthType::Token,
            Self::Registration(_) => AuthType::Registration,
            Self::Nobody => AuthType::None,
        }
    }
}

impl Engine {
    /// How access is controlled now. Quick.
    pub fn policy(&self) -> Result<Arc<Policy>> {
        self.core().policy()
    }

    /// What a name and a secret prove, without anything that takes long.
    pub fn check_key(&self, name: &str, secret: &str) -> Result<KeyProof> {
        self.core().check_key(name, secret)
    }

    /// The credential among these, and its account, that the secret is the password of. Slow: not on a thread that serves.
    pub fn check_passwords(&self, candidates: &[Candidate], secret: &str) -> Option<(ResourceId, ResourceId)> {
        self.core().check_passwords(candidates, secret)
    }

    /// The same for a password that was checked not long ago. Quick.
    pub fn remembered(&self, candidates: &[Candidate], secret: &str) -> Option<(ResourceId, ResourceId)> {
        let core = self.core();
        candidates.iter().find(|c| core.remembers(c, secret)).map(|c| (c.credential, c.account))
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
        let nobody = Account { id: super::core::TOKEN, kind: "token".into(), name: "token".into() };
        let proof = Proof::Nobody;
        let (role, auth, reach) = (Role::Token, proof.auth_type(), Reach::Account(nobody.id));
        Scope { version, project: None, role, reach, auth, proof, effective: nobody.clone(), user: nobody, attempt: None }
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
