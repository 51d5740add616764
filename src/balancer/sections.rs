//! A user's own lines, laid over ours: as the original merges them. Pure.
//!
//! `global` and `defaults`: a line of the user's takes the place of ours of the same word; others are added. `frontend 80` and
//! `backend NAME`: likewise, before our own `bind`, rules and servers, which stay. `server $IP …` in a backend adds its words
//! to each of our servers. Sections that we have not are added at the end.

use std::collections::BTreeMap;

/// A part of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Its first line.
    pub head: String,
    /// Lines that others can take the place of.
    pub lines: Vec<String>,
    /// Lines that stay.
    pub fixed: Vec<String>,
}

/// Words that begin a section. None of them is a word inside of one.
const HEADS: [&str; 15] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "userlist",
    "peers",
    "resolvers",
    "mailers",
    "cache",
    "ring",
    "http-errors",
    "program",
    "fcgi-app",
    "log-forward",
];

/// Words of which there can be several lines, which are told apart by the word that follows.
const BY_SECOND: [&str; 6] = ["option", "timeout", "errorfile", "no", "stats", "tune"];

/// Words of which each line stands for itself.
const EACH: [&str; 13] = [
    "acl",
    "http-request",
    "http-response",
    "http-after-response",
    "tcp-request",
    "tcp-response",
    "use_backend",
    "bind",
    "server",
    "log",
    "stick",
    "setenv",
    "capture",
];

/// Reads a user's lines. Second is what each backend's servers are to have besides, with a space in front.
pub fn parse(text: &str) -> (Vec<Section>, BTreeMap<String, String>) {
    let mut sections: Vec<Section> = Vec::new();
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let first = line.split_whitespace().next().unwrap_or_default();
        if HEADS.contains(&first) {
            sections.push(Section {
                head: line.split_whitespace().collect::<Vec<_>>().join(" "),
                ..Section::default()
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            // HAProxy is to say that it belongs nowhere.
            sections.push(Section {
                head: line.to_owned(),
                ..Section::default()
            });
            continue;
        };
        let backend = section.head.strip_prefix("backend ");
        match (backend, line.strip_prefix("server $IP")) {
            (Some(backend), Some(more)) => {
                let more = more
                    .split_whitespace()
                    .fold(String::new(), |all, word| all + " " + word);
                words.entry(backend.to_owned()).or_default().push_str(&more);
            }
            _ => section.lines.push(line.to_owned()),
        }
    }
    (sections, words)
}

/// A user's lines as they were written, by sections; what stands before the first is one, too.
pub fn split(text: &str) -> Vec<&str> {
    let is_head = |line: &str| HEADS.contains(&line.split_whitespace().next().unwrap_or_default());
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if starts.is_empty() || is_head(line) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let ranges = starts.iter().zip(ends);
    ranges.filter_map(|(start, end)| text.get(*start..end)).collect()
}

/// Lays a user's sections over ours.
pub fn merge(mut ours: Vec<Section>, theirs: &[Section]) -> Vec<Section> {
    for section in theirs {
        match ours.iter_mut().find(|own| own.head == section.head) {
            Some(own) => {
                for line in &section.lines {
                    let key = key(line);
                    if let Some(key) = &key {
                        own.lines.retain(|known| self::key(known).as_ref() != Some(key));
                    }
                    own.lines.push(line.clone());
                }
            }
            None => ours.push(section.clone()),
        }
    }
    ours
}

/// By what a line takes another's place; none for one that stands for itself.
fn key(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    if EACH.contains(&first) {
        return None;
    }
    if BY_SECOND.contains(&first) {
        let second = words.next().unwrap_or_default();
        // `no option x` is about the same as `option x`.
        return match (first, second) {
            ("no", "option") => Some(format!("option {}", words.next().unwrap_or_default())),
            _ => Some(format!("{first} {second}")),
        };
    }
    Some(first.to_owned())
}
