//! Requests that are signed with the secret of a key, as Hyper's clients sign theirs: `HYPER-HMAC-SHA256`, a relative of AWS's fourth
//! version. What is signed is the method, the path, the query, some headers and the digest of the body; the secret itself is never
//! sent.

use std::net::IpAddr;

use chrono::NaiveDateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use url::form_urlencoded;

use crate::model::{Error, ErrorKind, Result, Timestamp};
use crate::secret;

/// What the header `Authorization` begins with.
const ALGORITHM: &str = "HYPER-HMAC-SHA256";
/// What the secret is led by before it becomes a key.
const LEAD: &str = "HYPER";
/// The last two words of a scope.
const SERVICE: [&str; 2] = ["hyper", "hyper_request"];
/// When a request was signed.
const DATE: &str = "x-hyper-date";
/// The digest of its body.
const CONTENT: &str = "x-hyper-content-sha256";
/// Without these a signature says nothing of where and when it is good.
const NEEDED: [&str; 3] = ["host", DATE, CONTENT];
/// How far a request's clock may be from ours, in milliseconds.
const PATIENCE_MS: i64 = 300_000;
/// The longest header `Authorization`.
const LONGEST: usize = 8 * 1024;
/// The most headers that are signed.
const MOST_HEADERS: usize = 64;

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request, as far as a signature covers it.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its path, whole and as it was sent.
    pub path: &'r str,
    /// What follows the question mark, as it was sent.
    pub query: &'r str,
    /// Its headers, by names in lower case; `host` among them.
    pub headers: &'r [(&'r str, &'r str)],
    /// The project that the path names.
    pub project: Option<&'r str>,
    /// Where it comes from.
    pub client: IpAddr,
}

/// What a signed request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown<'r> {
    /// The public half of the key.
    pub(super) access: &'r str,
    day: &'r str,
    region: &'r str,
    names: Vec<&'r str>,
    signature: &'r str,
    stamp: &'r str,
    content: &'r str,
}

fn unproved(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthorized).with_message(why)
}

impl<'r> Signed<'r> {
    /// The value of a header that is there exactly once.
    fn header(&self, name: &str) -> Option<&'r str> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value.trim()),
            _ => None,
        }
    }

    /// Takes the header `Authorization` apart.
    ///
    /// # Errors
    /// 401 that says what is missing.
    pub(super) fn read(&self) -> Result<Shown<'r>> {
        let text = self.header("authorization").filter(|text| text.len() <= LONGEST);
        let words = text.and_then(|text| text.strip_prefix(ALGORITHM)?.strip_prefix(' '));
        let words = words.ok_or_else(|| unproved(format!("this request is not signed: {ALGORITHM} is needed")))?;
        let word = |name: &str| {
            let mut all = words.split(',').filter_map(|word| word.trim().split_once('='));
            all.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let missing = |what: &str| unproved(format!("the header Authorization has no good {what}"));
        let credential = word("Credential").ok_or_else(|| missing("Credential"))?;
        // A public half may have slashes in it, and what follows has four words.
        let mut parts = credential.rsplitn(5, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let (last, service, region, day, access) = (part(), part(), part(), part(), part());
        let (Some(access), Some(day), Some(region)) = (access, day, region) else {
            return Err(missing("Credential"));
        };
        if [service, last] != SERVICE.map(Some) {
            return Err(missing("Credential"));
        }
        let names: Vec<&str> = word("SignedHeaders").unwrap_or_default().split(';').collect();
        let is_there = |needed: &&str| names.iter().any(|name| name.eq_ignore_ascii_case(needed));
        if names.len() > MOST_HEADERS {
            return Err(missing("SignedHeaders"));
        }
        if let Some(needed) = NEEDED.iter().find(|needed| !is_there(needed)) {
            return Err(unproved(format!("the header {needed} has to be signed")));
        }
        let header = |name: &str| {
            self.header(name)
                .ok_or_else(|| unproved(format!("the header {name} is missing")))
        };
        let (stamp, content) = (header(DATE)?, header(CONTENT)?);
        if stamp.get(..8) != Some(day) {
            return Err(unproved(format!(
                "the Credential is for another day than the header {DATE}"
            )));
        }
        let signature = word("Signature").ok_or_else(|| missing("Signature"))?;
        Ok(Shown {
            access,
            day,
            region,
            names,
            signature,
            stamp,
            content,
        })
    }

    /// Checks that a body is the one that was signed.
    ///
    /// # Errors
    /// 401 for another one.
    pub fn check_body(&self, body: &[u8]) -> Result<()> {
        let told = self.header(CONTENT).unwrap_or_default();
        match secret::is_same(told.as_bytes(), secret::sha256_digits(body).as_bytes()) {
            true => Ok(()),
            false => Err(unproved(format!("the body is not the one that {CONTENT} is of"))),
        }
    }
}

