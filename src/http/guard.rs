//! Who may speak to a server without access control: not the pages of other sites.
//!
//! While access is open, whoever can send a request may do everything. A web page that the owner of this machine
//! happens to visit can send requests too: straight from its own origin, or through a name of its own that it lets
//! resolve to this machine (DNS rebinding). So the `Host` has to be a name we go by, and an `Origin`, which browsers
//! set and pages cannot, has to be that same host. Plain GETs come without an `Origin`, for a page may show pictures
//! from anywhere: so whoever lets requests in sees to it that a GET stays a GET. What is asked for, and who asks, is not
//! looked at here.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

use crate::model::{Error, ErrorKind, Result};

/// The check, with the names this server goes by beside the loopback ones.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<Authority>,
}

/// A host and the port that was written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    /// Lower case, without brackets and without a dot at the end.
    host: String,
    port: Option<u16>,
}

impl Guard {
    /// `allowed_hosts`: `name` for every port, `name:port` for that one; what is no host is left out.
    pub fn new(allowed_hosts: &[String]) -> Self {
        Self {
            allowed: allowed_hosts
                .iter()
                .filter_map(|h| Authority::parse(h.trim()))
                .collect(),
        }
    }

    /// 403 for a request that comes from another site or asks for a host that is not this one.
    pub fn check(&self, headers: &HeaderMap) -> Result<()> {
        let refused = |why: &str| Err(Error::new(ErrorKind::Forbidden).with_message(why));
        let mut hosts = headers.get_all(HOST);
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(Authority::parse),
            _ => None,
        };
        let Some(host) = host else {
            return refused("the request names no host");
        };
        if !self.knows(&host) {
            return refused("this server does not go by that host name; see --allowed-host");
        }
        for origin in headers.get_all(ORIGIN) {
            let same = origin.to_str().is_ok_and(|origin| self.is_same_site(origin, &host));
            if !same {
                return refused("requests from pages of other sites are refused");
            }
        }
        Ok(())
    }

    /// 403 for a request that a page of another site sends along with this site's cookie. The host may be any: cookies
    /// are a host's own. Behind a proxy it is the one the proxy was asked for.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<()> {
        let mut origins = headers.get_all(ORIGIN).peekable();
        if origins.peek().is_none() {
            return Ok(());
        }
        let named = |name: &str| {
            headers
                .get(name)?
                .to_str()
                .ok()?
                .split(',')
                .next()
                .map(str::trim)
                .and_then(Authority::parse)
        };
        let hosts = [named(HOST.as_str()), named("x-forwarded-host")];
        let is_same = |origin: &str| hosts.iter().flatten().any(|host| self.is_same_site(origin, host));
        match origins.all(|origin| origin.to_str().is_ok_and(is_same)) {
            true => Ok(()),
            false => {
                Err(Error::new(ErrorKind::Forbidden).with_message("requests from pages of other sites are refused"))
            }
        }
    }

    fn knows(&self, host: &Authority) -> bool {
        host.is_loopback()
            || self
                .allowed
                .iter()
                .any(|a| a.host == host.host && (a.port.is_none() || a.port == host.port))
    }

    /// An origin is `scheme://host[:port]`, or `null` for pages that have none: those are nobody's.
    fn is_same_site(&self, origin: &str, host: &Authority) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let Some(origin) = Authority::parse(authority) else {
            return false;
        };
        // A Host without a port leaves the scheme open (a proxy may have taken TLS off): both default ports fit it.
        let origin_port = origin.port.unwrap_or(default_port);
        let same_port = host
            .port
            .map_or(origin_port == default_port, |port| port == origin_port);
        let is_allowed = !origin.is_loopback() && self.knows(&origin);
        (origin.host == host.host && same_port) || is_allowed
    }
}

impl Authority {
    /// Reads `name`, `name:port`, `[v6]` and `[v6]:port`; `None` for everything else.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                let port = match after {
                    "" => None,
                    after => Some(after.strip_prefix(':')?),
                };
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(is_name) {
            return None;
        }
        let port = match port {
            None => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        Some(Self { host, port })
    }

    fn is_loopback(&self) -> bool {
        // Only whole addresses: `127.0.0.1.evil.example` is a name.
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) => v4.is_loopback(),
            Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.to_ipv4_mapped().as_ref().is_some_and(Ipv4Addr::is_loopback),
            Err(_) => self.host == "localhost",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use actix_web::http::header::HeaderValue;

    fn passes(allowed: &[&str], host: Option<&str>, origin: Option<&str>) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|s| (*s).to_owned()).collect();
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        if let Some(origin) = origin {
            headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        Guard::new(&allowed).check(&headers).is_ok()
    }

    #[test]
    fn only_our_own_host_names_are_answered() {
        let allowed = ["drover.example", "10.0.0.7:8080", "fd00::1"];
        for good in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:1",
            "localhost.",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:80",
            "drover.example",
            "Drover.Example.:9000",
            "10.0.0.7:8080",
        ] {
            assert!(passes(&allowed, Some(good), None), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "evil.example:127",
            "10.0.0.7",
            "10.0.0.7:80",
            "192.168.1.1",
            "[fe80::1]:80",
            "[::1",
            "::1",
            "localhost:80:80",
            "localhost:x",
            "localhost:99999",
            "localhost@evil.example",
            "localhost/x",
            "0.0.0.0",
            "x.drover.example",
        ] {
            assert!(!passes(&allowed, Some(bad), None), "{bad}");
        }
        assert!(!passes(&allowed, None, None), "no Host at all");
    }

    #[test]
    fn two_hosts_are_no_host() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("localhost"));
        headers.append(HOST, HeaderValue::from_static("evil.example"));
        assert!(Guard::default().check(&headers).is_err());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let allowed = ["drover.example"];
        let cases = [
            ("localhost:8080", "http://localhost:8080", true),
            ("localhost:8080", "http://LOCALHOST:8080", true),
            ("localhost", "http://localhost", true),
            ("localhost", "https://localhost", true),
            ("localhost:80", "http://localhost", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("drover.example", "https://drover.example", true),
            ("localhost:8080", "https://drover.example", true),
            ("localhost:8080", "http://localhost:3000", false),
            ("localhost:8080", "http://127.0.0.1:8080", false),
            ("localhost:8080", "http://localhost", false),
            ("localhost", "http://localhost:3000", false),
            ("localhost:8080", "https://evil.example", false),
            ("localhost:8080", "null", false),
            ("localhost:8080", "", false),
            ("localhost:8080", "file://", false),
            ("localhost:8080", "chrome-extension://localhost:8080", false),
            ("localhost:8080", "http://localhost:8080.evil.example", false),
            ("drover.example", "http://evil.example", false),
            ("evil.example", "http://evil.example", false),
        ];
        for (host, origin, expected) in cases {
            assert_eq!(
                passes(&allowed, Some(host), Some(origin)),
                expected,
                "{host} from {origin}"
            );
        }
    }
}
