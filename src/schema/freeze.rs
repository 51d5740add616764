//! Making types and views out of checked shapes. Nothing here can fail: what does not fit is found by `lint`,
//! and what was made of it is thrown away.

use super::file::TypeFile;
use super::grant::{AllRights, FieldRights, Grants, Plain};
use super::inherit::{FieldDraft, Shapes, TypeShape, line, process_set};
use super::load::Files;
use super::shown::{Mask, Masks};
use super::trim;
use super::type_view::{all_letters, leads_to};
use super::type_views::{Maker, TypeViews};
use super::types::{Sources, view_index};
use super::{Field, FieldType, Machine, Role, Source, StoredField, Transition, Type, TypeView, Version, View};
use crate::model::State;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// Makes all types: what the engine and the store know, whatever the version and the role.
pub(super) fn types(files: &Files, shapes: &[(Version, Shapes)], masks: &Masks<'_>) -> BTreeMap<String, Arc<Type>> {
    let world = Unfrozen::new(files, shapes);
    let machines = world.machines();
    files
        .types
        .values()
        .map(|file| (file.id.clone(), Arc::new(world.make_type(file, &machines, masks))))
        .collect()
}

/// Makes the view of a version and a role, as far as it is the same whichever type is asked for.
pub(super) fn view(sources: &'static Sources, version: Version, role: Role) -> View {
    let Sources { files, shapes, types } = sources;
    let world = Unfrozen::new(files, shapes);
    let served = files.versions.get(&version).and_then(|v| v.served.as_ref());
    let grants = world.grants(version);
    let eyes = Eyes {
        version,
        role,
        rights: grants.rights(role),
        serving: served.map(|s| (s.version, world.grants(s.version).rights(role))),
        has_filters: !files.roles.get(&role).is_some_and(|part| part.no_filters),
        grants,
        inside: OnceLock::new(),
        trims: trim::Found::default(),
    };
    world.view(eyes, types)
}

/// Whether a version shows a type at all.
pub(super) fn is_visible(file: &TypeFile, version: Version) -> bool {
    !file.hidden && file.only.is_none_or(|v| v == version)
}

/// The plural of a name, where no file says it.
pub(super) fn plural(name: &str) -> String {
    let es = name.ends_with('s') || name.ends_with("ch") || name.ends_with('x');
    format!("{name}{}", if es { "es" } else { "s" })
}

/// All types in all versions, as the files have them.
pub(super) struct Unfrozen<'a> {
    pub(super) files: &'a Files,
    pub(super) shapes: &'a [(Version, Shapes)],
    /// Every type's canonical id → itself and all types below it, sorted.
    pub(super) below: HashMap<&'a str, Vec<&'a TypeFile>>,
    /// Plural → canonical id, once it is asked for; of several types with one plural the first.
    pub(super) listed: OnceLock<HashMap<String, &'a str>>,
}

/// Whose view is made, and what they have.
pub(super) struct Eyes<'a> {
    pub(super) version: Version,
    pub(super) role: Role,
    pub(super) rights: AllRights<'a>,
    /// The version that serves some types of this one, and what the role has there.
    pub(super) serving: Option<(Version, AllRights<'a>)>,
    pub(super) has_filters: bool,
    /// By which the rights are known.
    grants: Grants<'a>,
    inside: OnceLock<AllRights<'a>>,
    /// What is taken out of structures, as far as it was worked out.
    pub(super) trims: trim::Found,
}

/// Every type's canonical id → itself and all types below it, sorted.
pub(super) fn below(files: &Files) -> HashMap<&str, Vec<&TypeFile>> {
    let mut below: HashMap<&str, Vec<&TypeFile>> = HashMap::new();
    for file in files.types.values() {
        for above in line(files, &file.id) {
            below.entry(above.id.as_str()).or_default().push(file);
        }
    }
    below
}

impl<'a> Unfrozen<'a> {
    pub(super) fn new(files: &'a Files, shapes: &'a [(Version, Shapes)]) -> Self {
        Self {
            files,
            shapes,
            below: below(files),
            listed: OnceLock::new(),
        }
    }

