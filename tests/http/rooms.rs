//! The rooms of the engine: who may call whom inside `src/engine`.
//!
//! A room may call those on lower floors, and itself. Two kinds of calls are counted: what a file imports or names by its path,
//! and calls of methods of `Core`, which no import shows: a method is in the room where its `impl Core` stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::source::{Source, files};

/// The floors from below, each with its rooms. Rooms of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["core"],
    &["access", "labels", "drivers"],
    &["instances", "webhooks"],
    &["services", "hosts", "accounts", "names", "balancers"],
    &["commands"],
    &["work"],
    &["face"],
];

/// Calls that go up or aside, and how many files have them. The list may only shrink; a line needs its reason.
const EXCEPTIONS: &[(&str, &str, usize)] = &[];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The room of a file of the engine; `None` for `engine/mod.rs`, which only lists them.
fn room_of(path: &str) -> Option<String> {
    let inside = path.strip_prefix("engine/")?;
    let first = inside.split('/').next().unwrap_or_default();
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "mod").then(|| name.to_owned())
}

/// The rooms that a line names by a path: `crate::engine::<room>`, or `super` as often as it takes to leave the own one.
fn named_rooms(path: &str, line: &str) -> Vec<String> {
    // How often `super` has to be said from here to be in `engine`.
    let depth = path.matches('/').count() - usize::from(path.ends_with("/mod.rs"));
    let mut found = Vec::new();
    let mut prefixes = vec!["crate::engine::".to_owned()];
    prefixes.push("super::".repeat(depth));
    for prefix in prefixes {
        for (at, _) in line.match_indices(&prefix) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &line[at + prefix.len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(group) => group
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(str::trim)
                    .collect(),
                None => vec![rest],
            };
            for name in names {
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                found.extend(room_of(&format!("engine/{name}.rs")).filter(|_| name != "super"));
            }
        }
    }
    found
}

/// Where each method of `Core` is defined: method → rooms.
fn methods_of_core(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let Some(room) = room_of(&source.path) else { continue };
        let mut inside = false;
        for (_, line) in source.lines() {
            if line.starts_with("impl ") {
                inside = line.starts_with("impl Core {");
            }
            if line == "}" {
                inside = false;
            }
            let Some(rest) = line
                .strip_prefix("    ")
                .filter(|rest| inside && !rest.starts_with(' '))
            else {
                continue;
            };
            if let Some((_, name)) = rest.split_once("fn ") {
                let name = name.split(['(', '<']).next().unwrap_or_default();
                methods.entry(name.to_owned()).or_default().insert(room.clone());
            }
        }
    }
    methods
}

/// The methods that a line calls on the engine's inside, whatever it is called there.
fn called(line: &str) -> impl Iterator<Item = &str> {
    const RECEIVERS: [&str; 7] = [
        "self.",
        "core.",
        "self.core().",
        "core().",
        "Core::",
        "engine.",
        "Self::",
    ];
    RECEIVERS.into_iter().flat_map(move |receiver| {
        line.match_indices(receiver).filter_map(move |(at, _)| {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                return None;
            }
            let rest = &line[at + receiver.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
            // A method that is only named, to be called later, is an edge as well.
            let is_method = rest[end..].starts_with(['(', ')', ',']) || rest[end..].starts_with("::<");
            is_method.then(|| &rest[..end])
        })
    })
}

/// The program's lines, with what was broken over several put together: chains of calls, and imports.
fn joined(source: &Source) -> String {
    let mut text = String::new();
    let mut in_import = false;
    for (_, line) in source.lines() {
        let trimmed = line.trim_start();
        if !in_import && !trimmed.starts_with('.') {
            text.push('\n');
        }
        text.push_str(trimmed);
        in_import =
            !trimmed.ends_with(';') && (in_import || trimmed.starts_with("use ") || trimmed.starts_with("pub use "));
    }
    text
}

/// Every call between rooms: (from, to) → where.
fn calls(sources: &[Source]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let methods = methods_of_core(sources);
    let mut calls: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let Some(room) = room_of(&source.path) else { continue };
        for line in joined(source).lines() {
            let mut to: Vec<String> = named_rooms(&source.path, line);
            for method in called(line) {
                let own = methods.get(method).filter(|rooms| !rooms.contains(&room));
                to.extend(own.into_iter().flatten().cloned());
            }
            for to in to.into_iter().filter(|to| *to != room) {
                calls.entry((room.clone(), to)).or_default().insert(source.path.clone());
            }
        }
    }
    calls
}

