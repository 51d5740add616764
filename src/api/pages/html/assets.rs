//! The explorer's files, out of the program itself: `/static/<digest of all of them>/<file>`.
//!
//! The digest makes every build's addresses its own, so that they may be kept for ever. They hold nothing secret and are
//! served to everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, OnceLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS};
use actix_web::{HttpRequest, HttpResponse, web};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::http::encoding::{Coding, Kept};
use crate::schema::Registry;

static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/web/explorer");
static VENDOR: Dir = include_dir!("$CARGO_MANIFEST_DIR/web/vendor");
static DIGEST: LazyLock<String> = LazyLock::new(digest);

/// The script and the style sheet that all others hang on.
const SCRIPT: &str = "main.js";
const STYLE: &str = "explorer.css";
const SUMMARIES: &str = "summaries.json";

/// Every file as it is served; each is compressed once, when it is first asked for.
static SERVED: LazyLock<BTreeMap<String, Kept>> = LazyLock::new(|| {
    let named = |file: &'static include_dir::File<'static>| {
        let name = file.path().to_string_lossy().into_owned();
        (name, Kept::new(web::Bytes::from_static(file.contents())))
    };
    FILES.files().chain(VENDOR.files()).map(named).collect()
});

/// The modules without which no page is shown: what the first one imports, and what these import. What is read when it is
/// wanted (`import('./…')`) is not among them.
static NEEDED: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let (mut needed, mut open) = (BTreeSet::new(), vec![SCRIPT.to_owned()]);
    while let Some(name) = open.pop() {
        let text = FILES.get_file(&name).and_then(include_dir::File::contents_utf8);
        if text.is_some() && needed.insert(name) {
            open.extend(imports(text.unwrap_or_default()).map(str::to_owned));
        }
    }
    needed
});

/// The modules that a module imports.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.split("from './")
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
}

fn digest() -> String {
    let mut hash = Sha256::new();
    for file in FILES.files().chain(VENDOR.files()) {
        hash.update(file.path().to_string_lossy().as_bytes());
        hash.update(file.contents());
    }
    hex(hash)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// What is told of the types, as a file: where it is and what it is packed as are worked out once, when they are first asked for.
#[derive(Debug)]
pub struct Summaries {
    registry: Arc<Registry>,
    text: OnceLock<Kept>,
    address: OnceLock<String>,
}

/// The text that the registry has, without a copy of it.
struct Text(Arc<Registry>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.summaries().as_bytes()
    }
}

impl Summaries {
    /// Of these types.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self {
            registry,
            text: OnceLock::new(),
            address: OnceLock::new(),
        }
    }

    /// A start does not wait for them: they are written when somebody asks.
    fn text(&self) -> &Kept {
        let make = || Kept::new(web::Bytes::from_owner(Text(self.registry.clone())));
        self.text.get_or_init(make)
    }

    /// Where they are: their digest is their own, as a folder of the operator may add to them.
    pub fn address(&self) -> &str {
        self.address.get_or_init(|| {
            let digest = hex(Sha256::new_with_prefix(self.text().plain()));
            ["/static/", &digest, "/", SUMMARIES].concat()
        })
    }

    /// The summaries, if they are what is asked for.
    pub fn serve(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let is_asked = request.path().ends_with(SUMMARIES) && request.path() == self.address();
        is_asked.then(|| kept(request, self.text(), "application/json; charset=utf-8"))
    }
}

/// What a page's head loads. All modules that it needs are named, so that the browser need not find one through the other.
pub fn push_head(out: &mut String) {
    let digest = DIGEST.as_str();
    out.push_str(&format!(
        "<link rel=\"icon\" type=\"image/svg+xml\" href=\"/static/{digest}/icon.svg\">\n"
    ));
    out.push_str(&format!(
        "<link rel=\"stylesheet\" href=\"/static/{digest}/{STYLE}\">\n"
    ));
    for name in NEEDED.iter().filter(|name| name.as_str() != SCRIPT) {
        out.push_str(&format!(
            "<link rel=\"modulepreload\" href=\"/static/{digest}/{name}\">\n"
        ));
    }
    out.push_str(&format!(
        "<script type=\"module\" src=\"/static/{digest}/{SCRIPT}\"></script>\n"
    ));
}

/// `/static/<digest>/<file>`.
pub async fn serve(request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let (asked, name) = path.into_inner();
    let file = SERVED.get(&name).filter(|_| asked == *DIGEST);
    let Some((file, kind)) = file.and_then(|f| Some((f, super::folder::content_type(&name)?))) else {
        return HttpResponse::NotFound()
            .content_type("text/plain; charset=utf-8")
            .body("not found");
    };
    kept(&request, file, kind)
}

/// A file that never changes at its address.
fn kept(request: &HttpRequest, file: &Kept, kind: &str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((VARY, "Accept-Encoding"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let short = Coding::accepted(request.headers()).and_then(|coding| Some((coding, file.encoded(coding)?)));
    match short {
        Some((coding, body)) => response.insert_header((CONTENT_ENCODING, coding.as_str())).body(body),
        None => response.body(file.plain().clone()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use actix_web::http::header::ACCEPT_ENCODING;
    use actix_web::test::TestRequest;

    use super::*;

    /// What a browser reads of all of it, compressed; the terminal only when a shell is opened.
    const MOST: usize = 200 * 1024;

    #[test]
    fn the_explorer_is_small_and_whole() {
        let size: usize = SERVED
            .values()
            .map(|file| {
                file.encoded(Coding::Gzip)
                    .map_or(file.plain().len(), |short| short.len())
            })
            .sum();
        assert!(size < MOST, "{size} bytes");
        for name in [SCRIPT, STYLE, "icon.svg"] {
            assert!(FILES.get_file(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_is_told_of_the_types_is_packed_once_and_served_at_its_own_address_only() {
        let registry = Registry::load(None).unwrap_or_else(|error| unreachable!("the schemas fit: {error:?}"));
        let summaries = Summaries::new(Arc::new(registry));
        let ask = |path: &str| {
            let request = TestRequest::with_uri(path).insert_header((ACCEPT_ENCODING, "gzip"));
            let answer = summaries.serve(&request.to_http_request())?;
            answer.into_body().try_into_bytes().ok()
        };
        let address = summaries.address().to_owned();
        let (first, second) = (ask(&address).unwrap_or_default(), ask(&address).unwrap_or_default());
        assert!(!first.is_empty() && first.len() < summaries.text().plain().len() / 3);
        assert_eq!(first.as_ptr(), second.as_ptr(), "packed anew");
        for other in [
            "/static/0123456789abcdef/summaries.json",
            "/static/0123456789abcdef/main.js",
            "/summaries.json",
        ] {
            assert!(ask(other).is_none(), "{other}");
        }
        assert!(ask(&address.replace(SUMMARIES, STYLE)).is_none());
    }

    #[test]
    fn modules_are_short_import_what_exists_and_make_no_html_of_data() {
        for file in FILES
            .files()
            .filter(|f| f.path().extension().is_some_and(|e| e == "js"))
        {
            let name = file.path().display();
            let text = file.contents_utf8().unwrap_or_default();
            assert!(text.lines().count() <= 500, "{name} is too long");
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ] {
                assert!(!text.contains(word), "{name} has {word}");
            }
            let lazily = text
                .split("import('./")
                .skip(1)
                .filter_map(|rest| rest.split('\'').next());
            for other in imports(text).chain(lazily) {
                assert!(SERVED.contains_key(other), "{name} imports {other}");
            }
        }
    }
}
