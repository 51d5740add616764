//! Deployments: what is brought to servers, in which order, and what the records say of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, first, meanwhile, refused};
use crate::support::{World, text};

/// A template on each of the simulated hosts, in the order of their names; the template and its deployments.
async fn spread(c: &Client<'_>, image: &str, more: Value) -> (String, Vec<String>) {
    let servers = c.get(&format!("/environments/{MANAGEMENT}/servers")).await.ok();
    let service = c.service("web", image, more).await;
    let mut deployments = Vec::new();
    for (at, server) in servers["servers"].as_array().into_iter().flatten().enumerate() {
        let more = json!({"envOverrides": {"PLACE": format!("place-{at}")}});
        deployments.push(c.placed(&service, text(server, "id"), &format!("web-{at}"), more).await);
    }
    (service, deployments)
}

async fn deploy(c: &Client<'_>, service: &str, body: Value) -> crate::support::Answer {
    let path = format!("/services/{service}/deploy");
    meanwhile(c.w, c.post(&path, body)).await
}

async fn history(c: &Client<'_>, service: &str) -> Vec<Value> {
    let answer = c
        .get(&format!("/services/{service}/deployments-history"))
        .await
        .expect(200, json!({}));
    answer["deployments"].as_array().cloned().unwrap_or_default()
}

#[actix_web::test]
async fn a_service_is_brought_to_its_servers_each_with_its_own_variables() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let (service, deployments) = spread(
        &c,
        "sim:web",
        json!({"imageTag": "v1", "baseEnv": {"A": "1", "PLACE": "none"}}),
    )
    .await;
    let answer = deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    assert_eq!(results.len(), 2, "{answer}");
    for (result, deployment) in results.iter().zip(&deployments) {
        assert_eq!(text(result, "serviceDeploymentId"), deployment);
        let record = &result["result"]["deployment"];
        assert_eq!(
            (text(record, "status"), text(record, "imageTag"), &record["previousTag"]),
            ("success", "v1", &Value::Null)
        );
    }
    let second = (
        results[1]["result"]["deployment"]["startedAt"].clone(),
        results[0]["result"]["deployment"]["completedAt"].clone(),
    );
    assert!(
        second.0.as_str() >= second.1.as_str(),
        "one after the other: {second:?}"
    );
    // It is a service of one container on each host, as Rancher's clients see it.
    let services = w.list("services?sort=id").await;
    assert_eq!(
        services.iter().map(|one| text(one, "name")).collect::<Vec<_>>(),
        ["web-0", "web-1"]
    );
    for (at, native) in services.iter().enumerate() {
        let launch = &native["launchConfig"];
        assert_eq!((text(native, "state"), &native["scale"]), ("active", &json!(1)));
        assert_eq!(launch["environment"], json!({"A": "1", "PLACE": format!("place-{at}")}));
        assert_eq!(launch["imageUuid"], "sim:web:v1");
        let containers = w.containers(text(native, "id")).await;
        assert_eq!(containers.len(), 1);
        assert_eq!(containers[0]["hostId"], launch["requestedHostId"]);
    }
    // And as Docker's clients do.
    let docker = w.get("/docker/v1.41/services").await.ok();
    assert_eq!(docker.as_array().map(Vec::len), Some(2));
    let read = c.get(&format!("/services/{service}")).await.ok();
    let shown = &read["service"]["serviceDeployments"][0];
    let words = ["status", "containerStatus", "healthStatus", "discoveryStatus"].map(|name| text(shown, name));
    assert_eq!(words, ["running", "running", "none", "found"]);
    assert!(shown["lastDeployedAt"].is_string());
    let records = history(&c, &service).await;
    assert_eq!(
        (records.len(), text(&records[0], "serviceDeploymentId")),
        (2, deployments[1].as_str()),
        "newest first"
    );
    let record = text(&records[1], "id");
    c.get(&format!("/deployments/{record}")).await.expect(
        200,
        json!({"deployment": {"status": "success", "triggeredBy": "First"}}),
    );
    let files = c
        .get(&format!("/deployments/{record}/artifacts"))
        .await
        .expect(200, json!({}));
    assert_eq!(text(&files["artifacts"][1], "content"), "A=1\nPLACE=place-0\n");
    refused(c.get("/deployments/1ro999").await, 404, "NOT_FOUND");
}

