//! Secrets: making them, and keeping only what is needed of them.
//!
//! A password is kept as a slow hash, a token as a keyed digest (it is long and random, so a fast one will do, and it is
//! checked with every request), and what must be read again (secrets of API keys, with which requests may be signed,
//! credentials of registries, keys of tokens) sealed. Digests and seals need the server's own key: a stolen database
//! without it tells nothing.

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::model::{Error, Result};

/// Bytes of the server's own key.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const DIGEST: &str = "hmac-sha256:";
const SEALED: &str = "sealed:1:";
/// Left out of secrets: too much alike on a screen, or in the way in a URL (cattle: `ApiKeyFilter`).
const CONFUSING: [char; 8] = ['O', '0', 'l', 'I', '+', '/', '=', '-'];
/// What one guess costs: OWASP's smallest recommendation for argon2id, 19 MiB and two rounds.
const ARGON_MEMORY_KIB: u32 = 19 * 1024;
const ARGON_ROUNDS: u32 = 2;

/// Knows the server's own key.
#[derive(Clone)]
pub struct Keeper {
    digest_key: [u8; KEY_BYTES],
    seal: XChaCha20Poly1305,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    /// A keeper with this key. What other keys digested or sealed means nothing to it.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        // Two keys out of one, so that neither use can say anything about the other.
        let digest_key = hmac_sha256(key, b"drover digest");
        let seal_key = hmac_sha256(key, b"drover seal");
        Self {
            digest_key,
            seal: XChaCha20Poly1305::new(&Key::from(seal_key)),
        }
    }

    /// What is kept of a long random secret.
    pub fn digest(&self, secret: &str) -> String {
        format!(
            "{DIGEST}{}",
            STANDARD_NO_PAD.encode(hmac_sha256(&self.digest_key, secret.as_bytes()))
        )
    }

    /// Whether `digest` was made of `secret`; takes as long whatever the answer.
    pub fn matches(&self, secret: &str, digest: &str) -> bool {
        is_same(self.digest(secret).as_bytes(), digest.as_bytes())
    }

    /// The signature of a text that is to come back unchanged. `context` says what it is: it is none of anything else.
    pub fn signature(&self, context: &str, text: &str) -> String {
        let signed = [context.as_bytes(), text.as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(hmac_sha256(&self.digest_key, &signed))
    }

    /// Seals what must be read again. `context` says what it is (a type and a field): it opens nowhere else.
    pub fn seal(&self, context: &str, plain: &str) -> Result<String> {
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let payload = Payload {
            msg: plain.as_bytes(),
            aad: context.as_bytes(),
        };
        let sealed = self
            .seal
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::bug("sealing a secret"))?;
        Ok(format!(
            "{SEALED}{}",
            STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat())
        ))
    }

    /// Opens what was sealed; `None` if it was not, by this key and for this context.
    pub fn unseal(&self, context: &str, sealed: &str) -> Option<String> {
        let bytes = STANDARD_NO_PAD.decode(sealed.strip_prefix(SEALED)?).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let plain = self
            .seal
            .decrypt(
                &XNonce::from(*nonce),
                Payload {
                    msg: text,
                    aad: context.as_bytes(),
                },
            )
            .ok()?;
        String::from_utf8(plain).ok()
    }
}

/// A new access key: 20 upper-case hexadecimal characters.
pub fn access_key() -> Result<String> {
    Ok(random_bytes::<10>()?.iter().map(|byte| format!("{byte:02X}")).collect())
}

/// A new secret key: 40 characters that are hard to mistake.
pub fn secret_key() -> Result<String> {
    let mut text = String::with_capacity(40);
    while text.len() < 40 {
        let more = STANDARD.encode(random_bytes::<48>()?);
        text.extend(more.chars().filter(|c| !CONFUSING.contains(c)).take(40 - text.len()));
    }
    Ok(text)
}

