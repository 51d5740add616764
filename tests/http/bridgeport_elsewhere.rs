//! Services that were made elsewhere, and what was changed elsewhere of those that were made here.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, first, meanwhile, refused};
use crate::support::{World, has, text};

async fn listed(c: &Client<'_>) -> Vec<Value> {
    let answer = c
        .get(&format!("/environments/{MANAGEMENT}/services"))
        .await
        .expect(200, json!({}));
    answer["services"].as_array().cloned().unwrap_or_default()
}

async fn read(c: &Client<'_>, id: &str) -> Value {
    c.get(&format!("/services/{id}")).await.expect(200, json!({}))["service"].take()
}

async fn deploy(c: &Client<'_>, id: &str, body: Value) -> Value {
    let path = format!("/services/{id}/deploy");
    meanwhile(c.w, c.post(&path, body))
        .await
        .expect(200, json!({"halted": false}))
}

/// A service of two containers by Rancher's clients; its id, which is the same one here.
async fn shop(w: &World) -> String {
    let stack = w.stack("shop").await;
    let launch = json!({"imageUuid": "sim:shop:v1", "environment": {"A": "1", "B": "${C}"}, "ports": ["8080:80/tcp"],
        "labels": {"own": "label"}, "hostname": "shop", "memory": 67_108_864});
    w.running(&stack, "shop", json!({"scale": 2, "launchConfig": launch}))
        .await
}

#[actix_web::test]
async fn a_service_that_was_made_elsewhere_is_listed_with_what_runs_of_it() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let id = shop(&w).await;
    // What has no containers of its own is none.
    let stack = w.stack("more").await;
    for (kind, body) in [
        ("dnsServices", json!({"name": "alias", "stackId": stack})),
        (
            "externalServices",
            json!({"name": "far", "stackId": stack, "externalIpAddresses": ["192.0.2.1"]}),
        ),
    ] {
        w.post(kind, body).await.expect(201, json!({}));
    }
    w.settle().await;
    let all = listed(&c).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    has(
        &all[0],
        &json!({"id": id, "name": "shop", "imageTag": "v1", "containerImageId": null, "environmentId": MANAGEMENT,
            "containerImage": {"imageName": "sim:shop"}, "deployStrategy": "sequential", "status": "running",
            "containerStatus": "running", "discoveryStatus": "found", "exposedPorts": "[\"8080:80/tcp\"]"}),
        "as a list shows it",
    );
    assert_eq!(all[0]["baseEnv"], r#"{"A":"1","B":"${C}"}"#);
    let servers = c.get(&format!("/environments/{MANAGEMENT}/servers")).await.ok();
    let one = read(&c, &id).await;
    let deployments = one["serviceDeployments"].as_array().cloned().unwrap_or_default();
    let containers = w.containers(&id).await;
    assert_eq!((deployments.len(), containers.len()), (2, 2));
    for (at, deployment) in deployments.iter().enumerate() {
        let container = containers.iter().find(|one| one["name"] == deployment["containerName"]);
        let container = container.unwrap_or_else(|| panic!("{deployment:#}"));
        let server = &servers["servers"][at];
        has(
            deployment,
            &json!({"id": format!("{id}-{}", at + 1), "serviceId": id, "status": "running", "lastDeployedAt": null,
                "serverId": container["hostId"], "envOverrides": null}),
            "a container",
        );
        assert!([&servers["servers"][0]["id"], &servers["servers"][1]["id"]].contains(&&deployment["serverId"]));
        let path = format!("/servers/{}/services", text(server, "id"));
        c.get(&path)
            .await
            .expect(200, json!({"services": [{"name": "shop", "serviceDeployments": null}]}));
        c.get(&format!("/services/{id}/deployments/{}/logs", text(deployment, "id")))
            .await
            .expect(200, json!({}));
    }
    c.get(&format!("/environments/{MANAGEMENT}/services/type-counts"))
        .await
        .expect(200, json!({"types": [{"count": 1}]}));
    // An image of that name is its image, and is not kept by it.
    let image = json!({"name": "shop", "imageName": "sim:shop"});
    let image = c.made(MANAGEMENT, "container-images", "image", image).await;
    assert_eq!(read(&c, &id).await["containerImageId"], image.as_str());
    c.delete(&format!("/container-images/{image}")).await.ok();
    refused(c.get("/services/1s999999").await, 404, "NOT_FOUND");
}

