//! The engine's own socket: a connection to it that others use, byte by byte.

use std::path::Path;

use tokio::net::{TcpStream, UnixStream};

use super::PING;
use super::address::Address;
use crate::runtime::streams::Bytestream;
use crate::runtime::{Error, Result, tls};

/// Opens one more connection to the engine. Nothing has been said on it.
pub(super) async fn open(address: &Address) -> Result<Box<dyn Bytestream>> {
    let late = |_| Error::Unreachable("no connection in time".to_owned());
    tokio::time::timeout(PING, connect(address)).await.map_err(late)?
}

async fn connect(address: &Address) -> Result<Box<dyn Bytestream>> {
    let away = |error: std::io::Error| Error::Unreachable(error.to_string());
    let url = match address {
        Address::Unix(path) | Address::Tunnel { socket: path, .. } => {
            return Ok(Box::new(UnixStream::connect(path).await.map_err(away)?));
        }
        Address::Tcp(url) | Address::Tls { url, .. } => url,
    };
    let (name, port) = place(url)?;
    let stream = TcpStream::connect((name.as_str(), port)).await.map_err(away)?;
    let Address::Tls { certs, .. } = address else {
        return Ok(Box::new(stream));
    };
    let paths = certs.paths();
    // They are small, and read where the engine is connected to as well.
    let read = |path: &Path| std::fs::read(path).map_err(|e| Error::Failed(e.to_string()));
    let (ca, cert, key) = (read(&paths.ca)?, read(&paths.cert)?, read(&paths.key)?);
    tls::with_engine(
        Box::new(stream),
        &name,
        [ca.as_slice(), cert.as_slice(), key.as_slice()],
    )
    .await
}

/// Host and port of an engine's address.
fn place(url: &str) -> Result<(String, u16)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let split = authority.rsplit_once(':');
    let read = split.and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let (name, port) = read.ok_or_else(|| Error::Failed(format!("{url} names no port")))?;
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    Ok((name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_at_a_host_and_a_port() {
        for (url, expected) in [
            ("tcp://10.0.0.2:2376", Some(("10.0.0.2", 2376))),
            ("https://east.example:443/", Some(("east.example", 443))),
            ("tcp://[::1]:2375", Some(("::1", 2375))),
            ("tcp://east", None),
            ("tcp://east:x", None),
        ] {
            let found = place(url).ok();
            let found = found.as_ref().map(|(name, port)| (name.as_str(), *port));
            assert_eq!(found, expected, "{url}");
        }
    }
}
