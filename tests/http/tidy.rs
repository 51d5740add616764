//! Rules about the source itself: who may import whom, and what a file must look like.
//!
//! `docs/ARCHITECTURE.md` and `docs/CONTRIBUTING.md` give the reasons.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Each module at the top of `src/`, and which of the others it may name. `main` sees only `app` and `cli`.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("plan", &["model"]),
    ("schema", &["model"]),
    ("runtime", &["model"]),
    ("store", &["schema", "model"]),
    ("secret", &["model"]),
    ("engine", &["store", "runtime", "plan", "schema", "secret", "model"]),
    ("auth", &["engine", "schema", "secret", "model"]),
    ("api", &["auth", "engine", "schema", "model"]),
    ("failure", &[]),
    ("keyfile", &["failure", "secret"]),
    ("cli", &[]),
    ("config", &["cli", "failure"]),
    ("app", &["api", "auth", "keyfile", "engine", "store", "runtime", "schema", "secret", "model", "cli", "config", "failure"]),
    ("main", &["app", "cli"]),
    ("lib", &[]),
];

/// Crates that only some modules may name.
const FENCED_CRATES: &[(&str, &[&str])] = &[
    ("diesel", &["store"]),
    ("diesel_migrations", &["store"]),
    ("bollard", &["runtime"]),
    ("actix_web", &["api", "app"]),
    ("actix_ws", &["api"]),
    ("bytestring", &["api"]),
    ("argon2", &["secret"]),
    ("chacha20poly1305", &["secret"]),
    ("governor", &["auth"]),
    ("hmac", &["secret"]),
    ("getrandom", &["secret"]),
    ("rlimit", &["app"]),
    ("clap", &["cli", "main"]),
    ("fs4", &["app"]),
];

/// Calls that only these files may make: text, files (or folders), why.
const FENCED_CALLS: &[(&str, &[&str], &str)] = &[
    (".create(&spec)", &["engine/handlers/instance.rs", "runtime"], "containers are made by their own process only"),
    ("runtime.start(", &["engine/handlers/instance.rs"], "containers are started by their own process only"),
    ("immediate_transaction", &["store"], "there is one writer"),
];

/// Files that are longer than the limit, and why.
const LONG: &[(&str, &str)] = &[];
/// Lines of a file, tests included.
const MAX_LINES: usize = 800;

/// What stays out of the program: whatever is asked for must not bring the server down.
const NO_PANIC: [&str; 6] = [".unwrap()", ".expect(", ".expect_err(", "panic!(", "todo!(", "unimplemented!("];

struct Source {
    /// Below `src/` (or the root), with slashes.
    path: String,
    text: String,
}

impl Source {
    /// The module at the top of `src/`.
    fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the whole file exists for tests.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let named = name.ends_with("tests") || matches!(name, "testkit" | "fixture" | "world" | "properties");
        named || self.path.contains("/tests/")
    }

    /// The lines of the program itself, numbered: without comments, and without the tests at the end.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() { 0 } else { self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len()) };
        let program = &self.text[..end];
        program.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path == *place || self.path.starts_with(&format!("{place}/")))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, endings, found);
        } else if endings.iter().any(|e| path.to_string_lossy().ends_with(e)) {
            found.push(path);
        }
    }
}

/// The files with these endings below some folders, in order.
fn files(folders: &[&str], endings: &[&str], below: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), endings, &mut paths));
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {folders:?}");
    let base = root().join(below);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Source { path: path.strip_prefix(&base).unwrap_or(&path).to_string_lossy().replace('\\', "/"), text }
    };
    paths.into_iter().map(read).collect()
}

fn sources() -> Vec<Source> {
    files(&["src"], &[".rs"], "src")
}

#[track_caller]
fn none(problems: String) {
    assert!(problems.is_empty(), "\n{problems}");
}

/// The identifiers that follow `prefix` in a line.
fn named_after<'l>(line: &'l str, prefix: &'l str) -> impl Iterator<Item = &'l str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())]
    })
}

/// Whether a line names a crate: `name::` that nothing belongs in front of.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut problems = String::new();
    for source in sources() {
        let layer = source.layer();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            let _ = writeln!(problems, "{}: {layer} has no place in LAYERS", source.path);
            continue;
        };
        for (number, line) in source.lines() {
            if line.contains("crate::{") {
                let _ = writeln!(problems, "{}:{number}: a group at the root hides what is imported", source.path);
            }
            for module in named_after(line, "crate::").chain(named_after(line, "drover::")) {
                let is_module = LAYERS.iter().any(|(name, _)| *name == module);
                if is_module && module != layer && !allowed.contains(&module) {
                    let _ = writeln!(problems, "{}:{number}: {layer} must not know {module}", source.path);
                }
            }
            for (name, places) in FENCED_CRATES {
                if names_crate(line, name) && !places.contains(&layer) {
                    let _ = writeln!(problems, "{}:{number}: {name} is for {places:?} only", source.path);
                }
            }
        }
    }
    none(problems);
}

#[test]
fn some_calls_stand_in_one_place() {
    let mut problems = String::new();
    for source in sources() {
        for (number, line) in source.lines() {
            for (call, places, why) in FENCED_CALLS {
                if line.contains(call) && !source.is_in(places) {
                    let _ = writeln!(problems, "{}:{number}: {call}: {why}", source.path);
                }
            }
        }
    }
    none(problems);
}

#[test]
fn the_program_never_panics_on_purpose() {
    let mut problems = String::new();
    for source in sources() {
        for (number, line) in source.lines() {
            for word in NO_PANIC {
                if line.contains(word) {
                    let _ = writeln!(problems, "{}:{number}: {word}", source.path);
                }
            }
        }
    }
    none(problems);
}

#[test]
fn every_module_says_what_it_is_for() {
    let mut problems = String::new();
    for source in files(&["src", "tests", "benches"], &[".rs"], "") {
        if !source.text.starts_with("//! ") && !source.is_test() {
            let _ = writeln!(problems, "{}: begins without //!", source.path);
        }
    }
    none(problems);
}

#[test]
fn files_are_short_and_clean() {
    let mut problems = String::new();
    let folders = ["src", "tests", "benches", "docs", "schemas", "scripts", "migrations", ".ci"];
    let mut used = BTreeSet::new();
    for source in files(&folders, &[".rs", ".md", ".sql", ".json", ".sh", "run", "test"], "") {
        let lines = source.text.lines().count();
        let excuse = LONG.iter().find(|(path, _)| *path == source.path);
        if source.path.ends_with(".rs") && lines > MAX_LINES {
            match excuse {
                Some((path, _)) => drop(used.insert(*path)),
                None => drop(writeln!(problems, "{}: {lines} lines, {MAX_LINES} are allowed", source.path)),
            }
        }
        for (number, line) in source.text.lines().enumerate() {
            let at = format!("{}:{}", source.path, number + 1);
            if line.ends_with([' ', '\t']) {
                let _ = writeln!(problems, "{at}: a space at the end");
            }
            // Spelled in two so that this file keeps its own rule.
            let (todo, fixme) = (concat!("TO", "DO"), concat!("FIX", "ME"));
            if line.contains(fixme) || line.match_indices(todo).any(|(i, _)| !line[i + todo.len()..].starts_with("(#")) {
                let _ = writeln!(problems, "{at}: write {todo}(#number), with an issue");
            }
        }
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            let _ = writeln!(problems, "{}: ends without a newline", source.path);
        }
    }
    for (path, _) in LONG.iter().filter(|(path, _)| !used.contains(path)) {
        let _ = writeln!(problems, "{path} is short enough: take it off the list");
    }
    none(problems);
}