    /// The types of a version before any grant.
    fn plain(&self, version: Version) -> Vec<Plain<'a>> {
        let shapes = self
            .shapes
            .iter()
            .filter(|(v, _)| *v == version)
            .flat_map(|(_, shapes)| shapes);
        let visible = shapes.filter(|(id, _)| self.files.types.get(*id).is_some_and(|file| is_visible(file, version)));
        visible.map(|(id, shape)| self.plain_type(id, shape)).collect()
    }

    fn plain_type(&self, id: &'a str, shape: &'a TypeShape) -> Plain<'a> {
        let line = line(self.files, id);
        let fields = || shape.fields.iter().filter(|(_, draft)| !draft.hidden);
        Plain {
            id,
            line: line.into_iter().map(|file| file.id.as_str()).collect(),
            collection: shape.collection.iter().map(String::as_str).collect(),
            resource: shape.resource.iter().map(String::as_str).collect(),
            fields: FieldRights::of(fields().map(|(name, draft)| (name.as_str(), all_letters(&draft.field)))),
            holding: fields()
                .filter_map(|(name, draft)| Some((name.as_str(), held(&draft.field.ty)?)))
                .collect(),
            leading: fields()
                .filter_map(|(name, draft)| Some((name.as_str(), leads_to(draft)?)))
                .collect(),
            actions: shape.actions.keys().map(String::as_str).collect(),
        }
    }

    pub(super) fn grants(&self, version: Version) -> Grants<'a> {
        Grants::new(self.files, version, self.plain(version))
    }

    fn machines(&self) -> HashMap<&str, Arc<Machine>> {
        let machine = |name: &str, file: &super::file::ProcessFile| Machine {
            name: name.to_owned(),
            transitions: file
                .transitions
                .iter()
                .map(|t| Transition {
                    process: t.process.clone(),
                    from: t.from.iter().map(|state| State::of(state)).collect(),
                    via: State::of(&t.via),
                    done: State::of(&t.done),
                    versions: t.versions.clone(),
                    joins: t.joins,
                    anew: t.anew.iter().map(|state| State::of(state)).collect(),
                })
                .collect(),
            then: file.then.iter().map(|(a, b)| (a.clone(), b.clone())).collect(),
        };
        self.files
            .processes
            .iter()
            .map(|(name, file)| (name.as_str(), Arc::new(machine(name, file))))
            .collect()
    }

    pub(super) fn shape(&self, version: Version, id: &str) -> Option<&Arc<TypeShape>> {
        self.shapes.iter().find(|(v, _)| *v == version)?.1.get(id)
    }

    /// The version whose fields the resources of a type show, if it is another one.
    pub(super) fn served_as(&self, version: Version, id: &str) -> Option<Version> {
        let served = self.files.versions.get(&version)?.served.as_ref()?;
        served.types.iter().any(|t| t == id).then_some(served.version)
    }

    fn root<'b>(&'b self, id: &'b str) -> &'b str {
        line(self.files, id).last().map_or(id, |file| file.id.as_str())
    }

    fn make_type(&self, file: &TypeFile, machines: &HashMap<&str, Arc<Machine>>, masks: &Masks<'_>) -> Type {
        let id = file.id.as_str();
        let drafts = self.drafts(id, masks.of_type(id));
        let mut classes: Vec<u32> = drafts
            .iter()
            .filter(|(_, draft, _)| draft.field.source == Source::Fields)
            .map(|(.., mask)| mask.shown)
            .collect();
        // What most views show comes first.
        classes.sort_unstable_by_key(|mask| (u32::MAX - mask.count_ones(), *mask));
        classes.dedup();
        let fields = drafts
            .iter()
            .map(|(name, draft, mask)| {
                let class = classes.iter().position(|c| *c == mask.shown).unwrap_or_default();
                let stored = StoredField {
                    source: draft.field.source,
                    ty: draft.field.ty.clone(),
                    empty: empty(&draft.field),
                    class,
                    is_written: mask.is_written,
                };
                ((*name).to_owned(), stored)
            })
            .collect();
        Type {
            layout: Default::default(),
            id: id.to_owned(),
            parent: file.parent.clone(),
            root: self.root(id).to_owned(),
            prefix: self.prefix(id),
            machine: process_set(self.files, id).and_then(|set| machines.get(set)).cloned(),
            fields,
            classes,
            // A structure has no rows, whatever methods its schema lists.
            can_create: !file.unavailable.create && !file.embedded,
            unavailable_actions: self.unavailable_actions(id),
            offered_in: line(self.files, id)
                .into_iter()
                .flat_map(|file| file.offered.clone())
                .collect(),
            never_actions: line(self.files, id)
                .into_iter()
                .flat_map(|file| file.unavailable.never.clone())
                .collect(),
        }
    }

    /// The fields of a type in all versions, in the order of their names, with what the views have of them; where versions differ
    /// the last one counts.
    fn drafts(&self, id: &str, masks: &[(&str, Mask)]) -> Vec<(&'a str, &'a FieldDraft, Mask)> {
        let fields = self
            .shapes
            .iter()
            .rev()
            .filter_map(|(_, shapes)| shapes.get(id))
            .flat_map(|shape| &shape.fields);
        let mut drafts: Vec<(&str, &FieldDraft, Mask)> = fields
            .map(|(name, draft)| (name.as_str(), &**draft, Mask::default()))
            .collect();
        // Each version's are in order, and of equals the first stays.
        drafts.sort_by_key(|(name, ..)| *name);
        drafts.dedup_by_key(|(name, ..)| *name);
        let mut masks = masks.iter().peekable();
        for (name, draft, mask) in &mut drafts {
            while masks.next_if(|(at, _)| at < name).is_some() {}
            if let Some((_, known)) = masks.next_if(|(at, _)| at == name) {
                *mask = *known;
            }
            if !draft.shown {
                mask.shown = 0;
            }
        }
        drafts
    }

    /// A type's own and those of its line: what a parent does not have, a child does not have either.
    fn unavailable_actions(&self, id: &str) -> Vec<String> {
        let mut actions: Vec<String> = line(self.files, id)
            .into_iter()
            .flat_map(|file| file.unavailable.actions.iter().cloned())
            .collect();
        actions.sort_unstable();
        actions.dedup();
        actions
    }

    /// `1`, then the root's override or its first letter and capitals, all in lower case.
    fn prefix(&self, id: &str) -> String {
        let root = self.root(id);
        if let Some(prefix) = self.files.types.get(root).and_then(|file| file.prefix.clone()) {
            return prefix;
        }
        let short = root
            .char_indices()
            .filter(|(at, c)| *at == 0 || !c.is_ascii_lowercase())
            .map(|(_, c)| c);
        format!("1{}", short.collect::<String>().to_ascii_lowercase())
    }

    /// How a type is shown; it has to be one that is seen.
    pub(super) fn shown(&self, eyes: &Eyes<'_>, types: &BTreeMap<String, Arc<Type>>, id: &str) -> Option<TypeView> {
        let (file, def, rights) = (self.files.types.get(id)?, types.get(id)?, eyes.rights.get(id)?);
        Some(TypeView {
            trims: self.trims(eyes, types, id),
            ..self.type_view(file, eyes, rights, def)
        })
    }

    pub(super) fn name<'b>(&'b self, version: Version, id: &'b str) -> &'b str {
        self.files
            .versions
            .get(&version)
            .and_then(|v| v.names.get(id))
            .map_or(id, String::as_str)
    }
}

