//! Templates of services: made, listed, read, changed field by field, removed; and where they are placed.

use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, first, refused};
use crate::support::{World, text};

#[actix_web::test]
async fn a_template_is_made_with_defaults_and_its_variables_are_a_text_on_the_wire() {
    let w = World::new().await;
    let c = first(&w).await;
    let image = c
        .made(
            MANAGEMENT,
            "container-images",
            "image",
            json!({"name": "web", "imageName": "a/web"}),
        )
        .await;
    let path = format!("/environments/{MANAGEMENT}/services");
    let body = json!({"name": "web", "containerImageId": image});
    let made = c.post(&path, body.clone()).await.expect(200, json!({"service": {
        "name": "web", "containerImageId": image, "imageTag": "latest", "composeTemplate": null, "healthCheckUrl": null,
        "baseEnv": null, "deployStrategy": "sequential", "serviceTypeId": null, "healthWaitMs": 30_000, "healthRetries": 3,
        "healthIntervalMs": 5_000, "environmentId": MANAGEMENT,
    }}));
    assert!(
        made["service"].get("containerImage").is_none(),
        "no relations in the answer to a POST"
    );
    let taken = refused(c.post(&path, body).await, 409, "CONFLICT");
    assert_eq!(
        (text(&taken, "field"), text(&taken, "message")),
        ("name", "Service with this name exists in this environment")
    );
    let env = json!({"name": "env", "containerImageId": image, "baseEnv": {"B": "2", "A": "1"}, "deployStrategy": "parallel"});
    let env = c.made(MANAGEMENT, "services", "service", env).await;
    let shown = c
        .get(&format!("/services/{env}"))
        .await
        .expect(200, json!({"service": {"deployStrategy": "parallel"}}));
    assert_eq!(shown["service"]["baseEnv"], r#"{"B":"2","A":"1"}"#);
    let listed = c
        .get(&path)
        .await
        .expect(200, json!({"total": 2, "limit": 25, "offset": 0}));
    let names: Vec<&str> = listed["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "name"))
        .collect();
    assert_eq!(names, ["env", "web"], "by name");
    assert_eq!(listed["services"][0]["containerImage"]["imageName"], "a/web");
    let second = c
        .get(&format!("{path}?limit=1&offset=1"))
        .await
        .expect(200, json!({"total": 2}));
    assert_eq!(second["services"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        refused(c.get(&format!("{path}?limit=x")).await, 400, "VALIDATION_ERROR")["field"],
        "limit"
    );
    for (body, field, words) in [
        (
            json!({"containerImageId": image}),
            "name",
            "Validation failed: name: Required",
        ),
        (
            json!({"name": "x"}),
            "containerImageId",
            "Validation failed: containerImageId: Required",
        ),
        (
            json!({"name": "x", "containerImageId": "1bpi999"}),
            "containerImageId",
            "Container image not found",
        ),
        (
            json!({"name": "x", "containerImageId": "nonsense"}),
            "containerImageId",
            "Container image not found",
        ),
    ] {
        let refusal = refused(c.post(&path, body).await, 400, "VALIDATION_ERROR");
        assert_eq!((text(&refusal, "field"), text(&refusal, "message")), (field, words));
    }
}

#[actix_web::test]
async fn an_image_of_another_environment_is_none() {
    let w = World::new().await;
    let c = first(&w).await;
    let other = c
        .post("/environments", json!({"name": "other"}))
        .await
        .expect(200, json!({"environment": {"name": "other"}}));
    let other = text(&other["environment"], "id").to_owned();
    w.settle().await;
    assert_eq!(
        refused(c.post("/environments", json!({"name": "other"})).await, 409, "CONFLICT")["field"],
        "name"
    );
    refused(
        c.post("/environments", json!({"name": "management"})).await,
        409,
        "CONFLICT",
    );
    let image = c
        .made(
            &other,
            "container-images",
            "image",
            json!({"name": "web", "imageName": "a/web"}),
        )
        .await;
    let body = json!({"name": "web", "containerImageId": image});
    let refusal = refused(
        c.post(&format!("/environments/{MANAGEMENT}/services"), body.clone())
            .await,
        400,
        "VALIDATION_ERROR",
    );
    assert_eq!(refusal["message"], "Container image not found");
    let service = c.made(&other, "services", "service", body).await;
    c.get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"environmentId": other}}));
    let own = c.get(&format!("/environments/{MANAGEMENT}/services")).await.ok();
    assert_eq!(own["total"], 0);
    c.delete(&format!("/environments/{other}"))
        .await
        .expect(200, json!({"success": true}));
    w.settle().await;
    refused(c.get(&format!("/services/{service}")).await, 404, "NOT_FOUND");
    refused(c.delete(&format!("/environments/{MANAGEMENT}")).await, 409, "CONFLICT");
}

