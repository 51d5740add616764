//! Carrying a template out: values, functions, loops, all within bounds.

use crate::compose::limits::{MAX_TEMPLATE_STEPS, MAX_TEMPLATE_VALUE, MAX_TEXT};
use crate::compose::problem::{Problem, Read};

use super::Facts;
use super::syntax::{Argument, Expression, Node};

/// What a template comes to.
pub(super) fn run(nodes: &[Node], facts: &Facts<'_>) -> Read<String> {
    let mut run = Run {
        facts,
        steps: 0,
        out: String::new(),
        scopes: Vec::new(),
    };
    run.nodes(nodes, &Value::Nothing)?;
    Ok(run.out)
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Nothing,
    Text(String),
    Number(i64),
    Truth(bool),
    List(Vec<Value>),
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => *number != 0,
            Self::Truth(truth) => *truth,
            Self::List(list) => !list.is_empty(),
        }
    }

    fn text(&self) -> String {
        match self {
            // As Go writes what is not there.
            Self::Nothing => "<no value>".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::List(list) => {
                let texts: Vec<String> = list.iter().map(Self::text).collect();
                format!("[{}]", texts.join(" "))
            }
        }
    }

    /// How much it holds.
    fn weight(&self) -> usize {
        match self {
            Self::Nothing | Self::Number(_) | Self::Truth(_) => 8,
            Self::Text(text) => text.len() + 8,
            Self::List(list) => list.iter().map(Self::weight).sum::<usize>() + 8,
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

struct Run<'a> {
    facts: &'a Facts<'a>,
    steps: usize,
    out: String,
    scopes: Vec<(String, Value)>,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Read<()> {
        let outer = self.scopes.len();
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_TEMPLATE_STEPS || self.out.len() > MAX_TEXT {
                return Err(Problem::new("the template does too much"));
            }
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Output(expression) => {
                    let text = self.value(expression, dot)?.text();
                    self.out.push_str(&text);
                }
                Node::Set(name, expression) => {
                    let value = self.value(expression, dot)?;
                    match self.scopes.iter_mut().rev().find(|(known, _)| known == name) {
                        Some(known) => known.1 = value,
                        None => self.scopes.push((name.clone(), value)),
                    }
                }
                Node::If(branches, otherwise) => {
                    let mut taken = otherwise;
                    for (condition, body) in branches {
                        if self.value(condition, dot)?.is_true() {
                            taken = body;
                            break;
                        }
                    }
                    self.nodes(taken, dot)?;
                }
                Node::Range {
                    names,
                    over,
                    body,
                    otherwise,
                } => {
                    let list = match self.value(over, dot)? {
                        Value::List(list) => list,
                        Value::Nothing => Vec::new(),
                        _ => return Err(Problem::new(format!("{{{{range {}}}}} is over no list", over.text))),
                    };
                    if list.is_empty() {
                        self.nodes(otherwise, dot)?;
                    }
                    for (at, item) in list.into_iter().enumerate() {
                        let scope = self.scopes.len();
                        let index = Value::Number(i64::try_from(at).unwrap_or(i64::MAX));
                        match names.as_slice() {
                            [] => {}
                            [name] => self.scopes.push((name.clone(), item.clone())),
                            [first, name, ..] => {
                                self.scopes.push((first.clone(), index));
                                self.scopes.push((name.clone(), item.clone()));
                            }
                        }
                        self.nodes(body, &item)?;
                        self.scopes.truncate(scope);
                    }
                }
            }
        }
        self.scopes.truncate(outer);
        Ok(())
    }

    fn value(&mut self, expression: &Expression, dot: &Value) -> Read<Value> {
        let refuse = |what: &str| Problem::new(format!("{{{{{}}}}}: {what}", expression.text));
        let mut piped: Option<Value> = None;
        for command in &expression.commands {
            self.steps += 1;
            let (first, rest) = command.split_first().ok_or_else(|| refuse("is empty"))?;
            let mut arguments = Vec::new();
            let mut weight = 0;
            for argument in rest {
                let value = self.argument(argument, dot).map_err(|word| refuse(&word))?;
                weight += value.weight();
                if weight > MAX_TEMPLATE_VALUE {
                    return Err(refuse("is too large"));
                }
                arguments.push(value);
            }
            arguments.extend(piped.take());
            let is_value = |word: &str| {
                word.starts_with(['.', '$', '-'])
                    || word.starts_with(|c: char| c.is_ascii_digit())
                    || matches!(word, "true" | "false" | "nil")
            };
            piped = Some(match first {
                Argument::Word(name) if !is_value(name) => {
                    call(name, &arguments).ok_or_else(|| refuse(&format!("{name} cannot be called so")))?
                }
                value if arguments.is_empty() => self.argument(value, dot).map_err(|word| refuse(&word))?,
                _ => return Err(refuse("is no function")),
            });
        }
        let value = piped.ok_or_else(|| refuse("is empty"))?;
        match value.weight() <= MAX_TEMPLATE_VALUE {
            true => Ok(value),
            false => Err(refuse("is too large")),
        }
    }

    /// The value of one argument, or what is wrong with it.
    fn argument(&mut self, argument: &Argument, dot: &Value) -> Result<Value, String> {
        let word = match argument {
            Argument::Text(text) => return Ok(Value::Text(text.clone())),
            Argument::Group(group) => return self.value(group, dot).map_err(|problem| problem.to_string()),
            Argument::Word(word) => word.as_str(),
        };
        let of_values = word.strip_prefix("$.").map(|rest| format!(".{rest}"));
        match of_values.as_deref().unwrap_or(word) {
            "." => Ok(dot.clone()),
            "true" => Ok(Value::Truth(true)),
            "false" => Ok(Value::Truth(false)),
            "nil" => Ok(Value::Nothing),
            ".Stack.Name" => Ok(Value::Text(self.facts.stack.to_owned())),
            path if path.starts_with(".Values.") => {
                let name = path.trim_start_matches(".Values.");
                Ok(self
                    .facts
                    .values
                    .get(name)
                    .map_or(Value::Nothing, |text| Value::Text(text.clone())))
            }
            name if name.starts_with('$') => {
                let found = self.scopes.iter().rev().find(|(known, _)| known == name);
                found
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| format!("{name} is not known"))
            }
            other => other
                .parse()
                .map(Value::Number)
                .map_err(|_| format!("{other} is not known")),
        }
    }
}

