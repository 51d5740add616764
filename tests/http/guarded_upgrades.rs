//! Upgrades that are watched over, by labels of their launch configuration: rolled back, paused, or held after a canary.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, actions, text};

/// An upgrade one by one to this image with these labels of `io.drover.upgrade`.
fn to(image: &str, labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<String, Value> = labels
        .iter()
        .map(|(key, value)| (format!("io.drover.upgrade.{key}"), json!(value)))
        .collect();
    json!({"inServiceStrategy": {
        "batchSize": 1, "intervalMillis": 100, "launchConfig": {"imageUuid": image, "labels": labels},
    }})
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| text(row, "id")).collect()
}

/// The containers of an image, in the order of their making; those that run, or all.
async fn of_image(w: &World, image: &str, only_running: bool) -> Vec<Value> {
    let mut rows = w.list("containers?sort=id&limit=200").await;
    rows.retain(|row| row["imageUuid"] == image && (!only_running || row["state"] == "running"));
    rows
}

/// The sentences of a service's log, oldest first.
async fn log(w: &World, service: &str) -> Vec<String> {
    let rows = w
        .list(&format!("servicelogs?serviceId={service}&sort=id&limit=200"))
        .await;
    rows.iter().map(|row| text(row, "description").to_owned()).collect()
}

/// Lets time pass until the service says so.
async fn until_it_says(w: &World, service: &str, part: &str) -> Value {
    for _ in 0..240 {
        let row = w.show(service).await;
        if text(&row, "transitioningMessage").contains(part) {
            return row;
        }
        w.advance(Duration::from_millis(250)).await;
    }
    panic!("never says {part}: {:#}", w.show(service).await);
}

#[actix_web::test]
async fn an_upgrade_that_fails_rolls_itself_back_to_the_same_containers() {
    for (image, how, more) in [
        ("sim:exit:3:2000", "exited with code 3", json!({})),
        ("sim:fail", "Failing [compute.instance.activate]", json!({})),
        (
            "sim:web",
            "unhealthy",
            json!({"port": 80, "interval": 1000, "unhealthyThreshold": 2, "initializingTimeout": 3000, "responseTimeout": 1000}),
        ),
    ] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 3})).await;
        let before = w.containers(&id).await;
        let mut upgrade = to(image, &[("failure_action", "rollback"), ("monitor", "10s")]);
        if more != json!({}) {
            let launch = &mut upgrade["inServiceStrategy"]["launchConfig"];
            launch["healthCheck"] = more;
            launch["labels"]["sim.health"] = json!("unhealthy");
        }
        w.act(&id, "upgrade", upgrade).await.ok();
        let row = w.wait(&id, "active").await;
        assert_eq!(row["launchConfig"]["imageUuid"], "sim:web", "{image}");
        assert_eq!(row["launchConfig"]["version"], "0", "{image}");
        let said = text(&row, "transitioningMessage");
        assert!(
            said.starts_with("Upgrade rolled back: 1 of 3 failed: s-web-1"),
            "{image}: {said}"
        );
        assert_eq!(row["transitioning"], "error", "{image}");
        w.advance(Duration::from_secs(3)).await;
        let after = w.containers(&id).await;
        assert_eq!(ids(&after), ids(&before), "{image}");
        assert!(after.iter().all(|c| c["state"] == "running"), "{image}: {after:#?}");
        let log = log(&w, &id).await;
        assert!(log.iter().any(|line| line == said), "{image}: {log:#?}");
        assert!(said.contains(how) || how == "unhealthy", "{image}: {said}");
        // The next process wipes what was said of this one.
        w.put(&id, json!({"scale": 4})).await.ok();
        let row = w.wait(&id, "active").await;
        assert_eq!(row["transitioning"], "no", "{image}");
    }
}

#[actix_web::test]
async fn an_upgrade_that_succeeds_is_not_rolled_back_and_takes_its_time() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    let begun = w.clock_ms();
    w.act(
        &id,
        "upgrade",
        to("sim:new", &[("failure_action", "rollback"), ("monitor", "10s")]),
    )
    .await
    .ok();
    w.wait(&id, "upgraded").await;
    let took = w.clock_ms() - begun;
    assert!(took >= 20_000, "each of two is watched for ten seconds: {took} ms");
    w.act(&id, "finishupgrade", json!({})).await.ok();
    let row = w.wait(&id, "active").await;
    assert_eq!(row["transitioning"], "no");
}

