//! Receivers: who makes and sees them, what their addresses do, and what they cannot do.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::project_isolation::{key, send, user};
use crate::support::{Answer, World, text};

const RECEIVERS: &str = "/v1-webhooks/receivers?projectId=1a5";

fn scaling(service: &str, action: &str, more: Value) -> Value {
    let mut config = json!({"serviceId": service, "action": action, "amount": 2, "min": 1, "max": 4});
    crate::support::lay_over(&mut config, more);
    json!({"name": action, "driver": "scaleService", "scaleServiceConfig": config})
}

fn upgrading() -> Value {
    let config = json!({"serviceSelector": {"app": "web"}, "tag": "latest", "batchSize": 2, "intervalMillis": 1});
    json!({"name": "pushed", "driver": "serviceUpgrade", "serviceUpgradeConfig": config})
}

fn forwarding(more: Value) -> Value {
    let mut config = json!({"projectId": "1a5", "serviceName": "s/web", "port": "8080", "path": "/v1/hook?of=it"});
    crate::support::lay_over(&mut config, more);
    json!({"name": "passed on", "driver": "forwardPost", "forwardPostConfig": config})
}

fn push(image: &str, tag: &str) -> Value {
    json!({"push_data": {"tag": tag, "pusher": "acme"}, "repository": {"repo_name": image}})
}

/// The path of a receiver's address.
fn address(receiver: &Value) -> String {
    let url = text(receiver, "url");
    let at = url.find("/v1-webhooks").expect("an address");
    url[at..].to_owned()
}

/// A call by somebody who shows nothing.
async fn call(w: &World, path: &str, body: Value) -> Answer {
    w.post(path, body).await
}

async fn made(w: &World, body: Value) -> Value {
    let row = w.post(RECEIVERS, body).await.expect(200, json!({"type": "receiver"}));
    w.settle().await;
    row
}

#[actix_web::test]
async fn a_receiver_is_made_listed_called_and_removed() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let row = made(&w, scaling(&id, "up", json!({}))).await;
    assert_eq!(row["scaleServiceConfig"]["type"], "scaleService");
    let receiver = text(&row, "id").to_owned();
    let list = w
        .get(RECEIVERS)
        .await
        .expect(200, json!({"type": "collection", "resourceType": "receiver"}));
    assert_eq!(list["data"][0]["url"], row["url"]);
    assert_eq!(list["data"][0]["state"], "active");
    let one = format!("/v1-webhooks/receivers/{receiver}?projectId=1a5");
    w.get(&one).await.expect(
        200,
        json!({"id": receiver, "driver": "scaleService", "url": row["url"]}),
    );
    let url = address(&row);
    call(&w, &url, json!({})).await.expect(200, json!({}));
    w.wait(&id, "active").await;
    w.settle().await;
    assert_eq!(w.show(&id).await["scale"], 3);
    assert_eq!(w.containers(&id).await.len(), 3);
    let said = call(&w, &url, json!({})).await.expect(400, json!({"type": "error"}));
    assert_eq!(said["message"], "Cannot scale above provided max scale value");
    assert_eq!(w.show(&id).await["scale"], 3);
    let down = made(&w, scaling(&id, "down", json!({}))).await;
    call(&w, &address(&down), Value::Null).await.expect(200, json!({}));
    w.wait(&id, "active").await;
    assert_eq!(w.show(&id).await["scale"], 1);
    let said = call(&w, &address(&down), json!({}))
        .await
        .expect(400, json!({"type": "error"}));
    assert_eq!(said["message"], "Cannot scale below provided min scale value");
    w.delete(&one)
        .await
        .expect(200, json!({"id": receiver, "state": "removed"}));
    call(&w, &url, json!({})).await.expect(403, json!({"type": "error"}));
    w.settle().await;
    w.get(&one).await.expect(404, json!({"type": "error"}));
    assert_eq!(w.get(RECEIVERS).await.ok()["data"].as_array().map(Vec::len), Some(1));
    // It is in the audit log, as what it is.
    let log = w.list("/v2-beta/auditlogs?eventType=api.genericObject.execute").await;
    assert_eq!(log.len(), 2, "{log:#?}");
}

