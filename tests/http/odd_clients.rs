//! What real clients send, odd as it is, and what they must get back: Rancher's command line, rancher-compose,
//! Terraform's provider, api-ui and Rancher's user interface, each as it was seen on the wire.

use actix_web::http::{Method, header};
use actix_web::{App, test};
use drover::api::configure;
use serde_json::{Value, json};

use crate::support::{PROJECT, World, has, text};

/// One request of a client, and what it looks at in the answer.
struct Case {
    method: Method,
    path: String,
    body: &'static str,
    headers: &'static [(&'static str, &'static str)],
    status: u16,
    part: Value,
}

fn get(path: &str, part: Value) -> Case {
    Case {
        method: Method::GET,
        path: path.to_owned(),
        body: "",
        headers: &[],
        status: 200,
        part,
    }
}

fn missing(path: &str) -> Case {
    Case {
        status: 404,
        ..get(path, json!({"type": "error", "status": 404}))
    }
}

fn send(method: Method, path: &str, body: &'static str, status: u16, part: Value) -> Case {
    Case {
        method,
        body,
        status,
        ..get(path, part)
    }
}

/// Sends each as it stands; `P` in front of a path is the project's.
async fn check(world: &World, cases: Vec<Case>) {
    let app = test::init_service(App::new().configure(|c| configure(c, world.api()))).await;
    for case in cases {
        let path = case.path.replacen("P/", &format!("/v2-beta/projects/{PROJECT}/"), 1);
        let mut request = test::TestRequest::default()
            .method(case.method.clone())
            .uri(&path)
            .insert_header((header::HOST, "localhost"));
        for header in case.headers {
            request = request.insert_header(*header);
        }
        let response = test::call_service(&app, request.set_payload(case.body).to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = test::read_body(response).await;
        let what = format!(
            "{} {path} {}: {}",
            case.method,
            case.body,
            String::from_utf8_lossy(&body)
        );
        assert_eq!(status, case.status, "{what}");
        assert!(headers.contains_key("x-api-schemas"), "{what}");
        assert!(
            headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|v| v.as_bytes().starts_with(b"application/json")),
            "{what}"
        );
        let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{what}"));
        has(&body, &case.part, &what);
    }
}

fn list(of: &str) -> Value {
    json!({"type": "collection", "resourceType": of})
}

#[actix_web::test]
async fn clients_find_the_schemas_however_they_ask() {
    let world = World::new().await;
    let schema = |id: &str| json!({"id": id, "type": "schema"});
    let mut cases = vec![
        get("P/schemas/schemas", schema("schema")),
        get("/v2-beta/schemas/schemas", schema("schema")),
        get("/v2-beta/schema/Schema", schema("schema")),
        get("P/schema", list("schema")),
        get("/v2-beta/schema", list("schema")),
        get("P/schemas/service", schema("service")),
        get("P/schemas/SERVICES", schema("service")),
        get("P/schemas/launchconfig", schema("launchConfig")),
        get("P/schema/storagepool", schema("storagePool")),
        missing("P/schemas/nope"),
        missing("P/schemas/schemas/schemas"),
    ];
    // What Rancher's user interface looks into before it shows a form.
    for (ty, field) in [
        ("container", "capAdd"),
        ("portRule", "protocol"),
        ("stack", "system"),
        ("launchConfig", "healthCheck"),
    ] {
        cases.push(get(
            &format!("P/schemas/{}", ty.to_lowercase()),
            json!({"id": ty, "resourceFields": {field: {}}}),
        ));
    }
    check(&world, cases).await;
    let container = world.show("schemas/container").await;
    assert!(
        container["resourceFields"]["capAdd"]["options"]
            .as_array()
            .is_some_and(|o| o.len() > 30),
        "{container}"
    );
    let rule = world.show("schemas/portrule").await;
    assert!(rule["resourceFields"]["protocol"]["options"].is_array(), "{rule}");
}

