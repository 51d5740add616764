//! Port specifications: `[ip:][public:]private[/proto]`.

use std::fmt;

use super::{Error, ErrorKind, Result};

/// One published (or random, if `public` is none) port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortSpec {
    /// The address to bind; none is every address.
    pub ip: Option<String>,
    /// The port on the host; none means that someone still has to choose it.
    pub public: Option<u16>,
    /// The port in the container.
    pub private: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
}

impl PortSpec {
    /// Whether both want one port of one host.
    pub fn clashes(&self, other: &Self) -> bool {
        let is_everywhere = |ip: &Option<String>| ip.as_deref().is_none_or(|ip| matches!(ip, "" | "0.0.0.0" | "[::]"));
        let meets = self.ip == other.ip || is_everywhere(&self.ip) || is_everywhere(&other.ip);
        self.public.is_some() && self.public == other.public && self.protocol == other.protocol && meets
    }

    /// The first of these that wants the port of one before it.
    pub fn first_clash(ports: &[Self]) -> Option<&Self> {
        let mut all = ports.iter().enumerate();
        all.find_map(|(n, port)| ports.iter().take(n).any(|p| p.clashes(port)).then_some(port))
    }

    /// Reads every form the API accepts. Errors are the wire's own: `PortWrongFormat`, `PortInvalidPublicPort`,
    /// `PortInvalidPrivatePort`, `PortInvalidProtocol`, with a message and no field (cattle: `PortSpec`).
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |code: &'static str| {
            let words = match code {
                "PortInvalidPublicPort" => "incorrect public port, valid range is 0-65535",
                "PortInvalidPrivatePort" => "incorrect private port, valid range is 0-65535",
                "PortInvalidProtocol" => "invalid protocol, only tcp/udp is allowed",
                _ => "the specified port spec format is wrong",
            };
            Err(Error {
                field: None,
                ..Error::new(ErrorKind::Invalid).with_code(code).with_message(words)
            })
        };
        let (spec, protocol) = match text.rsplit_once('/') {
            None => (text, "tcp"),
            Some((spec, p)) if p.eq_ignore_ascii_case("tcp") => (spec, "tcp"),
            Some((spec, p)) if p.eq_ignore_ascii_case("udp") => (spec, "udp"),
            Some(_) => return refuse("PortInvalidProtocol"),
        };
        let (ip, rest) = if let Some(bracketed) = spec.strip_prefix('[') {
            let Some((ip, rest)) = bracketed.split_once("]:") else {
                return refuse("PortWrongFormat");
            };
            if ip.parse::<std::net::Ipv6Addr>().is_err() {
                return refuse("PortWrongFormat");
            }
            (Some(format!("[{ip}]")), rest)
        } else if spec.matches(':').count() == 2 {
            let Some((ip, rest)) = spec.split_once(':') else {
                return refuse("PortWrongFormat");
            };
            if ip.parse::<std::net::Ipv4Addr>().is_err() {
                return refuse("PortWrongFormat");
            }
            (Some(ip.to_owned()), rest)
        } else {
            (None, spec)
        };
        let (public, private) = match rest.split_once(':') {
            None => (None, rest),
            Some(("", private)) if ip.is_some() => (None, private),
            Some((public, private)) => (Some(public), private),
        };
        let number = |digits: &str| -> Option<i64> {
            (!digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|b| b.is_ascii_digit()))
                .then(|| digits.parse().ok())
                .flatten()
        };
        let in_range = |n: i64| u16::try_from(n).ok().filter(|n| *n > 0);
        let Some(private) = number(private) else {
            return refuse("PortWrongFormat");
        };
        let Some(private) = in_range(private) else {
            return refuse("PortInvalidPrivatePort");
        };
        let public = match public {
            None => None,
            Some(p) => {
                let Some(n) = number(p) else {
                    return refuse("PortWrongFormat");
                };
                let Some(n) = in_range(n) else {
                    return refuse("PortInvalidPublicPort");
                };
                Some(n)
            }
        };
        Ok(Self {
            ip,
            public,
            private,
            protocol,
        })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.ip, self.public) {
            (Some(ip), Some(public)) => write!(f, "{ip}:{public}:")?,
            (Some(ip), None) => write!(f, "{ip}::")?,
            (None, Some(public)) => write!(f, "{public}:")?,
            (None, None) => {}
        }
        write!(f, "{}/{}", self.private, self.protocol)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn port_specs_are_read_and_written_canonically() {
        for (text, canonical) in [
            ("80", "80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("8080:80/UDP", "8080:80/udp"),
            ("1.2.3.4:8080:80", "1.2.3.4:8080:80/tcp"),
            ("1.2.3.4::80", "1.2.3.4::80/tcp"),
            ("[::1]:8080:80", "[::1]:8080:80/tcp"),
        ] {
            assert_eq!(
                PortSpec::parse(text).map(|p| p.to_string()).ok().as_deref(),
                Some(canonical),
                "{text}"
            );
        }
    }

    #[test]
    fn bad_port_specs_have_their_own_codes() {
        for (text, code) in [
            (":45677", "PortWrongFormat"),
            ("a", "PortWrongFormat"),
            ("", "PortWrongFormat"),
            ("0", "PortInvalidPrivatePort"),
            ("80:65536", "PortInvalidPrivatePort"),
            ("65536:80", "PortInvalidPublicPort"),
            ("0:80", "PortInvalidPublicPort"),
            ("80/icmp", "PortInvalidProtocol"),
            ("1.2.3:80:80", "PortWrongFormat"),
            ("1:2:3:4", "PortWrongFormat"),
        ] {
            let error = PortSpec::parse(text).expect_err(text);
            assert_eq!(error.code.as_deref(), Some(code), "{text}");
        }
    }
}
