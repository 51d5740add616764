//! Rollbacks that are watched over: by labels of the version that is left, by Docker's `RollbackConfig`, by MedStack Control's policies.

use std::time::Duration;

use drover::runtime::sim::Health;
use serde_json::{Value, json};

use crate::docker_services::{made, post, show, until, update, web};
use crate::support::{World, text};

/// A service of three that was upgraded to a version with these labels of `io.drover.rollback`, and its containers before that.
async fn upgraded(w: &World, labels: &[(&str, &str)]) -> (String, Vec<Value>) {
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 3})).await;
    let before = w.containers(&id).await;
    let labels: serde_json::Map<String, Value> = labels
        .iter()
        .map(|(key, value)| (format!("io.drover.rollback.{key}"), json!(value)))
        .collect();
    let launch = json!({"imageUuid": "sim:new", "labels": labels});
    let strategy = json!({"batchSize": 1, "intervalMillis": 100, "launchConfig": launch});
    w.act(&id, "upgrade", json!({"inServiceStrategy": strategy})).await.ok();
    w.wait(&id, "upgraded").await;
    (id, before)
}

/// Lets time pass until a container runs; then it exits.
async fn exits_when_back(w: &World, container: &Value) {
    for _ in 0..240 {
        if w.show(&format!("containers/{}", text(container, "id"))).await["state"] == "running" {
            assert!(w.sim().exit(text(container, "uuid"), 9));
            w.advance(Duration::from_millis(500)).await;
            return;
        }
        w.advance(Duration::from_millis(250)).await;
    }
    panic!("never back");
}

async fn says(w: &World, id: &str) -> (String, String) {
    let row = w.show(id).await;
    (
        text(&row, "state").to_owned(),
        text(&row, "transitioningMessage").to_owned(),
    )
}

fn paused() -> (String, String) {
    let said = "Rollback paused: 1 of 3 failed: s-web-1";
    ("rolling-back".to_owned(), said.to_owned())
}

async fn running(w: &World, image: &str) -> usize {
    let rows = w.list("containers?limit=200").await;
    let is_it = |row: &&Value| row["imageUuid"] == image && row["state"] == "running";
    rows.iter().filter(is_it).count()
}

#[actix_web::test]
async fn a_rollback_that_fails_pauses_when_it_is_told_to() {
    let mut w = World::new().await;
    let (id, before) = upgraded(&w, &[("failure_action", "pause"), ("monitor", "10s")]).await;
    w.act(&id, "rollback", json!({})).await.ok();
    w.settle().await;
    exits_when_back(&w, &before[0]).await;
    assert_eq!(says(&w, &id).await, paused());
    w.restart().await;
    w.advance(Duration::from_secs(120)).await;
    assert_eq!(says(&w, &id).await, paused(), "though what failed runs by now");
    assert_eq!((running(&w, "sim:web").await, running(&w, "sim:new").await), (1, 2));
    let lines = w.list(&format!("servicelogs?serviceId={id}&limit=200")).await;
    let told = lines.iter().filter(|line| text(line, "description") == paused().1);
    assert_eq!(told.count(), 1, "it is told once");
    // Who cancels it may have it finished.
    let v1 = format!("/v1/projects/1a5/services/{id}");
    w.act(&v1, "cancelrollback", json!({})).await.expect(202, json!({}));
    w.wait(&v1, "canceled-rollback").await;
    w.act(&v1, "finishupgrade", json!({})).await.expect(202, json!({}));
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(3)).await;
    let after = w.containers(&id).await;
    let ids = |rows: &[Value]| rows.iter().map(|row| text(row, "id").to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before));
    assert!(after.iter().all(|row| row["state"] == "running"), "{after:#?}");
}

#[actix_web::test]
async fn a_rollback_goes_on_where_failing_is_within_the_ratio_or_has_no_consequence() {
    let some = [
        ("failure_action", "pause"),
        ("max_failure_ratio", "0.5"),
        ("monitor", "3s"),
    ];
    for labels in [&some[..], &[("failure_action", "continue")], &[]] {
        let w = World::new().await;
        let (id, before) = upgraded(&w, labels).await;
        w.act(&id, "rollback", json!({})).await.ok();
        w.settle().await;
        exits_when_back(&w, &before[0]).await;
        w.wait(&id, "active").await;
        w.advance(Duration::from_secs(20)).await;
        assert_eq!((running(&w, "sim:web").await, running(&w, "sim:new").await), (3, 0));
    }
}

#[actix_web::test]
async fn each_that_comes_back_is_watched_for_its_time() {
    let w = World::new().await;
    let (id, _) = upgraded(&w, &[("monitor", "20s")]).await;
    let begun = w.clock_ms();
    w.act(&id, "rollback", json!({})).await.ok();
    w.wait(&id, "active").await;
    let took = w.clock_ms() - begun;
    assert!(took >= 60_000, "{took} ms");
}