#[actix_web::test]
async fn types_are_found_by_singular_and_plural_in_any_case() {
    let world = World::new().await;
    let cases = [
        ("/v2-beta/setting?all=false&limit=-1&sort=name", "setting"),
        ("/v2-beta/settings", "setting"),
        ("P/storagepools?limit=-1", "storagePool"),
        ("P/storagePool", "storagePool"),
        ("P/SERVICES", "service"),
        ("P/service", "service"),
        ("P/stack?limit=-1", "stack"),
        ("P/hosts?limit=-1&sort=name,hostname", "host"),
        ("P/mounts?state_ne=inactive&limit=-1", "mount"),
        ("P/instances?limit=-1", "instance"),
        ("P/volumes?limit=-1", "volume"),
        ("P/certificates?limit=-1", "certificate"),
        ("/v2-beta/project?all=true&limit=-1&sort=name", "project"),
    ];
    check(
        &world,
        cases.into_iter().map(|(path, of)| get(path, list(of))).collect(),
    )
    .await;
}

#[actix_web::test]
async fn lists_take_what_clients_add_to_them() {
    let world = World::new().await;
    let stack = world.stack("s").await;
    world.service(&stack, "web", json!({})).await;
    let odd = [
        "removed_null=%3Cnil%3E",
        "removed_null=1",
        "removed_null",
        "limit=-2",
        "limit=-1",
        "all=true",
        "all=false",
        "all=True&system=False",
        "system=false",
        "state_ne=inactive&state_ne=stopped&state_ne=removing",
        "name=&removed_null=1&all=true",
        "limit=-2&removed_null=1&state_ne=inactive&state_ne=stopped&state_ne=removing&system=false",
        "isPublic=true&name=cattle&sort=created",
        "_role=superadmin",
        "sort=name&order=",
    ];
    let types = [
        "services",
        "stacks",
        "hosts",
        "containers",
        "projects",
        "volumes",
        "serviceConsumeMaps",
        "settings",
        "certificates",
    ];
    let cases = types.iter().flat_map(|ty| {
        odd.iter()
            .map(move |query| get(&format!("P/{ty}?{query}"), json!({"type": "collection"})))
    });
    check(&world, cases.collect()).await;
    let count = async |query: &str| world.list(&format!("services?{query}")).await.len();
    assert_eq!(count("limit=-2&removed_null=%3Cnil%3E&system=false").await, 1);
    assert_eq!(count("state_ne=active&state_ne=removing").await, 1);
    assert_eq!(count("state_ne=active&state_ne=inactive").await, 0);
}

#[actix_web::test]
async fn names_are_looked_up_as_ids_first_and_are_not_found() {
    let world = World::new().await;
    let stack = world.stack("s").await;
    let service = world.running(&stack, "web", json!({})).await;
    let container = text(&world.containers(&service).await[0], "id").to_owned();
    let mut cases = vec![
        missing("P/services/s/web"),
        missing("P/stacks/s"),
        missing("/v2-beta/projects/Default"),
        missing("P/hosts/sim"),
    ];
    for ty in [
        "services",
        "containers",
        "hosts",
        "projects",
        "stacks",
        "volumes",
        "secrets",
    ] {
        cases.push(missing(&format!("P/{ty}/web")));
        cases.push(missing(&format!("P/{ty}/s/web")));
    }
    cases.push(missing(&format!("P/services/{container}")));
    cases.push(missing(&format!("P/stacks/{service}")));
    cases.push(get(
        &format!("P/services/{service}"),
        json!({"id": service, "stackId": stack, "accountId": PROJECT}),
    ));
    cases.push(get(
        &format!("P/containers/{container}"),
        json!({"id": container, "baseType": "instance"}),
    ));
    check(&world, cases).await;
}

