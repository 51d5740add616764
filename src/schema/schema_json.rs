//! A schema as the wire shows it.
//!
//! Written as text, key by key: a client asks for some 130 of them at once, and a tree of values would be built only
//! to be taken apart again. The order of keys is the order that clients have always seen (api-spec "Schemas").

use std::fmt::Write;

use serde::Serialize;

use super::{Field, TypeView, View};

/// The schema resource of a type.
///
/// `base_url` is the address of the version as the caller reached it, with the project if it is scoped to one, and
/// without a slash at its end: `http://h/v2-beta/projects/1a5`. `view` must be the view that has `ty`.
pub fn schema_json(view: &View, ty: &TypeView, base_url: &str) -> String {
    let mut out = String::with_capacity(2048);
    write_schema(&mut out, view, ty, base_url);
    out
}

/// As [`schema_json`], at the end of `out`.
pub fn write_schema(out: &mut String, view: &View, ty: &TypeView, base_url: &str) {
    debug_assert!(view.types.contains_key(&ty.id), "{} is not of this view", ty.id);
    out.push_str("{\"id\":");
    text(out, &ty.id);
    out.push_str(",\"type\":\"schema\",\"links\":{\"self\":");
    text(out, &format!("{base_url}/schemas/{}", ty.id.to_ascii_lowercase()));
    if ty.is_listable {
        out.push_str(",\"collection\":");
        text(out, &format!("{base_url}/{}", ty.plural.to_ascii_lowercase()));
    }
    out.push_str("},\"actions\":{},\"pluralName\":");
    text(out, &ty.plural);
    out.push_str(",\"resourceFields\":{");
    entries(out, ty.fields.iter().filter(|(_, field)| !field.unlisted), write_field);
    out.push_str("},\"collectionFilters\":{");
    entries(out, &ty.filters, |out, filter| {
        out.push_str("{\"modifiers\":");
        list(out, filter.modifiers());
        out.push('}');
    });
    out.push_str("},\"includeableLinks\":");
    list(out, &ty.includeable_links);
    out.push_str(",\"resourceActions\":{");
    entries(out, &ty.actions, |out, action| {
        out.push_str("{\"input\":");
        optional(out, action.input.as_deref());
        out.push_str(",\"output\":");
        optional(out, action.output.as_deref());
        out.push('}');
    });
    out.push_str("},\"collectionActions\":{},\"collectionFields\":{},\"collectionMethods\":");
    list(out, &ty.collection_methods);
    out.push_str(",\"resourceMethods\":");
    list(out, &ty.resource_methods);
    out.push_str(",\"baseType\":\"schema\"}");
}

/// Attributes that are false or not set are left out, but for those that have always been there.
fn write_field(out: &mut String, field: &Field) {
    out.push_str("{\"type\":");
    text(out, &field.ty_text);
    out.push_str(",\"description\":");
    optional(out, field.description.as_deref());
    let _ = write!(out, ",\"create\":{},\"update\":{}", field.create, field.update);
    for (name, is_set) in [("unique", field.unique), ("nullable", field.nullable)] {
        if is_set {
            let _ = write!(out, ",\"{name}\":true");
        }
    }
    let _ = write!(out, ",\"readOnCreateOnly\":{}", field.read_on_create_only);
    if field.required {
        out.push_str(",\"required\":true");
    }
    if let Some(default) = &field.default {
        let _ = write!(out, ",\"default\":{default}");
    }
    let numbers = [
        ("min", field.min),
        ("max", field.max),
        ("minLength", field.min_length),
        ("maxLength", field.max_length),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            let _ = write!(out, ",\"{name}\":{number}");
        }
    }
    if let Some(options) = &field.options {
        out.push_str(",\"options\":");
        list(out, options);
    }
    for (name, chars) in [
        ("validChars", &field.valid_chars),
        ("invalidChars", &field.invalid_chars),
    ] {
        if let Some(chars) = chars {
            let _ = write!(out, ",\"{name}\":");
            text(out, chars);
        }
    }
    out.push('}');
}

/// The inside of an object.
fn entries<'a, T: 'a>(
    out: &mut String,
    entries: impl IntoIterator<Item = (&'a String, &'a T)>,
    write: impl Fn(&mut String, &T),
) {
    for (index, (name, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        text(out, name);
        out.push(':');
        write(out, value);
    }
}

fn list<T: AsRef<str> + Serialize>(out: &mut String, items: &[T]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        text(out, item.as_ref());
    }
    out.push(']');
}

fn optional(out: &mut String, item: Option<&str>) {
    match item {
        Some(item) => text(out, item),
        None => out.push_str("null"),
    }
}

/// A JSON string; names need no escapes, descriptions and addresses may.
fn text(out: &mut String, item: &str) {
    let plain = item.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push('"');
        out.push_str(item);
        out.push('"');
    } else {
        let _ = write!(out, "{}", serde_json::Value::from(item));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use crate::schema::{Registry, Role, Version};

    use super::*;

    #[test]
    fn a_schema_is_written_as_the_wire_has_it() {
        let registry = Registry::load(None).unwrap();
        let view = registry.view(Version::V2Beta, Role::Project);
        let json = schema_json(view, &view.types["serviceLink"], "http://h/v2-beta/projects/1a5");
        assert_eq!(
            json,
            concat!(
                r#"{"id":"serviceLink","type":"schema","links":{"self":"http://h/v2-beta/projects/1a5/schemas/servicelink"},"#,
                r#""actions":{},"pluralName":"serviceLinks","resourceFields":{"#,
                r#""name":{"type":"string","description":null,"create":true,"update":false,"nullable":true,"readOnCreateOnly":false,"validChars":"a-zA-Z0-9-._"},"#,
                r#""service":{"type":"string","description":null,"create":true,"update":false,"readOnCreateOnly":false},"#,
                r#""serviceId":{"type":"reference[service]","description":null,"create":true,"update":false,"readOnCreateOnly":false},"#,
                r#""uuid":{"type":"string","description":null,"create":false,"update":false,"readOnCreateOnly":false}"#,
                r#"},"collectionFilters":{},"includeableLinks":[],"resourceActions":{},"collectionActions":{},"collectionFields":{},"#,
                r#""collectionMethods":["POST"],"resourceMethods":["GET"],"baseType":"schema"}"#
            )
        );
    }

    #[test]
    fn every_schema_is_json_and_has_its_collection_where_it_can_be_listed() {
        let registry = Registry::load(None).unwrap();
        for view in registry.views() {
            for ty in view.types.values() {
                let json: serde_json::Value = serde_json::from_str(&schema_json(view, ty, "http://h/v1")).unwrap();
                assert_eq!(json["id"], ty.id);
                assert_eq!(json["links"].get("collection").is_some(), ty.is_listable, "{}", ty.id);
            }
        }
    }
}