#[actix_web::test]
async fn it_is_deployed_as_it_is_with_another_tag_and_read_back() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let id = shop(&w).await;
    let before = w.get(&format!("services/{id}")).await.ok();
    let path = format!("/services/{id}/compose/preview");
    c.get(&path).await.expect(200, json!({"warnings": []}));
    let done = deploy(&c, &id, json!({"imageTag": "v2"})).await;
    let results = done["results"].as_array().cloned().unwrap_or_default();
    assert_eq!(results.len(), 2, "both containers: {done:#}");
    for (at, result) in results.iter().enumerate() {
        has(
            result,
            &json!({"serviceDeploymentId": format!("{id}-{}", at + 1), "result": {"previousTag": "v1",
                "deployment": {"status": "success", "imageTag": "v2", "serviceId": id}}}),
            "a result",
        );
    }
    assert_eq!(
        results[0]["result"]["deployment"]["id"],
        results[1]["result"]["deployment"]["id"]
    );
    let after = w.get(&format!("services/{id}")).await.ok();
    let launch = &after["launchConfig"];
    assert_eq!(
        (text(&after, "state"), text(launch, "imageUuid")),
        ("active", "sim:shop:v2")
    );
    for field in ["environment", "ports", "hostname", "memory"] {
        assert_eq!(launch[field], before["launchConfig"][field], "{field}");
    }
    assert_eq!(launch["labels"]["own"], "label");
    let one = read(&c, &id).await;
    assert_eq!(one["imageTag"], "v2");
    assert!(one["serviceDeployments"][1]["lastDeployedAt"].is_string());
    let told = c.get(&format!("/services/{id}/deployments-history")).await.ok();
    assert_eq!(told["deployments"].as_array().map(Vec::len), Some(1));
    // By its name, too; of two of one name it has to be said which.
    let body = json!({"service": "shop", "environment": "management", "imageTag": "v3"});
    let answer = meanwhile(&w, c.post("/webhooks/deploy", body.clone())).await;
    answer.expect(200, json!({"halted": false}));
    let stack = w.stack("second").await;
    w.running(&stack, "shop", json!({"launchConfig": {"imageUuid": "sim:shop:v1"}}))
        .await;
    refused(c.post("/webhooks/deploy", body).await, 409, "CONFLICT");
}

#[actix_web::test]
async fn what_a_patch_says_of_it_waits_for_a_deployment() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let id = shop(&w).await;
    let path = format!("/services/{id}");
    let image = json!({"name": "other", "imageName": "sim:other"});
    let image = c.made(MANAGEMENT, "container-images", "image", image).await;
    let body = json!({"name": "shop", "containerImageId": image, "imageTag": "v7", "baseEnv": {"D": "${IMAGE_TAG}"},
        "deployStrategy": "parallel", "composeTemplate": null});
    c.patch(&path, body).await.expect(
        200,
        json!({"service": {"imageTag": "v7", "containerImageId": image, "baseEnv": r#"{"D":"${IMAGE_TAG}"}"#,
            "deployStrategy": "parallel"}}),
    );
    let native = w.get(&format!("services/{id}")).await.ok();
    assert_eq!(
        native["launchConfig"]["imageUuid"], "sim:shop:v1",
        "nothing that runs changes"
    );
    refused(
        c.delete(&format!("/container-images/{image}")).await,
        400,
        "VALIDATION_ERROR",
    );
    deploy(&c, &id, json!({})).await;
    let native = w.get(&format!("services/{id}")).await.ok();
    assert_eq!(
        (
            &native["launchConfig"]["imageUuid"],
            &native["launchConfig"]["environment"]
        ),
        (&json!("sim:other:v7"), &json!({"D": "v7"}))
    );
    let one = read(&c, &id).await;
    has(
        &one,
        &json!({"imageTag": "v7", "containerImageId": image, "baseEnv": r#"{"D":"v7"}"#, "deployStrategy": "parallel"}),
        "after it",
    );
    // What is changed elsewhere from then on shows.
    let mut launch = native["launchConfig"].clone();
    launch["imageUuid"] = json!("sim:shop:v9");
    let strategy = json!({"inServiceStrategy": {"launchConfig": launch, "batchSize": 2}});
    w.act(&id, "upgrade", strategy).await.ok();
    w.wait(&id, "upgraded").await;
    w.act(&id, "finishupgrade", json!({})).await.ok();
    w.wait(&id, "active").await;
    let one = read(&c, &id).await;
    has(
        &one,
        &json!({"imageTag": "v9", "containerImageId": null, "containerImage": {"imageName": "sim:shop"}}),
        "changed elsewhere",
    );
}

#[actix_web::test]
async fn what_is_said_where_it_was_made_is_refused_by_its_field() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let id = shop(&w).await;
    let (path, one) = (format!("/services/{id}"), format!("/services/{id}/deployments/{id}-1"));
    let server = c.server().await;
    let before = w.stored();
    for (body, field) in [
        (json!({"name": "renamed"}), "name"),
        (
            json!({"imageTag": "v2", "composeTemplate": "services: {}"}),
            "composeTemplate",
        ),
        (json!({"healthCheckUrl": "http://localhost/"}), "healthCheckUrl"),
    ] {
        let refusal = refused(c.patch(&path, body).await, 501, "SERVICE_UNAVAILABLE");
        assert_eq!(refusal["field"], field);
    }
    let place = json!({"serverId": server, "containerName": "shop-3"});
    refused(
        c.post(&format!("{path}/deployments"), place).await,
        501,
        "SERVICE_UNAVAILABLE",
    );
    refused(
        c.patch(&one, json!({"containerName": "x"})).await,
        501,
        "SERVICE_UNAVAILABLE",
    );
    refused(c.delete(&one).await, 501, "SERVICE_UNAVAILABLE");
    refused(
        c.post(&format!("{one}/deploy"), json!({})).await,
        501,
        "SERVICE_UNAVAILABLE",
    );
    refused(
        c.patch(&path, json!({"containerImageId": "1bpi999"})).await,
        400,
        "VALIDATION_ERROR",
    );
    let viewer = c.narrowed("viewer", &[]).await;
    refused(
        viewer.patch(&path, json!({"imageTag": "v2"})).await,
        403,
        "FORBIDDEN_ROLE",
    );
    viewer
        .get(&path)
        .await
        .expect(200, json!({"service": {"name": "shop"}}));
    let services = |lines: &[String]| -> Vec<String> {
        let of = lines
            .iter()
            .filter(|line| line.contains(" service ") || line.contains(" rollout "));
        of.cloned().collect()
    };
    assert_eq!(services(&w.stored()), services(&before));
    // One container is started anew, and the other one is not.
    c.post(&format!("{one}/restart"), json!({}))
        .await
        .expect(200, json!({"success": true}));
    for _ in 0..10 {
        w.advance(std::time::Duration::from_secs(1)).await;
    }
    let mut counts: Vec<i64> = w
        .containers(&id)
        .await
        .iter()
        .map(|row| row["startCount"].as_i64().unwrap_or(0))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
    c.send(Method::DELETE, &path, &[], None)
        .await
        .expect(200, json!({"success": true}));
    w.settle().await;
    assert!(listed(&c).await.is_empty());
}

