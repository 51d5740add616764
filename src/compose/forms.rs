//! What a value looks like in a file and in a field, for the keys that are one field each; both ways.

use serde_json::{Map, Value, json};

use super::problem::{Problem, Read};
use super::yaml::{Kind, Node};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// A truth value.
    Flag,
    /// A whole number.
    Count,
    /// Bytes: a number, perhaps with a unit.
    Bytes,
    /// Seconds: a number, or `1m30s`.
    Seconds,
    /// A list of texts; one text is a list, too.
    List,
    /// A list of texts, or a command line.
    Words,
    /// A map of texts, or a list of `name=value`.
    Pairs,
    /// A list of `name:address`, or a map.
    Hosts,
    /// A list of `path:options`.
    Tmpfs,
    /// A map of numbers, or of `soft` and `hard`.
    Ulimits,
    /// Whatever it is.
    Json,
}

impl Form {
    /// From a file to a field.
    pub fn read(self, node: &Node) -> Read<Value> {
        Ok(match self {
            Self::Text => json!(node.as_text()?),
            Self::Flag => json!(node.as_bool()?),
            Self::Count => json!(node.as_int()?),
            Self::Bytes => json!(bytes(node)?),
            Self::Seconds => json!(seconds(node)?),
            Self::List => json!(list(node)?),
            Self::Words => json!(words(node)?),
            Self::Pairs => json!(pairs(node)?),
            Self::Hosts => json!(hosts(node)?),
            Self::Tmpfs => tmpfs(node)?,
            Self::Ulimits => ulimits(node)?,
            Self::Json => node.to_json(),
        })
    }

    /// From a field to a file; `None` if it says nothing.
    pub fn write(self, value: &Value) -> Option<Node> {
        match (self, value) {
            (_, Value::Null) => None,
            // An empty command line is one: it takes the image's away.
            (Self::Words, Value::Array(list)) => Some(Node::texts(list.iter().filter_map(Value::as_str))),
            (_, Value::Array(list)) if list.is_empty() => None,
            (_, Value::Object(map)) if map.is_empty() => None,
            (Self::Text, Value::String(text)) if text.is_empty() => None,
            (Self::Flag, Value::Bool(false)) => None,
            (Self::Seconds, Value::Number(seconds)) => Some(Node::text(format!("{seconds}s"))),
            (Self::List | Self::Hosts, Value::Array(list)) => Some(Node::texts(list.iter().filter_map(Value::as_str))),
            (Self::Tmpfs, Value::Object(map)) => {
                Some(Node::texts(map.iter().map(
                    |(path, options)| match options.as_str().unwrap_or_default() {
                        "" => path.clone(),
                        options => format!("{path}:{options}"),
                    },
                )))
            }
            (Self::Ulimits, Value::Array(list)) => Some(write_ulimits(list)),
            (Self::Pairs, Value::Object(map)) => Some(write_pairs(map)),
            _ => Some(Node::from_json(value)),
        }
    }
}

/// A map of texts, sorted; a null is an empty text.
pub fn write_pairs(map: &Map<String, Value>) -> Node {
    let mut entries: Vec<(String, Node)> = map
        .iter()
        .map(|(name, value)| (name.clone(), Node::text(value.as_str().unwrap_or_default())))
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Node::of(Kind::Map(entries))
}

/// A list of texts; one text is a list, too.
pub fn list(node: &Node) -> Read<Vec<String>> {
    match &node.kind {
        Kind::Scalar(..) if !node.is_null() => Ok(vec![node.as_text()?.to_owned()]),
        _ => node
            .as_list()?
            .iter()
            .map(|item| item.as_text().map(str::to_owned))
            .collect(),
    }
}

/// Words of a list, or of a command line as a shell splits it.
pub fn words(node: &Node) -> Read<Vec<String>> {
    match &node.kind {
        Kind::Scalar(..) if !node.is_null() => {
            split(node.as_text()?).ok_or_else(|| node.wrong("a quote is not closed"))
        }
        _ => list(node),
    }
}

/// Splits a line into words, by blanks outside of quotes.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next()?;
                let text = word.get_or_insert_default();
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    text.push('\\');
                }
                text.push(next);
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// A map of texts, or a list of `name=value`; a name alone has an empty value.
pub fn pairs(node: &Node) -> Read<Map<String, Value>> {
    let entries = optional_pairs(node)?.into_iter();
    Ok(entries
        .map(|(name, value)| (name, json!(value.unwrap_or_default())))
        .collect())
}

