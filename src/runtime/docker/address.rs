//! Where an engine is, and by which address others reach its machine.

use std::path::{Path, PathBuf};

use super::{PING, machine};
use crate::runtime::{Error, Result};

pub(super) enum Address {
    Unix(String),
    Tcp(String),
    Tls {
        url: String,
        certs: PathBuf,
    },
    /// A socket here whose other end is on another machine, and the address by which that is reached.
    Tunnel {
        socket: String,
        address: Box<TunnelAddress>,
    },
}

/// Says by which address a machine is reached that is behind a tunnel, while that is known.
pub type TunnelAddress = dyn Fn() -> Option<String> + Send + Sync;

impl Address {
    /// Reads what `Docker::connect` is told.
    pub(super) fn parse(url: &str, cert_dir: Option<&Path>) -> Result<Self> {
        let address = match (url.split_once("://"), cert_dir) {
            (Some(("unix", path)), _) => Address::Unix(path.to_owned()),
            (None, _) if url.starts_with('/') => Address::Unix(url.to_owned()),
            (Some(("tcp" | "https", _)), Some(dir)) => {
                let missing = ["key.pem", "cert.pem", "ca.pem"]
                    .into_iter()
                    .find(|file| !dir.join(file).is_file());
                if let Some(file) = missing {
                    return Err(Error::Failed(format!(
                        "the certificate directory {} has no {file}",
                        dir.display()
                    )));
                }
                Address::Tls {
                    url: url.to_owned(),
                    certs: dir.to_owned(),
                }
            }
            (Some(("tcp" | "http", _)), None | Some(_)) => Address::Tcp(url.to_owned()),
            (Some(("https", _)), None) => {
                return Err(Error::Failed(format!("{url} needs a directory of certificates")));
            }
            (Some(_) | None, _) => return Err(Error::Failed(format!("{url:?} is not the address of a Docker Engine"))),
        };
        Ok(address)
    }

    /// By which address others reach the engine's machine: where we ask the engine, if that is another machine.
    pub(super) async fn of_machine(&self) -> Option<String> {
        let url = match self {
            Self::Unix(_) => return machine::own_address().map(|ip| ip.to_string()),
            Self::Tunnel { address, .. } => return address(),
            Self::Tcp(url) | Self::Tls { url, .. } => url,
        };
        let authority = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        let found = tokio::time::timeout(PING, tokio::net::lookup_host(authority))
            .await
            .ok()?;
        let ip = found.ok()?.next()?.ip();
        if ip.is_loopback() {
            return machine::own_address().map(|ip| ip.to_string());
        }
        Some(ip.to_string())
    }
}

/// Whether it may not even be seen if a socket is there.
pub(super) fn is_hidden(path: &str) -> bool {
    std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
}
