//! Whose certificates an agent believes: those of the system's authorities, or of one file alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::Connector;

use crate::failure::Failure;

/// Where Rancher's agent looked for the authority of a server with a certificate of its own.
const OF_RANCHER: &str = "/var/lib/rancher/etc/ssl/ca.crt";

/// The file that is believed, if one is: the one that was given, or where Rancher's agent had it.
pub fn file(given: Option<PathBuf>) -> Option<PathBuf> {
    let usual = || Some(PathBuf::from(OF_RANCHER)).filter(|file| file.is_file());
    given.or_else(usual)
}

/// How TLS is begun when only what this file says is believed; none to believe the system's authorities.
pub fn connector(file: Option<&Path>) -> Result<Option<Connector>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let bad = |why: String| Failure::config(format!("--ca {}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(Connector::Rustls(Arc::new(config))))
}
