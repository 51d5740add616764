//! The source of the program as text, for tests of rules that no compiler knows.

use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Below the folder that was asked for, with slashes.
    pub path: String,
    pub text: String,
}

impl Source {
    /// A file that is not there, for tests of the rules themselves.
    pub fn planted(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The module at the top of `src/`.
    pub fn layer(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the whole file exists for tests.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let named = name.ends_with("tests") || matches!(name, "testkit" | "fixture" | "world" | "properties");
        named || self.path.contains("/tests/")
    }

    /// The program itself: without the tests at the end.
    pub fn program(&self) -> &str {
        let end = if self.is_test() {
            0
        } else {
            self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len())
        };
        &self.text[..end]
    }

    /// The lines of the program, numbered, without comments.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.program()
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether it is this file or module, or in this folder.
    pub fn is_in(&self, place: &str) -> bool {
        let rest = self.path.strip_prefix(place);
        rest.is_some_and(|rest| matches!(rest, "" | ".rs") || rest.starts_with('/'))
    }
}

pub fn root() -> &'static Path {
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

/// The files with these endings below some folders, in order; their paths are given from `below` on.
pub fn files(folders: &[&str], endings: &[&str], below: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    folders
        .iter()
        .for_each(|folder| collect(&root().join(folder), endings, &mut paths));
    paths.sort();
    assert!(!paths.is_empty(), "nothing in {folders:?}");
    let base = root().join(below);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Source {
            path: path
                .strip_prefix(&base)
                .unwrap_or(&path)
                .to_string_lossy()
                .replace('\\', "/"),
            text,
        }
    };
    paths.into_iter().map(read).collect()
}

/// The program's files.
pub fn sources() -> Vec<Source> {
    files(&["src"], &[".rs"], "src")
}

/// Fails with all that was found to be wrong.
#[track_caller]
pub fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// What a piece of Rust's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Code,
    Comment,
    /// A string or a character, with its quotes.
    Literal,
}

/// Takes Rust's text apart, in order and without gaps: braces in strings are no braces, and words in comments no code.
pub fn pieces(text: &str) -> Vec<(Kind, &str)> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        match special(rest, text[..at].chars().next_back()) {
            Some((kind, length)) => {
                if start < at {
                    found.push((Kind::Code, &text[start..at]));
                }
                found.push((kind, &rest[..length]));
                at += length;
                start = at;
            }
            None => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    if start < at {
        found.push((Kind::Code, &text[start..at]));
    }
    found
}

/// What begins here that is not code, and how long it is.
fn special(rest: &str, before: Option<char>) -> Option<(Kind, usize)> {
    let upto = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |i| from + i + end.len());
    if rest.starts_with("//") {
        return Some((Kind::Comment, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Some((Kind::Comment, upto("*/", 2)));
    }
    let is_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if let Some(raw) = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix('r'))
        .filter(|_| !is_word)
    {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let open = rest.len() - raw.len() + hashes + 1;
            return Some((Kind::Literal, upto(&format!("\"{}", "#".repeat(hashes)), open)));
        }
    }
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let length = quoted(rest, quote)?;
    Some((Kind::Literal, length))
}

/// The length of a literal in quotes; none if it is a lifetime.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        // `'a'` is one character between quotes, `'a` is a lifetime.
        if quote == '\'' && !escaped && c != '\'' && i > 1 && !rest[1..].starts_with('\\') {
            return None;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(i + c.len_utf8()),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The text with spaces for all that is no code; lines stay where they are.
pub fn code(text: &str) -> String {
    let blank = |part: &str| {
        part.chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect::<String>()
    };
    pieces(text)
        .into_iter()
        .map(|(kind, part)| {
            if kind == Kind::Code {
                part.to_owned()
            } else {
                blank(part)
            }
        })
        .collect()
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// From `fn` to the last brace.
    pub lines: usize,
}

/// The functions of a text, by counting braces.
pub fn functions(text: &str) -> Vec<Function> {
    let code = code(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = code[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        let name: String = code[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let body = body(&code[at..]).filter(|_| !is_word && !name.is_empty());
        if let Some(length) = body {
            let lines = code[at..at + length].matches('\n').count() + 1;
            found.push(Function {
                name,
                line: code[..at].matches('\n').count() + 1,
                lines,
            });
        }
    }
    found
}

/// The length of a function's text up to its last brace; none if it has no body.
fn body(text: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0usize, 0usize);
    for (i, c) in text.char_indices() {
        match c {
            // In `[u8; 4]` it ends no declaration.
            ';' if braces == 0 && brackets == 0 => return None,
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return Some(i + 1),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn strings_comments_and_lifetimes_are_told_apart() {
    let text = "fn a<'l>(c: char) { '{' '\\'' \"}\\\"}\" r#\"\"{\"# } // fn b() {}\n/* } */ let d = 'x';";
    let blank = |text: &str| " ".repeat(text.len());
    let expected = ["'{'", "'\\''", "\"}\\\"}\"", "r#\"\"{\"#"].map(blank).join(" ");
    let comments = [blank("// fn b() {}"), blank("/* } */")].join("\n");
    assert_eq!(
        code(text),
        format!(
            "fn a<'l>(c: char) {{ {expected} }} {comments} let d = {};",
            blank("'x'")
        )
    );
    assert_eq!(pieces(text).into_iter().map(|(_, part)| part).collect::<String>(), text);
}

#[test]
fn functions_are_measured_from_their_name_to_their_last_brace() {
    let text = "trait T {\n    fn none(&self) -> [u8; 2];\n}\nfn one() { \"{\"; }\nconst fn three(f: fn (u8)) {\n    if true { // }\n}}\n";
    let found = functions(text);
    let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    assert_eq!(found, [("one", 4, 1), ("three", 5, 3)]);
}