#[actix_web::test]
async fn a_push_upgrades_the_services_with_the_labels_and_finishes() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    // There is no engine for these images here: none is made.
    let labelled = json!({"scale": 0, "launchConfig": {"imageUuid": "docker:acme/web:old", "labels": {"app": "web"}}});
    let id = w.service(&stack, "web", labelled.clone()).await;
    let other = w.running(&stack, "other", json!({})).await;
    let busy = w.service(&stack, "busy", labelled).await;
    let row = made(&w, upgrading()).await;
    let url = address(&row);
    // Another tag is nobody's affair.
    call(&w, &url, push("acme/web", "dev")).await.expect(200, json!({}));
    assert_eq!(w.show(&id).await["state"], "inactive");
    let upgraded = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "docker:acme/web:other", "labels": {"app": "web"}}}});
    w.act(&busy, "upgrade", upgraded).await.ok();
    call(&w, &url, push("acme/web", "latest")).await.expect(200, json!({}));
    let row = w.show(&id).await;
    assert_eq!(row["state"], "upgrading");
    assert_eq!(row["launchConfig"]["imageUuid"], "docker:acme/web:latest");
    assert_eq!(
        row["launchConfig"]["labels"]["io.rancher.container.pull_image"],
        "always"
    );
    assert_eq!(row["upgrade"]["inServiceStrategy"]["intervalMillis"], 1000);
    assert_eq!(w.show(&other).await["launchConfig"]["imageUuid"], "sim:web");
    assert_eq!(
        w.show(&busy).await["launchConfig"]["imageUuid"],
        "docker:acme/web:other"
    );
    let log = w
        .list(&format!(
            "servicelogs?serviceId={busy}&eventType=service.upgrade.skipped"
        ))
        .await;
    assert!(
        text(&log[0], "description").contains("finishupgrade or rollback comes first"),
        "{log:#?}"
    );
    // When all are upgraded it finishes by itself.
    w.wait(&id, "active").await;
    let registry = json!({"events": [{"action": "push", "target": {"repository": "acme/web", "tag": "latest"}, "request": {"host": "r.example"}}]});
    call(&w, &url, registry).await.expect(200, json!({}));
    assert_eq!(
        w.show(&id).await["launchConfig"]["imageUuid"],
        "docker:r.example/acme/web:latest"
    );
}

#[actix_web::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let pushed = address(&made(&w, upgrading()).await);
    let before = w.stored();
    for (body, status) in [
        (json!({"driver": "scaleService"}), 400),
        (json!({"name": "a"}), 400),
        (json!({"name": "a", "driver": "nothing"}), 400),
        (json!({"name": "a", "driver": "scaleHost", "scaleHostConfig": {}}), 501),
        (forwarding(json!({"serviceName": ""})), 400),
        (forwarding(json!({"serviceName": "none"})), 400),
        (forwarding(json!({"serviceName": "other/web"})), 400),
        (forwarding(json!({"port": "0"})), 400),
        (forwarding(json!({"port": 65_536})), 400),
        (forwarding(json!({"path": "v1"})), 400),
        (forwarding(json!({"path": "/a b"})), 400),
        (forwarding(json!({"path": "/a\r\nHost: x"})), 400),
        (forwarding(json!({"projectId": "1a6"})), 400),
        (scaling("1s999999", "up", json!({})), 400),
        (scaling(&id, "sideways", json!({})), 400),
        (scaling(&id, "up", json!({"amount": 0})), 400),
        (scaling(&id, "up", json!({"amount": "2"})), 400),
        (scaling(&id, "up", json!({"max": 10_001})), 400),
        (scaling(&id, "up", json!({"min": 5})), 400),
        (
            json!({"name": "a", "driver": "serviceUpgrade", "serviceUpgradeConfig": {"tag": "x"}}),
            400,
        ),
        (
            json!({"name": "a", "driver": "serviceUpgrade", "serviceUpgradeConfig": {"serviceSelector": {"a": "b"}, "tag": ".x"}}),
            400,
        ),
    ] {
        w.post(RECEIVERS, body.clone())
            .await
            .expect(status, json!({"type": "error"}));
    }
    for (path, body, status) in [
        ("/v1-webhooks/endpoint", json!({}), 400),
        ("/v1-webhooks/endpoint?key=x", json!({}), 400),
        ("/v1-webhooks/endpoint?key=x&projectId=1a5", json!({}), 403),
        (pushed.as_str(), json!({}), 400),
        (pushed.as_str(), push("acme/web:", ""), 400),
        (pushed.as_str(), push("acme web", "latest"), 400),
        (pushed.replace("1a5", "1a6").as_str(), push("acme/web", "latest"), 403),
        (
            pushed.replace("&projectId", "0&projectId").as_str(),
            push("acme/web", "latest"),
            403,
        ),
    ] {
        call(&w, path, body).await.expect(status, json!({"type": "error"}));
    }
    w.get(&pushed).await.expect(405, json!({"type": "error"}));
    assert_eq!(w.stored(), before);
    let schemas = w.get("/v1-webhooks/schemas").await.ok();
    assert_eq!(
        schemas["data"][0]["resourceFields"]["driver"]["options"],
        json!(["scaleService", "serviceUpgrade", "forwardPost"])
    );
    w.get("/v1-webhooks/schemas/receiver")
        .await
        .expect(200, json!({"id": "receiver"}));
    w.get("/v1-webhooks").await.expect(200, json!({"id": "v1-webhooks"}));
    w.get("/v1-webhooks/nothing")
        .await
        .expect(404, json!({"type": "error"}));
}

