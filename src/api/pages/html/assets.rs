//! The explorer's files, out of the program itself: `/static/<digest of all of them>/<file>`.
//!
//! The digest makes every build's addresses its own, so that they may be kept for ever. They hold nothing secret and are
//! served to everybody.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use actix_web::web;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

static FILES: Dir = include_dir!("$CARGO_MANIFEST_DIR/web/explorer");
static DIGEST: LazyLock<String> = LazyLock::new(digest);

/// The script and the style sheet that all others hang on.
const SCRIPT: &str = "main.js";
const STYLE: &str = "explorer.css";

fn digest() -> String {
    let mut hash = Sha256::new();
    for file in FILES.files() {
        hash.update(file.path().to_string_lossy().as_bytes());
        hash.update(file.contents());
    }
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// What a page's head loads. All modules are named, so that the browser need not find one through the other.
pub fn push_head(out: &mut String) {
    let digest = DIGEST.as_str();
    out.push_str(&format!(
        "<link rel=\"icon\" type=\"image/svg+xml\" href=\"/static/{digest}/icon.svg\">\n"
    ));
    out.push_str(&format!(
        "<link rel=\"stylesheet\" href=\"/static/{digest}/{STYLE}\">\n"
    ));
    for name in FILES
        .files()
        .filter_map(|f| f.path().to_str())
        .filter(|name| name.ends_with(".js") && *name != SCRIPT)
    {
        out.push_str(&format!(
            "<link rel=\"modulepreload\" href=\"/static/{digest}/{name}\">\n"
        ));
    }
    out.push_str(&format!(
        "<script type=\"module\" src=\"/static/{digest}/{SCRIPT}\"></script>\n"
    ));
}

/// `/static/<digest>/<file>`.
pub async fn serve(path: web::Path<(String, String)>) -> HttpResponse {
    let (asked, name) = path.into_inner();
    let file = FILES.get_file(&name).filter(|_| asked == *DIGEST);
    let Some((file, kind)) = file.and_then(|f| Some((f, super::folder::content_type(&name)?))) else {
        return HttpResponse::NotFound()
            .content_type("text/plain; charset=utf-8")
            .body("not found");
    };
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(file.contents())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compressed it is less than half of this; the bound is what a phone has to read.
    const MOST: usize = 400 * 1024;

    #[test]
    fn the_explorer_is_small_and_whole() {
        let size: usize = FILES.files().map(|f| f.contents().len()).sum();
        assert!(size < MOST, "{size} bytes");
        for name in [SCRIPT, STYLE, "icon.svg"] {
            assert!(FILES.get_file(name).is_some(), "{name}");
        }
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
            for (_, rest) in text
                .match_indices("from './")
                .map(|(at, m)| (at, &text[at + m.len()..]))
            {
                let other = rest.split('\'').next().unwrap_or_default();
                assert!(FILES.get_file(other).is_some(), "{name} imports {other}");
            }
        }
    }
}
