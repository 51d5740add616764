//! The document of the interface, written from the table of routes.

use serde_json::{Map, Value, json};

use super::refusal::Code;
use super::routes::{Route, What, Who};
use super::{API_VERSION, table};

/// All routes as OpenAPI 3.0. What this build does not have is not in it.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in table::all().filter(|route| !matches!(route.what, What::Unbuilt(_))) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_ascii_lowercase(), operation(&route));
        }
    }
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "openapi": "3.0.3",
        "info": {"title": "BRIDGEPORT's interface of Drover", "version": API_VERSION},
        "servers": [{"url": super::MOUNT}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": {
                "type": "object",
                "required": ["code", "message"],
                "additionalProperties": true,
                "properties": {
                    "code": {"type": "string", "enum": codes},
                    "message": {"type": "string"},
                    "field": {"type": "string"},
                    "hint": {"type": "string"},
                    "requestId": {"type": "string"},
                },
            }},
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut out = Map::new();
    out.insert("summary".into(), json!(route.summary));
    let open = route
        .path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
    let params: Vec<Value> = open
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    out.insert("parameters".into(), Value::Array(params));
    if !route.fields.is_empty() {
        let fields = route.fields.iter();
        let properties: Map<String, Value> = fields.map(|f| (f.name.to_owned(), f.kind.to_schema())).collect();
        let required: Vec<&str> = route.fields.iter().filter(|f| f.required).map(|f| f.name).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if let Some(schema) = schema.as_object_mut().filter(|_| !required.is_empty()) {
            schema.insert("required".into(), json!(required));
        }
        let body = json!({"required": !required.is_empty(), "content": {"application/json": {"schema": schema}}});
        out.insert("requestBody".into(), body);
    }
    let refused = |words: &str| json!({"description": words, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}});
    let mut responses = json!({"default": refused("Refused")});
    if let Some(responses) = responses.as_object_mut() {
        responses.insert(route.status.to_string(), json!({"description": "Done"}));
        if route.who != Who::Anybody {
            responses.insert("401".into(), refused("Nobody proved who asks"));
            responses.insert("403".into(), refused("Not with this token, or not in this role"));
        }
        if !route.fields.is_empty() {
            responses.insert("400".into(), refused("The body is wrong"));
        }
        if !route.read_only.is_empty() {
            responses.insert("422".into(), refused("A read-only field"));
        }
    }
    out.insert("responses".into(), responses);
    let security = match route.who {
        Who::Anybody => json!([]),
        _ => json!([{"bearerAuth": []}]),
    };
    out.insert("security".into(), security);
    Value::Object(out)
}