#[actix_web::test]
async fn who_may_not_make_receivers_sees_no_address_and_strangers_see_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    key(&w, "superadmin").await;
    w.engine.require_proof(true).await.expect("access control goes on");
    let mut people = Vec::new();
    for (name, role) in [("mia", "member"), ("ron", "readonly"), ("sue", "")] {
        people.push((user(&w, name).await, role));
    }
    let members: Vec<Value> = (people.iter().filter(|(_, role)| !role.is_empty()))
        .map(|(id, role)| json!({"externalId": id, "externalIdType": "rancher_id", "role": role}))
        .chain([json!({"externalId": "1a1", "externalIdType": "rancher_id", "role": "owner"})])
        .collect();
    let path = "/v2-beta/projects/1a5?action=setmembers";
    send(&w, "superadmin", Method::POST, path, Some(json!({"members": members})))
        .await
        .ok();
    w.settle().await;
    let [mia, ron, sue] = [0, 1, 2].map(|at| people[at].0.clone());
    let body = scaling(&id, "up", json!({}));
    send(&w, &ron, Method::POST, RECEIVERS, Some(body.clone()))
        .await
        .expect(405, json!({"type": "error"}));
    assert!(send(&w, &sue, Method::POST, RECEIVERS, Some(body.clone())).await.status >= 400);
    w.post(RECEIVERS, body.clone())
        .await
        .expect(401, json!({"type": "error"}));
    let row = send(&w, &mia, Method::POST, RECEIVERS, Some(body))
        .await
        .expect(200, json!({"type": "receiver"}));
    w.settle().await;
    let secret = address(&row);
    let secret = secret
        .split("key=")
        .nth(1)
        .and_then(|rest| rest.split('&').next())
        .expect("a key");
    let list = |who: String| {
        let w = &w;
        async move { send(w, &who, Method::GET, RECEIVERS, None).await }
    };
    assert_eq!(list(mia.clone()).await.ok()["data"][0]["url"], row["url"]);
    let shown = list(ron.clone()).await.ok();
    assert_eq!(
        (&shown["data"][0]["name"], &shown["data"][0]["url"]),
        (&json!("up"), &Value::Null)
    );
    assert!(!list(sue.clone()).await.body.to_string().contains(secret));
    for who in [&mia, &ron] {
        let rows = send(&w, who, Method::GET, "/v2-beta/projects/1a5/genericobjects", None)
            .await
            .ok();
        assert!(!rows.to_string().contains(secret), "{rows}");
    }
    assert!(!w.stored().concat().contains(secret), "it is stored nowhere");
    let one = format!("/v1-webhooks/receivers/{}?projectId=1a5", text(&row, "id"));
    send(&w, &ron, Method::DELETE, &one, None)
        .await
        .expect(405, json!({"type": "error"}));
    // Whoever has the address needs nothing else.
    call(&w, &address(&row), json!({})).await.expect(200, json!({}));
    w.advance(Duration::from_secs(2)).await;
    let shown = send(
        &w,
        &mia,
        Method::GET,
        &format!("/v2-beta/projects/1a5/services/{id}"),
        None,
    )
    .await
    .ok();
    assert_eq!(shown["scale"], 3);
}

