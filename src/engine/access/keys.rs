//! What proves an account: keys, passwords, tokens of logins and of registrations. cattle: `BasicAuthImpl`.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::engine::core::{Core, KEPT, KnownKey, is_usable};
use crate::model::{ResourceId, Result, State};
use crate::secret::{self, Keeper};
use crate::store::Session;

/// How long a password that was checked by its slow hash is known again by a fast one.
const REMEMBER_PASSWORD: Duration = Duration::from_secs(300);

/// How long a registration token is good for, unless a setting says otherwise: ten years.
const REGISTRATION_PERIOD_MS: i64 = 315_360_000_000;

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

/// What the secret of an API key is sealed for.
pub(crate) const API_KEY_SECRET: &str = "apiKey.secretValue";

/// Whether this is the secret of a key. Keys that are older than seals are kept as digests.
pub(crate) fn is_secret_of_key(keeper: &Keeper, plain: &str, kept: &str) -> bool {
    match keeper.unseal(API_KEY_SECRET, kept) {
        Some(secret) => secret::is_same(secret.as_bytes(), plain.as_bytes()),
        None => keeper.matches(plain, kept),
    }
}

/// What a key is to those who sign with it.
pub enum SigningKey {
    /// There is no such key.
    Unknown,
    /// There is one, and only a digest of its secret.
    NotKept,
    /// There is one.
    Kept(KeptKey),
}

/// A key whose secret can be read.
pub struct KeptKey {
    /// The credential.
    pub credential: ResourceId,
    /// Whose it is.
    pub account: ResourceId,
    /// Its secret.
    pub secret: String,
    /// Whether it opens anything now.
    pub is_active: bool,
}

/// A credential whose secret is kept as a slow hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    pub(crate) credential: ResourceId,
    pub(crate) account: ResourceId,
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

impl Core {
    /// The active credentials of active accounts with this name, of whatever kind.
    pub(crate) fn keys(&self, name: &str) -> Result<Arc<[KnownKey]>> {
        let known = self.access.known();
        let folded = name.to_ascii_lowercase();
        if let Some(keys) = known.keys.get(&folded) {
            return Ok(keys);
        }
        let mut keys = Vec::new();
        for found in self.store.credentials(name)? {
            let Some(row) = self
                .store
                .find(found.id)?
                .filter(|r| r.removed.is_none() && r.state == State::ACTIVE)
            else {
                continue;
            };
            let account = row
                .account_id
                .map(|id| self.store.find(id))
                .transpose()?
                .flatten()
                .filter(is_usable);
            if let Some(account) = account
                && self.is_held_by_right(&row, &account)?
            {
                keys.push(KnownKey {
                    id: found.id,
                    kind: found.kind,
                    secret: found.secret,
                    account: account.id,
                });
            }
        }
        let keys: Arc<[KnownKey]> = keys.into();
        known.keys.keep(folded, keys.clone());
        Ok(keys)
    }

    /// The active credentials of one kind with this name, whose secrets are kept as slow hashes.
    pub(crate) fn candidates(&self, name: &str, kind: &str) -> Result<Vec<Candidate>> {
        let keys = self.keys(name)?;
        let of_kind = keys.iter().filter(|key| key.kind == kind);
        Ok(of_kind
            .map(|key| Candidate {
                credential: key.id,
                account: key.account,
                hash: key.secret.clone(),
            })
            .collect())
    }

