//! Who may see and do what: tables of grants, and what they leave of a type for a role.
//!
//! A grant is a name and letters. Exact names along the line of a type's parents come first, patterns only where there
//! is none, and of patterns the last one counts (cattle: `AuthOverlayPostProcessor`). The format is explained in
//! `schemas/README.md`.

use super::grant_file::{GrantFile, Letters, TypeGrant};
use super::inherit::line;
use super::load::Files;
use super::{Role, Version};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a role has of one type.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeRights<'a> {
    pub collection: Vec<String>,
    pub resource: Vec<String>,
    /// The fields that it sees.
    pub fields: BTreeMap<&'a str, Letters>,
    pub actions: BTreeSet<&'a str>,
    /// References to what it does not see: neither shown nor filtered by, though granted.
    pub dangling: BTreeSet<&'a str>,
}

/// What a role has of all types that it sees, by canonical id.
pub(super) type AllRights<'a> = BTreeMap<&'a str, TypeRights<'a>>;

/// What there is before any grant, for one type in one version.
pub(super) struct Plain<'a> {
    pub id: &'a str,
    pub collection: &'a [String],
    pub resource: &'a [String],
    pub fields: Vec<PlainField<'a>>,
    pub actions: Vec<&'a str>,
}

/// A field before any grant.
pub(super) struct PlainField<'a> {
    pub name: &'a str,
    /// Create, update, shown once.
    pub can: [bool; 3],
    /// The embedded type that a list or map holds.
    pub holds: Option<&'a str>,
    /// The type that a single reference leads to, if it may be filtered by.
    pub leads_to: Option<&'a str>,
}

/// All tables of a role in one version, ready to be asked.
#[derive(Debug, Default)]
struct Table<'a> {
    types: HashMap<&'a str, TypeGrants<'a>>,
    /// `*`, for everything.
    all: Option<(usize, Letters)>,
    /// `*.name`, by name.
    members: HashMap<&'a str, (usize, Letters)>,
    /// `type.*`, by type.
    inside: HashMap<&'a str, (usize, Letters)>,
    /// `*.actions.*`.
    actions: Option<(usize, Letters)>,
    /// `type.actions.*`, by type.
    actions_of: HashMap<&'a str, (usize, Letters)>,
}

#[derive(Debug, Default)]
struct TypeGrants<'a> {
    may: Option<Letters>,
    collection: Option<&'a Vec<String>>,
    resource: Option<&'a Vec<String>>,
    fields: HashMap<&'a str, Letters>,
    actions: HashMap<&'a str, Letters>,
}

/// A member of a type, as grants name it.
#[derive(Clone, Copy)]
enum GrantedMember<'a> {
    Field(&'a str),
    Action(&'a str),
}

/// Works out the rights of roles in one version, each once.
pub(super) struct Grants<'a> {
    files: &'a Files,
    version: Version,
    /// Types that some table names.
    named: BTreeSet<&'a str>,
    /// Fields that some table gives to all types by `*.name`.
    given: BTreeSet<&'a str>,
}

