//! Reading a request: method, query, body, and the base of the links in its answer.
//!
//! Leniency here is the wire's own: any content type may carry JSON, parameters count as body fields, a scalar body
//! is no body. What cannot be read at all is 400, what is too big 413.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, UPGRADE};
use actix_web::web;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::route::Route;
use crate::engine::Input;
use crate::http::json::push_lower;
use crate::model::{Error, ErrorKind, Result};

/// The longest body: no resource comes near it, and a body is held in memory.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Parameters that steer the request and are no fields of its body.
const RESERVED: [&str; 15] = [
    "_method",
    "_format",
    "_removed",
    "_plainId",
    "_role",
    "_actionLinks",
    "action",
    "limit",
    "marker",
    "sort",
    "order",
    "include",
    "projectId",
    "token",
    "CSRF",
];

/// The methods the wire knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Read.
    Get,
    /// Create, or act.
    Post,
    /// Change.
    Put,
    /// Remove.
    Delete,
    /// Anything else: 405 everywhere.
    Other,
}

impl Verb {
    /// The method of a request, or what `_method` says instead.
    pub fn of(method: &Method, query: &Query<'_>) -> Self {
        let name = query.first("_method").unwrap_or(method.as_str());
        [Self::Get, Self::Post, Self::Put, Self::Delete].into_iter().find(|v| v.as_str().eq_ignore_ascii_case(name)).unwrap_or(Self::Other)
    }

    /// As schemas list it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Other => "",
        }
    }
}

/// 403 for a write in the clothes of a read (`GET …?_method=DELETE`): any page can make a browser send it, and whatever
/// fetches, checks or repeats links on the way takes it for harmless. The guard lets plain GETs of other sites through.
pub fn check_disguise(method: &Method, verb: Verb) -> Result<()> {
    let is_disguised = method.is_safe() && matches!(verb, Verb::Post | Verb::Put | Verb::Delete);
    if is_disguised {
        return Err(Error::new(ErrorKind::Forbidden).with_message("what only reads cannot stand for another method"));
    }
    Ok(())
}

/// A query string: as it came, and taken apart.
#[derive(Debug, Clone, Default)]
pub struct Query<'q> {
    raw: &'q str,
    pairs: Vec<(Cow<'q, str>, Cow<'q, str>)>,
}

impl<'q> Query<'q> {
    /// Takes a query string apart; every text is one.
    pub fn parse(raw: &'q str) -> Self {
        let pairs = if raw.is_empty() { Vec::new() } else { url::form_urlencoded::parse(raw.as_bytes()).collect() };
        Self { raw, pairs }
    }

    /// As it came.
    pub fn raw(&self) -> &'q str {
        self.raw
    }

    /// The first value of a parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_ref())
    }

    /// Whether the parameter is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// In order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_ref(), v.as_ref()))
    }

    /// `?…&` with the parameters as they came except these: what a link appends its own to.
    pub fn without(&self, names: &[&str]) -> String {
        let mut out = String::with_capacity(self.raw.len() + 2);
        out.push('?');
        for part in self.raw.split('&').filter(|p| !p.is_empty()) {
            let name = part.split('=').next().unwrap_or_default();
            if !names.contains(&name) {
                out.push_str(part);
                out.push('&');
            }
        }
        out
    }
}

/// What every URL of an answer begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `http://host:8080`, lower case.
    pub origin: String,
    /// `http://host:8080/v2-beta/projects/1a5`: the version and, if the path named one, the project.
    pub root: String,
}

impl Base {
    /// From the headers and the path.
    pub fn new(headers: &HeaderMap, route: &Route<'_>) -> Self {
        let origin = origin(headers);
        let root = root(&origin, route.prefix(), route.project.as_deref());
        Self { origin, root }
    }
}

/// The root of links of a version (or of the catalog) and a project.
pub fn root(origin: &str, prefix: &str, project: Option<&str>) -> String {
    let mut root = String::with_capacity(origin.len() + 32);
    root.push_str(origin);
    root.push('/');
    root.push_str(prefix);
    // Anything else cannot be a project, and would have to be escaped.
    if let Some(project) = project.filter(|p| p.bytes().all(|b| b.is_ascii_alphanumeric())) {
        root.push_str("/projects/");
        push_lower(&mut root, project);
    }
    root
}

