//! The files that say who may do what, and what can be wrong in them.

use super::load::Files;
use super::{Problem, Role, Version};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One `grants/<name>.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantFile {
    #[expect(dead_code, reason = "for who reads the file")]
    pub about: String,
    /// In the order of the file.
    #[serde(default)]
    pub patterns: Map<String, Value>,
    /// Types of which nothing is seen.
    #[serde(default)]
    pub hidden: Vec<String>,
    #[serde(default)]
    pub types: BTreeMap<String, TypeGrant>,
    /// What is different in a version.
    #[serde(default)]
    pub versions: BTreeMap<Version, BTreeMap<String, TypeGrant>>,
}

/// What a table says of one type.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TypeGrant {
    pub may: Option<String>,
    /// The methods themselves, for roles that do not have what the type has.
    pub collection: Option<Vec<String>>,
    pub resource: Option<Vec<String>>,
    /// Letters → names, parted by spaces.
    pub fields: BTreeMap<String, String>,
    pub actions: BTreeMap<String, String>,
}

/// `roles.json`: what makes up each role.
pub(super) type RolesFile = BTreeMap<Role, RolePart>;

/// One role of `roles.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(super) struct RolePart {
    /// The role that it starts from; without one, the types as they are.
    pub on: Option<Role>,
    /// Nothing may be changed, until a grant says so again.
    pub read_only: bool,
    /// The tables that apply, later ones over earlier ones.
    pub grants: Vec<String>,
    /// Types that no table names do not exist for it.
    pub only_named: bool,
    /// It may filter nothing.
    pub no_filters: bool,
}

/// `r` see, `c` create, `u` update, `d` delete, `o` see once, in the answer to the create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Letters(u8);

impl Letters {
    const fn bit(letter: char) -> Option<u8> {
        Some(match letter {
            'r' => 1,
            'c' => 2,
            'u' => 4,
            'd' => 8,
            'o' => 16,
            _ => return None,
        })
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.chars()
            .try_fold(Self(0), |set, c| Some(Self(set.0 | Self::bit(c)?)))
    }

    pub fn has(self, letter: char) -> bool {
        Self::bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    pub(super) fn of(letters: &[(char, bool)]) -> Self {
        let given = letters.iter().filter(|(_, has)| *has);
        Self(given.filter_map(|(c, _)| Self::bit(*c)).fold(0, |set, bit| set | bit))
    }
}

/// Finds what does not fit in the tables and in `roles.json`. `has_member` knows the fields and actions of all versions.
pub(super) fn check(files: &Files, has_member: impl Fn(&str, &str, bool) -> bool, problems: &mut Vec<Problem>) {
    for (name, file) in &files.grants {
        let mut say = |sentence: String| problems.push(Problem::new(format!("grants/{name}.json"), sentence));
        for (pattern, letters) in &file.patterns {
            if letters.as_str().and_then(Letters::parse).is_none() {
                say(format!(
                    "gives {letters} by {pattern}; known letters are r, c, u, d and o"
                ));
            }
            let is_known = match pattern.split_once('.') {
                None => pattern == "*" || files.types.contains_key(pattern),
                Some(("*", rest)) => rest != "*" && (rest == "actions.*" || !rest.contains(['*', '.'])),
                Some((id, rest)) => matches!(rest, "*" | "actions.*") && files.types.contains_key(id),
            };
            if !is_known {
                say(format!(
                    "has the pattern {pattern:?}, which is none of *, *.name, type.*, *.actions.* and type.actions.*"
                ));
            }
        }
        for id in file.hidden.iter().filter(|id| !files.types.contains_key(*id)) {
            say(format!("hides the unknown type {id:?}"));
        }
        for (id, grant) in file.types.iter().chain(file.versions.values().flatten()) {
            if !files.types.contains_key(id) {
                say(format!("names the unknown type {id:?}"));
                continue;
            }
            let letters = grant.may.iter().chain(grant.fields.keys()).chain(grant.actions.keys());
            for letters in letters.filter(|l| Letters::parse(l).is_none()) {
                say(format!("gives {letters:?} of {id}; known letters are r, c, u, d and o"));
            }
            for (names, is_action) in [(&grant.fields, false), (&grant.actions, true)] {
                for member in names.values().flat_map(|names| names.split_whitespace()) {
                    if !has_member(id, member, is_action) {
                        say(format!("names {id}.{member}, which there is not"));
                    }
                }
            }
        }
    }
    for (role, part) in &files.roles {
        let mut say =
            |sentence: String| problems.push(Problem::new("roles.json", format!("{} {sentence}", role.as_str())));
        for name in part.grants.iter().filter(|name| !files.grants.contains_key(*name)) {
            say(format!("takes the unknown grants {name:?}"));
        }
        // A circle would never end; one step is all that is needed.
        if let Some(on) = part.on.filter(|on| files.roles.get(on).is_some_and(|p| p.on.is_some())) {
            say(format!(
                "is built on {}, which is built on another one itself",
                on.as_str()
            ));
        }
    }
    for role in Role::ALL.iter().filter(|role| !files.roles.contains_key(*role)) {
        problems.push(Problem::new(
            "roles.json",
            format!("says nothing of the role {}", role.as_str()),
        ));
    }
}
