//! Certificates and keys as texts: what is in them, and whether they belong together. Pure.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha1::{Digest as _, Sha1};
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use crate::model::{Error, Result};

/// What a certificate says, in the original's forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) common_name: String,
    pub(super) algorithm: String,
    pub(super) fingerprint: String,
    pub(super) expires_at: String,
    pub(super) issued_at: String,
    pub(super) issuer: String,
    pub(super) key_size: usize,
    pub(super) serial_number: String,
    pub(super) names: Vec<String>,
    pub(super) version: String,
}

/// Reads a certificate, and checks that its key and those who signed it belong to it.
pub(super) fn read(cert: &str, chain: Option<&str>, key: &str) -> Result<Read> {
    let own = certificates(cert, "cert")?;
    let Some(first) = own.first() else {
        return Err(wrong("cert", "there is no certificate in it"));
    };
    let chain = chain.filter(|chain| !chain.trim().is_empty());
    let chain = chain.map(|chain| certificates(chain, "certChain")).transpose()?;
    check_chain(own.iter().chain(chain.iter().flatten()))?;
    check_key(first, key)?;
    let cert = parse(first, "cert")?;
    Ok(Read {
        common_name: cert
            .subject()
            .iter_common_name()
            .find_map(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned(),
        algorithm: algorithm(&cert.signature_algorithm.algorithm.to_id_string()),
        fingerprint: pairs(&Sha1::digest(first)),
        expires_at: moment(cert.validity().not_after),
        issued_at: moment(cert.validity().not_before),
        issuer: distinguished(cert.issuer()),
        key_size: cert.public_key().parsed().map_or(0, |key| size(&key)),
        serial_number: cert.serial.to_string(),
        names: names(&cert),
        version: (cert.version().0 + 1).to_string(),
    })
}

/// Checks what a TLS client shows and trusts: who signs the other end, and a certificate with its key, each with its field.
pub(crate) fn check_tls(ca: (&str, &str), cert: (&str, &str), key: (&str, &str)) -> Result<()> {
    for der in certificates(ca.1, ca.0)? {
        parse(&der, ca.0)?;
    }
    let own = certificates(cert.1, cert.0)?;
    let Some(first) = own.first() else {
        return Err(wrong(cert.0, "there is no certificate in it"));
    };
    parse(first, cert.0)?;
    check_key(first, key.1).map_err(|error| error.with_field(key.0))
}

fn wrong(field: &str, why: &str) -> Error {
    Error::invalid("InvalidFormat", field).with_message(why)
}

fn certificates(text: &str, field: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let read = read.map_err(|_| wrong(field, "it is not PEM"))?;
    match read.is_empty() {
        true => Err(wrong(field, "there is no certificate in it")),
        false => Ok(read),
    }
}

fn parse<'d>(der: &'d CertificateDer<'_>, field: &str) -> Result<X509Certificate<'d>> {
    match X509Certificate::from_der(der) {
        Ok((_, cert)) => Ok(cert),
        Err(_) => Err(wrong(field, "it is no X.509 certificate")),
    }
}

/// Each one has to be signed by the next.
fn check_chain<'d>(all: impl Iterator<Item = &'d CertificateDer<'static>>) -> Result<()> {
    let mut before: Option<X509Certificate<'d>> = None;
    for der in all {
        let next = parse(der, "certChain")?;
        if let Some(before) = before
            && before.issuer().as_raw() != next.subject().as_raw()
        {
            return Err(wrong(
                "certChain",
                "each certificate has to be followed by the one that signed it",
            ));
        }
        before = Some(next);
    }
    Ok(())
}

fn check_key(cert: &CertificateDer<'static>, key: &str) -> Result<()> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| wrong("key", "it is no private key in PEM, or it needs a password"))?;
    let key = default_provider().key_provider.load_private_key(key).map_err(|_| {
        wrong(
            "key",
            "it is no key that can be used: RSA from 2048 bits on, P-256, P-384, Ed25519",
        )
    })?;
    let pair = CertifiedKey::new(vec![cert.clone()], key);
    pair.keys_match()
        .map_err(|_| wrong("key", "it is not the certificate's key"))
}

