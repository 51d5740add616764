//! Webhooks of BRIDGEPORT's environments: subscriptions, what is told of deployments, and the log of it.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, first, meanwhile, refused};
use crate::receiver::Receiver;
use crate::support::{World, has, text};

/// Messages may go to this machine, and without TLS.
async fn permit(w: &World) {
    for name in ["webhooks.allow.http", "webhooks.allow.private"] {
        w.put(&format!("/v2-beta/settings/{name}"), json!({"value": "true"}))
            .await
            .ok();
    }
}

fn hooks() -> String {
    format!("/environments/{MANAGEMENT}/webhooks")
}

async fn subscribed(c: &Client<'_>, body: Value) -> String {
    let made = c.post(&hooks(), body).await.expect(201, json!({}));
    text(&made["subscription"], "id").to_owned()
}

/// The log of a subscription.
async fn log(c: &Client<'_>, id: &str) -> Vec<Value> {
    let answer = c
        .get(&format!("{}/{id}/deliveries", hooks()))
        .await
        .expect(200, json!({"limit": 25, "offset": 0}));
    answer["deliveries"].as_array().cloned().unwrap_or_default()
}

/// A template of an image on the server, deployed.
async fn deployed(c: &Client<'_>, name: &str, image: &str, tag: &str) -> (String, Value) {
    let service = c.service(name, image, json!({"imageTag": tag})).await;
    let server = c.server().await;
    c.placed(&service, &server, &format!("{name}-1"), json!({})).await;
    let path = format!("/services/{service}/deploy");
    let answer = meanwhile(c.w, c.post(&path, json!({}))).await.expect(200, json!({}));
    (service, answer)
}

#[actix_web::test]
async fn webhooks_are_made_read_changed_and_ended_and_their_secrets_told_to_nobody() {
    let w = World::new().await;
    let c = first(&w).await;
    c.get(&hooks()).await.expect(200, json!({"subscriptions": []}));
    let body = json!({"url": "https://ci.example/hook", "secret": "kept-to-itself", "events": ["deployment.failed"]});
    let made = c.post(&hooks(), body.clone()).await.expect(
        201,
        json!({"subscription": {"url": "https://ci.example/hook", "events": ["deployment.failed"], "hasSecret": true,
            "enabled": true, "environmentId": MANAGEMENT}}),
    );
    let path = format!("{}/{}", hooks(), text(&made["subscription"], "id"));
    assert_eq!(c.get(&path).await.ok(), made);
    c.get(&hooks())
        .await
        .expect(200, json!({"subscriptions": [made["subscription"]]}));
    refused(c.post(&hooks(), body).await, 409, "CONFLICT");
    let other = json!({"url": "https://ci.example/hook", "events": ["deployment.completed"], "enabled": false});
    let newer = c
        .post(&hooks(), other)
        .await
        .expect(201, json!({"subscription": {"hasSecret": false, "enabled": false}}));
    let listed = c.get(&hooks()).await.ok();
    assert_eq!(listed["subscriptions"][0], newer["subscription"], "newest first");
    let change = json!({"events": ["deployment.failed", "deployment.completed"], "enabled": false});
    c.patch(&path, change).await.expect(
        200,
        json!({"subscription": {"hasSecret": true, "enabled": false, "url": "https://ci.example/hook",
            "events": ["deployment.failed", "deployment.completed"]}}),
    );
    c.patch(&path, json!({"secret": null}))
        .await
        .expect(200, json!({"subscription": {"hasSecret": false, "enabled": false}}));
    assert!(!w.stored().iter().any(|line| line.contains("kept-to-itself")));
    let audit = w.list("/v2-beta/auditlogs?limit=100").await;
    assert!(!json!(audit).to_string().contains("kept-to-itself"));
    c.delete(&path).await.expect(200, json!({"success": true}));
    refused(c.get(&path).await, 404, "NOT_FOUND");
    refused(c.get(&format!("{path}/deliveries")).await, 404, "NOT_FOUND");
    refused(c.delete(&path).await, 404, "NOT_FOUND");
    // An environment that is not there has none, and gets none.
    c.get("/environments/1a999/webhooks")
        .await
        .expect(200, json!({"subscriptions": []}));
    let body = json!({"url": "https://ci.example/", "events": ["deployment.failed"]});
    refused(c.post("/environments/1a999/webhooks", body).await, 404, "NOT_FOUND");
}

