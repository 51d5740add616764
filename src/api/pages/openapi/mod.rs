//! `/v2-beta/openapi.json`: the caller's view as an OpenAPI 3.1 document, for programs that make clients and tests.
//!
//! It is made from the same view that validates and writes, and says only what this caller may do and this build has:
//! what answers 501 is left out. Actions are told apart by a parameter of the query, which a path of OpenAPI cannot
//! say; so each type has one operation for all of its actions, with the parameter `action` required, and `x-actions`
//! says which body and which answer belong to which. Sockets (`subscribe`) are beyond OpenAPI.

mod bodies;

use serde_json::{Map, Value, json};

use crate::api::resources::index::SchemaCache;
use crate::api::resources::resource::shown_type;
use crate::api::wire::call::{Call, Reply};
use crate::api::wire::query::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::engine::LOCAL;
use crate::schema::{FieldType, Link, Registry, Relation, TypeView, Version, View};
use bodies::{Bodies, reference};

/// `/v2-beta/openapi.json`.
pub fn answer(call: &Call<'_>, cache: &SchemaCache) -> Reply {
    cache.reply(call, || Document::of(call).text())
}

/// What is told of a view, and what its links begin with.
struct Document<'a> {
    registry: &'a Registry,
    view: &'a View,
    root: &'a str,
    actions_key: &'static str,
}

impl<'a> Document<'a> {
    /// Of the view of a request.
    fn of(call: &'a Call<'_>) -> Self {
        Self {
            registry: call.engine.registry(),
            view: call.view,
            root: &call.base.root,
            actions_key: call.actions_key,
        }
    }

