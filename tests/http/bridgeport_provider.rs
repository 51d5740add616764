//! The sequences that BRIDGEPORT's Terraform provider sends: each resource is made, read, changed, read again and removed.

use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, first, refused};
use crate::support::{World, text};

/// A list of an environment under its own name, with the number of all.
async fn list(c: &Client<'_>, kind: &str, many: &str) -> Vec<Value> {
    let path = format!("/environments/{MANAGEMENT}/{kind}");
    let answer = c.get(&path).await.expect(200, json!({}));
    let rows = answer[many]
        .as_array()
        .cloned()
        .unwrap_or_else(|| panic!("{path}: {answer}"));
    assert_eq!(answer["total"], rows.len(), "{path}");
    rows
}

#[actix_web::test]
async fn who_asks_is_told_what_there_is_for_them() {
    let w = World::new().await;
    let c = first(&w).await;
    let me = c.get("/auth/me").await.expect(
        200,
        json!({"user": {"role": "admin", "email": "first@example.com"}, "role": "admin"}),
    );
    assert!(
        me["scopes"]
            .as_array()
            .is_some_and(|all| all.contains(&json!("secrets:write")))
    );
    let environments = c.get("/environments").await.expect(200, json!({}));
    assert_eq!(environments["environments"], me["environments"]);
    let management = &environments["environments"][0];
    assert_eq!(
        (management["name"].as_str(), text(management, "id")),
        (Some("management"), MANAGEMENT)
    );
    c.get(&format!("/environments/{MANAGEMENT}"))
        .await
        .expect(200, json!({"environment": {"name": "management"}}));
    refused(c.get("/environments/1a999").await, 404, "NOT_FOUND");
    let servers = list(&c, "servers", "servers").await;
    assert_eq!(servers.len(), 1, "the server's own host");
    // Lists of what is not there are empty.
    for (kind, many) in [
        ("servers", "servers"),
        ("services", "services"),
        ("secrets", "secrets"),
        ("vars", "vars"),
    ] {
        let answer = c
            .get(&format!("/environments/1a999/{kind}"))
            .await
            .expect(200, json!({"total": 0}));
        assert_eq!(answer[many], json!([]));
    }
    refused(
        c.post("/environments/1a999/vars", json!({"key": "A", "value": "b"}))
            .await,
        404,
        "NOT_FOUND",
    );
}

#[actix_web::test]
async fn a_server_is_made_changed_and_removed() {
    let w = World::new().await;
    let c = first(&w).await;
    let body = json!({"name": "one", "hostname": "10.0.0.1", "tags": ["a"]});
    let path = format!("/environments/{MANAGEMENT}/servers");
    let made = c.post(&path, body.clone()).await.expect(200, json!({"server": {
        "name": "one", "hostname": "10.0.0.1", "tags": "[\"a\"]", "status": "unknown", "environmentId": MANAGEMENT, "publicIp": null,
    }}));
    let id = text(&made["server"], "id").to_owned();
    let taken = refused(c.post(&path, body).await, 409, "CONFLICT");
    assert_eq!(taken["field"], "name");
    let taken = refused(
        c.post(&path, json!({"name": "two", "hostname": "10.0.0.1"})).await,
        409,
        "CONFLICT",
    );
    assert_eq!(taken["field"], "hostname");
    assert_eq!(
        list(&c, "servers", "servers")
            .await
            .iter()
            .filter(|one| one["id"] == id.as_str())
            .count(),
        1
    );
    let one = format!("/servers/{id}");
    let change = json!({"name": "uno", "tags": ["a", "b"], "publicIp": ""});
    c.patch(&one, change).await.expect(
        200,
        json!({"server": {"name": "uno", "tags": "[\"a\",\"b\"]", "publicIp": ""}}),
    );
    c.get(&one).await.expect(
        200,
        json!({"server": {"name": "uno", "hostname": "10.0.0.1", "publicIp": ""}}),
    );
    let read_only = refused(c.patch(&one, json!({"status": "healthy"})).await, 422, "READONLY_FIELD");
    assert_eq!(read_only["field"], "status");
    c.delete(&one).await.expect(200, json!({"success": true}));
    refused(c.get(&one).await, 404, "NOT_FOUND");
    refused(c.delete(&one).await, 404, "NOT_FOUND");
}

