//! What a balancer does: where it listens, which way each request goes, and to whom. The engine makes a table of rows;
//! `src/balancer` makes of it what HAProxy reads.
//!
//! What a user wrote and what becomes a word of a configuration is checked by the functions here, by whoever takes it in and
//! again by whoever writes it down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that one balancer is to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// Grows with each change.
    pub number: u64,
    /// Each port once.
    pub listeners: Vec<Listener>,
    /// Shown to who asks for a name that one of them has; the first to all others.
    pub certificates: Vec<Certificate>,
    /// How a client stays with the server that it had.
    pub stickiness: Option<Stickiness>,
    /// Lines of HAProxy's own, by sections.
    pub config: String,
}

/// A port, and the rules of it in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// The port.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether connections begin with a line of the PROXY protocol.
    pub accepts_proxy: bool,
    /// Which way requests go.
    pub rules: Vec<Rule>,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP.
    #[default]
    Http,
    /// HTTP in TLS, which ends here.
    Https,
    /// Anything.
    Tcp,
    /// Anything in TLS, which ends here.
    Tls,
    /// TLS, which ends at the server: only the name is read.
    Sni,
}

impl Protocol {
    /// By the API's word for it; none for what cannot be balanced.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "http" => Self::Http,
            "https" => Self::Https,
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            "sni" => Self::Sni,
            _ => return None,
        })
    }

    /// Whether requests are read.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether it needs a certificate.
    pub fn ends_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether the name that a client wants can be known.
    pub fn knows_host(self) -> bool {
        self != Self::Tcp
    }
}

/// Some requests, and the servers that they go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// See [`is_host`]; empty is any.
    pub host: String,
    /// See [`is_path`]; empty is any.
    pub path: String,
    /// Lower ones first, and those without last.
    pub priority: Option<u32>,
    /// What the user calls the servers of this rule; empty if that does not matter.
    pub backend: String,
    /// How much of the requests each of these servers gets, beside those of other rules that lead to the same place.
    pub weight: Option<u16>,
    /// By what they are told apart.
    pub targets: BTreeMap<String, Target>,
}

/// A server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// An address, or a host name.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// It is on its way out: only who has been there already goes there.
    pub is_draining: bool,
}

/// A certificate with what belongs to it, in PEM.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Who signed it; may be empty.
    pub chain: String,
    /// Its key.
    pub key: String,
}

/// Without the key.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("cert", &self.cert)
            .finish_non_exhaustive()
    }
}

/// A cookie by which a client's server is known again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stickiness {
    /// The cookie's name.
    pub cookie: String,
    /// Whose it is; empty for the host that was asked.
    pub domain: String,
    /// Who writes it.
    pub mode: Mode,
    /// The server does not see it.
    pub indirect: bool,
    /// Answers that set it are not kept by caches.
    pub nocache: bool,
    /// Only answers to a POST set it.
    pub postonly: bool,
}

/// Who writes the cookie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The balancer.
    #[default]
    Insert,
    /// The server, and the balancer puts its own word in place of the server's.
    Rewrite,
    /// The server, and the balancer puts its own word before the server's.
    Prefix,
}

/// A line to a balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Feed {
    /// What it is to do from now on.
    Table(Box<Table>),
    /// Nothing: only how it stands is asked.
    Look,
}

/// What a balancer answers to each line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// How it stands.
    Stands(Standing),
    /// The line could not be done, and nothing is other than it was.
    Refused(String),
}

/// How a balancer stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The table that it goes by.
    pub number: u64,
    /// Why it does not go by all of it: then it goes by the last one that was good, but for the servers, which are these.
    pub complaint: Option<String>,
    /// How many connections servers have that are on their way out.
    pub draining: BTreeMap<String, u64>,
}

/// Whether a host name, or a name with one `*` at its beginning or end, can be looked for.
pub fn is_host(host: &str) -> bool {
    let plain = host
        .strip_prefix('*')
        .or_else(|| host.strip_suffix('*'))
        .unwrap_or(host);
    host.len() <= 255
        && !host.is_empty()
        && plain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Whether a path can be looked for: the beginning of one, or its end after a `*`; a `*` at its end says nothing more.
pub fn is_path(path: &str) -> bool {
    let plain = path.strip_prefix('*').unwrap_or(path);
    let plain = plain.strip_suffix('*').unwrap_or(plain);
    let begins = path.starts_with('/') || path.starts_with('*');
    path.len() <= 1024
        && begins
        && plain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._~%!$&()+,;=:@-".contains(&b))
}

/// Whether servers can be called so.
pub fn is_backend(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'))
}

/// Whether a cookie can be called so.
pub fn is_cookie(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Whether a cookie can be of this domain.
pub fn is_domain(domain: &str) -> bool {
    is_host(domain) && !domain.contains('*')
}

/// Whether something can be reached by this address or host name.
pub fn is_address(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok() || is_domain(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_hosts_paths_and_names() {
        for (host, expected) in [
            ("example.com", true),
            ("*.example.com", true),
            ("example.*", true),
            ("*", true),
            ("a_b-c.d", true),
            ("", false),
            ("*a*", false),
            ("a b", false),
            ("a\nb", false),
            ("a}", false),
            ("\"a\"", false),
            ("a#", false),
        ] {
            assert_eq!(is_host(host), expected, "{host}");
        }
        for (path, expected) in [
            ("/", true),
            ("/a/b.c?", false),
            ("/a%20b", true),
            ("*.php", true),
            ("/a*", true),
            ("a", false),
            ("/a b", false),
            ("/a\r\n", false),
            ("/a\\", false),
            ("/a'", false),
        ] {
            assert_eq!(is_path(path), expected, "{path}");
        }
        assert!(is_backend("my-back_end.1") && !is_backend("a b") && !is_backend(""));
        assert!(is_cookie("JSESSIONID") && !is_cookie("a b") && !is_cookie("a;b"));
        assert!(is_address("10.0.0.1") && is_address("::1") && is_address("db.example.com") && !is_address("a b"));
    }

    #[test]
    fn a_key_is_not_among_what_is_printed() {
        let certificate = Certificate {
            key: "secret".into(),
            ..Certificate::default()
        };
        assert!(!format!("{certificate:?}").contains("secret"));
    }
}
