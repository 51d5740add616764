//! Database ids and their form on the wire (`1s42`).

use std::fmt;

/// The number of a row in the `resource` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ResourceId(pub i64);

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A new identity: later ones sort behind earlier ones.
#[expect(clippy::disallowed_methods, reason = "the one place where they are made")]
pub fn new_uuid() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}

/// A new identity that says nothing of when it was made.
#[expect(clippy::disallowed_methods, reason = "the one place where they are made")]
pub fn random_uuid() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// An id as a client writes it, taken apart: `1st5` has the letters `st` and the number 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireId<'a> {
    /// The letters between the global `1` and the number; decoration in references, checked on paths.
    pub letters: &'a str,
    /// The number of the row.
    pub id: ResourceId,
}

impl<'a> WireId<'a> {
    /// Reads `1<letters><number>`; `None` for everything else (cattle: `TypeIdFormatter`).
    pub fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix('1')?;
        let digits = rest.find(|c: char| !c.is_ascii_lowercase())?;
        if digits == 0 {
            return None;
        }
        let (letters, number) = rest.split_at(digits);
        let number = number.strip_prefix('!').unwrap_or(number);
        if number.is_empty() || number.len() > 18 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        number.parse().ok().map(|n| Self {
            letters,
            id: ResourceId(n),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_ids_need_the_one_letters_and_a_number() {
        let parsed = |text| WireId::parse(text).map(|w| (w.letters.to_owned(), w.id.0));
        assert_eq!(parsed("1st5"), Some(("st".into(), 5)));
        assert_eq!(parsed("1i!7"), Some(("i".into(), 7)));
        for bad in [
            "",
            "5",
            "15",
            "1s",
            "s5",
            "1S5",
            "1s-5",
            "1s5x",
            "1s99999999999999999999",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