#[actix_web::test]
async fn a_project_is_found_inside_itself() {
    let world = World::new().await;
    let project = json!({"id": PROJECT, "type": "project", "baseType": "account"});
    check(
        &world,
        vec![
            get("P/projects", list("project")),
            get("P/projects?all=true&limit=-1&sort=name", list("project")),
            get("P/projects/1a5", project.clone()),
            get("/v2-beta/projects/1a5", project),
            get(
                "P/settings/rancher.server.version",
                json!({"id": "rancher.server.version", "type": "activeSetting"}),
            ),
            get("/v2-beta/", json!({"type": "apiVersion"})),
        ],
    )
    .await;
}

#[actix_web::test]
async fn actions_take_absent_and_empty_bodies_and_answer_with_the_resource() {
    let world = World::new().await;
    let stack = world.stack("s").await;
    let null_links = r#"{"id":null,"type":"","links":null,"actions":null,"nope":[1]}"#;
    for (at, body) in ["", "null", "{}", null_links].into_iter().enumerate() {
        let service = world.service(&stack, &format!("web{at}"), json!({})).await;
        let path = format!("P/services/{service}/?action=activate");
        let part = json!({"id": service, "type": "service", "state": "activating"});
        check(&world, vec![send(Method::POST, &path, body, 202, part)]).await;
        world.wait(&service, "active").await;
        // Without links is with no links.
        let path = format!("P/services/{service}?action=setservicelinks");
        let status = world
            .send(
                Method::POST,
                &path.replacen("P/", "", 1),
                serde_json::from_str(body).ok(),
            )
            .await;
        assert!(status.status < 300, "{body}: {}", status.body);
        let path = format!("P/services/{service}?action=deactivate");
        check(
            &world,
            vec![send(
                Method::POST,
                &path,
                body,
                202,
                json!({"id": service, "state": "deactivating"}),
            )],
        )
        .await;
    }
}

#[actix_web::test]
async fn null_links_and_unknown_keys_of_a_create_are_no_matter() {
    let world = World::new().await;
    let body = r#"{"id":"","type":"stack","links":null,"actions":null,"name":"go","description":"","data":null,"removed":"","created":"","state":"","transitioning":"","transitioningProgress":0,"accountId":"","uuid":"","kind":""}"#;
    check(
        &world,
        vec![send(
            Method::POST,
            "P/stack",
            body,
            201,
            json!({"type": "stack", "name": "go", "accountId": PROJECT}),
        )],
    )
    .await;
    let stack = text(&world.list("stacks?name=go").await[0], "id").to_owned();
    let body = json!({
        "links": null, "actions": null, "name": "web", "stackId": stack, "scale": 1, "metadata": {"io.rancher.service.hash": "abc"},
        "createIndex": 0, "currentScale": 0, "healthState": "", "publicEndpoints": null,
        "launchConfig": {"imageUuid": "docker:web", "labels": {"io.rancher.service.hash": "def"}, "networkMode": "managed", "ports": ["80:80"],
            "links": null, "logConfig": {"driver": null, "config": {}}, "restartPolicy": null},
    });
    let row = world
        .post("service", body)
        .await
        .expect(201, json!({"state": "registering"}));
    let service = world.wait(text(&row, "id"), "inactive").await;
    has(
        &service,
        &json!({"metadata": {"io.rancher.service.hash": "abc"}, "launchConfig": {"labels": {"io.rancher.service.hash": "def"}, "type": "launchConfig"},
            "transitioning": "no", "upgrade": null}),
        "a new service",
    );
    assert_eq!(service["secondaryLaunchConfigs"], json!([]));
    assert!(
        service.get("instanceIds").is_some() && service.get("upgrade").is_some(),
        "{service}"
    );
}

