//! Hosts whose engine is named by the API while the server runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, text};

const ALL: &str = "/v2-beta/hosts";
const AWAY: &str = "tcp://10.9.8.7:2375";

async fn add(w: &World, more: Value) -> Value {
    let mut body = json!({"hostname": "east", "dockerUrl": AWAY});
    crate::support::lay_over(&mut body, more);
    w.post(ALL, body)
        .await
        .expect(201, json!({"state": "registering", "kind": "host"}))
}

#[actix_web::test]
async fn an_engine_is_waited_for_and_then_runs_containers() {
    let mut w = World::with_hosts(&[]).await;
    let engine = w.engine_at(AWAY);
    engine.set_disconnected(true);
    let made = add(&w, json!({"labels": {"disk": "ssd"}, "accountId": "1a5"})).await;
    let id = text(&made, "id").to_owned();
    assert_eq!((&made["name"], &made["dockerUrl"]), (&json!("east"), &json!(AWAY)));
    w.settle().await;
    let waiting = w.show(&id).await;
    assert_eq!(
        (text(&waiting, "state"), text(&waiting, "transitioning")),
        ("registering", "yes")
    );
    assert!(
        text(&waiting, "transitioningMessage").starts_with("Waiting for the engine"),
        "{waiting:#}"
    );

    // The one that waits is found again by a server that is started meanwhile.
    w.restart().await;
    engine.set_disconnected(false);
    w.advance(Duration::from_secs(5)).await;
    let host = w.wait(&id, "active").await;
    assert_eq!(host["labels"]["disk"], "ssd", "{host:#}");
    let stack = w.stack("s").await;
    let labels = json!({"io.rancher.scheduler.affinity:host_label": "disk=ssd"});
    let service = w
        .running(&stack, "web", json!({"scale": 2, "launchConfig": {"labels": labels}}))
        .await;
    assert_eq!(engine.containers().len(), 2);

    // And so is one that was there: what runs on it stays as it is.
    w.restart().await;
    w.put(&service, json!({"scale": 3})).await.ok();
    w.wait(&service, "active").await;
    assert_eq!(engine.containers().len(), 3);
}

