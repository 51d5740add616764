//! Reading a request: method, query, the fields of its body, and the base of the links in its answer.
//!
//! Leniency here is the wire's own: any content type may carry JSON, parameters count as body fields, a scalar body
//! is no body. What cannot be read at all is 400.

use std::borrow::Cow;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value};

use super::route::Route;
use crate::engine::Input;
use crate::http::address::origin;
use crate::http::body::unreadable;
use crate::http::json::push_lower;
use crate::model::{Error, ErrorKind, Result};

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

/// Parameters by which somebody proves who asks.
const PROOFS: [&str; 2] = ["token", "CSRF"];

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
        [Self::Get, Self::Post, Self::Put, Self::Delete]
            .into_iter()
            .find(|v| v.as_str().eq_ignore_ascii_case(name))
            .unwrap_or(Self::Other)
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
        let pairs = if raw.is_empty() {
            Vec::new()
        } else {
            url::form_urlencoded::parse(raw.as_bytes()).collect()
        };
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

    /// `?…&` with the parameters as they came except these, and but for what proves who asks: what a link appends its own to.
    pub fn without(&self, names: &[&str]) -> String {
        let mut out = String::with_capacity(self.raw.len() + 2);
        out.push('?');
        for part in self.raw.split('&').filter(|p| !p.is_empty()) {
            // However it is written.
            let name = url::form_urlencoded::parse(part.as_bytes()).next();
            let name = name.map(|(name, _)| name).unwrap_or_default();
            if !names.contains(&&*name) && !PROOFS.contains(&&*name) {
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
    /// From the headers and the path, and whether the connection is in TLS.
    pub fn new(headers: &HeaderMap, is_secured: bool, route: &Route<'_>) -> Self {
        let origin = origin(headers, is_secured);
        let root = root(&origin, route.prefix(), route.project.as_deref());
        Self { origin, root }
    }
}

/// Where a stream of a container is: `ws://host:8080/v1/logs/`, whatever version asks. `scheme` is without the `s` of TLS.
pub fn stream_address(origin: &str, scheme: &str, path: &str) -> String {
    let address = origin.strip_prefix("http").unwrap_or(origin);
    format!("{scheme}{address}/v1/{path}/")
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

/// The project a request names by its path, else by header, else by parameter.
pub fn project<'r>(route: &'r Route<'_>, headers: &'r HeaderMap, query: &'r Query<'_>) -> Option<&'r str> {
    let header = || {
        let value = headers.get("x-api-project-id")?;
        // What is no text is no project either; it must not count as naming none.
        Some(value.to_str().unwrap_or("?")).filter(|v| !v.is_empty())
    };
    route
        .project
        .as_deref()
        .or_else(header)
        .or_else(|| query.first("projectId").filter(|v| !v.is_empty()))
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
        .is_some_and(|v| {
            v.trim_start()
                .to_ascii_lowercase()
                .starts_with("application/x-www-form-urlencoded")
        });
    // `curl -d '{…}'` calls its JSON a form.
    if is_form && !body.starts_with(b"{") && !body.starts_with(b"[") {
        let text = std::str::from_utf8(body).map_err(|_| unreadable("the body is not UTF-8"))?;
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            add_parameter(&mut input, &name, &value);
        }
        return Ok(input);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) if input.is_empty() => Ok(fields),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;
    use crate::api::wire::route;
    use crate::http::fixture::headers;

    #[test]
    fn the_root_of_links_keeps_the_project_of_the_path() {
        let root_of = |path| Base::new(&headers(&[("host", "h")]), false, &route::parse(path).unwrap()).root;
        assert_eq!(
            root_of("/v2-beta/projects/1A5/services"),
            "http://h/v2-beta/projects/1a5"
        );
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
            (
                "Application/X-WWW-Form-Urlencoded; charset=utf-8",
                b"a=1",
                "",
                r#"{"a":"1"}"#,
            ),
        ];
        for (content_type, text, query, expected) in cases {
            assert_eq!(body(content_type, text, query).unwrap(), expected);
        }
    }

    #[test]
    fn bodies_that_cannot_be_read_are_400() {
        let deep = [b"{\"a\":".repeat(100_000), b"1".to_vec()].concat();
        let cases: [&[u8]; 8] = [
            b"{",
            b"{]",
            b"{\"a\":1e999}",
            b"\xff",
            b"{\"a\":\"\xc3\"}",
            b"{\"a\":1}x",
            b"{\"a\":\"\\ud800\"}",
            &deep,
        ];
        for text in cases {
            assert_eq!(
                body("", text, ""),
                Err((ErrorKind::BadRequest, "InvalidBodyContent".into()))
            );
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
