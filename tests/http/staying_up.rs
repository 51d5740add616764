//! Containers that do not stay up, that are slow to go down, and that can never start: what their services say and do.

use std::time::Duration;

use drover::runtime::Runtime;
use serde_json::{Value, json};

use crate::support::{World, has, text};

const SECOND: Duration = Duration::from_secs(1);

fn upgrade_to(config: Value) -> Value {
    json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 2000, "launchConfig": config}})
}

/// How often a container was started.
fn starts(w: &World) -> usize {
    w.sim().take_calls().iter().filter(|c| c.starts_with("start ")).count()
}

#[actix_web::test]
async fn what_follows_comes_when_what_was_there_is_down() {
    let w = World::new().await;
    w.sim().set_strict(true);
    let stack = w.stack("s").await;
    // Whose first two attempts to stop fail is slow to stop.
    let slow = json!({"sim.fail": "stop", "sim.fail.times": "2"});
    let id = w
        .running(
            &stack,
            "web",
            json!({"retainIp": true, "launchConfig": {"labels": slow}}),
        )
        .await;
    let before = w.containers(&id).await.remove(0);
    w.act(
        &id,
        "upgrade",
        upgrade_to(json!({"imageUuid": "sim:new", "labels": slow})),
    )
    .await
    .ok();
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 stopping old"]);
    w.wait(&id, "upgraded").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-1 stopped old"]);
    let upgraded = w.containers(&id).await.remove(1);
    assert_eq!(upgraded["primaryIpAddress"], before["primaryIpAddress"]);
    w.act(&id, "rollback", json!({})).await.ok();
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 stopped", "s-web-1 stopping old"]);
    w.wait(&id, "active").await;
    w.advance(5 * SECOND).await;
    let after = w.containers(&id).await;
    assert_eq!(after.len(), 1, "{after:#?}");
    for field in ["id", "primaryIpAddress", "externalId"] {
        assert_eq!(after[0][field], before[field], "{field}");
    }
}

#[actix_web::test]
async fn a_service_whose_containers_keep_exiting_is_never_healthy() {
    for image in ["sim:exit:3", "sim:exit:3:700"] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w
            .service(&stack, "web", json!({"launchConfig": {"imageUuid": image}}))
            .await;
        w.act(&id, "activate", json!({})).await.ok();
        w.advance(2 * SECOND).await;
        w.sim().take_calls();
        for _ in 0..60 {
            w.advance(SECOND).await;
            let row = w.show(&id).await;
            has(
                &row,
                &json!({"transitioning": "yes", "healthState": "unhealthy"}),
                image,
            );
            assert!(
                matches!(text(&row, "state"), "activating" | "updating-active"),
                "{row:#}"
            );
            assert!(
                text(&row, "transitioningMessage").contains("s-web-1 exited with code 3"),
                "{row:#}"
            );
        }
        let message = w.show(&id).await["transitioningMessage"].clone();
        assert!(
            message.as_str().is_some_and(|m| m.contains("times in a row")),
            "{message}"
        );
        let tries = starts(&w);
        assert!((3..=7).contains(&tries), "{image}: {tries} starts in a minute");
        assert_eq!(w.containers(&id).await.len(), 1);
    }
}

#[actix_web::test]
async fn one_that_exited_once_counts_again_when_it_has_stayed_up() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let uuid = w.uuid("s-web-1").await;
    w.sim().exit(&uuid, 7);
    w.pass().await;
    let row = w.show(&id).await;
    has(
        &row,
        &json!({"state": "updating-active", "healthState": "unhealthy"}),
        "it exited",
    );
    assert!(
        text(&row, "transitioningMessage").contains("exited with code 7"),
        "{row:#}"
    );
    assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
    w.restart().await;
    w.advance(12 * SECOND).await;
    has(
        &w.show(&id).await,
        &json!({"state": "active", "healthState": "healthy"}),
        "it stayed up",
    );
    // After a long life an end is no sign of trouble.
    w.sim().exit(&uuid, 7);
    w.pass().await;
    has(
        &w.show(&id).await,
        &json!({"state": "active", "healthState": "healthy"}),
        "once",
    );
    assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
}

#[actix_web::test]
async fn an_upgrade_to_what_does_not_stay_up_is_never_done() {
    for image in ["sim:exit:1", "sim:exit:1:400"] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 2})).await;
        w.act(&id, "upgrade", upgrade_to(json!({"imageUuid": image})))
            .await
            .ok();
        for _ in 0..40 {
            w.advance(SECOND).await;
            assert_eq!(w.show(&id).await["state"], "upgrading", "{image}");
        }
        let row = w.show(&id).await;
        assert!(
            text(&row, "transitioningMessage").contains("s-web-1 exited with code 1"),
            "{row:#}"
        );
        let picture = w.picture(&id).await;
        assert!(picture.contains(&"s-web-2 running".to_owned()), "{image}: {picture:?}");
        w.act(&id, "rollback", json!({})).await.ok();
        w.wait(&id, "active").await;
        w.advance(SECOND).await;
        assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running"]);
    }
}

#[actix_web::test]
async fn one_that_ends_at_once_is_seen_to_end() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let labels = json!({"io.rancher.container.start_once": "true", "sim.exit": "0:0"});
    let id = w
        .service(&stack, "job", json!({"launchConfig": {"labels": labels}}))
        .await;
    w.act(&id, "activate", json!({})).await.ok();
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-job-1 stopped"]);
    has(
        &w.show(&id).await,
        &json!({"state": "active", "healthState": "started-once"}),
        "once",
    );
    let alone = w.post("containers", json!({"imageUuid": "sim:exit:0"})).await.ok();
    w.settle().await;
    assert_eq!(w.show(text(&alone, "id")).await["state"], "stopped");
}

