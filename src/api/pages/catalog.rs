//! `/v1-catalog`: Rancher's catalog of templates is a service of its own, at an address of its own. This server has no
//! templates; clients that ask before they do anything else find an empty catalog, not a missing one.

use crate::api::resources::collection;
use crate::api::wire::call::{Call, Reply};
use crate::api::wire::request::Verb;
use crate::http::json::{push_comma, push_escaped, push_key, push_str};
use crate::model::{Error, ErrorKind, Result};

/// A type of the catalog: its name, its plural, and fields with their types.
struct Kind {
    id: &'static str,
    plural: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

/// The types that clients look up before they list them, with the fields that they read.
const KINDS: [Kind; 3] = [
    Kind {
        id: "catalog",
        plural: "catalogs",
        fields: &[
            ("branch", "string"),
            ("environmentId", "string"),
            ("id", "string"),
            ("kind", "string"),
            ("lastUpdated", "string"),
            ("message", "string"),
            ("name", "string"),
            ("state", "string"),
            ("transitioning", "string"),
            ("url", "string"),
        ],
    },
    Kind {
        id: "template",
        plural: "templates",
        fields: &[
            ("catalogId", "string"),
            ("categories", "array[string]"),
            ("category", "string"),
            ("defaultTemplateVersionId", "string"),
            ("defaultVersion", "string"),
            ("description", "string"),
            ("folderName", "string"),
            ("id", "string"),
            ("isSystem", "string"),
            ("labels", "map[string]"),
            ("license", "string"),
            ("maintainer", "string"),
            ("name", "string"),
            ("path", "string"),
            ("projectURL", "string"),
            ("versionLinks", "map[string]"),
        ],
    },
    Kind {
        id: "templateVersion",
        plural: "templateVersions",
        fields: &[
            ("files", "map[string]"),
            ("id", "string"),
            ("labels", "map[string]"),
            ("minimumRancherVersion", "string"),
            ("questions", "array[json]"),
            ("readme", "string"),
            ("revision", "int"),
            ("templateId", "string"),
            ("upgradeFrom", "string"),
            ("upgradeVersionLinks", "map[string]"),
            ("version", "string"),
        ],
    },
];

/// `/v1-catalog/<type>/<id>`. Reading is all that can be done with it.
pub fn answer(call: &Call<'_>, ty: Option<&str>, id: Option<&str>) -> Result<Reply> {
    let kind = match ty {
        None => return reading(call).map(|()| index(call)),
        Some(ty) if is_either(ty, "schema", "schemas") => return reading(call).and_then(|()| schemas(call, id)),
        Some(ty) => KINDS
            .iter()
            .find(|kind| is_either(ty, kind.id, kind.plural))
            .ok_or_else(Error::not_found)?,
    };
    if id.is_some() {
        return Err(Error::not_found());
    }
    reading(call)?;
    let mut out = String::with_capacity(256);
    collection::open_plain(&mut out, call, kind.id);
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

fn is_either(text: &str, singular: &str, plural: &str) -> bool {
    text.eq_ignore_ascii_case(singular) || text.eq_ignore_ascii_case(plural)
}

fn reading(call: &Call<'_>) -> Result<()> {
    if call.verb == Verb::Get {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::MethodNotAllowed))
    }
}

fn index(call: &Call<'_>) -> Reply {
    let mut out = String::from(r#"{"id":"v1-catalog","type":"apiVersion","links":{"#);
    for (name, below) in [("self", ""), ("schemas", "/schemas")]
        .into_iter()
        .chain(KINDS.iter().map(|kind| (kind.plural, kind.plural)))
    {
        push_comma(&mut out);
        push_key(&mut out, name);
        out.push('"');
        push_escaped(&mut out, &call.base.root);
        if !below.is_empty() && !below.starts_with('/') {
            out.push('/');
        }
        out.push_str(&below.to_ascii_lowercase());
        out.push('"');
    }
    out.push_str("},");
    push_key(&mut out, call.actions_key);
    out.push_str(r#"{},"baseType":"apiVersion"}"#);
    Reply::ok(out)
}

fn schemas(call: &Call<'_>, id: Option<&str>) -> Result<Reply> {
    let mut out = String::with_capacity(4096);
    if let Some(id) = id {
        let kind = KINDS
            .iter()
            .find(|kind| is_either(id, kind.id, kind.plural))
            .ok_or_else(Error::not_found)?;
        push_schema(&mut out, call, kind);
        return Ok(Reply::ok(out));
    }
    collection::open_plain(&mut out, call, "schema");
    for kind in &KINDS {
        push_comma(&mut out);
        push_schema(&mut out, call, kind);
    }
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

fn push_schema(out: &mut String, call: &Call<'_>, kind: &Kind) {
    out.push_str(r#"{"id":"#);
    push_str(out, kind.id);
    out.push_str(r#","type":"schema","links":{"#);
    for (name, below, end) in [("self", "/schemas/", kind.id), ("collection", "/", kind.plural)] {
        push_comma(out);
        push_key(out, name);
        push_str(out, &[&call.base.root, below, &end.to_ascii_lowercase()].concat());
    }
    out.push_str("},");
    push_key(out, call.actions_key);
    out.push_str(r#"{},"pluralName":"#);
    push_str(out, kind.plural);
    out.push_str(r#","resourceFields":{"#);
    for (name, ty) in kind.fields {
        push_comma(out);
        push_key(out, name);
        out.push_str(r#"{"type":"#);
        push_str(out, ty);
        out.push_str(r#","description":null,"create":false,"update":false,"nullable":true,"readOnCreateOnly":false}"#);
    }
    out.push_str(r#"},"collectionFilters":{},"includeableLinks":[],"resourceActions":{},"collectionActions":{},"collectionFields":{},"#);
    out.push_str(r#""collectionMethods":["GET"],"resourceMethods":["GET"],"baseType":"schema"}"#);
}