/// The same, where a name alone has no value. What stands twice in a list is there once, as it stood last.
pub fn optional_pairs(node: &Node) -> Read<Vec<(String, Option<String>)>> {
    if let Kind::Map(entries) = &node.kind {
        let read = |(name, value): &(String, Node)| match value.is_null() {
            true => Ok((name.clone(), None)),
            false => Ok((
                name.clone(),
                Some(value.as_text().map_err(|p| p.within(name.as_str()))?.to_owned()),
            )),
        };
        return entries.iter().map(read).collect();
    }
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    for item in node.as_list()? {
        let text = item.as_text()?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(item.wrong(format!("{text:?} has no name")));
        }
        match found.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = value,
            None => found.push((name.to_owned(), value)),
        }
    }
    Ok(found)
}

fn hosts(node: &Node) -> Read<Vec<String>> {
    match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .map(|(name, address)| Ok(format!("{name}:{}", address.as_text()?)))
            .collect(),
        _ => list(node),
    }
}

fn tmpfs(node: &Node) -> Read<Value> {
    let mut map = Map::new();
    for text in list(node)? {
        let (path, options) = text.split_once(':').unwrap_or((text.as_str(), ""));
        map.insert(path.to_owned(), json!(options));
    }
    Ok(Value::Object(map))
}

fn ulimits(node: &Node) -> Read<Value> {
    let mut limits = Vec::new();
    for (name, limit) in node.as_map()? {
        let within = |problem: Problem| problem.within(name.as_str());
        let both = |key: &str| {
            let number = limit.get(key).map(Node::as_int).transpose().map_err(within)?;
            number.ok_or_else(|| within(limit.wrong(format!("{key} is missing"))))
        };
        let (soft, hard) = match &limit.kind {
            Kind::Map(_) => (both("soft")?, both("hard")?),
            _ => {
                let number = limit.as_int().map_err(within)?;
                (number, number)
            }
        };
        limits.push(json!({"name": name, "soft": soft, "hard": hard}));
    }
    Ok(Value::Array(limits))
}

fn write_ulimits(list: &[Value]) -> Node {
    let entries = list.iter().map(|limit| {
        let name = limit.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| limit.get(key).cloned().unwrap_or(json!(0));
        let (soft, hard) = (number("soft"), number("hard"));
        let node = match soft == hard {
            true => Node::plain(hard),
            false => Node::from_json(&json!({"soft": soft, "hard": hard})),
        };
        (name, node)
    });
    Node::of(Kind::Map(entries.collect()))
}