#[actix_web::test]
async fn a_container_that_can_never_start_is_given_up_and_made_anew() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .service(&stack, "web", json!({"launchConfig": {"imageUuid": "sim:fail"}}))
        .await;
    w.act(&id, "activate", json!({})).await.ok();
    w.settle().await;
    let first = text(&w.containers(&id).await[0], "id").to_owned();
    w.advance(5 * SECOND).await;
    assert_eq!(text(&w.containers(&id).await[0], "id"), first);
    w.advance(10 * SECOND).await;
    let rows = w.containers(&id).await;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_ne!(text(&rows[0], "id"), first);
    assert_eq!(w.show(&first).await["state"], "removed");
    let row = w.show(&id).await;
    has(
        &row,
        &json!({"state": "activating", "transitioning": "yes"}),
        "it is tried on",
    );
    assert!(text(&row, "transitioningMessage").contains("Failing ["), "{row:#}");
}

#[actix_web::test]
async fn a_network_that_the_engine_lost_is_made_again() {
    let w = World::new().await;
    let row = w
        .post("containers", json!({"name": "one", "imageUuid": "sim:one"}))
        .await
        .ok();
    let id = text(&row, "id").to_owned();
    let before = w.wait(&id, "running").await;
    w.act(&id, "stop", json!({})).await.ok();
    w.wait(&id, "stopped").await;
    let project = w.show("/v2-beta/projects/1a5").await;
    w.sim()
        .remove_network(text(&project, "uuid"))
        .await
        .expect("nothing uses it");
    w.act(&id, "start", json!({})).await.ok();
    w.advance(5 * SECOND).await;
    has(
        &w.show(&id).await,
        &json!({"state": "running", "primaryIpAddress": before["primaryIpAddress"]}),
        "started",
    );
}

#[actix_web::test]
async fn services_without_containers_run_none_whatever_their_image() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for (kind, more) in [
        ("externalservices", json!({"externalIpAddresses": ["10.1.1.1"]})),
        ("dnsservices", json!({})),
    ] {
        let mut body = json!({"name": kind.replace("services", ""), "stackId": stack, "launchConfig": {"imageUuid": "sim:service"}});
        crate::support::lay_over(&mut body, more);
        let row = w.post(kind, body).await.expect(201, json!({}));
        let id = text(&row, "id").to_owned();
        w.wait(&id, "inactive").await;
        w.act(&id, "activate", json!({})).await.ok();
        w.wait(&id, "active").await;
        has(&w.show(&id).await, &json!({"healthState": "healthy"}), kind);
        assert!(w.sim().containers().is_empty(), "{kind}");
    }
}

#[actix_web::test]
async fn an_address_that_is_asked_for_is_given_if_it_is_free() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let config = json!({"imageUuid": "sim:one", "requestedIpAddress": "10.42.3.77"});
    let id = w
        .running(&stack, "web", json!({"scale": 2, "launchConfig": config}))
        .await;
    let rows = w.containers(&id).await;
    let addresses: Vec<&str> = rows.iter().map(|r| text(r, "primaryIpAddress")).collect();
    assert_eq!(addresses, ["10.42.3.77", "10.42.0.2"]);
    // So it is by the other name that Rancher has for it; of two the first one that is free is given.
    for (config, expected) in [
        (json!({"ip": "10.42.3.80"}), "10.42.3.80"),
        (
            json!({"ip": "10.42.3.81", "requestedIpAddress": "10.42.3.77"}),
            "10.42.3.81",
        ),
        (
            json!({"ip": "10.42.3.82", "requestedIpAddress": "10.42.3.83"}),
            "10.42.3.83",
        ),
    ] {
        let mut config = config;
        config["imageUuid"] = json!("sim:one");
        let name = format!("s-{}", expected.replace('.', "-"));
        let id = w.running(&stack, &name, json!({"launchConfig": config})).await;
        assert_eq!(text(&w.containers(&id).await[0], "primaryIpAddress"), expected);
    }
    // A container of its own has only that name.
    let alone = json!({"imageUuid": "sim:one", "ip": "10.42.3.90"});
    let row = w.post("containers", alone).await.ok();
    w.settle().await;
    let row = w.show(&format!("containers/{}", text(&row, "id"))).await;
    assert_eq!(text(&row, "primaryIpAddress"), "10.42.3.90");
}

#[actix_web::test]
async fn rules_of_the_environment_choose_hosts() {
    let w = World::with_hosts(&["a", "b", "c"]).await;
    let stack = w.stack("s").await;
    let hosts: Vec<String> = w
        .list("hosts?sort=id")
        .await
        .iter()
        .map(|h| text(h, "id").to_owned())
        .collect();
    for (host, region) in hosts.iter().zip(["eu", "us", "us"]) {
        w.put(host, json!({"labels": {"region": region}})).await.ok();
    }
    w.settle().await;
    for (name, environment, expected) in [
        ("hard", json!({"constraint:region": "=eu"}), &[0][..]),
        ("never", json!({"constraint:region!": "us"}), &[0]),
        (
            "soft",
            json!({"constraint:region": "=~nowhere", "constraint:region!": "eu"}),
            &[1, 2],
        ),
    ] {
        let config = json!({"scale": 2, "launchConfig": {"environment": environment}});
        let id = w.running(&stack, name, config).await;
        let mut on: Vec<String> = w
            .containers(&id)
            .await
            .iter()
            .map(|c| text(c, "hostId").to_owned())
            .collect();
        on.sort();
        on.dedup();
        let expected: Vec<String> = expected.iter().filter_map(|n: &usize| hosts.get(*n)).cloned().collect();
        assert_eq!(on, expected, "{name}");
    }
}
