//! Requests that this server makes to addresses that clients named: one POST of JSON, and the status of its answer.
//!
//! An address is read by [`Destination`], which says what is wrong with it. Names are resolved once, each address that comes of it is
//! held against the rules, and the connection is made to that very address: a name that says something else the next moment leads
//! nowhere else. No redirection is followed. Nothing is known here of rows or of the engine.

mod public;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

pub use public::is_public;

/// How long the whole of a request may take, from the name to the head of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of an answer, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// The longest address, in bytes.
pub const LONGEST_URL: usize = 2_048;
/// So many addresses of a name are tried, one after the other.
const MOST_ADDRESSES: usize = 4;

/// Where requests may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Without TLS, too.
    pub allows_http: bool,
    /// To this machine, and to networks that are nobody else's, too.
    pub allows_private: bool,
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none.
    #[error("no address of HTTP, or one with a name and a password in it")]
    NoUrl,
    /// It is no `https`.
    #[error("only https is allowed")]
    NotHttps,
    /// It leads to this machine, or into a private network.
    #[error("addresses of this machine and of private networks are not allowed")]
    Private,
}

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    is_tls: bool,
    host: Host<String>,
    port: u16,
    /// The path and the query.
    path: String,
}

/// What is posted.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// JSON.
    pub body: String,
    /// Headers beside those of each request.
    pub headers: Vec<(&'static str, String)>,
}

impl Destination {
    /// Reads an address.
    ///
    /// # Errors
    /// What can be said of it without asking for its name.
    pub fn parse(text: &str, rules: Rules) -> Result<Self, Refused> {
        let url = Url::parse(text).map_err(|_| Refused::NoUrl)?;
        if text.len() > LONGEST_URL || !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::NoUrl);
        }
        let is_tls = match url.scheme() {
            "https" => true,
            "http" if rules.allows_http => false,
            "http" => return Err(Refused::NotHttps),
            _ => return Err(Refused::NotHttps),
        };
        let host = url.host().ok_or(Refused::NoUrl)?.to_owned();
        let is_here = match &host {
            Host::Domain(name) => is_this_machine(name),
            Host::Ipv4(address) => !is_public(IpAddr::V4(*address)),
            Host::Ipv6(address) => !is_public(IpAddr::V6(*address)),
        };
        if is_here && !rules.allows_private {
            return Err(Refused::Private);
        }
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            is_tls,
            host,
            port: url.port_or_known_default().ok_or(Refused::NoUrl)?,
            path: format!("{}{query}", url.path()),
        })
    }

    /// As the header `Host` names it.
    fn host_header(&self) -> String {
        let usual = if self.is_tls { 443 } else { 80 };
        match self.port {
            port if port == usual => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// The addresses that it leads to now.
    async fn resolve(&self, rules: Rules) -> Result<Vec<SocketAddr>, String> {
        let port = self.port;
        let found: Vec<SocketAddr> = match &self.host {
            Host::Ipv4(address) => vec![SocketAddr::from((*address, port))],
            Host::Ipv6(address) => vec![SocketAddr::from((*address, port))],
            Host::Domain(name) => lookup_host((name.as_str(), port))
                .await
                .map_err(|e| format!("{name} has no address: {e}"))?
                .collect(),
        };
        // One that leads into a private network is not followed to its other addresses either.
        if !rules.allows_private && found.iter().any(|address| !is_public(address.ip())) {
            return Err(Refused::Private.to_string());
        }
        Ok(found)
    }
}

/// Names that are this machine's wherever they are asked for.
fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Makes the requests. Which authorities are believed is read when the first one needs it.
#[derive(Default)]
pub struct Sender {
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Sender {
    /// Posts a letter, and says with which status that was answered. What else the answer has is not read.
    ///
    /// # Errors
    /// In words, why there is no answer.
    pub async fn post(&self, to: &Destination, rules: Rules, letter: Letter) -> Result<u16, String> {
        let asking = async {
            let stream = connect(&to.resolve(rules).await?).await?;
            match to.is_tls {
                false => ask(stream, to, letter).await,
                true => {
                    let name = match &to.host {
                        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|e| e.to_string())?,
                        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
                        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
                    };
                    let connector = TlsConnector::from(self.tls()?);
                    let stream = connector.connect(name, stream).await;
                    ask(stream.map_err(|e| format!("no TLS: {e}"))?, to, letter).await
                }
            }
        };
        let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
        timeout(PATIENCE, asking).await.map_err(late)?
    }

    /// What TLS is spoken by: the authorities that this machine believes.
    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(known) = self.tls.get() {
            return Ok(known.clone());
        }
        let roots = crate::tls::authorities();
        if roots.is_empty() {
            return Err("this machine believes no authority: it has no ca-certificates".to_owned());
        }
        let config = crate::tls::believing(roots).map_err(|e| e.to_string())?;
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }

    /// One that believes these authorities.
    #[cfg(test)]
    fn believing(roots: rustls::RootCertStore) -> Self {
        Self {
            tls: OnceLock::from(Arc::new(
                crate::tls::believing(roots).unwrap_or_else(|e| unreachable!("{e}")),
            )),
        }
    }
}