#[actix_web::test]
async fn a_failure_within_the_ratio_holds_nothing_up() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 4})).await;
    let labels = [
        ("failure_action", "pause"),
        ("monitor", "2s"),
        ("max_failure_ratio", "0.25"),
    ];
    w.act(&id, "upgrade", to("sim:new", &labels)).await.ok();
    w.settle().await;
    // The first new one dies again and again; the others are well.
    for _ in 0..60 {
        let all = w.list("containers?name=s-web-1&state=running").await;
        for row in all.iter().filter(|row| row["imageUuid"] == "sim:new") {
            w.sim().exit(text(row, "uuid"), 9);
        }
        w.advance(Duration::from_millis(500)).await;
        if w.show(&id).await["state"] == "upgraded" {
            break;
        }
    }
    let row = w.wait(&id, "upgraded").await;
    assert_eq!(row["transitioning"], "no");
    let new = of_image(&w, "sim:new", false).await;
    assert_eq!(new.len(), 4);
    let log = log(&w, &id).await;
    assert!(
        log.iter()
            .any(|line| line.starts_with("s-web-1 failed: exited with code 9")),
        "{log:#?}"
    );
}

#[actix_web::test]
async fn a_paused_upgrade_stands_still_until_somebody_decides() {
    for way in ["rollback", "continueupgrade"] {
        let mut w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 3})).await;
        let before = w.containers(&id).await;
        w.act(&id, "upgrade", to("sim:exit:3:2000", &[("failure_action", "pause")]))
            .await
            .ok();
        let said = "Upgrade paused: 1 of 3 failed: s-web-1";
        let row = until_it_says(&w, &id, said).await;
        assert_eq!(row["state"], "upgrading");
        let offered = actions(&row);
        assert!(
            offered.contains(&"cancelupgrade") && offered.contains(&"rollback"),
            "{offered:?}"
        );
        w.restart().await;
        w.advance(Duration::from_secs(60)).await;
        let row = w.show(&id).await;
        assert_eq!(
            (text(&row, "state"), text(&row, "transitioningMessage")),
            ("upgrading", said)
        );
        let old = of_image(&w, "sim:web", true).await;
        assert_eq!(ids(&old), ids(&before)[1..], "nothing else was touched");
        let lines = log(&w, &id).await.into_iter().filter(|line| line == said).count();
        assert_eq!(lines, 1, "it is told once");
        w.act(&id, "cancelupgrade", json!({})).await.ok();
        w.wait(&id, "canceled-upgrade").await;
        w.act(&id, way, json!({})).await.ok();
        if way == "rollback" {
            w.wait(&id, "active").await;
            w.advance(Duration::from_secs(3)).await;
            assert_eq!(ids(&w.containers(&id).await), ids(&before));
            continue;
        }
        // It fails again, and that is said again.
        w.settle().await;
        let row = until_it_says(&w, &id, "Upgrade paused").await;
        assert_eq!(row["state"], "upgrading");
    }
}

#[actix_web::test]
async fn a_canary_is_upgraded_and_the_others_wait_for_a_decision() {
    for way in ["rollback", "continueupgrade"] {
        let mut w = World::new().await;
        let stack = w.stack("s").await;
        let id = w.running(&stack, "web", json!({"scale": 5})).await;
        let before = w.containers(&id).await;
        let mut upgrade = to("sim:new", &[("canary", "2"), ("monitor", "3s")]);
        upgrade["inServiceStrategy"]["batchSize"] = json!(4);
        w.act(&id, "upgrade", upgrade).await.ok();
        let said = "2 of 5 upgraded, waiting for cancelupgrade and continueupgrade, or rollback";
        until_it_says(&w, &id, said).await;
        w.restart().await;
        w.advance(Duration::from_secs(60)).await;
        let row = w.show(&id).await;
        assert_eq!(
            (text(&row, "state"), text(&row, "transitioningMessage")),
            ("upgrading", said)
        );
        assert_eq!(of_image(&w, "sim:new", false).await.len(), 2);
        // Nobody forgets what is on its way.
        w.act(&id, "upgrade", to("sim:newer", &[]))
            .await
            .refused(422, "ActionNotAvailable");
        w.act(&id, "cancelupgrade", json!({})).await.ok();
        w.wait(&id, "canceled-upgrade").await;
        w.act(&id, way, json!({})).await.ok();
        if way == "rollback" {
            w.wait(&id, "active").await;
            w.advance(Duration::from_secs(3)).await;
            assert_eq!(ids(&w.containers(&id).await), ids(&before));
        } else {
            w.wait(&id, "upgraded").await;
            assert_eq!(of_image(&w, "sim:new", true).await.len(), 5);
        }
    }
}

