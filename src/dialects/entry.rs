//! How a request enters any interface: from where it comes, its body, who sent it, and what the audit log says of it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, web};

use crate::auth::{Gate, Presented};
use crate::engine::{Engine, Scope};
use crate::http::guard::Guard;
use crate::http::headers::one_text;
use crate::http::sockets::Admission;
use crate::http::{address, body};
use crate::model::Result;
use crate::schema::Version;

/// What the requests of all interfaces share, so that guesses, bytes and sockets are counted once.
#[derive(Clone)]
pub struct Entry {
    /// Does what is asked.
    pub engine: Arc<Engine>,
    /// Lets requests in.
    pub gate: Arc<Gate>,
    /// Keeps pages of other sites out.
    pub guard: Guard,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// How long a body may take to arrive.
    pub body_patience: Duration,
    /// Counts what arrives.
    pub intake: Arc<body::Intake>,
    /// Counts what stays open.
    pub sockets: Arc<Admission>,
}

/// What a request says of who sent it, if the header `Authorization` does not say it alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Claim<'r> {
    /// In the place of the header `Authorization`.
    pub shown: Option<&'r str>,
    /// The project that the path names.
    pub project: Option<&'r str>,
    /// Nobody comes in without good credentials, though the server may be open.
    pub must_prove: bool,
}

impl Entry {
    /// Where a request comes from.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        address::client(request, &self.trusted_proxies)
    }

    /// While access is open, pages of other sites are kept out.
    pub fn guard_open(&self, request: &HttpRequest) -> Result<()> {
        match self.engine.policy()?.is_on {
            true => Ok(()),
            false => self.guard.check(request.headers()),
        }
    }

    /// Takes the whole body in. A `long` one may be twice as long as others.
    ///
    /// # Errors
    /// 413 for more, 408 for one that takes too long, 429 for too much at a time.
    pub async fn body(&self, request: &HttpRequest, payload: &mut web::Payload, long: bool) -> Result<Vec<u8>> {
        let intake = self.intake.open(self.client_or_none(request));
        let (headers, patience) = (request.headers(), self.body_patience);
        match long {
            true => body::read_long(headers, payload, patience, intake).await,
            false => body::read(headers, payload, patience, intake).await,
        }
    }

    /// What a request shows of who sent it: the header, or `shown` in its place. A cookie opens nothing here, and neither does a
    /// parameter.
    pub fn presented<'r>(&self, request: &'r HttpRequest, claim: Claim<'r>) -> Presented<'r> {
        let header = || one_text(request.headers(), AUTHORIZATION.as_str());
        Presented {
            authorization: claim.shown.or_else(header),
            cookie: None,
            parameter: None,
            project: claim.project,
            client_key: None,
            enforce: claim.must_prove || claim.shown.is_some(),
            client: self.client_or_none(request),
        }
    }

    /// Where a request comes from, as it is counted: one of whom that is not known is everybody's.
    pub fn client_or_none(&self, request: &HttpRequest) -> IpAddr {
        self.client(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// Where a request comes from, as the audit log has it; empty if that is not known.
    pub fn client_text(&self, request: &HttpRequest) -> String {
        self.client(request).map(|ip| ip.to_string()).unwrap_or_default()
    }

    /// Who asks, in one project.
    ///
    /// # Errors
    /// 401 for nobody, 403 for a project that is not the caller's, 429 for too many wrong passwords and keys.
    pub async fn admit(&self, request: &HttpRequest, claim: Claim<'_>) -> Result<Scope> {
        let headers = request.headers();
        let presented = self.presented(request, claim);
        let admitted = self.gate.admit(Version::V2Beta, &presented).await?;
        if headers.contains_key(AUTHORIZATION) {
            self.guard.check_origin(headers)?;
        }
        self.engine.in_one_project(admitted.scope)
    }

    /// Writes the audit row of a request that wrote none with a change: it was refused, or there was nothing to change. `said` is
    /// the body of the refusal.
    pub async fn record(&self, scope: &Scope, status: StatusCode, said: Option<String>) {
        let is_recorded = |scope: &Scope| scope.attempt.as_ref().is_none_or(|attempt| attempt.is_recorded());
        if is_recorded(scope) {
            return;
        }
        let recorded = self.engine.record(scope, status.as_u16(), said).await;
        if let Err(error) = recorded {
            log::error!("the audit log misses a request answered {status}: {}", error.chain());
        }
    }
}
