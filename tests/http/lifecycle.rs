//! The life of a service, from its creation to its end.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, actions, text};

#[actix_web::test]
async fn a_new_service_is_registered_and_has_no_containers() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let body = json!({"name": "web", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "labels": {"MixedCase": "Yes"}}});
    let row = w.post("services", body).await.expect(201, json!({"state": "registering", "transitioning": "yes"}));
    let id = text(&row, "id");
    w.settle().await;
    let row = w.show(id).await;
    let expected = json!({
        "state": "inactive",
        "transitioning": "no",
        "healthState": "unhealthy",
        "currentScale": 0,
        "launchConfig": {"version": "0", "labels": {"MixedCase": "Yes"}},
    });
    crate::support::has(&row, &expected, "new service");
    assert_eq!(actions(&row), ["activate", "addservicelink", "remove", "removeservicelink", "setservicelinks", "update", "upgrade"]);
    assert!(w.containers(id).await.is_empty());
    let plain = w.service(&stack, "plain", json!({})).await;
    assert!(w.show(&plain).await["launchConfig"].get("labels").is_none_or(serde_json::Value::is_null));
}

#[actix_web::test]
async fn scale_up_and_down_and_up_again_makes_new_containers() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 3})).await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running", "s-web-3 running"]);
    let indexes: Vec<_> = w.containers(&id).await.iter().map(|c| c["createIndex"].as_i64()).collect();
    assert_eq!(indexes, [Some(1), Some(2), Some(3)]);

    // One that was stopped by hand is started again by the next change.
    let second = w.list("containers?name=s-web-2").await[0]["id"].clone();
    let second = second.as_str().expect("an id");
    w.act(second, "stop", json!({})).await.expect(202, json!({"state": "stopping"}));
    w.settle().await;
    w.put(&id, json!({"scale": 4})).await.expect(200, json!({"state": "updating-active", "scale": 4}));
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running", "s-web-3 running", "s-web-4 running"]);

    w.put(&id, json!({"scale": 0})).await.ok();
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(2)).await;
    assert!(w.picture(&id).await.is_empty());
    assert!(w.list(&format!("serviceexposemaps?serviceId={id}")).await.is_empty());
    crate::support::has(&w.show(&id).await, &json!({"currentScale": 0, "instanceIds": [], "healthState": "healthy"}), "scale 0");

    w.put(&id, json!({"scale": 4})).await.ok();
    w.wait(&id, "active").await;
    let rows = w.containers(&id).await;
    let newest = rows.iter().filter_map(|c| c["createIndex"].as_i64()).max();
    assert!(rows.iter().all(|c| c["createIndex"].as_i64() > Some(4)), "{rows:#?}");
    assert_eq!(w.show(&id).await["createIndex"].as_i64(), newest);
}

#[actix_web::test]
async fn quick_changes_of_scale_end_at_the_last_one() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({})).await;
    w.put(&id, json!({"scale": 10})).await.ok();
    w.put(&id, json!({"scale": 1})).await.ok();
    w.wait(&id, "active").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running"]);
}

#[actix_web::test]
async fn deactivating_stops_and_removing_takes_away() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    w.act(&id, "deactivate", json!({})).await.expect(202, json!({"state": "deactivating"}));
    w.wait(&id, "inactive").await;
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 stopped", "s-web-2 stopped"]);
    w.put(&id, json!({"scale": 5})).await.expect(200, json!({"state": "updating-inactive"}));
    w.wait(&id, "inactive").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 stopped", "s-web-2 stopped"]);
    w.act(&id, "activate", json!({})).await.expect(202, json!({"state": "activating"}));
    w.wait(&id, "active").await;
    assert_eq!(w.containers(&id).await.len(), 5);
    w.delete(&id).await.expect(200, json!({"state": "removing"}));
    w.wait(&id, "removed").await;
    assert!(w.containers(&id).await.is_empty());
    assert!(w.sim().containers().is_empty());
    w.act(&id, "activate", json!({})).await.refused(422, "ActionNotAvailable");
    w.act(&id, "nope", json!({})).await.refused(422, "InvalidAction");
}

#[actix_web::test]
async fn a_restart_in_the_middle_of_an_upgrade_changes_nothing_of_its_end() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 2})).await;
    let strategy = json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 2000, "launchConfig": {"imageUuid": "sim:new"}}});
    let row = w.act(&id, "upgrade", strategy).await.expect(202, json!({"state": "upgrading", "launchConfig": {"imageUuid": "sim:new"}}));
    crate::support::has(
        &row["upgrade"]["inServiceStrategy"],
        &json!({"previousLaunchConfig": {"imageUuid": "sim:web", "version": "0"}, "previousSecondaryLaunchConfigs": []}),
        "upgrade",
    );
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-1 stopped old", "s-web-2 running"]);
    w.restart().await;
    w.wait(&id, "upgraded").await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-1 stopped old", "s-web-2 running", "s-web-2 stopped old"]);
    w.act(&id, "finishupgrade", json!({})).await.expect(202, json!({"state": "finishing-upgrade"}));
    w.wait(&id, "active").await;
    w.settle().await;
    assert_eq!(w.picture(&id).await, ["s-web-1 running", "s-web-2 running"]);
}
