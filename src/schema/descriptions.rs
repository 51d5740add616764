//! What types and fields are for, in sentences: `schemas/docs.json`.
//!
//! Schemas say nothing about their fields, as the original's did not (`description` is null); people read these texts
//! through `typeDocumentations` and the OpenAPI document.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Registry, Type};

/// The file, as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptions {
    /// By canonical id.
    pub types: BTreeMap<String, String>,
    /// By the name of a field, wherever it means the same.
    pub fields: BTreeMap<String, String>,
    /// By canonical id and field, where it means something else; holds for the types below it, too.
    pub own: BTreeMap<String, BTreeMap<String, String>>,
}

impl Registry {
    fn texts(&self) -> &Descriptions {
        self.texts.get_or_init(super::load::texts)
    }

    /// What a type is for.
    pub fn text_of(&self, ty: &Type) -> Option<&str> {
        self.texts().types.get(&ty.id).map(String::as_str)
    }

    /// What a field of a type is for: the text of the nearest of its parents, else that of all fields of this name.
    pub fn text_of_field(&self, ty: &Type, field: &str) -> Option<&str> {
        let mut next = Some(ty.id.as_str());
        while let Some(id) = next {
            if let Some(text) = self.texts().own.get(id).and_then(|fields| fields.get(field)) {
                return Some(text);
            }
            next = self.find_type(id).and_then(|t| t.parent.as_deref());
        }
        self.texts().fields.get(field).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use std::collections::BTreeSet;

    use super::*;
    use crate::schema::{Role, Version, View};

    fn views(registry: &Registry) -> impl Iterator<Item = &View> {
        Version::ALL
            .into_iter()
            .flat_map(move |version| Role::ALL.map(|role| &**registry.view(version, role)))
    }

    #[test]
    fn every_type_and_every_field_that_is_served_has_a_text() {
        let registry = Registry::load(None).unwrap();
        let mut missing = BTreeSet::new();
        for view in views(&registry) {
            for ty in view.types.values() {
                if registry.text_of(&ty.def).is_none() {
                    missing.insert(ty.def.id.clone());
                }
                let fields = ty.fields.keys().chain(ty.input_fields().keys());
                missing.extend(
                    fields
                        .filter(|f| registry.text_of_field(&ty.def, f).is_none())
                        .map(|f| format!("{}.{f}", ty.def.id)),
                );
            }
        }
        assert!(
            missing.is_empty(),
            "schemas/docs.json says nothing about {} things:\n{}",
            missing.len(),
            Vec::from_iter(missing).join("\n")
        );
    }

    #[test]
    fn every_text_is_about_something_that_is_served() {
        let registry = Registry::load(None).unwrap();
        let (mut types, mut fields, mut own) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for ty in views(&registry).flat_map(|view| view.types.values()) {
            types.insert(ty.def.id.as_str());
            for field in ty.fields.keys().chain(ty.input_fields().keys()) {
                fields.insert(field.as_str());
                let mut next = Some(&ty.def.id);
                while let Some(id) = next {
                    own.insert((id.as_str(), field.as_str()));
                    next = registry.types.get(id).and_then(|t| t.parent.as_ref());
                }
            }
        }
        let texts = registry.texts();
        let mut left: Vec<String> = texts
            .types
            .keys()
            .filter(|t| !types.contains(t.as_str()))
            .cloned()
            .collect();
        left.extend(texts.fields.keys().filter(|f| !fields.contains(f.as_str())).cloned());
        for (ty, of) in &texts.own {
            left.extend(
                of.keys()
                    .filter(|f| !own.contains(&(ty.as_str(), f.as_str())))
                    .map(|f| format!("{ty}.{f}")),
            );
        }
        assert!(
            left.is_empty(),
            "schemas/docs.json is about what is not there: {}",
            left.join(", ")
        );
    }

    #[test]
    fn texts_are_sentences() {
        let texts = Registry::load(None).unwrap().texts().clone();
        let all = texts
            .types
            .iter()
            .chain(&texts.fields)
            .chain(texts.own.values().flatten());
        for (name, text) in all {
            assert!(
                text.ends_with('.') && text.len() > 8 && text.starts_with(|c: char| !c.is_lowercase()),
                "{name}: {text:?}"
            );
        }
    }
}