#[actix_web::test]
async fn what_was_kept_and_cannot_be_started_any_more_pauses_a_rollback() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let launch = json!({"imageUuid": "sim:web", "ports": ["8080:80/tcp"]});
    let id = w.running(&stack, "web", json!({"launchConfig": launch})).await;
    let labels = json!({"io.drover.rollback.failure_action": "pause"});
    let launch = json!({"imageUuid": "sim:new", "ports": [], "labels": labels});
    let strategy = json!({"intervalMillis": 100, "launchConfig": launch});
    w.act(&id, "upgrade", json!({"inServiceStrategy": strategy})).await.ok();
    w.wait(&id, "upgraded").await;
    w.sim().hold_port(8080);
    w.act(&id, "rollback", json!({})).await.ok();
    w.advance(Duration::from_secs(60)).await;
    let said = "Rollback paused: 1 of 1 failed: s-web-1".to_owned();
    assert_eq!(says(&w, &id).await, ("rolling-back".to_owned(), said));
}

/// A service of Docker's with three containers of this image, which is updated and goes back by these policies.
fn policies(image: &str, forth: &str, back: Value) -> Value {
    let mut spec = web(json!({"Mode": {"Replicated": {"Replicas": 3}}}));
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
    spec["UpdateConfig"] = json!({"Parallelism": 1, "Monitor": 2_000_000_000, "FailureAction": forth});
    if back != Value::Null {
        spec["RollbackConfig"] = back;
    }
    spec
}

#[actix_web::test]
async fn docker_is_told_that_a_rollback_by_itself_is_paused() {
    // A swarm pauses rollbacks of which nothing is said.
    for (back, ends) in [
        (Value::Null, "rollback_paused"),
        (
            json!({"Parallelism": 1, "FailureAction": "continue"}),
            "rollback_completed",
        ),
    ] {
        let w = World::new().await;
        let id = made(&w, policies("sim:one", "rollback", back.clone())).await;
        let before = w.list("containers?sort=id").await;
        update(&w, &id, policies("sim:exit:3:1000", "rollback", back))
            .await
            .expect(200, json!({}));
        until(&w, &id, "rollback_started").await;
        let first = before.iter().find(|row| text(row, "name").ends_with("web-1")).unwrap();
        exits_when_back(&w, first).await;
        let service = until(&w, &id, ends).await;
        let image = &service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"];
        assert_eq!(*image, "sim:one");
        if ends == "rollback_paused" {
            w.advance(Duration::from_secs(60)).await;
            let status = show(&w, &id).await["UpdateStatus"].clone();
            assert_eq!(
                (&status["State"], &status["Message"], &status["CompletedAt"]),
                (
                    &json!("rollback_paused"),
                    &json!("rollback paused due to failure or early termination of task"),
                    &Value::Null
                )
            );
            // The next update takes its place.
            update(&w, &id, policies("sim:two", "pause", Value::Null))
                .await
                .expect(200, json!({}));
            until(&w, &id, "completed").await;
        }
        w.advance(Duration::from_secs(20)).await;
        let image = if ends == "rollback_paused" {
            "sim:two"
        } else {
            "sim:one"
        };
        assert_eq!(running(&w, image).await, 3);
    }
}

#[actix_web::test]
async fn one_that_does_not_become_well_again_pauses_a_rollback() {
    let w = World::new().await;
    let checked = |image: &str| {
        let mut spec = policies(image, "rollback", Value::Null);
        spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"] =
            json!({"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 2});
        spec
    };
    let id = made(&w, checked("sim:one")).await;
    let before = w.list("containers?sort=id").await;
    update(&w, &id, checked("sim:exit:3:1000")).await.expect(200, json!({}));
    until(&w, &id, "rollback_started").await;
    let first = before.iter().find(|row| text(row, "name").ends_with("web-1")).unwrap();
    w.sim().set_health(text(first, "uuid"), Health::Unhealthy);
    until(&w, &id, "rollback_paused").await;
}

#[actix_web::test]
async fn an_update_that_goes_on_whatever_fails_comes_to_its_end() {
    let w = World::new().await;
    let id = made(&w, policies("sim:one", "continue", Value::Null)).await;
    update(&w, &id, policies("sim:fail", "continue", Value::Null))
        .await
        .expect(200, json!({}));
    let service = until(&w, &id, "completed").await;
    assert_eq!(service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "sim:fail");
    w.advance(Duration::from_secs(30)).await;
    assert_eq!(running(&w, "sim:one").await, 0);
    let row = w.list("services?name=web").await[0].clone();
    let said = w.show(text(&row, "id")).await;
    assert_eq!(said["healthState"], "unhealthy", "{said:#}");
}

#[actix_web::test]
async fn docker_is_told_that_a_rollback_that_was_asked_for_is_paused() {
    for (action, ends) in [("pause", "rollback_paused"), ("continue", "rollback_completed")] {
        let w = World::new().await;
        let back = json!({"Parallelism": 1, "FailureAction": action, "Monitor": 5_000_000_000_i64});
        let id = made(&w, policies("sim:one", "pause", back.clone())).await;
        update(&w, &id, policies("sim:two", "pause", back))
            .await
            .expect(200, json!({}));
        until(&w, &id, "completed").await;
        let index = show(&w, &id).await["Version"]["Index"].to_string();
        let path = format!("/services/{id}/update?version={index}&rollback=previous");
        post(&w, &path, policies("sim:two", "pause", Value::Null))
            .await
            .expect(200, json!({}));
        w.settle().await;
        let new = w.list("containers?sort=id").await;
        let new = new.iter().rfind(|row| row["imageUuid"] == "sim:one").unwrap();
        exits_when_back(&w, new).await;
        until(&w, &id, ends).await;
    }
}
