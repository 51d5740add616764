//! Who asks: from what a request shows of its sender to the scope it gets.
//!
//! cattle: `ApiAuthenticator` and its order. A login's token comes first, then a key or a registration token by HTTP
//! Basic, and while access is open everybody else is the first admin. What proves what is the engine's knowledge; here
//! are the forms it comes in, and how often one may be wrong.

mod limit;
mod presented;
mod signature;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

pub use limit::Limits;
pub use presented::{Basic, Presented};
pub use signature::Signed;

use crate::engine::{Candidate, Engine, KeyProof, Proof, Scope, SigningKey};
use crate::model::{Error, ErrorKind, ResourceId, Result};
use crate::schema::Version;
use crate::secret;

/// Slow hashes at a time: each takes a core, and 19 MiB.
const HASHING: usize = 2;
/// Who may wait for one. More are turned away, before they fill the memory.
const WAITING: usize = 64;
/// How long those should stay away, in seconds.
const BUSY_SECONDS: u32 = 2;

/// Lets requests in.
pub struct Gate {
    engine: Arc<Engine>,
    limits: Limits,
    hashing: Semaphore,
    waiting: AtomicUsize,
    /// The hash of nobody's password: whoever names nobody waits as long.
    nobody: std::sync::OnceLock<String>,
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// As whom.
    pub scope: Scope,
    /// Whether a cookie proved it: browsers send those along with requests that other sites' pages make.
    pub by_cookie: bool,
}

impl Gate {
    /// A gate before this engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        let limits = Limits::new(engine.clock());
        Self {
            engine,
            limits,
            hashing: Semaphore::new(HASHING),
            waiting: AtomicUsize::new(0),
            nobody: std::sync::OnceLock::new(),
        }
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 for nobody, 403 for a project that is not the caller's, 429 for too many wrong passwords and keys.
    pub async fn admit(&self, version: Version, presented: &Presented<'_>) -> Result<Admitted> {
        let policy = self.engine.policy()?;
        let must_prove = policy.is_on || presented.enforce;
        let proved = match self.prove(presented, policy.provider.is_some(), must_prove).await? {
            Some((proof, account, own_project, by_cookie)) => {
                let project = self.project(presented, own_project)?;
                Some(
                    self.engine
                        .admit(version, proof, account, project.as_deref())
                        .map(|scope| Admitted { scope, by_cookie }),
                )
            }
            None => None,
        };
        match proved {
            Some(Err(e)) if e.kind == ErrorKind::Unauthorized && !must_prove => {}
            Some(admitted) => return admitted,
            None if must_prove => return Err(Error::new(ErrorKind::Unauthorized)),
            None => {}
        }
        let project = self.project(presented, None)?;
        Ok(Admitted {
            scope: self.engine.admit_open(version, project.as_deref())?,
            by_cookie: false,
        })
    }

    /// Who signed a request. Its body is for the caller to check, once it has come: [`Signed::check_body`].
    ///
    /// # Errors
    /// 401 for nobody, with the reason; 403 for a key that is deactivated and for a project that is not the caller's; 429 for
    /// too many wrong signatures.
    pub async fn admit_signed(&self, version: Version, signed: &Signed<'_>) -> Result<Admitted> {
        let shown = signed.read()?;
        shown.check_time(self.engine.clock().now())?;
        let known = self.engine.signing_key(shown.access)?;
        let why = match known {
            // Nobody guesses the secret of a key: the right one is let in whatever was tried before.
            SigningKey::Kept(key) if shown.fits(signed, &key.secret) => {
                if !key.is_active {
                    let why = format!("the key {} is deactivated", shown.access);
                    return Err(Error::new(ErrorKind::Forbidden).with_message(why));
                }
                let proof = Proof::Key(key.credential);
                let scope = self.engine.admit(version, proof, key.account, signed.project)?;
                return Ok(Admitted {
                    scope,
                    by_cookie: false,
                });
            }
            SigningKey::NotKept => "this key is older than signed requests are here: make a new one",
            SigningKey::Kept(_) | SigningKey::Unknown => "there is no such key, or its signature is another one",
        };
        self.limits.check(signed.client, shown.access)?;
        self.failed(signed.client, shown.access).await?;
        Err(Error::new(ErrorKind::Unauthorized).with_message(why))
    }

    /// The project a request names: by path, header or parameter, by the user name of a token, by a key of it.
    fn project(&self, presented: &Presented<'_>, own: Option<String>) -> Result<Option<String>> {
        if let Some(project) = presented.project.map(str::to_owned).or(own) {
            return Ok(Some(project));
        }
        let Some(key) = presented.client_key else {
            return Ok(None);
        };
        self.engine
            .project_of_key(key)?
            .map(Some)
            .ok_or_else(|| Error::new(ErrorKind::Forbidden))
    }

