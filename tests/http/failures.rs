//! What goes wrong: containers that do not start, hands that interfere, and servers that die at any commit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, has, text};

fn upgrade_to(image: &str) -> Value {
    json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 1000, "launchConfig": {"imageUuid": image}}})
}

#[actix_web::test]
async fn a_container_that_fails_at_first_is_tried_again() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for (name, image) in [
        ("a", "sim:fail:start:2"),
        ("b", "sim:fail:create:2"),
        ("c", "sim:fail:pull:2"),
    ] {
        let id = w
            .service(&stack, name, json!({"scale": 2, "launchConfig": {"imageUuid": image}}))
            .await;
        w.act(&id, "activate", json!({})).await.ok();
        w.settle().await;
        let row = w.show(&id).await;
        has(
            &row,
            &json!({"state": "activating", "transitioning": "yes", "healthState": "unhealthy"}),
            name,
        );
        assert!(
            text(&row, "transitioningMessage").contains("Failing ["),
            "{name}: {}",
            row["transitioningMessage"]
        );
        w.wait(&id, "active").await;
        assert_eq!(w.containers(&id).await.len(), 2, "{name}");
    }
}

#[actix_web::test]
async fn an_upgrade_to_what_never_starts_can_be_left_in_every_way() {
    for image in ["sim:fail", "sim:fail:pull", "sim:fail:create"] {
        for (action, end) in [
            ("rollback", "active"),
            ("remove", "removed"),
            ("cancelupgrade", "canceled-upgrade"),
        ] {
            let w = World::new().await;
            let stack = w.stack("s").await;
            let id = w.running(&stack, "web", json!({"scale": 2})).await;
            w.act(&id, "upgrade", upgrade_to(image)).await.ok();
            w.advance(Duration::from_secs(30)).await;
            let row = w.show(&id).await;
            assert_eq!(row["state"], "upgrading");
            assert!(
                text(&row, "transitioningMessage").contains("Failing ["),
                "{image}: {}",
                row["transitioningMessage"]
            );
            w.act(&id, action, json!({})).await.expect(202, json!({}));
            w.wait(&id, end).await;
            if end == "canceled-upgrade" {
                w.act(&id, "rollback", json!({})).await.ok();
                w.wait(&id, "active").await;
            }
            w.advance(Duration::from_secs(30)).await;
            let expected: &[&str] = if end == "removed" {
                &[]
            } else {
                &["s-web-1 running", "s-web-2 running"]
            };
            assert_eq!(w.picture(&id).await, expected, "{image} {action}");
            assert_eq!(w.sim().containers().len(), expected.len(), "{image} {action}");
        }
    }
}

#[actix_web::test]
async fn an_activation_that_hangs_can_be_left_in_every_way() {
    for (action, input, end) in [
        ("deactivate", json!({}), "inactive"),
        ("upgrade", upgrade_to("sim:new"), "upgraded"),
        ("remove", json!({}), "removed"),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w
            .service(
                &stack,
                "web",
                json!({"scale": 2, "launchConfig": {"imageUuid": "sim:fail:start"}}),
            )
            .await;
        w.act(&id, "activate", json!({})).await.ok();
        w.advance(Duration::from_secs(5)).await;
        assert_eq!(w.show(&id).await["state"], "activating");
        w.act(&id, action, input).await.expect(202, json!({}));
        w.wait(&id, end).await;
        w.advance(Duration::from_secs(10)).await;
        let running = w
            .containers(&id)
            .await
            .iter()
            .filter(|c| c["state"] == "running")
            .count();
        assert_eq!(running, if end == "upgraded" { 2 } else { 0 }, "{action}");
        let starting: Vec<Value> = w
            .containers(&id)
            .await
            .into_iter()
            .filter(|c| c["transitioning"] == "yes")
            .collect();
        assert!(starting.is_empty(), "{action}: {starting:#?}");
    }
}

