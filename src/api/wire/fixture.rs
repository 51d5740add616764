//! Small views for the tests of this layer.

use std::sync::Arc;

use crate::schema::{Field, FieldType, Type, TypeView};

/// A view of a root type without anything, then changed by `edit`.
pub fn type_view(id: &str, edit: impl FnOnce(&mut TypeView)) -> TypeView {
    let def = Type {
        id: id.into(),
        parent: None,
        root: id.into(),
        prefix: format!("1{}", id.chars().take(1).collect::<String>()),
        machine: None,
        fields: Default::default(),
        classes: Vec::new(),
        can_create: true,
        unavailable_actions: Vec::new(),
        offered_in: Default::default(),
        never_actions: Vec::new(),
        layout: Default::default(),
    };
    let mut ty = TypeView {
        id: id.into(),
        plural: format!("{id}s"),
        def: Arc::new(def),
        base_type: id.into(),
        fields: Default::default(),
        actions: Default::default(),
        filters: Default::default(),
        collection_methods: vec!["GET".into(), "POST".into()],
        resource_methods: vec!["GET".into(), "PUT".into(), "DELETE".into()],
        links: Vec::new(),
        includeable_links: Vec::new(),
        create_types: Vec::new(),
        kinds: vec![id.into()],
        is_root: true,
        is_listable: true,
        is_embedded: false,
        template: Default::default(),
        prefix: String::new(),
        shown: Vec::new(),
        told: Vec::new(),
        input: None,
        served_as: None,
        copies: Vec::new(),
        trims: Default::default(),
        states: Vec::new(),
    };
    edit(&mut ty);
    ty.told = ty.filters.keys().cloned().collect();
    ty
}

/// Adds a field that is only there.
pub fn add_field(ty: &mut TypeView, name: &str, field_type: FieldType) {
    let field = Field {
        ty: field_type,
        create: true,
        update: true,
        nullable: true,
        ..Field::new("json")
    };
    ty.fields.insert(name.to_owned(), field);
}