/// Scheme, host and port as the client sees them. Forwarded values count only if they are well-formed.
fn origin(headers: &HeaderMap) -> String {
    let host = first_item(headers, HOST.as_str()).filter(|h| is_host(h)).unwrap_or("localhost");
    let port = first_item(headers, "x-forwarded-port").filter(|p| is_port(p));
    let proto = match first_item(headers, "x-forwarded-proto") {
        Some(p) if p.eq_ignore_ascii_case("https") => Some("https"),
        Some(p) if p.eq_ignore_ascii_case("http") => Some("http"),
        _ => (port == Some("443")).then_some("https"),
    };
    let mut out = String::with_capacity(host.len() + 16);
    out.push_str(proto.unwrap_or("http"));
    out.push_str("://");
    let (host, port) = match proto {
        None => split_port(host),
        Some(_) => {
            let host = first_item(headers, "x-forwarded-host").filter(|h| is_host(h)).unwrap_or(host);
            let (host, own) = split_port(host);
            (host, port.or(own))
        }
    };
    push_lower(&mut out, host);
    // 443 without a known protocol would be plain HTTP on that port: only then it has to stay.
    if let Some(port) = port.filter(|p| *p != "80" && (*p != "443" || proto.is_none())) {
        out.push(':');
        out.push_str(port);
    }
    out
}

/// The first element of a comma list.
fn first_item<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let text = headers.get(name)?.to_str().ok()?;
    text.split(',').next().map(str::trim).filter(|t| !t.is_empty())
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
        Some(rest) => rest.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    };
    is_name && port.is_none_or(is_port)
}

/// The project a request names by its path, else by header, else by parameter.
pub fn project<'r>(route: &'r Route<'_>, headers: &'r HeaderMap, query: &'r Query<'_>) -> Option<&'r str> {
    let header = || {
        let value = headers.get("x-api-project-id")?;
        // What is no text is no project either; it must not count as naming none.
        Some(value.to_str().unwrap_or("?")).filter(|v| !v.is_empty())
    };
    route.project.as_deref().or_else(header).or_else(|| query.first("projectId").filter(|v| !v.is_empty()))
}

/// The address of the client: the peer's, or what a trusted proxy says.
pub fn client_ip(headers: &HeaderMap, peer: Option<std::net::IpAddr>, trusted_proxies: &[std::net::IpAddr]) -> Option<std::net::IpAddr> {
    let trusted = peer.is_some_and(|p| trusted_proxies.contains(&p));
    let forwarded = || {
        let text = first_item(headers, "x-forwarded-for")?;
        text.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
    };
    trusted.then(forwarded).flatten().or(peer)
}

/// Takes the whole body in; 413 beyond [`BODY_LIMIT`], 408 if it takes longer than `patience`.
pub async fn read_body(headers: &HeaderMap, payload: &mut web::Payload, patience: Duration) -> Result<Vec<u8>> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_LIMIT) {
        return Err(Error::new(ErrorKind::TooLarge));
    }
    // What comes from a connection that could become a WebSocket does not end with the body.
    let end = if is_websocket(headers) { announced.unwrap_or_default() } else { usize::MAX };
    let whole = async {
        let mut body = Vec::with_capacity(announced.unwrap_or_default());
        while body.len() < end {
            let Some(piece) = payload.next().await else { break };
            // The client went away or sent a broken encoding.
            let piece = piece.map_err(|_| unreadable("the body cannot be read"))?;
            if body.len() + piece.len() > BODY_LIMIT {
                return Err(Error::new(ErrorKind::TooLarge));
            }
            body.extend_from_slice(&piece);
        }
        body.truncate(end);
        Ok(body)
    };
    let late = |_| Error::new(ErrorKind::Timeout).with_message("the body took too long");
    tokio::time::timeout(patience, whole).await.map_err(late)?
}

/// Whether the connection is to become a WebSocket.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).and_then(|v| v.to_str().ok()).is_some_and(|v| v.trim().eq_ignore_ascii_case("websocket"))
}