impl Shown<'_> {
    /// 401 for what was signed too long ago, or will be.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<()> {
        let at = NaiveDateTime::parse_from_str(self.stamp, "%Y%m%dT%H%M%SZ");
        let at = at.map_err(|_| unproved(format!("the header {DATE} is no time such as 20161008T131215Z")))?;
        match now.0.saturating_sub(at.and_utc().timestamp_millis()).abs() <= PATIENCE_MS {
            true => Ok(()),
            false => Err(unproved(
                "the request was signed more than 5 minutes ago, or in the future: look at the clock",
            )),
        }
    }

    /// Whether it was signed with this secret. Some clients sign the host with its port, some without.
    pub(super) fn fits(&self, signed: &Signed<'_>, key: &str) -> bool {
        let host = signed.header("host").unwrap_or_default();
        let scope = format!("{}/{}/{}", self.day, self.region, SERVICE.join("/"));
        let mut signing = secret::hmac_sha256(format!("{LEAD}{key}").as_bytes(), self.day.as_bytes());
        for word in [self.region].into_iter().chain(SERVICE) {
            signing = secret::hmac_sha256(&signing, word.as_bytes());
        }
        let signature = |host: &str| {
            let canonical = secret::sha256_digits(self.canonical(signed, host).as_bytes());
            let text = format!("{ALGORITHM}\n{}\n{scope}\n{canonical}", self.stamp);
            secret::digits(&secret::hmac_sha256(&signing, text.as_bytes()))
        };
        let is_signed = |host: &str| secret::is_same(signature(host).as_bytes(), self.signature.as_bytes());
        let with_port = is_signed(host);
        let without = is_signed(host_name(host));
        with_port || without
    }

    /// The request in the form that is signed.
    fn canonical(&self, signed: &Signed<'_>, host: &str) -> String {
        let mut text = [signed.method, &path(signed.path), &query(signed.query), ""].join("\n");
        for name in &self.names {
            let value = match name.eq_ignore_ascii_case("host") {
                true => host,
                false => signed.header(name).unwrap_or_default(),
            };
            text.extend([name, ":", value, "\n"]);
        }
        text.extend(["\n", &self.names.join(";"), "\n", self.content]);
        text
    }
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// Its segments without empty ones, each encoded in one way. It does not begin with a slash.
fn path(sent: &str) -> String {
    let plain: Vec<u8> = percent_decode_str(sent).collect();
    let parts = plain.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    parts.map(encoded).collect::<Vec<_>>().join("/")
}