/// The functions; `None` if there is none, or it cannot be had of these values.
fn call(name: &str, arguments: &[Value]) -> Option<Value> {
    use Value::{List, Number, Text, Truth};
    let same = |a: &Value, b: &Value| match (a.number(), b.number()) {
        (Some(a), Some(b)) => a == b,
        _ => a.text() == b.text() && *a != Value::Nothing,
    };
    Some(match (name, arguments) {
        ("not", [value]) => Truth(!value.is_true()),
        ("and", [first, ..]) => arguments
            .iter()
            .find(|value| !value.is_true())
            .or(arguments.last())
            .unwrap_or(first)
            .clone(),
        ("or", [first, ..]) => arguments
            .iter()
            .find(|value| value.is_true())
            .or(arguments.last())
            .unwrap_or(first)
            .clone(),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => Truth(rest.iter().any(|value| same(first, value))),
        ("ne", [a, b]) => Truth(!same(a, b)),
        ("lt", [a, b]) => Truth(a.number()? < b.number()?),
        ("le", [a, b]) => Truth(a.number()? <= b.number()?),
        ("gt", [a, b]) => Truth(a.number()? > b.number()?),
        ("ge", [a, b]) => Truth(a.number()? >= b.number()?),
        ("default", [other, value]) => {
            if value.is_true() {
                value.clone()
            } else {
                other.clone()
            }
        }
        ("empty", [value]) => Truth(!value.is_true()),
        ("upper", [value]) => Text(value.text().to_uppercase()),
        ("lower", [value]) => Text(value.text().to_lowercase()),
        ("trim", [value]) => Text(value.text().trim().to_owned()),
        ("quote", [value]) => Text(format!("{:?}", value.text())),
        ("contains", [part, value]) => Truth(value.text().contains(&part.text())),
        ("hasPrefix", [part, value]) => Truth(value.text().starts_with(&part.text())),
        ("hasSuffix", [part, value]) => Truth(value.text().ends_with(&part.text())),
        ("replace", [old, new, value]) if old.is_true() => {
            let (text, old, new) = (value.text(), old.text(), new.text());
            let is_small = text.len().saturating_mul(new.len() + 1) <= 16 * MAX_TEMPLATE_VALUE;
            is_small.then(|| Text(text.replace(&old, &new)))?
        }
        ("splitList", [by, value]) if by.is_true() => List(
            value
                .text()
                .split(&by.text())
                .map(|part| Text(part.to_owned()))
                .collect(),
        ),
        ("split", [value, by]) if by.is_true() => List(
            value
                .text()
                .split(&by.text())
                .map(|part| Text(part.to_owned()))
                .collect(),
        ),
        ("join", [by, List(list)]) => Text(list.iter().map(Value::text).collect::<Vec<_>>().join(&by.text())),
        ("list", _) => List(arguments.to_vec()),
        ("len", [List(list)]) => Number(i64::try_from(list.len()).ok()?),
        ("len", [Text(text)]) => Number(i64::try_from(text.len()).ok()?),
        ("atoi" | "int", [value]) => Number(value.number().unwrap_or(0)),
        ("add", [a, b]) => Number(a.number()?.checked_add(b.number()?)?),
        ("sub", [a, b]) => Number(a.number()?.checked_sub(b.number()?)?),
        ("mul", [a, b]) => Number(a.number()?.checked_mul(b.number()?)?),
        ("until", [count]) => List(
            (0..count.number().filter(|count| *count <= 1_000)?)
                .map(Number)
                .collect(),
        ),
        ("index", [List(list), at]) => list.get(usize::try_from(at.number()?).ok()?)?.clone(),
        _ => return None,
    })
}