impl<'a> Grants<'a> {
    pub fn new(files: &'a Files, version: Version) -> Self {
        let in_file = |file: &'a GrantFile| {
            let versions = file.versions.values().flat_map(BTreeMap::keys);
            file.types
                .keys()
                .chain(versions)
                .chain(&file.hidden)
                .map(String::as_str)
        };
        let patterns = files.grants.values().flat_map(|file| file.patterns.keys());
        let given = patterns.filter_map(|pattern| pattern.strip_prefix("*.")).collect();
        Self {
            files,
            version,
            named: files.grants.values().flat_map(in_file).collect(),
            given,
        }
    }

    /// What `role` has. `plain` are the types of this version.
    pub fn rights(&self, role: Role, plain: &[Plain<'a>]) -> AllRights<'a> {
        let base = match self.on(role) {
            Some(on) => self.rights(on, plain),
            None => plain.iter().map(|p| (p.id, all_rights(p))).collect(),
        };
        self.granted(role, base, plain)
    }

    /// What each role has: the same as [`Grants::rights`], without working anything out twice.
    pub fn of_all_roles(&self, plain: &[Plain<'a>]) -> HashMap<Role, AllRights<'a>> {
        let mut all: HashMap<Role, AllRights<'a>> = HashMap::new();
        let (first, then): (Vec<Role>, Vec<Role>) = Role::ALL.into_iter().partition(|role| self.on(*role).is_none());
        for role in first.into_iter().chain(then) {
            let rights = match self.on(role).and_then(|on| all.get(&on)) {
                Some(base) => self.granted(role, base.clone(), plain),
                None => self.rights(role, plain),
            };
            all.insert(role, rights);
        }
        all
    }

    fn on(&self, role: Role) -> Option<Role> {
        self.files.roles.get(&role).and_then(|part| part.on)
    }

    fn granted(&self, role: Role, base: AllRights<'a>, plain: &[Plain<'a>]) -> AllRights<'a> {
        let Some(part) = self.files.roles.get(&role) else {
            return base;
        };
        let base = if part.read_only { read_only(base) } else { base };
        if part.grants.is_empty() {
            return base;
        }
        let table = self.table(&part.grants);
        let is_ungranted = |id: &str| !self.named.contains(id) && !part.only_named && role != Role::Superadmin;
        let sees = |id: &str| is_ungranted(id) || table.of_type(id).is_none_or(|may| may.has('r'));
        let visible: BTreeSet<&str> = base.keys().copied().filter(|id| sees(id)).collect();
        let mut granted = AllRights::new();
        for (id, rights) in base.into_iter().filter(|(id, _)| visible.contains(id)) {
            let rights = match (is_ungranted(id), part.on) {
                (true, None) => self.inherited(&table, id, self.plain(&table, rights), plain),
                // What it is built on has seen to the rest.
                (true, Some(_)) => self.inherited(&table, id, rights, plain),
                (false, _) => self.apply(&table, id, rights, &visible),
            };
            granted.insert(id, rights);
        }
        let is_granted = |id: &str| !is_ungranted(id);
        drop_dangling(&mut granted, plain, is_granted);
        prune(&mut granted, plain);
        granted
    }

    fn apply(
        &self,
        table: &Table<'a>,
        id: &str,
        mut rights: TypeRights<'a>,
        visible: &BTreeSet<&str>,
    ) -> TypeRights<'a> {
        if let Some(may) = table.of_type(id) {
            let methods = |has: &[String], wanted: &[(&str, char)]| -> Vec<String> {
                let get = has.iter().filter(|m| *m == "GET").cloned();
                get.chain(
                    wanted
                        .iter()
                        .filter(|(_, letter)| may.has(*letter))
                        .map(|(m, _)| (*m).to_owned()),
                )
                .collect()
            };
            rights.collection = methods(&rights.collection, &[("POST", 'c')]);
            rights.resource = methods(&rights.resource, &[("PUT", 'u'), ("DELETE", 'd')]);
        }
        if let Some(named) = table.types.get(id) {
            rights.collection = named.collection.unwrap_or(&rights.collection).clone();
            rights.resource = named.resource.unwrap_or(&rights.resource).clone();
        }
        // The line ends where a parent is hidden.
        let line: Vec<&str> = line(self.files, id)
            .into_iter()
            .map(|f| f.id.as_str())
            .take_while(|id| visible.contains(id))
            .collect();
        let mut fields = BTreeMap::new();
        for (name, letters) in rights.fields {
            match table.of_member(&line, GrantedMember::Field(name)) {
                None => drop(fields.insert(name, letters)),
                Some(granted) if granted.has('r') => drop(fields.insert(name, granted)),
                Some(_) => {}
            }
        }
        rights.fields = fields;
        rights.actions.retain(|name| {
            table
                .of_member(&line, GrantedMember::Action(name))
                .is_none_or(|granted| granted.has('c'))
        });
        rights
    }

    /// A type that no table names: as its file says, but for fields that every type has and only some roles are given.
    fn plain(&self, table: &Table<'a>, mut rights: TypeRights<'a>) -> TypeRights<'a> {
        rights
            .fields
            .retain(|name, _| !self.given.contains(name) || table.members.contains_key(name));
        rights
    }

    /// What a type that no table names has from one above it that is named: as granted there.
    fn inherited(
        &self,
        table: &Table<'a>,
        id: &str,
        mut rights: TypeRights<'a>,
        plain: &[Plain<'a>],
    ) -> TypeRights<'a> {
        let named: Vec<&str> = line(self.files, id)
            .into_iter()
            .map(|f| f.id.as_str())
            .skip_while(|id| !self.named.contains(*id))
            .collect();
        let above = named.first().and_then(|first| plain.iter().find(|p| p.id == *first));
        for name in above
            .into_iter()
            .flat_map(|above| &above.fields)
            .map(|field| &field.name)
        {
            match (
                rights.fields.get_mut(name),
                table.of_member(&named, GrantedMember::Field(name)),
            ) {
                (Some(letters), Some(granted)) if granted.has('r') => *letters = granted,
                (Some(_), Some(_)) => drop(rights.fields.remove(name)),
                (None, _) | (_, None) => {}
            }
        }
        rights
    }

    fn table(&self, names: &[String]) -> Table<'a> {
        let mut table = Table::default();
        let mut index = 0;
        for file in names.iter().filter_map(|name| self.files.grants.get(name)) {
            for (pattern, letters) in &file.patterns {
                index += 1;
                let letters = letters.as_str().and_then(Letters::parse).unwrap_or_default();
                table.add_pattern(pattern, (index, letters));
            }
            for id in &file.hidden {
                table.types.entry(id).or_default().may = Some(Letters::default());
            }
            let types = [Some(&file.types), file.versions.get(&self.version)];
            for (id, grant) in types.into_iter().flatten().flatten() {
                table.types.entry(id).or_default().add(grant);
            }
        }
        table
    }
}