/// Its pairs by their names, each encoded in one way; values of one name stay in their order.
fn query(sent: &str) -> String {
    let mut pairs: Vec<_> = form_urlencoded::parse(sent.as_bytes()).collect();
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    let pair = |(key, value): &(_, _)| {
        let (key, value): (&std::borrow::Cow<'_, str>, &std::borrow::Cow<'_, str>) = (key, value);
        format!("{}={}", encoded(key.as_bytes()), encoded(value.as_bytes()))
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::net::Ipv4Addr;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const STAMP: &str = "20261120T232208Z";
    const NAMES: &str = "content-type;host;x-hyper-content-sha256;x-hyper-date";

    fn authorization(names: &str, signature: &str) -> String {
        let scope = "20261120/us-west-1/hyper/hyper_request";
        format!("{ALGORITHM} Credential=AK/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    fn headers<'h>(authorization: &'h str, content: &'h str, stamp: &'h str) -> Vec<(&'h str, &'h str)> {
        vec![
            ("content-type", "application/json"),
            ("host", "127.0.0.1:18555"),
            ("x-hyper-date", stamp),
            ("x-hyper-content-sha256", content),
            ("authorization", authorization),
        ]
    }

    fn signed<'r>(method: &'r str, target: &'r str, headers: &'r [(&'r str, &'r str)]) -> Signed<'r> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Signed {
            method,
            path,
            query,
            headers,
            project: None,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    #[test]
    fn what_hypers_own_client_signed_is_known() {
        let update = b"{\"Replicas\":3,\"Image\":null,\"FIP\":null}\n";
        for (method, target, body, signature) in [
            (
                "GET",
                "/v1.23/services",
                &b""[..],
                "9805e99f2bd8050c52bebee239a9f4c791f29a1c2a868fbe27717a395883179c",
            ),
            (
                "GET",
                "/v1.23/services?filters=%7B%22name%22%3A%7B%22http%22%3Atrue%7D%7D",
                b"",
                "b6dd79ae9d42134826653a7c63bfe0c6b5e200132f088463227aa37376959cbf",
            ),
            (
                "POST",
                "/v1.23/services/http/update",
                update,
                "0f3ce8c3b6fe85d1e37736e1b611dae9fb6f452b5da938f4b80dfa9c252c611f",
            ),
        ] {
            let (text, content) = (authorization(NAMES, signature), secret::sha256_digits(body));
            let headers = headers(&text, &content, STAMP);
            let request = signed(method, target, &headers);
            let shown = request.read().unwrap();
            assert_eq!(shown.access, "AK");
            assert!(shown.fits(&request, "SK"), "{target}");
            assert!(
                !shown.fits(&request, "sk") && !shown.fits(&request, ""),
                "another secret"
            );
            request.check_body(body).unwrap();
            assert_eq!(request.check_body(b"{}").unwrap_err().kind, ErrorKind::Unauthorized);
            for other in [
                signed("PUT", target, &headers),
                signed(method, "/v1.23/servicez", &headers),
            ] {
                assert!(!shown.fits(&other, "SK"), "another request");
            }
        }
    }

    #[test]
    fn a_signature_without_the_hosts_port_is_good_too() {
        let text = authorization(NAMES, "");
        let mut all = headers(&text, EMPTY, STAMP);
        let bare = [("host", "127.0.0.1")];
        let signature = {
            let mut all = all.clone();
            all.retain(|(name, _)| *name != "host");
            all.extend(bare);
            let request = signed("GET", "/v1.23/services", &all);
            let shown = request.read().unwrap();
            let mut key = secret::hmac_sha256(b"HYPERSK", b"20261120");
            for word in ["us-west-1", "hyper", "hyper_request"] {
                key = secret::hmac_sha256(&key, word.as_bytes());
            }
            let canonical = secret::sha256_digits(shown.canonical(&request, "127.0.0.1").as_bytes());
            let text = format!("{ALGORITHM}\n{STAMP}\n20261120/us-west-1/hyper/hyper_request\n{canonical}");
            secret::digits(&secret::hmac_sha256(&key, text.as_bytes()))
        };
        let text = authorization(NAMES, &signature);
        all.retain(|(name, _)| *name != "authorization");
        all.push(("authorization", &text));
        let request = signed("GET", "/v1.23/services", &all);
        assert!(request.read().unwrap().fits(&request, "SK"));
    }

    #[test]
    fn what_is_signed_has_one_form() {
        assert_eq!(path("//v1.23/a%20b/~c%2fd/"), "v1.23/a%20b/~c/d");
        assert_eq!(query("b=1&a=x+y&a=%2F&c"), "a=x%20y&a=%2F&b=1&c=");
    }

    #[test]
    fn what_cannot_be_good_is_refused_with_a_reason() {
        let good = authorization(NAMES, "0");
        let refusal = |text: &str, stamp: &str| {
            let headers = headers(text, EMPTY, stamp);
            let request = signed("GET", "/", &headers);
            request.read().err().and_then(|error| error.external)
        };
        assert_eq!(refusal(&good, STAMP), None);
        for (text, stamp, said) in [
            (
                "Basic QUs6U0s=",
                STAMP,
                "this request is not signed: HYPER-HMAC-SHA256 is needed",
            ),
            (
                &good.replace("/hyper_request", "/aws4_request"),
                STAMP,
                "the header Authorization has no good Credential",
            ),
            (
                &good.replace("Credential=AK/", "Credential="),
                STAMP,
                "the header Authorization has no good Credential",
            ),
            (
                &good.replace(", Signature=0", ""),
                STAMP,
                "the header Authorization has no good Signature",
            ),
            (
                &authorization("host;x-hyper-date", "0"),
                STAMP,
                "the header x-hyper-content-sha256 has to be signed",
            ),
            (
                &good,
                "20261121T000000Z",
                "the Credential is for another day than the header x-hyper-date",
            ),
        ] {
            assert_eq!(refusal(text, stamp).as_deref(), Some(said), "{text} {stamp}");
        }
    }

    #[test]
    fn a_signature_is_good_for_five_minutes() {
        let text = authorization(NAMES, "0");
        let headers = headers(&text, EMPTY, STAMP);
        let request = signed("GET", "/", &headers);
        let shown = request.read().unwrap();
        let at = Timestamp::parse("2026-11-20T23:22:08Z").unwrap();
        for (offset, is_good) in [
            (0, true),
            (300_000, true),
            (-300_000, true),
            (301_000, false),
            (-301_000, false),
        ] {
            assert_eq!(shown.check_time(Timestamp(at.0 + offset)).is_ok(), is_good, "{offset}");
        }
    }
}