/// The slow hash of a password. Takes some ten milliseconds: not on a thread that serves requests.
pub fn hash_password(password: &str) -> Result<String> {
    let hash = argon()?.hash_password_with_salt(password.as_bytes(), &random_bytes::<16>()?);
    Ok(hash.map_err(|_| Error::bug("hashing a password"))?.to_string())
}

/// Whether `hash` was made of `password`. As slow.
pub fn check_password(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// The signature in a registration token: HMAC-SHA1 in base64 without `/`, `=` and `+` (cattle: `RegistrationToken`).
pub fn token_signature(secret: &str, text: &str) -> Result<String> {
    let mut mac =
        <Hmac<Sha1> as KeyInit>::new_from_slice(secret.as_bytes()).map_err(|_| Error::bug("signing a token"))?;
    mac.update(text.as_bytes());
    Ok(STANDARD
        .encode(mac.finalize().into_bytes())
        .replace(['/', '=', '+'], ""))
}

/// Compares in a time that says nothing about where the two differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// Bytes as lower-case hexadecimal digits.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a text, in digits.
pub fn sha256_digits(text: &[u8]) -> String {
    digits(&Sha256::digest(text))
}

/// Bytes from the system's source.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::bug("the system gives no random bytes"))?;
    Ok(bytes)
}

fn argon() -> Result<Argon2<'static>> {
    let params =
        Params::new(ARGON_MEMORY_KIB, ARGON_ROUNDS, 1, None).map_err(|_| Error::bug("the parameters of argon2"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The keyed digest of a text, with a key of any length.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length")
    };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn a_digest_fits_its_secret_and_its_key_only() {
        let (one, other) = (Keeper::new(&[1; 32]), Keeper::new(&[2; 32]));
        let digest = one.digest("secret");
        assert!(one.matches("secret", &digest));
        assert!(!one.matches("secret2", &digest) && !other.matches("secret", &digest) && !one.matches("secret", ""));
        assert!(!digest.contains("secret"));
    }

    #[test]
    fn what_is_sealed_opens_for_its_key_and_its_context_only() {
        let (one, other) = (Keeper::new(&[1; 32]), Keeper::new(&[2; 32]));
        let sealed = one.seal("registryCredential.secretValue", "hunter2").unwrap();
        assert_eq!(
            one.unseal("registryCredential.secretValue", &sealed).as_deref(),
            Some("hunter2")
        );
        assert_eq!(one.unseal("certificate.key", &sealed), None);
        assert_eq!(other.unseal("registryCredential.secretValue", &sealed), None);
        for broken in ["", "hunter2", "sealed:1:", "sealed:1:AAAA", &sealed[..sealed.len() - 4]] {
            assert_eq!(one.unseal("registryCredential.secretValue", broken), None, "{broken}");
        }
        assert_ne!(
            sealed,
            one.seal("registryCredential.secretValue", "hunter2").unwrap(),
            "two seals never look alike"
        );
    }

    #[test]
    fn keys_look_as_ranchers_do() {
        let (access, secret) = (access_key().unwrap(), secret_key().unwrap());
        assert!(
            access.len() == 20 && access.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
            "{access}"
        );
        assert!(secret.len() == 40 && !secret.contains(CONFUSING), "{secret}");
        assert_ne!(access, access_key().unwrap());
    }

    #[test]
    fn a_password_is_known_again_and_nothing_else_is() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(check_password("correct horse", &hash));
        assert!(
            !check_password("correct horse ", &hash) && !check_password("", &hash) && !check_password("x", "plain")
        );
    }

    #[test]
    fn a_tokens_signature_is_ranchers() {
        // echo -n 'K:1480550400000' | openssl dgst -sha1 -hmac secret -binary | base64, less / = +
        assert_eq!(
            token_signature("secret", "K:1480550400000").unwrap(),
            "ZtljEcu9yHJz4MoTxtAv63nww"
        );
    }
}
