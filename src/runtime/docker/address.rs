//! Where an engine is, and by which address others reach its machine.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use bollard::API_DEFAULT_VERSION;
use rustix::fs::{MemfdFlags, memfd_create};

use super::failure::{chain, forbidden};
use super::{PING, machine};
use crate::runtime::{EngineAddress, Error, Result, TlsTexts, TunnelAddress, TunnelWay};

/// The files that prove who asks, for a client that takes files only.
pub(super) enum Certificates {
    InFolder(PathBuf),
    /// Files of this process alone, without a name: what was given by the API is on no disk but sealed.
    InMemory {
        key: File,
        cert: File,
        ca: File,
    },
}

/// The paths of [`Certificates`].
pub(super) struct CertificatePaths {
    pub(super) key: PathBuf,
    pub(super) cert: PathBuf,
    pub(super) ca: PathBuf,
}

impl Certificates {
    fn in_memory(tls: &TlsTexts) -> Result<Self> {
        Ok(Self::InMemory {
            key: unnamed(&tls.key)?,
            cert: unnamed(&tls.cert)?,
            ca: unnamed(&tls.ca)?,
        })
    }

    pub(super) fn paths(&self) -> CertificatePaths {
        let open = |file: &File| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        match self {
            Self::InFolder(folder) => CertificatePaths {
                key: folder.join("key.pem"),
                cert: folder.join("cert.pem"),
                ca: folder.join("ca.pem"),
            },
            Self::InMemory { key, cert, ca } => CertificatePaths {
                key: open(key),
                cert: open(cert),
                ca: open(ca),
            },
        }
    }
}

/// A file in memory that only this process can open.
fn unnamed(text: &str) -> Result<File> {
    let made = memfd_create("engine", MemfdFlags::CLOEXEC).map(File::from);
    let written = made
        .map_err(std::io::Error::from)
        .and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
    written.map_err(|e| Error::Failed(format!("no file in memory: {e}")))
}

pub(super) enum Address {
    Unix(String),
    Tcp(String),
    Tls {
        url: String,
        certs: Certificates,
    },
    /// A socket here whose other end is on another machine, and the address by which that is reached.
    Tunnel {
        socket: String,
        address: Box<TunnelAddress>,
    },
}

impl From<TunnelWay> for Address {
    fn from(way: TunnelWay) -> Self {
        Self::Tunnel {
            socket: way.socket.to_string_lossy().into_owned(),
            address: way.address,
        }
    }
}

impl Address {
    /// Reads what was said while the server runs.
    pub(super) fn read(address: &EngineAddress) -> Result<Self> {
        let url = &address.url;
        match (&address.tls, url.split_once("://")) {
            (None, _) => Self::parse(url, None),
            (Some(tls), Some(("tcp" | "https", _))) => Ok(Self::Tls {
                url: url.clone(),
                certs: Certificates::in_memory(tls)?,
            }),
            (Some(_), _) => Err(Error::Failed(format!("{url:?} has no TLS: tcp:// and https:// have"))),
        }
    }

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
                    certs: Certificates::InFolder(dir.to_owned()),
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

    /// A client for it, whose own limit is so many seconds.
    pub(super) fn client(&self, seconds: u64) -> Result<bollard::Docker> {
        let made = match self {
            Self::Unix(path) if is_hidden(path) => return Err(forbidden(path)),
            Self::Unix(path) | Self::Tunnel { socket: path, .. } => {
                bollard::Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION)
            }
            Self::Tcp(url) => bollard::Docker::connect_with_http(url, seconds, API_DEFAULT_VERSION),
            Self::Tls { url, certs } => {
                let CertificatePaths { key, cert, ca } = certs.paths();
                bollard::Docker::connect_with_ssl(url, &key, &cert, &ca, seconds, API_DEFAULT_VERSION)
            }
        };
        made.map_err(|e| Error::Unreachable(chain(&e)))
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
fn is_hidden(path: &str) -> bool {
    std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
}