impl<'a> Table<'a> {
    fn add_pattern(&mut self, pattern: &'a str, granted: (usize, Letters)) {
        match pattern.split_once('.') {
            None if pattern == "*" => self.all = Some(granted),
            None => self.types.entry(pattern).or_default().may = Some(granted.1),
            Some(("*", "actions.*")) => self.actions = Some(granted),
            Some((id, "actions.*")) => drop(self.actions_of.insert(id, granted)),
            Some((id, "*")) => drop(self.inside.insert(id, granted)),
            Some((_, name)) => drop(self.members.insert(name, granted)),
        }
    }

    fn of_type(&self, id: &str) -> Option<Letters> {
        let exact = self.types.get(id).and_then(|named| named.may);
        exact.or(self.all.map(|(_, letters)| letters))
    }

    fn of_member(&self, line: &[&str], member: GrantedMember<'_>) -> Option<Letters> {
        let exact = |id: &&str| {
            let named = self.types.get(id)?;
            match member {
                GrantedMember::Field(name) => named.fields.get(name).copied(),
                GrantedMember::Action(name) => named.actions.get(name).copied(),
            }
        };
        let by_name = line.iter().find_map(exact);
        by_name.or_else(|| line.iter().find_map(|id| self.by_pattern(id, member)))
    }

    fn by_pattern(&self, id: &str, member: GrantedMember<'_>) -> Option<Letters> {
        let fitting = match member {
            GrantedMember::Field(name) => [self.all, self.members.get(name).copied(), self.inside.get(id).copied()],
            GrantedMember::Action(_) => [self.all, self.actions, self.actions_of.get(id).copied()],
        };
        fitting
            .into_iter()
            .flatten()
            .max_by_key(|(index, _)| *index)
            .map(|(_, letters)| letters)
    }
}

impl<'a> TypeGrants<'a> {
    fn add(&mut self, grant: &'a TypeGrant) {
        self.may = grant.may.as_deref().and_then(Letters::parse).or(self.may);
        self.collection = grant.collection.as_ref().or(self.collection);
        self.resource = grant.resource.as_ref().or(self.resource);
        for (into, from) in [(&mut self.fields, &grant.fields), (&mut self.actions, &grant.actions)] {
            for (letters, names) in from {
                let letters = Letters::parse(letters).unwrap_or_default();
                into.extend(names.split_whitespace().map(|name| (name, letters)));
            }
        }
    }
}

fn all_rights<'a>(plain: &Plain<'a>) -> TypeRights<'a> {
    let letters = |[c, u, o]: [bool; 3]| Letters::of(&[('r', true), ('c', c), ('u', u), ('o', o)]);
    TypeRights {
        collection: plain.collection.to_vec(),
        resource: plain.resource.to_vec(),
        fields: plain
            .fields
            .iter()
            .map(|field| (field.name, letters(field.can)))
            .collect(),
        actions: plain.actions.iter().copied().collect(),
        dangling: BTreeSet::new(),
    }
}

fn read_only(mut all: AllRights<'_>) -> AllRights<'_> {
    for rights in all.values_mut() {
        rights.collection.retain(|m| m == "GET");
        rights.resource.retain(|m| m == "GET");
        for letters in rights.fields.values_mut() {
            *letters = Letters::of(&[('r', true), ('o', letters.has('o'))]);
        }
    }
    all
}

/// References to types that a role does not see are of no use to it (cattle: relations without a far end).
fn drop_dangling<'a>(granted: &mut AllRights<'a>, plain: &[Plain<'a>], is_granted: impl Fn(&str) -> bool) {
    for one in plain.iter().filter(|one| is_granted(one.id)) {
        let leads_nowhere = |field: &&PlainField<'a>| field.leads_to.is_some_and(|far| !granted.contains_key(far));
        let dangling: Vec<&'a str> = one
            .fields
            .iter()
            .filter(leads_nowhere)
            .map(|field| field.name)
            .collect();
        let Some(rights) = granted.get_mut(one.id) else {
            continue;
        };
        for name in dangling {
            if rights.fields.remove(name).is_some() {
                rights.dangling.insert(name);
            }
        }
    }
}

/// Lists and maps of what is hidden are hidden themselves.
fn prune(granted: &mut AllRights<'_>, plain: &[Plain<'_>]) {
    for one in plain {
        let hidden: Vec<&str> = one
            .fields
            .iter()
            .filter(|f| f.holds.is_some_and(|of| !granted.contains_key(of)))
            .map(|f| f.name)
            .collect();
        if let Some(rights) = granted.get_mut(one.id).filter(|_| !hidden.is_empty()) {
            rights.fields.retain(|name, _| !hidden.contains(name));
        }
    }
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
        let files = Files {
            grants: [(
                "t".to_owned(),
                serde_json::from_str(&format!(r#"{{"about": "", {table}}}"#)).unwrap(),
            )]
            .into(),
            ..Files::default()
        };
        let grants = Grants::new(&files, Version::V2Beta);
        let table = grants.table(&["t".to_owned()]);
        let of = |line: &[&str]| table.of_member(line, GrantedMember::Field(field));
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
    fn letters_are_a_set() {
        assert_eq!(letters("cru"), letters("urc"));
        assert!(letters("r").has('r') && !letters("r").has('c'));
        assert_eq!(Letters::parse("x"), None);
    }
}