#[actix_web::test]
async fn a_label_that_means_nothing_is_refused_wherever_it_comes_from() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let before = w.stored();
    let named = |answer: crate::support::Answer, label: &str| {
        let body = answer.expect(422, json!({"type": "error"}));
        assert!(body.to_string().contains(label), "{body}");
    };
    for (label, value) in [
        ("failure_action", "stop"),
        ("monitor", "soon"),
        ("max_failure_ratio", "2"),
        ("canary", "0"),
        ("canery", "1"),
    ] {
        let name = format!("io.drover.upgrade.{label}");
        let labels = json!({ name.clone(): value, "io.drover.upgrade.failure_action": if label == "failure_action" { value } else { "pause" } });
        let config = json!({"imageUuid": "sim:web", "labels": labels});
        let body = json!({"name": "new", "stackId": stack, "launchConfig": config});
        let answer = w.post("services", body).await;
        assert_eq!(answer.body["fieldName"], "launchConfig.labels", "{}", answer.body);
        named(answer, &name);
        let strategy = json!({"inServiceStrategy": {"launchConfig": config}});
        named(w.act(&id, "upgrade", strategy).await, &name);
    }
    let sidekick = json!({"name": "new", "stackId": stack, "launchConfig": {"imageUuid": "sim:web"},
        "secondaryLaunchConfigs": [{"name": "side", "imageUuid": "sim:side", "labels": {"io.drover.upgrade.canary": "1"}}]});
    named(w.post("services", sidekick).await, "io.drover.upgrade.canary");
    assert_eq!(w.stored(), before);
    let files = "new:\n  image: sim:web\n  labels:\n    io.drover.upgrade.canary: some\n";
    let row = w
        .post("stacks", json!({"name": "files", "dockerCompose": files}))
        .await
        .ok();
    let row = w.wait(text(&row, "id"), "error").await;
    assert!(
        text(&row, "transitioningMessage").contains("label io.drover.upgrade.canary"),
        "{row}"
    );
    // Upgrades to another service go their own way: it is said.
    let watched = json!({"launchConfig": {"labels": {"io.drover.upgrade.canary": "1"}}});
    let from = w.running(&stack, "from", watched).await;
    let strategy = json!({"toServiceStrategy": {"toServiceId": id, "finalScale": 1}});
    let body = w
        .act(&from, "upgrade", strategy)
        .await
        .expect(501, json!({"type": "error"}));
    assert_eq!(body["fieldName"], "launchConfig.labels");
}

#[actix_web::test]
async fn a_stack_says_that_the_upgrade_of_a_service_was_rolled_back() {
    let w = World::new().await;
    let files = |image: &str| {
        json!({"name": "files", "startOnCreate": true, "dockerCompose":
            format!("web:\n  image: {image}\n  labels:\n    io.drover.upgrade.failure_action: rollback\n    io.drover.upgrade.monitor: 10s\n")})
    };
    let row = w.post("stacks", files("sim:web")).await.expect(201, json!({}));
    let stack = text(&row, "id").to_owned();
    w.wait(&stack, "active").await;
    let web = w.list("services?name=web").await;
    let id = text(&web[0], "id").to_owned();
    w.wait(&id, "active").await;
    w.act(&stack, "upgrade", files("sim:exit:3:2000")).await.ok();
    let row = until_it_says(&w, &stack, "service web: Upgrade rolled back").await;
    assert_eq!(row["state"], "upgrading");
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(200)).await;
    let row = w.show(&id).await;
    assert_eq!(row["state"], "active", "it is not tried again");
    assert_eq!(row["launchConfig"]["imageUuid"], "sim:web");
    w.act(&stack, "rollback", json!({})).await.ok();
    w.wait(&stack, "active").await;
}
