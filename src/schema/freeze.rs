//! Making types and views out of checked shapes. Nothing here can fail: what does not fit was found by `lint`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::file::{FilterPatch, TypeFile};
use super::inherit::{Draft, Shape, Shapes, apply_role, line, process_set};
use super::load::Files;
use super::{
    Action, Field, FieldType, Link, Machine, Registry, Relation, Role, Source, StoredField, Transition, Type, TypeView,
    Version, View,
};

/// Freezes everything.
pub(super) fn freeze(files: &Files, shapes: &[(Version, Shapes)]) -> Registry {
    let world = World { files, shapes };
    let machines = world.machines();
    let types: BTreeMap<String, Arc<Type>> =
        files.types.values().map(|file| (file.id.clone(), Arc::new(world.make_type(file, &machines)))).collect();
    let mut views = Vec::new();
    for version in Version::ALL {
        let mut plain = None;
        for role in Role::ALL {
            let view = Arc::new(world.view(version, role, 1 << views.len(), &types, plain.as_deref()));
            plain.get_or_insert_with(|| Arc::clone(&view));
            views.push(view);
        }
    }
    Registry { types, views }
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

/// A link's notation, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notation<'a> {
    One { field: &'a str },
    Listed { field: &'a str },
    Many { kind: &'a str, field: &'a str },
    Through { map: &'a str, near: &'a str, far: &'a str },
    Computed,
    /// One link for every type that can be listed.
    Types,
}

impl<'a> Notation<'a> {
    pub fn parse(text: &'a str) -> Self {
        if text == "computed" {
            return Self::Computed;
        }
        if text == "types" {
            return Self::Types;
        }
        if let Some(field) = text.strip_prefix("list:") {
            return Self::Listed { field };
        }
        match text.split_once('.') {
            None => Self::One { field: text },
            Some((kind, rest)) => match rest.split_once('>') {
                None => Self::Many { kind, field: rest },
                Some((near, far)) => Self::Through { map: kind, near, far },
            },
        }
    }
}

struct World<'a> {
    files: &'a Files,
    shapes: &'a [(Version, Shapes)],
}

impl World<'_> {
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
        self.files.processes.iter().map(|(name, file)| (name.as_str(), Arc::new(machine(name, file)))).collect()
    }

    fn shape(&self, version: Version, id: &str) -> Option<&Arc<Shape>> {
        self.shapes.iter().find(|(v, _)| *v == version)?.1.get(id)
    }

    /// The version whose fields the resources of a type show, if it is another one.
    fn served_as(&self, version: Version, id: &str) -> Option<Version> {
        let served = self.files.versions.get(&version)?.served.as_ref()?;
        served.types.iter().any(|t| t == id).then_some(served.version)
    }

    /// The fields that resources of a type show in a version.
    fn shown(&self, version: Version, id: &str) -> BTreeMap<&str, &Arc<Draft>> {
        let mut shown = BTreeMap::new();
        for version in [Some(version), self.served_as(version, id)].into_iter().flatten() {
            let fields = self.shape(version, id).map(|s| &s.fields);
            shown.extend(fields.into_iter().flatten().filter(|(_, d)| !d.hidden).map(|(n, d)| (n.as_str(), d)));
        }
        shown
    }

    fn root<'b>(&'b self, id: &'b str) -> &'b str {
        line(self.files, id).last().map_or(id, |file| file.id.as_str())
    }

    fn make_type(&self, file: &TypeFile, machines: &HashMap<&str, Arc<Machine>>) -> Type {
        let id = file.id.as_str();
        let mut masks: BTreeMap<&str, u32> = BTreeMap::new();
        for (index, version) in Version::ALL.into_iter().enumerate() {
            if is_visible(file, version) {
                // All roles of a version see the same fields; when that changes, the masks are made per role.
                let roles = (1_u32 << Role::ALL.len()) - 1;
                for name in self.shown(version, id).into_keys() {
                    *masks.entry(name).or_default() |= roles << (index * Role::ALL.len());
                }
            }
        }
        let mut drafts: BTreeMap<&str, &Draft> = BTreeMap::new();
        for (_, shapes) in self.shapes {
            let fields = shapes.get(id).map(|shape| &shape.fields);
            drafts.extend(fields.into_iter().flatten().map(|(n, d)| (n.as_str(), &**d)));
        }
        let mask = |name: &str| masks.get(name).copied().unwrap_or_default();
        let mut classes: Vec<u32> =
            drafts.iter().filter(|(_, d)| d.field.source == Source::Fields).map(|(n, _)| mask(n)).collect();
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
            can_create: !file.unavailable.create,
            unavailable_actions: self.unavailable_actions(id),
        }
    }

    /// A type's own and those of its line: what a parent does not have, a child does not have either.
    fn unavailable_actions(&self, id: &str) -> Vec<String> {
        let mut actions: Vec<String> =
            line(self.files, id).into_iter().flat_map(|file| file.unavailable.actions.iter().cloned()).collect();
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
        let short = root.char_indices().filter(|(at, c)| *at == 0 || !c.is_ascii_lowercase()).map(|(_, c)| c);
        format!("1{}", short.collect::<String>().to_ascii_lowercase())
    }

    fn below(&self, id: &str) -> Vec<&TypeFile> {
        let inherits = |file: &&TypeFile| line(self.files, &file.id).into_iter().any(|f| f.id == id);
        self.files.types.values().filter(inherits).collect()
    }

    fn view(
        &self,
        version: Version,
        role: Role,
        bit: u32,
        types: &BTreeMap<String, Arc<Type>>,
        plain: Option<&View>,
    ) -> View {
        let mut view = View {
            version,
            role,
            bit,
            types: BTreeMap::new(),
            by_kind: HashMap::new(),
            by_path: HashMap::new(),
        };
        let visible = |file: &TypeFile| is_visible(file, version);
        for file in self.files.types.values() {
            let name = self.name(version, &file.id);
            // A hidden type is shown as its nearest visible parent.
            if let Some(shown_as) = line(self.files, &file.id).into_iter().find(|f| visible(f)) {
                view.by_kind.insert(file.id.clone(), self.name(version, &shown_as.id).to_owned());
            }
            let Some(def) = types.get(&file.id).filter(|_| visible(file)) else { continue };
            let differs = line(self.files, &file.id).into_iter().any(|f| f.roles.contains_key(&role));
            let ty = match plain.and_then(|p| p.types.get(name)).filter(|_| !differs) {
                Some(same) => Arc::clone(same),
                None => Arc::new(self.type_view(file, version, role, def)),
            };
            view.by_path.insert(ty.plural.to_ascii_lowercase(), ty.id.clone());
            view.by_path.insert(ty.id.to_ascii_lowercase(), ty.id.clone());
            view.types.insert(ty.id.clone(), ty);
        }
        view
    }

    fn name<'b>(&'b self, version: Version, id: &'b str) -> &'b str {
        self.files.versions.get(&version).and_then(|v| v.names.get(id)).map_or(id, String::as_str)
    }

    fn for_role(&self, version: Version, role: Role, id: &str) -> Shape {
        let mut shape = self.shape(version, id).map(|shape| Shape::clone(shape)).unwrap_or_default();
        let parts = line(self.files, id).into_iter().rev().filter_map(|file| file.roles.get(&role));
        for part in parts {
            // What a role changes was checked by the lint.
            apply_role(&mut shape, id, &part.fields, &mut Vec::new());
        }
        shape
    }

    fn type_view(&self, file: &TypeFile, version: Version, role: Role, def: &Arc<Type>) -> TypeView {
        let id = file.id.as_str();
        let shape = self.for_role(version, role, id);
        let parts = self.files.versions.get(&version);
        let set = process_set(self.files, id);
        let below = self.below(id);
        let visible_below = || below.iter().filter(|f| is_visible(f, version));
        let served_as = self.served_as(version, id);
        let name = self.name(version, id).to_owned();
        let links = self.links(&shape, version, def);
        let includes = shape
            .links
            .keys()
            .filter(|name| links.iter().any(|l| l.name == **name))
            .map(|name| match parts.is_some_and(|p| p.lower_case_includes) {
                true => name.to_ascii_lowercase(),
                false => name.clone(),
            })
            .collect();
        let has_children = below.len() > 1;
        TypeView {
            plan: Default::default(),
            plural: file.plural.clone().unwrap_or_else(|| plural(&name)),
            prefix: parts.and_then(|p| p.prefixes.get(id)).cloned().unwrap_or_else(|| def.prefix.clone()),
            def: Arc::clone(def),
            base_type: match &file.parent {
                Some(parent) if self.files.types.get(parent).is_some_and(|f| is_visible(f, version)) => {
                    self.name(version, parent).to_owned()
                }
                Some(_) | None => name.clone(),
            },
            filters: filters(&shape),
            actions: shape.actions.iter().map(|(n, a)| (n.clone(), self.action(version, a))).collect(),
            links,
            includeable_links: includes,
            create_types: match has_children {
                true => visible_below()
                    .filter(|f| self.shape(version, &f.id).is_some_and(|s| s.collection.iter().any(|m| m == "POST")))
                    .filter(|f| !f.embedded)
                    .map(|f| self.name(version, &f.id).to_owned())
                    .collect(),
                false => Vec::new(),
            },
            kinds: below.iter().filter(|f| !f.embedded || f.id == id).map(|f| f.id.clone()).collect(),
            is_root: file.parent.is_none(),
            is_listable: shape.collection.iter().any(|m| m == "GET"),
            is_embedded: file.embedded,
            shown: self.shown(version, id).into_keys().map(str::to_owned).collect(),
            input: served_as.map(|other| self.input(version, other, role, id)),
            served_as,
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
            fields: self.fields(version, &shape),
            collection_methods: shape.collection,
            resource_methods: shape.resource,
            id: name,
        }
    }

    fn fields(&self, version: Version, shape: &Shape) -> BTreeMap<String, Field> {
        let visible = shape.fields.iter().filter(|(_, draft)| !draft.hidden);
        visible.map(|(name, draft)| (name.clone(), self.named(version, &draft.field))).collect()
    }

    /// The fields that input is read by, where another version serves the type: that version's, and besides those that
    /// only this one has. Nothing that is copied to another field is required by its old name.
    fn input(&self, version: Version, served_as: Version, role: Role, id: &str) -> BTreeMap<String, Field> {
        let mut fields = self.fields(version, &self.for_role(version, role, id));
        fields.extend(self.fields(served_as, &self.for_role(served_as, role, id)));
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
        Action { input: name(&action.input), output: name(&action.output) }
    }

    /// The links that lead somewhere in this version, sorted by name.
    fn links(&self, shape: &Shape, version: Version, def: &Type) -> Vec<Link> {
        let visible = |kind: &str| self.files.types.get(kind).is_some_and(|file| is_visible(file, version));
        let far = |shape: Option<&Arc<Shape>>, field: &str| {
            shape.and_then(|s| s.fields.get(field)).and_then(|d| named_type(&d.field.ty).map(str::to_owned))
        };
        let mut links: Vec<Link> = Vec::new();
        for (name, text) in &shape.links {
            let mut add = |name: &str, to| links.push(Link { name: name.to_owned(), to });
            match Notation::parse(text) {
                Notation::Computed => add(name, Relation::Computed),
                Notation::Types => {
                    let listed = self.files.types.values().filter(|f| visible(&f.id)).filter(|f| {
                        self.shape(version, &f.id).is_some_and(|s| s.collection.iter().any(|m| m == "GET"))
                    });
                    for file in listed {
                        let id = self.name(version, &file.id);
                        let plural = file.plural.clone().unwrap_or_else(|| plural(id));
                        if !shape.links.contains_key(&plural) {
                            add(&plural, Relation::Computed);
                        }
                    }
                }
                Notation::One { field } => {
                    let shown = shape.fields.get(field).is_some_and(|d| !d.hidden);
                    let kind = shape.fields.get(field).and_then(|d| named_type(&d.field.ty));
                    if let Some(kind) = kind.filter(|_| shown) {
                        add(name, Relation::One { field: field.to_owned(), kind: kind.to_owned() });
                    }
                }
                Notation::Listed { field } => {
                    if let Some(FieldType::Reference(kind)) = def.fields.get(field).map(|f| &f.ty) {
                        if visible(kind) {
                            add(name, Relation::Listed { field: field.to_owned(), kind: kind.clone() });
                        }
                    }
                }
                Notation::Many { kind, field } => {
                    if visible(kind) {
                        add(name, Relation::Many { kind: kind.to_owned(), field: field.to_owned() });
                    }
                }
                Notation::Through { map, near, far: end } => {
                    if let Some(kind) = far(self.shape(version, map), end).filter(|kind| visible(kind)) {
                        let (through, near, far) = (map.to_owned(), near.to_owned(), end.to_owned());
                        add(name, Relation::Through { kind, through, near, far });
                    }
                }
            }
        }
        links.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        links
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
fn filters(shape: &Shape) -> BTreeMap<String, FieldType> {
    let hidden = shape.filters.iter().map(|(name, ty)| (name.clone(), FieldType::parse(ty)));
    let shown = shape.fields.iter().filter(|(_, d)| !d.hidden).filter_map(|(name, draft)| {
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
        (FieldType::Boolean, false) => field.default.as_ref().map_or_else(|| "false".to_owned(), |d| d.to_string()),
        _ => "null".to_owned(),
    }
}
