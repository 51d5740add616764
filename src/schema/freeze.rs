//! Making types and views out of checked shapes. Nothing here can fail: what does not fit is found by `lint`,
//! and what was made of it is thrown away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::file::{FilterPatch, TypeFile};
use super::grant::{AllRights, Grants, Plain, PlainField, TypeRights};
use super::inherit::{FieldDraft, Shapes, TypeShape, line, process_set};
use super::load::Files;
use super::trim::{self, Trim};
use super::types::view_index;
use super::{Action, Field, FieldType, Machine, Role, Source, StoredField, Transition, Type, TypeView, Version, View};

/// Makes all types: what the engine and the store know, whatever the version and the role.
pub(super) fn types(files: &Files, shapes: &[(Version, Shapes)]) -> BTreeMap<String, Arc<Type>> {
    let world = Unfrozen::new(files, shapes);
    let machines = world.machines();
    let masks = world.masks();
    files
        .types
        .values()
        .map(|file| (file.id.clone(), Arc::new(world.make_type(file, &machines, &masks))))
        .collect()
}

/// Makes the view of a version and a role.
pub(super) fn view(
    files: &Files,
    shapes: &[(Version, Shapes)],
    types: &BTreeMap<String, Arc<Type>>,
    version: Version,
    role: Role,
) -> View {
    let world = Unfrozen::new(files, shapes);
    let served = files.versions.get(&version).and_then(|v| v.served.as_ref());
    let eyes = Eyes {
        version,
        role,
        rights: world.rights(version, role),
        serving: served.map(|s| (s.version, world.rights(s.version, role))),
        has_filters: !files.roles.get(&role).is_some_and(|part| part.no_filters),
        inside: role.is_outside().then(|| world.rights(version, Role::Owner)),
    };
    world.view(&eyes, types)
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
    below: HashMap<&'a str, Vec<&'a TypeFile>>,
}

/// Whose view is made, and what they have.
pub(super) struct Eyes<'a> {
    pub(super) version: Version,
    role: Role,
    pub(super) rights: AllRights<'a>,
    /// The version that serves some types of this one, and what the role has there.
    serving: Option<(Version, AllRights<'a>)>,
    has_filters: bool,
    /// What a project can be asked for: its links lead inside it, where whoever comes from outside is its owner.
    pub(super) inside: Option<AllRights<'a>>,
}

/// What the views have of a field.
#[derive(Default)]
struct Mask {
    /// The bits of those that show it.
    shown: u32,
    /// Whether some role may write it, besides the one that may write everything.
    is_written: bool,
}

/// By canonical type id, then by field.
type Masks<'a> = HashMap<&'a str, BTreeMap<&'a str, Mask>>;

fn below(files: &Files) -> HashMap<&str, Vec<&TypeFile>> {
    let mut below: HashMap<&str, Vec<&TypeFile>> = HashMap::new();
    for file in files.types.values() {
        for above in line(files, &file.id) {
            below.entry(above.id.as_str()).or_default().push(file);
        }
    }
    below
}

impl<'a> Unfrozen<'a> {
    fn new(files: &'a Files, shapes: &'a [(Version, Shapes)]) -> Self {
        Self {
            files,
            shapes,
            below: below(files),
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
        visible
            .map(|(id, shape)| Plain {
                id,
                collection: &shape.collection,
                resource: &shape.resource,
                fields: shape
                    .fields
                    .iter()
                    .filter(|(_, draft)| !draft.hidden)
                    .map(|(name, draft)| plain_field(name, draft))
                    .collect(),
                actions: shape.actions.keys().map(String::as_str).collect(),
            })
            .collect()
    }

    fn rights(&self, version: Version, role: Role) -> AllRights<'a> {
        Grants::new(self.files, version).rights(role, &self.plain(version))
    }

