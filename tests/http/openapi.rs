//! The OpenAPI document says what the caller's schemas say, no more, and hangs together.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{PROJECT, World, has, text};

/// Calls `each` with every object of a document.
fn walk(value: &Value, each: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            each(object);
            object.values().for_each(|inner| walk(inner, each));
        }
        Value::Array(list) => list.iter().for_each(|inner| walk(inner, each)),
        _ => {}
    }
}

#[actix_web::test]
async fn the_openapi_document_hangs_together() {
    let world = World::new().await;
    for base in [
        "/v2-beta".to_owned(),
        "/v1".to_owned(),
        format!("/v2-beta/projects/{PROJECT}"),
        format!("/v1/projects/{PROJECT}"),
    ] {
        let document = world
            .get(&format!("{base}/openapi.json"))
            .await
            .expect(200, json!({"openapi": "3.1.0"}));
        assert_eq!(document["servers"][0]["url"], format!("http://localhost{base}"));
        let mut names = BTreeSet::new();
        walk(&document, &mut |object| {
            if let Some(target) = object.get("$ref").and_then(Value::as_str) {
                let found = document.pointer(target.strip_prefix('#').expect("references stay in the document"));
                assert!(found.is_some_and(Value::is_object), "{target} leads nowhere");
            }
            if let Some(name) = object.get("operationId").and_then(Value::as_str) {
                assert!(names.insert(name.to_owned()), "{name} is there twice");
            }
        });
        assert!(names.len() > 300, "{}", names.len());
    }
    world
        .post("/v2-beta/openapi.json", json!({}))
        .await
        .refused(405, "Method not allowed");
}

#[actix_web::test]
async fn every_method_of_the_schemas_has_its_operation() {
    let world = World::new().await;
    for version in ["v2-beta", "v1"] {
        let document = world.show(&format!("/{version}/openapi.json")).await;
        let paths = document["paths"].as_object().expect("there are paths");
        for schema in world.list(&format!("/{version}/schemas")).await {
            if schema["id"] == "subscribe" {
                continue;
            }
            let plural = text(&schema, "pluralName").to_lowercase();
            let operations = |path: String| paths.get(&path).and_then(Value::as_object).cloned().unwrap_or_default();
            let methods = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
            let on_collection = operations(format!("/{plural}"));
            for method in ["GET", "POST"] {
                let is_there = on_collection.contains_key(&method.to_lowercase());
                let is_allowed = methods("collectionMethods").contains(&json!(method));
                // What cannot be made here is left out.
                assert!(!is_there || is_allowed, "{method} {plural}");
                assert!(is_there || !is_allowed || method == "POST", "{method} {plural}");
            }
            let on_resource = operations(format!("/{plural}/{{id}}"));
            for method in ["PUT", "DELETE"] {
                let is_allowed = methods("resourceMethods").contains(&json!(method));
                assert!(
                    !on_resource.contains_key(&method.to_lowercase()) || is_allowed,
                    "{method} {plural}/<id>"
                );
            }
            for action in on_resource
                .get("post")
                .and_then(|post| post["x-actions"].as_object())
                .into_iter()
                .flatten()
            {
                assert!(
                    schema["resourceActions"].get(action.0).is_some(),
                    "{plural} {}",
                    action.0
                );
            }
        }
    }
}

#[actix_web::test]
async fn the_openapi_document_tells_limits_and_nullability() {
    let world = World::new().await;
    let document = world.show(&format!("/v2-beta/projects/{PROJECT}/openapi.json")).await;
    let schemas = &document["components"]["schemas"];
    has(
        schemas,
        &json!({
            "StackCreate": {"required": ["name"], "properties": {"name": {"type": "string", "maxLength": 63, "pattern": "^[a-zA-Z0-9-]*$"}}},
            "Service": {"required": ["id", "type", "links", "actions"], "properties": {"state": {"type": ["string", "null"]}, "createdTS": {"type": "integer"}}},
            "ServiceCollection": {"allOf": [{"$ref": "#/components/schemas/Collection"}, {}]},
        }),
        "the schemas",
    );
    let create = &schemas["ServiceCreate"]["properties"];
    assert_eq!(
        create["launchConfig"]["anyOf"][0]["$ref"], "#/components/schemas/LaunchConfigCreate",
        "{}",
        create["launchConfig"]
    );
    assert!(
        create.get("state").is_none() && create.get("accountId").is_none(),
        "only what may be written"
    );
    let act = &document["paths"]["/services/{id}"]["post"];
    assert_eq!(
        act["x-actions"]["upgrade"]["input"]["$ref"],
        "#/components/schemas/ServiceUpgradeCreate"
    );
    assert_eq!(act["parameters"][0]["required"], true);
}

#[actix_web::test]
async fn people_are_told_what_types_and_fields_are_for() {
    let world = World::new().await;
    for path in ["/v2-beta/typedocumentations", "/v1/typedocumentations"] {
        for row in world.list(path).await {
            assert!(text(&row, "description").ends_with('.'), "{row}");
            for (name, field) in row["resourceFields"].as_object().expect("there are fields") {
                assert!(text(field, "description").ends_with('.'), "{}.{name}", row["id"]);
            }
        }
    }
    let one = world.show("/v1/typedocumentations/environment").await;
    assert!(
        text(&one, "description").starts_with("Services that belong together"),
        "{one}"
    );
    // The schemas stay as they were.
    assert_eq!(
        world.show("schemas/service").await["resourceFields"]["scale"]["description"],
        Value::Null
    );
}
