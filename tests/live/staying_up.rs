//! Containers that exit at once and containers that are slow to stop, on a real engine.

use serde_json::{Value, json};

use crate::support::{World, launch};

fn shell(image: &str, script: &str) -> Value {
    let mut config = launch(image);
    config["command"] = json!(["sh", "-c", script]);
    config
}

#[test]
fn a_service_whose_container_exits_at_once_says_so_and_is_not_healthy() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("exiting");
    let service = world.api.post(
        "/services",
        json!({"name": "web", "stackId": stack["id"], "startOnCreate": true, "launchConfig": shell("busybox:1", "exit 3")}),
    );
    let row = world.api.wait(&service, "says how often it exited", |row| {
        row["transitioningMessage"]
            .as_str()
            .is_some_and(|m| m.contains("times in a row"))
    });
    let message = row["transitioningMessage"].as_str().unwrap_or_default();
    assert!(message.contains("exiting-web-1 exited with code 3"), "{row:#}");
    assert_ne!(row["healthState"], "healthy", "{row:#}");
    assert_ne!(row["state"], "active", "{row:#}");
}

#[test]
fn an_address_is_kept_while_the_old_container_is_slow_to_stop() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("slow");
    let deaf = "trap '' TERM; while true; do sleep 1; done";
    let mut config = shell("busybox:1", deaf);
    config["stopTimeout"] = json!(3);
    let service = world.active_service(&stack, "web", json!({"retainIp": true, "launchConfig": config}));
    let address = || {
        let rows = world
            .api
            .get("/containers?name=slow-web-1&state=running&removed_null=1");
        let row = rows["data"][0].clone();
        (row["id"].clone(), row["primaryIpAddress"].clone())
    };
    let before = address();
    let mut new = config.clone();
    new["environment"] = json!({"GENERATION": "2"});
    let input = json!({"inServiceStrategy": {"intervalMillis": 100, "launchConfig": new}});
    world.api.action(&service, "upgrade", input);
    world.api.wait_state(&service, "upgraded");
    let upgraded = address();
    assert_eq!(upgraded.1, before.1, "the address stays");
    assert_ne!(upgraded.0, before.0);
    world.api.action(&service, "rollback", json!({}));
    world.api.wait_state(&service, "active");
    assert_eq!(address(), before, "the same container comes back with its address");
}
