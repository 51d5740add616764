//! Tokens for streams: whoever has one may watch or do one thing, for a few minutes. A browser cannot send
//! a login along with a WebSocket, so the address of one carries this instead.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::engine::core::Core;
use crate::model::{Error, ErrorKind, ResourceId, Result};
use crate::runtime::streams::{ExecWanted, LogsWanted, PortWanted};

/// How long a token opens its stream; one that is open stays so.
const VALID: Duration = Duration::from_secs(300);
/// How long a token carries requests to a port: who looks at pages does so for longer (cattle: `ContainerProxyActionHandler`).
const VALID_FOR_PORTS: Duration = Duration::from_secs(57_600);
/// Who says that its bearer may (cattle: `TokenServiceImpl`).
const ISSUER: &str = "http://cattle.io";
/// What all tokens begin with, as JSON Web Tokens do.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// What is signed is no other text that this server signs.
const CONTEXT: &str = "token of a stream: ";

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stream {
    /// To read a container's log.
    Logs(LogsWanted),
    /// To run a command in it.
    Exec(ExecWanted),
    /// To send requests to a port of it.
    Proxy(PortWanted),
    /// To speak with the engine of a host.
    DockerSocket,
    /// To see what it, or all that belong to it, use.
    Stats(StatsOf),
}

/// Whose use of processors, memory, network and disks is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatsOf {
    /// Of the container, or of those of the service, the stack or the host.
    Containers,
    /// Of the host, or of all hosts of the project.
    Hosts,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    iss: String,
    /// Seconds of Unix time.
    exp: i64,
    /// The account that asked for it.
    account: i64,
    /// The row of the container, or of what has it.
    resource: i64,
    #[serde(flatten)]
    stream: Stream,
}

impl Ticket {
    /// The account that asked for it.
    pub(crate) fn account(&self) -> ResourceId {
        ResourceId(self.account)
    }

    /// The row of the container, or of what has it.
    pub(crate) fn resource(&self) -> ResourceId {
        ResourceId(self.resource)
    }

    /// What it is for.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }
}

impl Core {
    /// A token for a stream of a container, or of what has it.
    pub(crate) fn stream_token(&self, account: ResourceId, resource: ResourceId, stream: Stream) -> Result<String> {
        let valid = match stream {
            Stream::Proxy(_) => VALID_FOR_PORTS,
            Stream::Logs(_) | Stream::Exec(_) | Stream::DockerSocket | Stream::Stats(_) => VALID,
        };
        let ticket = Ticket {
            iss: ISSUER.to_owned(),
            exp: self.now().plus(valid).0 / 1_000,
            account: account.0,
            resource: resource.0,
            stream,
        };
        let claims = serde_json::to_string(&ticket).map_err(|e| Error::internal("writing a token", e))?;
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.config.secrets.signature(CONTEXT, &text);
        Ok(format!("{text}.{signature}"))
    }

    /// What a token lets its bearer do.
    ///
    /// # Errors
    /// 401 if it is none of this server's, or too old.
    pub(crate) fn read_stream_token(&self, token: &str) -> Result<Ticket> {
        let read = || {
            let (text, signature) = token.rsplit_once('.')?;
            let expected = self.config.secrets.signature(CONTEXT, text);
            if !crate::secret::is_same(expected.as_bytes(), signature.as_bytes()) {
                return None;
            }
            let claims = URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?;
            let ticket: Ticket = serde_json::from_slice(&claims).ok()?;
            (ticket.exp > self.now().0 / 1_000).then_some(ticket)
        };
        read().ok_or_else(|| Error::new(ErrorKind::Unauthorized))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::testkit;

    #[tokio::test]
    async fn a_token_opens_what_it_is_for_until_it_is_too_old() {
        let (_folder, core, clock) = testkit::with_clock();
        let wanted = Stream::Exec(ExecWanted {
            command: vec!["sh".into()],
            tty: true,
            stdin: true,
            stdout: true,
            user: None,
            folder: None,
            environment: Vec::new(),
        });
        let token = core.stream_token(ResourceId(7), ResourceId(9), wanted.clone()).unwrap();
        assert_eq!(token.matches('.').count(), 2, "{token}");
        let ticket = core.read_stream_token(&token).unwrap();
        assert_eq!((ticket.account(), ticket.resource()), (ResourceId(7), ResourceId(9)));
        assert_eq!(ticket.stream(), &wanted);

        // Whatever is changed in it, it is none.
        for (nth, _) in token.char_indices().step_by(7) {
            let mut other = token.clone().into_bytes();
            let byte = other.get_mut(nth).unwrap();
            *byte = if *byte == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            if other != token {
                assert!(core.read_stream_token(&other).is_err(), "{other}");
            }
        }
        for none in ["", ".", "..", "a.b.c"] {
            assert!(core.read_stream_token(none).is_err(), "{none}");
        }

        clock.advance(VALID - Duration::from_secs(1));
        assert!(core.read_stream_token(&token).is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(core.read_stream_token(&token).is_err());
    }
}
