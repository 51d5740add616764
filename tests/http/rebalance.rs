//! `rebalance`, an action that no schema lists: the units of a service move, one at a time, until each host has its share.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, actions, text};

/// How many running containers of a service each host has.
async fn shares(w: &World, service: &str) -> Vec<usize> {
    let rows = w.containers(service).await;
    let hosts = w.list("hosts?sort=id").await;
    let on = |host: &str| {
        let here = rows.iter().filter(|c| c["state"] == "running" && c["hostId"] == host);
        here.count()
    };
    hosts.iter().map(|host| on(text(host, "id"))).collect()
}

fn sum(shares: &[usize]) -> usize {
    shares.iter().sum()
}

#[actix_web::test]
async fn units_move_to_a_host_that_came_later_and_never_too_few_run() {
    let mut w = World::with_hosts(&["a"]).await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 4})).await;
    w.add_host("b").await;
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(shares(&w, &id).await, [4, 0], "nothing moves by itself");

    w.act(&id, "rebalance", json!({}))
        .await
        .expect(202, json!({"state": "updating-active"}));
    let mut restarts = 0;
    while w.show(&id).await["state"] != "active" {
        if !w.engine.settle_next().await {
            w.advance(Duration::from_millis(500)).await;
        }
        let shares = shares(&w, &id).await;
        assert!((4..=5).contains(&sum(&shares)), "{shares:?}");
        // The server ends in the middle of a move, and goes on with it.
        if restarts == 0 && sum(&shares) == 5 {
            restarts += 1;
            w.restart().await;
        }
    }
    assert_eq!(restarts, 1);
    assert_eq!(shares(&w, &id).await, [2, 2]);
    let row = w.show(&id).await;
    assert_eq!(
        (&row["currentScale"], &row["healthState"]),
        (&json!(4), &json!("healthy"))
    );

    // It was done once: a host that comes now gets nothing until somebody asks again.
    w.add_host("c").await;
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(shares(&w, &id).await, [2, 2, 0]);
    w.act(&id, "rebalance", json!({})).await.ok();
    w.wait(&id, "active").await;
    assert_eq!(shares(&w, &id).await, [1, 2, 1]);
}

#[actix_web::test]
async fn an_address_that_is_kept_is_given_up_first_and_labels_of_hosts_count() {
    let mut w = World::with_hosts(&["a"]).await;
    let stack = w.stack("s").await;
    let kept = w.running(&stack, "db", json!({"scale": 2, "retainIp": true})).await;
    let pinned = json!({"scale": 3, "launchConfig": {"imageUuid": "sim:x",
        "labels": {"io.rancher.scheduler.affinity:host_label_ne": "disk=slow"}}});
    let pinned = w.running(&stack, "web", pinned).await;
    let names = w.picture(&kept).await;
    let b = w.add_host("b").await;
    w.put(&b, json!({"labels": {"disk": "slow"}})).await.ok();
    w.advance(Duration::from_secs(5)).await;
    w.act(&kept, "rebalance", json!({})).await.ok();
    w.wait(&kept, "active").await;
    assert_eq!(shares(&w, &kept).await, [1, 1]);
    assert_eq!(w.picture(&kept).await, names, "the same units");
    w.act(&pinned, "rebalance", json!({})).await.ok();
    w.wait(&pinned, "active").await;
    assert_eq!(shares(&w, &pinned).await, [3, 0]);
}

#[actix_web::test]
async fn what_cannot_move_is_refused_and_no_client_is_told_of_it() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"scale": 1})).await;
    let row = w.show(&id).await;
    assert!(!actions(&row).contains(&"rebalance"), "{row}");
    for version in ["v1", "v2-beta"] {
        let schema = w.get(&format!("/{version}/projects/1a5/schemas/service")).await.ok();
        assert!(!schema.to_string().contains("rebalance"), "{schema}");
    }
    let global = json!({"launchConfig": {"imageUuid": "sim:x", "labels": {"io.rancher.scheduler.global": "true"}}});
    let global = w.running(&stack, "all", global).await;
    let own = json!({"name": "data", "stackId": stack, "perContainer": true});
    w.post("volumetemplates", own).await.ok();
    let keeper = json!({"launchConfig": {"imageUuid": "sim:x", "dataVolumes": ["data:/data"]}});
    let keeper = w.running(&stack, "keeper", keeper).await;
    let before = w.stored();
    for (service, body, code) in [
        (&id, json!({"host": "1h1"}), "InvalidOption"),
        (&global, json!({}), "InvalidAction"),
        (&keeper, json!({}), "InvalidAction"),
    ] {
        w.act(service, "rebalance", body).await.refused(422, code);
    }
    let stack_is_none = w.act(&stack, "rebalance", json!({})).await;
    stack_is_none.refused(422, "InvalidAction");
    assert_eq!(w.stored(), before);
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    w.act(&id, "rebalance", json!({}))
        .await
        .refused(422, "ActionNotAvailable");
}
