//! What the recordings' names mean here: `{s.web}` is an id, found out when it is first seen, `{time}` is any time.

use std::collections::HashMap;

/// The server as requests name it.
pub const HOST: &str = "localhost:8080";
/// The tag of the run, part of names that have to be unique.
pub const TAG: &str = "5eed0001";

/// Which ids the names stand for. Stacks have one number under both letters (`st`, `e`).
#[derive(Default, Clone)]
pub struct Names {
    ids: HashMap<(String, String), u64>,
    /// The other way round.
    names: HashMap<(String, u64), String>,
    /// Texts that stand for a word.
    pub words: HashMap<String, String>,
    /// The newest marker of a next page.
    pub marker: String,
}

enum Piece<'t> {
    Text(&'t str),
    Id(&'t str, &'t str),
    Any(&'t str),
}

fn family(letters: &str) -> &str {
    if letters == "e" { "st" } else { letters }
}

/// The letters and the number of a wire id.
pub fn wire_id(text: &str) -> Option<(&str, u64)> {
    let rest = text.strip_prefix('1')?;
    let end = rest
        .find(|c: char| !c.is_ascii_lowercase())
        .filter(|end| (1..=5).contains(end))?;
    let digits = &rest[end..];
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    is_number
        .then(|| digits.parse().ok().map(|n| (&rest[..end], n)))
        .flatten()
}

/// The letters and the name of a text that is nothing but the name of an id.
pub fn id_name(text: &str) -> Option<(&str, &str)> {
    match (pieces(text).as_slice(), text.is_empty()) {
        ([Piece::Id(letters, name)], false) => Some((letters, name)),
        _ => None,
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('{') {
        let Some(len) = rest[start..].find('}') else { break };
        let inner = &rest[start + 1..start + len];
        let piece = match inner.split_once('.') {
            Some((letters, name)) if is_letters(letters) && !name.is_empty() => Some(Piece::Id(letters, name)),
            _ if is_letters_or_number(inner) => Some(Piece::Any(inner)),
            _ => None,
        };
        let Some(piece) = piece else {
            found.push(Piece::Text(&rest[..=start]));
            rest = &rest[start + 1..];
            continue;
        };
        if start > 0 {
            found.push(Piece::Text(&rest[..start]));
        }
        found.push(piece);
        rest = &rest[start + len + 1..];
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest));
    }
    found
}

fn is_letters(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
}

const PLACES: [&str; 18] = [
    "time", "ts", "uuid", "hex", "secret", "token", "pem", "ip", "errorid", "base", "hostport", "tag", "number",
    "marker", "regkey", "hostname", "hostuuid", "port",
];

fn is_letters_or_number(text: &str) -> bool {
    PLACES.contains(&text) || text.starts_with("number:")
}

impl Names {
    /// Says what a name stands for, unless it or the id is taken.
    pub fn learn(&mut self, letters: &str, name: &str, number: u64) -> bool {
        if !self.may_be(letters, name, number) {
            return false;
        }
        self.ids.insert((family(letters).to_owned(), name.to_owned()), number);
        self.names.insert((letters.to_owned(), number), name.to_owned());
        true
    }

    /// Says what was made in passing. Answers may know it by another name.
    pub fn make(&mut self, name: &str, id: &str) {
        if let (Some((letters, name)), Some((_, number))) = (id_name(name), wire_id(id)) {
            self.ids.insert((family(letters).to_owned(), name.to_owned()), number);
        }
    }

    /// The same for a name with braces and a whole id.
    pub fn learn_id(&mut self, name: &str, id: &str) {
        if let (Some((letters, name)), Some((_, number))) = (id_name(name), wire_id(id)) {
            self.learn(letters, name, number);
        }
    }

    /// The number that a name stands for.
    pub fn number(&self, letters: &str, name: &str) -> Option<u64> {
        self.ids.get(&(family(letters).to_owned(), name.to_owned())).copied()
    }

    /// The name of an id.
    pub fn name(&self, letters: &str, number: u64) -> Option<&str> {
        self.names.get(&(letters.to_owned(), number)).map(String::as_str)
    }