#[actix_web::test]
async fn a_host_of_the_hostname_that_is_expected_becomes_the_server() {
    let mut w = World::new().await;
    let (id, native) = {
        let c = first(&w).await;
        let own = c.server().await;
        assert!(own.starts_with("1h"), "a host is a server by itself: {own}");
        let named = c
            .patch(&format!("/servers/{own}"), json!({"tags": ["x"], "name": "main"}))
            .await;
        named.expect(
            200,
            json!({"server": {"tags": "[\"x\"]", "name": "main", "status": "healthy"}}),
        );
        refused(
            c.patch(&format!("/servers/{own}"), json!({"hostname": "other"})).await,
            409,
            "CONFLICT",
        );
        refused(c.delete(&format!("/servers/{own}")).await, 409, "CONFLICT");
        let id = c
            .made(
                MANAGEMENT,
                "servers",
                "server",
                json!({"name": "second", "hostname": "sim2"}),
            )
            .await;
        (id, c.token)
    };
    let host = w.add_host("sim2").await;
    let c = Client { w: &w, token: native };
    c.get(&format!("/servers/{id}")).await.expect(
        200,
        json!({"server": {"id": id, "status": "healthy", "name": "second"}}),
    );
    c.get(&format!("/servers/{host}"))
        .await
        .expect(200, json!({"server": {"id": id}}));
    assert_eq!(list(&c, "servers", "servers").await.len(), 2, "it is there once");
}

#[actix_web::test]
async fn a_container_image_is_made_changed_and_removed() {
    let w = World::new().await;
    let c = first(&w).await;
    let path = format!("/environments/{MANAGEMENT}/container-images");
    let body = json!({"name": "web", "imageName": "ghcr.io/a/web"});
    let made = c.post(&path, body.clone()).await.expect(200, json!({"image": {
        "name": "web", "imageName": "ghcr.io/a/web", "tagFilter": "latest", "autoUpdate": false, "registryConnectionId": null,
        "environmentId": MANAGEMENT,
    }}));
    let id = text(&made["image"], "id").to_owned();
    refused(c.post(&path, body).await, 409, "CONFLICT");
    let one = format!("/container-images/{id}");
    let change = json!({"name": "web2", "tagFilter": "v*", "imageName": "dropped"});
    c.patch(&one, change).await.expect(
        200,
        json!({"image": {"name": "web2", "tagFilter": "v*", "imageName": "ghcr.io/a/web"}}),
    );
    c.get(&one)
        .await
        .expect(200, json!({"image": {"id": id, "tagFilter": "v*"}}));
    assert_eq!(list(&c, "container-images", "images").await.len(), 1);
    refused(c.patch(&one, json!({"currentTag": "x"})).await, 422, "READONLY_FIELD");
    refused(
        c.patch(&one, json!({"autoUpdate": true})).await,
        501,
        "SERVICE_UNAVAILABLE",
    );
    let unknown = refused(
        c.patch(&one, json!({"registryConnectionId": "1sp999"})).await,
        400,
        "VALIDATION_ERROR",
    );
    assert_eq!(unknown["field"], "registryConnectionId");
    let service = c.service("web", "ghcr.io/a/web", json!({})).await;
    refused(c.delete(&one).await, 400, "VALIDATION_ERROR");
    c.delete(&format!("/services/{service}")).await.ok();
    c.delete(&one).await.expect(200, json!({"success": true}));
    refused(c.get(&one).await, 404, "NOT_FOUND");
}

