//! The certificate that the server shows in TLS: from files, or one of its own that nobody vouches for.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::shown::Shown;
use crate::cli::Serve;
use crate::config;
use crate::failure::{Failure, Status};

/// The files of a certificate of our own, in the folder of the database.
const OWN: [&str; 2] = ["tls.crt", "tls.key"];

/// A certificate with those behind it, and its key.
#[derive(Debug)]
pub struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Where both are from, if they are from files.
    files: Option<Files>,
}

/// Where a pair lies, and by which flags.
#[derive(Debug, Clone)]
pub struct Files {
    cert: (&'static str, PathBuf),
    key: (&'static str, PathBuf),
}

/// The pair that the flags ask for; one of our own is made if it is not there yet, and then kept in `folder`, if there is one.
pub fn pair(serve: &Serve, folder: Option<&Path>) -> Result<Option<Pair>, Failure> {
    let flags = &serve.tls;
    match (&flags.tls_cert, &flags.tls_key) {
        (Some(cert), Some(key)) => {
            let files = Files {
                cert: ("--tls-cert", cert.clone()),
                key: ("--tls-key", key.clone()),
            };
            files.read().map(Some)
        }
        (Some(_), None) => Err(Failure::config(
            "--tls-cert needs --tls-key, the certificate's private key",
        )),
        (None, Some(_)) => Err(Failure::config("--tls-key needs --tls-cert, the key's certificate")),
        (None, None) if flags.tls_self_signed => own(serve, folder).map(Some),
        (None, None) => Ok(None),
    }
}

fn own(serve: &Serve, folder: Option<&Path>) -> Result<Pair, Failure> {
    let Some(folder) = folder else {
        return Ok(make(serve)?.2);
    };
    let [cert, key] = OWN.map(|name| ("--tls-self-signed", folder.join(name)));
    let files = Files { cert, key };
    if files.stamp().is_none() {
        let (cert, key, _) = make(serve)?;
        // The key first, so that a certificate never lies there without one.
        write(&files.key.1, 0o600, &key)?;
        write(&files.cert.1, 0o644, &cert)?;
    }
    files.read()
}

impl Files {
    /// What lies there now.
    pub fn read(&self) -> Result<Pair, Failure> {
        let (flag, cert) = &self.cert;
        let chain = certificates(flag, cert)?;
        let (flag, key) = &self.key;
        let unreadable = |why: String| Failure::config(format!("{flag} {}: {why}", key.display()));
        let text = config::read_private(key).map_err(unreadable)?;
        // What the parser says may quote the file.
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| unreadable("holds no private key (PEM)".into()))?;
        Ok(Pair {
            chain,
            key,
            files: Some(self.clone()),
        })
    }

    /// What tells that another pair lies there: when each file was written, and how long it is. None while one is missing.
    pub fn stamp(&self) -> Option<[(SystemTime, u64); 2]> {
        let of = |path: &Path| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        Some([of(&self.cert.1)?, of(&self.key.1)?])
    }
}

fn certificates(flag: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let unreadable = |why: &str| Failure::config(format!("{flag} {}: {why}", file.display()));
    let bytes = std::fs::read(file).map_err(|e| unreadable(&e.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unreadable("holds no certificate (PEM)")),
    }
}

/// A certificate for the names by which this machine is asked, its key, and both as they are used.
fn make(serve: &Serve) -> Result<(String, String, Pair), Failure> {
    let cannot = |e: rcgen::Error| Failure::new(Status::Internal, format!("making a certificate: {e}"));
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    names.extend(serve.host_address.map(|address| address.to_string()));
    let without_port = |name: &String| name.split(':').next().unwrap_or_default().to_owned();
    names.extend(serve.allowed_hosts.iter().map(without_port));
    names.retain(|name| !name.is_empty());
    let made = rcgen::generate_simple_self_signed(names).map_err(cannot)?;
    let pair = Pair {
        chain: vec![made.cert.der().clone()],
        key: PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into(),
        files: None,
    };
    Ok((made.cert.pem(), made.signing_key.serialize_pem(), pair))
}

fn write(file: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| Failure::cannot_write(file, &e);
    let mut options = OpenOptions::new();
    let mut opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(file)
        .map_err(cannot)?;
    opened
        .write_all(text.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(cannot)
}

fn unusable(error: rustls::Error) -> Failure {
    Failure::config(format!("the certificate cannot be used: {error}"))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Pair {
    /// TLS for everybody.
    pub fn shown_to_all(&self) -> Result<ServerConfig, Failure> {
        self.shown(WebPkiClientVerifier::no_client_auth())
    }

    /// TLS for those who have a certificate that this authority signed.
    pub fn shown_to_clients_of(&self, authority: &Path) -> Result<ServerConfig, Failure> {
        let flag = "--tls-client-ca";
        let bad = |e: &dyn std::fmt::Display| Failure::config(format!("{flag} {}: {e}", authority.display()));
        let mut roots = RootCertStore::empty();
        for root in certificates(flag, authority)? {
            roots.add(root).map_err(|e| bad(&e))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        self.shown(verifier.map_err(|e| bad(&e))?)
    }

    fn shown(&self, clients: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, Failure> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(Shown::new(self.certified()?, self.files.clone())));
        Ok(config)
    }

    /// The pair as it is used, if the key is the certificate's.
    pub fn certified(&self) -> Result<CertifiedKey, Failure> {
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), &provider()).map_err(unusable)
    }
}
