//! What Docker's clients find as a real swarm has it: nodes that are drained, updates that lead back, names that are free again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::docker_services::{delete, get, made, post, show, until, update, web};
use crate::support::{World, text};

async fn node(w: &World, id: &str, availability: &str) -> Value {
    let index = get(w, &format!("/nodes/{id}")).await.ok()["Version"]["Index"].to_string();
    let spec = json!({"Role": "manager", "Availability": availability, "Labels": {"at": availability}});
    let answer = post(w, &format!("/nodes/{id}/update?version={index}"), spec).await;
    assert_eq!(answer.status, 200, "{availability}: {}", answer.body);
    // What leaves takes its time.
    for _ in 0..20 {
        w.advance(Duration::from_millis(500)).await;
    }
    get(w, &format!("/nodes/{id}")).await.ok()
}

#[actix_web::test]
async fn a_node_that_is_drained_reads_so_until_something_else_is_asked_of_it() {
    let w = World::new().await;
    let service = made(&w, web(json!({}))).await;
    let id = text(&get(&w, "/nodes").await.ok()[0], "ID").to_owned();
    for wanted in ["drain", "pause", "drain", "active", "pause", "active", "drain"] {
        let now = node(&w, &id, wanted).await;
        assert_eq!(
            (&now["Spec"]["Availability"], &now["Spec"]["Labels"]),
            (&json!(wanted), &json!({"at": wanted}))
        );
    }
    let tasks = get(&w, "/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D")
        .await
        .ok();
    assert_eq!(
        (
            &tasks[0]["Status"]["State"],
            &tasks[0]["ServiceID"],
            tasks[0].get("NodeID")
        ),
        (&json!("pending"), &json!(service), None),
        "what finds no host waits"
    );
    assert_eq!(
        get(&w, &format!("/tasks/{}", text(&tasks[0], "ID"))).await.ok()["Slot"],
        1
    );
    let host = w.list("hosts").await[0].clone();
    let path = format!("hosts/{}", text(&host, "id"));
    w.act(&path, "activate", json!({})).await;
    w.settle().await;
    w.act(&path, "deactivate", json!({})).await;
    w.settle().await;
    let now = get(&w, &format!("/nodes/{id}")).await.ok();
    assert_eq!(now["Spec"]["Availability"], "pause", "what was done elsewhere shows");
    w.act(&path, "evacuate", json!({})).await;
    w.settle().await;
    let now = get(&w, &format!("/nodes/{id}")).await.ok();
    assert_eq!(now["Spec"]["Availability"], "drain");
    assert!(
        w.show(text(&host, "id")).await.get("evacuated").is_none(),
        "no view of Rancher's has it"
    );
}

#[actix_web::test]
async fn what_failed_and_went_back_is_as_it_was_and_has_nothing_before_it() {
    let w = World::new().await;
    let first = web(json!({"UpdateConfig": {"Parallelism": 1, "FailureAction": "continue", "Monitor": 1_000_000_000}}));
    let id = made(&w, first.clone()).await;
    let before = show(&w, &id).await;
    let broken = web(json!({"TaskTemplate": {"ContainerSpec": {"Image": "sim:exit:3:500"}},
        "UpdateConfig": {"Parallelism": 1, "FailureAction": "rollback", "Monitor": 5_000_000_000_i64}}));
    assert_eq!(update(&w, &id, broken).await.status, 200);
    let now = until(&w, &id, "rollback_completed").await;
    assert_eq!((&now["Spec"], now.get("PreviousSpec")), (&before["Spec"], None));
    let index = &now["Version"]["Index"];
    assert!(index.as_u64() > before["Version"]["Index"].as_u64(), "{now:#}");
    let again = post(&w, &format!("/services/{id}/update?version={index}"), first).await;
    assert_eq!(again.status, 200);
    w.settle().await;
    let now = show(&w, &id).await;
    assert_eq!(
        now.get("UpdateStatus"),
        None,
        "what is asked for next has its own status: {now:#}"
    );
}

#[actix_web::test]
async fn a_name_is_free_as_soon_as_its_service_is_asked_to_go() {
    let w = World::new().await;
    made(&w, web(json!({"Mode": {"Replicated": {"Replicas": 2}}}))).await;
    for _ in 0..2 {
        delete(&w, "/services/web").await.ok();
        post(&w, "/services/create", web(json!({})))
            .await
            .expect(201, json!({}));
    }
    let listed = get(&w, "/services").await.ok();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed:#}");
}

#[actix_web::test]
async fn a_service_is_changed_before_it_has_come_up() {
    let w = World::new().await;
    let id = post(&w, "/services/create", web(json!({})))
        .await
        .expect(201, json!({}));
    let id = text(&id, "ID");
    let spec = web(json!({"TaskTemplate": {"ContainerSpec": {"Image": "sim:other"}}}));
    let answer = post(&w, &format!("/services/{id}/update?version=1"), spec).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let now = until(&w, id, "completed").await;
    assert_eq!(now["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"], "sim:other");
    let tasks = get(&w, "/tasks").await.ok();
    assert_eq!(
        (
            &tasks[0]["Status"]["State"],
            &tasks[0]["Spec"]["ContainerSpec"]["Image"]
        ),
        (&json!("running"), &json!("sim:other"))
    );
    assert_eq!(w.list("services").await[0]["state"], "active");
}

#[actix_web::test]
async fn a_secret_is_made_again_as_soon_as_it_is_removed() {
    let w = World::new().await;
    for _ in 0..3 {
        let body = json!({"Name": "key", "Data": "eA=="});
        post(&w, "/secrets/create", body).await.expect(201, json!({}));
        assert_eq!(delete(&w, "/secrets/KEY").await.status, 204);
    }
}

#[actix_web::test]
async fn a_stack_that_was_made_here_goes_with_its_last_service() {
    let w = World::new().await;
    let named =
        |name: &str| web(json!({"Name": format!("shop_{name}"), "Labels": {"com.docker.stack.namespace": "shop"}}));
    let stacks = async || -> Vec<String> {
        for _ in 0..8 {
            w.advance(Duration::from_millis(500)).await;
        }
        let rows = w.list("stacks?system=false").await;
        rows.iter()
            .map(|row| text(row, "name").to_owned())
            .filter(|name| name != "Default")
            .collect()
    };
    for _ in 0..2 {
        made(&w, named("a")).await;
        made(&w, named("b")).await;
        delete(&w, "/services/shop_a").await.ok();
        assert_eq!(stacks().await, ["shop"]);
        delete(&w, "/services/shop_b").await.ok();
        assert!(stacks().await.is_empty());
    }
    made(&w, named("a")).await;
    delete(&w, "/services/shop_a").await.ok();
    post(&w, "/services/create", named("a")).await.expect(201, json!({}));
    assert_eq!(stacks().await, ["shop"], "it is used again before it went");
    made(&w, web(json!({}))).await;
    delete(&w, "/services/web").await.ok();
    assert_eq!(
        stacks().await,
        ["shop", "default"],
        "what belongs to no stack has one all the same"
    );
    w.post("stacks", json!({"name": "native"})).await.expect(201, json!({}));
    made(
        &w,
        web(json!({"Name": "native_a", "Labels": {"com.docker.stack.namespace": "native"}})),
    )
    .await;
    delete(&w, "/services/native_a").await.ok();
    assert_eq!(stacks().await, ["shop", "default", "native"]);
}
