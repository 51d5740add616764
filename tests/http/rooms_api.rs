//! The rooms of `src/api`: which of them may import which. `tidy` keeps the layers above and below.

use std::fmt::Write as _;

use crate::source::{Source, none, sources};

/// Each folder of `src/api`, and the others it may name. There are no exceptions.
const ROOMS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("resources", &["wire"]),
    ("accounts", &["resources", "wire"]),
    ("pages", &["resources", "wire"]),
    ("live", &["resources", "wire"]),
    ("server", &["accounts", "live", "pages", "resources", "wire"]),
];

/// The modules that lead to a file: `api/wire/mod.rs` is `["api", "wire"]`.
fn module_of(path: &str) -> Vec<&str> {
    path.trim_end_matches(".rs")
        .trim_end_matches("/mod")
        .split('/')
        .collect()
}

/// What a line names in the API, as seen from a module: the word behind `crate::api::`, or behind as many `super::` as lead
/// there. A name that is cut short (`use crate::api;`, a group in braces) is empty.
fn named<'l>(line: &'l str, module: &[&str]) -> Vec<&'l str> {
    let word = |rest: &'l str| {
        &rest[..rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len())]
    };
    let mut found = Vec::new();
    for (at, root) in line.match_indices("crate::api") {
        let rest = &line[at + root.len()..];
        if word(rest).is_empty() {
            found.push(word(rest.strip_prefix("::").unwrap_or_default()));
        }
    }
    let up = "super::".repeat(module.len() - 1);
    for (at, _) in line.match_indices(&up) {
        if !line[..at].ends_with("super::") {
            found.push(word(&line[at + up.len()..]));
        }
    }
    found
}

/// What is wrong with the imports between the rooms.
fn trespasses(sources: &[Source]) -> String {
    let mut problems = String::new();
    for source in sources
        .iter()
        .filter(|source| source.path.starts_with("api/") && source.path != "api/mod.rs")
    {
        let module = module_of(&source.path);
        let room = module.get(1).copied().unwrap_or_default();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            let _ = writeln!(problems, "{}: {room} has no place in ROOMS", source.path);
            continue;
        };
        for (number, line) in source.lines() {
            for name in named(line, &module) {
                if name.is_empty() {
                    let _ = writeln!(
                        problems,
                        "{}:{number}: a path that ends at the API hides which room is meant",
                        source.path
                    );
                } else if name != room && !allowed.contains(&name) {
                    let _ = writeln!(problems, "{}:{number}: {room} must not know {name}", source.path);
                }
            }
        }
    }
    problems
}

#[test]
fn rooms_of_the_api_import_only_what_lies_below_them() {
    none(trespasses(&sources()).lines().map(str::to_owned).collect());
}

#[test]
fn imports_between_rooms_are_found_however_they_are_written() {
    let planted = [
        (
            "api/wire/call.rs",
            "use crate::api::resources::reply;",
            "wire must not know resources",
        ),
        (
            "api/wire/call.rs",
            "    let page = crate::api::pages::html::own();",
            "wire must not know pages",
        ),
        (
            "api/wire/call.rs",
            "use super::super::live::Hub;",
            "wire must not know live",
        ),
        ("api/wire/mod.rs", "use super::live::Hub;", "wire must not know live"),
        (
            "api/pages/html/mod.rs",
            "use super::super::accounts::token;",
            "pages must not know accounts",
        ),
        (
            "api/pages/html/folder.rs",
            "use super::super::super::accounts::token;",
            "pages must not know accounts",
        ),
        (
            "api/accounts/token.rs",
            "use crate::api::{live, wire};",
            "hides which room is meant",
        ),
        (
            "api/accounts/token.rs",
            "use super::super::{live, wire};",
            "hides which room is meant",
        ),
        ("api/accounts/token.rs", "use crate::api;", "hides which room is meant"),
        (
            "api/resources/reply.rs",
            "use crate::api::ApiState;",
            "resources must not know ApiState",
        ),
        (
            "api/live/hub.rs",
            "use crate::api::server::ApiState;",
            "live must not know server",
        ),
        (
            "api/token.rs",
            "use crate::model::Error;",
            "token has no place in ROOMS",
        ),
        (
            "api/cellar/wine.rs",
            "use crate::model::Error;",
            "cellar has no place in ROOMS",
        ),
    ];
    for (path, text, expected) in planted {
        let found = trespasses(&[Source {
            path: path.to_owned(),
            text: format!("//! Planted.\n{text}\n"),
        }]);
        assert!(
            found.contains(expected) && found.lines().count() == 1,
            "{path}: {text}: {found:?}"
        );
    }
    let fine = [
        ("api/wire/call.rs", "use super::request::Verb;"),
        ("api/wire/call.rs", "use crate::api::wire::request::Verb;"),
        (
            "api/accounts/token.rs",
            "use crate::api::resources::{collection, reply};",
        ),
        ("api/pages/html/folder.rs", "use super::super::catalog;"),
        ("api/wire/call.rs", "// use crate::api::resources::reply;"),
        (
            "api/wire/call.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::api::resources::reply;\n}",
        ),
        ("app.rs", "use crate::api::live::Hub;"),
    ];
    for (path, text) in fine {
        assert_eq!(
            trespasses(&[Source {
                path: path.to_owned(),
                text: format!("{text}\n")
            }]),
            "",
            "{path}: {text}"
        );
    }
}
