//! What Docker's and MedStack Control's words cannot say of a service that was made elsewhere: it stays when they update it.

use serde_json::{Value, json};

use crate::docker_services::{native, show, update};
use crate::support::{World, text};

async fn elsewhere(w: &World) -> String {
    let stack = w.stack("front").await;
    let launch = json!({
        "imageUuid": "sim:a", "requestedHostId": text(&w.list("hosts").await[0], "id"), "privileged": true, "cpuShares": 512,
        "devices": ["/dev/null:/dev/zero:r"], "healthCheck": {"port": 80, "interval": 2_000, "strategy": "recreate"},
        "labels": {"io.rancher.scheduler.affinity:container_label_ne": "tier=back", "io.rancher.container.pull_image": "always",
            "io.rancher.scheduler.affinity:host_label": "disk=ssd", "tier": "front", "zone": "a"},
    });
    let id = w
        .service(&stack, "web", json!({"scale": 1, "launchConfig": launch}))
        .await;
    w.settle().await;
    id
}

/// The service as Docker's clients are shown it.
async fn shown(w: &World) -> Value {
    let all = w.get("/docker/v1.41/services").await.ok();
    let id = text(&all[0], "ID").to_owned();
    show(w, &id).await
}

#[actix_web::test]
async fn what_docker_cannot_say_of_a_service_stays_when_it_is_updated() {
    let w = World::new().await;
    elsewhere(&w).await;
    let before = native(&w).await["launchConfig"].clone();
    let service = shown(&w).await;
    let id = text(&service, "ID");
    let mut spec = service["Spec"].clone();
    let container = &mut spec["TaskTemplate"]["ContainerSpec"];
    container["Image"] = json!("sim:b");
    container["Env"] = json!(["A=1"]);
    container["Labels"] = json!({"zone": "b"});
    assert_eq!(
        spec["TaskTemplate"]["Placement"]["Constraints"],
        json!(["node.labels.disk==ssd"])
    );
    spec["TaskTemplate"]["Placement"] = json!({});
    update(&w, id, spec).await.expect(200, json!({}));
    let after = native(&w).await["launchConfig"].clone();
    for field in ["requestedHostId", "privileged", "cpuShares", "devices", "healthCheck"] {
        assert_eq!(after[field], before[field], "{field}");
        assert!(!after[field].is_null(), "{field}");
    }
    assert_eq!(
        (&after["imageUuid"], &after["environment"]),
        (&json!("sim:b"), &json!({"A": "1"}))
    );
    let labels = &after["labels"];
    assert_eq!(labels["io.rancher.scheduler.affinity:container_label_ne"], "tier=back");
    assert_eq!(labels["io.rancher.container.pull_image"], "always");
    assert_eq!(labels["zone"], "b");
    // What the words can say is theirs.
    for gone in ["tier", "io.rancher.scheduler.affinity:host_label"] {
        assert!(labels.get(gone).is_none(), "{gone}: {labels}");
    }

    // A health check of Docker's takes the place of the other one.
    let mut spec = shown(&w).await["Spec"].clone();
    spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"] =
        json!({"Test": ["CMD", "true"], "Interval": 5_000_000_000_i64});
    update(&w, id, spec).await.expect(200, json!({}));
    let after = native(&w).await["launchConfig"].clone();
    assert_eq!(after["healthCheck"]["interval"], 5_000, "{after:#}");
    assert_eq!(after["privileged"], true);
}
