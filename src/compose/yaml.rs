//! YAML as compose files use it: a text becomes a tree, within bounds.
//!
//! Scalars stay the text that was written, with a note whether it stood in quotes: what `1.10` or `yes` is depends on the key,
//! which is not known here. Aliases are copied, and count each time; `<<` is resolved; a key that stands twice is refused.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

use super::limits::{MAX_DEPTH, MAX_EXPANDED, MAX_NODES, MAX_TEXT};
use super::problem::{Problem, Read};

/// A node of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins; 0 for one that is in no file.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A text, and whether it stood without quotes.
    Scalar(String, bool),
    /// In order.
    List(Vec<Node>),
    /// In order, no key twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A text that is nothing but a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Kind::Scalar(text.into(), false))
    }

    /// A number, or a word such as `true`.
    pub fn plain(text: impl ToString) -> Self {
        Self::of(Kind::Scalar(text.to_string(), true))
    }

    /// A list of texts.
    pub fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(Kind::List(texts.into_iter().map(Self::text).collect()))
    }

    /// A node that is in no file.
    pub fn of(kind: Kind) -> Self {
        Self { line: 0, kind }
    }

    /// Nothing: `key:`, `~`, `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(text, true) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A scalar as it was written.
    pub fn as_text(&self) -> Read<&str> {
        match &self.kind {
            Kind::Scalar(text, _) if !self.is_null() => Ok(text),
            Kind::Scalar(..) => Err(self.wrong("a text is needed")),
            Kind::List(_) => Err(self.wrong("a text is needed, not a list")),
            Kind::Map(_) => Err(self.wrong("a text is needed, not a map")),
        }
    }

    /// A truth value, in the words of YAML 1.1.
    pub fn as_bool(&self) -> Read<bool> {
        match self.as_text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(true),
            "false" | "no" | "off" => Ok(false),
            other => Err(self.wrong(format!("{other:?} is neither true nor false"))),
        }
    }

    /// A whole number.
    pub fn as_int(&self) -> Read<i64> {
        let text = self.as_text()?.trim();
        let digits = text.replace('_', "");
        let parsed = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        };
        parsed.ok_or_else(|| self.wrong(format!("{text:?} is not a whole number")))
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Read<&[Node]> {
        match &self.kind {
            Kind::List(list) => Ok(list),
            _ if self.is_null() => Ok(&[]),
            _ => Err(self.wrong("a list is needed")),
        }
    }

    /// The entries of a map.
    pub fn as_map(&self) -> Read<&[(String, Node)]> {
        match &self.kind {
            Kind::Map(map) => Ok(map),
            _ if self.is_null() => Ok(&[]),
            _ => Err(self.wrong("a map is needed")),
        }
    }

    /// What a map has under a key, if that is not null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(map) => map.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
        .filter(|node| !node.is_null())
    }

    /// The same as JSON: plain scalars become what YAML 1.2 says they are.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Scalar(..) if self.is_null() => Value::Null,
            Kind::Scalar(text, true) => plain_value(text),
            Kind::Scalar(text, false) => Value::String(text.clone()),
            Kind::List(list) => Value::Array(list.iter().map(Node::to_json).collect()),
            Kind::Map(map) => {
                let entries = map.iter().map(|(key, node)| (key.clone(), node.to_json()));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// What JSON is as a node.
    pub fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::plain("null"),
            Value::Bool(value) => Self::plain(value),
            Value::Number(number) => Self::plain(number),
            Value::String(text) => Self::text(text),
            Value::Array(list) => Self::of(Kind::List(list.iter().map(Self::from_json).collect())),
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (key.clone(), Self::from_json(value)));
                Self::of(Kind::Map(entries.collect()))
            }
        }
    }

    /// A problem with this node; the line is said, if there is one.
    pub fn wrong(&self, message: impl Into<String>) -> Problem {
        let message = message.into();
        match self.line {
            0 => Problem::new(message),
            line => Problem::new(format!("{message} (line {line})")),
        }
    }
}

