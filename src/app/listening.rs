//! Where the server listens: its main address, one in TLS, and one for Docker's interface alone.
//!
//! All of it is read and checked before the database is opened, so that what cannot be is said before anything is done.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use rustls::ServerConfig;

use super::certificates;
use crate::cli::Serve;
use crate::config;
use crate::failure::{Failure, Status};

/// An address that was asked for, and how it is spoken there.
pub struct Door {
    /// The flag that asked.
    pub flag: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// In TLS, with this.
    tls: Option<ServerConfig>,
    /// Nobody comes in who has no certificate.
    pub asks_for_certificates: bool,
}

/// All addresses that were asked for.
pub struct Doors {
    /// Of all interfaces.
    main: Door,
    /// The same in TLS.
    secured: Option<Door>,
    /// Of Docker's alone.
    docker: Option<Door>,
}

/// A door that is open.
pub struct Open {
    /// Who comes in by it.
    pub listener: TcpListener,
    /// Where it is; it is known now which port is taken where any would do.
    pub address: SocketAddr,
    /// In TLS, with this.
    pub tls: Option<ServerConfig>,
    flag: &'static str,
}

impl Open {
    /// What to say if nobody can be heard there.
    pub fn unheard(&self) -> impl Fn(std::io::Error) -> Failure + use<> {
        let (flag, address) = (self.flag, self.address);
        move |error| cannot_listen(flag, address, &error)
    }

    /// How clients write it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// All that are open.
pub struct AllOpen {
    /// Of all interfaces.
    pub main: Open,
    /// The same in TLS.
    pub secured: Option<Open>,
    /// Of Docker's alone.
    pub docker: Option<Open>,
}

/// What the flags ask for. A certificate of our own is kept in `folder`, if there is one.
pub fn asked_for(serve: &Serve, folder: Option<&Path>) -> Result<Doors, Failure> {
    let main = Door {
        flag: "--listen",
        address: config::listen_address(serve)?,
        tls: None,
        asks_for_certificates: false,
    };
    let flags = &serve.tls;
    let has_secured = flags.tls_listen.is_some() || flags.docker_api_listen.is_some();
    let has_certificate = flags.tls_cert.is_some() || flags.tls_key.is_some() || flags.tls_self_signed;
    if has_certificate && !has_secured {
        let why = "a certificate is given, and nowhere to show it: say --tls-listen or --docker-api-listen";
        return Err(Failure::config(why));
    }
    let pair = certificates::pair(serve, folder)?;
    let secured = match &flags.tls_listen {
        None => None,
        Some(text) => {
            let Some(pair) = &pair else {
                let why = "--tls-listen needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed";
                return Err(Failure::config(why));
            };
            Some(Door {
                flag: "--tls-listen",
                address: address("--tls-listen", text)?,
                tls: Some(pair.shown_to_all()?),
                asks_for_certificates: false,
            })
        }
    };
    let docker = match &flags.docker_api_listen {
        None => None,
        Some(text) => Some(dockers(address("--docker-api-listen", text)?, pair.as_ref(), serve)?),
    };
    if flags.tls_client_ca.is_some() && docker.is_none() {
        let why = "--tls-client-ca is for clients of --docker-api-listen, which is not given";
        return Err(Failure::config(why));
    }
    Ok(Doors { main, secured, docker })
}

fn dockers(address: SocketAddr, pair: Option<&certificates::Pair>, serve: &Serve) -> Result<Door, Failure> {
    let tls = match (pair, &serve.tls.tls_client_ca) {
        (None, None) => None,
        (None, Some(_)) => {
            let why = "--tls-client-ca needs --tls-cert and --tls-key, or --tls-self-signed";
            return Err(Failure::config(why));
        }
        (Some(pair), None) => Some(pair.shown_to_all()?),
        (Some(pair), Some(authority)) => Some(pair.shown_to_clients_of(authority)?),
    };
    Ok(Door {
        flag: "--docker-api-listen",
        address,
        tls,
        asks_for_certificates: serve.tls.tls_client_ca.is_some(),
    })
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, Failure> {
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    let bad = || {
        Failure::config(format!(
            "{flag} {text:?} is not an address with a port, for example 127.0.0.1:8443"
        ))
    };
    found.ok_or_else(bad)
}

/// Who reaches a server.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// An address at which everybody who reaches it may do everything if access control is off, although that was not said.
    pub too_open: Option<SocketAddr>,
    /// One that other machines reach.
    pub outward: Option<SocketAddr>,
}

impl Doors {
    /// Who reaches them.
    pub fn reach(&self, serve: &Serve) -> Reach {
        Reach {
            too_open: self.too_open(serve),
            outward: self.outward(),
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Door> {
        [Some(&self.main), self.secured.as_ref(), self.docker.as_ref()]
            .into_iter()
            .flatten()
    }

    /// One at which everybody who reaches it may do everything if access control is off, although that was not said.
    pub fn too_open(&self, serve: &Serve) -> Option<SocketAddr> {
        let mut all = self.all().filter(|door| !door.asks_for_certificates);
        let found = all.find(|door| !config::may_be_open(serve, door.address));
        found.map(|door| door.address)
    }

    /// One that other machines reach.
    fn outward(&self) -> Option<SocketAddr> {
        let mut all = self.all().filter(|door| !door.asks_for_certificates);
        all.find(|door| !door.address.ip().is_loopback())
            .map(|door| door.address)
    }

    /// Takes the addresses.
    pub fn open(self) -> Result<AllOpen, Failure> {
        Ok(AllOpen {
            main: self.main.open()?,
            secured: self.secured.map(Door::open).transpose()?,
            docker: self.docker.map(Door::open).transpose()?,
        })
    }
}

impl Door {
    /// Whether it could be opened, which it is not.
    pub fn try_out(&self) -> std::io::Result<()> {
        TcpListener::bind(self.address).map(drop)
    }

    fn open(self) -> Result<Open, Failure> {
        let listener = TcpListener::bind(self.address).map_err(|e| cannot_listen(self.flag, self.address, &e))?;
        let address = listener.local_addr().unwrap_or(self.address);
        Ok(Open {
            listener,
            address,
            flag: self.flag,
            tls: self.tls,
        })
    }
}

fn cannot_listen(flag: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("Another program uses the port: choose another with {flag}."),
        std::io::ErrorKind::AddrNotAvailable => {
            format!(
                "No network interface of this machine has that address: choose another with {flag}, 0.0.0.0 for all there are."
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("Ports below 1024 are for root: choose a higher one with {flag}.")
        }
        _ => format!("Choose another with {flag}."),
    };
    Failure::new(Status::Port, format!("cannot listen on {address}: {error}. {why}"))
}

/// The folder of the database, where what the server keeps beside it is.
pub fn folder_of(database: &Path) -> PathBuf {
    let folder = database.parent().filter(|p| !p.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}