    /// The document as text.
    fn text(&self) -> String {
        let mut bodies = Bodies::new(self.registry, self.view, self.actions_key);
        let mut paths = Map::new();
        let mut tags = Vec::new();
        paths.insert("/".to_owned(), json!({"get": index()}));
        for ty in self.view.types.values().filter(|ty| ty.def.id != "subscribe") {
            let before = paths.len();
            self.paths_of(ty, &mut bodies, &mut paths);
            if paths.len() > before {
                tags.push(json!({"name": ty.id, "description": self.registry.text_of(&ty.def)}));
            }
        }
        let document = json!({
            "openapi": "3.1.0",
            "info": info(self.view.version),
            "servers": [{"url": self.root}],
            "security": [{"key": []}, {"token": []}, {"cookie": []}, {}],
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": bodies.finish(),
                "parameters": parameters(),
                "responses": {"Error": {"description": "Refused or failed.", "content": content(reference("Error"))}},
                "securitySchemes": security_schemes(),
            },
        });
        document.to_string()
    }

    fn paths_of(&self, ty: &TypeView, bodies: &mut Bodies<'_>, paths: &mut Map<String, Value>) {
        let collection = self.collection(ty, bodies);
        let resource = self.resource(ty, bodies);
        let path = format!("/{}", ty.plural.to_ascii_lowercase());
        if !collection.is_empty() {
            paths.insert(path.clone(), Value::Object(collection));
        }
        // Whatever id is given, of access control there is one answer: the collection's.
        if resource.is_empty() || ty.def.id == LOCAL {
            return;
        }
        let item = format!("{path}/{{id}}");
        paths.insert(item.clone(), with_parameters(resource, json!([parameter("id")])));
        if !has(&ty.resource_methods, "GET") {
            return;
        }
        for link in ty.links.iter().filter(|link| self.is_told(ty, link)) {
            let operation = self.follow(ty, link, bodies);
            let followed = Map::from_iter([("get".to_owned(), operation)]);
            paths.insert(
                format!("{item}/{}", link.name.to_ascii_lowercase()),
                with_parameters(followed, json!([parameter("id")])),
            );
        }
    }

    /// A project leads to all its types: those are paths of their own in the project's document.
    fn is_told(&self, ty: &TypeView, link: &Link) -> bool {
        let is_scope = ty.def.id == "project" && self.view.find_by_path(&link.name).is_some_and(|far| far.is_listable);
        !is_scope && !matches!(link.to, Relation::Computed | Relation::Handled)
    }

    fn collection(&self, ty: &TypeView, bodies: &mut Bodies<'_>) -> Map<String, Value> {
        let mut operations = Map::new();
        if has(&ty.collection_methods, "GET") {
            let listed = json!({
                "operationId": format!("list{}", capital(&ty.plural)), "tags": [ty.id], "summary": format!("List {}", ty.plural),
                "parameters": list_parameters(ty),
                "responses": responses(&[("200", "A page of them.", bodies.collection(ty))]),
            });
            operations.insert("get".to_owned(), listed);
        }
        if has(&ty.collection_methods, "POST") && ty.def.can_create {
            let made = if ty.fields.contains_key("count") {
                // With a count, a collection of what was made.
                json!({"anyOf": [bodies.shown(ty), bodies.collection(ty)]})
            } else {
                bodies.shown(ty)
            };
            let created = json!({
                "operationId": format!("create{}", capital(&ty.id)), "tags": [ty.id], "summary": format!("Create one of the {}", ty.plural),
                "requestBody": {"required": true, "content": content(bodies.create(ty))},
                "responses": responses(&[("201", "Accepted; it may still be on its way: see `state`.", made.clone()), ("200", "Done.", made)]),
            });
            operations.insert("post".to_owned(), created);
        }
        operations
    }

    fn resource(&self, ty: &TypeView, bodies: &mut Bodies<'_>) -> Map<String, Value> {
        let mut operations = Map::new();
        let name = capital(&ty.id);
        if has(&ty.resource_methods, "GET") && !ty.is_embedded {
            let read = json!({
                "operationId": format!("get{name}"), "tags": [ty.id], "summary": format!("Read one of the {}", ty.plural),
                "parameters": include(ty).map(|i| vec![i]).unwrap_or_default(),
                "responses": responses(&[("200", "It.", bodies.shown(ty))]),
            });
            operations.insert("get".to_owned(), read);
        }
        if has(&ty.resource_methods, "PUT") && !ty.is_embedded {
            let changed = json!({
                "operationId": format!("update{name}"), "tags": [ty.id], "summary": format!("Change one of the {}", ty.plural),
                "description": "Fields that are not given stay as they are.",
                "requestBody": {"required": true, "content": content(bodies.update(ty))},
                "responses": responses(&[("200", "It, as it is now.", bodies.shown(ty))]),
            });
            operations.insert("put".to_owned(), changed);
        }
        if has(&ty.resource_methods, "DELETE") && !ty.is_embedded {
            // Quirk: a project that goes is answered as a list of one.
            let gone = if ty.def.id == "project" {
                bodies.collection(ty)
            } else {
                bodies.shown(ty)
            };
            let removed = json!({
                "operationId": format!("delete{name}"), "tags": [ty.id], "summary": format!("Remove one of the {}", ty.plural),
                "responses": responses(&[("200", "It, on its way out.", gone), ("204", "It is gone.", Value::Null)]),
            });
            operations.insert("delete".to_owned(), removed);
        }
        if let Some(act) = self.act(ty, bodies) {
            operations.insert("post".to_owned(), act);
        }
        operations
    }

    fn act(&self, ty: &TypeView, bodies: &mut Bodies<'_>) -> Option<Value> {
        let is_built = |name: &str| !ty.def.unavailable_actions.iter().any(|u| u == name);
        let actions: Vec<_> = ty.actions.iter().filter(|(name, _)| is_built(name)).collect();
        if actions.is_empty() || ty.is_embedded {
            return None;
        }
        let (mut inputs, mut outputs, mut table) =
            (vec![json!({"type": "object"})], vec![bodies.shown(ty)], Map::new());
        for (name, action) in &actions {
            let input = action.input.as_deref().and_then(|input| bodies.input(ty, input));
            let output = action
                .output
                .as_deref()
                .and_then(|output| self.view.types.get(output))
                .map(|output| bodies.shown(output));
            table.insert((*name).clone(), json!({"input": input, "output": output}));
            inputs.extend(input.filter(|i| !inputs.contains(i)));
            outputs.extend(output.filter(|o| !outputs.contains(o)));
        }
        let answer = if outputs.len() == 1 {
            outputs.swap_remove(0)
        } else {
            json!({"anyOf": outputs})
        };
        let body = if inputs.len() == 1 {
            inputs.swap_remove(0)
        } else {
            json!({"anyOf": inputs})
        };
        let names: Vec<&String> = actions.iter().map(|(name, _)| *name).collect();
        Some(json!({
            "operationId": format!("act{}", capital(&ty.id)), "tags": [ty.id], "summary": format!("Do something with one of the {}", ty.plural),
            "description": "Which actions are possible now stands in the resource's own `actions`; the others answer 422 `ActionNotAvailable`.",
            "parameters": [{"name": "action", "in": "query", "required": true, "schema": {"enum": names}}],
            "requestBody": {"required": false, "content": content(body)},
            "responses": responses(&[("200", "Done.", answer.clone()), ("202", "Begun: see `state`.", answer)]),
            "x-actions": table,
        }))
    }

    fn follow(&self, ty: &TypeView, link: &Link, bodies: &mut Bodies<'_>) -> Value {
        let (kind, is_one) = match &link.to {
            Relation::One { kind, .. } => (kind.as_str(), true),
            Relation::Many { kind, .. } | Relation::Through { kind, .. } | Relation::Listed { kind, .. } => {
                (kind.as_str(), false)
            }
            Relation::Computed | Relation::Handled => ("", false),
        };
        let answer = match shown_type(self.registry, self.view, kind) {
            Some(far) if is_one => bodies.shown(far),
            Some(far) => bodies.collection(far),
            None => json!({"type": "object"}),
        };
        json!({
            "operationId": format!("follow{}To{}", capital(&ty.id), capital(&link.name)), "tags": [ty.id],
            "summary": format!("Follow the link {} of one of the {}", link.name, ty.plural),
            "responses": responses(&[("200", "What it leads to.", answer)]),
        })
    }
}