#[actix_web::test]
async fn a_patch_changes_what_it_says_and_nothing_else() {
    let w = World::new().await;
    let c = first(&w).await;
    let service = c
        .service("web", "a/web", json!({"baseEnv": {"A": "1", "B": "2"}}))
        .await;
    let image = c
        .made(
            MANAGEMENT,
            "container-images",
            "image",
            json!({"name": "two", "imageName": "a/two"}),
        )
        .await;
    let path = format!("/services/{service}");
    let was = c.get(&path).await.ok()["service"].clone();
    let empty = c
        .patch(&path, json!({}))
        .await
        .expect(200, json!({"service": {"name": "web"}}));
    assert!(empty["service"].get("serviceDeployments").is_none(), "no relations");
    // Unknown fields are dropped, and so are those of deployments.
    c.patch(
        &path,
        json!({"unknown": 1, "containerName": "x", "composePath": "/x", "serverId": "x"}),
    )
    .await
    .ok();
    for (field, value, wire) in [
        ("name", json!("web2"), json!("web2")),
        ("containerImageId", json!(image), json!(image)),
        ("imageTag", json!("v2"), json!("v2")),
        ("composeTemplate", json!("services: {}"), json!("services: {}")),
        ("composeTemplate", json!(null), json!(null)),
        ("composeTemplate", json!(""), json!("")),
        ("healthCheckUrl", json!("no address at all"), json!("no address at all")),
        ("healthCheckUrl", json!(""), json!("")),
        ("healthCheckUrl", json!(null), json!(null)),
        ("baseEnv", json!({"C": "3"}), json!(r#"{"C":"3"}"#)),
        ("baseEnv", json!({}), json!("{}")),
        ("baseEnv", json!(null), json!(null)),
        ("deployStrategy", json!("parallel"), json!("parallel")),
        ("serviceTypeId", json!("type-redis"), json!("type-redis")),
        ("serviceTypeId", json!(null), json!(null)),
        ("healthWaitMs", json!(0), json!(0)),
        ("healthRetries", json!(1), json!(1)),
        ("healthIntervalMs", json!(0), json!(0)),
    ] {
        let before = c.get(&path).await.ok()["service"].clone();
        let after = c.patch(&path, json!({field: value})).await.expect(200, json!({}))["service"].clone();
        assert_eq!(after[field], wire, "{field}");
        for (other, kept) in before.as_object().into_iter().flatten().filter(|(name, _)| {
            *name != field
                && ![
                    "updatedAt",
                    "containerImage",
                    "serviceType",
                    "serviceDeployments",
                    "environment",
                ]
                .contains(&name.as_str())
        }) {
            assert_eq!(&after[other], kept, "{field} changes {other}");
        }
        assert_eq!(c.get(&path).await.ok()["service"][field], wire, "{field}");
    }
    assert_eq!(was["createdAt"], c.get(&path).await.ok()["service"]["createdAt"]);
    assert!(w.list("services").await.is_empty(), "a template runs nothing");
}

#[actix_web::test]
async fn a_patch_that_is_wrong_changes_nothing_and_names_the_field() {
    let w = World::new().await;
    let c = first(&w).await;
    let service = c.service("web", "a/web", json!({"baseEnv": {"A": "1"}})).await;
    c.service("taken", "a/web", json!({})).await;
    let path = format!("/services/{service}");
    let before = w.stored();
    for (field, value) in [
        ("name", json!("")),
        ("name", json!(null)),
        ("containerImageId", json!("")),
        ("containerImageId", json!(null)),
        ("imageTag", json!(null)),
        ("imageTag", json!(7)),
        ("composeTemplate", json!(7)),
        ("healthCheckUrl", json!([])),
        ("baseEnv", json!("{}")),
        ("baseEnv", json!({"A": 1})),
        ("baseEnv", json!({"": "1"})),
        ("deployStrategy", json!("rolling")),
        ("deployStrategy", json!(null)),
        ("serviceTypeId", json!("type-nothing")),
        ("healthWaitMs", json!(-1)),
        ("healthWaitMs", json!("1")),
        ("healthRetries", json!(0)),
        ("healthRetries", json!(1.5)),
        ("healthIntervalMs", json!(-1)),
        ("containerImageId", json!("1bpi999")),
    ] {
        let refusal = refused(
            c.patch(&path, json!({"imageTag": "other", field: value})).await,
            400,
            "VALIDATION_ERROR",
        );
        assert_eq!(text(&refusal, "field"), field, "{value}: {refusal}");
    }
    assert_eq!(
        refused(c.patch(&path, json!({"name": "taken"})).await, 409, "CONFLICT")["field"],
        "name"
    );
    refused(
        c.patch("/services/1bps999", json!({"name": "x"})).await,
        404,
        "NOT_FOUND",
    );
    assert_eq!(w.stored(), before);
}

/// The fields that a PATCH of a template must not have.
const READ_ONLY: [&str; 27] = [
    "id",
    "createdAt",
    "updatedAt",
    "environmentId",
    "status",
    "containerStatus",
    "healthStatus",
    "discoveryStatus",
    "exposedPorts",
    "lastCheckedAt",
    "lastDiscoveredAt",
    "lastDeployedAt",
    "lastHealthCheckAt",
    "lastHealthCheckStatus",
    "lastHealthCheckType",
    "lastHealthCheckDurationMs",
    "lastHealthCheckError",
    "agentHealthSuccess",
    "agentHealthStatusCode",
    "agentHealthDurationMs",
    "agentHealthCheckedAt",
    "agentTcpCheckResults",
    "agentTcpCheckedAt",
    "agentCertCheckResults",
    "agentCertCheckedAt",
    "envOverrides",
    "imageDigestId",
];

#[actix_web::test]
async fn read_only_fields_are_refused_before_anything_else_is_looked_at() {
    let w = World::new().await;
    let c = first(&w).await;
    let service = c.service("web", "a/web", json!({})).await;
    let path = format!("/services/{service}");
    let before = w.stored();
    for field in READ_ONLY {
        let refusal = refused(
            c.patch(&path, json!({"name": "new", field: null})).await,
            422,
            "READONLY_FIELD",
        );
        let words = format!("Field \"{field}\" is read-only and cannot be set via PATCH.");
        assert_eq!(
            (text(&refusal, "field"), text(&refusal, "message")),
            (field, words.as_str())
        );
        assert!(!text(&refusal, "hint").is_empty());
    }
    let refusal = refused(
        c.patch(&path, json!({"exposedPorts": "[]"})).await,
        422,
        "READONLY_FIELD",
    );
    let hint = "Exposed ports are discovered from the running container. Change the ports mapping in the compose file at composePath and redeploy.";
    assert_eq!(refusal["hint"], hint);
    let body = json!({"status": 1, "name": "", "id": 2});
    let refusal = refused(c.patch(&path, body.clone()).await, 422, "READONLY_FIELD");
    let words = "Fields \"status\", \"id\" are read-only and cannot be set via PATCH.";
    assert_eq!((text(&refusal, "field"), text(&refusal, "message")), ("status", words));
    refused(c.patch("/services/1bps999", body).await, 422, "READONLY_FIELD");
    refused(
        c.patch("/services/1bps999", json!({"name": ""})).await,
        400,
        "VALIDATION_ERROR",
    );
    assert_eq!(w.stored(), before);
}

#[actix_web::test]
async fn a_deployment_of_a_service_is_made_changed_and_removed() {
    let w = World::new().await;
    let c = first(&w).await;
    let server = c.server().await;
    let service = c.service("web", "a/web", json!({})).await;
    let path = format!("/services/{service}/deployments");
    let body = json!({"serverId": server, "containerName": "web-1", "envOverrides": {"A": "1"}});
    let made = c.post(&path, body.clone()).await.expect(200, json!({"deployment": {
        "serviceId": service, "serverId": server, "containerName": "web-1", "composePath": null, "envOverrides": "{\"A\":\"1\"}",
        "status": "unknown", "containerStatus": "not_found", "healthStatus": "unknown", "discoveryStatus": "pending",
        "exposedPorts": null, "lastDeployedAt": null,
    }}));
    let id = text(&made["deployment"], "id").to_owned();
    assert_eq!(
        refused(c.post(&path, body).await, 409, "CONFLICT")["field"],
        "serviceId"
    );
    let other = c.service("other", "a/web", json!({})).await;
    let same = json!({"serverId": server, "containerName": "web-1"});
    let taken = refused(
        c.post(&format!("/services/{other}/deployments"), same).await,
        409,
        "CONFLICT",
    );
    assert_eq!(taken["message"], "A container of this name is on this server already");
    let nowhere = json!({"serverId": "1bph999", "containerName": "x"});
    assert_eq!(
        refused(c.post(&path, nowhere).await, 400, "VALIDATION_ERROR")["message"],
        "Server not found"
    );
    for name in ["", "-a", "a b", "a/b"] {
        let body = json!({"serverId": server, "containerName": name});
        assert_eq!(
            refused(c.post(&path, body).await, 400, "VALIDATION_ERROR")["field"],
            "containerName"
        );
    }
    let read = c
        .get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"environment": {"id": MANAGEMENT}}}));
    let deployment = &read["service"]["serviceDeployments"][0];
    assert_eq!(
        (text(deployment, "id"), text(&deployment["server"], "id")),
        (id.as_str(), server.as_str())
    );
    let listed = c.get(&format!("/environments/{MANAGEMENT}/services")).await.ok();
    assert_eq!(
        text(&listed["services"][1], "containerName"),
        "web-1",
        "the first deployment's fields stand in lists"
    );
    let one = format!("{path}/{id}");
    let change = json!({"containerName": "web-2", "composePath": "/srv/web", "envOverrides": null});
    let changed = c.patch(&one, change).await.expect(200, json!({"deployment": {
        "containerName": "web-2", "composePath": "/srv/web", "envOverrides": null, "service": {"id": service}, "server": {"id": server},
    }}));
    assert_eq!(changed["deployment"]["id"], id.as_str());
    assert_eq!(
        refused(c.patch(&one, json!({"serverId": server})).await, 422, "READONLY_FIELD")["field"],
        "serverId"
    );
    refused(
        c.patch(&format!("/services/{other}/deployments/{id}"), json!({})).await,
        404,
        "NOT_FOUND",
    );
    c.delete(&one).await.expect(200, json!({"success": true}));
    refused(c.delete(&one).await, 404, "NOT_FOUND");
    c.get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"serviceDeployments": []}}));
}

