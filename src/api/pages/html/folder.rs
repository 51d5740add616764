//! A folder with a single-page application (Rancher's own user interface, for one), served beside the API.
//!
//! A path that is a file is that file; every other path without a dot is the application's own and gets its `index.html`.
//! Nothing outside the folder is served, whatever a path or a symbolic link says.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::web;

use crate::http::path;

const INDEX: &str = "index.html";

/// The folder, as it is without symbolic links.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// What is read of a file.
struct Found {
    bytes: Vec<u8>,
    tag: String,
    kind: &'static str,
    is_index: bool,
}

impl Folder {
    /// A folder that has an `index.html`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = path.canonicalize()?;
        match root.join(INDEX).canonicalize()?.is_file() {
            true => Ok(Self(root)),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "it has no index.html")),
        }
    }

    /// The answer for a path that is not the API's.
    pub async fn serve(&self, path: &str, headers: &HeaderMap) -> HttpResponse {
        let (folder, path) = (self.clone(), path.to_owned());
        let found = web::block(move || folder.find(&path)).await.ok().flatten();
        let Some(found) = found else {
            return HttpResponse::NotFound()
                .content_type("text/plain; charset=utf-8")
                .body("not found");
        };
        let known = headers
            .get(IF_NONE_MATCH)
            .is_some_and(|tag| tag.as_bytes() == found.tag.as_bytes());
        let mut response = if known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response
            .insert_header((ETAG, found.tag))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .insert_header((CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"));
        // Names with a digest in them are asked for anew too: it costs an answer without a body.
        response.insert_header((CACHE_CONTROL, if found.is_index { "no-store" } else { "no-cache" }));
        match known {
            true => response.finish(),
            false => response.insert_header((CONTENT_TYPE, found.kind)).body(found.bytes),
        }
    }

    fn find(&self, path: &str) -> Option<Found> {
        let decoded = path::decode(path).filter(|_| path::is_well_formed(path))?;
        let relative = decoded.trim_start_matches('/');
        let is_plain = Path::new(relative)
            .components()
            .all(|c| matches!(c, Component::Normal(_)));
        if !is_plain || relative.contains(['\0', '\\']) {
            return None;
        }
        let name = if relative.is_empty() { INDEX } else { relative };
        if let Some(found) = self.read(name) {
            return Some(found);
        }
        let last = relative.rsplit('/').next().unwrap_or_default();
        if last.contains('.') { None } else { self.read(INDEX) }
    }

    fn read(&self, name: &str) -> Option<Found> {
        let path = self
            .0
            .join(name)
            .canonicalize()
            .ok()
            .filter(|p| p.starts_with(&self.0))?;
        let about = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let changed = about
            .modified()
            .ok()
            .and_then(|m| m.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        let kind = content_type(name).unwrap_or("application/octet-stream");
        let tag = format!("\"{:x}-{:x}\"", changed.as_nanos(), about.len());
        Some(Found {
            bytes: std::fs::read(path).ok()?,
            tag,
            kind,
            is_index: name == INDEX,
        })
    }
}

/// By the end of the name.
pub fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "eot" => "application/vnd.ms-fontobject",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn only_what_lies_in_the_folder_is_found() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.txt"), "secret").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ui");
        std::fs::create_dir_all(root.join("assets")).unwrap();
        std::fs::write(dir.path().join("ui2.txt"), "beside").unwrap();
        std::fs::write(root.join("index.html"), "index").unwrap();
        std::fs::write(root.join("assets/app.js"), "app").unwrap();
        std::fs::write(root.join("a b.txt"), "spaced").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), root.join("link.txt")).unwrap();
        let folder = Folder::open(&root).unwrap();
        let text = |path: &str| folder.find(path).map(|f| String::from_utf8(f.bytes).unwrap());
        let cases = [
            ("/", Some("index")),
            ("/index.html", Some("index")),
            ("/env/1a5/apps/stacks", Some("index")),
            ("/login", Some("index")),
            ("/assets/app.js", Some("app")),
            ("/assets", Some("index")),
            ("/a%20b.txt", Some("spaced")),
            ("/assets/missing.js", None),
            ("/link.txt", None),
            ("/../ui2.txt", None),
            ("/%2e%2e/ui2.txt", None),
            ("/..%2fui2.txt", None),
            ("/assets/../../ui2.txt", None),
            ("/..\\ui2.txt", None),
            ("/%ff", None),
            ("/%zz", None),
            ("/a%00", None),
            ("//etc/passwd", Some("index")),
        ];
        for (path, expected) in cases {
            assert_eq!(text(path).as_deref(), expected, "{path}");
        }
        assert!(Folder::open(&root.join("assets")).is_err());
    }
}