    /// What the request proves: by what, for which account, for which project, and whether by cookie.
    async fn prove(
        &self,
        presented: &Presented<'_>,
        has_logins: bool,
        must_prove: bool,
    ) -> Result<Option<(Proof, ResourceId, Option<String>, bool)>> {
        if has_logins
            && let Some((token, by_cookie)) = presented.token()
            && let Some((session, account)) = self.engine.check_session(token)?
        {
            return Ok(Some((Proof::Session(session), account, None, by_cookie)));
        }
        let Some(basic) = presented.basic() else {
            return Ok(None);
        };
        if let Some(project) = basic.bearer() {
            let session = if has_logins {
                self.engine.check_session(&basic.secret)?
            } else {
                None
            };
            return Ok(session.map(|(id, account)| (Proof::Session(id), account, project.map(str::to_owned), false)));
        }
        let found = self.check_basic(&basic, presented.client, must_prove).await?;
        Ok(found.map(|(proof, account)| (proof, account, None, false)))
    }

    /// The account of `name:password`, for a login.
    ///
    /// # Errors
    /// 401 for a wrong name or password, 429 for too many of them.
    pub async fn check_login(&self, login: &Basic, client: IpAddr) -> Result<ResourceId> {
        self.limits.check(client, &login.name)?;
        let candidates = self.engine.logins(&login.name)?;
        match self.hash(candidates, &login.secret).await? {
            Some((_, account)) => Ok(account),
            None => {
                self.failed(client, &login.name).await?;
                Err(Error::new(ErrorKind::Unauthorized))
            }
        }
    }

    async fn check_basic(
        &self,
        basic: &Basic,
        client: IpAddr,
        must_prove: bool,
    ) -> Result<Option<(Proof, ResourceId)>> {
        if basic.is_registration() {
            let found = self.engine.check_registration(&basic.secret)?;
            if found.is_none() && must_prove {
                self.failed(client, &basic.name).await?;
            }
            return Ok(found.map(|(credential, account)| (Proof::Registration(credential), account)));
        }
        match self.engine.check_key(&basic.name, &basic.secret)? {
            // Nobody guesses the secret of a key: the right one is let in whatever was tried before.
            KeyProof::Proved(credential, account) => Ok(Some((Proof::Key(credential), account))),
            KeyProof::Slow(candidates) => {
                if let Err(blocked) = self.limits.check(client, &basic.name) {
                    return if must_prove { Err(blocked) } else { Ok(None) };
                }
                let found = match self.engine.remembered(&candidates, &basic.secret) {
                    Some(found) => Some(found),
                    None => self.hash(candidates, &basic.secret).await?,
                };
                if found.is_none() {
                    let counted = self.failed(client, &basic.name).await;
                    if must_prove {
                        counted?;
                    }
                }
                Ok(found.map(|(credential, account)| (Proof::Key(credential), account)))
            }
            // Open access asks for no proof: scripts that send any name at all are many.
            KeyProof::Nothing { .. } if !must_prove => Ok(None),
            KeyProof::Nothing { is_known } => {
                self.limits.check(client, &basic.name)?;
                self.failed(client, &basic.name).await?;
                if !is_known && !basic.looks_like_key() {
                    self.hash(Vec::new(), &basic.secret).await?;
                }
                Ok(None)
            }
        }
    }

    /// Counts a wrong name or secret, and writes it down.
    async fn failed(&self, client: IpAddr, name: &str) -> Result<()> {
        if self.limits.is_written() {
            log::warn!(
                "wrong name or password from {client} for {:?}",
                name.chars().take(100).collect::<String>()
            );
            if let Err(error) = self.engine.record_wrong_password(name, &client.to_string()).await {
                log::error!("the audit log misses a wrong password: {}", error.chain());
            }
        }
        self.limits.failed(client, name)
    }

    /// Compares a password with slow hashes, as many at a time as there are cores to spare. Without any it takes as long.
    async fn hash(&self, candidates: Vec<Candidate>, password: &str) -> Result<Option<(ResourceId, ResourceId)>> {
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::TooMany(BUSY_SECONDS)));
        }
        let permit = self.hashing.acquire().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let _permit = permit.map_err(|e| Error::internal("waiting to check a password", e))?;
        let nobody = if candidates.is_empty() {
            Some(self.nobody()?)
        } else {
            None
        };
        let (engine, password) = (self.engine.clone(), password.to_owned());
        let compared = tokio::task::spawn_blocking(move || match nobody {
            Some(hash) => {
                secret::check_password(&password, &hash);
                None
            }
            None => engine.check_passwords(&candidates, &password),
        });
        compared.await.map_err(|e| Error::internal("checking a password", e))
    }

    fn nobody(&self) -> Result<String> {
        if let Some(hash) = self.nobody.get() {
            return Ok(hash.clone());
        }
        let hash = secret::hash_password(&secret::secret_key()?)?;
        Ok(self.nobody.get_or_init(|| hash).clone())
    }
}

/// Compares in a time that says nothing about where the two differ.
pub fn is_same(one: &str, other: &str) -> bool {
    secret::is_same(one.as_bytes(), other.as_bytes())
}

/// So many random bytes, as upper-case hexadecimal digits.
pub fn random_digits<const BYTES: usize>() -> Result<String> {
    Ok(secret::random_bytes::<BYTES>()?
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect())
}
