//! Answers for browsers: a page around the same JSON, with a script that makes it readable and usable.
//!
//! A page is its answer and a few addresses, as inert data; everything that is shown is made in the browser by the explorer
//! (`web/explorer`), which comes out of this program. Knows no types and no rows.

mod assets;
mod folder;

pub use assets::{Summaries, serve as asset};
pub use folder::Folder;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ACCEPT, HeaderMap};

use crate::api::wire::request::Query;
use crate::engine::Engine;
use crate::http::browser::is_browser;
use crate::http::headers::{has_word, put};
use crate::http::json::{push_key, push_str};

/// What the commands of api-ui name instead of a key.
const CURL_USER: &str = "${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}";

/// What a page says beside its answer.
#[derive(Debug, Clone, Copy)]
pub struct Page<'p> {
    /// `http://host:8080`.
    pub origin: &'p str,
    /// The schemas of the page's scope.
    pub schemas: &'p str,
    /// What the fields mean, for roles that see it.
    pub docs: Option<&'p str>,
    /// Where the summaries of the types are.
    pub summaries: &'p str,
    /// The name of who is logged in; empty for nobody.
    pub user: &'p str,
    /// Up to where events had been told before the answer was made: from there a page goes on.
    pub position: Option<i64>,
    /// The page of the whole server, not that of one URL.
    pub is_root: bool,
}

/// Whether to answer with a page (cattle: `RequestUtils.isBrowser`).
pub fn is_wanted(headers: &HeaderMap, query: &Query<'_>) -> bool {
    match query.first("_format").map(str::trim) {
        Some(format) if format.eq_ignore_ascii_case("json") => return false,
        Some(format) if format.eq_ignore_ascii_case("html") => return true,
        Some(_) | None => {}
    }
    is_browser(headers) && (!headers.contains_key(ACCEPT) || has_word(headers, ACCEPT.as_str(), "*/*"))
}

/// Whether pages are ours, and not those of a script that the settings name.
pub fn is_own(engine: &Engine) -> bool {
    script(engine).is_none()
}

fn script(engine: &Engine) -> Option<String> {
    engine.setting("api.ui.js.url").filter(|url| is_address(url))
}

/// The page around an answer: what goes before its text, and the text.
pub fn answer(engine: &Engine, page: &Page<'_>, status: StatusCode, json: &[u8]) -> (HttpResponse, String) {
    let json = std::str::from_utf8(json).unwrap_or("null");
    let (text, policy) = match script(engine) {
        Some(script) => {
            let style = engine
                .setting("api.ui.css.url")
                .filter(|url| is_address(url))
                .unwrap_or_default();
            // Unguessable is enough: it lasts for one answer.
            let nonce = crate::model::id::random_uuid().simple().to_string();
            (
                foreign(page, json, &script, &style, &nonce),
                foreign_policy(&script, &style, &nonce),
            )
        }
        None => (own(page, json), own_policy(page.origin)),
    };
    let mut response = HttpResponse::new(status);
    let headers = response.headers_mut();
    put(headers, &header::CONTENT_TYPE, "text/html; charset=utf-8");
    put(headers, &header::CONTENT_SECURITY_POLICY, &policy);
    put(headers, &header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(headers, &header::X_FRAME_OPTIONS, "DENY");
    put(headers, &header::REFERRER_POLICY, "same-origin");
    // The same address is JSON for the page's own script: neither may be shown for the other.
    put(headers, &header::CACHE_CONTROL, "no-store");
    put(headers, &header::VARY, "Accept, User-Agent");
    (response, text)
}

/// An address that can stand in an attribute and in a policy: what is neither is not used.
fn is_address(url: &str) -> bool {
    let is_known = ["http://", "https://", "/"].iter().any(|start| url.starts_with(start));
    is_known
        && url
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'<' | b'>' | b';' | b','))
}

/// Our own explorer.
fn own(page: &Page<'_>, json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8 + 4096);
    out.push_str(
        "<!DOCTYPE html>\n<!-- For JSON send the header \"Accept: application/json\", or add ?_format=json. -->\n",
    );
    out.push_str("<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Drover</title>\n");
    assets::push_head(&mut out);
    out.push_str(
        "</head>\n<body>\n<noscript><p>This page needs JavaScript. <a href=\"?_format=json\">The same as JSON</a></p></noscript>\n",
    );
    out.push_str("<script type=\"application/json\" id=\"page\">{");
    let mut put = |key: &str, value: Option<&str>| {
        let mut pair = String::new();
        push_key(&mut pair, key);
        match value {
            Some(value) => push_str(&mut pair, value),
            None => pair.push_str("null"),
        }
        pair.push(',');
        push_safe(&mut out, &pair);
    };
    put("schemas", Some(page.schemas));
    put("docs", page.docs);
    put("summaries", Some(page.summaries));
    put("user", Some(page.user));
    put("server", Some(env!("CARGO_PKG_VERSION")));
    put("view", Some(if page.is_root { "server" } else { "api" }));
    if let Some(position) = page.position {
        out.push_str(&format!("\"position\":{position},"));
    }
    out.push_str("\"data\":");
    push_safe(&mut out, json);
    out.push_str("}</script>\n</body>\n</html>\n");
    out
}

