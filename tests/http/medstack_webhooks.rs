//! Outgoing webhooks: subscriptions by MedStack Control's interface, and the messages that the engine sends.

use std::time::Duration;

use actix_web::http::Method;
use drover::engine::{Subscription, Written};
use serde_json::{Value, json};

use crate::medstack::{Desk, native_list};
use crate::project_isolation::{key, send, user};
use crate::receiver::Receiver;
use crate::support::{Answer, World, has, named, text};

const HOOKS: &str = "/webhooks/outgoing";

/// Messages may go to this machine, and without TLS.
async fn permit(d: &Desk) {
    for name in ["webhooks.allow.http", "webhooks.allow.private"] {
        d.w.put(&format!("/v2-beta/settings/{name}"), json!({"value": "true"}))
            .await
            .ok();
    }
}

/// The only host does not answer, or answers again, and that is noticed.
async fn away(d: &Desk, is_away: bool) {
    let (name, sim) = d.w.sims[0].clone();
    sim.set_disconnected(is_away);
    d.w.engine.attach(named(sim, &name)).await.unwrap();
    d.pass(3).await;
}

async fn subscribed(d: &Desk, body: Value) -> String {
    let made = d
        .of(Method::POST, HOOKS, Some(body))
        .await
        .expect(201, json!({"object": "outgoing_webhook"}));
    text(&made, "id").to_owned()
}

/// Checks for the 400 of a webhook.
#[track_caller]
fn refused(answer: Answer, param: &str, why: &str) {
    let body = answer.expect(
        400,
        json!({"code": 400, "type": "invalid_request_error", "param": param, param: why}),
    );
    assert_eq!(body.get("message"), Some(&Value::Null));
}

#[actix_web::test]
async fn subscriptions_are_made_read_replaced_and_ended() {
    let d = Desk::new().await;
    let cluster = d.cluster.clone();
    let body = json!({"cluster_id": cluster, "label": "notification for cluster1", "url": "https://mycompany.example/webhook/cluster1"});
    let made = d
        .of(Method::POST, HOOKS, Some(body.clone()))
        .await
        .expect(201, body.clone());
    assert_eq!(made["metadata"], json!({"last_triggered": null, "failure_count": 0}));
    let path = format!("{HOOKS}/{}", text(&made, "id"));
    assert_eq!(d.of(Method::GET, &path, None).await.expect(200, json!({})), made);
    d.of(Method::GET, HOOKS, None)
        .await
        .expect(200, json!({"object": "list", "data": [made]}));
    let conflict = d.of(Method::POST, HOOKS, Some(body)).await;
    conflict.expect(
        409,
        json!({"type": "conflict error", "message": "Request conflicts with the resource's current state"}),
    );
    let new = json!({"url": "https://mycompany.example/other"});
    let changed = d.of(Method::PUT, &path, Some(new.clone())).await.expect(200, new);
    assert_eq!(
        (&changed["label"], &changed["cluster_id"]),
        (&Value::Null, &Value::Null)
    );
    for (body, param, why) in [
        (
            json!({"url": "http://mycompany.example/"}),
            "webhook_url",
            "Webhook url must use https protocol",
        ),
        (
            json!({"url": "ftp://mycompany.example/"}),
            "webhook_url",
            "Webhook url must use https protocol",
        ),
        (
            json!({"url": "hook"}),
            "webhook_url",
            "Webhook url must be an address that begins with https",
        ),
        (json!({"url": 1}), "webhook_url", "Webhook url must be a string"),
        (json!({}), "webhook_url", "Webhook url must be a string"),
        (
            json!({"url": "https://127.0.0.1/"}),
            "webhook_url",
            "Webhook url must not lead to this machine or into a private network",
        ),
        (
            json!({"url": "https://169.254.169.254/"}),
            "webhook_url",
            "Webhook url must not lead to this machine or into a private network",
        ),
        (
            json!({"url": "https://a.example/", "label": 1}),
            "webhook_label",
            "Webhook label must be a string",
        ),
        (
            json!({"url": "https://a.example/", "cluster_id": "x"}),
            "webhook_cluster_id",
            "Webhook cluster_id must be the id of a cluster of the company",
        ),
    ] {
        refused(d.of(Method::POST, HOOKS, Some(body.clone())).await, param, why);
        refused(d.of(Method::PUT, &path, Some(body)).await, param, why);
    }
    d.of(Method::DELETE, &path, None).await.expect(204, json!(""));
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(d.of(method, &path, None).await.status, 404);
    }
    assert_eq!(d.of(Method::POST, &format!("{path}/test"), None).await.status, 404);
    d.of(Method::GET, HOOKS, None).await.expect(200, json!({"data": []}));
}