    /// The first name in a text of which nobody has heard. Rows without a name are guessed (see [`Names::fill`]).
    pub fn unknown<'t>(&self, text: &'t str) -> Option<&'t str> {
        pieces(text).into_iter().find_map(|piece| match piece {
            Piece::Id(letters, name) if !name.starts_with('#') && self.number(letters, name).is_none() => Some(name),
            _ => None,
        })
    }

    /// A text to send: with ids in place of names. `guess` says what stands for a name that nobody has heard of.
    pub fn fill(&self, text: &str, guess: &dyn Fn(&str, &str) -> Option<u64>) -> String {
        let find = |letters: &str, name: &str| self.number(letters, name).or_else(|| guess(letters, name));
        let one = |piece: Piece<'_>| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Id(letters, name) => {
                find(letters, name).map_or_else(|| format!("1{letters}99999"), |n| format!("1{letters}{n}"))
            }
            Piece::Any("base") => format!("http://{HOST}"),
            Piece::Any("hostport") => HOST.to_owned(),
            Piece::Any("port") => HOST.split_once(':').map_or("", |(_, port)| port).to_owned(),
            Piece::Any("tag") => TAG.to_owned(),
            Piece::Any("marker") => self.marker.clone(),
            Piece::Any(word) => match word.strip_prefix("number:").and_then(|id| id.split_once('.')) {
                Some((letters, name)) => find(letters, name).unwrap_or(99_999).to_string(),
                None => self.words.get(word).cloned().unwrap_or_else(|| format!("{{{word}}}")),
            },
        };
        pieces(text).into_iter().map(one).collect()
    }

    /// Whether a text fits what was recorded; what it says about names is learned if it does.
    pub fn fits(&mut self, want: &str, got: &str) -> bool {
        if !want.contains('{') {
            return want == got;
        }
        let mut learned = Vec::new();
        let does = self.fit(&pieces(want), got, &mut learned);
        if does {
            for (letters, name, number) in learned {
                self.learn(&letters, &name, number);
            }
        }
        does
    }

    fn fit(&self, pieces: &[Piece<'_>], got: &str, learned: &mut Vec<(String, String, u64)>) -> bool {
        let Some((first, rest)) = pieces.split_first() else {
            return got.is_empty();
        };
        match first {
            Piece::Text(text) => got.strip_prefix(text).is_some_and(|got| self.fit(rest, got, learned)),
            Piece::Id(letters, name) => {
                let end = got
                    .char_indices()
                    .find(|(i, c)| *i > 0 && !c.is_ascii_alphanumeric())
                    .map_or(got.len(), |(i, _)| i);
                let Some((found, number)) = wire_id(&got[..end]) else {
                    return false;
                };
                if found != *letters || !self.may_be(letters, name, number) {
                    return false;
                }
                learned.push(((*letters).to_owned(), (*name).to_owned(), number));
                self.fit(rest, &got[end..], learned)
            }
            Piece::Any(word) => {
                let ends = (0..=got.len()).filter(|end| got.is_char_boundary(*end) && self.is_one(word, &got[..*end]));
                ends.into_iter().any(|end| {
                    let known = learned.len();
                    let does = self.fit(rest, &got[end..], learned);
                    if !does {
                        learned.truncate(known);
                    }
                    does
                })
            }
        }
    }

    /// Whether a name may stand for an id: it does already, or neither is known.
    pub fn may_be(&self, letters: &str, name: &str, number: u64) -> bool {
        match self.number(letters, name) {
            Some(known) => known == number,
            None => self.name(letters, number).is_none(),
        }
    }

    fn is_one(&self, word: &str, got: &str) -> bool {
        let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
        match word {
            "time" => {
                got.len() >= 20
                    && got.ends_with('Z')
                    && got.as_bytes()[4] == b'-'
                    && got.as_bytes()[10] == b'T'
                    && got.len() <= 30
            }
            "ts" => got.len() >= 10 && got.bytes().all(|b| b.is_ascii_digit()),
            "uuid" => {
                got.len() == 36 && got.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && hex(&got.replace('-', ""))
            }
            "hex" => got.len() == 64 && hex(got),
            "secret" => got.len() > 15,
            "token" => got.matches(':').count() >= 2 && got.len() > 30,
            "pem" => got.starts_with("-----BEGIN ") && got.trim_end().ends_with("-----"),
            "ip" => got.split('.').count() == 4 && got.bytes().all(|b| b.is_ascii_digit() || b == b'.'),
            "base" => got == format!("http://{HOST}"),
            "hostport" => got == HOST,
            "port" => HOST.ends_with(&format!(":{got}")) && !got.is_empty(),
            "tag" => got == TAG,
            "number" => !got.is_empty() && got.bytes().all(|b| b.is_ascii_digit()),
            "marker" => got.len() >= 2,
            "errorid" => !got.is_empty(),
            word => self.words.get(word).map_or(!got.is_empty(), |known| known == got),
        }
    }
}
