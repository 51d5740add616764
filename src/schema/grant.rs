//! Who may see and do what: tables of grants, and what they leave of a type for a role.
//!
//! A grant is a name and letters. Exact names along the line of a type's parents come first, patterns only where there
//! is none, and of patterns the last one counts (cattle: `AuthOverlayPostProcessor`). The format is explained in
//! `schemas/README.md`. A start works this out for all roles in both versions, so the fields of a type are gone through
//! in the order of their names, beside what is granted of them.

use super::grant_file::{GrantFile, Letters};
use super::grant_table::Table;
use super::load::Files;
use super::{Role, Version};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a role has of one type.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeRights<'a> {
    pub collection: Vec<&'a str>,
    pub resource: Vec<&'a str>,
    /// The fields that it sees.
    pub fields: FieldRights<'a>,
    pub actions: BTreeSet<&'a str>,
    /// References to what it does not see: neither shown nor filtered by, though granted.
    pub dangling: BTreeSet<&'a str>,
}

/// What may be done with fields, in the order of their names.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldRights<'a>(Vec<(&'a str, Letters)>);

/// What a role has of all types that it sees, by canonical id.
pub(super) type AllRights<'a> = BTreeMap<&'a str, TypeRights<'a>>;

/// What there is before any grant, for one type in one version.
pub(super) struct Plain<'a> {
    pub id: &'a str,
    /// Itself and its parents.
    pub line: Vec<&'a str>,
    pub collection: Vec<&'a str>,
    pub resource: Vec<&'a str>,
    pub fields: FieldRights<'a>,
    /// Lists and maps, with the embedded type that they hold.
    pub holding: Vec<(&'a str, &'a str)>,
    /// Single references that may be filtered by, with the type that they lead to.
    pub leading: Vec<(&'a str, &'a str)>,
    pub actions: Vec<&'a str>,
}

/// Works out the rights of roles in one version, each once.
pub(super) struct Grants<'a> {
    files: &'a Files,
    version: Version,
    /// The types of this version, in the order of their ids.
    plain: Vec<Plain<'a>>,
    /// Types that some table names.
    named: BTreeSet<&'a str>,
    /// Fields that some table gives to all types by `*.name`.
    given: BTreeSet<&'a str>,
}

impl<'a> FieldRights<'a> {
    /// Of fields in the order of their names.
    pub fn of(sorted: impl Iterator<Item = (&'a str, Letters)>) -> Self {
        Self(sorted.collect())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|(at, _)| (*at).cmp(name)).is_ok()
    }

    /// In the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Letters)> {
        self.0.iter().copied()
    }

    /// Whether one of this name was there and is not any more.
    fn remove(&mut self, name: &str) -> bool {
        let at = self.0.binary_search_by(|(at, _)| (*at).cmp(name));
        at.map(|at| self.0.remove(at)).is_ok()
    }

    /// Each gets what `granted` says of it, or goes; it is asked in the order of the names.
    fn regrant(&mut self, mut granted: impl FnMut(&str) -> Option<Letters>) {
        self.0.retain_mut(|(name, letters)| match granted(name) {
            None => true,
            Some(granted) => {
                *letters = granted;
                granted.has('r')
            }
        });
    }
}

