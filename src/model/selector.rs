//! Label selectors: `k=v, k!=v, k in (a,b), k notin (a,b), k`.

use std::collections::BTreeMap;

use super::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Is(Vec<String>),
    IsNot(Vec<String>),
    Exists,
}

/// A parsed selector. Keys and values compare without regard to case; every constraint must hold; the empty
/// selector matches nothing; `!=` and `notin` need the key to exist (cattle: `SelectorUtils`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<(String, Test)>);

impl Selector {
    /// Reads a selector; a key with a space in it is 422 `InvalidFormat` on `field`.
    pub fn parse(text: &str, field: &str) -> Result<Self> {
        let mut constraints = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let lower = part.to_ascii_lowercase();
            let (key, test) = if let Some((key, value)) = lower.split_once("!=") {
                (key, Test::IsNot(vec![value.trim().to_owned()]))
            } else if let Some((key, list)) = lower.split_once(" notin ").and_then(|(k, l)| Some((k, values(l)?))) {
                (key, Test::IsNot(list))
            } else if let Some((key, list)) = lower.split_once(" in ").and_then(|(k, l)| Some((k, values(l)?))) {
                (key, Test::Is(list))
            } else if let Some((key, value)) = lower.split_once('=') {
                (key, Test::Is(vec![value.trim_start_matches('=').trim().to_owned()]))
            } else {
                (lower.as_str(), Test::Exists)
            };
            let key = key.trim();
            if key.is_empty() || key.contains(char::is_whitespace) {
                return Err(Error::invalid("InvalidFormat", field).with_message(format!("not a selector: {part:?}")));
            }
            constraints.push((key.to_owned(), test));
        }
        Ok(Self(constraints))
    }

    /// Whether these labels satisfy every constraint.
    pub fn matches<'a>(&self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> bool {
        let labels: BTreeMap<String, String> = labels
            .into_iter()
            .map(|(k, v)| (k.to_ascii_lowercase(), v.to_ascii_lowercase()))
            .collect();
        !self.0.is_empty()
            && self.0.iter().all(|(key, test)| match (labels.get(key), test) {
                (None, _) => false,
                (Some(value), Test::Is(wanted)) => wanted.contains(value),
                (Some(value), Test::IsNot(unwanted)) => !unwanted.contains(value),
                (Some(_), Test::Exists) => true,
            })
    }
}

fn values(list: &str) -> Option<Vec<String>> {
    let inner = list.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(inner.split(',').map(|v| v.trim().to_owned()).collect())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn selectors_follow_the_grammar() {
        let labels = [("Tier", "Web"), ("env", "prod")];
        for (text, expected) in [
            ("tier=web", true),
            ("tier=web,env=prod", true),
            ("tier = web, env!=dev", true),
            ("tier in (web, db)", true),
            ("tier notin (db)", true),
            ("tier", true),
            ("zone!=a", false),
            ("zone notin (a)", false),
            ("tier=db", false),
            ("", false),
        ] {
            let selector = Selector::parse(text, "selectorContainer").expect(text);
            assert_eq!(selector.matches(labels), expected, "{text}");
        }
        assert!(Selector::parse("tier is web", "selectorContainer").is_err());
    }
}
