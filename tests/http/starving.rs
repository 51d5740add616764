//! Whoever may write can neither stop the server nor starve the others who use it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, text};

#[actix_web::test]
async fn what_multiplies_work_has_limits() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let many = |count: usize| (0..count).map(|n| json!(format!("v{n}"))).collect::<Vec<Value>>();
    let keys = |count: usize| {
        (0..count)
            .map(|n| (format!("k{n}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
    };
    let policy = |number: i64| json!({"min": number, "max": number, "increment": 1});
    let service = |more: Value| {
        let mut body = json!({"name": "web", "stackId": stack, "launchConfig": {"imageUuid": "sim:web"}});
        crate::support::lay_over(&mut body, more);
        ("services", body)
    };
    let container = |more: Value| {
        let mut body = json!({"imageUuid": "sim:web"});
        crate::support::lay_over(&mut body, more);
        ("containers", body)
    };
    let launch = |more: Value| service(json!({"launchConfig": more}));
    let before = w.stored();
    for ((path, body), field) in [
        (service(json!({"scale": 2_000_000_000})), "scale"),
        (service(json!({"scale": 10_001})), "scale"),
        (service(json!({"scalePolicy": policy(2_000_000_000)})), "min"),
        (service(json!({"metadata": {"x": vec![0; 10_000]}})), "metadata"),
        (
            service(json!({"secondaryLaunchConfigs": vec![json!({"name": "a", "imageUuid": "sim:a"}); 33]})),
            "secondaryLaunchConfigs",
        ),
        (launch(json!({"ports": many(65)})), "ports"),
        (launch(json!({"labels": keys(101)})), "labels"),
        (launch(json!({"environment": keys(1_001)})), "environment"),
        (container(json!({"dataVolumes": many(60_000)})), "dataVolumes"),
        (container(json!({"count": 101})), "count"),
        (container(json!({"count": 100, "labels": keys(2)})), "count"),
        (container(json!({"devices": many(1_001)})), "devices"),
    ] {
        let refusal = w.post(path, body).await.refused(422, "MaxLimitExceeded");
        assert_eq!(refusal["fieldName"], field);
    }
    assert_eq!(w.stored(), before);
    let (path, body) = container(json!({"count": 100}));
    w.post(path, body).await.ok();
}

#[actix_web::test]
async fn what_the_server_died_of_twice_is_set_aside_until_it_is_changed() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let bad = w.service(&stack, "bad", json!({})).await;
    let good = w.service(&stack, "good", json!({})).await;
    for id in [&bad, &good] {
        w.act(id, "activate", json!({})).await.expect(202, json!({}));
    }
    let number = |wire: &str| {
        wire.trim_start_matches("1s")
            .parse::<i64>()
            .expect("an id has a number")
    };
    let bad_row = number(&bad);
    // As a server that dies before it has done anything, the first time without a mark.
    w.die_of(&[]).await;
    assert_eq!(w.show(&bad).await["state"], "active");
    w.act(&bad, "deactivate", json!({})).await.expect(202, json!({}));
    w.die_of(&[bad_row]).await;
    assert_eq!(w.show(&bad).await["state"], "inactive", "once is no reason");
    w.act(&bad, "activate", json!({})).await.expect(202, json!({}));
    w.act(&good, "deactivate", json!({})).await.expect(202, json!({}));
    w.die_of(&[bad_row]).await;
    let row = w.show(&bad).await;
    assert_eq!(row["state"], "activating");
    assert!(
        text(&row, "transitioningMessage").starts_with("Set aside: the server ended twice"),
        "{row}"
    );
    assert_eq!(w.show(&good).await["state"], "inactive");
    // It stays so, over starts in order as well.
    w.advance(Duration::from_secs(120)).await;
    w.restart().await;
    assert_eq!(w.show(&bad).await["state"], "activating");
    w.put(&bad, json!({"scale": 2})).await.expect(200, json!({}));
    let row = w.wait(&bad, "active").await;
    assert_eq!(row["transitioningMessage"], Value::Null);
    assert_eq!(w.containers(&bad).await.len(), 2);
    // And can be removed when it is set aside again.
    w.die_of(&[]).await;
    w.die_of(&[bad_row]).await;
    w.die_of(&[bad_row]).await;
    w.delete(&bad).await.ok();
    w.wait(&bad, "removed").await;
}

#[actix_web::test]
async fn what_an_orderly_stop_follows_is_not_counted() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.service(&stack, "web", json!({})).await;
    let row = id.trim_start_matches("1s").parse::<i64>().expect("an id has a number");
    for _ in 0..3 {
        w.die_of(&[row]).await;
        w.restart().await;
    }
    w.act(&id, "activate", json!({})).await.expect(202, json!({}));
    w.wait(&id, "active").await;
}

