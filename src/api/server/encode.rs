//! How an answer of JSON or a page goes out: compressed if the client takes that, and not at all if the client has it.
//!
//! The length of a compressed answer tells something of what is in it. Where a secret stands beside what somebody else may
//! have chosen, that can be used to guess it letter by letter (BREACH): such answers go as they are.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Bytes;

use super::respond::Parts;
use crate::api::wire::call::block;
use crate::api::wire::request::Verb;
use crate::api::wire::route::Target;
use crate::http::encoding::{self, Coding};
use crate::http::headers::put;
use crate::schema::{FieldType, Relation, TypeView, View};

/// Types whose rows show what opens something, beside those with a password among their fields.
const TELLING: [&str; 8] = [
    "registrationToken",
    "token",
    "setting",
    "activeSetting",
    "apiKey",
    "certificate",
    "hostApiProxyToken",
    "configContent",
];

/// Longer bodies are compressed where they keep nobody waiting.
const LONG: usize = 64 * 1024;

/// In which way the answer to a request goes out; none: as it is.
pub fn coding(parts: &Parts<'_>, view: Option<&View>, status: StatusCode) -> Option<Coding> {
    let verb = Verb::of(parts.request.method(), &parts.query);
    let is_asked = verb == Verb::Get && status == StatusCode::OK;
    let coding = is_asked.then(|| Coding::accepted(parts.request.headers())).flatten();
    // Asked last, as it looks at each field of a type.
    coding.filter(|_| view.is_some_and(|view| may_be_short(parts, view)))
}

/// Whether the length of what is at a path may be known.
fn may_be_short(parts: &Parts<'_>, view: &View) -> bool {
    let is_open = |segment: &str| view.find_by_path(segment).is_some_and(|ty| !tells(ty));
    match &parts.route.target {
        Target::Root
        | Target::VersionIndex
        | Target::Schemas
        | Target::Schema(_)
        | Target::OpenApi
        | Target::Beside { .. } => true,
        // What comes along is of any type.
        _ if parts.query.has("include") => false,
        Target::Collection(ty) | Target::Resource { ty, .. } => is_open(ty),
        Target::Link { ty, link, .. } => view.find_by_path(ty).is_some_and(|ty| {
            let found = ty.links.iter().find(|l| l.name.eq_ignore_ascii_case(link));
            found.is_some_and(|link| match &link.to {
                // A token for a stream, or files.
                Relation::Handled => false,
                Relation::One { kind, .. }
                | Relation::Many { kind, .. }
                | Relation::Through { kind, .. }
                | Relation::Listed { kind, .. } => view.find_by_kind(kind).is_some_and(|ty| !tells(ty)),
                Relation::Computed => is_open(&link.name),
            })
        }),
        Target::Script(_) | Target::Tunnel | Target::Receivers { .. } | Target::Nothing => false,
    }
}

fn tells(ty: &TypeView) -> bool {
    let hides = |field: &crate::schema::Field| field.ty == FieldType::Password && !field.read_on_create_only;
    TELLING.contains(&ty.def.id.as_str()) || ty.fields.values().any(hides)
}

/// Puts a body that was made for this answer into it, compressed.
pub async fn shorten(response: HttpResponse, coding: Option<Coding>, body: String) -> HttpResponse {
    let Some(coding) = coding.filter(|_| encoding::is_worth_it(body.as_bytes())) else {
        return response
            .set_body(crate::http::pieces::Pieces::of(body))
            .map_into_boxed_body();
    };
    if body.len() < LONG {
        let short = encoding::compress(coding, body.as_bytes());
        return sealed(response, coding, short, body.into());
    }
    let body = Bytes::from(body);
    let plain = body.clone();
    let short = block(move || Ok(encoding::compress(coding, &plain)))
        .await
        .ok()
        .flatten();
    sealed(response, coding, short, body)
}

/// A response with its body: the short one, if there is one.
pub fn sealed(response: HttpResponse, coding: Coding, short: Option<Bytes>, plain: Bytes) -> HttpResponse {
    let is_short = short.is_some();
    let mut response = response
        .set_body(crate::http::pieces::Pieces::of_kept(short.unwrap_or(plain)))
        .map_into_boxed_body();
    let headers = response.headers_mut();
    if is_short {
        put(headers, &header::CONTENT_ENCODING, coding.as_str());
    }
    vary(headers);
    response
}

/// Says that the answer depends on what the client takes.
pub fn vary(headers: &mut HeaderMap) {
    let told = headers.get(header::VARY).and_then(|v| v.to_str().ok()).map_or_else(
        || "Accept-Encoding".to_owned(),
        |told| format!("{told}, Accept-Encoding"),
    );
    put(headers, &header::VARY, &told);
}

/// Says by what the answer is known; the answer without its body, if the client knows it.
pub fn tagged(mut response: HttpResponse, asked: &HeaderMap, tag: &str) -> HttpResponse {
    let is_known = response.status() == StatusCode::OK && encoding::is_known(asked, tag);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response = response.set_body(BoxBody::new(()));
        response.headers_mut().remove(header::CONTENT_ENCODING);
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}