#[actix_web::test]
async fn another_tag_is_kept_and_the_one_before_is_told_once() {
    let w = World::new().await;
    let c = first(&w).await;
    let (service, deployments) = spread(&c, "sim:web", json!({"imageTag": "v1"})).await;
    deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    let old = w.containers(text(&w.list("services").await[0], "id")).await;
    let path = format!("/services/{service}/deployments/{}/deploy", deployments[0]);
    let dry = c.post(&format!("{path}?dryRun=true"), json!({"imageTag": "v2"})).await.expect(200, json!({
        "dryRun": true, "serviceId": service, "serviceDeploymentId": deployments[0], "imageTag": "v2", "containerAction": "cycle",
        "wouldSucceed": true, "env": {"PLACE": "place-0"}, "warnings": [],
    }));
    assert!(text(&dry, "composeContent").contains("sim:web:v2"));
    let dry = c
        .send(
            actix_web::http::Method::POST,
            &path,
            &[("x-dry-run", "true")],
            Some(json!({})),
        )
        .await;
    dry.expect(200, json!({"dryRun": true, "imageTag": "v1"}));
    assert_eq!(history(&c, &service).await.len(), 1, "nothing was done");
    let body = json!({"imageTag": "v2", "generateArtifacts": false});
    let answer = meanwhile(&w, c.post(&path, body)).await;
    let answer = answer.expect(
        200,
        json!({"previousTag": "v1", "deployment": {"status": "success", "imageTag": "v2", "previousTag": "v1"}}),
    );
    assert!(text(&answer, "logs").contains("asked for sim:web:v2"), "{answer}");
    c.get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"imageTag": "v2"}}));
    let native = w.list("services").await;
    assert_eq!(
        (text(&native[0], "state"), &native[0]["launchConfig"]["imageUuid"]),
        ("active", &json!("sim:web:v2"))
    );
    let new = w.containers(text(&native[0], "id")).await;
    assert_eq!((new.len(), new[0]["id"] != old[0]["id"]), (1, true));
    let record = text(&answer["deployment"], "id").to_owned();
    c.get(&format!("/deployments/{record}/artifacts"))
        .await
        .expect(200, json!({"artifacts": []}));
}

#[actix_web::test]
async fn the_first_failure_stops_those_in_turn_and_none_that_go_at_once() {
    for (strategy, records, halted) in [("sequential", 1, true), ("parallel", 2, false)] {
        let w = World::with_hosts(&["sim", "sim2"]).await;
        let c = first(&w).await;
        let (service, deployments) = spread(&c, "sim:fail", json!({"imageTag": "start"})).await;
        let answer = deploy(&c, &service, json!({"strategy": strategy}))
            .await
            .expect(200, json!({"halted": halted}));
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        assert_eq!(results.len(), records, "{strategy}: {answer}");
        assert_eq!(text(&results[0], "serviceDeploymentId"), deployments[0]);
        assert!(!text(&results[0], "error").is_empty());
        assert_eq!(results[0]["result"]["deployment"]["status"], "failed");
        let told = history(&c, &service).await;
        assert_eq!(told.len(), records, "{strategy}");
        assert!(told.iter().all(|one| text(one, "status") == "failed"), "{told:?}");
        // What is put right is brought there by the next one.
        let image = text(
            &c.get(&format!("/services/{service}")).await.ok()["service"],
            "containerImageId",
        )
        .to_owned();
        let good = c
            .made(
                MANAGEMENT,
                "container-images",
                "image",
                json!({"name": "good", "imageName": "sim:web"}),
            )
            .await;
        assert_ne!(image, good);
        c.patch(&format!("/services/{service}"), json!({"containerImageId": good}))
            .await
            .ok();
        let answer = deploy(&c, &service, json!({"strategy": strategy}))
            .await
            .expect(200, json!({"halted": false}));
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        assert!(
            results.len() == 2 && results.iter().all(|one| one.get("error").is_none()),
            "{strategy}: {answer}"
        );
    }
}