/// Bytes: `64m`, `1.5gb`, `1024`; −1 stays what it is.
pub fn bytes(node: &Node) -> Read<i64> {
    let text = node.as_text()?.trim().to_ascii_lowercase();
    let refuse = || node.wrong(format!("{text:?} is no amount of memory"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text.get(digits.len()..).unwrap_or_default().trim();
    let factor: i64 = match unit {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(refuse()),
    };
    if let Ok(whole) = digits.parse::<i64>() {
        return whole.checked_mul(factor).ok_or_else(refuse);
    }
    // `1.5g`: thousandths are as fine as anybody writes.
    let (whole, part) = digits.split_once('.').ok_or_else(refuse)?;
    let is_number = !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    let (Ok(whole), true) = (whole.parse::<i64>(), is_number && !digits.starts_with('-')) else {
        return Err(refuse());
    };
    let places = u32::try_from(part.len()).unwrap_or(9);
    let part = part.parse::<i64>().map_err(|_| refuse())?;
    let parts = i128::from(part) * i128::from(factor) / i128::from(10_i64.pow(places));
    let parts = i64::try_from(parts).map_err(|_| refuse())?;
    whole
        .checked_mul(factor)
        .and_then(|n| n.checked_add(parts))
        .ok_or_else(refuse)
}

/// Whole seconds: `90`, `90s`, `1m30s`, `1h`; what is left over counts as one more.
pub fn seconds(node: &Node) -> Read<i64> {
    let text = node.as_text()?.trim();
    let refuse = || node.wrong(format!("{text:?} is no length of time"));
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds);
    }
    let mut micros: i64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits: String = rest.chars().take_while(|c| c.is_ascii_digit()).collect();
        rest = rest.strip_prefix(digits.as_str()).unwrap_or_default();
        let unit: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        rest = rest.strip_prefix(unit.as_str()).unwrap_or_default();
        let factor: i64 = match unit.as_str() {
            "h" => 3_600_000_000,
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            "us" => 1,
            _ => return Err(refuse()),
        };
        let number: i64 = digits.parse().map_err(|_| refuse())?;
        let more = number.checked_mul(factor).ok_or_else(refuse)?;
        micros = micros.checked_add(more).ok_or_else(refuse)?;
    }
    Ok(micros.div_euclid(1_000_000) + i64::from(micros % 1_000_000 > 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::super::yaml::parse;
    use super::*;

    fn node(text: &str) -> Node {
        parse(&format!("v: {text}\n"))
            .unwrap()
            .get("v")
            .cloned()
            .unwrap_or(Node::plain(""))
    }

    #[test]
    fn values_are_read() {
        for (form, text, expected) in [
            (Form::Text, "1.10", json!("1.10")),
            (Form::Flag, "'on'", json!(true)),
            (Form::Count, "1_000", json!(1_000)),
            (Form::Bytes, "64m", json!(67_108_864)),
            (Form::Bytes, "1.5GB", json!(1_610_612_736_i64)),
            (Form::Bytes, "100 kb", json!(102_400)),
            (Form::Bytes, "-1", json!(-1)),
            (Form::Seconds, "1m30s", json!(90)),
            (Form::Seconds, "500ms", json!(1)),
            (Form::Seconds, "7", json!(7)),
            (Form::List, "[a, 1]", json!(["a", "1"])),
            (Form::List, "8.8.8.8", json!(["8.8.8.8"])),
            (
                Form::Words,
                "sh -c 'a b' \"c\\\"d\" e\\ f ''",
                json!(["sh", "-c", "a b", "c\"d", "e f", ""]),
            ),
            (Form::Words, "[a b, c]", json!(["a b", "c"])),
            (
                Form::Pairs,
                "{a: 1, b: , c: true}",
                json!({"a": "1", "b": "", "c": "true"}),
            ),
            (Form::Pairs, "[a=1=2, b]", json!({"a": "1=2", "b": ""})),
            (Form::Hosts, "{h: 1.2.3.4}", json!(["h:1.2.3.4"])),
            (
                Form::Tmpfs,
                "['/a', '/b:size=1m,ro']",
                json!({"/a": "", "/b": "size=1m,ro"}),
            ),
            (
                Form::Ulimits,
                "{nproc: 5, nofile: {soft: 1, hard: 2}}",
                json!([{"name": "nproc", "soft": 5, "hard": 5}, {"name": "nofile", "soft": 1, "hard": 2}]),
            ),
            (Form::Json, "{a: [1, x]}", json!({"a": [1, "x"]})),
        ] {
            let read = form.read(&node(text)).expect(text);
            assert_eq!(read, expected, "{text}");
            let written = form.write(&read).expect(text);
            assert_eq!(form.read(&written).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn values_of_another_form_are_refused() {
        for (form, text, words) in [
            (Form::Text, "[a]", "a text is needed, not a list (line 1)"),
            (Form::Flag, "maybe", "\"maybe\" is neither true nor false (line 1)"),
            (Form::Count, "1.5", "\"1.5\" is not a whole number (line 1)"),
            (Form::Bytes, "64x", "\"64x\" is no amount of memory (line 1)"),
            (Form::Bytes, "9999999t", "\"9999999t\" is no amount of memory (line 1)"),
            (Form::Seconds, "soon", "\"soon\" is no length of time (line 1)"),
            (Form::Words, "a 'b", "a quote is not closed (line 1)"),
            (Form::List, "{a: b}", "a list is needed (line 1)"),
            (Form::Pairs, "['=x']", "\"=x\" has no name (line 1)"),
            (Form::Ulimits, "{n: {soft: 1}}", "n: hard is missing (line 1)"),
        ] {
            assert_eq!(form.read(&node(text)).expect_err(text).to_string(), words, "{text}");
        }
    }
}
