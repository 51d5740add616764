//! How one role sees one type in one version.

use super::Link;
use super::file::{FilterPatch, TypeFile};
use super::freeze::{Eyes, Unfrozen, named_type, plural};
use super::grant::TypeRights;
use super::grant_file::Letters;
use super::inherit::{FieldDraft, TypeShape, process_set};
use super::trim::{self, Trims};
use super::{Action, Field, FieldType, Relation, Type, TypeView, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl<'a> Unfrozen<'a> {
    pub(super) fn type_view(
        &self,
        file: &TypeFile,
        eyes: &Eyes<'_>,
        rights: &TypeRights<'_>,
        def: &Arc<Type>,
    ) -> TypeView {
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
        let includes = self.includes(version, shape, &links);
        let filters = self.own_filters(eyes, shape, rights);
        let shown: BTreeSet<&str> = rights
            .fields
            .iter()
            .chain(serving.into_iter().flat_map(|r| r.fields.iter()))
            .map(|(name, _)| name)
            .collect();
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
            told: self.told(eyes, id, &filters, serving),
            filters,
            actions: shape
                .actions
                .iter()
                .filter(|(n, _)| rights.actions.contains(n.as_str()))
                .map(|(n, a)| (n.clone(), self.action(version, a)))
                .collect(),
            links,
            includeable_links: includes,
            create_types: self.create_types(eyes, id, below),
            kinds: below
                .iter()
                .filter(|f| !f.embedded || f.id == id)
                .map(|f| f.id.clone())
                .collect(),
            is_root: file.parent.is_none(),
            is_listable: rights.collection.contains(&"GET"),
            is_embedded: file.embedded,
            shown: shown.into_iter().map(str::to_owned).collect(),
            input: served_as
                .zip(serving)
                .map(|(other, serving)| self.input(version, shape, rights, (other, serving), id)),
            served_as,
            trims: Trims::default(),
            copies: self.copies(version, id, shape),
            states: set
                .and_then(|set| parts?.states.get(set))
                .map(|s| s.iter().map(|(a, b)| (a.clone(), b.clone())).collect())
                .unwrap_or_default(),
            fields: self.fields(version, shape, rights),
            collection_methods: owned(&rights.collection),
            resource_methods: owned(&rights.resource),
            id: name,
        }
    }

    /// The links that may be included, as this version writes them.
    fn includes(&self, version: Version, shape: &TypeShape, links: &[Link]) -> Vec<String> {
        let in_lower_case = self.files.versions.get(&version).is_some_and(|p| p.lower_case_includes);
        let is_included = |name: &String| links.iter().any(|l| l.name == *name && l.to != Relation::Handled);
        let offered = shape.links.keys().filter(|name| is_included(name));
        offered
            .map(|name| {
                if in_lower_case {
                    name.to_ascii_lowercase()
                } else {
                    name.clone()
                }
            })
            .collect()
    }

    /// What a collection says can be made in it: the type itself and its direct children, as far as the role may.
    fn create_types(&self, eyes: &Eyes<'_>, id: &str, below: &[&TypeFile]) -> Vec<String> {
        if below.len() <= 1 {
            return Vec::new();
        }
        let is_near = |f: &&&TypeFile| f.id == id || f.parent.as_deref() == Some(id);
        let can_post = |f: &&&TypeFile| {
            eyes.rights
                .get(f.id.as_str())
                .is_some_and(|r| r.collection.contains(&"POST"))
        };
        let made = below.iter().filter(is_near).filter(can_post);
        made.map(|f| self.name(eyes.version, &f.id).to_owned()).collect()
    }

    /// Fields that this version shows a second time, under another name.
    fn copies(&self, version: Version, id: &str, shape: &TypeShape) -> Vec<(String, String)> {
        let served = self.files.versions.get(&version).and_then(|p| p.served.as_ref());
        let served = served.filter(|_| self.served_as(version, id).is_some());
        let copies = served.into_iter().flat_map(|s| s.copies.iter());
        copies
            .filter(|(from, _)| shape.fields.contains_key(*from))
            .map(|(from, to)| (from.clone(), to.clone()))
            .collect()
    }

    fn own_filters(&self, eyes: &Eyes<'_>, shape: &TypeShape, rights: &TypeRights<'_>) -> BTreeMap<String, FieldType> {
        match eyes.has_filters {
            true => filters(shape, rights),
            false => BTreeMap::new(),
        }
    }

    /// The names that collections tell to be sorted and filtered by: those of the version that serves the type.
    fn told(
        &self,
        eyes: &Eyes<'_>,
        id: &str,
        own: &BTreeMap<String, FieldType>,
        serving: Option<&TypeRights<'_>>,
    ) -> Vec<String> {
        let other = self.served_as(eyes.version, id).and_then(|other| self.shape(other, id));
        match other.zip(serving) {
            Some((shape, rights)) => self.own_filters(eyes, shape, rights).into_keys().collect(),
            None => own.keys().cloned().collect(),
        }
    }

    /// What a role does not see inside the structures of a type.
    pub(super) fn trims(&self, eyes: &Eyes<'_>, types: &BTreeMap<String, Arc<Type>>, id: &str) -> Trims {
        let served_as = self.served_as(eyes.version, id);
        let serving = eyes.serving.as_ref().filter(|(version, _)| Some(*version) == served_as);
        let (version, rights) = serving.map_or((eyes.version, &eyes.rights), |(version, rights)| (*version, rights));
        let Some((_, shapes)) = self.shapes.iter().find(|(v, _)| *v == version) else {
            return Trims::default();
        };
        let inside = trim::Eyes {
            version,
            shapes,
            rights,
            types,
            found: &eyes.trims,
        };
        let fields = shapes.get(id).into_iter().flat_map(|shape| &shape.fields);
        let by_field = fields.filter_map(|(name, draft)| Some((name.clone(), inside.trim(&draft.field.ty)?)));
        Trims::new(by_field.collect())
    }

    /// The fields that a role sees, and what it may do with them.
    fn fields(&self, version: Version, shape: &TypeShape, rights: &TypeRights<'_>) -> BTreeMap<String, Field> {
        let seen = rights
            .fields
            .iter()
            .filter_map(|(name, letters)| Some((name, letters, shape.fields.get(name)?)));
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

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// All that can be done with a field, whoever does it.
pub(super) fn all_letters(field: &Field) -> Letters {
    Letters::of(&[
        ('r', true),
        ('c', field.create),
        ('u', field.update),
        ('o', field.read_on_create_only),
    ])
}

/// The type that a single reference leads to, if it may be filtered by.
pub(super) fn leads_to(draft: &FieldDraft) -> Option<&str> {
    match &draft.field.ty {
        FieldType::Reference(far) if draft.filter != FilterPatch::No && !far.is_empty() => Some(far),
        _ => None,
    }
}

/// What decides the modifiers of everything that may be filtered.
pub(super) fn filters(shape: &TypeShape, rights: &TypeRights<'_>) -> BTreeMap<String, FieldType> {
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
