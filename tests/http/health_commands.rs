//! Containers whose health is what a command says, by the label `io.drover.health.command`.

use std::time::Duration;

use drover::runtime::sim::Health::{Healthy, Unhealthy};
use serde_json::{Value, json};

use crate::support::{World, text};

const LABEL: &str = "io.drover.health.command";

fn checked(more: Value) -> Value {
    let mut labels = json!({LABEL: "test -f /well"});
    crate::support::lay_over(&mut labels, more);
    labels
}

async fn health(w: &World, id: &str) -> String {
    text(&w.show(id).await, "healthState").to_owned()
}

#[actix_web::test]
async fn a_command_is_asked_at_its_own_pace_and_what_is_ill_is_made_anew() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let labels = checked(json!({"sim.health": "unhealthy"}));
    let id = w
        .running(&stack, "web", json!({"launchConfig": {"labels": labels}}))
        .await;
    w.advance(Duration::from_secs(60)).await;
    assert_eq!(health(&w, &id).await, "initializing");
    let uuid = w.uuid("s-web-1").await;
    w.sim().set_health(&uuid, Healthy);
    w.advance(Duration::from_secs(11)).await;
    assert_eq!(health(&w, &id).await, "healthy");
    let row = w.containers(&id).await.remove(0);
    assert_eq!(text(&row, "healthState"), "healthy");
    // Two failures are none, three are.
    w.sim().set_health(&uuid, Unhealthy);
    w.advance(Duration::from_secs(19)).await;
    assert_eq!(w.uuid("s-web-1").await, uuid);
    w.advance(Duration::from_secs(13)).await;
    w.wait(&id, "active").await;
    assert_ne!(w.uuid("s-web-1").await, uuid);
    assert_eq!(health(&w, &id).await, "initializing");
}

#[actix_web::test]
async fn an_upgrade_to_what_its_command_does_not_find_well_is_rolled_back() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let check = json!({"port": 80, "interval": 500, "responseTimeout": 500, "unhealthyThreshold": 2, "initializingTimeout": 2000});
    let body = json!({"scale": 2, "launchConfig": {"labels": checked(json!({})), "healthCheck": check}});
    let id = w.running(&stack, "web", body).await;
    w.advance(Duration::from_secs(1)).await;
    assert_eq!(health(&w, &id).await, "healthy");
    let before = [w.uuid("s-web-1").await, w.uuid("s-web-2").await];
    let labels = checked(json!({"sim.health": "unhealthy", "io.drover.upgrade.failure_action": "rollback"}));
    let launch = json!({"imageUuid": "sim:two", "labels": labels, "healthCheck": check});
    let strategy = json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 100, "launchConfig": launch}});
    w.act(&id, "upgrade", strategy).await.ok();
    w.advance(Duration::from_secs(30)).await;
    let row = w.wait(&id, "active").await;
    assert!(
        text(&row, "transitioningMessage").starts_with("Upgrade rolled back"),
        "{row:#}"
    );
    assert_eq!([w.uuid("s-web-1").await, w.uuid("s-web-2").await], before);
}

#[actix_web::test]
async fn a_command_that_cannot_be_is_refused_and_changes_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    let before = w.stored();
    let long = "x".repeat(4_097);
    for (label, value, check) in [
        (LABEL, " ", Value::Null),
        (LABEL, long.as_str(), Value::Null),
        ("io.drover.health.comand", "true", Value::Null),
        (LABEL, "true", json!({"port": 80, "requestLine": "GET / HTTP/1.0"})),
    ] {
        let launch = json!({"imageUuid": "sim:web", "labels": {label: value}, "healthCheck": check});
        let sidekick =
            json!([{"name": "side", "imageUuid": "sim:web", "labels": {label: value}, "healthCheck": check}]);
        let plain = json!({"imageUuid": "sim:web"});
        let answers = [
            w.post(
                "services",
                json!({"name": "a", "stackId": stack, "launchConfig": launch}),
            )
            .await,
            w.post(
                "services",
                json!({"name": "a", "stackId": stack, "launchConfig": plain, "secondaryLaunchConfigs": sidekick}),
            )
            .await,
            w.post("containers", launch.clone()).await,
            w.act(&id, "upgrade", json!({"inServiceStrategy": {"launchConfig": launch}}))
                .await,
        ];
        for answer in answers {
            let refused = answer.refused(422, "InvalidOption");
            assert_eq!(refused["fieldName"], "launchConfig.labels");
            assert!(text(&refused, "message").contains(label), "{refused}");
        }
    }
    assert_eq!(w.stored(), before);
}
