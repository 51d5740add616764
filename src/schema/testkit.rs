//! Small types and views made by hand, for the tests of this layer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test may panic"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::type_views::TypeViews;
use super::{Column, Field, FieldType, Role, Source, StoredField, Type, TypeView, Version, View};

/// An own field of a type.
pub fn own(ty: &str, class: usize, empty: &str) -> StoredField {
    StoredField {
        source: Source::Fields,
        ty: FieldType::parse(ty),
        empty: empty.to_owned(),
        class,
        is_written: true,
    }
}

/// A field from a column.
pub fn column(ty: &str, column: Column) -> StoredField {
    StoredField {
        source: Source::Column(column),
        ..own(ty, 0, "null")
    }
}

/// A computed field.
pub fn computed(ty: &str, empty: &str) -> StoredField {
    StoredField {
        source: Source::Computed,
        ..own(ty, 0, empty)
    }
}

/// A type without parent, machine or actions.
pub fn type_of(id: &str, classes: &[u32], fields: &[(&str, StoredField)]) -> Type {
    Type {
        id: id.to_owned(),
        parent: None,
        root: id.to_owned(),
        prefix: if id == "stack" {
            "1st".to_owned()
        } else {
            format!("1{}", &id[..1])
        },
        machine: None,
        fields: fields.iter().map(|(name, f)| ((*name).to_owned(), f.clone())).collect(),
        classes: classes.to_vec(),
        can_create: true,
        unavailable_actions: Vec::new(),
        offered_in: Default::default(),
        never_actions: Vec::new(),
        layout: Default::default(),
    }
}

/// A field that may be created and updated.
pub fn writable(ty: &str) -> Field {
    Field {
        create: true,
        update: true,
        ..Field::new(ty)
    }
}

/// A view of a type that shows these fields.
pub fn view_of(def: Type, name: &str, fields: BTreeMap<String, Field>) -> TypeView {
    TypeView {
        id: name.to_owned(),
        plural: format!("{name}s"),
        base_type: name.to_owned(),
        kinds: vec![def.id.clone()],
        def: Arc::new(def),
        fields,
        actions: BTreeMap::new(),
        filters: BTreeMap::new(),
        collection_methods: Vec::new(),
        resource_methods: Vec::new(),
        links: Vec::new(),
        includeable_links: Vec::new(),
        create_types: Vec::new(),
        is_root: true,
        is_listable: true,
        is_embedded: false,
        template: Default::default(),
        prefix: String::new(),
        shown: Vec::new(),
        input: None,
        served_as: None,
        copies: Vec::new(),
        told: Vec::new(),
        trims: Default::default(),
        states: Vec::new(),
    }
}

/// A view of a type that shows all its fields, as they are stored.
pub fn full_view_of(def: Type, name: &str) -> TypeView {
    let field = |f: &StoredField| Field {
        ty: f.ty.clone(),
        source: f.source,
        ..writable("json")
    };
    let fields = def.fields.iter().map(|(name, f)| (name.clone(), field(f))).collect();
    view_of(def, name, fields)
}

/// A view with these types.
pub fn view(version: Version, bit: u32, types: Vec<TypeView>) -> View {
    let types = TypeViews::of(types.into_iter().map(Arc::new));
    let by_kind: HashMap<String, String> = types.values().map(|t| (t.def.id.clone(), t.id.clone())).collect();
    View {
        version,
        role: Role::Owner,
        bit,
        types,
        by_kind,
        by_path: HashMap::new(),
    }
}

/// That a file of the tree says this; `UPDATE_GOLDEN=1` writes it.
pub(crate) fn check_golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} is not what the schemas say; UPDATE_GOLDEN=1 cargo test writes it anew"
    );
}
