//! Every field that somebody may write does something, or its use is refused by name: `writable.tsv` says of each which test
//! shows what follows, and what is refused is tried here.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::schema::{Registry, Role, TypeView, Version};
use serde_json::{Value, json};

use crate::balancers::certificate;
use crate::source::{files, none, root};
use crate::support::{World, text};
use crate::types::{body_of, can, full_world, path, schemas, value_of};

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Something follows from it: the test that shows it.
    Effect(String),
    /// It is stored and shown, as the original does: the test that shows it.
    Kept(String),
    /// The server itself writes it, and what is sent is forgotten, as by the original: the test that shows it.
    Forgotten(String),
    /// 501: the request that tries it.
    Refused { method: Method, path: String, body: Value },
    /// A part of another field that is refused.
    RefusedWith(String),
    /// Nobody can make what has it, nor ask for what takes it.
    Unmade,
}

fn fate_of(how: &str, what: &str) -> Fate {
    let what = what.to_owned();
    match how {
        "effect" => Fate::Effect(what),
        "kept" => Fate::Kept(what),
        "forgotten" => Fate::Forgotten(what),
        "501 with" => Fate::RefusedWith(what),
        "unmade" => Fate::Unmade,
        "501" => {
            let mut parts = what.splitn(3, ' ');
            let mut next = || parts.next().unwrap_or_default().to_owned();
            let (method, path, body) = (next(), next(), next());
            Fate::Refused {
                method: method.parse().expect("a method"),
                path,
                body: serde_json::from_str(&body).unwrap_or_else(|e| panic!("{body}: {e}")),
            }
        }
        other => panic!("{other} is no fate"),
    }
}

/// The table: `type.field`, or `type.*` for all of a type.
fn table() -> BTreeMap<String, Fate> {
    let text = std::fs::read_to_string(root().join("tests/http/writable.tsv")).expect("the table");
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let mut next = || cells.next().unwrap_or_default();
        let (field, how, what) = (next(), next(), next());
        let twice = found.insert(field.to_owned(), fate_of(how, what));
        assert_eq!(twice, None, "{field} stands there twice");
    }
    found
}

/// What `role` may write of a type: in a POST, in a PUT, or inside what it sends.
fn written(ty: &TypeView) -> impl Iterator<Item = &String> {
    let has = |methods: &[String], wanted: &str| methods.iter().any(|method| method == wanted);
    let (post, put) = (
        ty.is_embedded || has(&ty.collection_methods, "POST"),
        ty.is_embedded || has(&ty.resource_methods, "PUT"),
    );
    ty.input_fields()
        .iter()
        .filter(move |(_, field)| field.create && post || field.update && put)
        .map(|(name, _)| name)
}

/// All that somebody may write, besides who may write everything: by canonical type. A field that a type has from one above
/// it is that one's.
fn all_written(registry: &Registry) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for version in Version::ALL {
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Superadmin) {
            for ty in registry.view(version, role).types.values() {
                all.entry(ty.def.id.clone()).or_default().extend(written(ty).cloned());
            }
        }
    }
    let mut own = all.clone();
    for (id, fields) in &mut own {
        let mut above = registry.types[id].parent.as_ref();
        while let Some(parent) = above {
            fields.retain(|field| !all.get(parent).is_some_and(|of_parent| of_parent.contains(field)));
            above = registry.types[parent].parent.as_ref();
        }
    }
    own.retain(|_, fields| !fields.is_empty());
    own
}

/// Whether `name` is a test, in a file that names the field.
fn shows(sources: &[crate::source::Source], name: &str, field: &str) -> bool {
    let function = format!("fn {name}(");
    sources
        .iter()
        .any(|source| source.text.contains(&function) && source.text.contains(field))
}