#[actix_web::test]
async fn health_is_waited_for_and_says_whether_it_went_well() {
    let w = World::new().await;
    let c = first(&w).await;
    let more = json!({"healthCheckUrl": "http://localhost:8080/health?x=1", "healthWaitMs": 1_000, "healthRetries": 2, "healthIntervalMs": 500});
    let (service, deployments) = spread(&c, "sim:web", more).await;
    deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    let native = w.list("services").await;
    let check = &native[0]["launchConfig"]["healthCheck"];
    let expected = json!({"port": 8080, "requestLine": "GET /health?x=1 HTTP/1.0", "interval": 500, "unhealthyThreshold": 2, "initializingTimeout": 2_000, "strategy": "none"});
    crate::support::has(check, &expected, "the check");
    let read = c.get(&format!("/services/{service}")).await.ok();
    assert_eq!(read["service"]["serviceDeployments"][0]["status"], "healthy");
    let path = format!("/services/{service}/deployments/{}/health", deployments[0]);
    c.post(&path, json!({}))
        .await
        .expect(200, json!({"healthStatus": "healthy", "containerStatus": "running"}));
    c.patch(
        &format!("/services/{service}"),
        json!({"healthCheckUrl": "https://elsewhere.example/health"}),
    )
    .await
    .ok();
    let refusal = refused(
        c.post(&format!("/services/{service}/deploy"), json!({})).await,
        501,
        "SERVICE_UNAVAILABLE",
    );
    assert_eq!(refusal["field"], "healthCheckUrl");
}

#[actix_web::test]
async fn what_cannot_be_brought_anywhere_is_refused_and_nothing_is_made() {
    let w = World::new().await;
    let c = first(&w).await;
    let service = c.service("web", "sim:web", json!({})).await;
    let path = format!("/services/{service}/deploy");
    assert_eq!(
        refused(c.post(&path, json!({})).await, 400, "VALIDATION_ERROR")["message"],
        "The service has no deployments"
    );
    let server = c
        .made(
            MANAGEMENT,
            "servers",
            "server",
            json!({"name": "far", "hostname": "far.example"}),
        )
        .await;
    let deployment = c.placed(&service, &server, "web-1", json!({})).await;
    let before = w.stored();
    let refusal = refused(c.post(&path, json!({"imageTag": "v9"})).await, 400, "VALIDATION_ERROR");
    assert_eq!(refusal["field"], "serverId");
    assert_eq!(w.stored(), before);
    let one = format!("/services/{service}/deployments/{deployment}");
    let dry = c
        .post(&format!("{one}/deploy?dryRun=true"), json!({}))
        .await
        .expect(200, json!({"wouldSucceed": false}));
    assert!(text(&dry, "error").contains("far"), "{dry}");
    refused(
        c.post(&format!("{one}/restart"), json!({})).await,
        400,
        "VALIDATION_ERROR",
    );
    refused(
        c.post(&format!("{one}/health"), json!({})).await,
        400,
        "VALIDATION_ERROR",
    );
    c.get(&format!("{one}/logs")).await.expect(200, json!({"logs": ""}));
    refused(c.get(&format!("{one}/logs?tail=10001")).await, 400, "VALIDATION_ERROR");
    refused(c.delete(&format!("/servers/{server}")).await, 409, "CONFLICT");
}

#[actix_web::test]
async fn what_runs_is_restarted_read_and_goes_with_its_deployment() {
    let w = World::new().await;
    let c = first(&w).await;
    let (service, deployments) = spread(&c, "sim:web", json!({})).await;
    deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    let one = format!("/services/{service}/deployments/{}", deployments[0]);
    c.get(&format!("{one}/logs?tail=5")).await.expect(200, json!({}));
    c.post(&format!("{one}/restart"), json!({}))
        .await
        .expect(200, json!({"success": true}));
    let native = text(&w.list("services").await[0], "id").to_owned();
    w.wait(&native, "active").await;
    assert_eq!(w.containers(&native).await[0]["startCount"], 2);
    // What Rancher's clients stop shows here.
    w.act(&native, "deactivate", json!({})).await.ok();
    w.wait(&native, "inactive").await;
    let read = c.get(&format!("/services/{service}")).await.ok();
    let shown = &read["service"]["serviceDeployments"][0];
    assert_eq!(
        (text(shown, "status"), text(shown, "containerStatus")),
        ("stopped", "exited")
    );
    deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    w.wait(&native, "active").await;
    c.delete(&one).await.expect(200, json!({"success": true}));
    for _ in 0..20 {
        w.advance(Duration::from_secs(1)).await;
    }
    assert!(w.list("services").await.is_empty());
}