impl Unfrozen<'static> {
    fn view(self, eyes: Eyes<'static>, types: &'static BTreeMap<String, Arc<Type>>) -> View {
        let (version, role, files) = (eyes.version, eyes.role, self.files);
        let (mut names, mut by_kind, mut by_path) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        for file in files.types.values() {
            // A hidden type is shown as its nearest visible parent.
            if let Some(shown_as) = line(files, &file.id).into_iter().find(|f| eyes.sees(&f.id)) {
                by_kind.insert(file.id.clone(), self.name(version, &shown_as.id).to_owned());
            }
            if types.contains_key(&file.id) && eyes.sees(&file.id) {
                let name = self.name(version, &file.id);
                let plural = file.plural.clone().unwrap_or_else(|| plural(name));
                by_path.insert(plural.to_ascii_lowercase(), name.to_owned());
                by_path.insert(name.to_ascii_lowercase(), name.to_owned());
                names.insert(name.to_owned(), file.id.as_str());
            }
        }
        let maker = Maker {
            world: self,
            eyes,
            types,
        };
        View {
            version,
            role,
            bit: 1 << view_index(version, role),
            types: TypeViews::to_make(names, maker),
            by_kind,
            by_path,
        }
    }
}

impl<'a> Eyes<'a> {
    /// What a project can be asked for: its links lead inside it, where whoever comes from outside is its owner.
    pub(super) fn inside(&self) -> &AllRights<'a> {
        match self.role.is_outside() {
            true => self.inside.get_or_init(|| self.grants.rights(Role::Owner)),
            false => &self.rights,
        }
    }

    pub(super) fn sees(&self, id: &str) -> bool {
        self.rights.contains_key(id)
    }
}

/// The embedded type that lists and maps of a field type hold.
pub(super) fn held(ty: &FieldType) -> Option<&str> {
    match ty {
        FieldType::Array(of) | FieldType::Map(of) => match &**of {
            FieldType::Embedded(id) => Some(id),
            deeper => held(deeper),
        },
        _ => None,
    }
}

/// The type that a field type names, however deep.
pub(super) fn named_type(ty: &FieldType) -> Option<&str> {
    match ty {
        FieldType::Reference(of) | FieldType::Embedded(of) => (!of.is_empty()).then_some(of),
        FieldType::Array(of) | FieldType::Map(of) => named_type(of),
        FieldType::String
        | FieldType::Password
        | FieldType::Int
        | FieldType::Float
        | FieldType::Date
        | FieldType::Blob
        | FieldType::Boolean
        | FieldType::Enum
        | FieldType::Json => None,
    }
}

/// A missing value is null; only a boolean that may not be null is its default, or false.
fn empty(field: &Field) -> String {
    match (&field.ty, field.nullable) {
        (FieldType::Boolean, false) => field
            .default
            .as_ref()
            .map_or_else(|| "false".to_owned(), |d| d.to_string()),
        _ => "null".to_owned(),
    }
}