/// The fields of a request: its parameters, and over them those of its body.
pub fn parse_body(headers: &HeaderMap, body: &[u8], query: &Query<'_>) -> Result<Input> {
    let mut input = Map::new();
    for (name, value) in query.pairs().filter(|(name, _)| !RESERVED.contains(name)) {
        add_parameter(&mut input, name, value);
    }
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(input);
    }
    let is_form = headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    // `curl -d '{…}'` calls its JSON a form.
    if is_form && !body.starts_with(b"{") && !body.starts_with(b"[") {
        let text = std::str::from_utf8(body).map_err(|_| unreadable("the body is not UTF-8"))?;
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            add_parameter(&mut input, &name, &value);
        }
        return Ok(input);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => {
            input.extend(fields);
            Ok(input)
        }
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Ok(input),
        // The parser's words name a line and a column, nothing else.
        Err(e) => Err(unreadable(format!("the body is not JSON: {e}"))),
    }
}

/// A parameter given once is a text, more often a list.
fn add_parameter(input: &mut Input, name: &str, value: &str) {
    match input.get_mut(name) {
        None => {
            input.insert(name.to_owned(), Value::from(value));
        }
        Some(Value::Array(list)) => list.push(Value::from(value)),
        Some(first) => *first = Value::Array(vec![first.take(), Value::from(value)]),
    }
}