#[actix_web::test]
async fn hands_that_interfere_with_an_upgrade_do_not_change_its_end() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 3})).await;
    w.act(&id, "upgrade", upgrade_to("sim:new")).await.ok();
    w.settle().await;
    // One new and one old container go, one old put aside is started by hand.
    let rows = w.containers(&id).await;
    let find = |name: &str, image: &str| {
        rows.iter()
            .find(|c| c["name"] == name && c["imageUuid"] == image)
            .cloned()
            .unwrap_or_default()
    };
    for row in [find("s-web-1", "sim:new"), find("s-web-3", "sim:web")] {
        w.delete(text(&row, "id")).await.expect(200, json!({}));
    }
    w.act(text(&find("s-web-1", "sim:web"), "id"), "start", json!({}))
        .await
        .ok();
    w.wait(&id, "upgraded").await;
    w.advance(Duration::from_secs(3)).await;
    let rows = w.containers(&id).await;
    let live: Vec<&Value> = rows.iter().filter(|c| c["state"] == "running").collect();
    assert_eq!(live.len(), 3, "{:?}", w.picture(&id).await);
    assert!(
        live.iter().all(|c| c["imageUuid"] == "sim:new"),
        "{:?}",
        w.picture(&id).await
    );
    // One that was put aside goes: the rollback makes it anew.
    let parked = rows.iter().find(|c| c["state"] == "stopped").expect("an old one");
    w.delete(text(parked, "id"))
        .await
        .expect(200, json!({"state": "removing"}));
    w.settle().await;
    w.act(&id, "rollback", json!({})).await.ok();
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(3)).await;
    assert_eq!(
        w.picture(&id).await,
        ["s-web-1 running", "s-web-2 running", "s-web-3 running"]
    );
    assert!(w.containers(&id).await.iter().all(|c| c["imageUuid"] == "sim:web"));
}

#[actix_web::test]
async fn a_host_that_goes_during_an_upgrade_takes_nothing_with_it() {
    let w = World::with_hosts(&["a", "b"]).await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 4})).await;
    w.act(&id, "upgrade", upgrade_to("sim:new")).await.ok();
    w.settle().await;
    let hosts = w.list("hosts?sort=id").await;
    let host = text(&hosts[0], "id");
    w.act(host, "deactivate", json!({})).await.ok();
    w.wait(host, "inactive").await;
    w.delete(host).await.ok();
    w.wait(host, "removed").await;
    w.wait(&id, "upgraded").await;
    w.act(&id, "finishupgrade", json!({})).await.ok();
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(3)).await;
    assert_eq!(
        w.picture(&id).await,
        [
            "s-web-1 running",
            "s-web-2 running",
            "s-web-3 running",
            "s-web-4 running"
        ]
    );
    let other = &hosts[1]["id"];
    assert!(
        w.containers(&id)
            .await
            .iter()
            .all(|c| c["hostId"] == *other && c["imageUuid"] == "sim:new")
    );
}

#[actix_web::test]
async fn ports_move_from_the_old_to_the_new_container() {
    for first in [false, true] {
        let w = World::new().await;
        w.sim().set_strict(true);
        let stack = w.stack("s").await;
        let id = w
            .running(&stack, "web", json!({"launchConfig": {"ports": ["8080:80"]}}))
            .await;
        let config = json!({"imageUuid": "sim:new", "ports": ["8080:80"]});
        w.act(
            &id,
            "upgrade",
            json!({"inServiceStrategy": {"startFirst": first, "launchConfig": config}}),
        )
        .await
        .ok();
        w.wait(&id, "upgraded").await;
        let picture = ["s-web-1 running", "s-web-1 stopped old"];
        assert_eq!(w.picture(&id).await, picture, "start first: {first}");
        w.act(&id, "rollback", json!({})).await.ok();
        w.wait(&id, "active").await;
        w.advance(Duration::from_secs(2)).await;
        assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
        assert_eq!(w.show(&id).await["publicEndpoints"].as_array().map(Vec::len), Some(1));
    }
}

#[actix_web::test]
async fn an_old_container_stops_before_its_successor_starts() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.sim().take_calls();
    w.act(&id, "upgrade", upgrade_to("sim:new")).await.ok();
    w.wait(&id, "upgraded").await;
    let calls = w.sim().take_calls();
    let order: Vec<&str> = calls
        .iter()
        .map(|c| c.split(' ').next().unwrap_or_default())
        .filter(|c| matches!(*c, "start" | "stop"))
        .collect();
    assert_eq!(order, ["stop", "start", "stop", "start"], "{calls:?}");
}