#[actix_web::test]
async fn a_service_is_deployed_by_its_name() {
    let w = World::new().await;
    let c = first(&w).await;
    let (service, _) = spread(&c, "sim:web", json!({})).await;
    let body = json!({"service": "web", "environment": "management", "imageTag": "v3"});
    let answer = meanwhile(&w, c.post("/webhooks/deploy", body)).await;
    answer.expect(200, json!({"halted": false}));
    c.get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"imageTag": "v3"}}));
    refused(
        c.post(
            "/webhooks/deploy",
            json!({"service": "none", "environment": "management"}),
        )
        .await,
        404,
        "NOT_FOUND",
    );
    refused(
        c.post("/webhooks/deploy", json!({"service": "web", "environment": "none"}))
            .await,
        404,
        "NOT_FOUND",
    );
}

#[actix_web::test]
async fn a_second_deployment_of_what_is_being_deployed_is_refused() {
    let w = World::new().await;
    let c = first(&w).await;
    let (service, _) = spread(&c, "sim:slow", json!({"imageTag": "5000"})).await;
    let path = format!("/services/{service}/deploy");
    let first = c.post(&path, json!({}));
    let mut first = std::pin::pin!(first);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), &mut first)
            .await
            .is_err(),
        "it waits"
    );
    assert_eq!(history(&c, &service).await[0]["status"], "pending");
    refused(c.post(&path, json!({})).await, 409, "CONFLICT");
    meanwhile(&w, first).await.expect(200, json!({"halted": false}));
}

#[actix_web::test]
async fn a_deployment_goes_on_after_the_server_was_killed() {
    let mut w = World::with_hosts(&["sim", "sim2"]).await;
    let (service, token) = {
        let c = first(&w).await;
        let (service, _) = spread(&c, "sim:web", json!({"imageTag": "v1"})).await;
        let path = format!("/services/{service}/deploy");
        let request = c.post(&path, json!({"imageTag": "v2"}));
        let mut request = std::pin::pin!(request);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), &mut request)
                .await
                .is_err(),
            "it waits"
        );
        (service, c.token.clone())
    };
    w.restart().await;
    for _ in 0..60 {
        w.advance(Duration::from_secs(1)).await;
    }
    let c = Client { w: &w, token };
    let records = history(&c, &service).await;
    assert!(
        records.len() == 2 && records.iter().all(|one| text(one, "status") == "success"),
        "{records:?}"
    );
    c.get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"imageTag": "v2"}}));
}

#[actix_web::test]
async fn a_first_deployment_makes_all_or_nothing() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    let stack = w.stack("web").await;
    w.running(&stack, "web-1", json!({"launchConfig": {"imageUuid": "sim:web"}}))
        .await;
    let (service, deployments) = spread(&c, "sim:web", json!({"imageTag": "v1"})).await;
    let before = w.stored();
    let path = format!("/services/{service}/deploy");
    let refusal = refused(c.post(&path, json!({"imageTag": "v2"})).await, 409, "CONFLICT");
    assert_eq!(refusal["field"], "containerName");
    let made = |lines: &[String]| {
        let kinds = [" service ", " stack ", " rollout "];
        let is_one = |line: &&String| kinds.iter().any(|kind| line.contains(kind));
        lines.iter().filter(is_one).count()
    };
    assert_eq!(
        made(&w.stored()),
        made(&before),
        "nothing is made of the one that could be"
    );
    c.get(&format!("/services/{service}"))
        .await
        .expect(200, json!({"service": {"imageTag": "v1"}}));
    assert!(history(&c, &service).await.is_empty());
    let path = format!("/services/{service}/deployments/{}", deployments[1]);
    c.patch(&path, json!({"containerName": "web-two"})).await.ok();
    deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    let services = w.list("services?sort=name").await;
    let names: Vec<&str> = services.iter().map(|one| text(one, "name")).collect();
    assert_eq!(names, ["web-0", "web-1", "web-two"]);
    assert!(
        services.iter().all(|one| one["stackId"] == services[1]["stackId"]),
        "in the stack that was there"
    );
}

