//! What the tables of a role say, put together: by type, by field, by action.

use super::Version;
use super::grant_file::{GrantFile, Letters, TypeGrant};
use std::collections::{BTreeMap, HashMap, btree_map};
use std::iter::Peekable;

/// All tables of a role in one version, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Table<'a> {
    types: HashMap<&'a str, TypeGrants<'a>>,
    /// `*`, for everything.
    all: Option<Ranked>,
    /// `*.name`, by name.
    members: BTreeMap<&'a str, Ranked>,
    /// `type.*`, by type.
    inside: HashMap<&'a str, Ranked>,
    /// `*.actions.*`.
    actions: Option<Ranked>,
    /// `type.actions.*`, by type.
    actions_of: HashMap<&'a str, Ranked>,
}

/// What a pattern gives, and its place among all: the last one counts.
type Ranked = (usize, Letters);

#[derive(Debug, Default)]
struct TypeGrants<'a> {
    may: Option<Letters>,
    collection: Option<&'a Vec<String>>,
    resource: Option<&'a Vec<String>>,
    fields: BTreeMap<&'a str, Letters>,
    actions: HashMap<&'a str, Letters>,
}

/// What a table says of the fields of a line, for who asks in the order of their names.
pub(super) struct LineGrants<'t, 'a> {
    /// What each of the line is granted by name, itself first.
    exact: Vec<InOrder<'t, 'a, Letters>>,
    members: InOrder<'t, 'a, Ranked>,
    /// What patterns without a name say of the type itself.
    own: Option<Ranked>,
    /// What they say of the nearest above it, if nothing of itself.
    above: Option<Letters>,
}

/// A list that is gone through beside another one.
struct InOrder<'t, 'a, T>(Peekable<btree_map::Iter<'t, &'a str, T>>);

impl<'a> Table<'a> {
    /// Of files, the later over the earlier.
    pub fn new(files: impl Iterator<Item = &'a GrantFile>, version: Version) -> Self {
        let mut table = Self::default();
        let mut index = 0;
        for file in files {
            for (pattern, letters) in &file.patterns {
                index += 1;
                let letters = letters.as_str().and_then(Letters::parse).unwrap_or_default();
                table.add_pattern(pattern, (index, letters));
            }
            for id in &file.hidden {
                table.types.entry(id).or_default().may = Some(Letters::default());
            }
            let types = [Some(&file.types), file.versions.get(&version)];
            for (id, grant) in types.into_iter().flatten().flatten() {
                table.types.entry(id).or_default().add(grant);
            }
        }
        table
    }

    fn add_pattern(&mut self, pattern: &'a str, granted: Ranked) {
        match pattern.split_once('.') {
            None if pattern == "*" => self.all = Some(granted),
            None => self.types.entry(pattern).or_default().may = Some(granted.1),
            Some(("*", "actions.*")) => self.actions = Some(granted),
            Some((id, "actions.*")) => drop(self.actions_of.insert(id, granted)),
            Some((id, "*")) => drop(self.inside.insert(id, granted)),
            Some((_, name)) => drop(self.members.insert(name, granted)),
        }
    }

    /// What may be done with a type.
    pub fn of_type(&self, id: &str) -> Option<Letters> {
        let exact = self.types.get(id).and_then(|named| named.may);
        exact.or(self.all.map(|(_, letters)| letters))
    }

    /// The methods of a type's collection and of its resources, where a table names them.
    pub fn methods(&self, id: &str) -> (Option<&'a Vec<String>>, Option<&'a Vec<String>>) {
        let named = self.types.get(id);
        named.map_or((None, None), |named| (named.collection, named.resource))
    }