/// What is wrong with the calls of these sources.
fn problems(sources: &[Source], exceptions: &[(&str, &str, usize)]) -> String {
    let mut problems = String::new();
    for source in sources {
        if room_of(&source.path).is_some_and(|room| floor(&room).is_none()) {
            let _ = writeln!(problems, "{}: in no room", source.path);
        }
    }
    let mut left: BTreeSet<(&str, &str)> = exceptions.iter().map(|(from, to, _)| (*from, *to)).collect();
    for ((from, to), places) in calls(sources) {
        let (Some(own), Some(other)) = (floor(&from), floor(&to)) else {
            continue;
        };
        if other < own {
            continue;
        }
        let allowed = exceptions
            .iter()
            .find(|(f, t, _)| *f == from && *t == to)
            .map_or(0, |(_, _, count)| *count);
        left.retain(|(f, t)| (*f, *t) != (&*from, &*to));
        if places.len() != allowed {
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            let _ = writeln!(
                problems,
                "(\"{from}\", \"{to}\", {}) and not {allowed}: {}",
                places.len(),
                places.join(" ")
            );
        }
    }
    for (from, to) in left {
        let _ = writeln!(problems, "{from} calls {to} no longer: take it off the list");
    }
    problems
}

fn engine() -> Vec<Source> {
    files(&["src/engine"], &[".rs"], "src")
}

#[test]
fn rooms_call_only_what_lies_below_them() {
    let problems = problems(&engine(), EXCEPTIONS);
    assert!(problems.is_empty(), "\n{problems}");
}

#[test]
fn no_two_methods_of_core_have_one_name_in_two_rooms() {
    let twice: Vec<_> = methods_of_core(&engine())
        .into_iter()
        .filter(|(_, rooms)| rooms.len() > 1)
        .collect();
    assert!(twice.is_empty(), "the rooms test could not tell them apart: {twice:?}");
}

#[test]
fn a_call_that_goes_up_is_found_in_every_room() {
    let rooms: Vec<&str> = FLOORS.iter().flat_map(|rooms| rooms.iter().copied()).collect();
    let clean = |room: &str| {
        Source::planted(
            &format!("engine/{room}/own.rs"),
            &format!("impl Core {{\n    pub(crate) fn of_{room}(&self) {{}}\n}}\n"),
        )
    };
    for from in &rooms {
        for to in rooms.iter().filter(|to| *to != from) {
            let is_down = floor(to) < floor(from);
            for call in [
                format!("use crate::engine::{to}::Thing;"),
                format!("use crate::engine::{{\n    core,\n    {to}::Thing,\n}};"),
                format!("use super::super::{to}::Thing;"),
                format!("fn act() {{\n    super::super::{to}::act();\n}}"),
                format!("impl Core {{\n    fn act(&self) {{\n        self.of_{to}();\n    }}\n}}"),
                format!("fn act(core: &Core) {{\n    core\n        .of_{to}();\n}}"),
                format!("fn act(rows: Rows) {{\n    rows.map(Core::of_{to});\n}}"),
            ] {
                let mut sources: Vec<Source> = rooms.iter().map(|room| clean(room)).collect();
                sources.push(Source::planted(&format!("engine/{from}/planted.rs"), &call));
                let found = problems(&sources, &[]);
                assert_eq!(found.is_empty(), is_down, "{from} -> {to}: {call}\n{found}");
            }
        }
    }
    let stranger = [Source::planted("engine/attic/thing.rs", "")];
    assert!(problems(&stranger, &[]).contains("in no room"));
    assert!(problems(&[], &[("core", "face", 1)]).contains("take it off the list"));
}

/// The fields that only some types have: what a row of any type has, what types and processes are called, and the words of
/// collections are left out.
fn fields_of_nouns() -> BTreeSet<String> {
    let registry = drover::schema::Registry::load(None).expect("the built-in schemas fit");
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for ty in registry.types.values().filter(|ty| ty.id != "collection") {
        fields.extend(ty.fields.keys().cloned());
    }
    for ty in registry.types.values() {
        fields.remove(&ty.id);
        fields.remove(&ty.root);
    }
    for name in [
        "id",
        "type",
        "kind",
        "name",
        "uuid",
        "accountId",
        "created",
        "remove",
        "removed",
        "removeTime",
        "state",
    ] {
        fields.remove(name);
    }
    fields
}

/// The texts of these rooms that are fields of nouns.
fn fields_named(sources: &[Source], fields: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if !room_of(&source.path).is_some_and(|room| matches!(room.as_str(), "commands" | "work")) {
            continue;
        }
        for (number, line) in source.lines() {
            let named = line.split('"').skip(1).step_by(2).filter(|text| fields.contains(*text));
            found.extend(named.map(|text| format!("{}:{number}: {text}", source.path)));
        }
    }
    found
}

#[test]
fn dispatch_and_background_name_no_field_of_a_noun() {
    let fields = fields_of_nouns();
    assert_eq!(fields_named(&engine(), &fields), Vec::<String>::new());
    let planted = Source::planted("engine/work/planted.rs", "fn f() {\n    row.text(\"imageUuid\");\n}");
    assert_eq!(fields_named(&[planted], &fields).len(), 1);
}
