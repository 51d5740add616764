//! TLS over a connection that is open: to an engine, whose certificates are checked, and to a container, which nobody vouches for.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::streams::Bytestream;
use super::{Error, Result};

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(format!("no TLS: {error}"))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// TLS with a container, whoever it says it is: its certificate is its own, and its address changes.
pub(super) async fn with_container(stream: Box<dyn Bytestream>, address: IpAddr) -> Result<Box<dyn Bytestream>> {
    let config = crate::tls::with_anybody().map_err(failed)?;
    begin(config, stream, ServerName::IpAddress(address.into())).await
}

/// TLS with an engine, in PEM: who signed its certificate, and the certificate and the key of who asks.
pub(super) async fn with_engine(
    stream: Box<dyn Bytestream>,
    name: &str,
    [ca, cert, key]: [&[u8]; 3],
) -> Result<Box<dyn Bytestream>> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ca) {
        roots.add(root.map_err(failed)?).map_err(failed)?;
    }
    let own = CertificateDer::pem_slice_iter(cert).collect::<std::result::Result<Vec<_>, _>>();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            own.map_err(failed)?,
            PrivateKeyDer::from_pem_slice(key).map_err(failed)?,
        )
        .map_err(failed)?;
    let name = ServerName::try_from(name.to_owned()).map_err(failed)?;
    begin(config, stream, name).await
}

async fn begin(
    config: ClientConfig,
    stream: Box<dyn Bytestream>,
    name: ServerName<'static>,
) -> Result<Box<dyn Bytestream>> {
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(failed)?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use rcgen::{CertificateParams, Issuer, KeyPair};
    use rustls::ServerConfig;
    use rustls::server::WebPkiClientVerifier;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsAcceptor;

    use super::*;

    struct Party {
        cert: rcgen::Certificate,
        key: KeyPair,
    }

    impl Party {
        fn signed(name: &str, by: &Issuer<'_, KeyPair>) -> Self {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let cert = params.signed_by(&key, by).unwrap();
            Self { cert, key }
        }
    }

    fn authority() -> (String, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).unwrap();
        (cert.pem(), Issuer::new(params, key))
    }

    /// The other end: it says what it hears; only clients of `clients` are let in, if there are any.
    fn server(party: &Party, clients: Option<&str>) -> Box<dyn Bytestream> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
                    .unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_slice(party.key.serialize_pem().as_bytes()).unwrap();
        let config = builder.with_single_cert(vec![party.cert.der().clone()], key).unwrap();
        let (here, there) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(there).await?;
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await?;
            stream.write_all(&heard).await?;
            stream.shutdown().await
        });
        Box::new(here)
    }

    async fn says(stream: Result<Box<dyn Bytestream>>) -> std::io::Result<String> {
        let mut stream = stream.map_err(std::io::Error::other)?;
        stream.write_all(b"hello").await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok(said)
    }

    #[tokio::test]
    async fn a_container_may_be_anybody_and_an_engine_only_who_it_is() {
        let (ca, issuer) = authority();
        let engine = Party::signed("east.example", &issuer);
        let client = Party::signed("drover", &issuer);
        let address = IpAddr::from([10, 0, 0, 7]);
        assert_eq!(
            says(with_container(server(&engine, None), address).await)
                .await
                .unwrap(),
            "hello"
        );
        let plain = Box::new(plain_end());
        assert!(with_container(plain, address).await.is_err(), "what speaks no TLS");

        let (cert, key) = (client.cert.pem(), client.key.serialize_pem());
        let own = [ca.as_bytes(), cert.as_bytes(), key.as_bytes()];
        let asked = async |party: &Party, name: &str, own: [&[u8]; 3]| {
            says(with_engine(server(party, Some(&ca)), name, own).await).await
        };
        assert_eq!(asked(&engine, "east.example", own).await.unwrap(), "hello");
        assert!(asked(&engine, "west.example", own).await.is_err(), "another name");
        let (_, other) = authority();
        let stranger = Party::signed("east.example", &other);
        assert!(
            asked(&stranger, "east.example", own).await.is_err(),
            "signed by somebody else"
        );
    }

    /// Somebody who says something else, and goes.
    fn plain_end() -> tokio::io::DuplexStream {
        let (here, mut there) = tokio::io::duplex(1024);
        tokio::spawn(async move { there.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await });
        here
    }
}
