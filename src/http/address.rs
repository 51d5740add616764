//! Addresses: where a request comes from, and where its sender sent it.
//!
//! Both may have been changed on the way by proxies. What a proxy says of the client counts only if the proxy is trusted;
//! what it says of the address asked for only has to be well-formed. What is done with an address does not belong here.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HOST, HeaderMap};
use actix_web::{HttpMessage as _, HttpRequest};

use super::headers::first_item;
use super::json::push_lower;

/// What another server of ours, which passed a request on, says of who sent it. It is among the extensions of a request of which it
/// was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassedOn {
    /// Whom the other server heard it from.
    pub peer: IpAddr,
    /// Whether that connection is in TLS.
    pub is_secured: bool,
}

/// Where a request comes from: the peer, or what a trusted proxy says.
pub fn client(request: &HttpRequest, trusted_proxies: &[IpAddr]) -> Option<IpAddr> {
    let passed_on = request.extensions().get::<PassedOn>().copied();
    let peer = passed_on.map(|passed_on| passed_on.peer);
    let peer = peer.or_else(|| request.peer_addr().map(|address| address.ip()));
    client_ip(request.headers(), peer, trusted_proxies)
}

/// Whether the client speaks in TLS with this program.
pub fn is_secured(request: &HttpRequest) -> bool {
    let passed_on = request.extensions().get::<PassedOn>().copied();
    passed_on.map_or_else(|| request.app_config().secure(), |passed_on| passed_on.is_secured)
}

fn client_ip(headers: &HeaderMap, peer: Option<IpAddr>, trusted_proxies: &[IpAddr]) -> Option<IpAddr> {
    // Each proxy adds whom it heard from at the end. What stands before the first who is not trusted is that one's own tale.
    let said = headers
        .get_all("x-forwarded-for")
        .filter_map(|value| value.to_str().ok());
    let mut hops: Vec<&str> = said.flat_map(|list| list.split(',')).map(str::trim).collect();
    let mut client = peer?;
    while trusted_proxies.contains(&client)
        && let Some(before) = hops.pop().and_then(address_of)
    {
        client = before;
    }
    Some(client)
}

/// An address as proxies write it: with a port or without.
fn address_of(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|a| a.ip());
    text.parse().ok().or_else(with_port)
}

/// Scheme, host and port as the client sees them. Forwarded values count only if they are well-formed. `is_secured` says that the
/// connection itself is in TLS.
pub fn origin(headers: &HeaderMap, is_secured: bool) -> String {
    let host = first_item(headers, HOST.as_str())
        .filter(|h| is_host(h))
        .unwrap_or("localhost");
    let port = first_item(headers, "x-forwarded-port").filter(|p| is_port(p));
    let proto = match first_item(headers, "x-forwarded-proto") {
        Some(p) if p.eq_ignore_ascii_case("https") => Some("https"),
        Some(p) if p.eq_ignore_ascii_case("http") => Some("http"),
        _ => (port == Some("443")).then_some("https"),
    };
    let own = if is_secured { "https" } else { "http" };
    let mut out = String::with_capacity(host.len() + 16);
    out.push_str(proto.unwrap_or(own));
    out.push_str("://");
    let (host, port) = match proto {
        None => split_port(host),
        Some(_) => {
            let host = first_item(headers, "x-forwarded-host")
                .filter(|h| is_host(h))
                .unwrap_or(host);
            let (host, own) = split_port(host);
            (host, port.or(own))
        }
    };
    push_lower(&mut out, host);
    // 443 without a known protocol would be plain HTTP on that port: only then it has to stay.
    if let Some(port) = port.filter(|p| *p != "80" && (*p != "443" || (proto.is_none() && !is_secured))) {
        out.push(':');
        out.push_str(port);
    }
    out
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `name`, `name:80`, `[::1]`, `[::1]:80`.
fn is_host(text: &str) -> bool {
    let (host, port) = split_port(text);
    let is_name = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        }
    };
    is_name && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::http::fixture::headers;

    #[test]
    fn links_begin_with_what_the_client_sees() {
        let cases: [(&[(&str, &str)], &str); 18] = [
            (&[("host", "H.example:8080")], "http://h.example:8080"),
            (&[("host", "h:80")], "http://h"),
            (&[("host", "h:443")], "http://h:443"),
            (&[("host", "[::1]:8080")], "http://[::1]:8080"),
            (&[("host", "[::1]")], "http://[::1]"),
            (&[("host", "a\"b")], "http://localhost"),
            (&[("host", "a/b")], "http://localhost"),
            (&[], "http://localhost"),
            (&[("host", "h"), ("x-forwarded-host", "f")], "http://h"),
            (&[("host", "h:8080"), ("x-forwarded-proto", "https")], "https://h:8080"),
            (
                &[
                    ("host", "h:8080"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-port", "443"),
                ],
                "https://h",
            ),
            (&[("host", "h:8080"), ("x-forwarded-port", "443")], "https://h"),
            (&[("host", "h:8080"), ("x-forwarded-port", "81")], "http://h:8080"),
            (
                &[
                    ("host", "h"),
                    ("x-forwarded-proto", "HTTPS, http"),
                    ("x-forwarded-host", "f:1, g"),
                ],
                "https://f:1",
            ),
            (
                &[
                    ("host", "h"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "f\"><script>"),
                ],
                "https://h",
            ),
            (
                &[
                    ("host", "h"),
                    ("x-forwarded-proto", "javascript"),
                    ("x-forwarded-host", "f"),
                ],
                "http://h",
            ),
            (
                &[("host", "h"), ("x-forwarded-proto", "http"), ("x-forwarded-port", "9x")],
                "http://h",
            ),
            (
                &[
                    ("host", "[::1]:1"),
                    ("x-forwarded-proto", "http"),
                    ("x-forwarded-port", "99"),
                ],
                "http://[::1]:99",
            ),
        ];
        for (list, expected) in cases {
            assert_eq!(origin(&headers(list), false), expected, "{list:?}");
        }
        let secured: [(&[(&str, &str)], &str); 3] = [
            (&[("host", "h:8443")], "https://h:8443"),
            (&[("host", "h:443")], "https://h"),
            (&[("host", "h:8443"), ("x-forwarded-proto", "http")], "http://h:8443"),
        ];
        for (list, expected) in secured {
            assert_eq!(origin(&headers(list), true), expected, "{list:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        let ip = |text: &str| Some(text.parse().unwrap());
        let seen = |forwarded, trusted: &[std::net::IpAddr]| {
            client_ip(&headers(&[("x-forwarded-for", forwarded)]), ip("10.0.0.1"), trusted)
        };
        let proxy = ["10.0.0.1".parse().unwrap()];
        assert_eq!(seen("1.2.3.4", &[]), ip("10.0.0.1"));
        assert_eq!(
            seen("1.2.3.4, 5.6.7.8", &proxy),
            ip("5.6.7.8"),
            "the first is what the client said"
        );
        let both = ["10.0.0.1".parse().unwrap(), "5.6.7.8".parse().unwrap()];
        assert_eq!(seen("6.6.6.6, 1.2.3.4, 5.6.7.8", &both), ip("1.2.3.4"));
        assert_eq!(seen("nonsense, 5.6.7.8", &both), ip("5.6.7.8"));
        assert_eq!(seen("1.2.3.4:99", &proxy), ip("1.2.3.4"));
        assert_eq!(seen("nonsense", &proxy), ip("10.0.0.1"));
    }
}