fn info(version: Version) -> Value {
    json!({
        "title": "Drover",
        "version": format!("{} {}", version.as_str(), env!("CARGO_PKG_VERSION")),
        "description": "The resource API of Rancher 1.x, as this caller sees it. Unknown fields of a body are dropped, and unknown \
            parameters of a list filter nothing. Actions are POSTs to the resource with the parameter `action`; `x-actions` of the \
            operation tells which body and answer belong to which action. `/subscribe` is a WebSocket and not described here.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    })
}

fn index() -> Value {
    let answer = json!({"type": "object", "required": ["type", "links"], "properties": {"type": {"type": "string"}, "links": bodies::links()}});
    json!({
        "operationId": "index", "summary": "Where everything is: the index of the version, or the project of this address",
        "responses": responses(&[("200", "One link for each type that can be listed.", answer)]),
    })
}

fn security_schemes() -> Value {
    json!({
        "key": {"type": "http", "scheme": "basic", "description": "The access key and the secret key of an account or of a project."},
        "token": {"type": "http", "scheme": "bearer", "description": "The `jwt` of a token: what a login answers."},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "token", "description": "The same in a browser; writes then need the header `X-API-CSRF` with the cookie `CSRF`."},
    })
}

fn parameters() -> Value {
    json!({
        "id": {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}, "description": "An id as the API gives it, such as `1s5`; a name for settings and schemas."},
        "limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "default": DEFAULT_LIMIT, "maximum": MAX_LIMIT}, "description": "Rows per page; zero and less is as many as there may be."},
        "marker": {"name": "marker", "in": "query", "schema": {"type": "string"}, "description": "Where the page begins: taken from `pagination.next`."},
        "order": {"name": "order", "in": "query", "schema": {"enum": ["asc", "desc"], "default": "asc"}},
    })
}

fn parameter(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// Pages, order, include and the filters: one object, whose members are the parameters (`name=…`, `name_like=…`).
fn list_parameters(ty: &TypeView) -> Vec<Value> {
    let mut all: Vec<Value> = ["limit", "marker", "order"].map(parameter).into();
    let sortable: Vec<&String> = ty.filters.keys().filter(|name| ty.fields.contains_key(*name)).collect();
    if !sortable.is_empty() {
        all.push(json!({"name": "sort", "in": "query", "schema": {"enum": sortable}}));
    }
    all.extend(include(ty));
    let mut filters = Map::new();
    for (name, by) in &ty.filters {
        for modifier in by.modifiers() {
            let name = if *modifier == "eq" {
                name.clone()
            } else {
                format!("{name}_{modifier}")
            };
            filters.insert(name, filter_value(by, modifier));
        }
    }
    if !filters.is_empty() {
        all.push(
            json!({"name": "filter", "in": "query", "style": "form", "explode": true, "schema": {"type": "object", "properties": filters}}),
        );
    }
    all
}

fn filter_value(by: &FieldType, modifier: &str) -> Value {
    match (modifier, by) {
        ("null" | "notnull", _) => json!({"const": "1"}),
        (_, FieldType::Int) => json!({"type": "integer"}),
        (_, FieldType::Boolean) => json!({"type": "boolean"}),
        _ => json!({"type": "string"}),
    }
}

fn include(ty: &TypeView) -> Option<Value> {
    let links = &ty.includeable_links;
    (!links.is_empty()).then(
        || json!({"name": "include", "in": "query", "schema": {"enum": links}, "description": "What comes along, in place of a link."}),
    )
}

fn responses(good: &[(&str, &str, Value)]) -> Value {
    let mut all = Map::new();
    for (status, description, body) in good {
        let response = match body {
            Value::Null => json!({"description": description}),
            body => json!({"description": description, "content": content(body.clone())}),
        };
        all.insert((*status).to_owned(), response);
    }
    all.insert("default".to_owned(), json!({"$ref": "#/components/responses/Error"}));
    Value::Object(all)
}

fn content(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn with_parameters(mut operations: Map<String, Value>, parameters: Value) -> Value {
    operations.insert("parameters".to_owned(), parameters);
    Value::Object(operations)
}

fn has(methods: &[String], method: &str) -> bool {
    methods.iter().any(|m| m == method)
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}