#[actix_web::test]
async fn what_leads_to_no_engine_is_refused_and_changes_nothing() {
    let w = World::with_hosts(&["a"]).await;
    let pair = rcgen::generate_simple_self_signed(["engine".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let wrong = [
        (json!({"dockerUrl": null}), "MissingRequired", "dockerUrl"),
        (json!({"dockerUrl": "ftp://x"}), "InvalidFormat", "dockerUrl"),
        (json!({"accountId": "1a999"}), "InvalidReference", "accountId"),
        (json!({"accountId": "1a1"}), "InvalidReference", "accountId"),
        (json!({"tlsCert": cert, "tlsKey": key}), "MissingRequired", "tlsCaCert"),
        (json!({"tlsCaCert": cert, "tlsCert": cert}), "MissingRequired", "tlsKey"),
        (
            json!({"tlsCaCert": "x", "tlsCert": cert, "tlsKey": key}),
            "InvalidFormat",
            "tlsCaCert",
        ),
        (
            json!({"tlsCaCert": cert, "tlsCert": "x", "tlsKey": key}),
            "InvalidFormat",
            "tlsCert",
        ),
        (
            json!({"tlsCaCert": cert, "tlsCert": cert, "tlsKey": other.signing_key.serialize_pem()}),
            "InvalidFormat",
            "tlsKey",
        ),
    ];
    for (more, code, field) in wrong {
        let mut body = json!({"hostname": "east", "dockerUrl": AWAY});
        crate::support::lay_over(&mut body, more);
        let refused = w.post(ALL, body.clone()).await.refused(422, code);
        assert_eq!(refused["fieldName"], field, "{body}: {refused}");
    }
    for field in ["hostTemplateId", "stackId"] {
        let mut body = json!({"hostname": "east", "dockerUrl": AWAY});
        body[field] = json!(w.stack(field).await);
        let refused = w.post(ALL, body).await;
        assert!(matches!(refused.status, 422 | 501), "{field}: {}", refused.status);
    }
    assert_eq!(w.list("hosts").await.len(), 1);
}

#[actix_web::test]
async fn what_proves_who_asks_is_sealed_and_shown_to_nobody() {
    let w = World::with_hosts(&[]).await;
    w.engine_at("https://10.9.8.7:2376");
    let pair = rcgen::generate_simple_self_signed(["engine".to_owned()]).unwrap();
    let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let tls = json!({"dockerUrl": "https://10.9.8.7:2376", "tlsCaCert": cert, "tlsCert": cert, "tlsKey": key});
    let made = add(&w, tls).await;
    w.settle().await;
    let id = text(&made, "id").to_owned();
    w.put(
        &format!("{ALL}/{id}"),
        json!({"tlsCaCert": cert, "tlsCert": cert, "tlsKey": key}),
    )
    .await
    .ok();
    let line = key.lines().nth(1).unwrap();
    let shown = w.get(&format!("{ALL}/{id}")).await.ok();
    let logged = w.get("/v2-beta/auditlogs?limit=100").await.ok();
    for text in [
        made.to_string(),
        shown.to_string(),
        logged.to_string(),
        w.stored().join("\n"),
    ] {
        assert!(!text.contains(line), "{text}");
    }
    assert_eq!((&shown["tlsKey"], &made["tlsKey"]), (&Value::Null, &Value::Null));
    // Without TLS from now on: nothing of it is kept.
    let kept = || w.stored().iter().filter(|line| line.starts_with("credential")).count();
    let before = kept();
    let none = json!({"tlsCaCert": null, "tlsCert": null, "tlsKey": null, "dockerUrl": AWAY});
    w.put(&format!("{ALL}/{id}"), none).await.ok();
    assert_eq!(kept(), before - 1);
}

#[actix_web::test]
async fn one_engine_is_one_host_and_a_host_keeps_its_engine() {
    let w = World::with_hosts(&[]).await;
    w.engine_at(AWAY).set_identity("E1");
    w.engine_at("tcp://second:1").set_identity("E1");
    w.engine_at("tcp://third:1").set_identity("E3");
    let first = add(&w, json!({})).await;
    let first = text(&first, "id").to_owned();
    w.wait(&first, "active").await;
    let second = add(&w, json!({"dockerUrl": "tcp://second:1"})).await;
    w.settle().await;
    let second = w.show(text(&second, "id")).await;
    assert_eq!(text(&second, "state"), "registering");
    assert!(
        text(&second, "transitioningMessage").contains("that of host east already"),
        "{second:#}"
    );
    w.put(&format!("{ALL}/{first}"), json!({"dockerUrl": "tcp://third:1"}))
        .await
        .refused(409, "Conflict");
    let shown = w.get(&format!("{ALL}/{first}")).await.ok();
    assert_eq!(shown["dockerUrl"], AWAY);
    // The same engine, by another way.
    w.delete(text(&second, "id")).await.ok();
    w.settle().await;
    w.put(&format!("{ALL}/{first}"), json!({"dockerUrl": "tcp://second:1"}))
        .await
        .ok();
    let stack = w.stack("s").await;
    w.running(&stack, "web", json!({})).await;
    assert_eq!(w.engine_at("tcp://second:1").containers().len(), 1);
}

#[actix_web::test]
async fn a_host_changes_its_project_while_nothing_is_on_it() {
    let mut w = World::with_hosts(&[]).await;
    let engine = w.engine_at(AWAY);
    let made = add(&w, json!({})).await;
    let id = text(&made, "id").to_owned();
    w.wait(&id, "active").await;
    let project = w.post("/v2-beta/projects", json!({"name": "other"})).await.ok();
    let project = text(&project, "id").to_owned();
    w.settle().await;
    let path = format!("{ALL}/{id}");
    let give = || w.put(&path, json!({"accountId": project}));
    give().await.refused(409, "Conflict");
    let stack = w.stack("s").await;
    let service = w.running(&stack, "web", json!({})).await;
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    give().await.refused(409, "Conflict");
    w.delete(&service).await.ok();
    w.advance(Duration::from_secs(5)).await;
    give().await.expect(200, json!({"accountId": project}));
    w.settle().await;
    let theirs = format!("/v2-beta/projects/{project}");
    w.act(&format!("{theirs}/hosts/{id}"), "activate", json!({})).await.ok();
    w.settle().await;
    for list in ["hosts", "storagePools", "physicalHosts"] {
        assert_eq!(w.list(list).await.len(), 0, "{list}");
        let there = w.get(&format!("{theirs}/{list}")).await.ok();
        assert_eq!(there["data"].as_array().map(Vec::len), Some(1), "{list}: {there:#}");
    }
    let body = json!({"name": "alone", "imageUuid": "sim:x", "startOnCreate": true});
    let alone = w.post(&format!("{theirs}/containers"), body).await.ok();
    w.settle().await;
    let alone = w.get(&format!("{theirs}/containers/{}", text(&alone, "id"))).await;
    alone.expect(200, json!({"state": "running", "hostId": id}));
    assert_eq!(engine.containers().len(), 1);
    // It is still theirs after a restart.
    w.restart().await;
    let shown = w
        .get(&path)
        .await
        .expect(200, json!({"accountId": project, "state": "active"}));
    assert_eq!(shown["agentState"], Value::Null, "{shown:#}");
}

#[actix_web::test]
async fn only_hosts_that_were_added_have_their_engine_changed() {
    let w = World::new().await;
    let host = text(&w.list("hosts").await[0], "id").to_owned();
    let path = format!("{ALL}/{host}");
    let refused = w
        .put(&path, json!({"dockerUrl": AWAY}))
        .await
        .refused(422, "InvalidOption");
    assert_eq!(refused["fieldName"], "dockerUrl");
    w.put(&path, json!({"description": "d", "accountId": "1a5"}))
        .await
        .expect(200, json!({"description": "d"}));
}

#[actix_web::test]
async fn a_simulated_host_remembers_what_is_its_own() {
    let w = World::new().await;
    let body = json!({"hostname": "east", "dockerUrl": "sim://east", "accountId": "1a5"});
    let made = w.post(ALL, body).await.expect(201, json!({}));
    w.settle().await;
    w.wait(text(&made, "id"), "active").await;
    let stack = w.stack("s").await;
    let labels = json!({"io.rancher.scheduler.global": "true"});
    w.running(&stack, "web", json!({"launchConfig": {"labels": labels}}))
        .await;
    let own = w.sim().containers();
    assert_eq!(own.len(), 1);
    let found = w.engine.simulated_containers().expect("an answer");
    let found: Vec<&str> = found.iter().map(|found| found.uuid.as_str()).collect();
    assert_eq!(found, [own[0].uuid.as_str()], "and not what is on east");
}
