//! By which address a server is reached by the others.

use std::fmt::{self, Display};
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// An address as it is advertised: `HOST[:PORT]`, `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    is_tls: bool,
    /// As a URL has it: an address of IPv6 in brackets.
    host: String,
    port: u16,
}

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Advertised {
    /// Reads an address; `usual` is the port where none is said.
    pub fn parse(text: &str, usual: u16) -> Option<Self> {
        let has_scheme = text.contains("://");
        let url = match has_scheme {
            true => Url::parse(text),
            false => Url::parse(&format!("http://{text}")),
        };
        let url = url.ok()?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        // What is a scheme's own port is not in a URL, even if it is said.
        let said = text
            .rsplit_once(':')
            .and_then(|(_, end)| end.trim_end_matches('/').parse().ok());
        let port = said.filter(|_| !text.ends_with(']')).unwrap_or(usual);
        is_plain.then_some(Self {
            is_tls,
            host: url.host_str()?.to_owned(),
            port,
        })
    }

    /// Whether no other machine reaches it.
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        ip.map_or(self.host == "localhost", |ip| ip.is_loopback())
    }

    /// A connection to it.
    pub(super) async fn connect(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(format!("{}:{}", self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        if !self.is_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.host.trim_matches(['[', ']']).to_owned())
            .map_err(|e| Error::new(ErrorKind::InvalidInput, e))?;
        let stream = TlsConnector::from(tls()?).connect(name, stream).await?;
        Ok(Box::new(stream))
    }
}

impl Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// What this machine believes of certificates.
fn tls() -> Result<Arc<ClientConfig>> {
    static KNOWN: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let config = crate::tls::believing(crate::tls::authorities()).map_err(Error::other)?;
    Ok(KNOWN.get_or_init(|| Arc::new(config)).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_said_with_a_scheme_and_a_port_or_without() {
        for (text, url, is_loopback) in [
            ("10.0.0.1", "http://10.0.0.1:8080", false),
            ("10.0.0.1:80", "http://10.0.0.1:80", false),
            ("http://Drover-1.example:9000/", "http://drover-1.example:9000", false),
            ("https://drover-1.example:443", "https://drover-1.example:443", false),
            ("https://drover-1.example", "https://drover-1.example:8080", false),
            ("[2001:db8::1]", "http://[2001:db8::1]:8080", false),
            ("[::1]:81", "http://[::1]:81", true),
            ("localhost", "http://localhost:8080", true),
            ("127.0.0.1:8081", "http://127.0.0.1:8081", true),
        ] {
            let read = Advertised::parse(text, 8080);
            assert_eq!(read.as_ref().map(ToString::to_string).as_deref(), Some(url), "{text}");
            assert_eq!(read.map(|read| read.is_loopback()), Some(is_loopback), "{text}");
        }
        for text in [
            "",
            "ftp://a",
            "http://u@a",
            "http://a/b",
            "a b",
            "http://a?b",
            "10.0.0.1:99999",
        ] {
            assert_eq!(Advertised::parse(text, 8080), None, "{text}");
        }
    }
}
