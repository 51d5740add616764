//! Rules about the source itself: who may import whom, and what a file must look like.
//!
//! `docs/ARCHITECTURE.md` and `docs/CONTRIBUTING.md` give the reasons.

use crate::source::{Source, files, functions, none, sources};

mod planted;

/// Each module at the top of `src/`, and which of the others it may name. `main` sees only `app` and `cli`.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("plan", &["model"]),
    ("outgoing", &["tls"]),
    ("probe", &["model"]),
    ("schema", &["model"]),
    ("compose", &["model"]),
    ("runtime", &["model", "probe", "tls"]),
    ("store", &["schema", "model", "tls"]),
    ("secret", &["model"]),
    (
        "engine",
        &[
            "store", "runtime", "plan", "compose", "schema", "secret", "balancer", "outgoing", "model",
        ],
    ),
    ("auth", &["engine", "schema", "secret", "model"]),
    ("http", &["model"]),
    ("api", &["auth", "http", "engine", "schema", "tunnel", "model"]),
    ("dialects", &["auth", "http", "engine", "schema", "model"]),
    ("members", &["http", "store", "secret", "tls", "model"]),
    ("tls", &[]),
    ("tunnel", &[]),
    ("agent", &["tunnel", "failure", "tls", "model"]),
    ("netd", &["failure", "model", "probe"]),
    ("balancer", &["failure", "model"]),
    ("failure", &[]),
    ("keyfile", &["failure", "secret"]),
    ("cli", &[]),
    ("config", &["cli", "failure"]),
    (
        "app",
        &[
            "agent", "api", "auth", "dialects", "keyfile", "members", "tunnel", "engine", "store", "runtime", "schema",
            "secret", "model", "netd", "balancer", "cli", "config", "failure",
        ],
    ),
    ("main", &["app", "cli"]),
    ("netd_main", &["app"]),
    ("lib", &[]),
];

/// Crates that only some modules may name.
const FENCED_CRATES: &[(&str, &[&str])] = &[
    ("diesel", &["store"]),
    ("diesel_migrations", &["store"]),
    ("diesel_async", &["store"]),
    ("tokio_postgres", &["store"]),
    ("pollster", &["store"]),
    ("bollard", &["runtime"]),
    ("actix_web", &["api", "dialects", "http", "members", "app"]),
    ("actix_ws", &["api"]),
    ("bytestring", &["api"]),
    ("argon2", &["secret"]),
    ("chacha20poly1305", &["secret"]),
    ("governor", &["auth"]),
    ("hickory_proto", &["netd"]),
    ("hmac", &["secret"]),
    ("hyper", &["api", "members", "netd", "outgoing", "runtime"]),
    ("saphyr_parser", &["compose"]),
    ("hyper_util", &["api", "members", "netd", "outgoing", "runtime"]),
    ("getrandom", &["secret"]),
    ("rlimit", &["app"]),
    ("tokio_tungstenite", &["agent"]),
    ("clap", &["cli"]),
    ("fs4", &["app"]),
];

/// Calls that only these files may make: text, files (or folders), why.
const FENCED_CALLS: &[(&str, &[&str], &str)] = &[
    (
        ".create(&spec)",
        &["engine/instances/making.rs"],
        "containers are made by their own process only",
    ),
    (
        "runtime.start(",
        &["engine/instances/starting.rs"],
        "containers are started by their own process only",
    ),
    ("immediate_transaction", &["store"], "there is one writer"),
];

/// Files of the program that are longer than the limit, and why. May only shrink.
const LONG: &[(&str, &str)] = &[
    (
        "src/plan/service.rs",
        "the phases of the planner in their order, with the helpers that only they use",
    ),
    (
        "tests/http/input.rs",
        "what each type refuses, and random bodies with the same helpers",
    ),
    (
        "tests/http/subscriptions_by_role.rs",
        "one world with every role, asked from all sides",
    ),
];
/// Lines of a file of the program, its tests included.
const MAX_LINES: usize = 500;
/// Lines of any other file of Rust.
const MAX_TEST_LINES: usize = 800;

/// Functions that are longer than the limit, and why. May only shrink.
const LONG_FUNCTIONS: &[(&str, &str)] = &[(
    "src/api/resources/inspect/mod.rs container",
    "a table: a line for each field of a container",
)];
/// Lines of a function, outside tests.
const MAX_FUNCTION: usize = 80;

/// What stays out of the program: whatever is asked for must not bring the server down.
const NO_PANIC: [&str; 6] = [
    ".unwrap()",
    ".expect(",
    ".expect_err(",
    "panic!(",
    "todo!(",
    "unimplemented!(",
];

/// The identifiers that follow `prefix` in a line.
fn named_after<'l>(line: &'l str, prefix: &'l str) -> impl Iterator<Item = &'l str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        &rest[..rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len())]
    })
}

/// Whether a line names a crate: `name::` that nothing belongs in front of.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}

/// Imports that go up, or that hide where they go.
fn wrong_imports(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        let layer = source.layer();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            problems.push(format!("{}: {layer} has no place in LAYERS", source.path));
            continue;
        };
        for (number, line) in source.lines() {
            if line.contains("crate::{") {
                problems.push(format!(
                    "{}:{number}: a group at the root hides what is imported",
                    source.path
                ));
            }
            for module in named_after(line, "crate::").chain(named_after(line, "drover::")) {
                let is_module = LAYERS.iter().any(|(name, _)| *name == module);
                if is_module && module != layer && !allowed.contains(&module) {
                    problems.push(format!("{}:{number}: {layer} must not know {module}", source.path));
                }
            }
        }
    }
    problems
}