/// Rancher's api-ui, or whatever takes its globals (cattle: `DefaultHtmlTemplate`).
fn foreign(page: &Page<'_>, json: &str, script: &str, style: &str, nonce: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8 + 2048);
    out.push_str("<!DOCTYPE html>\n<!-- If you are reading this, there is a good chance you would prefer sending an\n");
    out.push_str("\"Accept: application/json\" header and receiving actual JSON responses. -->\n");
    if !style.is_empty() {
        out.push_str(&format!(
            "<link rel=\"stylesheet\" type=\"text/css\" href=\"{style}\"/>\n"
        ));
    }
    out.push_str(&format!(
        "<script src=\"{script}\"></script>\n<script nonce=\"{nonce}\">\n"
    ));
    let mut put = |name: &str, value: &str| {
        let mut text = String::new();
        push_str(&mut text, value);
        out.push_str(&format!("var {name} = "));
        push_safe(&mut out, &text);
        out.push_str(";\n");
    };
    put("user", page.user);
    put("curlUser", CURL_USER);
    put("schemas", page.schemas);
    if let Some(docs) = page.docs {
        put("docJson", docs);
    }
    out.push_str("var data =\n");
    push_safe(&mut out, json);
    out.push_str(";\n</script>\n");
    out
}

fn own_policy(origin: &str) -> String {
    // Older browsers do not take 'self' for WebSockets.
    let socket = origin.replacen("http", "ws", 1);
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {socket}; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// The operator has chosen that script: it may load what stands beside it, style as it likes, and put handlers into what it makes
/// (api-ui's templates do).
fn foreign_policy(script: &str, style: &str, nonce: &str) -> String {
    let beside = |url: &str| {
        url::Url::parse(url)
            .map(|u| u.origin().ascii_serialization())
            .unwrap_or_default()
    };
    let (script, style) = (beside(script), beside(style));
    format!(
        "default-src 'self' {script} {style}; script-src 'self' 'nonce-{nonce}' {script}; \
         script-src-attr 'unsafe-inline'; style-src 'self' 'unsafe-inline' {script} {style}; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Appends JSON so that it stays JSON and can end no element: what HTML takes for its own is written as an escape.
fn push_safe(out: &mut String, json: &str) {
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '/' => out.push_str("\\/"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            // An escape is copied whole: `\/` must not become `\\/`.
            '\\' => {
                out.push('\\');
                out.extend(chars.next());
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use actix_web::http::header::{HeaderValue, USER_AGENT};

    use super::*;

    fn wanted(agent: Option<&str>, accept: Option<&str>, query: &str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [(USER_AGENT, agent), (ACCEPT, accept)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
        }
        is_wanted(&headers, &Query::parse(query))
    }

    #[test]
    fn pages_are_for_browsers_that_take_anything() {
        let chrome = Some("Mozilla/5.0 (X11; Linux x86_64)");
        let everything = Some("text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(wanted(chrome, everything, ""));
        assert!(wanted(chrome, None, "_format=xml"));
        assert!(wanted(Some("x MOZILLA"), Some("*/*"), ""));
        assert!(wanted(Some("curl/8"), Some("application/json"), "_format= HTML "));
        assert!(!wanted(chrome, Some("application/json"), ""));
        assert!(!wanted(chrome, everything, "_format=Json"));
        assert!(!wanted(Some("curl/8"), Some("*/*"), ""));
        assert!(!wanted(None, None, ""));
    }

    #[test]
    fn no_text_of_an_answer_can_end_the_script() {
        for text in [
            "</script><script>alert(1)</script>",
            "<!--<script",
            "a/b\\/c",
            "\\",
            "\\\\/",
            "&lt;",
            "\u{2028}\u{2029}",
            "]]>",
        ] {
            let json = serde_json::json!({"name": text, text: 1}).to_string();
            let mut out = String::new();
            push_safe(&mut out, &json);
            assert!(
                !out.contains(['<', '>', '&', '\u{2028}']) && !out.replace("\\/", "").contains('/'),
                "{out}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&out).unwrap(),
                serde_json::from_str::<serde_json::Value>(&json).unwrap()
            );
        }
        let mut out = String::new();
        push_safe(&mut out, r#"{"a":"\/x<"}"#);
        assert_eq!(out, r#"{"a":"\/x\u003c"}"#);
    }

    #[test]
    fn only_addresses_become_addresses() {
        for good in [
            "https://releases.rancher.com/api-ui/1.0.8/ui.min.js",
            "/static/ui.js",
            "http://h:1/x?y=1",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "javascript:alert(1)",
            "https://x/\"><script>",
            "https://x/ y",
            "https://x/;script-src *",
            "data:,x",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn api_ui_finds_its_globals() {
        let page = Page {
            origin: "http://h",
            schemas: "http://h/v1/schemas",
            docs: Some("http://h/v1/d"),
            summaries: "/static/s",
            user: "a</script>",
            position: None,
            is_root: false,
        };
        let text = foreign(
            &page,
            r#"{"type":"x"}"#,
            "https://r/ui.min.js",
            "https://r/ui.min.css",
            "n1",
        );
        for part in [
            "<link rel=\"stylesheet\" type=\"text/css\" href=\"https://r/ui.min.css\"/>",
            "<script src=\"https://r/ui.min.js\"></script>",
            "var user = \"a\\u003c\\/script\\u003e\";",
            "var curlUser = \"${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}\";",
            "var schemas = \"http:\\/\\/h\\/v1\\/schemas\";",
            "var docJson = ",
            "var data =\n{\"type\":\"x\"};\n</script>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let foreign = foreign_policy("https://r/ui.js", "/x.css", "n1");
        assert!(
            foreign.contains("script-src 'self' 'nonce-n1' https://r; script-src-attr 'unsafe-inline'"),
            "{foreign}"
        );
        assert!(!own_policy("http://localhost").contains("unsafe"));
    }
}
