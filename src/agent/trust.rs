//! Whose certificates an agent believes: those of the system's authorities, or of one file alone. Where the authority was
//! named by a digest, it has to be that one, and where no file has it the server is asked for it, as Rancher's agent did.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::Connector;

use super::place::Place;
use super::session::Ended;
use super::told;
use crate::failure::Failure;

/// Where Rancher's agent looked for the authority of a server with a certificate of its own.
const OF_RANCHER: &str = "/var/lib/rancher/etc/ssl/ca.crt";

/// Bytes of a SHA-1, and of a SHA-256.
const SHORT: usize = 20;
const LONG: usize = 32;

/// What is known of an authority before it is seen.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// The digest of its certificate.
    fingerprint: Option<Vec<u8>>,
    /// The digest of the file with its certificate.
    checksum: Option<Vec<u8>>,
}

/// Who is believed.
pub struct Trust {
    named: Named,
    /// None until the server has told its authority; none in it for the system's authorities.
    known: Option<Option<Connector>>,
}

impl Named {
    /// Reads digests in hexadecimal, with colons or without; what is empty names nothing.
    pub fn parse(fingerprint: Option<&str>, checksum: Option<&str>) -> Result<Self, Failure> {
        let read = |flag: &str, text: Option<&str>, lengths: &[usize], kinds: &str| {
            let text = text.unwrap_or_default().trim();
            if text.is_empty() {
                return Ok(None);
            }
            let bytes = bytes_of(text).filter(|bytes| lengths.contains(&bytes.len()));
            let refuse = || Failure::config(format!("{flag} {text:?}: it is no {kinds} in hexadecimal"));
            bytes.map(Some).ok_or_else(refuse)
        };
        Ok(Self {
            fingerprint: read("--ca-fingerprint", fingerprint, &[SHORT, LONG], "SHA-1 or SHA-256")?,
            checksum: read("--ca-checksum", checksum, &[LONG], "SHA-256")?,
        })
    }

    fn is_empty(&self) -> bool {
        self.fingerprint.is_none() && self.checksum.is_none()
    }

    /// The authorities in a file that are those that were named: all of them, if none were.
    fn choose(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
        let digest = Sha256::digest(pem);
        if let Some(wanted) = self.checksum.as_ref().filter(|wanted| **wanted != *digest) {
            return Err(format!(
                "it has the checksum {}, and {} was to be believed",
                hex(&digest),
                hex(wanted)
            ));
        }
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let mut all = all.map_err(|error| error.to_string())?;
        let Some(first) = all.first().cloned() else {
            return Err("there is no certificate in it".to_owned());
        };
        if let Some(wanted) = &self.fingerprint {
            all.retain(|one| fingerprint(one, wanted.len()) == *wanted);
            if all.is_empty() {
                return Err(format!(
                    "it has the fingerprint {}, and {} was to be believed",
                    hex(&fingerprint(&first, wanted.len())),
                    hex(wanted)
                ));
            }
        }
        Ok(all)
    }
}

impl Trust {
    /// Believes one file: the one that was given, or where Rancher's agent had it. Without one, and with nothing named,
    /// the system's authorities are believed.
    pub fn new(given: Option<PathBuf>, named: Named, place: &Place) -> Result<Self, Failure> {
        let usual = || Some(PathBuf::from(OF_RANCHER)).filter(|file| file.is_file());
        let known = match given.or_else(usual) {
            Some(file) => Some(Some(of_file(&file, &named)?)),
            None if named.is_empty() || !place.is_by_tls() => Some(None),
            None => None,
        };
        Ok(Self { named, known })
    }

    /// How TLS is begun; none to believe the system's authorities. Asks the server for its authority, if that is to be known yet.
    pub async fn connector(&mut self, place: &Place) -> Result<Option<Connector>, Ended> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let url = place.authority();
        let later = |why: String| Ended::NotNow(format!("the server's authority is not told at {url}: {why}"));
        let pem = told::file(&url).await.map_err(later)?;
        let connector = self.named.choose(&pem).and_then(believing);
        let connector = connector.map_err(|why| {
            Ended::Never(format!(
                "the server's authority, which {url} tells, is not believed: {why}"
            ))
        })?;
        self.known = Some(Some(connector.clone()));
        Ok(Some(connector))
    }
}

fn of_file(file: &Path, named: &Named) -> Result<Connector, Failure> {
    let bad = |why: String| Failure::config(format!("--ca {}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    named.choose(&pem).and_then(believing).map_err(bad)
}

/// TLS in which only these are believed.
fn believing(authorities: Vec<CertificateDer<'static>>) -> Result<Connector, String> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let config = crate::tls::believing(roots).map_err(|error| error.to_string())?;
    Ok(Connector::Rustls(Arc::new(config)))
}

/// The digest of a certificate that has this length.
fn fingerprint(certificate: &CertificateDer<'_>, length: usize) -> Vec<u8> {
    match length {
        SHORT => Sha1::digest(certificate).to_vec(),
        _ => Sha256::digest(certificate).to_vec(),
    }
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let is_hex = digits.len().is_multiple_of(2) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    is_hex.then(|| pairs.collect())?
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn digests_are_read_as_tools_print_them() {
        let parse = |fingerprint, checksum| Named::parse(Some(fingerprint), Some(checksum));
        assert!(parse("", " ").unwrap().is_empty());
        let (printed, long, short) = (["AB"; 20].join(":"), "0f".repeat(32), "0f".repeat(20));
        let one = parse(&printed, &long).unwrap();
        assert_eq!(one.fingerprint, Some(vec![0xab; 20]));
        assert_eq!(one.checksum, Some(vec![0x0f; 32]));
        assert!(parse(&long, "").unwrap().fingerprint.is_some());
        for (fingerprint, checksum) in [("ab", ""), ("", "ab"), ("", &short), ("éééééééééé", "")] {
            assert!(parse(fingerprint, checksum).is_err(), "{fingerprint} {checksum}");
        }
    }
}