/// What stands outside its fence; and places in the fence that do not have it, as a text that occurs nowhere guards nothing.
fn outside(sources: &[Source], what: &str, places: &[&str], why: &str, is_it: impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut used = Vec::new();
    for source in sources {
        let lines: Vec<usize> = source
            .lines()
            .filter(|(_, line)| is_it(line))
            .map(|(number, _)| number)
            .collect();
        match places.iter().find(|place| source.is_in(place)) {
            Some(place) => used.extend((!lines.is_empty()).then_some(*place)),
            None => problems.extend(
                lines
                    .iter()
                    .map(|number| format!("{}:{number}: {what}: {why}", source.path)),
            ),
        }
    }
    let unused = places.iter().filter(|place| !used.contains(*place));
    problems.extend(unused.map(|place| format!("{place} has no {what}: take it out of the fence")));
    problems
}

/// Crates that are named where they must not be.
fn wrong_crates(sources: &[Source]) -> Vec<String> {
    let check = |(name, places): &(&str, &[&str])| {
        outside(sources, name, places, "a crate for some modules only", |line| {
            names_crate(line, name)
        })
    };
    FENCED_CRATES.iter().flat_map(check).collect()
}

/// Calls that are made where they must not be.
fn wrong_calls(sources: &[Source]) -> Vec<String> {
    FENCED_CALLS
        .iter()
        .flat_map(|(call, places, why)| outside(sources, call, places, why, |line| line.contains(call)))
        .collect()
}

/// Panics in the program.
fn panics(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        for (number, line) in source.lines() {
            let words = NO_PANIC.iter().filter(|word| line.contains(**word));
            problems.extend(words.map(|word| format!("{}:{number}: {word}", source.path)));
        }
    }
    problems
}

/// Modules that do not say what they are for.
fn unexplained(sources: &[Source]) -> Vec<String> {
    let silent = sources
        .iter()
        .filter(|source| !source.text.starts_with("//! ") && !source.is_test());
    silent
        .map(|source| format!("{}: begins without //!", source.path))
        .collect()
}

/// Files of Rust that are too long, and excuses that nobody needs.
fn long_files(sources: &[Source], excused: &[(&str, &str)]) -> Vec<String> {
    let is_long = |source: &Source| {
        let most = if source.path.starts_with("src/") && !source.is_test() {
            MAX_LINES
        } else {
            MAX_TEST_LINES
        };
        let lines = source.text.lines().count();
        (source.path.ends_with(".rs") && lines > most)
            .then(|| (source.path.clone(), format!("{lines} lines, {most} are allowed")))
    };
    without_excuse(sources.iter().filter_map(is_long).collect(), excused)
}

/// Functions of the program that are too long, and excuses that nobody needs.
fn long_functions(sources: &[Source], excused: &[(&str, &str)]) -> Vec<String> {
    let mut long = Vec::new();
    for source in sources {
        for function in functions(source.program())
            .into_iter()
            .filter(|f| f.lines > MAX_FUNCTION)
        {
            let what = format!(
                "{} lines, {MAX_FUNCTION} are allowed (line {})",
                function.lines, function.line
            );
            long.push((format!("{} {}", source.path, function.name), what));
        }
    }
    without_excuse(long, excused)
}

/// What is too long and has no excuse; and the excuses of what is not.
fn without_excuse(long: Vec<(String, String)>, excused: &[(&str, &str)]) -> Vec<String> {
    let unneeded = excused.iter().filter(|(name, _)| !long.iter().any(|(l, _)| l == name));
    let unneeded: Vec<_> = unneeded
        .map(|(name, _)| format!("{name} is short enough, or gone: take it off the list"))
        .collect();
    let open = long.iter().filter(|(name, _)| !excused.iter().any(|(e, _)| e == name));
    open.map(|(name, what)| format!("{name}: {what}"))
        .chain(unneeded)
        .collect()
}

/// Spaces at ends of lines, work that is put off without an issue, files without a last newline.
fn unclean(sources: &[Source]) -> Vec<String> {
    // Spelled in two so that this file keeps its own rule.
    let (todo, fixme) = (concat!("TO", "DO"), concat!("FIX", "ME"));
    let mut problems = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            let at = format!("{}:{}", source.path, number + 1);
            if line.ends_with([' ', '\t']) {
                problems.push(format!("{at}: a space at the end"));
            }
            if line.contains(fixme)
                || line
                    .match_indices(todo)
                    .any(|(i, _)| !line[i + todo.len()..].starts_with("(#"))
            {
                problems.push(format!("{at}: write {todo}(#number), with an issue"));
            }
        }
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            problems.push(format!("{}: ends without a newline", source.path));
        }
    }
    problems
}

#[test]
fn modules_import_only_what_lies_below_them() {
    none(wrong_imports(&sources()));
    none(wrong_crates(&sources()));
}

#[test]
fn some_calls_stand_in_one_place() {
    none(wrong_calls(&sources()));
}

#[test]
fn the_program_never_panics_on_purpose() {
    none(panics(&sources()));
}

#[test]
fn every_module_says_what_it_is_for() {
    none(unexplained(&files(&["src", "tests", "benches"], &[".rs"], "")));
}

#[test]
fn files_are_clean() {
    let folders = [
        "src",
        "tests",
        "benches",
        "docs",
        "schemas",
        "scripts",
        "migrations",
        ".ci",
    ];
    none(unclean(&files(
        &folders,
        &[".rs", ".md", ".sql", ".json", ".sh", "run", "test"],
        "",
    )));
}

#[test]
fn files_and_functions_are_short() {
    none(long_files(&files(&["src", "tests", "benches"], &[".rs"], ""), LONG));
    none(long_functions(&files(&["src"], &[".rs"], ""), LONG_FUNCTIONS));
}