    /// Whether a field of this name is given to all types.
    pub fn has_member(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// What is said of the fields of a type and its parents.
    pub fn of_line(&self, line: &[&str]) -> LineGrants<'_, 'a> {
        let inside = |id: &&str| self.inside.get(*id).copied();
        let own = last([self.all, line.first().and_then(inside)]);
        let exact = line.iter().filter_map(|id| self.types.get(*id));
        LineGrants {
            exact: exact
                .filter(|named| !named.fields.is_empty())
                .map(|named| InOrder(named.fields.iter().peekable()))
                .collect(),
            members: InOrder(self.members.iter().peekable()),
            own,
            above: line.iter().find_map(inside).map(|(_, letters)| letters),
        }
    }

    /// What is said of an action of a type and its parents.
    pub fn of_action(&self, line: &[&str], name: &str) -> Option<Letters> {
        let exact = |id: &&str| self.types.get(*id)?.actions.get(name).copied();
        let by_pattern = |id: &&str| last([self.all, self.actions, self.actions_of.get(*id).copied()]);
        let by_name = line.iter().find_map(exact);
        by_name.or_else(|| line.iter().find_map(by_pattern).map(|(_, letters)| letters))
    }
}

impl LineGrants<'_, '_> {
    /// What is said of a field. Names have to be asked in their order.
    pub fn of(&mut self, name: &str) -> Option<Letters> {
        if let Some(exact) = self.exact.iter_mut().find_map(|names| names.find(name)) {
            return Some(exact);
        }
        let own = last([self.own, self.members.find(name)]);
        own.map(|(_, letters)| letters).or(self.above)
    }
}

impl<T: Copy> InOrder<'_, '_, T> {
    fn find(&mut self, name: &str) -> Option<T> {
        while self.0.next_if(|(at, _)| **at < name).is_some() {}
        self.0.peek().filter(|(at, _)| **at == name).map(|(_, found)| **found)
    }
}

fn last<const N: usize>(fitting: [Option<Ranked>; N]) -> Option<Ranked> {
    fitting.into_iter().flatten().max_by_key(|(index, _)| *index)
}

impl<'a> TypeGrants<'a> {
    fn add(&mut self, grant: &'a TypeGrant) {
        self.may = grant.may.as_deref().and_then(Letters::parse).or(self.may);
        self.collection = grant.collection.as_ref().or(self.collection);
        self.resource = grant.resource.as_ref().or(self.resource);
        for (letters, names) in &grant.fields {
            self.fields.extend(named(letters, names));
        }
        for (letters, names) in &grant.actions {
            self.actions.extend(named(letters, names));
        }
    }
}

/// Names, parted by spaces, with the letters that each is given.
fn named<'a>(letters: &str, names: &'a str) -> impl Iterator<Item = (&'a str, Letters)> {
    let letters = Letters::parse(letters).unwrap_or_default();
    names.split_whitespace().map(move |name| (name, letters))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn letters(text: &str) -> Letters {
        Letters::parse(text).unwrap()
    }

    /// The letters that two types, a child and its parent, get of `field`.
    fn granted(table: &str, field: &str) -> (Option<Letters>, Option<Letters>) {
        let file: GrantFile = serde_json::from_str(&format!(r#"{{"about": "", {table}}}"#)).unwrap();
        let table = Table::new([&file].into_iter(), Version::V2Beta);
        let of = |line: &[&str]| table.of_line(line).of(field);
        (of(&["child", "parent"]), of(&["parent"]))
    }

    #[test]
    fn an_exact_grant_of_a_parent_beats_a_pattern_of_the_type() {
        let table = r#""patterns": {"child.*": "r"}, "types": {"parent": {"fields": {"ru": "name"}}}"#;
        assert_eq!(granted(table, "name"), (Some(letters("ru")), Some(letters("ru"))));
        assert_eq!(granted(table, "other"), (Some(letters("r")), None));
    }

    #[test]
    fn the_last_fitting_pattern_counts() {
        let table = r#""patterns": {"*": "crud", "*.name": "r", "child.*": ""}"#;
        assert_eq!(granted(table, "name"), (Some(letters("")), Some(letters("r"))));
        assert_eq!(granted(table, "other"), (Some(letters("")), Some(letters("crud"))));
    }

    #[test]
    fn a_version_says_what_is_different_in_it() {
        let table = r#""types": {"parent": {"fields": {"r": "name kind"}}}, "versions": {"v1": {"parent": {"fields": {"": "name"}}}, "v2-beta": {"parent": {"fields": {"": "kind"}}}}"#;
        assert_eq!(granted(table, "name").1, Some(letters("r")));
        assert_eq!(granted(table, "kind").1, Some(letters("")));
    }

    #[test]
    fn fields_that_are_asked_in_their_order_are_all_found() {
        let file: GrantFile = serde_json::from_str(
            r#"{"about": "", "patterns": {"*.kind": "r", "parent.*": "rc"},
                "types": {"child": {"fields": {"ru": "b d"}}, "parent": {"fields": {"r": "a c d"}}}}"#,
        )
        .unwrap();
        let table = Table::new([&file].into_iter(), Version::V1);
        let mut of_line = table.of_line(&["child", "parent"]);
        let found = ["a", "b", "bb", "c", "d", "kind", "z"].map(|name| of_line.of(name).unwrap());
        assert_eq!(found, ["r", "ru", "rc", "r", "ru", "r", "rc"].map(letters));
    }

    #[test]
    fn letters_are_a_set() {
        assert_eq!(letters("cru"), letters("urc"));
        assert!(letters("r").has('r') && !letters("r").has('c'));
        assert_eq!(Letters::parse("x"), None);
    }
}
