//! `/v1-catalog`, `/v1-auth`, `/v1-telemetry`: Rancher runs these as services of their own, at addresses of their own. This server
//! has no templates, no other logins than its own, and reports nothing to anybody; clients that ask before they do anything else
//! find something empty, not something missing.

use actix_web::http::StatusCode;

use super::receivers::is_either;
use crate::api::resources::collection;
use crate::api::wire::call::{Call, Reply, plain_object};
use crate::api::wire::request::Verb;
use crate::api::wire::route::{AUTH, CATALOG};
use crate::http::json::{push_comma, push_escaped, push_key, push_str};
use crate::model::{Error, ErrorKind, Result};

/// A type of such a service: its name, its plural, and fields with their types.
struct Kind {
    id: &'static str,
    plural: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

/// The types that clients look up before they list them, with the fields that they read.
const CATALOG_KINDS: [Kind; 3] = [
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

const AUTH_KINDS: [Kind; 2] = [
    Kind {
        id: "config",
        plural: "configs",
        fields: &[
            ("accessMode", "string"),
            ("allowedIdentities", "array[identity]"),
            ("enabled", "boolean"),
            ("githubConfig", "json"),
            ("ldapConfig", "json"),
            ("provider", "string"),
            ("shibbolethConfig", "json"),
        ],
    },
    Kind {
        id: "identity",
        plural: "identities",
        fields: &[
            ("externalId", "string"),
            ("externalIdType", "string"),
            ("id", "string"),
            ("login", "string"),
            ("name", "string"),
        ],
    },
];

/// What the configuration of other logins says: there are none.
const NO_PROVIDER: &str = r#"{"accessMode":"unrestricted","allowedIdentities":[],"enabled":false,"githubConfig":null,"ldapConfig":null,"provider":"","shibbolethConfig":null}"#;

fn kinds_of(service: &str) -> &'static [Kind] {
    match service {
        CATALOG => &CATALOG_KINDS,
        AUTH => &AUTH_KINDS,
        _ => &[],
    }
}

/// `/v1-catalog/<type>/<id>`. Reading is all that can be done with it.
pub fn answer(call: &Call<'_>, service: &str, ty: Option<&str>, id: Option<&str>) -> Result<Reply> {
    let kinds = kinds_of(service);
    let kind = match ty {
        None => return reading(call).map(|()| index(call, service)),
        Some(ty) if is_either(ty, "schema", "schemas") => return reading(call).and_then(|()| schemas(call, kinds, id)),
        // All templates there are have been read.
        Some(ty) if service == CATALOG && is_refresh(call, ty) => {
            return Ok(Reply::new(StatusCode::NO_CONTENT, String::new()));
        }
        // Logging in by what is not there, reading its configuration anew.
        Some(_) if service == AUTH && call.verb == Verb::Post => {
            return Err(Error::not_implemented(
                "logins of other providers are not part of this build",
            ));
        }
        Some(ty) => kinds
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
    if kind.id == "config" {
        let fields = serde_json::from_str(NO_PROVIDER).unwrap_or_default();
        out.push_str(&plain_object(kind.id, &fields, call.actions_key));
    }
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

fn is_refresh(call: &Call<'_>, ty: &str) -> bool {
    let action = call.query.first("action");
    call.verb == Verb::Post && is_either(ty, "template", "templates") && action == Some("refresh")
}

fn reading(call: &Call<'_>) -> Result<()> {
    if call.verb == Verb::Get {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::MethodNotAllowed))
    }
}

fn index(call: &Call<'_>, service: &str) -> Reply {
    let mut out = String::from(r#"{"id":"#);
    push_str(&mut out, service);
    out.push_str(r#","type":"apiVersion","links":{"#);
    for (name, below) in [("self", ""), ("schemas", "/schemas")]
        .into_iter()
        .chain(kinds_of(service).iter().map(|kind| (kind.plural, kind.plural)))
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

fn schemas(call: &Call<'_>, kinds: &[Kind], id: Option<&str>) -> Result<Reply> {
    let mut out = String::with_capacity(4096);
    if let Some(id) = id {
        let kind = kinds
            .iter()
            .find(|kind| is_either(id, kind.id, kind.plural))
            .ok_or_else(Error::not_found)?;
        push_schema(&mut out, call, kind);
        return Ok(Reply::ok(out));
    }
    collection::open_plain(&mut out, call, "schema");
    for kind in kinds {
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