#[actix_web::test]
async fn a_template_takes_its_deployments_with_it() {
    let w = World::new().await;
    let c = first(&w).await;
    let server = c.server().await;
    let service = c.service("web", "a/web", json!({})).await;
    c.placed(&service, &server, "web-1", json!({})).await;
    c.delete(&format!("/services/{service}"))
        .await
        .expect(200, json!({"success": true}));
    refused(c.get(&format!("/services/{service}")).await, 404, "NOT_FOUND");
    let again = c.service("web", "a/web", json!({})).await;
    c.placed(&again, &server, "web-1", json!({})).await;
}

#[actix_web::test]
async fn a_template_is_made_on_a_server_at_once_and_once_more_on_another() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let servers = c.get(&format!("/environments/{MANAGEMENT}/servers")).await.ok();
    let [one, two] = [0, 1].map(|at| text(&servers["servers"][at], "id").to_owned());
    let image = c
        .made(
            MANAGEMENT,
            "container-images",
            "image",
            json!({"name": "web", "imageName": "a/web"}),
        )
        .await;
    let other = c
        .made(
            MANAGEMENT,
            "container-images",
            "image",
            json!({"name": "two", "imageName": "a/two"}),
        )
        .await;
    let body = json!({"name": "web", "containerImageId": image, "envOverrides": {"A": "1"}});
    let made = c.post(&format!("/servers/{one}/services"), body.clone()).await.expect(
        200,
        json!({"service": {
            "name": "web", "containerName": "web", "serverId": one, "envOverrides": "{\"A\":\"1\"}",
        }}),
    );
    let service = text(&made["service"], "id").to_owned();
    refused(
        c.post(&format!("/servers/{one}/services"), body.clone()).await,
        409,
        "CONFLICT",
    );
    let second = c
        .post(&format!("/servers/{two}/services"), body)
        .await
        .expect(200, json!({"service": {"id": service, "serverId": two}}));
    assert_ne!(second["service"]["deploymentId"], made["service"]["deploymentId"]);
    let wrong = json!({"name": "web", "containerImageId": other, "containerName": "w"});
    assert_eq!(
        refused(
            c.post(&format!("/servers/{two}/services"), wrong).await,
            409,
            "CONFLICT"
        )["field"],
        "name"
    );
    let here = c.get(&format!("/servers/{two}/services")).await.expect(200, json!({}));
    let here: Vec<&Value> = here["services"].as_array().into_iter().flatten().collect();
    assert_eq!(
        (here.len(), &here[0]["deploymentId"]),
        (1, &second["service"]["deploymentId"])
    );
    refused(c.get("/servers/1h999/services").await, 404, "NOT_FOUND");
}