#[actix_web::test]
async fn a_test_is_delivered_and_what_is_not_taken_is_tried_again() {
    let d = Desk::new().await;
    permit(&d).await;
    let receiver = Receiver::new();
    let id = subscribed(&d, json!({"url": receiver.url, "cluster_id": d.cluster})).await;
    let path = format!("{HOOKS}/{id}");
    d.of(Method::POST, &format!("{path}/test"), None)
        .await
        .expect(202, json!(""));
    d.w.settle().await;
    let first = receiver.wait(1).remove(0);
    assert!(first.head.starts_with("post /hook?a=b http/1.1"), "{}", first.head);
    for header in [
        "content-type: application/json",
        "user-agent: drover/",
        "x-drover-event: test",
        "x-drover-delivery: ",
    ] {
        assert!(first.head.contains(header), "{}", first.head);
    }
    assert!(!first.head.contains("x-drover-signature"));
    has(
        &first.body,
        &json!({"object": "event", "type": "test", "company_id": d.company, "cluster_id": d.cluster, "data": {}}),
        "the message",
    );
    let shown = d.of(Method::GET, &path, None).await.body;
    assert_eq!(shown["metadata"]["failure_count"], 0);
    assert!(shown["metadata"]["last_triggered"].is_string());
    // Nobody takes the next one: five attempts, further and further apart, of one and the same message.
    receiver.answer(302);
    d.of(Method::POST, &format!("{path}/test"), None)
        .await
        .expect(202, json!(""));
    d.w.settle().await;
    receiver.wait(2);
    for (seconds, count) in [
        (4, 2),
        (1, 3),
        (9, 3),
        (1, 4),
        (19, 4),
        (1, 5),
        (39, 5),
        (1, 6),
        (600, 6),
    ] {
        d.w.advance(Duration::from_secs(seconds)).await;
        receiver.wait(count);
    }
    let all = receiver.all();
    assert!(all[1..].iter().all(|one| one.text == all[1].text) && all[1].body["id"] != all[0].body["id"]);
    let shown = d.of(Method::GET, &path, None).await.body;
    assert_eq!(shown["metadata"]["failure_count"], 1);
    // One that is taken at the second attempt is no failure.
    receiver.answer(500);
    d.of(Method::POST, &format!("{path}/test"), None)
        .await
        .expect(202, json!(""));
    d.w.settle().await;
    receiver.wait(7);
    receiver.answer(200);
    d.w.advance(Duration::from_secs(5)).await;
    receiver.wait(8);
    d.w.advance(Duration::from_secs(600)).await;
    receiver.wait(8);
    assert_eq!(
        d.of(Method::GET, &path, None).await.body["metadata"]["failure_count"],
        1
    );
}

#[actix_web::test]
async fn what_may_go_nowhere_private_is_not_sent_there_by_a_name_either() {
    let d = Desk::new().await;
    permit(&d).await;
    let receiver = Receiver::new();
    let port = receiver.url.split(':').nth(2).unwrap().to_owned();
    let id = subscribed(&d, json!({"url": format!("http://localhost:{port}")})).await;
    d.w.put("/v2-beta/settings/webhooks.allow.private", json!({"value": "false"}))
        .await
        .ok();
    d.of(Method::POST, &format!("{HOOKS}/{id}/test"), None)
        .await
        .expect(202, json!(""));
    d.w.advance(Duration::from_secs(100)).await;
    assert!(receiver.all().is_empty());
    let shown = d.of(Method::GET, &format!("{HOOKS}/{id}"), None).await.body;
    assert_eq!(shown["metadata"]["failure_count"], 1);
}

