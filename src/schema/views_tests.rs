//! What must hold in every view, whoever it is for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed test may panic"
)]

use std::collections::{BTreeSet, HashMap};

use crate::model::{Fields, Resource, ResourceId, State, Timestamp};

use super::freeze::named_type;
use super::render::{self, Context};
use super::*;

fn load() -> Registry {
    Registry::load(None).expect("the built-in schemas fit")
}

/// Each view with a name for messages.
fn views(registry: &Registry) -> impl Iterator<Item = (String, &View)> {
    registry
        .views()
        .map(|view| (format!("{} {}", view.version.as_str(), view.role.as_str()), &**view))
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_type_is_found_by_its_name_and_its_plural_and_no_other_type_is() {
    let registry = load();
    for (name, view) in views(&registry) {
        let mut taken: HashMap<String, &str> = HashMap::new();
        for ty in view.types.values() {
            for path in BTreeSet::from([ty.id.to_lowercase(), ty.plural.to_lowercase()]) {
                assert_eq!(
                    view.find_by_path(&path).map(|found| found.id.as_str()),
                    Some(ty.id.as_str()),
                    "{name} {path}"
                );
                assert_eq!(taken.insert(path.clone(), &ty.id), None, "{name} {path}");
            }
            assert_eq!(
                view.find_by_kind(&ty.def.id).map(|found| found.id.as_str()),
                Some(ty.id.as_str()),
                "{name}"
            );
        }
        assert!(
            view.by_path
                .values()
                .chain(view.by_kind.values())
                .all(|id| view.types.contains_key(id)),
            "{name}"
        );
    }
}

#[test]
fn what_is_read_into_a_view_is_described_in_it() {
    let registry = load();
    let mut wrong = Vec::new();
    for (name, view) in views(&registry) {
        for ty in view.types.values() {
            let input_view = registry.input_view(view, ty);
            let is_described = |part: &str| view.types.contains_key(part) || input_view.types.contains_key(part);
            for (field, of) in ty.input_fields() {
                let listed = |ty: &FieldType| matches!(ty, FieldType::Array(_) | FieldType::Map(_));
                let part = match &of.ty {
                    FieldType::Embedded(part) => Some(part.as_str()),
                    ty if listed(ty) => named_type(ty).filter(|_| !of.ty_text.contains("reference[")),
                    _ => None,
                };
                if (of.create || of.update) && part.is_some_and(|part| !is_described(part)) {
                    wrong.push(format!(
                        "{name}: {}.{field} takes {}, which is hidden",
                        ty.id, of.ty_text
                    ));
                }
            }
            for (action, of) in &ty.actions {
                if of.input.as_ref().is_some_and(|input| !is_described(input)) {
                    wrong.push(format!(
                        "{name}: {}.{action} takes {}, which is hidden",
                        ty.id,
                        of.input.as_deref().unwrap_or_default()
                    ));
                }
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn what_a_view_links_to_and_lists_is_there() {
    let registry = load();
    let mut wrong = Vec::new();
    for (name, view) in views(&registry) {
        for ty in view.types.values() {
            for link in &ty.links {
                let (far, field) = match &link.to {
                    Relation::One { field, .. } => (None, Some(field)),
                    Relation::Many { kind, .. } | Relation::Through { kind, .. } | Relation::Listed { kind, .. } => {
                        (Some(kind), None)
                    }
                    Relation::Computed | Relation::Handled => (None, None),
                };
                if far.is_some_and(|kind| view.find_by_kind(kind).is_none()) {
                    wrong.push(format!("{name}: {}.{} leads to what is hidden", ty.id, link.name));
                }
                if field.is_some_and(|field| !ty.shown.contains(field)) {
                    wrong.push(format!("{name}: {}.{} follows a hidden reference", ty.id, link.name));
                }
            }
            for id in &ty.create_types {
                let can_post = |ty: &std::sync::Arc<TypeView>| ty.collection_methods.iter().any(|m| m == "POST");
                if !view.types.get(id).is_some_and(can_post) {
                    wrong.push(format!("{name}: {} offers to create {id}", ty.id));
                }
            }
            if !view.types.contains_key(&ty.base_type) {
                wrong.push(format!("{name}: {} has the hidden base type {}", ty.id, ty.base_type));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn a_project_leads_to_its_stream_for_its_own_key_alone() {
    let registry = load();
    for (name, view) in views(&registry) {
        let Some(project) = view.find_by_kind("project") else {
            continue;
        };
        let leads = project.links.iter().any(|link| link.name == "subscribe");
        assert_eq!(leads, view.role == Role::Project, "{name}");
    }
}

#[test]
fn a_role_that_only_reads_writes_nothing() {
    let registry = load();
    for version in Version::ALL {
        for role in [Role::ReadAdmin, Role::Readonly] {
            for ty in registry.view(version, role).types.values() {
                let writable = ty
                    .input_fields()
                    .iter()
                    .filter(|(_, field)| field.create || field.update);
                assert_eq!(
                    writable.map(|(name, _)| name).collect::<Vec<_>>(),
                    Vec::<&String>::new(),
                    "{} {}",
                    role.as_str(),
                    ty.id
                );
                assert!(
                    ty.collection_methods
                        .iter()
                        .chain(&ty.resource_methods)
                        .all(|m| m == "GET"),
                    "{} {}",
                    role.as_str(),
                    ty.id
                );
            }
        }
    }
}

#[test]
fn ids_begin_with_the_same_letters_for_everybody() {
    let registry = load();
    for version in Version::ALL {
        let mut prefixes: HashMap<&str, &str> = HashMap::new();
        for role in Role::ALL {
            for ty in registry.view(version, role).types.values() {
                assert_eq!(
                    *prefixes.entry(&ty.id).or_insert(&ty.prefix),
                    ty.prefix,
                    "{} {}",
                    role.as_str(),
                    ty.id
                );
            }
        }
    }
}

#[test]
fn a_field_that_a_role_does_not_see_is_not_in_its_rows() {
    let registry = load();
    let ty = registry.find_type("container").unwrap();
    let fields = Fields::parse(r#"{"token":"of-its-own","imageUuid":"docker:a"}"#).unwrap();
    let (fields, cuts) = layout::pack(ty, &fields);
    let row = Resource {
        id: ResourceId(7),
        root: ty.root.clone(),
        kind: ty.id.clone(),
        account_id: Some(ResourceId(5)),
        parent_id: None,
        host_id: None,
        uuid: String::new(),
        name: String::new(),
        state: State::RUNNING,
        health: String::new(),
        message: String::new(),
        progress: None,
        version: 1,
        created: Timestamp(0),
        removed: None,
        purge_after: None,
        fields,
        cuts,
        internal: "{}".into(),
    };
    for (role, sees) in [
        (Role::Admin, true),
        (Role::ReadAdmin, true),
        (Role::Project, false),
        (Role::Readonly, false),
    ] {
        let view = registry.view(Version::V2Beta, role);
        let ty = view.find_by_kind("container").unwrap();
        assert_eq!(ty.fields.contains_key("token"), sees, "{role:?}");
        let mut json = String::new();
        let context = Context {
            view,
            ty,
            base: "http://h/v2-beta",
            actions_key: "actions",
        };
        render::resource(&mut json, &context, &row, "running", &[], &[]);
        assert_eq!(json.contains("of-its-own"), sees, "{role:?} {json}");
        assert!(json.contains(r#""imageUuid":"docker:a""#), "{role:?} {json}");
    }
}