#[actix_web::test]
async fn a_registry_is_made_changed_and_removed_and_its_password_is_never_told() {
    let w = World::new().await;
    let c = first(&w).await;
    let path = format!("/environments/{MANAGEMENT}/registries");
    let body = json!({"name": "hub", "type": "generic", "registryUrl": "https://registry.example:5000", "username": "u", "password": "secret-word"});
    let made = c.post(&path, body.clone()).await.expect(200, json!({"registry": {
        "name": "hub", "type": "generic", "registryUrl": "https://registry.example:5000", "username": "u", "hasPassword": true,
        "hasToken": false, "isDefault": false, "refreshIntervalMinutes": 30, "autoLinkPattern": null, "repositoryPrefix": null,
        "environmentId": MANAGEMENT, "_count": {"containerImages": 0},
    }}));
    assert!(!made.to_string().contains("secret-word"));
    let id = text(&made["registry"], "id").to_owned();
    assert_eq!(
        refused(c.post(&path, body).await, 409, "CONFLICT")["field"],
        "registryUrl"
    );
    // It is the project's own, at Rancher's interface, too.
    w.get(&format!("registries/{id}"))
        .await
        .expect(200, json!({"serverAddress": "registry.example:5000", "name": "hub"}));
    let native = w.list("registrycredentials").await;
    assert_eq!(
        (native.len(), &native[0]["publicValue"], &native[0]["registryId"]),
        (1, &json!("u"), &json!(id))
    );
    let one = format!("/registries/{id}");
    c.patch(&one, json!({"name": "hub2", "username": "v"})).await.expect(
        200,
        json!({"registry": {"name": "hub2", "username": "v", "hasPassword": true}}),
    );
    refused(
        c.patch(&one, json!({"isDefault": true})).await,
        501,
        "SERVICE_UNAVAILABLE",
    );
    let image = json!({"name": "web", "imageName": "registry.example:5000/web", "registryConnectionId": id});
    let image = c.made(MANAGEMENT, "container-images", "image", image).await;
    let all = list(&c, "registries", "registries").await;
    assert_eq!((all.len(), &all[0]["_count"]["containerImages"]), (1, &json!(1)));
    refused(c.delete(&one).await, 409, "CONFLICT");
    c.delete(&format!("/container-images/{image}")).await.ok();
    c.delete(&one).await.expect(200, json!({"success": true}));
    assert!(w.list("registrycredentials").await.is_empty() && w.list("registries").await.is_empty());
    assert!(
        !w.stored().iter().any(|line| line.contains("secret-word")),
        "not even in the database"
    );
}

#[actix_web::test]
async fn a_secret_is_made_changed_and_removed_and_its_value_is_never_told() {
    let w = World::new().await;
    let c = first(&w).await;
    let path = format!("/environments/{MANAGEMENT}/secrets");
    let body = json!({"key": "DB_PASSWORD", "value": "hidden-word", "description": "", "neverReveal": true});
    let made = c.post(&path, body.clone()).await.expect(
        200,
        json!({"secret": {
            "key": "DB_PASSWORD", "description": "", "neverReveal": true,
        }}),
    );
    assert!(!made.to_string().contains("hidden-word") && made["secret"].get("value").is_none());
    let id = text(&made["secret"], "id").to_owned();
    assert_eq!(refused(c.post(&path, body).await, 409, "CONFLICT")["field"], "key");
    let all = list(&c, "secrets", "secrets").await;
    assert_eq!(
        (
            &all[0]["usageCount"],
            &all[0]["usedByServices"],
            &all[0]["usedByConfigFiles"]
        ),
        (&json!(0), &json!([]), &json!([]))
    );
    let one = format!("/secrets/{id}");
    w.settle().await;
    c.patch(&one, json!({"value": "other-word", "description": "new"}))
        .await
        .expect(200, json!({"secret": {"description": "new", "neverReveal": true}}));
    w.get(&format!("secrets/{id}"))
        .await
        .expect(200, json!({"name": "DB_PASSWORD", "description": "new"}));
    let stack = w.stack("s").await;
    let using = json!({"launchConfig": {"imageUuid": "sim:web", "secrets": [{"secretId": id, "name": "db"}]}});
    let service = w.service(&stack, "user", using).await;
    assert_eq!(list(&c, "secrets", "secrets").await[0]["usageCount"], 1);
    refused(c.delete(&one).await, 409, "CONFLICT");
    w.delete(&service).await.ok();
    w.settle().await;
    c.delete(&one).await.expect(200, json!({"success": true}));
    refused(c.get(&one).await, 404, "NOT_FOUND");
    assert!(
        !w.stored()
            .iter()
            .any(|line| line.contains("hidden-word") || line.contains("other-word"))
    );
}

