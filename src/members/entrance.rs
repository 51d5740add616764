//! What is done with each request that reaches a server that leads, before anything reads it.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{Error, HttpMessage as _, HttpResponse};

use super::hop::{self, Hop};
use super::refusal;
use crate::model::{Clock, Lease};
use crate::secret::Keeper;

/// Whether everybody who reaches the server may do everything, although that was not said for other machines.
type IsTooOpen = Arc<dyn Fn() -> bool + Send + Sync>;

/// Lets requests in as long as this server leads, and believes what the others say of who sent those that they pass on.
#[derive(Clone)]
pub struct Entrance(Option<Arc<Shared>>);

struct Shared {
    lease: Lease,
    keeper: Arc<Keeper>,
    clock: Arc<dyn Clock>,
    is_too_open: IsTooOpen,
}

impl Entrance {
    /// Of a server that shares nothing: nothing is done.
    pub fn open() -> Self {
        Self(None)
    }

    /// Of one of several. `is_too_open` says whether those from other machines have to be kept out.
    pub fn of(
        lease: Lease,
        keeper: Arc<Keeper>,
        clock: Arc<dyn Clock>,
        is_too_open: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Shared {
            lease,
            keeper,
            clock,
            is_too_open: Arc::new(is_too_open),
        })))
    }
}

impl Shared {
    /// Notes who sent it, if it was passed on; the answer, if it goes no further.
    fn look_at(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        if !self.lease.holds() {
            return Some(match request.path() {
                // Of the process, which is well.
                "/healthz" => HttpResponse::Ok()
                    .content_type("text/plain; charset=utf-8")
                    .body("ok, and does not lead at the moment"),
                _ => not_leading(),
            });
        }
        let said = request.headers().get(hop::HEADER)?.to_str().ok()?;
        let hop = Hop::read(said, &self.keeper, self.clock.now())?;
        request.extensions_mut().insert(hop.from);
        (hop.is_outward && (self.is_too_open)()).then(|| {
            let why = "access control is off, and the server that was asked can be reached from other machines: \
                       turn it on, or start all servers with --open-access";
            refused(StatusCode::FORBIDDEN, "Forbidden", why)
        })
    }
}

fn not_leading() -> HttpResponse {
    let why = "this server does not lead at the moment; nothing was done";
    refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", why)
}

fn refused(status: StatusCode, code: &str, why: &str) -> HttpResponse {
    let mut answer = HttpResponse::build(status);
    answer.content_type("application/json");
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer
            .insert_header((hop::NOT_LEADING, "true"))
            .insert_header((RETRY_AFTER, "1"));
    }
    answer.body(refusal::body(status.as_u16(), code, why))
}

impl<S, B> Transform<S, ServiceRequest> for Entrance
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Entered<S>;
    type InitError = ();
    type Future = std::future::Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Entered {
            service,
            shared: self.0.clone(),
        }))
    }
}

/// What is behind the entrance.
pub struct Entered<S> {
    service: S,
    shared: Option<Arc<Shared>>,
}

impl<S, B> Service<ServiceRequest> for Entered<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match self.shared.as_ref().and_then(|shared| shared.look_at(&request)) {
            Some(refused) => Box::pin(ready(Ok(request.into_response(refused)))),
            None => {
                let answer = self.service.call(request);
                Box::pin(async move { Ok(answer.await?.map_into_boxed_body()) })
            }
        }
    }
}