impl<'a> Grants<'a> {
    /// `plain` are the types of this version, in the order of their ids.
    pub fn new(files: &'a Files, version: Version, plain: Vec<Plain<'a>>) -> Self {
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
            plain,
            named: files.grants.values().flat_map(in_file).collect(),
            given,
        }
    }

    /// What `role` has.
    pub fn rights(&self, role: Role) -> AllRights<'a> {
        let base = match self.on(role) {
            Some(on) => self.rights(on),
            None => self.plain.iter().map(|p| (p.id, p.rights())).collect(),
        };
        self.granted(role, base)
    }

    /// What each role has: the same as [`Grants::rights`], without working anything out twice.
    pub fn of_all_roles(&self) -> HashMap<Role, AllRights<'a>> {
        let mut all: HashMap<Role, AllRights<'a>> = HashMap::new();
        let (first, then): (Vec<Role>, Vec<Role>) = Role::ALL.into_iter().partition(|role| self.on(*role).is_none());
        for role in first.into_iter().chain(then) {
            let rights = match self.on(role).and_then(|on| all.get(&on)) {
                Some(base) => self.granted(role, base.clone()),
                None => self.rights(role),
            };
            all.insert(role, rights);
        }
        all
    }

    fn on(&self, role: Role) -> Option<Role> {
        self.files.roles.get(&role).and_then(|part| part.on)
    }

    fn granted(&self, role: Role, base: AllRights<'a>) -> AllRights<'a> {
        let Some(part) = self.files.roles.get(&role) else {
            return base;
        };
        let mut base = if part.read_only { read_only(base) } else { base };
        if part.grants.is_empty() {
            return base;
        }
        let files = part.grants.iter().filter_map(|name| self.files.grants.get(name));
        let table = Table::new(files, self.version);
        let is_ungranted = |id: &str| !part.only_named && role != Role::Superadmin && !self.named.contains(id);
        let sees = |id: &str| table.of_type(id).is_none_or(|may| may.has('r')) || is_ungranted(id);
        base.retain(|id, _| sees(id));
        let visible: BTreeSet<&str> = base.keys().copied().collect();
        for one in &self.plain {
            let Some(rights) = base.get_mut(one.id) else { continue };
            match (is_ungranted(one.id), part.on) {
                (true, None) => {
                    self.hold_back(&table, rights);
                    self.inherit(&table, one, rights);
                }
                // What it is built on has seen to the rest.
                (true, Some(_)) => self.inherit(&table, one, rights),
                (false, _) => apply(&table, one, rights, &visible),
            }
        }
        self.drop_dangling(&mut base, &visible, |id| !is_ungranted(id));
        self.prune(&mut base, &visible);
        base
    }

    /// A type that no table names: as its file says, but for fields that every type has and only some roles are given.
    fn hold_back(&self, table: &Table<'a>, rights: &mut TypeRights<'a>) {
        rights
            .fields
            .0
            .retain(|(name, _)| !self.given.contains(name) || table.has_member(name));
    }

    /// What a type that no table names has from one above it that is named: as granted there.
    fn inherit(&self, table: &Table<'a>, one: &Plain<'a>, rights: &mut TypeRights<'a>) {
        let Some(first) = one.line.iter().position(|id| self.named.contains(id)) else {
            return;
        };
        let named = one.line.get(first..).unwrap_or_default();
        let above = named
            .first()
            .and_then(|id| self.plain.binary_search_by(|p| p.id.cmp(id)).ok());
        let Some(above) = above.and_then(|at| self.plain.get(at)) else {
            return;
        };
        let mut of_line = table.of_line(named);
        rights
            .fields
            .regrant(|name| above.fields.has(name).then(|| of_line.of(name)).flatten());
    }

    /// References to types that a role does not see are of no use to it (cattle: relations without a far end).
    fn drop_dangling(&self, granted: &mut AllRights<'a>, visible: &BTreeSet<&str>, is_granted: impl Fn(&str) -> bool) {
        for one in self.plain.iter().filter(|one| !one.leading.is_empty()) {
            let Some(rights) = granted.get_mut(one.id).filter(|_| is_granted(one.id)) else {
                continue;
            };
            for (name, _) in one.leading.iter().filter(|(_, far)| !visible.contains(far)) {
                if rights.fields.remove(name) {
                    rights.dangling.insert(name);
                }
            }
        }
    }

    /// Lists and maps of what is hidden are hidden themselves.
    fn prune(&self, granted: &mut AllRights<'a>, visible: &BTreeSet<&str>) {
        for one in self.plain.iter().filter(|one| !one.holding.is_empty()) {
            let Some(rights) = granted.get_mut(one.id) else {
                continue;
            };
            for (name, _) in one.holding.iter().filter(|(_, of)| !visible.contains(of)) {
                rights.fields.remove(name);
            }
        }
    }
}

impl<'a> Plain<'a> {
    /// What there is to have.
    fn rights(&self) -> TypeRights<'a> {
        TypeRights {
            collection: self.collection.clone(),
            resource: self.resource.clone(),
            fields: self.fields.clone(),
            actions: self.actions.iter().copied().collect(),
            dangling: BTreeSet::new(),
        }
    }
}

/// What a table leaves of a type that it may name.
fn apply<'a>(table: &Table<'a>, one: &Plain<'a>, rights: &mut TypeRights<'a>, visible: &BTreeSet<&str>) {
    if let Some(may) = table.of_type(one.id) {
        let methods = |has: &mut Vec<&'a str>, wanted: &[(&'static str, char)]| {
            has.retain(|method| *method == "GET");
            let granted = wanted.iter().filter(|(_, letter)| may.has(*letter));
            has.extend(granted.map(|(method, _)| *method));
        };
        methods(&mut rights.collection, &[("POST", 'c')]);
        methods(&mut rights.resource, &[("PUT", 'u'), ("DELETE", 'd')]);
    }
    let (collection, resource) = table.methods(one.id);
    for (has, named) in [(&mut rights.collection, collection), (&mut rights.resource, resource)] {
        if let Some(named) = named {
            *has = named.iter().map(String::as_str).collect();
        }
    }
    // The line ends where a parent is hidden.
    let hidden = one.line.iter().position(|id| !visible.contains(id));
    let line = one.line.get(..hidden.unwrap_or(one.line.len())).unwrap_or_default();
    let mut of_line = table.of_line(line);
    rights.fields.regrant(|name| of_line.of(name));
    rights
        .actions
        .retain(|name| table.of_action(line, name).is_none_or(|granted| granted.has('c')));
}

fn read_only(mut all: AllRights<'_>) -> AllRights<'_> {
    for rights in all.values_mut() {
        rights.collection.retain(|m| *m == "GET");
        rights.resource.retain(|m| *m == "GET");
        for (_, letters) in &mut rights.fields.0 {
            *letters = Letters::of(&[('r', true), ('o', letters.has('o'))]);
        }
    }
    all
}