/// A connection to the first of these that takes one.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut said = "the name has no address".to_owned();
    for address in addresses.iter().take(MOST_ADDRESSES) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => said = format!("no connection: {e}"),
        }
    }
    Err(said)
}

async fn ask<S>(stream: S, to: &Destination, letter: Letter) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |e: hyper::Error| format!("no answer of HTTP: {e}");
    let mut request = hyper::Request::builder()
        .method("POST")
        .uri(&to.path)
        .header("host", to.host_header())
        .header("content-type", "application/json")
        .header("user-agent", concat!("drover/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close");
    for (name, value) in letter.headers {
        request = request.header(name, value);
    }
    let request = request.body(letter.body).map_err(|e| e.to_string())?;
    let mut client = http1::Builder::new();
    client.max_buf_size(LARGEST_HEAD);
    let (mut sender, carrying) = client.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::pin!(carrying);
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        ended = &mut carrying => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    };
    Ok(answer.map_err(broken)?.status().as_u16())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::crypto::ring;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const ALL: Rules = Rules {
        allows_http: true,
        allows_private: true,
    };

    #[test]
    fn an_address_says_what_is_wrong_with_it() {
        let none = Rules::default();
        for (text, refused) in [
            ("", Some(Refused::NoUrl)),
            ("hook", Some(Refused::NoUrl)),
            ("https://", Some(Refused::NoUrl)),
            ("https://me:it@example.org/", Some(Refused::NoUrl)),
            ("http://example.org/", Some(Refused::NotHttps)),
            ("ftp://example.org/", Some(Refused::NotHttps)),
            ("https://localhost/", Some(Refused::Private)),
            ("https://a.LOCALHOST./", Some(Refused::Private)),
            ("https://127.0.0.1/", Some(Refused::Private)),
            ("https://0x7f.1/", Some(Refused::Private)),
            ("https://10.1.2.3/", Some(Refused::Private)),
            ("https://169.254.169.254/latest", Some(Refused::Private)),
            ("https://[::1]/", Some(Refused::Private)),
            ("https://[::ffff:192.168.0.1]/", Some(Refused::Private)),
            ("https://example.org", None),
            ("https://example.org:8443/a?b=c", None),
            ("https://9.9.9.9/", None),
        ] {
            assert_eq!(Destination::parse(text, none).err(), refused, "{text}");
            let may_all = Destination::parse(text, ALL).err();
            let still = refused.filter(|refused| *refused == Refused::NoUrl || text.starts_with("ftp"));
            assert_eq!(may_all, still, "{text}");
        }
        let parsed = Destination::parse("https://example.org:8443/a?b=c", none).unwrap();
        assert_eq!(
            (parsed.host_header().as_str(), parsed.path.as_str()),
            ("example.org:8443", "/a?b=c")
        );
    }

    /// Reads a request to its end, and answers it so.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &str) -> String {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("{}") {
            let mut some = [0; 1024];
            match stream.read(&mut some).await.unwrap_or(0) {
                0 => break,
                n => seen.extend_from_slice(&some[..n]),
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(seen).unwrap()
    }

    fn letter() -> Letter {
        Letter {
            body: "{}".into(),
            headers: vec![("x-mark", "1".into())],
        }
    }

    #[tokio::test]
    async fn a_letter_is_posted_once_and_no_redirection_is_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://127.0.0.1:{}/hook?a=b", listener.local_addr().unwrap().port());
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            serve(
                stream,
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            )
            .await
        });
        let to = Destination::parse(&at, ALL).unwrap();
        assert_eq!(Sender::default().post(&to, ALL, letter()).await, Ok(302));
        let seen = serving.await.unwrap().to_ascii_lowercase();
        assert!(
            seen.starts_with("post /hook?a=b http/1.1\r\n") && seen.contains("x-mark: 1\r\n"),
            "{seen}"
        );
        assert!(
            Sender::default()
                .post(&to, ALL, letter())
                .await
                .is_err_and(|why| why.contains("no connection"))
        );
    }

    #[tokio::test]
    async fn a_name_that_leads_here_is_refused_when_it_is_resolved() {
        let to = Destination {
            is_tls: false,
            host: Host::Domain("localhost".into()),
            port: 9,
            path: "/".into(),
        };
        let said = Sender::default().post(&to, Rules::default(), letter()).await;
        assert_eq!(said, Err(Refused::Private.to_string()));
    }

    #[tokio::test]
    async fn a_certificate_has_to_be_signed_by_somebody_who_is_believed() {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
                }
            }
        });
        let to = Destination::parse(&at, ALL).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        assert_eq!(Sender::believing(roots).post(&to, ALL, letter()).await, Ok(204));
        let nobody = Sender::believing(RootCertStore::empty());
        assert!(
            nobody
                .post(&to, ALL, letter())
                .await
                .is_err_and(|why| why.starts_with("no TLS"))
        );
    }
}
