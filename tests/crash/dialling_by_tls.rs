//! An agent dials by TLS: through a proxy in front of the server that has a certificate, which is checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::dialling::{agent, server, token, wait_words};
use crate::process::{folder, text};

/// An authority that signed a certificate for one name, and the proxy that shows it.
struct Proxy {
    /// The authority, as a file.
    ca: PathBuf,
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    fn start(folder: &Path, name: &str, to: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let ca = folder.join(format!("{name}.ca.pem"));
        std::fs::write(&ca, params.self_signed(&ca_key).unwrap().pem()).unwrap();
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
        let to = to.to_owned();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, to) = (acceptor.clone(), to.clone());
                tokio::spawn(async move {
                    // Who does not believe the certificate goes away.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self {
            ca,
            address,
            _runtime: runtime,
        }
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