#[actix_web::test]
async fn a_host_that_goes_away_and_comes_back_is_told_and_so_is_an_update_that_fails() {
    let d = Desk::new().await;
    permit(&d).await;
    let receiver = Receiver::new();
    subscribed(&d, json!({"url": receiver.url})).await;
    let node = text(&d.list("/nodes").await[0], "id").to_owned();
    away(&d, true).await;
    away(&d, false).await;
    let told = receiver.wait(2);
    has(
        &told[0].body,
        &json!({"type": "node.down", "cluster_id": d.cluster, "data": {"node": {"id": node, "name": "sim"}}}),
        "down",
    );
    has(
        &told[1].body,
        &json!({"type": "node.up", "data": {"node": {"id": node}}}),
        "up",
    );
    for (action, said) in [("rollback", "Upgrade rolled back: "), ("pause", "Upgrade paused: ")] {
        let count = receiver.all().len();
        let spec = json!({"name": action, "image": "sim:a", "update_failure_action": action, "update_monitor": 1});
        let id = d.service(spec).await;
        d.patch(&id, json!({"image": "sim:fail"})).await.expect(201, json!({}));
        d.pass(30).await;
        let told = receiver.wait(count + 1).remove(count);
        has(
            &told.body,
            &json!({"type": "service.update_failed", "cluster_id": d.cluster, "data": {"service": {"id": id, "name": action}}}),
            action,
        );
        assert!(text(&told.body["data"], "message").starts_with(said), "{}", told.text);
    }
}

#[actix_web::test]
async fn only_members_are_told_of_a_project() {
    let d = Desk::new().await;
    permit(&d).await;
    key(&d.w, "superadmin").await;
    let (member, stranger) = (user(&d.w, "mia").await, user(&d.w, "sam").await);
    let members = json!({"members": [{"externalId": member, "externalIdType": "rancher_id", "role": "owner"}]});
    let path = "/v2-beta/projects/1a5?action=setmembers";
    send(&d.w, "superadmin", Method::POST, path, Some(members)).await.ok();
    d.w.settle().await;
    let (theirs, nobodys) = (Receiver::new(), Receiver::new());
    for (account, receiver) in [(&member, &theirs), (&stranger, &nobodys)] {
        let company = send(&d.w, account, Method::GET, "/medstack/v1/companies/current", None)
            .await
            .body;
        let base = format!("/medstack/v1/companies/{}{HOOKS}", text(&company, "id"));
        let body = json!({"url": receiver.url});
        send(&d.w, account, Method::POST, &base, Some(body))
            .await
            .expect(201, json!({}));
        // Another company's project is none of theirs.
        let foreign = json!({"url": receiver.url, "cluster_id": d.cluster});
        let answer = send(&d.w, account, Method::POST, &base, Some(foreign)).await;
        assert_eq!(
            answer.status,
            if *account == member { 201 } else { 400 },
            "{}",
            answer.body
        );
    }
    away(&d, true).await;
    // By each of its two subscriptions.
    theirs.wait(2);
    assert!(nobodys.all().is_empty());
}