#[test]
fn every_field_that_may_be_written_has_its_place_in_the_table() {
    let registry = Registry::load(None).expect("the schemas fit");
    let table = table();
    let sources = files(&["src", "tests"], &[".rs"], "");
    let mut used = BTreeSet::new();
    let mut problems = Vec::new();
    for (id, fields) in all_written(&registry) {
        for field in fields {
            let keys = [format!("{id}.{field}"), format!("{id}.*")];
            let Some(key) = keys.into_iter().find(|key| table.contains_key(key)) else {
                problems.push(format!("{id}.{field} is not in the table"));
                continue;
            };
            match &table[&key] {
                // Of all that the server itself says one test speaks for all.
                Fate::Forgotten(test) if shows(&sources, test, "") => {}
                Fate::Effect(test) | Fate::Kept(test) | Fate::Forgotten(test) => {
                    let is_generic = test == "what_is_only_kept_comes_back";
                    if !is_generic && !shows(&sources, test, &field) {
                        problems.push(format!("{id}.{field}: no test {test} in a file that names it"));
                    }
                }
                Fate::RefusedWith(other) => {
                    if !matches!(table.get(other), Some(Fate::Refused { .. })) {
                        problems.push(format!("{id}.{field}: {other} is not refused"));
                    }
                }
                Fate::Refused { .. } | Fate::Unmade => {}
            }
            used.insert(key);
        }
    }
    for key in table.keys().filter(|key| !used.contains(*key)) {
        problems.push(format!("{key} is in the table, and nobody may write it"));
    }
    none(problems);
}

/// Puts ids in the place of names in braces.
fn filled(text: &str, ids: &BTreeMap<&str, String>) -> String {
    ids.iter().fold(text.to_owned(), |text, (name, id)| {
        text.replace(&format!("{{{name}}}"), id)
    })
}

#[actix_web::test]
async fn what_is_not_built_is_refused_by_its_field() {
    let w = full_world().await;
    let first = async |list: &str| text(&w.list(list).await[0], "id").to_owned();
    let ids: BTreeMap<&str, String> = [
        ("stack", first("stacks").await),
        ("service", first("services").await),
        ("container", first("containers").await),
        ("host", first("hosts").await),
        ("network", first("networks").await),
    ]
    .into();
    for (key, fate) in table() {
        let Fate::Refused { method, path, body } = fate else {
            continue;
        };
        let body = serde_json::from_str(&filled(&body.to_string(), &ids)).expect("still JSON");
        let path = filled(&path, &ids);
        let answer = w.send(method, &path, Some(body)).await;
        let said = answer.refused(501, "NotImplemented");
        let field = key.split_once('.').map_or("", |(_, field)| field);
        assert_eq!(said["fieldName"], field, "{key}: {said}");
    }
}

#[actix_web::test]
async fn what_nobody_can_make_is_not_made() {
    let registry = Registry::load(None).expect("the schemas fit");
    let w = full_world().await;
    let table = table();
    let mut problems = Vec::new();
    let unmade = table.iter().filter(|(_, fate)| **fate == Fate::Unmade);
    for id in unmade.filter_map(|(key, _)| key.strip_suffix(".*")) {
        for version in Version::ALL {
            let view = registry.view(version, Role::Admin);
            let Some(ty) = view.find_by_kind(id).filter(|ty| ty.def.id == id) else {
                continue;
            };
            let url = format!("/{}/{}", version.as_str(), ty.plural);
            let answer = w.post(&url, json!({"name": "a"})).await;
            if !matches!(answer.status, 404 | 405 | 422 | 501) {
                problems.push(format!("POST {url} is answered {}", answer.status));
            }
            // 422 is what a required field costs, of what is refused all the same.
            if answer.status == 422 && ty.def.can_create {
                problems.push(format!("{url} may be made"));
            }
            let takes = view.types.values().filter(|ty| ty.def.can_create).flat_map(|ty| {
                let here = ty
                    .actions
                    .iter()
                    .filter(move |(_, action)| action.input.as_deref() == Some(id));
                here.filter(move |(name, _)| !ty.def.unavailable_actions.contains(name))
                    .map(move |(name, _)| format!("{}?action={name}", ty.id))
            });
            for action in takes {
                problems.push(format!("{id} is taken by {action}"));
            }
        }
    }
    none(problems);
}

