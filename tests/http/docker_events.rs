//! What happened before anybody listened, over Docker's interface.

use std::time::Duration;

use serde_json::{Value, json};

use crate::docker_services::{delete, get, made, post, update, web};
use crate::project_isolation::scene;
use crate::support::{World, text};

/// What `/events` tells of a time that is over, `type action name` each.
async fn told(w: &World, query: &str) -> Vec<String> {
    let answer = get(w, &format!("/events?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let lines = match answer.body {
        Value::String(lines) => lines,
        Value::Null => String::new(),
        one => format!("{one}\n"),
    };
    let events = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut last = 0;
    events
        .map(|event| {
            let time = event["timeNano"].as_i64().expect("a time");
            assert!(time >= last, "in order");
            last = time;
            let name = event["Actor"]["Attributes"]["name"].as_str().unwrap_or_default();
            format!("{} {} {name}", text(&event, "Type"), text(&event, "Action"))
        })
        .collect()
}

/// The clock in seconds.
fn now(w: &World) -> i64 {
    w.clock_ms() / 1_000
}

#[actix_web::test]
async fn what_was_is_told_as_far_as_processes_are_kept() {
    let mut w = World::new().await;
    w.advance(Duration::from_secs(10)).await;
    let begin = now(&w);
    post(&w, "/secrets/create", json!({"Name": "hush", "Data": "aGk="})).await;
    post(&w, "/configs/create", json!({"Name": "conf", "Data": "aGk="})).await;
    post(&w, "/networks/create", json!({"Name": "net", "Driver": "overlay"})).await;
    let spec = web(json!({"Labels": {"com.docker.stack.namespace": "shop"}, "Name": "shop_web"}));
    let id = made(&w, spec.clone()).await;
    w.advance(Duration::from_secs(5)).await;
    let middle = now(&w);
    let mut wider = spec;
    wider["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:other");
    assert_eq!(update(&w, &id, wider).await.status, 200);
    for _ in 0..20 {
        w.advance(Duration::from_millis(500)).await;
    }
    delete(&w, "/services/shop_web").await;
    delete(&w, "/secrets/hush").await;
    for _ in 0..20 {
        w.advance(Duration::from_millis(500)).await;
    }
    let end = now(&w);
    // A server that was started anew has seen none of it.
    w.restart().await;
    let all = told(&w, &format!("since={begin}&until={end}")).await;
    for expected in [
        "secret create hush",
        "config create conf",
        "network create net",
        "service create shop_web",
        "container create shop-web-1",
        "container start shop-web-1",
        "service update shop_web",
        "container die shop-web-1",
        "container stop shop-web-1",
        "service remove shop_web",
        "secret remove hush",
        "container destroy shop-web-1",
    ] {
        assert!(all.iter().any(|one| one == expected), "{expected}: {all:#?}");
    }
    let first = told(&w, &format!("since={begin}&until={middle}")).await;
    assert!(
        first.iter().any(|one| one == "service create shop_web") && !first.iter().any(|one| one.contains("remove")),
        "{first:#?}"
    );
    let filters = "%7B%22type%22%3A%5B%22service%22%5D%2C%22event%22%3A%5B%22remove%22%5D%7D";
    assert_eq!(
        told(&w, &format!("since={begin}&until={end}&filters={filters}")).await,
        ["service remove shop_web"]
    );
    assert_eq!(
        told(&w, &format!("until={end}")).await,
        [""; 0],
        "nobody asked for what was"
    );
    assert_eq!(told(&w, &format!("since={end}&until={begin}")).await, [""; 0]);
}

#[actix_web::test]
async fn what_was_in_another_project_is_told_to_nobody_else() {
    let scene = scene().await;
    let w = &scene.world;
    let until = now(w);
    for (account, prefix, role) in &scene.strangers {
        if !prefix.contains("/projects/") {
            continue;
        }
        let path = format!("/docker/projects/{}/events?since=1&until={until}", scene.project);
        let answer = crate::project_isolation::send(w, account, actix_web::http::Method::GET, &path, None).await;
        let said = answer.body.to_string();
        assert_eq!(answer.status, 200, "{role:?}: {said}");
        assert!(!said.contains("front"), "{role:?}: {said}");
    }
}