#[actix_web::test]
async fn a_webhook_that_is_wrong_is_refused_by_its_field_and_changes_nothing() {
    let w = World::new().await;
    let c = first(&w).await;
    let good = ["deployment.failed"];
    let id = subscribed(&c, json!({"url": "https://ci.example/", "events": good})).await;
    let path = format!("{}/{id}", hooks());
    let before = w.stored();
    for (body, status, field) in [
        (json!({"url": "https://127.0.0.1/", "events": good}), 400, "url"),
        (json!({"url": "https://10.0.0.1/", "events": good}), 400, "url"),
        (json!({"url": "https://169.254.169.254/", "events": good}), 400, "url"),
        (json!({"url": "https://[::1]/", "events": good}), 400, "url"),
        (json!({"url": "http://ci.example/", "events": good}), 400, "url"),
        (json!({"url": "nonsense", "events": good}), 400, "url"),
        (json!({"url": 1, "events": good}), 400, "url"),
        (json!({"url": "https://a.example/", "events": []}), 400, "events"),
        (
            json!({"url": "https://a.example/", "events": ["deployment.began"]}),
            400,
            "events",
        ),
        (
            json!({"url": "https://a.example/", "events": ["deployment.failed", "backup.failed"]}),
            501,
            "events",
        ),
        (
            json!({"url": "https://a.example/", "events": good, "enabled": "yes"}),
            400,
            "enabled",
        ),
        (
            json!({"url": "https://a.example/", "events": good, "secret": 7}),
            400,
            "secret",
        ),
    ] {
        let code = if status == 400 {
            "VALIDATION_ERROR"
        } else {
            "SERVICE_UNAVAILABLE"
        };
        for method in [Method::POST, Method::PATCH] {
            let to = if method == Method::POST { hooks() } else { path.clone() };
            let refusal = refused(c.send(method, &to, &[], Some(body.clone())).await, status, code);
            assert_eq!(refusal["field"], field, "{body}");
        }
    }
    for body in [json!({}), json!({"url": "https://a.example/"}), json!({"events": good})] {
        refused(c.post(&hooks(), body).await, 400, "VALIDATION_ERROR");
    }
    let after = w.stored();
    let webhooks = |lines: &[String]| lines.iter().filter(|line| line.contains("outgoingWebhook ")).count();
    assert_eq!(webhooks(&before), webhooks(&after));
}

#[actix_web::test]
async fn who_looks_reads_webhooks_and_a_token_of_the_environment_makes_them() {
    let w = World::new().await;
    let c = first(&w).await;
    let viewer = c.narrowed("viewer", &[]).await;
    let own = c.narrowed("operator", &[MANAGEMENT]).await;
    let body = json!({"url": "https://ci.example/", "events": ["deployment.failed"]});
    let id = subscribed(&own, body.clone()).await;
    viewer.get(&format!("{}/{id}", hooks())).await.expect(200, json!({}));
    viewer
        .get(&format!("{}/{id}/deliveries", hooks()))
        .await
        .expect(200, json!({"total": 0}));
    refused(viewer.post(&hooks(), body).await, 403, "FORBIDDEN_ROLE");
    refused(
        viewer
            .patch(&format!("{}/{id}", hooks()), json!({"enabled": false}))
            .await,
        403,
        "FORBIDDEN_ROLE",
    );
    refused(viewer.delete(&format!("{}/{id}", hooks())).await, 403, "FORBIDDEN_ROLE");
    // One of another environment is not there.
    let made = c.post("/environments", json!({"name": "staging"})).await.ok();
    let other = text(&made["environment"], "id").to_owned();
    refused(
        c.get(&format!("/environments/{other}/webhooks/{id}")).await,
        404,
        "NOT_FOUND",
    );
    refused(
        own.get(&format!("/environments/{other}/webhooks")).await,
        403,
        "FORBIDDEN_SCOPE",
    );
}

