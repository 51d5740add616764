//! Images fetched before anybody needs them: `pullTask`.

use serde_json::json;

use crate::support::{World, text};

#[actix_web::test]
async fn an_image_is_fetched_on_each_host_that_may_run_it() {
    let w = World::with_hosts(&["one", "two"]).await;
    let body = json!({"image": "sim:big", "mode": "all"});
    let made = w.post("pulltasks", body).await.expect(
        201,
        json!({"type": "pullTask", "state": "activating", "transitioning": "yes", "status": null}),
    );
    let task = format!("pulltasks/{}", text(&made, "id"));
    let row = w.wait(&task, "active").await;
    let status = row["status"].as_object().expect("a status").clone();
    assert_eq!(status.len(), 2, "{row}");
    assert!(status.values().all(|word| word == "Done"), "{row}");
    assert_eq!(row["transitioning"], "no");
    assert_eq!(w.sim().count("pull"), 1, "the other host has an engine of its own");

    // Affinity says on which.
    let host = w.list("hosts").await.remove(0);
    w.put(
        &format!("hosts/{}", text(&host, "id")),
        json!({"labels": {"disk": "ssd"}}),
    )
    .await
    .ok();
    w.settle().await;
    let labels = json!({"io.rancher.scheduler.affinity:host_label": "disk=ssd"});
    let made = w
        .post(
            "pulltasks",
            json!({"image": "sim:big", "mode": "cached", "labels": labels}),
        )
        .await
        .ok();
    let row = w.wait(&format!("pulltasks/{}", text(&made, "id")), "active").await;
    assert_eq!(row["status"], json!({text(&host, "hostname"): "Done"}), "{row}");

    // None may run a Docker image here: nothing is to be done, and that is done.
    let made = w.post("pulltasks", json!({"image": "nginx", "mode": "all"})).await.ok();
    let row = w.wait(&format!("pulltasks/{}", text(&made, "id")), "active").await;
    assert_eq!(row["status"], json!({}), "{row}");
    w.act(&task, "remove", json!({})).await.ok();
    w.wait(&task, "removed").await;
}

#[actix_web::test]
async fn a_host_that_cannot_says_why_and_what_may_not_be_pulled_is_refused() {
    let w = World::new().await;
    let made = w
        .post("pulltasks", json!({"image": "sim:fail:pull", "mode": "all"}))
        .await
        .ok();
    let row = w.wait(&format!("pulltasks/{}", text(&made, "id")), "active").await;
    let words: Vec<&str> = row["status"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, word)| word.as_str())
        .collect();
    assert_eq!(words.len(), 1, "{row}");
    assert_ne!(words[0], "Done", "{row}");
    w.post("pulltasks", json!({"mode": "all"}))
        .await
        .refused(422, "MissingRequired");
    w.post("pulltasks", json!({"image": "sim:x", "mode": "some"}))
        .await
        .refused(422, "InvalidOption");
    w.put(
        "/v2-beta/settings/registry.whitelist",
        json!({"value": "registry.example"}),
    )
    .await
    .ok();
    let answer = w
        .post("pulltasks", json!({"image": "elsewhere.example/a:1", "mode": "all"}))
        .await
        .refused(422, "InvalidOption");
    assert_eq!(answer["fieldName"], "image", "{answer}");
}