#[actix_web::test]
async fn a_server_that_dies_at_any_commit_goes_on_where_it_was() {
    // The whole way: activation, upgrade, rollback; death at the n-th commit of it.
    let steps: [(&str, Value, &str); 4] = [
        ("activate", json!({}), "active"),
        ("upgrade", upgrade_to("sim:new"), "upgraded"),
        ("rollback", json!({}), "active"),
        ("deactivate", json!({}), "inactive"),
    ];
    for (nth, (action, input, end)) in steps.iter().enumerate() {
        // Every third is enough: the others differ in what was woken only.
        for commits in (nth..).step_by(3).filter_map(|n| i64::try_from(n).ok()) {
            let mut w = World::new().await;
            w.sim().set_strict(true);
            let stack = w.stack("s").await;
            let kicks = json!([{"name": "side", "imageUuid": "sim:side"}]);
            let id = w
                .service(&stack, "web", json!({"scale": 2, "secondaryLaunchConfigs": kicks}))
                .await;
            for (action, input, end) in &steps[..nth] {
                w.act(&id, action, input.clone()).await.ok();
                w.wait(&id, end).await;
                w.settle().await;
            }
            w.die_after(commits);
            let answer = w.act(&id, action, input.clone()).await;
            if w.is_dead() || answer.status == 202 {
                w.settle().await;
                for _ in 0..4 {
                    w.advance(Duration::from_millis(700)).await;
                }
            }
            let was_dead = w.is_dead();
            w.restart().await;
            if answer.status != 202 {
                w.act(&id, action, input.clone()).await.expect(202, json!({}));
            }
            w.wait(&id, end).await;
            w.advance(Duration::from_secs(3)).await;
            let case = format!("{action} dying at commit {commits}");
            let (names, state) = (
                ["s-web-1", "s-web-2", "s-web-side-1", "s-web-side-2"],
                if *end == "inactive" { "stopped" } else { "running" },
            );
            let mut expected: Vec<String> = names.iter().map(|n| format!("{n} {state}")).collect();
            if *end == "upgraded" {
                expected.extend(["s-web-1 stopped old", "s-web-2 stopped old"].map(str::to_owned));
                expected.sort();
            }
            assert_eq!(w.picture(&id).await, expected, "{case}");
            assert_eq!(
                w.sim().containers().len(),
                expected.len(),
                "{case}: containers that no row knows"
            );
            if !was_dead {
                break;
            }
        }
    }
}

/// Does all that is due, while probes are made at every point where that waits for something.
async fn settle_between_probes(w: &World) {
    let is_over = std::cell::Cell::new(false);
    let settling = async {
        w.settle().await;
        is_over.set(true);
    };
    let probing = async {
        while !is_over.get() {
            w.engine.probe().await.expect("probes can be made");
            tokio::task::yield_now().await;
        }
    };
    futures_util::future::join(settling, probing).await;
}

#[actix_web::test]
async fn checks_are_not_lost_however_probes_and_starts_meet() {
    const MANY: usize = 20;
    let w = World::new().await;
    let stack = w.stack("s").await;
    let check = json!({"port": 80, "interval": 100, "responseTimeout": 100, "healthyThreshold": 1, "unhealthyThreshold": 1, "strategy": "none"});
    let body = json!({"scale": MANY, "launchConfig": {"healthCheck": check}});
    let id = w.service(&stack, "web", body).await;
    w.act(&id, "activate", json!({})).await.ok();
    settle_between_probes(&w).await;
    let healthy = |rows: &[Value]| rows.iter().filter(|c| c["healthState"] == "healthy").count();
    w.advance(Duration::from_secs(2)).await;
    assert_eq!(healthy(&w.containers(&id).await), MANY, "each is probed once it runs");
    // The same over a restart of each.
    for container in w.containers(&id).await {
        w.act(text(&container, "id"), "restart", json!({})).await.ok();
    }
    settle_between_probes(&w).await;
    w.advance(Duration::from_secs(2)).await;
    assert_eq!(healthy(&w.containers(&id).await), MANY, "and once it runs again");
}

#[actix_web::test]
async fn what_cannot_be_started_is_made_again_ever_later_also_over_a_restart() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w
        .service(&stack, "web", json!({"launchConfig": {"imageUuid": "sim:fail"}}))
        .await;
    w.act(&id, "activate", json!({})).await.ok();
    w.advance(Duration::from_secs(600)).await;
    let row = w.show(&id).await;
    let made = row["createIndex"].as_i64().unwrap_or_default();
    assert!((6..=14).contains(&made), "made {made} times in ten minutes");
    let message = text(&row, "transitioningMessage");
    assert!(message.contains("Failing [compute.instance.activate]"), "{message}");
    // The next one is made after two minutes at the earliest, whoever counts.
    w.restart().await;
    w.advance(Duration::from_secs(100)).await;
    let after = w.show(&id).await["createIndex"].as_i64().unwrap_or_default();
    assert!(after <= made + 1, "{} more in a hundred seconds", after - made);
}