#[actix_web::test]
async fn what_is_done_to_many_is_written_in_portions() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for n in 0..160 {
        let body =
            json!({"name": format!("web{n}"), "stackId": stack, "scale": 0, "launchConfig": {"imageUuid": "sim:web"}});
        w.post("services", body).await.expect(201, json!({}));
    }
    w.settle().await;
    // A debug build refuses a write of more than its portion.
    w.act(&stack, "activateservices", json!({})).await.ok();
    w.settle().await;
    let states = |rows: Vec<Value>, state: &str| rows.iter().filter(|row| row["state"] == state).count();
    let services = "services?limit=1000";
    assert_eq!(states(w.list(services).await, "active"), 160);
    w.act(&stack, "deactivateservices", json!({})).await.ok();
    w.settle().await;
    assert_eq!(states(w.list(services).await, "inactive"), 160);
    w.delete(&stack).await.ok();
    w.wait(&stack, "removed").await;
    assert_eq!(w.list(services).await.len(), 0);
}

/// What a debug build would refuse to write, were it more than a portion and the largest thing that is written whole.
#[actix_web::test]
async fn the_largest_of_everything_can_be_written() {
    let w = World::new().await;
    let list =
        |count: usize, form: &dyn Fn(usize) -> String| (0..count).map(|n| json!(form(n))).collect::<Vec<Value>>();
    let labels: serde_json::Map<_, _> = (0..100).map(|n| (format!("k{n}"), json!("v"))).collect();
    let largest = json!({"imageUuid": "sim:web", "name": "largest", "labels": labels,
        "ports": list(64, &|n| format!("{}:{}", 20_000 + n, 80 + n)), "dataVolumes": list(100, &|n| format!("/v{n}"))});
    let id = text(&w.post("containers", largest).await.expect(201, json!({})), "id").to_owned();
    w.wait(&id, "running").await;
    w.act(&id, "stop", json!({})).await.ok();
    w.wait(&id, "stopped").await;
    w.act(&id, "start", json!({})).await.ok();
    w.wait(&id, "running").await;
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;

    let stack = w.stack("s").await;
    let mut targets = Vec::new();
    for n in 0..200 {
        let body = json!({"name": format!("t{n}"), "stackId": stack, "launchConfig": {"imageUuid": "sim:web"}});
        targets.push(w.post("services", body).await.expect(201, json!({}))["id"].clone());
    }
    let from = w.service(&stack, "from", json!({})).await;
    for half in targets.chunks(100) {
        let links: Vec<Value> = half.iter().map(|id| json!({"serviceId": id})).collect();
        w.act(&from, "setservicelinks", json!({"serviceLinks": links}))
            .await
            .ok();
        w.settle().await;
    }
    let addresses = |net: usize| list(100, &|n| format!("10.{net}.0.{}", n + 1));
    let body = json!({"name": "outside", "stackId": stack, "externalIpAddresses": addresses(1)});
    let outside = text(&w.post("externalServices", body).await.expect(201, json!({})), "id").to_owned();
    w.wait(&outside, "inactive").await;
    w.act(&outside, "activate", json!({})).await.ok();
    w.wait(&outside, "active").await;
    let path = format!("externalServices/{outside}");
    w.put(&path, json!({"externalIpAddresses": addresses(2)}))
        .await
        .expect(200, json!({}));
    w.wait(&outside, "active").await;
    w.delete(&outside).await.ok();
    w.wait(&outside, "removed").await;
}
