//! The ports of containers, for this program: on the engine of this machine their addresses mean something.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{Address, Inner};
use crate::runtime::streams::Connection;
use crate::runtime::{Error, Life, Result};

/// How long a port may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// By which address this program reaches a container: its own, as the engine has it now, and never another.
pub(super) async fn address(docker: &Inner, uuid: &str) -> Result<IpAddr> {
    match docker.address {
        Address::Unix(_) => {}
        Address::Tcp(_) | Address::Tls { .. } | Address::Tunnel { .. } => {
            return Err(Error::Failed(
                "the engine is on another machine, where its containers' addresses mean nothing to this server"
                    .to_owned(),
            ));
        }
    }
    let found = docker.look_up(uuid).await?;
    let found = found.ok_or_else(|| Error::Gone(format!("the engine has no container {uuid}")))?;
    if found.life != Life::Running {
        return Err(Error::Failed("the container does not run".to_owned()));
    }
    let none = || Error::Failed("the container has no address of its own".to_owned());
    found.ip.and_then(|ip| own(&ip)).ok_or_else(none)
}

/// Opens a connection to a port of a container.
pub(super) async fn connect(docker: &Inner, uuid: &str, port: u16) -> Result<Connection> {
    let ip = address(docker, uuid).await?;
    let opened = tokio::time::timeout(PATIENCE, TcpStream::connect((ip, port))).await;
    let refused = |why: &str| Error::Failed(format!("nothing answers at port {port} of the container: {why}"));
    let stream = opened
        .map_err(|_| refused(&format!("no connection within {} s", PATIENCE.as_secs())))?
        .map_err(|error| refused(&error.to_string()))?;
    Ok(Connection {
        host: std::net::SocketAddr::from((ip, port)).to_string(),
        stream: Box::new(stream),
    })
}

/// An address that can be a container's: not this machine's own, nor one that means many, or nobody.
fn own(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
    };
    (!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !is_link_local).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_containers_own_address_is_one() {
        for good in ["172.17.0.2", "10.42.1.9", "fd00::2"] {
            assert!(own(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "web",
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(own(bad), None, "{bad}");
        }
    }
}