/// As Java calls what signed it.
fn algorithm(id: &str) -> String {
    match id {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.10045.4.1" => "SHA1WITHECDSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        "1.3.101.112" => "ED25519",
        other => other,
    }
    .to_owned()
}

fn size(key: &PublicKey<'_>) -> usize {
    match key {
        PublicKey::RSA(_) | PublicKey::EC(_) => key.key_size(),
        // Ed25519 is not taken apart.
        _ => 256,
    }
}

fn pairs(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// As Java writes a date.
fn moment(time: ASN1Time) -> String {
    let read = chrono::DateTime::from_timestamp(time.timestamp(), 0);
    read.map(|time| time.format("%a %b %d %H:%M:%S UTC %Y").to_string())
        .unwrap_or_default()
}

/// The last part first, as RFC 2253 has it.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_attributes()
        .map(|part| {
            let id = part.attr_type();
            let word = oid2abbrev(id, oid_registry()).map_or_else(|_| id.to_id_string(), str::to_owned);
            format!("{word}={}", part.as_str().unwrap_or_default())
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn names(cert: &X509Certificate<'_>) -> Vec<String> {
    let extension = cert.subject_alternative_name().ok().flatten();
    let all = extension.map(|extension| &extension.value.general_names);
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    all.into_iter().flatten().filter_map(text).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384};

    use super::*;

    struct Signed {
        cert: String,
        key: String,
    }

    fn signed(name: &str, by: Option<(&CertificateParams, &KeyPair)>) -> (Signed, CertificateParams, KeyPair) {
        let mut params = CertificateParams::new([format!("{name}.example"), "10.0.0.7".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, "Twin");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let cert = match by {
            Some((issuer, issuer_key)) => params
                .signed_by(&key, &Issuer::from_params(issuer, issuer_key))
                .unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let signed = Signed {
            cert: cert.pem(),
            key: key.serialize_pem(),
        };
        (signed, params, key)
    }

    fn refusal(cert: &str, chain: Option<&str>, key: &str) -> String {
        let error = read(cert, chain, key).unwrap_err();
        format!("{}/{}", error.code.unwrap_or_default(), error.field.unwrap_or_default())
    }

    #[test]
    fn a_certificate_says_what_it_is() {
        let (leaf, _, _) = signed("leaf", None);
        let read = read(&leaf.cert, None, &leaf.key).unwrap();
        assert_eq!(read.names, ["leaf.example", "10.0.0.7"]);
        assert_eq!((read.common_name.as_str(), read.key_size), ("leaf", 384));
        assert_eq!(
            (read.algorithm.as_str(), read.version.as_str()),
            ("SHA384WITHECDSA", "3")
        );
        assert!(read.issuer.starts_with("O=Twin,CN=leaf"), "{}", read.issuer);
        assert_eq!(read.fingerprint.len(), 59);
        assert!(read.expires_at.contains(" UTC "), "{}", read.expires_at);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (authority, params, key) = signed("authority", None);
        let (leaf, _, _) = signed("leaf", Some((&params, &key)));
        let (stranger, _, _) = signed("stranger", None);
        assert!(read(&leaf.cert, Some(&authority.cert), &leaf.key).is_ok());
        assert_eq!(refusal(&leaf.cert, None, &stranger.key), "InvalidFormat/key");
        assert_eq!(
            refusal(&leaf.cert, Some(&stranger.cert), &leaf.key),
            "InvalidFormat/certChain"
        );
        assert_eq!(refusal("x", None, &leaf.key), "InvalidFormat/cert");
        assert_eq!(refusal(&leaf.cert, Some("x"), &leaf.key), "InvalidFormat/certChain");
        assert_eq!(refusal(&leaf.cert, None, "y"), "InvalidFormat/key");
        let broken = leaf.cert.replace("\nMII", "\nAAA");
        assert_eq!(refusal(&broken, None, &leaf.key), "InvalidFormat/certChain");
    }
}