/// A template of a compose file; its id.
async fn templated(c: &Client<'_>, words: &str) -> String {
    c.service("web", "sim:web", json!({"composeTemplate": words})).await
}

#[actix_web::test]
async fn the_compose_file_is_shown_set_and_taken_away() {
    let w = World::new().await;
    let c = first(&w).await;
    let server = c.server().await;
    let service = c
        .service(
            "web",
            "sim:web",
            json!({"imageTag": "v1", "baseEnv": {"A": "${GREETING}", "B": "2"}}),
        )
        .await;
    let path = format!("/services/{service}/compose");
    c.get(&format!("{path}/template"))
        .await
        .expect(200, json!({"template": null}));
    refused(c.get(&format!("{path}/preview")).await, 400, "VALIDATION_ERROR");
    c.placed(&service, &server, "web-1", json!({"envOverrides": {"B": "3"}}))
        .await;
    c.made(MANAGEMENT, "vars", "var", json!({"key": "GREETING", "value": "hello"}))
        .await;
    let preview = c.get(&format!("{path}/preview")).await.expect(200, json!({}));
    let (compose, env) = (&preview["artifacts"][0], &preview["artifacts"][1]);
    let words = "services:\n  \"web-1\":\n    image: \"sim:web:v1\"\n    container_name: \"web-1\"\n    restart: unless-stopped\n";
    assert_eq!(
        (text(compose, "name"), text(compose, "content")),
        ("docker-compose.yml", words)
    );
    assert_eq!(text(env, "content"), "A=hello\nB=3\n");
    assert_eq!(text(env, "checksum").len(), 64);
    let template = "services:\n  ${CONTAINER_NAME}:\n    image: ${FULL_IMAGE}\n    ports: ['8080:80']\n";
    let put = c
        .send(
            actix_web::http::Method::PUT,
            &format!("{path}/template"),
            &[],
            Some(json!({"composeTemplate": template})),
        )
        .await;
    put.expect(200, json!({"template": template}));
    let preview = c.get(&format!("{path}/preview")).await.expect(200, json!({}));
    assert!(text(&preview["artifacts"][0], "content").contains("image: sim:web:v1"));
    c.delete(&format!("{path}/template"))
        .await
        .expect(200, json!({"success": true}));
    c.get(&format!("{path}/template"))
        .await
        .expect(200, json!({"template": null}));
}

