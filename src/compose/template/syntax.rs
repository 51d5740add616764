//! What a template says: texts, and actions as a tree.

use crate::compose::limits::MAX_TEMPLATE_DEPTH;
use crate::compose::problem::{Problem, Read};

/// The tree of a template.
pub(super) fn nodes(text: &str) -> Read<Vec<Node>> {
    let mut pieces = split(text)?;
    pieces.reverse();
    let mut parser = Parser { pieces, depth: 0 };
    match parser.nodes()? {
        (nodes, None) => Ok(nodes),
        (_, Some(end)) => Err(Problem::new(format!("{{{{{end}}}}} belongs to nothing"))),
    }
}

enum Piece {
    Text(String),
    /// What stands between the braces.
    Action(String),
}

/// Texts and actions; blanks that an action trims are gone.
fn split(text: &str) -> Read<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, after)) = close(after) else {
            return Err(Problem::new("{{ is not closed"));
        };
        let (trims_before, inside) = match inside.strip_prefix('-') {
            Some(inside) if inside.starts_with(char::is_whitespace) => (true, inside),
            _ => (false, inside),
        };
        let (trims_after, inside) = match inside.strip_suffix('-') {
            Some(inside) if inside.ends_with(char::is_whitespace) => (true, inside),
            _ => (false, inside),
        };
        let before = if trims { before.trim_start() } else { before };
        let before = if trims_before { before.trim_end() } else { before };
        pieces.push(Piece::Text(before.to_owned()));
        let inside = inside.trim();
        if !(inside.starts_with("/*") && inside.ends_with("*/")) {
            pieces.push(Piece::Action(inside.to_owned()));
        }
        trims = trims_after;
        rest = after;
    }
    let rest = if trims { rest.trim_start() } else { rest };
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// The inside of an action, and what follows; braces in quotes do not close it.
fn close(text: &str) -> Option<(&str, &str)> {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '}') if text.get(at..).is_some_and(|rest| rest.starts_with("}}")) => {
                return Some((text.get(..at)?, text.get(at + 2..)?));
            }
            (None, _) => {}
        }
    }
    None
}

pub(super) enum Node {
    Text(String),
    Output(Expression),
    Set(String, Expression),
    If(Vec<(Expression, Vec<Node>)>, Vec<Node>),
    Range {
        names: Vec<String>,
        over: Expression,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// A pipeline: the value of each command is the last argument of the next.
pub(super) struct Expression {
    pub(super) text: String,
    pub(super) commands: Vec<Vec<Argument>>,
}

pub(super) enum Argument {
    Word(String),
    Text(String),
    Group(Expression),
}

struct Parser {
    /// In reverse.
    pieces: Vec<Piece>,
    depth: usize,
}

impl Parser {
    /// Nodes up to an action that ends them: `end`, `else …`.
    fn nodes(&mut self) -> Read<(Vec<Node>, Option<String>)> {
        self.depth += 1;
        if self.depth > MAX_TEMPLATE_DEPTH {
            return Err(Problem::new("the template is nested too deeply"));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.pop() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
            match word {
                "end" | "else" => {
                    self.depth -= 1;
                    return Ok((nodes, Some(action)));
                }
                "if" => nodes.push(self.branches(rest)?),
                "range" => nodes.push(self.range(rest)?),
                "with" | "define" | "template" | "block" | "break" | "continue" => {
                    return Err(Problem::new(format!("{{{{{action}}}}}: {word} is not known")));
                }
                _ => nodes.push(match set(&action) {
                    Some((name, expression)) => Node::Set(name, parse(expression)?),
                    None => Node::Output(parse(&action)?),
                }),
            }
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn branches(&mut self, condition: &str) -> Read<Node> {
        let mut branches = Vec::new();
        let mut condition = parse(condition)?;
        loop {
            let (body, end) = self.nodes()?;
            branches.push((condition, body));
            let end = end.unwrap_or_default();
            match end.strip_prefix("else").map(str::trim) {
                None if end == "end" => return Ok(Node::If(branches, Vec::new())),
                Some("") => return Ok(Node::If(branches, self.last()?)),
                Some(more) if more.starts_with("if ") => condition = parse(more.trim_start_matches("if "))?,
                _ => return Err(Problem::new("an if has no end")),
            }
        }
    }

    /// What follows an `else`, up to the `end`.
    fn last(&mut self) -> Read<Vec<Node>> {
        match self.nodes()? {
            (body, Some(end)) if end == "end" => Ok(body),
            _ => Err(Problem::new("an else has no end")),
        }
    }

    fn range(&mut self, rest: &str) -> Read<Node> {
        let (names, over) = match rest.split_once(":=") {
            Some((names, over)) => (names.split(',').map(|name| name.trim().to_owned()).collect(), over),
            None => (Vec::new(), rest),
        };
        let over = parse(over)?;
        let (body, end) = self.nodes()?;
        let otherwise = match end.as_deref() {
            Some("end") => Vec::new(),
            Some("else") => self.last()?,
            _ => return Err(Problem::new("a range has no end")),
        };
        Ok(Node::Range {
            names,
            over,
            body,
            otherwise,
        })
    }
}

/// `$name := expression`, or `$name = expression`.
fn set(action: &str) -> Option<(String, &str)> {
    let (name, rest) = action.strip_prefix('$')?.split_once('=')?;
    let name = name.trim_end_matches(':').trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (format!("${name}"), rest))
}

fn parse(text: &str) -> Read<Expression> {
    let mut rest = text.trim();
    let expression = group(&mut rest, text.trim(), 0)?;
    match rest.is_empty() {
        true => Ok(expression),
        false => Err(Problem::new(format!("{{{{{text}}}}} is not understood"))),
    }
}

/// Up to the end, or to the brace that closes a group.
fn group(rest: &mut &str, text: &str, depth: usize) -> Read<Expression> {
    let refuse = || Problem::new(format!("{{{{{text}}}}} is not understood"));
    if depth > MAX_TEMPLATE_DEPTH {
        return Err(refuse());
    }
    let mut commands = vec![Vec::new()];
    loop {
        *rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        let argument = match first {
            ')' => break,
            '|' => {
                *rest = rest.get(1..).unwrap_or_default();
                commands.push(Vec::new());
                continue;
            }
            '(' => {
                *rest = rest.get(1..).unwrap_or_default();
                let inner = group(rest, text, depth + 1)?;
                *rest = rest.strip_prefix(')').ok_or_else(refuse)?;
                Argument::Group(inner)
            }
            '"' | '`' => {
                let (word, after) = quoted(rest).ok_or_else(refuse)?;
                *rest = after;
                Argument::Text(word)
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || "()|\"`".contains(c))
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                *rest = after;
                Argument::Word(word.to_owned())
            }
        };
        commands.last_mut().ok_or_else(refuse)?.push(argument);
    }
    match commands.iter().any(Vec::is_empty) {
        true => Err(refuse()),
        false => Ok(Expression {
            text: text.to_owned(),
            commands,
        }),
    }
}

/// A text in quotes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let open = text.chars().next()?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == open => return Some((out, text.get(at + 1..)?)),
            '\\' if open == '"' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c => out.push(c),
        }
    }
    None
}
