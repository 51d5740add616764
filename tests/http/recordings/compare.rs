//! Where an answer differs from what was recorded, member by member.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::names::{Names, id_name, wire_id};

/// One place in which two answers differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The type of the row it is in.
    pub kind_of_row: String,
    /// The member, below the row.
    pub path: String,
    /// How they differ: `value`, `null/value`, `value/missing`, `only original` and so on.
    pub how: String,
    pub original: String,
    pub drover: String,
}

/// The members that are shown as sorted keys only.
const KEYS_ONLY: [&str; 5] = ["links", "actions", "actionLinks", "sortLinks", "createTypes"];
/// Rows are tried in pairs only in lists up to this length; longer ones are taken in order.
const PAIRED: usize = 40;

/// Compares; says what names stand for as it goes.
pub struct Comparison<'n> {
    pub names: &'n mut Names,
    pub found: Vec<Difference>,
}

impl Comparison<'_> {
    /// Everything in which the answers differ.
    pub fn answers(&mut self, want: &Value, got: &Value) {
        let is_collection = want["type"] == "collection";
        let row = if is_collection {
            want["resourceType"].as_str().unwrap_or("?")
        } else {
            "?"
        };
        self.values(want, got, if is_collection { "collection" } else { "" }, row);
    }

    /// Notes one difference.
    pub fn note(&mut self, row: &str, path: &str, how: &str, want: &Value, got: &Value) {
        let (original, drover) = (brief(want), brief(got));
        self.found.push(Difference {
            kind_of_row: row.to_owned(),
            path: path.to_owned(),
            how: how.to_owned(),
            original,
            drover,
        });
    }

    fn values(&mut self, want: &Value, got: &Value, path: &str, row: &str) {
        let last = path.rsplit('.').next().unwrap_or_default();
        match (want, got) {
            (Value::Array(want), Value::Object(got)) if KEYS_ONLY.contains(&last) => {
                self.keys(want, got.keys().map(String::as_str), path, row)
            }
            (Value::Array(want), Value::Array(got)) if KEYS_ONLY.contains(&last) => {
                self.keys(want, got.iter().filter_map(Value::as_str), path, row);
            }
            (Value::Object(want), Value::Object(got)) => self.objects(want, got, path, row),
            (Value::Array(want), Value::Array(got)) => self.lists(want, got, path, row),
            (want, got) if !self.same(want, got) => {
                let how = if kind(want) == kind(got) {
                    "value".to_owned()
                } else {
                    format!("type {}/{}", kind(want), kind(got))
                };
                self.note(row, path, &how, want, got);
            }
            _ => {}
        }
    }

    fn same(&mut self, want: &Value, got: &Value) -> bool {
        match (want, got) {
            (Value::String(want), Value::String(got)) => self.names.fits(want, got),
            (Value::String(want), Value::Number(got)) => {
                want.starts_with('{') && self.names.fits(want, &got.to_string())
            }
            (Value::Number(want), Value::Number(got)) => want.as_f64() == got.as_f64(),
            (want, got) => want == got,
        }
    }

    fn keys<'k>(&mut self, want: &[Value], got: impl Iterator<Item = &'k str>, path: &str, row: &str) {
        let want: BTreeSet<&str> = want.iter().filter_map(Value::as_str).collect();
        let got: BTreeSet<&str> = got.collect();
        for key in want.difference(&got) {
            self.note(
                row,
                &format!("{path}.{key}"),
                "only original",
                &Value::from(*key),
                &Value::from("-"),
            );
        }
        for key in got.difference(&want) {
            self.note(
                row,
                &format!("{path}.{key}"),
                "only drover",
                &Value::from("-"),
                &Value::from(*key),
            );
        }
    }

    fn objects(&mut self, want: &Map<String, Value>, got: &Map<String, Value>, path: &str, row: &str) {
        let kind = want
            .get("type")
            .and_then(Value::as_str)
            .or_else(|| got.get("type").and_then(Value::as_str));
        let (row, path) = match kind {
            Some(kind) if kind != "collection" => (kind.to_owned(), ""),
            _ => (row.to_owned(), path),
        };
        self.meet(want, got);
        let nulls: BTreeSet<&str> = want
            .get("_null")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut left: BTreeSet<&str> = got.keys().map(String::as_str).collect();
        let wanted = want
            .iter()
            .filter(|(key, _)| *key != "_null")
            .map(|(key, value)| (key.as_str(), Some(value)));
        for (key, value) in wanted.chain(nulls.into_iter().map(|key| (key, None))) {
            let found = if key.contains('{') {
                left.iter().copied().find(|k| self.names.fits(key, k))
            } else {
                left.get(key).copied()
            };
            found.map(|found| left.remove(found));
            let here = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            };
            match (value, found.map(|found| &got[found])) {
                (Some(want), None) => self.note(&row, &here, "value/missing", want, &Value::from("-")),
                (Some(want), Some(Value::Null)) => self.note(&row, &here, "value/null", want, &Value::Null),
                (Some(want), Some(got)) => self.values(want, got, &here, &row),
                (None, None) => self.note(&row, &here, "null/missing", &Value::Null, &Value::from("-")),
                (None, Some(Value::Null)) => {}
                (None, Some(got)) => self.note(&row, &here, "null/value", &Value::Null, got),
            }
        }
        for key in left {
            let here = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            };
            let how = if got[key].is_null() {
                "missing/null"
            } else {
                "missing/value"
            };
            self.note(&row, &here, how, &Value::from("-"), &got[key]);
        }
    }

    /// Learns the id of a row, if its name is the one that it was recorded with.
    fn meet(&mut self, want: &Map<String, Value>, got: &Map<String, Value>) {
        let (Some(name), Some(id)) = (
            want.get("id").and_then(Value::as_str),
            got.get("id").and_then(Value::as_str),
        ) else {
            return;
        };
        if want.get("name") == got.get("name")
            || want.get("name").is_none()
            || fits_alone(self.names, want.get("name"), got.get("name"))
        {
            self.names.learn_id(name, id);
        }
    }

    fn lists(&mut self, want: &[Value], got: &[Value], path: &str, row: &str) {
        let here = format!("{path}[]");
        if !want.is_empty() && !got.is_empty() && want.iter().chain(got).all(Value::is_object) {
            return self.rows(want, got, &here, row);
        }
        let known = self.names.clone();
        if want.len() == got.len() && want.iter().zip(got).all(|(want, got)| self.same(want, got)) {
            return;
        }
        *self.names = known;
        let nested = want.iter().chain(got).any(|v| v.is_object() || v.is_array());
        if nested && !want.is_empty() && !got.is_empty() {
            want.iter()
                .zip(got)
                .for_each(|(want, got)| self.values(want, got, &here, row));
            if want.len() == got.len() {
                return;
            }
        }
        let (only_rows_want, only_rows_got) = (want.iter().all(Value::is_object), got.iter().all(Value::is_object));
        match (want, got) {
            (want, []) if only_rows_want => want
                .iter()
                .for_each(|v| self.note(row, &here, "row only original", v, &Value::from("-"))),
            ([], got) if only_rows_got => got
                .iter()
                .for_each(|v| self.note(row, &here, "row only drover", &Value::from("-"), v)),
            _ => {
                let mut left: Vec<&Value> = got.iter().collect();
                let all = want.len() == got.len()
                    && want.iter().all(|want| {
                        let at = left.iter().position(|got| self.same(want, got));
                        at.map(|at| left.remove(at)).is_some()
                    });
                self.note(row, path, if all { "order" } else { "list" }, &want.into(), &got.into());
            }
        }
    }

    /// Rows, by what they are: by their ids, else by their names, else by what differs least.
    fn rows(&mut self, want: &[Value], got: &[Value], path: &str, row: &str) {
        let mut left: Vec<usize> = (0..got.len()).collect();
        let mut pairs: Vec<(usize, Option<usize>)> = Vec::new();
        for (i, want) in want.iter().enumerate() {
            let at = left.iter().position(|j| self.is_known(want, &got[*j]));
            pairs.push((i, at.map(|at| left.remove(at))));
        }
        for (i, pair) in &mut pairs {
            if pair.is_none() && want[*i]["name"].is_string() {
                let names = &mut *self.names;
                let at = left.iter().position(|j| {
                    can_be(names, &want[*i], &got[*j]) && fits_alone(names, want[*i].get("name"), got[*j].get("name"))
                });
                *pair = at.map(|at| left.remove(at));
            }
        }
        for (i, pair) in &mut pairs {
            if pair.is_none() && !left.is_empty() {
                let at = if left.len() > 1 && left.len() <= PAIRED {
                    self.closest(&want[*i], got, &left, row)
                } else {
                    0
                };
                *pair = Some(left.remove(at));
            }
        }
        let in_order = pairs.iter().filter_map(|(_, j)| *j).is_sorted();
        for (i, j) in &pairs {
            match j {
                Some(j) => self.values(&want[*i], &got[*j], path, row),
                None => self.note(row, path, "row only original", &want[*i], &Value::from("-")),
            }
        }
        for j in &left {
            self.note(row, path, "row only drover", &Value::from("-"), &got[*j]);
        }
        if !in_order && left.is_empty() && pairs.iter().all(|(_, j)| j.is_some()) {
            self.note(
                row,
                path,
                "order",
                &want.into(),
                &pairs.iter().filter_map(|(_, j)| j.map(|j| got[j].clone())).collect(),
            );
        }
    }

    fn is_known(&self, want: &Value, got: &Value) -> bool {
        let (Some(name), Some(id)) = (want["id"].as_str(), got["id"].as_str()) else {
            return false;
        };
        match (id_name(name), wire_id(id)) {
            (Some((letters, name)), Some((found, number))) => {
                letters == found && self.names.number(letters, name) == Some(number)
            }
            _ => name == id,
        }
    }

    fn closest(&mut self, want: &Value, got: &[Value], left: &[usize], row: &str) -> usize {
        let known = self.names.clone();
        let distance = |j: usize| {
            let mut names = known.clone();
            let mut trial = Comparison {
                names: &mut names,
                found: Vec::new(),
            };
            trial.values(want, &got[j], "", row);
            trial.found.len()
        };
        left.iter()
            .enumerate()
            .min_by_key(|(_, j)| distance(**j))
            .map_or(0, |(at, _)| at)
    }
}

/// Whether the id that was recorded may stand for this row.
fn can_be(names: &Names, want: &Value, got: &Value) -> bool {
    match (
        want["id"].as_str().and_then(id_name),
        got["id"].as_str().and_then(wire_id),
    ) {
        (Some((letters, name)), Some((found, number))) => letters == found && names.may_be(letters, name, number),
        _ => true,
    }
}

fn fits_alone(names: &mut Names, want: Option<&Value>, got: Option<&Value>) -> bool {
    match (want, got) {
        (Some(Value::String(want)), Some(Value::String(got))) => names.fits(want, got),
        (want, got) => want == got,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The beginning of a value's text; of a row what tells it from others.
fn brief(value: &Value) -> String {
    let telling = ["id", "type", "name", "state", "kind"];
    let text = match value {
        Value::Object(map) if map.contains_key("id") || map.contains_key("name") => map
            .iter()
            .filter(|(key, _)| telling.contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Value>()
            .to_string(),
        other => other.to_string(),
    };
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