#[actix_web::test]
async fn a_compose_file_that_says_more_than_can_be_done_is_refused_in_words() {
    let w = World::new().await;
    let c = first(&w).await;
    let server = c.server().await;
    c.made(MANAGEMENT, "secrets", "secret", json!({"key": "TOKEN", "value": "x"}))
        .await;
    let service = templated(&c, "").await;
    c.placed(&service, &server, "web-1", json!({})).await;
    for (words, status, code) in [
        ("services:\n  other:\n    image: a\n", 404, "NOT_FOUND"),
        (
            "services:\n  web-1:\n    image: a\n  more:\n    image: b\n",
            501,
            "SERVICE_UNAVAILABLE",
        ),
        ("services: [", 400, "VALIDATION_ERROR"),
        (
            "services:\n  web-1:\n    image: a\n    environment:\n      A: ${TOKEN}\n",
            501,
            "SERVICE_UNAVAILABLE",
        ),
    ] {
        c.patch(&format!("/services/{service}"), json!({"composeTemplate": words}))
            .await
            .ok();
        let refusal = refused(
            c.get(&format!("/services/{service}/compose/preview")).await,
            status,
            code,
        );
        assert_eq!(refusal["field"], "composeTemplate", "{words}: {refusal}");
        let before = w.list("services").await.len();
        refused(
            c.post(&format!("/services/{service}/deploy"), json!({})).await,
            status,
            code,
        );
        assert_eq!(w.list("services").await.len(), before, "nothing was made");
    }
}