/// What a body needs beside what the schema says.
fn fit(id: &str) -> Value {
    match id {
        "agent" => json!({"uri": format!("test://{}", uuid::Uuid::new_v4())}),
        "certificate" => certificate("kept.example"),
        "secret" => json!({"value": STANDARD.encode("kept")}),
        "userPreference" => json!({"value": "kept"}),
        "volume" => json!({"driver": "local"}),
        _ => json!({}),
    }
}

/// A row of a type, there or made with the least body; else what was answered.
async fn row_of(
    w: &World,
    all: &BTreeMap<String, Value>,
    id: &str,
    is_new: bool,
    more: Value,
) -> Result<Value, String> {
    let schema = &all[id];
    let url = path(&schema["links"]["collection"]);
    if !is_new && can(schema, "collectionMethods", "GET") {
        let found = w.list(&url).await;
        // The last one is nobody's beginning.
        if let Some(row) = found.into_iter().rev().find(|row| row["type"] == id) {
            return Ok(row);
        }
    }
    let mut body = body_of(w, "/v2-beta", all, schema, false, 3).await;
    crate::support::lay_over(&mut body, fit(id));
    crate::support::lay_over(&mut body, more);
    if body["name"].is_null() {
        body["name"] = json!(format!("kept-{}", id.to_lowercase()));
    }
    let answer = w.post(&url, body.clone()).await;
    w.settle().await;
    match answer.status {
        201 => Ok(answer.body),
        status => Err(format!("POST {url} {body}: {status} {}", answer.body)),
    }
}

#[actix_web::test]
async fn what_is_only_kept_comes_back() {
    let w = full_world().await;
    let mut bases = Vec::new();
    for base in ["/v2-beta", "/v2-beta/projects/1a5", "/v1", "/v1/projects/1a5"] {
        bases.push((base, schemas(&w, base).await));
    }
    let mut problems = Vec::new();
    for (key, fate) in table() {
        if fate != Fate::Kept("what_is_only_kept_comes_back".to_owned()) {
            continue;
        }
        let (id, field) = key.split_once('.').expect("a type and a field");
        let mut is_shown = false;
        let mut why = Vec::new();
        for (base, all) in &bases {
            let id = if base.starts_with("/v1") && id == "stack" {
                "environment"
            } else {
                id
            };
            let Some(schema) = all.get(id).filter(|s| s["resourceFields"][field].is_object()) else {
                continue;
            };
            let about = &schema["resourceFields"][field];
            let value = match text(about, "type") {
                _ if field == "name" => json!(format!("kept-{}", w.clock_ms())),
                ty => value_of(&w, base, all, ty, about, 3).await,
            };
            let (puts, posts) = (
                about["update"] == true && can(schema, "resourceMethods", "PUT"),
                about["create"] == true && can(schema, "collectionMethods", "POST"),
            );
            let own = if puts {
                let row = match row_of(&w, all, id, false, json!({})).await {
                    Ok(row) => row,
                    Err(answer) => {
                        why.push(answer);
                        continue;
                    }
                };
                let own = path(&row["links"]["self"]);
                let answer = w.put(&own, json!({ field: value })).await;
                if answer.status >= 300 {
                    problems.push(format!("PUT {own} {field} {value}: {} {}", answer.status, answer.body));
                    continue;
                }
                own
            } else if posts {
                match row_of(&w, all, id, true, json!({ field: value })).await {
                    Ok(row) => path(&row["links"]["self"]),
                    Err(answer) => {
                        why.push(answer);
                        continue;
                    }
                }
            } else {
                continue;
            };
            w.settle().await;
            let row = w.show(&own).await;
            if row[field] != value {
                problems.push(format!("{own} {field}: {value} came back as {}", row[field]));
            }
            is_shown = true;
            break;
        }
        if !is_shown {
            problems.push(format!("{key} could not be tried: {why:#?}"));
        }
    }
    none(problems);
}