    fn masks(&self) -> Masks<'a> {
        let of_versions: Vec<_> = Version::ALL
            .into_iter()
            .map(|v| (v, Grants::new(self.files, v).of_all_roles(&self.plain(v))))
            .collect();
        let rights = |version: Version, role| {
            of_versions
                .iter()
                .find(|(v, _)| *v == version)
                .and_then(|(_, roles)| roles.get(&role))
        };
        let mut masks = Masks::new();
        for version in Version::ALL {
            let served = self.files.versions.get(&version).and_then(|v| v.served.as_ref());
            for role in Role::ALL {
                let bit = 1 << view_index(version, role);
                for (id, own) in rights(version, role).into_iter().flatten() {
                    let serving = served
                        .filter(|s| s.types.iter().any(|t| t == id))
                        .and_then(|s| rights(s.version, role)?.get(id));
                    let of_type = masks.entry(id).or_default();
                    for (name, letters) in own.fields.iter().chain(serving.into_iter().flat_map(|r| &r.fields)) {
                        let mask = of_type.entry(name).or_default();
                        mask.shown |= bit;
                        mask.is_written |= role != Role::Superadmin && (letters.has('c') || letters.has('u'));
                    }
                }
            }
        }
        masks
    }

    fn machines(&self) -> HashMap<&str, Arc<Machine>> {
        let machine = |name: &str, file: &super::file::ProcessFile| Machine {
            name: name.to_owned(),
            transitions: file
                .transitions
                .iter()
                .map(|t| Transition {
                    process: t.process.clone(),
                    from: t.from.clone(),
                    via: t.via.clone(),
                    done: t.done.clone(),
                    versions: t.versions.clone(),
                    joins: t.joins,
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
    fn served_as(&self, version: Version, id: &str) -> Option<Version> {
        let served = self.files.versions.get(&version)?.served.as_ref()?;
        served.types.iter().any(|t| t == id).then_some(served.version)
    }

    fn root<'b>(&'b self, id: &'b str) -> &'b str {
        line(self.files, id).last().map_or(id, |file| file.id.as_str())
    }

    fn make_type(&self, file: &TypeFile, machines: &HashMap<&str, Arc<Machine>>, masks: &Masks<'_>) -> Type {
        let id = file.id.as_str();
        let masks = masks.get(id);
        let mut drafts: BTreeMap<&str, &FieldDraft> = BTreeMap::new();
        for (_, shapes) in self.shapes {
            let fields = shapes.get(id).map(|shape| &shape.fields);
            drafts.extend(fields.into_iter().flatten().map(|(n, d)| (n.as_str(), &**d)));
        }
        let mask = |name: &str| masks.and_then(|m| m.get(name)).map_or(0, |mask| mask.shown);
        let is_written = |name: &str| masks.and_then(|m| m.get(name)).is_some_and(|mask| mask.is_written);
        let mut classes: Vec<u32> = drafts
            .iter()
            .filter(|(_, d)| d.field.source == Source::Fields)
            .map(|(n, _)| mask(n))
            .collect();
        // What most views show comes first.
        classes.sort_unstable_by_key(|mask| (u32::MAX - mask.count_ones(), *mask));
        classes.dedup();
        let fields = drafts
            .iter()
            .map(|(name, draft)| {
                let class = classes.iter().position(|c| *c == mask(name)).unwrap_or_default();
                let stored = StoredField {
                    source: draft.field.source,
                    ty: draft.field.ty.clone(),
                    empty: empty(&draft.field),
                    class,
                    is_written: is_written(name),
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
        }
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

    fn view(&self, eyes: &Eyes<'_>, types: &BTreeMap<String, Arc<Type>>) -> View {
        let (version, role) = (eyes.version, eyes.role);
        let bit = 1 << view_index(version, role);
        let mut view = View {
            version,
            role,
            bit,
            types: BTreeMap::new(),
            by_kind: HashMap::new(),
            by_path: HashMap::new(),
        };
        for file in self.files.types.values() {
            // A hidden type is shown as its nearest visible parent.
            if let Some(shown_as) = line(self.files, &file.id).into_iter().find(|f| eyes.sees(&f.id)) {
                view.by_kind
                    .insert(file.id.clone(), self.name(version, &shown_as.id).to_owned());
            }
            let (Some(def), Some(rights)) = (types.get(&file.id), eyes.rights.get(file.id.as_str())) else {
                continue;
            };
            let trims = self.trims(eyes, types, &file.id);
            let ty = Arc::new(TypeView {
                trims,
                ..self.type_view(file, eyes, rights, def)
            });
            view.by_path.insert(ty.plural.to_ascii_lowercase(), ty.id.clone());
            view.by_path.insert(ty.id.to_ascii_lowercase(), ty.id.clone());
            view.types.insert(ty.id.clone(), ty);
        }
        view
    }

    pub(super) fn name<'b>(&'b self, version: Version, id: &'b str) -> &'b str {
        self.files
            .versions
            .get(&version)
            .and_then(|v| v.names.get(id))
            .map_or(id, String::as_str)
    }

    fn type_view(&self, file: &TypeFile, eyes: &Eyes<'_>, rights: &TypeRights<'_>, def: &Arc<Type>) -> TypeView {
        let id = file.id.as_str();
        let version = eyes.version;
        let nothing = Arc::default();
        let shape: &Arc<TypeShape> = self.shape(version, id).unwrap_or(&nothing);
        let parts = self.files.versions.get(&version);
        let set = process_set(self.files, id);
        let below = self.below.get(id).map_or(&[] as &[&TypeFile], Vec::as_slice);
        let served_as = self.served_as(version, id);
        let serving = eyes
            .serving
            .as_ref()
            .filter(|(v, _)| Some(*v) == served_as)
            .and_then(|(_, all)| all.get(id));
        let name = self.name(version, id).to_owned();
        let links = self.links(shape, eyes, rights, def);
        let includes = shape
            .links
            .keys()
            .filter(|name| links.iter().any(|l| l.name == **name))
            .map(|name| match parts.is_some_and(|p| p.lower_case_includes) {
                true => name.to_ascii_lowercase(),
                false => name.clone(),
            })
            .collect();
        let shown: BTreeSet<&str> = rights
            .fields
            .keys()
            .chain(serving.into_iter().flat_map(|r| r.fields.keys()))
            .copied()
            .collect();
        let is_near = |f: &&&TypeFile| f.id == id || f.parent.as_deref() == Some(id);
        let can_post = |f: &&&TypeFile| {
            eyes.rights
                .get(f.id.as_str())
                .is_some_and(|r| r.collection.iter().any(|m| m == "POST"))
        };
        TypeView {
            template: Default::default(),
            plural: file.plural.clone().unwrap_or_else(|| plural(&name)),
            prefix: parts
                .and_then(|p| p.prefixes.get(id))
                .cloned()
                .unwrap_or_else(|| def.prefix.clone()),
            def: Arc::clone(def),
            base_type: match &file.parent {
                Some(parent) if eyes.sees(parent) => self.name(version, parent).to_owned(),
                Some(_) | None => name.clone(),
            },
            filters: if eyes.has_filters {
                filters(shape, rights)
            } else {
                BTreeMap::new()
            },
            actions: shape
                .actions
                .iter()
                .filter(|(n, _)| rights.actions.contains(n.as_str()))
                .map(|(n, a)| (n.clone(), self.action(version, a)))
                .collect(),
            links,
            includeable_links: includes,
            create_types: match below.len() > 1 {
                true => below
                    .iter()
                    .filter(is_near)
                    .filter(can_post)
                    .map(|f| self.name(version, &f.id).to_owned())
                    .collect(),
                false => Vec::new(),
            },
            kinds: below
                .iter()
                .filter(|f| !f.embedded || f.id == id)
                .map(|f| f.id.clone())
                .collect(),
            is_root: file.parent.is_none(),
            is_listable: rights.collection.iter().any(|m| m == "GET"),
            is_embedded: file.embedded,
            shown: shown.into_iter().map(str::to_owned).collect(),
            input: served_as
                .zip(serving)
                .map(|(other, serving)| self.input(version, shape, rights, (other, serving), id)),
            served_as,
            trims: BTreeMap::new(),
            copies: parts
                .and_then(|p| p.served.as_ref())
                .filter(|_| served_as.is_some())
                .map(|s| s.copies.iter().filter(|(from, _)| shape.fields.contains_key(*from)))
                .into_iter()
                .flatten()
                .map(|(from, to)| (from.clone(), to.clone()))
                .collect(),
            states: set
                .and_then(|set| parts?.states.get(set))
                .map(|s| s.iter().map(|(a, b)| (a.clone(), b.clone())).collect())
                .unwrap_or_default(),
            fields: self.fields(version, shape, rights),
            collection_methods: rights.collection.clone(),
            resource_methods: rights.resource.clone(),
            id: name,
        }
    }

    /// What a role does not see inside the structures of a type.
    fn trims(&self, eyes: &Eyes<'_>, types: &BTreeMap<String, Arc<Type>>, id: &str) -> BTreeMap<String, Trim> {
        let served_as = self.served_as(eyes.version, id);
        let serving = eyes.serving.as_ref().filter(|(version, _)| Some(*version) == served_as);
        let (version, rights) = serving.map_or((eyes.version, &eyes.rights), |(version, rights)| (*version, rights));
        let Some((_, shapes)) = self.shapes.iter().find(|(v, _)| *v == version) else {
            return BTreeMap::new();
        };
        let inside = trim::Eyes { shapes, rights, types };
        let fields = shapes.get(id).into_iter().flat_map(|shape| &shape.fields);
        fields
            .filter_map(|(name, draft)| Some((name.clone(), inside.trim(&draft.field.ty)?)))
            .collect()
    }

    /// The fields that a role sees, and what it may do with them.
    fn fields(&self, version: Version, shape: &TypeShape, rights: &TypeRights<'_>) -> BTreeMap<String, Field> {
        let seen = rights
            .fields
            .iter()
            .filter_map(|(name, letters)| Some((*name, letters, shape.fields.get(*name)?)));
        seen.map(|(name, letters, draft)| {
            let mut field = self.named(version, &draft.field);
            field.create = letters.has('c');
            field.update = letters.has('u');
            field.read_on_create_only = letters.has('o');
            (name.to_owned(), field)
        })
        .collect()
    }

    /// The fields that input is read by, where another version serves the type: that version's, and besides those that
    /// only this one has. Nothing that is copied to another field is required by its old name.
    fn input(
        &self,
        version: Version,
        shape: &TypeShape,
        rights: &TypeRights<'_>,
        (other, serving): (Version, &TypeRights<'_>),
        id: &str,
    ) -> BTreeMap<String, Field> {
        let mut fields = self.fields(version, shape, rights);
        if let Some(shape) = self.shape(other, id) {
            fields.extend(self.fields(other, shape, serving));
        }
        let served = self.files.versions.get(&version).and_then(|v| v.served.as_ref());
        for old in served.into_iter().flat_map(|s| s.copies.keys()) {
            if let Some(field) = fields.get_mut(old) {
                field.required = false;
            }
        }
        fields
    }

    /// A field with the types that it names as the version names them.
    fn named(&self, version: Version, field: &Field) -> Field {
        let mut field = field.clone();
        if let Some(parts) = self.files.versions.get(&version) {
            let named = named_type(&field.ty).and_then(|ty| Some((ty.to_owned(), parts.names.get(ty)?)));
            if let Some((old, new)) = named {
                field.ty_text = match field.ty_text.strip_suffix(&old) {
                    Some(before) => format!("{before}{new}"),
                    None => field.ty_text.replace(&format!("[{old}]"), &format!("[{new}]")),
                };
                field.ty = FieldType::parse(&field.ty_text);
            }
        }
        field
    }

    fn action(&self, version: Version, action: &Action) -> Action {
        let name = |id: &Option<String>| id.as_deref().map(|id| self.name(version, id).to_owned());
        Action {
            input: name(&action.input),
            output: name(&action.output),
        }
    }
}

impl Eyes<'_> {
    pub(super) fn sees(&self, id: &str) -> bool {
        self.rights.contains_key(id)
    }
}

fn plain_field<'a>(name: &'a str, draft: &'a FieldDraft) -> PlainField<'a> {
    let field = &draft.field;
    let leads_to = match &field.ty {
        FieldType::Reference(far) if draft.filter != FilterPatch::No && !far.is_empty() => Some(far.as_str()),
        _ => None,
    };
    PlainField {
        name,
        can: [field.create, field.update, field.read_on_create_only],
        holds: held(&field.ty),
        leads_to,
    }
}

/// The embedded type that lists and maps of a field type hold.
fn held(ty: &FieldType) -> Option<&str> {
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

/// What decides the modifiers of everything that may be filtered.
fn filters(shape: &TypeShape, rights: &TypeRights<'_>) -> BTreeMap<String, FieldType> {
    let hidden = shape
        .filters
        .iter()
        .map(|(name, ty)| (name.clone(), FieldType::parse(ty)));
    let fields = shape
        .fields
        .iter()
        .filter(|(name, d)| !d.hidden && !rights.dangling.contains(name.as_str()));
    let shown = fields.filter_map(|(name, draft)| {
        let ty = match &draft.filter {
            FilterPatch::No => return None,
            FilterPatch::AsField => draft.field.ty.clone(),
            FilterPatch::As(ty) => FieldType::parse(ty),
        };
        Some((name.clone(), ty))
    });
    hidden.chain(shown).collect()
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
