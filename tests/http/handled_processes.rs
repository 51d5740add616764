//! The keys by which the engine finds what has code, against the state machines: a key that names no process is code that never
//! runs, and nobody would notice.

use drover::schema::Registry;

use crate::source::{Kind, Source, files, none, pieces};

/// The fewest keys that can be right: a search that finds hardly any is broken.
const FEWEST: usize = 30;

/// Whether a text has the form of a key: `instance.start`.
fn is_key(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(|c| c.is_ascii_alphanumeric())
    };
    text.split_once('.')
        .is_some_and(|(root, process)| is_word(root) && is_word(process))
}

/// The strings of that form that are patterns, with their lines: of an arm, of a `matches!`, with or without alternatives.
fn keys(source: &Source) -> Vec<(usize, &str)> {
    let pieces: Vec<_> = pieces(source.program())
        .into_iter()
        .filter(|(kind, _)| *kind != Kind::Comment)
        .collect();
    let code = |i: Option<usize>| {
        i.and_then(|i| pieces.get(i))
            .filter(|(kind, _)| *kind == Kind::Code)
            .map_or("", |(_, text)| text.trim())
    };
    let mut found = Vec::new();
    for (i, (kind, text)) in pieces.iter().enumerate() {
        let key = text.trim_matches('"');
        if *kind != Kind::Literal || !is_key(key) {
            continue;
        }
        let (before, after) = (code(i.checked_sub(1)), code(Some(i + 1)));
        let is_pattern = ["=>", "|", "if "].iter().any(|sign| after.starts_with(sign)) || before.ends_with('|');
        if is_pattern {
            let at = text.as_ptr() as usize - source.text.as_ptr() as usize;
            found.push((source.text[..at].matches('\n').count() + 1, key));
        }
    }
    found
}

/// Keys that no type of their root has a process for.
fn unknown(registry: &Registry, sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        for (line, key) in keys(source) {
            let (root, process) = key.split_once('.').unwrap_or_default();
            let mut machines = registry
                .types
                .values()
                .filter(|ty| ty.root == root)
                .filter_map(|ty| ty.machine.as_ref());
            if !machines.any(|machine| machine.has_process(process)) {
                problems.push(format!(
                    "{}:{line}: {key} is no process of schemas/processes/",
                    source.path
                ));
            }
        }
    }
    problems
}

fn registry() -> Registry {
    Registry::load(None).expect("the built-in schemas fit")
}

#[test]
fn each_process_that_has_code_is_an_edge_of_its_state_machine() {
    let engine = files(&["src/engine"], &[".rs"], "");
    let found: usize = engine.iter().map(|source| keys(source).len()).sum();
    assert!(
        found >= FEWEST,
        "only {found} keys are found: are they written in another way?"
    );
    none(unknown(&registry(), &engine));
}

#[test]
fn a_key_that_names_no_process_is_found() {
    let text = r#"//! "a.b" => nothing
match key {
    "instance.start" => 1,
    // "instance.fly" => 2,
    "instance.fly" => 2,
    "service.upgrade"
    | "service.downgrade"
    | "stack.remove" if fits => 3,
    "toolBox.create" if fits => 4,
    _ => ask("host.dance", "a.b.c"),
}
matches!(key, "host.remove" | "host.jump")
#[cfg(test)]
mod tests {
    "host.sing" => 5,
}
"#;
    let planted = [Source::planted("src/engine/a.rs", text)];
    let expected = [
        (5, "instance.fly"),
        (7, "service.downgrade"),
        (9, "toolBox.create"),
        (12, "host.jump"),
    ];
    let expected =
        expected.map(|(line, key)| format!("src/engine/a.rs:{line}: {key} is no process of schemas/processes/"));
    assert_eq!(unknown(&registry(), &planted), expected);
    assert_eq!(keys(&planted[0]).len(), 8);
}
