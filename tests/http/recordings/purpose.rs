//! What differs on purpose: `tests/recordings/on_purpose.txt`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::compare::Difference;
use super::script;

/// One line: patterns, in which `*` stands for any text, and why.
struct Line {
    request: String,
    row: String,
    path: String,
    how: String,
    original: String,
    drover: String,
    reason: String,
    /// As it stands in the list.
    text: String,
    /// What it was needed for, by kind: in how many places, and one of them.
    used: RefCell<BTreeMap<String, (usize, String)>>,
}

/// The whole list.
pub struct Purpose {
    lines: Vec<Line>,
}

impl Purpose {
    /// Reads the list.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(script::folder().join("on_purpose.txt")).expect("the list can be read");
        let lines = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        Self {
            lines: lines.map(parse).collect(),
        }
    }

    /// Why it differs, if that is meant to be. `request` is the scenario and what was asked.
    pub fn of(&self, request: &str, found: &Difference) -> Option<&str> {
        let fits = |line: &&Line| {
            fits(&line.row, &found.kind_of_row)
                && fits(&line.path, &found.path)
                && fits(&line.how, &found.how)
                && fits(&line.request, request)
                && fits(&line.original, &found.original)
                && fits(&line.drover, &found.drover)
        };
        let line = self.lines.iter().find(fits)?;
        let kind = format!("{} {} ({})", found.kind_of_row, found.path, found.how);
        let mut used = line.used.borrow_mut();
        let place = || format!("{request}: original {} drover {}", found.original, found.drover);
        used.entry(kind).or_insert_with(|| (0, place())).0 += 1;
        Some(line.reason.as_str())
    }

    /// The lines that no difference needed: nothing differs there any more.
    pub fn unused(&self) -> Vec<&str> {
        let unused = self.lines.iter().filter(|line| line.used.borrow().is_empty());
        unused.map(|line| line.text.as_str()).collect()
    }

    /// What each line is needed for, for whoever makes one narrower.
    pub fn uses(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let used = line.used.borrow();
            let _ = writeln!(text, "{}", line.text);
            for (kind, (places, example)) in &*used {
                let _ = writeln!(text, "{places:7} {kind}\n        {example}");
            }
        }
        text
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }
}

fn parse(line: &str) -> Line {
    let mut columns = line.split(" | ").map(|column| column.trim().to_owned());
    let mut next = || {
        columns
            .next()
            .filter(|column| !column.is_empty())
            .unwrap_or_else(|| panic!("seven columns are needed: {line}"))
    };
    Line {
        request: next(),
        row: next(),
        path: next(),
        how: next(),
        original: next(),
        drover: next(),
        reason: next(),
        text: line.to_owned(),
        used: RefCell::default(),
    }
}

/// Whether a text fits a pattern.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, does) in [
        ("*", "", true),
        ("*", "anything", true),
        ("a*", "ab", true),
        ("a*", "ba", false),
        ("*b", "ab", true),
        ("a*c", "abc", true),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1c", false),
        ("abc", "abcd", false),
    ] {
        assert_eq!(fits(pattern, text), does, "{pattern} {text}");
    }
}
