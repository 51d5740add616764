//! Where things are: the server, from the address of a registration, and the engine's socket.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::failure::Failure;
use crate::tunnel::PATH;

/// A server, and a token for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Scheme, authority and what stands before the API's version.
    pub base: String,
    /// The registration token; none once the agent has joined.
    pub token: Option<String>,
}

impl Place {
    /// Reads `http(s)://HOST[/PREFIX]/VERSION[/projects/ID]/scripts/TOKEN`.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::config(
                "the URL is not the registrationUrl of a registration token, http(s)://HOST/v2-beta/projects/ID/scripts/TOKEN",
            )
        };
        let (before, token) = url.trim().rsplit_once("/scripts/").ok_or_else(bad)?;
        let token = percent_decode_str(token.trim_end_matches('/'))
            .decode_utf8()
            .map_err(|_| bad())?;
        let at = ["/v1", "/v2-beta"].into_iter().filter_map(|version| {
            let at = before.rfind(version)?;
            let rest = before.get(at + version.len()..)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(at)
        });
        let base = before.get(..at.max().ok_or_else(bad)?).ok_or_else(bad)?;
        let is_web = ["http://", "https://"]
            .iter()
            .any(|scheme| base.len() > scheme.len() && base.starts_with(scheme));
        let is_text = |text: &str| !text.contains(|c: char| c.is_control() || c.is_whitespace());
        if !is_web || token.is_empty() || !is_text(&token) || !is_text(base) {
            return Err(bad());
        }
        Ok(Self {
            base: base.to_owned(),
            token: Some(token.into_owned()),
        })
    }

    /// Where the tunnel begins.
    pub fn tunnel(&self) -> String {
        // `http` becomes `ws`, `https` becomes `wss`.
        format!("{}/v2-beta/{PATH}", self.base.replacen("http", "ws", 1))
    }

    /// Where the server tells who its authority is.
    pub fn authority(&self) -> String {
        format!("{}/v1/scripts/ca.crt", self.base)
    }

    /// Whether the server is asked by TLS.
    pub fn is_by_tls(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// Whether others on the way can read and change what is said.
    pub fn is_plain(&self) -> bool {
        let rest = self.base.strip_prefix("http://").unwrap_or_default();
        let is_here = ["127.", "localhost", "[::1]"].iter().any(|own| rest.starts_with(own));
        !rest.is_empty() && !is_here
    }
}

/// The path of a Unix socket; nothing else is led to.
pub fn socket(docker: &str) -> Result<PathBuf, Failure> {
    let path = docker.strip_prefix("unix://").unwrap_or(docker);
    if path.starts_with('/') {
        Ok(path.into())
    } else {
        Err(Failure::config(format!(
            "--docker {docker:?}: an agent leads to the engine of its own machine, unix:///PATH"
        )))
    }
}

/// What this machine calls itself.
pub fn machine_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    read.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_says_where_the_server_is() {
        let place = |url: &str| {
            Place::parse(url)
                .ok()
                .map(|p| (p.tunnel(), p.token.unwrap_or_default()))
        };
        for (url, tunnel, token) in [
            (
                "http://h:8080/v1/scripts/A:1:B",
                "ws://h:8080/v2-beta/agenttunnel",
                "A:1:B",
            ),
            (
                "https://h/drover/v2-beta/projects/1a5/scripts/A:1:b%2Bc%3D",
                "wss://h/drover/v2-beta/agenttunnel",
                "A:1:b+c=",
            ),
        ] {
            assert_eq!(place(url), Some((tunnel.to_owned(), token.to_owned())), "{url}");
        }
        for none in [
            "",
            "h/v1/scripts/A",
            "http://h/scripts/A",
            "http:///v1/scripts/",
            "ftp://h/v1/scripts/A",
            "http://h/v1/scripts/a%0Ab",
        ] {
            assert_eq!(place(none), None, "{none}");
        }
        let is_plain = |base: &str| {
            Place {
                base: base.into(),
                token: None,
            }
            .is_plain()
        };
        assert!(is_plain("http://10.0.0.1") && !is_plain("http://127.0.0.1:8080") && !is_plain("https://10.0.0.1"));
    }
}