#[actix_web::test]
async fn how_deployments_end_is_told_signed_and_logged() {
    let w = World::new().await;
    permit(&w).await;
    let c = first(&w).await;
    let receiver = Receiver::new();
    let both = ["deployment.completed", "deployment.failed"];
    let id = subscribed(&c, json!({"url": receiver.url, "secret": "Jefe", "events": both})).await;
    let (service, answer) = deployed(&c, "web", "sim:web", "v1").await;
    let record = &answer["results"][0]["result"]["deployment"];
    w.settle().await;
    let told = receiver.wait(1).remove(0);
    has(
        &told.body,
        &json!({"event": "deployment.completed", "environmentId": MANAGEMENT, "data": {
            "deploymentId": record["id"], "serviceId": service, "serviceName": "web", "serverName": "sim",
            "serviceDeploymentId": record["serviceDeploymentId"], "imageName": "sim:web", "imageTag": "v1",
            "status": "success"}}),
        "completed",
    );
    assert!(told.body["timestamp"].is_string() && told.body["data"].get("error").is_none());
    let signed = drover::secret::message_signature("Jefe", &told.text);
    let row = log(&c, &id).await.remove(0);
    for header in [
        format!("x-bridgeport-signature: sha256={signed}"),
        "x-bridgeport-event: deployment.completed".to_owned(),
        format!("x-bridgeport-delivery: {}", text(&row, "id")),
    ] {
        assert!(told.head.contains(&header), "{header}: {}", told.head);
    }
    has(
        &row,
        &json!({"event": "deployment.completed", "status": "delivered", "attempts": 1, "responseStatus": 204,
            "lastError": null, "nextAttemptAt": null}),
        "the log",
    );
    assert!(row["deliveredAt"].is_string() && row.get("payload").is_none());
    // A failure is told with its reason, and tried again while nobody takes it.
    receiver.answer(500);
    let (_, answer) = deployed(&c, "bad", "sim:fail", "start").await;
    let error = text(&answer["results"][0], "error").to_owned();
    w.settle().await;
    receiver.wait(2);
    let row = log(&c, &id).await.remove(0);
    has(
        &row,
        &json!({"event": "deployment.failed", "status": "failed", "attempts": 1, "responseStatus": 500,
            "lastError": "answered 500", "deliveredAt": null}),
        "the log",
    );
    assert!(row["nextAttemptAt"].as_str() > row["createdAt"].as_str(), "{row}");
    receiver.answer(204);
    w.advance(Duration::from_secs(5)).await;
    let told = receiver.wait(3).remove(2);
    has(
        &told.body,
        &json!({"event": "deployment.failed", "data": {"serviceName": "bad", "status": "failed", "error": error}}),
        "failed",
    );
    let row = log(&c, &id).await.remove(0);
    has(
        &row,
        &json!({"status": "delivered", "attempts": 2, "nextAttemptAt": null}),
        "the log",
    );
    let page = c.get(&format!("{}/{id}/deliveries?limit=1&offset=1", hooks())).await;
    page.expect(
        200,
        json!({"total": 2, "limit": 1, "offset": 1, "deliveries": [{"event": "deployment.completed"}]}),
    );
}

#[actix_web::test]
async fn only_what_was_asked_for_is_told_and_nothing_to_who_is_turned_off() {
    let w = World::new().await;
    permit(&w).await;
    let c = first(&w).await;
    let (failures, off) = (Receiver::new(), Receiver::new());
    subscribed(&c, json!({"url": failures.url, "events": ["deployment.failed"]})).await;
    let body = json!({"url": off.url, "events": ["deployment.completed"], "enabled": false});
    let sleeping = subscribed(&c, body).await;
    deployed(&c, "web", "sim:web", "v1").await;
    w.settle().await;
    assert!(failures.all().is_empty() && off.all().is_empty());
    assert!(log(&c, &sleeping).await.is_empty());
    // What waits for its next attempt goes nowhere once it is turned off.
    off.answer(500);
    let path = format!("{}/{sleeping}", hooks());
    c.patch(&path, json!({"enabled": true})).await.ok();
    deployed(&c, "two", "sim:web", "v1").await;
    w.settle().await;
    off.wait(1);
    c.patch(&path, json!({"enabled": false})).await.ok();
    w.advance(Duration::from_secs(600)).await;
    off.wait(1);
    let row = log(&c, &sleeping).await.remove(0);
    has(&row, &json!({"status": "failed", "nextAttemptAt": null}), "the log");
    assert!(failures.all().is_empty());
}

#[actix_web::test]
async fn the_end_of_a_deployment_is_told_though_the_server_dies_at_any_commit() {
    for commits in (0..).step_by(3) {
        let mut w = World::new().await;
        permit(&w).await;
        let receiver = Receiver::new();
        let (token, path) = {
            let c = first(&w).await;
            let body = json!({"url": receiver.url, "events": ["deployment.completed", "deployment.failed"]});
            subscribed(&c, body).await;
            let service = c.service("web", "sim:web", json!({})).await;
            let server = c.server().await;
            c.placed(&service, &server, "web-1", json!({})).await;
            (c.token.clone(), format!("/services/{service}/deploy"))
        };
        w.die_after(commits);
        let is_asked = {
            let c = Client {
                w: &w,
                token: token.clone(),
            };
            let headers = [("prefer", "respond-async")];
            let answer = c.send(Method::POST, &path, &headers, Some(json!({}))).await;
            for _ in 0..20 {
                w.advance(Duration::from_millis(500)).await;
            }
            answer.status == 200
        };
        let died = w.is_dead();
        w.restart().await;
        let c = Client { w: &w, token };
        c.get(&hooks()).await.ok();
        for _ in 0..60 {
            w.advance(Duration::from_millis(500)).await;
        }
        let all = receiver.all();
        if is_asked {
            assert!(!all.is_empty() && all.len() <= 2, "{commits}: {all:?}");
            assert!(all.iter().all(|one| one.text == all[0].text));
            assert_eq!(all[0].body["event"], "deployment.completed");
        }
        if !died {
            assert!(commits >= 9, "{commits}");
            return;
        }
    }
}