#[actix_web::test]
async fn a_secret_signs_and_events_are_chosen() {
    let d = Desk::new().await;
    permit(&d).await;
    let receiver = Receiver::new();
    d.w.engine.write_messages(
        "plain",
        std::sync::Arc::new(|message| Written {
            body: format!(r#"{{"event": "{}"}}"#, message.event),
            headers: vec![("x-plain", message.id.clone())],
            signature_header: "x-signed",
        }),
    );
    let scope =
        d.w.engine
            .admit_open(drover::schema::Version::V2Beta, Some("1a5"))
            .unwrap();
    let wanted = |events: &[&str]| Subscription {
        format: "plain",
        url: receiver.url.clone(),
        events: Some(events.iter().map(|event| (*event).to_owned()).collect()),
        secret: Some("Jefe".into()),
        is_enabled: true,
        ..Subscription::default()
    };
    let row = d.w.engine.subscribe(&scope, wanted(&["host.up"])).await.unwrap();
    assert!(!d.w.stored().iter().any(|line| line.contains("Jefe")));
    away(&d, true).await;
    assert!(receiver.all().is_empty());
    away(&d, false).await;
    let told = receiver.wait(1).remove(0);
    assert_eq!(told.text, r#"{"event": "host.up"}"#);
    let signed = drover::secret::message_signature("Jefe", &told.text);
    assert!(
        told.head.contains(&format!("x-signed: sha256={signed}")),
        "{}",
        told.head
    );
    // None of MedStack Control's, and none that is off.
    d.of(Method::GET, HOOKS, None).await.expect(200, json!({"data": []}));
    let off = Subscription {
        is_enabled: false,
        ..wanted(&["host.down"])
    };
    d.w.engine.change_subscription(&scope, &row, off).await.unwrap();
    away(&d, true).await;
    receiver.wait(1);
    let log = d.w.engine.messages_to(&row).unwrap();
    assert_eq!(log.len(), 1);
    assert!(log[0].fields.contains("\"outcome\":\"delivered\""), "{}", log[0].fields);
    assert!(native_list(&d.w, "hosts").await.len() == 1);
}

#[actix_web::test]
async fn what_was_accepted_is_delivered_though_the_server_dies_at_any_commit() {
    let mut is_refused = false;
    for commits in 0.. {
        let mut d = Desk::over(World::new().await).await;
        permit(&d).await;
        let receiver = Receiver::new();
        let path = format!("{HOOKS}/{}", subscribed(&d, json!({"url": receiver.url})).await);
        d.w.die_after(commits);
        let answer = d.of(Method::POST, &format!("{path}/test"), None).await;
        d.w.settle().await;
        let died = d.w.is_dead();
        d.w.restart().await;
        d.w.advance(Duration::from_secs(1)).await;
        let all = receiver.all();
        if answer.status == 202 {
            assert!(!all.is_empty() && all.len() <= 2, "{commits}: {all:?}");
            assert!(all.iter().all(|one| one.text == all[0].text));
            let shown = d.of(Method::GET, &path, None).await.body;
            assert!(shown["metadata"]["last_triggered"].is_string(), "{commits}: {shown}");
            assert_eq!(shown["metadata"]["failure_count"], 0);
            let stored = d.w.stored();
            let log: Vec<&String> = stored
                .iter()
                .filter(|line| line.contains(" webhookDelivery "))
                .collect();
            assert_eq!(log.len(), 1, "{log:?}");
            assert!(
                log[0].contains(" active ") && log[0].contains("\"outcome\":\"delivered\""),
                "{commits}: {log:?}"
            );
        } else {
            is_refused = true;
            assert!(all.is_empty(), "{commits}: {} {all:?}", answer.status);
        }
        if !died {
            assert!(commits >= 3 && is_refused, "{commits}");
            return;
        }
    }
}

#[actix_web::test]
async fn a_rollback_that_is_paused_is_told_as_well() {
    let d = Desk::new().await;
    permit(&d).await;
    let receiver = Receiver::new();
    subscribed(&d, json!({"url": receiver.url})).await;
    let spec = json!({"name": "back", "image": "sim:a", "update_failure_action": "rollback", "update_monitor": 1, "rollback_monitor": 60});
    let id = d.service(spec).await;
    let old = native_list(&d.w, "containers").await.remove(0);
    d.patch(&id, json!({"image": "sim:fail"})).await.expect(201, json!({}));
    let mut is_back = false;
    for _ in 0..60 {
        is_back = d.w.show(&format!("containers/{}", text(&old, "id"))).await["state"] == "running"
            && d.native("back").await["state"] == "rolling-back";
        if is_back {
            break;
        }
        d.pass(1).await;
    }
    assert!(is_back, "{:#}", d.native("back").await);
    d.w.sim().exit(text(&old, "uuid"), 9);
    d.pass(5).await;
    let told = receiver.wait(2).remove(1);
    has(
        &told.body,
        &json!({"type": "service.update_failed", "data": {"service": {"id": id, "name": "back"}}}),
        "paused",
    );
    let said = text(&told.body["data"], "message");
    assert!(said.starts_with("Rollback paused: 1 of 1 failed: "), "{said}");
}
