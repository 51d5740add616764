//! Loading: files → shapes per version → the frozen registry.

use std::fmt;
use std::path::Path;

use super::{Registry, Version, freeze, inherit, lint, load};

/// Something in the schema files that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the schema folder.
    pub file: String,
    /// What is wrong with it; reads on from the file's name.
    pub sentence: String,
}

impl Problem {
    /// A problem of `file`.
    pub fn new(file: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { file: file.into(), sentence: sentence.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.sentence)
    }
}

impl Registry {
    /// Reads the built-in schemas and, over them, those of a folder with `types/` and `processes/`; checks and freezes
    /// them. Everything that does not fit is returned, sorted by file.
    ///
    /// # Errors
    /// All problems found, never an empty list.
    pub fn load(overlay: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let (files, mut problems) = load::read(overlay);
        let shapes: Vec<_> = Version::ALL
            .into_iter()
            .map(|version| (version, inherit::shapes(&files, version, &mut problems)))
            .collect();
        if problems.is_empty() {
            lint::check(&files, &shapes, &mut problems);
        }
        if problems.is_empty() {
            return Ok(freeze::freeze(&files, &shapes));
        }
        problems.sort_unstable();
        problems.dedup();
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn load() -> Registry {
        Registry::load(None).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
    }

    #[test]
    fn the_built_in_schemas_fit() {
        let registry = load();
        assert_eq!(registry.views.len(), 4);
    }
}