#[actix_web::test]
async fn variables_fragments_and_files_are_made_changed_and_removed() {
    let w = World::new().await;
    let c = first(&w).await;
    let var = c
        .made(
            MANAGEMENT,
            "vars",
            "var",
            json!({"key": "A", "value": "1", "description": ""}),
        )
        .await;
    refused(
        c.post(
            &format!("/environments/{MANAGEMENT}/vars"),
            json!({"key": "A", "value": "2"}),
        )
        .await,
        409,
        "CONFLICT",
    );
    c.patch(&format!("/vars/{var}"), json!({"value": "2"})).await.expect(
        200,
        json!({"var": {"id": var, "key": "A", "value": "2", "description": ""}}),
    );
    assert_eq!(list(&c, "vars", "vars").await.len(), 1);
    let fragment = c
        .made(
            MANAGEMENT,
            "config-fragments",
            "fragment",
            json!({"name": "head", "content": "# head"}),
        )
        .await;
    c.get(&format!("/config-fragments/{fragment}"))
        .await
        .expect(200, json!({"fragment": {"content": "# head", "description": null}}));
    let all = c.get(&format!("/environments/{MANAGEMENT}/config-fragments")).await;
    all.expect(200, json!({"total": 1, "limit": 25, "offset": 0}));
    let body =
        json!({"name": "conf", "filename": "a.conf", "content": "a=b", "language": "ini", "fragmentIds": [fragment]});
    let file = c.made(MANAGEMENT, "config-files", "configFile", body).await;
    c.get(&format!("/config-files/{file}")).await.expect(200, json!({"configFile": {
        "id": file, "name": "conf", "filename": "a.conf", "content": "a=b", "description": null, "isBinary": false, "mimeType": null,
        "fileSize": 3, "autoResync": true, "language": "ini", "fragmentIds": [fragment],
    }}));
    let unknown = json!({"fragmentIds": ["1bpg999"]});
    assert_eq!(
        refused(
            c.patch(&format!("/config-files/{file}"), unknown).await,
            400,
            "VALIDATION_ERROR"
        )["field"],
        "fragmentIds"
    );
    c.patch(&format!("/config-files/{file}"), json!({"content": "a=bc"}))
        .await
        .expect(200, json!({"configFile": {"fileSize": 4}}));
    refused(
        c.delete(&format!("/config-fragments/{fragment}")).await,
        400,
        "VALIDATION_ERROR",
    );
    for path in [
        format!("/config-files/{file}"),
        format!("/config-fragments/{fragment}"),
        format!("/vars/{var}"),
    ] {
        c.delete(&path).await.expect(200, json!({"success": true}));
        refused(c.get(&path).await, 404, "NOT_FOUND");
    }
}

#[actix_web::test]
async fn sixteen_types_of_services_are_there_from_the_start_and_more_can_be_made() {
    let w = World::new().await;
    let c = first(&w).await;
    let all = c.get("/settings/service-types").await.expect(200, json!({"total": 16}));
    let built_in = text(&all["serviceTypes"][0], "id").to_owned();
    refused(
        c.delete(&format!("/settings/service-types/{built_in}")).await,
        409,
        "CONFLICT",
    );
    c.get(&format!("/settings/service-types/{built_in}"))
        .await
        .expect(200, json!({"serviceType": {"isBuiltIn": true}}));
    refused(
        c.post(
            "/settings/service-types",
            json!({"name": "Not Plain", "displayName": "x"}),
        )
        .await,
        400,
        "VALIDATION_ERROR",
    );
    refused(
        c.post("/settings/service-types", json!({"name": "redis", "displayName": "x"}))
            .await,
        409,
        "CONFLICT",
    );
    let made = c
        .post("/settings/service-types", json!({"name": "own", "displayName": "Own"}))
        .await;
    let own = text(
        &made.expect(200, json!({"serviceType": {"name": "own"}}))["serviceType"],
        "id",
    )
    .to_owned();
    let service = c.service("web", "a/web", json!({})).await;
    c.patch(&format!("/services/{service}"), json!({"serviceTypeId": own}))
        .await
        .expect(200, json!({"service": {"serviceTypeId": own}}));
    let counts = c.get(&format!("/environments/{MANAGEMENT}/services/type-counts")).await;
    counts.expect(200, json!({"types": [{"id": own, "displayName": "Own", "count": 1}]}));
    refused(
        c.delete(&format!("/settings/service-types/{own}")).await,
        400,
        "VALIDATION_ERROR",
    );
    c.patch(&format!("/services/{service}"), json!({"serviceTypeId": null}))
        .await
        .ok();
    c.delete(&format!("/settings/service-types/{own}"))
        .await
        .expect(200, json!({"success": true}));
}