#[actix_web::test]
async fn a_template_follows_what_its_service_was_changed_to_elsewhere_until_it_is_told_otherwise() {
    let w = World::new().await;
    let c = first(&w).await;
    let id = c.service("web", "sim:web", json!({"imageTag": "v1"})).await;
    let server = c.server().await;
    c.placed(&id, &server, "web", json!({})).await;
    deploy(&c, &id, json!({})).await;
    let native = text(&w.list("services").await[0], "id").to_owned();
    let to = async |image: &str| {
        let mut launch = w.get(&format!("services/{native}")).await.ok()["launchConfig"].clone();
        launch["imageUuid"] = json!(image);
        let strategy = json!({"inServiceStrategy": {"launchConfig": launch, "batchSize": 2}});
        w.act(&native, "upgrade", strategy).await.ok();
        w.wait(&native, "upgraded").await;
        w.act(&native, "finishupgrade", json!({})).await.ok();
        w.wait(&native, "active").await;
    };
    to("sim:web:v2").await;
    let image = read(&c, &id).await["containerImageId"].clone();
    assert!(image.is_string());
    assert_eq!(read(&c, &id).await["imageTag"], "v2");
    to("sim:else:v3").await;
    let one = read(&c, &id).await;
    has(
        &one,
        &json!({"imageTag": "v3", "containerImageId": null, "containerImage": {"imageName": "sim:else"}}),
        "another image",
    );
    // It is what is deployed, and stays so.
    deploy(&c, &id, json!({})).await;
    let running = w.get(&format!("services/{native}")).await.ok();
    assert_eq!(running["launchConfig"]["imageUuid"], "sim:else:v3");
    assert_eq!(read(&c, &id).await["imageTag"], "v3");
    // What is said here counts from then on.
    c.patch(&format!("/services/{id}"), json!({"containerImageId": image}))
        .await
        .expect(200, json!({"service": {"containerImageId": image, "imageTag": "v1"}}));
    deploy(&c, &id, json!({"imageTag": "v4"})).await;
    let running = w.get(&format!("services/{native}")).await.ok();
    assert_eq!(running["launchConfig"]["imageUuid"], "sim:web:v4");
    has(
        &read(&c, &id).await,
        &json!({"containerImageId": image, "imageTag": "v4"}),
        "at last",
    );
    // More containers of it are deployments that nobody placed here.
    w.put(&native, json!({"scale": 3})).await.ok();
    for _ in 0..10 {
        w.advance(std::time::Duration::from_secs(1)).await;
    }
    let all = read(&c, &id).await["serviceDeployments"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ids: Vec<&str> = all.iter().map(|one| text(one, "id")).collect();
    assert_eq!(ids[1..], [format!("{native}-2"), format!("{native}-3")]);
    let done = deploy(&c, &id, json!({"imageTag": "v5"})).await;
    assert_eq!(done["results"].as_array().map(Vec::len), Some(3));
    assert_eq!(w.containers(&native).await.len(), 3);
    let path = format!("/services/{id}/deployments/{}", ids[1]);
    refused(c.delete(&path).await, 501, "SERVICE_UNAVAILABLE");
}