#[actix_web::test]
async fn what_never_gets_ready_has_failed_after_a_quarter_of_an_hour_and_the_next_one_takes_its_place() {
    let w = World::with_hosts(&["sim", "sim2"]).await;
    let c = first(&w).await;
    // Its probes fail, and for an hour that does not count.
    let file = "services:\n  ${CONTAINER_NAME}:\n    image: ${FULL_IMAGE}\n    labels:\n      sim.health: unhealthy\n";
    let more = json!({"composeTemplate": file, "healthCheckUrl": "http://localhost/", "healthWaitMs": 3_600_000,
        "healthIntervalMs": 60_000});
    let (service, _) = spread(&c, "sim:web", more).await;
    let path = format!("/services/{service}/deploy");
    let headers = [("prefer", "respond-async")];
    let asked = c
        .send(actix_web::http::Method::POST, &path, &headers, Some(json!({})))
        .await;
    asked.expect(200, json!({"halted": false}));
    for _ in 0..30 {
        w.advance(Duration::from_secs(28)).await;
    }
    assert_eq!(
        history(&c, &service).await[0]["status"],
        "pending",
        "the second one waits"
    );
    for _ in 0..4 {
        w.advance(Duration::from_secs(28)).await;
    }
    let records = history(&c, &service).await;
    assert_eq!(
        (records.len(), text(&records[0], "status")),
        (1, "failed"),
        "the second one is skipped"
    );
    assert!(
        text(&records[0], "logs").contains("it took longer than 15 minutes: "),
        "{records:?}"
    );
    let native = w.list("services?sort=id").await;
    assert_eq!(
        (text(&native[0], "state"), text(&native[1], "state")),
        ("upgrading", "inactive")
    );
    // It is left as it is, and another deployment takes its place.
    let body = json!({"composeTemplate": null, "healthCheckUrl": null});
    c.patch(&format!("/services/{service}"), body).await.ok();
    deploy(&c, &service, json!({}))
        .await
        .expect(200, json!({"halted": false}));
    let records = history(&c, &service).await;
    assert!(
        records.len() == 3 && records[..2].iter().all(|one| text(one, "status") == "success"),
        "{records:?}"
    );
    assert!(
        w.list("services")
            .await
            .iter()
            .all(|one| text(one, "state") == "active")
    );
}

#[actix_web::test]
async fn what_cannot_be_begun_has_failed_after_a_quarter_of_an_hour() {
    let w = World::new().await;
    let c = first(&w).await;
    let range = json!({"servicesPortRange": {"startPort": 50_000, "endPort": 50_000}});
    w.put("/v2-beta/projects/1a5", range).await.ok();
    let stack = w.stack("other").await;
    let taken = json!({"launchConfig": {"imageUuid": "sim:web", "ports": ["80"]}});
    w.running(&stack, "taken", taken).await;
    let file = "services:\n  web-0:\n    image: ${FULL_IMAGE}\n    ports: [\"80\"]\n";
    let (service, _) = spread(&c, "sim:web", json!({"composeTemplate": file})).await;
    let path = format!("/services/{service}/deploy");
    let headers = [("prefer", "respond-async")];
    let asked = c
        .send(actix_web::http::Method::POST, &path, &headers, Some(json!({})))
        .await;
    asked.expect(200, json!({"halted": false}));
    for _ in 0..33 {
        assert_eq!(history(&c, &service).await[0]["status"], "pending");
        w.advance(Duration::from_secs(27)).await;
    }
    w.advance(Duration::from_secs(30)).await;
    let record = history(&c, &service).await.remove(0);
    assert_eq!(text(&record, "status"), "failed", "{record}");
    assert!(
        text(&record, "logs").contains("it took longer than 15 minutes: "),
        "{record}"
    );
}