fn unreadable(why: impl Into<String>) -> Error {
    Error { detail: Some(why.into()), ..Error::new(ErrorKind::BadRequest).with_code("InvalidBodyContent") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::api::route;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

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
            (&[("host", "h:8080"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "443")], "https://h"),
            (&[("host", "h:8080"), ("x-forwarded-port", "443")], "https://h"),
            (&[("host", "h:8080"), ("x-forwarded-port", "81")], "http://h:8080"),
            (&[("host", "h"), ("x-forwarded-proto", "HTTPS, http"), ("x-forwarded-host", "f:1, g")], "https://f:1"),
            (&[("host", "h"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "f\"><script>")], "https://h"),
            (&[("host", "h"), ("x-forwarded-proto", "javascript"), ("x-forwarded-host", "f")], "http://h"),
            (&[("host", "h"), ("x-forwarded-proto", "http"), ("x-forwarded-port", "9x")], "http://h"),
            (&[("host", "[::1]:1"), ("x-forwarded-proto", "http"), ("x-forwarded-port", "99")], "http://[::1]:99"),
        ];
        for (list, expected) in cases {
            assert_eq!(origin(&headers(list)), expected, "{list:?}");
        }
    }

    #[test]
    fn the_root_of_links_keeps_the_project_of_the_path() {
        let root_of = |path| Base::new(&headers(&[("host", "h")]), &route::parse(path).unwrap()).root;
        assert_eq!(root_of("/v2-beta/projects/1A5/services"), "http://h/v2-beta/projects/1a5");
        assert_eq!(root_of("/v2-beta/projects/1a5"), "http://h/v2-beta");
        assert_eq!(root_of("/v2-beta/projects/%22/services"), "http://h/v2-beta");
        assert_eq!(root_of("/v1/services"), "http://h/v1");
    }

    fn body(content_type: &str, text: &[u8], query: &str) -> std::result::Result<String, (ErrorKind, String)> {
        parse_body(&headers(&[("content-type", content_type)]), text, &Query::parse(query))
            .map(|input| Value::Object(input).to_string())
            .map_err(|e| (e.kind, e.code.unwrap_or_default().into_owned()))
    }

    #[test]
    fn bodies_are_read_as_the_wire_reads_them() {
        let form = "application/x-www-form-urlencoded";
        let cases: [(&str, &[u8], &str, &str); 12] = [
            ("", b"", "", "{}"),
            ("", b" \n", "", "{}"),
            ("text/plain", br#"{"a":1}"#, "", r#"{"a":1}"#),
            ("", b"5", "", "{}"),
            ("", b"null", "", "{}"),
            ("", b"[1,2]", "", "{}"),
            ("", b"{}", "name=x&action=go&limit=5&_method=PUT", r#"{"name":"x"}"#),
            ("", br#"{"name":"y"}"#, "name=x", r#"{"name":"y"}"#),
            ("", b"", "a=1&a=2&a=3", r#"{"a":["1","2","3"]}"#),
            (form, b"a=1&b=x+y%21", "b=z", r#"{"b":["z","x y!"],"a":"1"}"#),
            (form, br#"{"a":1}"#, "", r#"{"a":1}"#),
            ("Application/X-WWW-Form-Urlencoded; charset=utf-8", b"a=1", "", r#"{"a":"1"}"#),
        ];
        for (content_type, text, query, expected) in cases {
            assert_eq!(body(content_type, text, query).unwrap(), expected);
        }
    }

    #[test]
    fn bodies_that_cannot_be_read_are_400() {
        let deep = [b"{\"a\":".repeat(100_000), b"1".to_vec()].concat();
        let cases: [&[u8]; 8] = [b"{", b"{]", b"{\"a\":1e999}", b"\xff", b"{\"a\":\"\xc3\"}", b"{\"a\":1}x", b"{\"a\":\"\\ud800\"}", &deep];
        for text in cases {
            assert_eq!(body("", text, ""), Err((ErrorKind::BadRequest, "InvalidBodyContent".into())));
        }
        assert!(body("application/x-www-form-urlencoded", b"a=\xff", "").is_err());
    }

    #[test]
    fn queries_keep_what_links_do_not_replace() {
        let query = Query::parse("limit=2&sort=a&name=x%20y&&marker=m1&order=desc");
        assert_eq!(query.without(&["marker"]), "?limit=2&sort=a&name=x%20y&order=desc&");
        assert_eq!(query.without(&["marker", "sort", "order", "limit", "name"]), "?");
        assert_eq!(query.first("name"), Some("x y"));
        assert!(query.has("marker") && !query.has("arker"));
    }

    #[test]
    fn a_parameter_overrides_the_method() {
        let verb = |method: &Method, query| Verb::of(method, &Query::parse(query));
        assert_eq!(verb(&Method::POST, ""), Verb::Post);
        assert_eq!(verb(&Method::POST, "_method=delete"), Verb::Delete);
        assert_eq!(verb(&Method::GET, "_method=x"), Verb::Other);
        assert_eq!(verb(&Method::PATCH, ""), Verb::Other);
        assert_eq!(verb(&Method::HEAD, ""), Verb::Other);
    }

    #[test]
    fn a_picture_cannot_delete() {
        let check = |method: Method, verb| check_disguise(&method, verb).is_ok();
        assert!(!check(Method::GET, Verb::Delete));
        assert!(!check(Method::HEAD, Verb::Post));
        assert!(!check(Method::OPTIONS, Verb::Put));
        assert!(check(Method::GET, Verb::Get));
        assert!(check(Method::POST, Verb::Delete));
    }

    #[test]
    fn only_a_trusted_proxy_names_the_client() {
        let ip = |text: &str| Some(text.parse().unwrap());
        let seen =
            |forwarded, trusted: &[std::net::IpAddr]| client_ip(&headers(&[("x-forwarded-for", forwarded)]), ip("10.0.0.1"), trusted);
        let proxy = ["10.0.0.1".parse().unwrap()];
        assert_eq!(seen("1.2.3.4", &[]), ip("10.0.0.1"));
        assert_eq!(seen("1.2.3.4, 5.6.7.8", &proxy), ip("1.2.3.4"));
        assert_eq!(seen("1.2.3.4:99", &proxy), ip("1.2.3.4"));
        assert_eq!(seen("nonsense", &proxy), ip("10.0.0.1"));
    }

    #[test]
    fn the_path_names_the_project_before_header_and_parameter() {
        let route = route::parse("/v2-beta/projects/1a5/services").unwrap();
        let plain = route::parse("/v2-beta/services").unwrap();
        let header = headers(&[("x-api-project-id", "1a7")]);
        let query = Query::parse("projectId=1a9");
        assert_eq!(project(&route, &header, &query), Some("1a5"));
        assert_eq!(project(&plain, &header, &query), Some("1a7"));
        assert_eq!(project(&plain, &HeaderMap::new(), &query), Some("1a9"));
        assert_eq!(project(&plain, &HeaderMap::new(), &Query::parse("projectId=")), None);
    }
}