    pub(crate) fn check_key(&self, name: &str, secret: &str) -> Result<KeyProof> {
        let policy = self.policy()?;
        let keeper = &self.config.secrets;
        let mut slow = Vec::new();
        let mut is_known = false;
        for key in self
            .keys(name)?
            .iter()
            .filter(|key| policy.key_kinds.contains(&key.kind))
        {
            is_known = true;
            let fits = match key.kind.as_str() {
                "password" | "usernamePassword" => {
                    let candidate = Candidate {
                        credential: key.id,
                        account: key.account,
                        hash: key.secret.clone(),
                    };
                    slow.push(candidate);
                    false
                }
                "agentApiKey" => {
                    let kept = keeper.unseal("agentApiKey.secretValue", &key.secret);
                    kept.is_some_and(|kept| !kept.is_empty() && secret::is_same(kept.as_bytes(), secret.as_bytes()))
                }
                _ => is_secret_of_key(keeper, secret, &key.secret),
            };
            if fits {
                return Ok(KeyProof::Proved(key.id, key.account));
            }
        }
        Ok(if slow.is_empty() {
            KeyProof::Nothing { is_known }
        } else {
            KeyProof::Slow(slow)
        })
    }

    /// The API key of this name, for those who sign with its secret; one that is deactivated, too.
    pub(crate) fn signing_key(&self, name: &str) -> Result<SigningKey> {
        const KIND: &str = "apiKey";
        let mut known = SigningKey::Unknown;
        if !self.policy()?.key_kinds.iter().any(|kind| kind == KIND) {
            return Ok(known);
        }
        for found in self.store.credentials(name)?.into_iter().filter(|key| key.kind == KIND) {
            let row = self.store.find(found.id)?.filter(|row| row.removed.is_none());
            let Some(row) = row else { continue };
            let account = row.account_id.map(|id| self.store.find(id)).transpose()?.flatten();
            let Some(account) = account.filter(is_usable) else {
                continue;
            };
            if !self.is_held_by_right(&row, &account)? {
                continue;
            }
            match self.config.secrets.unseal(API_KEY_SECRET, &found.secret) {
                Some(secret) => {
                    return Ok(SigningKey::Kept(KeptKey {
                        credential: row.id,
                        account: account.id,
                        secret,
                        is_active: row.state == State::ACTIVE,
                    }));
                }
                None => known = SigningKey::NotKept,
            }
        }
        Ok(known)
    }

    /// A digest of a password and the hash it fits: with another hash it is another digest.
    fn pair_digest(&self, candidate: &Candidate, secret: &str) -> String {
        self.config.secrets.digest(&format!("{}\n{secret}", candidate.hash))
    }

    pub(crate) fn remembers(&self, candidate: &Candidate, secret: &str) -> bool {
        let kept = self
            .access
            .passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&candidate.credential)
            .cloned();
        kept.is_some_and(|(digest, until)| {
            until > self.now() && secret::is_same(digest.as_bytes(), self.pair_digest(candidate, secret).as_bytes())
        })
    }

    pub(crate) fn check_passwords(&self, candidates: &[Candidate], secret: &str) -> Option<(ResourceId, ResourceId)> {
        let found = candidates
            .iter()
            .find(|candidate| secret::check_password(secret, &candidate.hash))?;
        let mut kept = self.access.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(
            found.credential,
            (self.pair_digest(found, secret), self.now().plus(REMEMBER_PASSWORD)),
        );
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
        let Some((signed, signature)) = token.rsplit_once(':') else {
            return Ok(None);
        };
        let Some((name, since)) = signed.split_once(':') else {
            return Ok(None);
        };
        let Ok(since) = since.parse::<i64>() else {
            return Ok(None);
        };
        let period = self
            .setting("registration.token.period.millis")?
            .and_then(|s| s.active_value)
            .and_then(|v| v.parse().ok());
        if self.now().0.saturating_sub(since) > period.unwrap_or(REGISTRATION_PERIOD_MS) {
            return Ok(None);
        }
        for key in self.keys(name)?.iter().filter(|key| key.kind == "registrationToken") {
            let Some(secret) = self.config.secrets.unseal("registrationToken.secretValue", &key.secret) else {
                continue;
            };
            if secret::is_same(
                secret::token_signature(&secret, signed)?.as_bytes(),
                signature.as_bytes(),
            ) {
                return Ok(Some((key.id, key.account)));
            }
        }
        Ok(None)
    }
}