#[actix_web::test]
async fn a_whole_object_that_is_put_back_changes_what_may_be_changed_only() {
    let world = World::new().await;
    let stack = world.stack("s").await;
    let id = world.running(&stack, "web", json!({})).await;
    let before = world.show(&id).await;
    let mut whole = before.clone();
    let object = whole.as_object_mut().unwrap();
    object.remove("links");
    object.remove("actions");
    object["launchConfig"]["imageUuid"] = json!("docker:another");
    for (name, value) in [
        ("state", json!("removed")),
        ("uuid", json!("mine")),
        ("created", json!("2001-01-01T00:00:00Z")),
        ("instanceIds", json!([])),
    ] {
        object.insert(name.to_owned(), value);
    }
    object.insert("description".to_owned(), json!("new"));
    world.put(&id, whole).await.expect(200, json!({"id": id}));
    let after = world.wait(&id, "active").await;
    assert_eq!(after["description"], "new");
    for name in ["launchConfig", "uuid", "created", "instanceIds", "name", "scale"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    // The same with rows of other types.
    let host = text(&world.list("hosts").await[0], "id").to_owned();
    for path in [stack.as_str(), &host] {
        let row = world.show(path).await;
        world
            .put(path, row.clone())
            .await
            .expect(200, json!({"id": row["id"], "name": row["name"], "uuid": row["uuid"]}));
    }
}

#[actix_web::test]
async fn actions_are_called_action_links_if_a_client_says_so() {
    let world = World::new().await;
    let stack = world.stack("s").await;
    let id = world.service(&stack, "web", json!({})).await;
    let headers: &[_] = &[
        ("x-api-action-links", "actionLinks"),
        ("x-api-no-challenge", "true"),
        ("accept", "application/json"),
    ];
    let with = |path: &str, part| Case {
        headers,
        ..get(path, part)
    };
    check(
        &world,
        vec![
            with(&format!("P/services/{id}"), json!({"actionLinks": {"activate": format!("http://localhost/v2-beta/projects/1a5/services/{id}/?action=activate")}, "actions": null})),
            with("P/services", json!({"actionLinks": {}, "actions": null})),
            with("P/settings/api.host", json!({"actionLinks": {}, "actions": null})),
            with("/v2-beta", json!({"actionLinks": {}, "actions": null})),
            with("/v1-catalog/catalogs", json!({"actionLinks": {}, "actions": null, "data": []})),
        ],
    )
    .await;
}

#[actix_web::test]
async fn other_logins_and_reports_are_there_and_empty() {
    let world = World::new().await;
    check(
        &world,
        vec![
            get("/v1-auth", json!({"type": "apiVersion", "id": "v1-auth"})),
            get(
                "/v1-auth/schemas",
                json!({"type": "collection", "resourceType": "schema"}),
            ),
            get(
                "/v1-auth/schemas/config",
                json!({"id": "config", "links": {"collection": "http://localhost/v1-auth/configs"}}),
            ),
            get(
                "/v1-auth/config",
                json!({"data": [{"type": "config", "enabled": false, "provider": ""}]}),
            ),
            get("/v1-auth/identities", json!({"data": [], "resourceType": "identity"})),
            get("/v1-telemetry/schemas", json!({"data": [], "resourceType": "schema"})),
            missing("/v1-auth/token"),
            missing("/v1-telemetry/reports"),
            send(
                Method::POST,
                "/v1-auth/token",
                r#"{"code":"a:b"}"#,
                501,
                json!({"type": "error", "code": "NotImplemented"}),
            ),
        ],
    )
    .await;
    let refreshed = world
        .send(Method::POST, "/v1-catalog/templates?action=refresh", None)
        .await;
    assert_eq!(refreshed.status, 204);
}

#[actix_web::test]
async fn the_catalog_is_there_and_empty() {
    let world = World::new().await;
    let root = "http://localhost/v1-catalog";
    let schema = |root: &str| json!({"id": "template", "links": {"collection": format!("{root}/templates"), "self": format!("{root}/schemas/template")}});
    let project_headers: &[_] = &[("x-api-project-id", "1a5")];
    let project_root = format!("{root}/projects/1a5");
    let mut cases = vec![
        get(
            "/v1-catalog",
            json!({"type": "apiVersion", "links": {"self": root, "schemas": format!("{root}/schemas"), "templates": format!("{root}/templates")}, "actions": {}}),
        ),
        get("/v1-catalog/", json!({"type": "apiVersion"})),
        get(
            "/v1-catalog/schemas",
            json!({"type": "collection", "resourceType": "schema", "links": {"self": format!("{root}/schemas")}}),
        ),
        get("/v1-catalog/schemas/templates", schema(root)),
        get("/v1-catalog/projects/1a5", json!({"links": {"self": project_root}})),
        get("/v1-catalog/projects/1a5/schemas/template", schema(&project_root)),
        get(
            "/v1-catalog/projects/1a5/templates?category_ne=system",
            json!({"data": [], "resourceType": "template"}),
        ),
        Case {
            headers: project_headers,
            ..get(
                "/v1-catalog/catalogs",
                json!({"data": [], "links": {"self": format!("{root}/catalogs")}, "pagination": null}),
            )
        },
        get(
            "/v1-catalog/templateversions",
            json!({"data": [], "resourceType": "templateVersion"}),
        ),
        missing("/v1-catalog/templates/community:infra*nfs"),
        missing("/v1-catalog/templateversions/community:infra*nfs:0"),
        missing("/v1-catalog/templates/a:b/icon"),
        missing("/v1-catalog/nope"),
        send(
            Method::POST,
            "/v1-catalog/catalogs",
            r#"{"name":"x"}"#,
            405,
            json!({"type": "error"}),
        ),
        send(
            Method::POST,
            "/v1-catalog/templates?action=other",
            "",
            405,
            json!({"type": "error"}),
        ),
    ];
    cases.push(Case {
        status: 403,
        ..get("/v1-catalog/projects/1a999/templates", json!({"type": "error"}))
    });
    check(&world, cases).await;
}

#[actix_web::test]
async fn an_inspect_document_becomes_a_container() {
    let world = World::new().await;
    let document = r#"{"Name":"/web","Config":{"Image":"nginx","Env":["A=1"],"Labels":{"l":"1"},"ExposedPorts":{"80/tcp":{}}},
        "HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"80"}]},"LogConfig":{"Type":"","Config":null},"Memory":4194304}}"#;
    let container = json!({"id": null, "type": "container", "name": "web", "imageUuid": "docker:nginx", "environment": {"A": "1"}, "ports": ["80:80/tcp"],
        "logConfig": {"config": {}}, "networkMode": "bridge", "memory": 4_194_304, "labels": {"l": "1"}, "links": {}, "actions": {}});
    let mut cases = Vec::new();
    for path in [
        "P/scripts/transform",
        "/v2-beta/scripts/transform",
        "/v1/scripts/transform",
        "/v1/projects/1a5/scripts/transform",
    ] {
        cases.push(send(Method::POST, path, document, 200, container.clone()));
        cases.push(send(
            Method::POST,
            path,
            r#"{"HostConfig":{"NetworkMode":"container:x"}}"#,
            422,
            json!({"type": "error", "code": "InvalidOption"}),
        ));
        cases.push(send(
            Method::POST,
            path,
            r#"{"Config":{"Env":1}}"#,
            422,
            json!({"code": "InvalidFormat", "fieldName": "Config.Env"}),
        ));
        cases.push(send(Method::POST, path, "{", 400, json!({"type": "error"})));
    }
    cases.push(missing("P/scripts/transform"));
    cases.push(missing("P/scripts"));
    cases.push(send(
        Method::POST,
        "P/scripts/nope",
        "{}",
        404,
        json!({"type": "error"}),
    ));
    check(&world, cases).await;
    let first = world
        .post("/v2-beta/scripts/transform", serde_json::from_str(document).unwrap())
        .await
        .ok();
    assert_eq!(
        first,
        world
            .post("/v2-beta/scripts/transform", serde_json::from_str(document).unwrap())
            .await
            .ok()
    );
    assert!(first["logConfig"].is_object());
    // What comes out can be put in.
    let stack = world.stack("s").await;
    world.service(&stack, "web", json!({"launchConfig": first})).await;
}

/// Lets the server work, and gives back a row that is in this state now.
async fn settled(world: &World, row: &Value, state: &str) -> Value {
    let url = text(&row["links"], "self").to_owned();
    world.settle().await;
    world
        .get(url.trim_start_matches("http://localhost"))
        .await
        .expect(200, json!({"state": state}))
}

async fn act(world: &World, row: &Value, action: &str) -> Value {
    let url = text(&row["actions"], action);
    assert!(!url.is_empty(), "{action} is not offered: {row:#}");
    world
        .post(url.trim_start_matches("http://localhost"), json!({}))
        .await
        .ok()
}

#[actix_web::test]
async fn terraforms_provider_makes_reads_changes_and_removes_what_it_manages() {
    let world = World::new().await;
    let found = world
        .get("/v2-beta/projecttemplates?isPublic=true&name=cattle&sort=created")
        .await
        .ok();
    let template = found["data"][0]["id"].clone();
    let body = json!({"name": "foo", "description": "d", "projectTemplateId": template, "members": null, "links": null, "actions": null,
        "id": "", "type": "", "servicesPortRange": null, "allowSystemRole": false});
    let project = world
        .post("/v2-beta/projects", body)
        .await
        .expect(201, json!({"state": "registering"}));
    let project = settled(&world, &project, "active").await;
    has(
        &project,
        &json!({"orchestration": "cattle", "description": "d", "projectTemplateId": template}),
        "the project",
    );
    let inside = format!("/v2-beta/projects/{}", text(&project, "id"));
    let schemas = world.get(&format!("{inside}/schemas")).await;
    assert_eq!(
        schemas.header("x-api-schemas"),
        Some(format!("http://localhost{inside}/schemas").as_str())
    );
    let members = world.list(&format!("{inside}/projectmembers")).await;
    assert_eq!(members.len(), 1, "{members:#?}");
    let owner = json!({"externalId": members[0]["externalId"], "externalIdType": "rancher_id", "role": "owner"});
    world
        .act(&inside, "setmembers", json!({"members": [owner]}))
        .await
        .expect(200, json!({"type": "collection"}));
    let mut whole = project.clone();
    whole["name"] = json!("foo2");
    world
        .put(&inside, whole)
        .await
        .expect(200, json!({"name": "foo2", "description": "d"}));

    let token = world
        .post(&format!("{inside}/registrationtokens"), json!({"name": "foo"}))
        .await
        .expect(201, json!({}));
    let token = settled(&world, &token, "active").await;
    for field in ["command", "registrationUrl", "token", "image"] {
        assert!(!text(&token, field).is_empty(), "{field} is missing: {token:#}");
    }
    let registry = world
        .post(
            &format!("{inside}/registries"),
            json!({"name": "foo", "serverAddress": "http://bar.com:8080"}),
        )
        .await
        .ok();
    let registry = settled(&world, &registry, "active").await;
    assert_eq!(text(&registry, "serverAddress"), "http://bar.com:8080");
    let body = json!({"name": "u", "registryId": registry["id"], "publicValue": "user", "secretValue": "pass"});
    let credential = world.post(&format!("{inside}/registrycredentials"), body).await.ok();
    let credential = settled(&world, &credential, "active").await;
    // Each leaves in the same two steps.
    for row in [&token, &credential, &registry] {
        act(&world, row, "deactivate").await;
        let row = settled(&world, row, "inactive").await;
        act(&world, &row, "remove").await;
        settled(&world, &row, "removed").await;
    }
    let secret = world
        .post(&format!("{inside}/secrets"), json!({"name": "s", "value": "aGVsbG8="}))
        .await
        .ok();
    let secret = settled(&world, &secret, "active").await;
    world
        .delete(&format!("{inside}/secrets/{}", text(&secret, "id")))
        .await
        .ok();
    settled(&world, &secret, "removed").await;

    world.delete(&inside).await.ok();
    world.settle().await;
    world.wait(&inside, "removed").await;
}
