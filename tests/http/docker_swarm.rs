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

#[actix_web::test]
async fn what_of_a_swarm_has_an_effect_can_be_set() {
    let w = World::new().await;
    let swarm = get(&w, "/swarm").await.ok();
    assert_eq!(swarm["Version"]["Index"], 1);
    let mut spec = swarm["Spec"].clone();
    spec["Labels"] = json!({"team": "shop"});
    spec["Orchestration"]["TaskHistoryRetentionLimit"] = json!(1);
    let answer = post(&w, "/swarm/update?version=1&rotateWorkerToken=false", spec.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let swarm = get(&w, "/swarm").await.ok();
    assert_eq!((&swarm["Spec"], &swarm["Version"]["Index"]), (&spec, &json!(2)));
    assert_eq!(get(&w, "/info").await.ok()["Swarm"]["Cluster"]["Spec"], spec);
    assert!(
        !w.show("projects/1a5").await.to_string().contains("shop"),
        "no view of Rancher's has it"
    );
    for (query, body, status, said) in [
        ("version=1", spec.clone(), 500, "update out of sequence"),
        ("version=x", spec.clone(), 400, "invalid swarm version 'x'"),
        (
            "version=2&rotateManagerToken=true",
            spec.clone(),
            501,
            "rotateManagerToken: ",
        ),
        (
            "version=2",
            json!({"Name": "other"}),
            400,
            "swarm spec must be named \"default\"",
        ),
        (
            "version=2",
            json!({"Raft": {"SnapshotInterval": 5000}}),
            501,
            "Raft.SnapshotInterval: ",
        ),
        (
            "version=2",
            json!({"EncryptionConfig": {"AutoLockManagers": true}}),
            501,
            "EncryptionConfig.AutoLockManagers: ",
        ),
        (
            "version=2",
            json!({"TaskDefaults": {"LogDriver": {"Name": "syslog"}}}),
            501,
            "TaskDefaults.LogDriver.Name: ",
        ),
        (
            "version=2",
            json!({"CAConfig": {"ExternalCAs": [{"URL": "x"}]}}),
            501,
            "CAConfig.ExternalCAs: ",
        ),
        (
            "version=2",
            json!({"Orchestration": {"TaskHistoryRetentionLimit": 1001}}),
            400,
            "at most 1000",
        ),
        ("version=2", json!({"Labels": {"a": 1}}), 400, "json: cannot unmarshal"),
    ] {
        let refused = post(&w, &format!("/swarm/update?{query}"), body.clone()).await;
        assert_eq!(refused.status, status, "{query} {body}: {}", refused.body);
        assert!(
            text(&refused.body, "message").contains(said),
            "{query} {body}: {}",
            refused.body
        );
    }
    assert_eq!(
        get(&w, "/swarm").await.ok()["Version"]["Index"],
        2,
        "nothing was changed"
    );

    // Of a slot one task that is gone is remembered, where there would be two.
    let id = made(&w, web(json!({}))).await;
    for image in ["sim:one", "sim:two"] {
        let spec = web(
            json!({"TaskTemplate": {"ContainerSpec": {"Image": image}}, "UpdateConfig": {"Parallelism": 1, "Monitor": 1_000_000}}),
        );
        assert_eq!(update(&w, &id, spec).await.status, 200);
        until(&w, &id, "completed").await;
    }
    let tasks = |answer: Value| answer.as_array().map_or(0, Vec::len);
    assert_eq!(tasks(get(&w, "/tasks").await.ok()), 2);
    // What is left out is as it is at first.
    post(&w, "/swarm/update?version=2", json!({"orchestration": {}}))
        .await
        .expect(200, json!(""));
    let swarm = get(&w, "/swarm").await.ok();
    assert_eq!(
        (&swarm["Spec"]["Labels"], &swarm["Spec"]["Orchestration"]),
        (&json!({}), &json!({"TaskHistoryRetentionLimit": 5}))
    );
    assert_eq!(tasks(get(&w, "/tasks").await.ok()), 3);
}

#[actix_web::test]
async fn a_swarm_is_had_as_it_is_or_not_at_all() {
    let w = World::new().await;
    let node = text(&get(&w, "/nodes").await.ok()[0], "ID").to_owned();
    let as_is = json!({"ListenAddr": "0.0.0.0:2377", "SubnetSize": 24, "DefaultAddrPool": null, "Spec": get(&w, "/swarm").await.ok()["Spec"]});
    for body in [json!({}), as_is] {
        assert_eq!(post(&w, "/swarm/init", body).await.ok(), json!(node));
    }
    for (body, field) in [
        (json!({"SubnetSize": 26}), "SubnetSize"),
        (json!({"DefaultAddrPool": ["2.0.0.0/16"]}), "DefaultAddrPool"),
        (json!({"DataPathPort": 4242}), "DataPathPort"),
        (json!({"ForceNewCluster": true}), "ForceNewCluster"),
        (
            json!({"Spec": {"Raft": {"SnapshotInterval": 5000}}}),
            "Raft.SnapshotInterval",
        ),
        (json!({"Spec": {"Labels": {"a": "b"}}}), "Spec"),
    ] {
        let refused = post(&w, "/swarm/init", body).await;
        assert_eq!(refused.status, 501, "{field}: {}", refused.body);
        assert!(
            text(&refused.body, "message").starts_with(&format!("{field}: ")),
            "{}",
            refused.body
        );
    }
}

#[actix_web::test]
async fn a_node_is_removed_when_it_is_down_or_somebody_insists() {
    let w = World::with_hosts(&["one", "two"]).await;
    let everywhere = web(json!({"Mode": {"Global": {}}}));
    made(&w, everywhere).await;
    let nodes = get(&w, "/nodes").await.ok();
    let id = text(&nodes[1], "ID").to_owned();
    let path = format!("/nodes/{id}");
    let refused = delete(&w, &path).await;
    let said = format!("rpc error: code = FailedPrecondition desc = node {id} is not down and can't be removed");
    assert_eq!((refused.status, &refused.body["message"]), (400, &json!(said)));
    assert_eq!(delete(&w, "/nodes/none?force=1").await.status, 404);
    assert_eq!(delete(&w, &format!("{path}?force=true")).await.status, 200);
    for _ in 0..20 {
        w.advance(Duration::from_millis(500)).await;
    }
    let left = get(&w, "/nodes").await.ok();
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left:#}");
    assert_eq!(w.list("hosts").await.len(), 1);
    assert_eq!(get(&w, "/tasks").await.ok().as_array().map(Vec::len), Some(1));
    let last = format!("/nodes/{}?force=true", text(&left[0], "ID"));
    let refused = delete(&w, &last).await;
    assert_eq!(refused.status, 400);
    assert!(
        text(&refused.body, "message").contains("is a cluster manager"),
        "{}",
        refused.body
    );
}