/// What a plain scalar is to YAML 1.2.
fn plain_value(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let is_octal = text.len() > 1 && text.trim_start_matches('-').starts_with('0') && !text.contains('.');
    if let Ok(number) = text.parse::<i64>()
        && !text.starts_with('+')
        && !is_octal
    {
        return Value::Number(number.into());
    }
    let is_decimal = text.starts_with(|c: char| c.is_ascii_digit() || c == '-') && !is_octal && !text.ends_with('.');
    let float = text.parse::<f64>().ok().filter(|f| is_decimal && f.is_finite());
    match float.and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

/// Whether a text, written without quotes, could be read as anything but this text, by YAML 1.1 or 1.2.
pub fn needs_quotes(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_word = matches!(
        lower.as_str(),
        "" | "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "<<" | "="
    );
    let is_safe = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-./@+,=:$(){}%^;~".contains(c) || c == ' ');
    let first = text.chars().next().unwrap_or(' ');
    // What begins with a digit may be a number, a date or a time of day.
    let is_bare = first.is_ascii_alphabetic() || matches!(first, '_' | '/' | '$');
    is_word || !is_safe || !is_bare || text.contains(": ") || text.ends_with([' ', ':'])
}

/// Reads one document; an empty one is an empty map.
pub fn parse(text: &str) -> Read<Node> {
    if text.len() > MAX_TEXT {
        return Err(Problem::new(format!("the file is larger than {MAX_TEXT} bytes")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| refused(text, error.marker().line(), error.info()))?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or(Node::of(Kind::Map(Vec::new()))))
}

/// A sentence about a line that is no YAML. Tabs are what people stumble over most.
fn refused(text: &str, line: usize, info: &str) -> Problem {
    let has_tab = |number: usize| {
        let line = number
            .checked_sub(1)
            .and_then(|n| text.lines().nth(n))
            .unwrap_or_default();
        line.split(|c: char| !c.is_whitespace())
            .next()
            .is_some_and(|indent| indent.contains('\t'))
    };
    match (line.saturating_sub(1)..=line).find(|number| has_tab(*number)) {
        Some(number) => Problem::new(format!("line {number} is indented by a tab: YAML wants spaces")),
        None => Problem::new(format!("line {line} is no YAML: {info}")),
    }
}

/// A list or a map that is not closed yet.
struct Open {
    line: usize,
    anchor: usize,
    nodes: usize,
    bytes: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        seen: BTreeSet<String>,
        /// The key whose value comes next.
        key: Option<String>,
        /// What `<<` brought.
        merged: Vec<Node>,
    },
}

/// How much is below a node, itself included.
#[derive(Debug, Clone, Copy)]
struct Weight {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Weight)>,
    root: Option<Node>,
    nodes: usize,
    bytes: usize,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Read<()> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(Problem::new(format!("a second document begins at line {line}"))),
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = is_plain(style, tag.as_deref(), line)?;
                let weight = Weight {
                    nodes: 1,
                    bytes: text.len(),
                    depth: 0,
                };
                let kind = Kind::Scalar(Cow::into_owned(text), is_plain);
                self.close(Node { line, kind }, anchor, weight)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), line)?;
                self.begin(line, anchor, Items::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), line)?;
                let items = Items::Map {
                    entries: Vec::new(),
                    seen: BTreeSet::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(line, anchor, items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((node, weight)) => self.close(node, 0, weight),
                None => Err(Problem::new(format!("line {line} repeats what contains it"))),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, items: Items) -> Read<()> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Problem::new(format!(
                "line {line} is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        self.open.push(Open {
            line,
            anchor,
            nodes: 1,
            bytes: 0,
            items,
        });
        Ok(())
    }

    /// The innermost list or map is complete.
    fn end(&mut self) -> Read<()> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.items {
            Items::List(list) => Kind::List(list),
            Items::Map {
                mut entries,
                mut seen,
                merged,
                ..
            } => {
                for node in merged {
                    for (key, node) in node.as_map()? {
                        if seen.insert(key.clone()) {
                            entries.push((key.clone(), node.clone()));
                        }
                    }
                }
                Kind::Map(entries)
            }
        };
        let node = Node { line: open.line, kind };
        let depth = depth_of(&node);
        let weight = Weight {
            nodes: open.nodes,
            bytes: open.bytes,
            depth,
        };
        // Its own parts were counted when they were closed.
        self.nodes = self.nodes.saturating_sub(open.nodes - 1);
        self.bytes = self.bytes.saturating_sub(open.bytes);
        self.close(node, open.anchor, weight)
    }

    /// A node is complete: it is part of what is open, or it is all.
    fn close(&mut self, node: Node, anchor: usize, weight: Weight) -> Read<()> {
        self.nodes += weight.nodes;
        self.bytes += weight.bytes;
        let line = node.line;
        if self.nodes > MAX_NODES || self.bytes > MAX_EXPANDED {
            return Err(Problem::new(format!(
                "what stands up to line {line} is too much, aliases counted each time"
            )));
        }
        if self.open.len() + weight.depth > MAX_DEPTH {
            return Err(Problem::new(format!(
                "line {line} is nested deeper than {MAX_DEPTH} levels"
            )));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.nodes += weight.nodes;
        open.bytes += weight.bytes;
        match &mut open.items {
            Items::List(list) => list.push(node),
            Items::Map {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                None => {
                    let Kind::Scalar(text, _) = node.kind else {
                        return Err(Problem::new(format!("line {line} has a key that is no text")));
                    };
                    *key = Some(text);
                }
                Some(name) if name == "<<" => match node.kind {
                    Kind::List(maps) => merged.extend(maps),
                    _ => merged.push(node),
                },
                Some(name) => {
                    if !seen.insert(name.clone()) {
                        return Err(Problem::new(format!("{name:?} stands twice (line {line})")));
                    }
                    entries.push((name, node));
                }
            },
        }
        Ok(())
    }
}

/// How deep what is in a node is nested.
fn depth_of(node: &Node) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &Node>| parts.map(depth_of).max().unwrap_or(0) + 1;
    match &node.kind {
        Kind::Scalar(..) => 0,
        Kind::List(list) => deepest(&mut list.iter()),
        Kind::Map(map) => deepest(&mut map.iter().map(|(_, node)| node)),
    }
}

/// Whether a scalar stands without quotes, or is a text because its tag says so.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Read<bool> {
    match tag {
        None => Ok(style == ScalarStyle::Plain),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(style == ScalarStyle::Plain),
        Some(tag) => Err(Problem::new(format!(
            "line {line} has the tag {tag}, which means nothing here"
        ))),
    }
}

fn refuse_tag(tag: Option<&Tag>, line: usize) -> Read<()> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err(Problem::new(format!(
            "line {line} has the tag {tag}, which means nothing here"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
