//! `${NAME}` in the values of a file.
//!
//! `$NAME` and `${NAME}` are a variable's value, `${NAME:-x}` and `${NAME-x}` have a default (`:` counts an empty one as not
//! given), `${NAME:?x}` and `${NAME?x}` refuse the file, `$$` is a dollar. One that is not given is empty, and is warned of.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Problem, Read};
use super::yaml::{Kind, Node};

/// How many defaults may stand in each other.
const MAX_NESTED: usize = 8;

/// What variables are, and which were asked for and not there.
pub struct Variables<'a> {
    given: &'a BTreeMap<String, String>,
    /// Names that nobody gave a value.
    pub missing: BTreeSet<String>,
}

impl<'a> Variables<'a> {
    /// With these values.
    pub fn new(given: &'a BTreeMap<String, String>) -> Self {
        Self {
            given,
            missing: BTreeSet::new(),
        }
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&'a String> {
        self.given.get(name)
    }

    /// Replaces variables in all values below a node; keys stay.
    pub fn fill(&mut self, node: &mut Node) -> Read<()> {
        let line = node.line;
        match &mut node.kind {
            Kind::Scalar(text, _) if text.contains('$') => {
                let filled = self.replace(text, MAX_NESTED).map_err(|problem| match line {
                    0 => problem,
                    _ => problem.within(format!("line {line}")),
                })?;
                *text = filled;
                Ok(())
            }
            Kind::Scalar(..) => Ok(()),
            Kind::List(list) => list.iter_mut().try_for_each(|node| self.fill(node)),
            Kind::Map(map) => map
                .iter_mut()
                .try_for_each(|(key, node)| self.fill(node).map_err(|problem| problem.within(key.as_str()))),
        }
    }

    /// `nested` is how many defaults may still stand in each other.
    fn replace(&mut self, text: &str, nested: usize) -> Read<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            rest = if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                after
            } else if let Some(braced) = after.strip_prefix('{') {
                let Some(end) = closing(braced) else {
                    return Err(Problem::new(format!("{text:?} has a ${{ without an end")));
                };
                let (inside, after) = braced.split_at(end);
                out.push_str(&self.braced(inside, nested)?);
                after.strip_prefix('}').unwrap_or(after)
            } else {
                let name: String = after.chars().take_while(is_name).collect();
                if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
                    return Err(Problem::new(format!(
                        "{text:?} has a $ that begins no name; a dollar is written $$"
                    )));
                }
                out.push_str(&self.value(&name));
                after.strip_prefix(name.as_str()).unwrap_or(after)
            };
            if out.len() > super::limits::MAX_EXPANDED {
                return Err(Problem::new("the values of the variables are too long"));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What stands between `${` and `}`.
    fn braced(&mut self, inside: &str, nested: usize) -> Read<String> {
        let name: String = inside.chars().take_while(is_name).collect();
        let rule = inside.strip_prefix(name.as_str()).unwrap_or_default();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Problem::new(format!("${{{inside}}} names no variable")));
        }
        let (counts_empty, rule) = match rule.strip_prefix(':') {
            Some(rule) => (true, rule),
            None => (false, rule),
        };
        let given = self
            .given
            .get(&name)
            .filter(|value| !(counts_empty && value.is_empty()));
        if let Some(default) = rule.strip_prefix('-') {
            return match (given, nested.checked_sub(1)) {
                (Some(value), _) => Ok(value.clone()),
                (None, Some(nested)) => self.replace(default, nested),
                (None, None) => Err(Problem::new("defaults stand in each other too deeply")),
            };
        }
        if let Some(sentence) = rule.strip_prefix('?') {
            return given
                .cloned()
                .ok_or_else(|| Problem::new(format!("variable {name} is needed: {sentence}")));
        }
        match rule.is_empty() && !counts_empty {
            true => Ok(self.value(&name)),
            false => Err(Problem::new(format!("${{{inside}}} has a rule that is not known"))),
        }
    }

    fn value(&mut self, name: &str) -> String {
        match self.given.get(name) {
            Some(value) => value.clone(),
            None => {
                self.missing.insert(name.to_owned());
                String::new()
            }
        }
    }
}

fn is_name(c: &char) -> bool {
    c.is_ascii_alphanumeric() || *c == '_'
}

/// Where the brace that is open before `text` is closed: a default may have variables of its own.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

/// Writes a text so that it is read as it is.
pub fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn variables_are_replaced() {
        let given = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        let mut variables = Variables::new(&given);
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}", "1-1"),
            ("x${A}y$A.z", "x1y1.z"),
            ("$$A $$", "$A $"),
            ("${B:-b}${B-c}${A:-b}", "bc1"),
            ("${E:-e}|${E-e}|", "e||"),
            ("${B:-${A}x}", "1x"),
            ("$B", ""),
        ] {
            assert_eq!(variables.replace(text, MAX_NESTED).expect(text), expected, "{text}");
            assert_eq!(variables.replace(&escape(text), MAX_NESTED).expect(text), text);
        }
        assert_eq!(variables.missing.into_iter().collect::<Vec<_>>(), ["B"]);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        let given = BTreeMap::new();
        for (text, words) in [
            ("${A", "without an end"),
            ("${}", "names no variable"),
            ("$1", "begins no name"),
            ("a$", "begins no name"),
            ("${A:?set it}", "variable A is needed: set it"),
            ("${A!x}", "has a rule that is not known"),
            ("${A:}", "has a rule that is not known"),
            ("${A:-".repeat(99).as_str(), "without an end"),
            (
                format!("{}{}", "${A:-".repeat(99), "}".repeat(99)).as_str(),
                "too deeply",
            ),
        ] {
            let refusal = Variables::new(&given)
                .replace(text, MAX_NESTED)
                .expect_err(text)
                .to_string();
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }
}