#[actix_web::test]
async fn a_receiver_of_one_project_does_nothing_in_another_and_nothing_to_what_runs_everything() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let other = w
        .post("/v2-beta/projects", json!({"name": "other"}))
        .await
        .expect(201, json!({}));
    w.settle().await;
    let other = text(&other, "id");
    let path = format!("/v1-webhooks/receivers?projectId={other}");
    w.post(&path, scaling(&id, "up", json!({})))
        .await
        .expect(400, json!({"message": "Requested service does not exist"}));
    // One that was made by another way is bound all the same.
    let data = json!({"driver": "scaleService", "config": {"serviceId": id, "action": "up", "amount": 1}});
    let body = json!({"name": "sly", "kind": "webhookReceiver", "resourceData": data});
    w.post(&format!("/v2-beta/projects/{other}/genericobjects"), body)
        .await
        .expect(201, json!({}));
    w.settle().await;
    let list = w.get(&path).await.ok();
    call(&w, &address(&list["data"][0]), json!({}))
        .await
        .expect(400, json!({"type": "error"}));
    assert_eq!(w.show(&id).await["scale"], 1);
    let system = w.post("stacks", json!({"name": "sys", "system": true})).await.ok();
    w.settle().await;
    let core = w.running(text(&system, "id"), "core", json!({})).await;
    w.post(RECEIVERS, scaling(&core, "up", json!({})))
        .await
        .expect(400, json!({"type": "error"}));
}

#[actix_web::test]
async fn a_project_has_so_many_receivers_and_no_more_and_all_are_listed() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let most = drover::schema::limits::RECEIVERS;
    let body = scaling(&id, "up", json!({}));
    for _ in 0..most {
        w.post(RECEIVERS, body.clone()).await.expect(200, json!({}));
    }
    w.settle().await;
    let list = w.get(RECEIVERS).await.ok();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(most));
    let data = json!({"driver": "scaleService", "config": body["scaleServiceConfig"]});
    let object = json!({"name": "sly", "kind": "webhookReceiver", "resourceData": data});
    let before = w.stored();
    for (path, body) in [(RECEIVERS, &body), ("genericobjects", &object)] {
        let refused = w.post(path, body.clone()).await.refused(422, "MaxLimitExceeded");
        assert_eq!(refused["fieldName"], "projectId", "{path}");
    }
    assert_eq!(w.stored(), before);
    // What is no receiver is none of them, and another project has its own.
    w.post("genericobjects", json!({"name": "other", "kind": "note"}))
        .await
        .expect(201, json!({}));
    let other = w.post("/v2-beta/projects", json!({"name": "other"})).await.ok();
    w.settle().await;
    w.post(
        &format!("/v2-beta/projects/{}/genericobjects", text(&other, "id")),
        object,
    )
    .await
    .expect(201, json!({}));
    // One that goes makes room.
    let one = text(&list["data"][0], "id").to_owned();
    w.delete(&format!("/v1-webhooks/receivers/{one}?projectId=1a5"))
        .await
        .ok();
    w.settle().await;
    w.post(RECEIVERS, body).await.expect(200, json!({}));
}

#[actix_web::test]
async fn what_is_sent_is_passed_on_to_a_container_of_the_service_and_nobody_else() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let row = made(&w, forwarding(json!({}))).await;
    let config = json!({"projectId": "1a5", "serviceName": "s/web", "port": "8080", "path": "/v1/hook?of=it"});
    assert_eq!(row["forwardPostConfig"]["serviceName"], config["serviceName"], "{row}");
    let url = address(&row);
    let container = w.containers(&id).await.remove(0);
    let asked = format!("address {}", text(&container, "name"));
    let times = || w.sim().calls().iter().filter(|call| **call == asked).count();
    assert_eq!(times(), 0);
    call(&w, &url, json!({"event": "pushed"})).await.expect(200, json!({}));
    assert_eq!(times(), 1, "{:?}", w.sim().calls());
    let log = w.list("/v2-beta/auditlogs?eventType=api.genericObject.execute").await;
    assert_eq!(log.len(), 1, "{log:#?}");

    // A name that two services have says of which stack it is.
    let other = w.stack("t").await;
    w.running(&other, "web", json!({})).await;
    let two = w.post(RECEIVERS, forwarding(json!({"serviceName": "web"}))).await;
    let two = two.expect(400, json!({"type": "error"}));
    assert!(text(&two, "message").contains("stack/web"), "{two}");
    // Who is not there hears nothing.
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    call(&w, &url, json!({})).await.expect(409, json!({"type": "error"}));
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    call(&w, &url, json!({})).await.expect(400, json!({"type": "error"}));
}
