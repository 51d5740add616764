//! An agent dials by TLS: through a proxy in front of the server that has a certificate, which is checked.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::dialling::{agent, server, token, wait_words};
use crate::process::{folder, text};

/// Where servers tell who their authority is.
const TOLD: &str = "GET /v1/scripts/ca.crt HTTP/1.0\r\n";

/// An authority that signed a certificate for one name, and the proxy that shows it, and the authority to who asks.
struct Proxy {
    /// The authority, as a file.
    ca: PathBuf,
    /// Its certificate.
    certificate: Vec<u8>,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    fn start(folder: &Path, name: &str, to: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ca = folder.join(format!("{name}.ca.pem"));
        let signed = params.self_signed(&ca_key).unwrap();
        std::fs::write(&ca, signed.pem()).unwrap();
        let own = CertificateParams::new([name.to_owned()]).unwrap();
        let own = own.signed_by(&key, &Issuer::from_params(&params, &ca_key)).unwrap();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], secret)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (to, file) = (to.to_owned(), signed.pem());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, to, file) = (acceptor.clone(), to.clone(), file.clone());
                tokio::spawn(async move {
                    // Who does not believe the certificate goes away.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut begun = vec![0; 4096];
                    let read = stream.read(&mut begun).await.unwrap_or_default();
                    let begun = &begun[..read];
                    if begun.starts_with(TOLD.as_bytes()) {
                        let is_alone = !begun.to_ascii_lowercase().windows(14).any(|w| w == b"authorization:");
                        let (status, body) = if is_alone {
                            ("200 OK", file.as_str())
                        } else {
                            ("400 Bad", "")
                        };
                        let length = body.len();
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.shutdown().await;
                        return;
                    }
                    let mut server = TcpStream::connect(to).await.unwrap();
                    server.write_all(begun).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self {
            ca,
            certificate: signed.der().to_vec(),
            address,
            _runtime: runtime,
        }
    }

    /// As `openssl x509 -fingerprint` prints it.
    fn fingerprint(&self) -> String {
        let bytes: Vec<String> = Sha1::digest(&self.certificate)
            .iter()
            .map(|b| format!("{b:02X}"))
            .collect();
        bytes.join(":")
    }

    /// As `sha256sum` prints it of the file.
    fn checksum(&self) -> String {
        hex(&Sha256::digest(std::fs::read(&self.ca).unwrap()))
    }

    /// A registration's address, by way of the proxy.
    fn url(&self, registration: &str, server: &str) -> String {
        let place = format!("https://localhost:{}", self.address.port());
        let url = registration.replacen(&format!("http://{server}"), &place, 1);
        assert!(url.starts_with(&place), "{registration}");
        url
    }
}

#[test]
fn an_agent_dials_by_tls_and_believes_only_whom_it_is_told_to() {
    let folder = folder();
    let server = server(folder.path());
    let token = token(&server);
    let registration = token["registrationUrl"].as_str().expect("an address");
    let good = Proxy::start(folder.path(), "localhost", &server.address);
    let other = Proxy::start(folder.path(), "elsewhere.example.com", &server.address);
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();

    for (proxy, ca, words) in [
        // Of an authority that nobody knows; of another authority; for another name.
        (&good, None, "UnknownIssuer"),
        (&good, Some(&other.ca), "certificate"),
        (&other, Some(&other.ca), "not valid for name"),
        (&good, Some(&empty), "there is no certificate in it"),
        (&good, Some(&folder.path().join("none.pem")), "--ca"),
    ] {
        let own = crate::process::folder();
        let mut command = agent(own.path(), &["--url", &proxy.url(registration, &server.address)]);
        if let Some(ca) = ca {
            command.args(["--ca", text(ca)]);
        }
        let mut child = command.spawn().expect("it starts");
        wait_words(&mut child, words);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    let own = crate::process::folder();
    let url = good.url(registration, &server.address);
    let mut first = agent(own.path(), &["--url", &url, "--ca", text(&good.ca)])
        .spawn()
        .expect("it starts");
    wait_words(
        &mut first,
        &format!("the tunnel to https://localhost:{} is open", good.address.port()),
    );
    first.kill().expect("it can be killed");
    first.wait().expect("it ends");
    // Again, without a URL, by the variable: and without the authority the key is shown to nobody.
    let mut again = agent(own.path(), &[])
        .env("DROVER_AGENT_CA", &good.ca)
        .spawn()
        .expect("it starts");
    wait_words(&mut again, "is open");
    again.kill().expect("it can be killed");
    again.wait().expect("it ends");
    let mut without = agent(own.path(), &[]).spawn().expect("it starts");
    wait_words(&mut without, "UnknownIssuer");
    without.kill().expect("it can be killed");
    without.wait().expect("it ends");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Waits until an agent gives up, and says why it did.
fn given_up(mut child: Child) -> String {
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("its words")
        .read_to_string(&mut said)
        .expect("text");
    assert!(!child.wait().expect("it ends").success(), "{said}");
    said
}

#[test]
fn an_agent_believes_the_authority_that_its_server_tells_if_it_is_the_one_that_was_named() {
    let folder = folder();
    let server = server(folder.path());
    let token = token(&server);
    let registration = token["registrationUrl"].as_str().expect("an address");
    let good = Proxy::start(folder.path(), "localhost", &server.address);
    let other = Proxy::start(folder.path(), "elsewhere.example.com", &server.address);
    let url = good.url(registration, &server.address);
    let begin = |variables: &[(&str, &str)], more: &[&str]| {
        let own = crate::process::folder();
        let mut command = agent(own.path(), &["--url", &url]);
        command.args(more).envs(variables.iter().copied());
        (command.stderr(Stdio::piped()).spawn().expect("it starts"), own)
    };

    let sha256 = hex(&Sha256::digest(&good.certificate));
    for variables in [
        [("CA_FINGERPRINT", good.fingerprint().as_str()), ("CA_CHECKSUM", "")],
        [("CA_FINGERPRINT", &sha256), ("CA_CHECKSUM", &good.checksum())],
        [("CA_CHECKSUM", &good.checksum().to_uppercase()), ("CA_FINGERPRINT", "")],
    ] {
        let (mut child, _own) = begin(&variables, &[]);
        wait_words(&mut child, "is open");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    let ca = text(&good.ca);
    for (variable, value, more, words) in [
        (
            "CA_FINGERPRINT",
            other.fingerprint(),
            &[][..],
            format!("has the fingerprint {}", hex(&Sha1::digest(&good.certificate))),
        ),
        (
            "CA_CHECKSUM",
            other.checksum(),
            &[],
            format!("has the checksum {}", good.checksum()),
        ),
        // A file is believed no sooner than what the server tells.
        (
            "CA_CHECKSUM",
            other.checksum(),
            &["--ca", ca],
            format!("has the checksum {}", good.checksum()),
        ),
        ("CA_CHECKSUM", "0123".to_owned(), &[], "--ca-checksum".to_owned()),
        ("CA_FINGERPRINT", "zz".repeat(20), &[], "--ca-fingerprint".to_owned()),
    ] {
        let (child, _own) = begin(&[(variable, &value)], more);
        let said = given_up(child);
        assert!(said.contains(&words), "{words:?} is not in {said:?}");
    }
}
