//! Upgrades in service on a real engine: the old containers are stopped and kept until somebody decides.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Container, PATIENCE, World, ids, launch, wait_until};

/// A stack of the test's own with an active service `web` of the first image, and its containers.
fn start(world: &World, stack: &str, scale: usize) -> (Value, Vec<Container>) {
    let resource = world.stack(stack);
    let service = world.active_service(
        &resource,
        "web",
        json!({ "scale": scale, "launchConfig": launch("web:1") }),
    );
    let containers = wait_images(world, stack, scale, 0, 0, 0);
    (service, containers)
}

/// Asks for the second image.
fn upgrade(world: &World, service: &Value, batch_size: usize, interval_millis: u64) {
    let input = json!({ "inServiceStrategy": {
        "batchSize": batch_size, "intervalMillis": interval_millis, "launchConfig": launch("web:2"),
    } });
    let answer = world.api.action(service, "upgrade", input);
    assert_eq!(answer["state"], "upgrading", "{answer:#}");
    assert_eq!(
        answer["launchConfig"]["imageUuid"], "docker:drover-test/web:2",
        "{answer:#}"
    );
}

/// Waits until the stack has exactly so many containers of the first and second image, running and stopped.
fn wait_images(
    world: &World,
    stack: &str,
    first_running: usize,
    first_stopped: usize,
    second_running: usize,
    second_stopped: usize,
) -> Vec<Container> {
    let wanted = (first_running, first_stopped, second_running, second_stopped);
    wait_until(&format!("{wanted:?} of {stack}"), PATIENCE, || {
        let all = world.docker.containers(stack);
        if tally(&all) == wanted { Ok(all) } else { Err(all) }
    })
}

/// How many containers run the first image, are stopped with it, run the second, are stopped with it.
fn tally(containers: &[Container]) -> (usize, usize, usize, usize) {
    let count = |image: &str, running: bool| {
        containers
            .iter()
            .filter(|c| c.image == format!("drover-test/{image}") && c.running == running)
            .count()
    };
    (
        count("web:1", true),
        count("web:1", false),
        count("web:2", true),
        count("web:2", false),
    )
}

#[test]
fn rollback_restarts_the_kept_containers_and_removes_the_new_ones() {
    let Some(world) = World::start() else { return };
    let (service, before) = start(&world, "returning", 2);

    upgrade(&world, &service, 1, 100);
    let upgraded = world.api.wait_state(&service, "upgraded");
    let strategy = &upgraded["upgrade"]["inServiceStrategy"];
    assert_eq!(
        strategy["previousLaunchConfig"]["imageUuid"], "docker:drover-test/web:1",
        "{upgraded:#}"
    );
    let all = wait_images(&world, "returning", 0, 2, 2, 0);
    let kept: Vec<Container> = all.into_iter().filter(|c| !c.running).collect();
    assert_eq!(ids(&kept), ids(&before), "the old ones are stopped and kept");

    let answer = world.api.action(&service, "rollback", json!({}));
    assert_eq!(answer["state"], "rolling-back", "{answer:#}");
    let active = world.api.wait_state(&service, "active");
    assert_eq!(
        active["launchConfig"]["imageUuid"], "docker:drover-test/web:1",
        "{active:#}"
    );
    let after = wait_images(&world, "returning", 2, 0, 0, 0);
    assert_eq!(ids(&after), ids(&before), "the same containers come back");
    assert!(active["actions"]["rollback"].is_null(), "{active:#}");
}

#[test]
fn finishupgrade_removes_the_kept_containers() {
    let Some(world) = World::start() else { return };
    let (service, _) = start(&world, "finishing", 2);
    upgrade(&world, &service, 2, 100);
    world.api.wait_state(&service, "upgraded");
    let upgraded: Vec<Container> = wait_images(&world, "finishing", 0, 2, 2, 0)
        .into_iter()
        .filter(|c| c.running)
        .collect();

    let answer = world.api.action(&service, "finishupgrade", json!({}));
    assert_eq!(answer["state"], "finishing-upgrade", "{answer:#}");
    let active = world.api.wait_state(&service, "active");
    let after = wait_images(&world, "finishing", 0, 0, 2, 0);
    assert_eq!(ids(&after), ids(&upgraded), "the new ones are left alone");
    assert_eq!(active["instanceIds"].as_array().map(Vec::len), Some(2), "{active:#}");
    // In the API they carry the plain names, whatever the engine had to call them.
    for id in active["instanceIds"].as_array().into_iter().flatten() {
        let instance = world.api.get(&format!("/containers/{}", id.as_str().unwrap()));
        let name = instance["name"].as_str().unwrap();
        assert!(["finishing-web-1", "finishing-web-2"].contains(&name), "{instance:#}");
    }
}

#[test]
fn a_cancelled_upgrade_stays_half_done_until_it_is_continued_or_rolled_back() {
    let Some(world) = World::start() else { return };
    for (stack, decision) in [("going-on", "continueupgrade"), ("going-back", "rollback")] {
        let (service, before) = start(&world, stack, 3);
        // Long pauses between the batches: the test must be able to look in between.
        upgrade(&world, &service, 1, 2_000);
        wait_images(&world, stack, 2, 1, 1, 0);
        let answer = world.api.action(&service, "cancelupgrade", json!({}));
        assert!(
            answer["state"] == "canceling-upgrade" || answer["state"] == "canceled-upgrade",
            "{answer:#}"
        );
        let canceled = world.api.wait_state(&service, "canceled-upgrade");
        assert!(canceled["actions"]["deactivate"].is_null(), "{canceled:#}");
        // Longer than the pause: the next batch does not come.
        std::thread::sleep(Duration::from_millis(2_500));
        assert_eq!(tally(&world.docker.containers(stack)), (2, 1, 1, 0));

        world.api.action(&service, decision, json!({}));
        if decision == "continueupgrade" {
            world.api.wait_state(&service, "upgraded");
            let all = wait_images(&world, stack, 0, 3, 3, 0);
            let kept: Vec<Container> = all.into_iter().filter(|c| !c.running).collect();
            assert_eq!(ids(&kept), ids(&before));
        } else {
            world.api.wait_state(&service, "active");
            assert_eq!(ids(&wait_images(&world, stack, 3, 0, 0, 0)), ids(&before));
        }
    }
}

#[test]
fn an_upgrade_that_fails_rolls_itself_back() {
    let Some(mut world) = World::start() else { return };
    let (service, before) = start(&world, "giving-up", 3);
    let mut config = launch("web:2");
    config["entryPoint"] = json!(["sh", "-c", "sleep 1; exit 3"]);
    config["labels"] = json!({
        "io.drover.upgrade.failure_action": "rollback", "io.drover.upgrade.monitor": "5s",
        "io.drover.upgrade.max_failure_ratio": "0.4",
    });
    let input = json!({ "inServiceStrategy": { "batchSize": 1, "intervalMillis": 100, "launchConfig": config } });
    world.api.action(&service, "upgrade", input);
    wait_until("one of the new ones", PATIENCE, || {
        let all = world.docker.containers("giving-up");
        if all.iter().any(|c| c.image == "drover-test/web:2") {
            Ok(())
        } else {
            Err(all)
        }
    });
    // What is known of it survives a death of the server.
    world.kill_server();
    world.restart_server();
    let row = world.api.wait(&service, "rolled back", |row| {
        row["state"] == "active" && row["transitioning"] == "error"
    });
    let said = row["transitioningMessage"].as_str().unwrap_or_default();
    assert!(said.starts_with("Upgrade rolled back: 2 of 3 failed"), "{row:#}");
    assert!(said.contains("exited with code 3"), "{row:#}");
    let after = wait_images(&world, "giving-up", 3, 0, 0, 0);
    assert_eq!(ids(&after), ids(&before));
}

#[test]
fn a_receiver_scales_a_service_and_a_push_upgrades_it() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("received");
    let mut config = launch("web:1");
    config["labels"] = json!({ "app": "shop" });
    let service = world.active_service(&stack, "web", json!({ "scale": 1, "launchConfig": config }));
    let root = world.api_at("");
    let receivers = "/v1-webhooks/receivers?projectId=1a5";
    let make = |body: Value| {
        let (status, row) = root.send("POST", receivers, Some(body));
        assert_eq!(status, 200, "{row:#}");
        let url = row["url"].as_str().unwrap().to_owned();
        url[url.find("/v1-webhooks").unwrap()..].to_owned()
    };
    let scale = json!({ "serviceId": service["id"], "action": "up", "amount": 2, "max": 3 });
    let more = make(json!({ "name": "more", "driver": "scaleService", "scaleServiceConfig": scale }));
    let upgrade = json!({ "serviceSelector": { "app": "shop" }, "tag": "2", "batchSize": 3, "intervalMillis": 1 });
    let newer = make(json!({ "name": "newer", "driver": "serviceUpgrade", "serviceUpgradeConfig": upgrade }));

    assert_eq!(root.send("POST", &more, Some(json!({}))).0, 200);
    wait_images(&world, "received", 3, 0, 0, 0);
    world.api.wait_state(&service, "active");
    assert_eq!(root.send("POST", &more, Some(json!({}))).0, 400, "three are the most");
    assert_eq!(
        root.send("POST", &more.replace("key=", "key=1"), Some(json!({}))).0,
        403
    );

    let pushed = json!({ "push_data": { "tag": "2" }, "repository": { "repo_name": "drover-test/web" } });
    assert_eq!(root.send("POST", &newer, Some(pushed)).0, 200);
    let row = world.api.reload(&service);
    assert_eq!(row["launchConfig"]["imageUuid"], "docker:drover-test/web:2", "{row:#}");
    // What was pushed is pulled, and there is no registry here: the way back is open.
    wait_images(&world, "received", 0, 3, 0, 0);
    world.api.action(&service, "rollback", json!({}));
    world.api.wait_state(&service, "active");
    wait_images(&world, "received", 3, 0, 0, 0);
}

#[test]
fn a_canary_waits_for_a_decision() {
    let Some(world) = World::start() else { return };
    let (service, before) = start(&world, "canary", 3);
    let mut config = launch("web:2");
    config["labels"] = json!({ "io.drover.upgrade.canary": "1", "io.drover.upgrade.monitor": "2s" });
    let input = json!({ "inServiceStrategy": { "batchSize": 3, "intervalMillis": 100, "launchConfig": config } });
    world.api.action(&service, "upgrade", input);
    world.api.wait(&service, "held", |row| {
        row["transitioningMessage"]
            .as_str()
            .is_some_and(|said| said.starts_with("1 of 3 upgraded"))
    });
    wait_images(&world, "canary", 2, 1, 1, 0);
    world.api.action(&service, "cancelupgrade", json!({}));
    world.api.wait_state(&service, "canceled-upgrade");
    world.api.action(&service, "continueupgrade", json!({}));
    world.api.wait_state(&service, "upgraded");
    let all = wait_images(&world, "canary", 0, 3, 3, 0);
    let kept: Vec<Container> = all.into_iter().filter(|c| !c.running).collect();
    assert_eq!(ids(&kept), ids(&before));
}

#[test]
fn start_first_keeps_the_scale_running_all_the_time() {
    let Some(world) = World::start() else { return };
    let (service, _) = start(&world, "overlapping", 2);
    let input = json!({ "inServiceStrategy": {
        "batchSize": 1, "intervalMillis": 100, "startFirst": true, "launchConfig": launch("web:2"),
    } });
    world.api.action(&service, "upgrade", input);
    let mut fewest = usize::MAX;
    wait_until("the upgrade to end", PATIENCE, || {
        let running = world
            .docker
            .containers("overlapping")
            .iter()
            .filter(|c| c.running)
            .count();
        fewest = fewest.min(running);
        let now = world.api.reload(&service);
        if now["state"] == "upgraded" { Ok(()) } else { Err(now) }
    });
    assert!(fewest >= 2, "only {fewest} were running");
    wait_images(&world, "overlapping", 0, 2, 2, 0);
}

#[test]
fn an_upgrade_that_never_gets_healthy_can_be_rolled_back() {
    let Some(world) = World::start() else { return };
    let (service, before) = start(&world, "ailing", 2);
    let mut config = launch("web:2");
    config["healthCheck"] = json!({
        "port": 80, "requestLine": "GET /no-such-page HTTP/1.0", "interval": 500, "responseTimeout": 500,
        "healthyThreshold": 1, "unhealthyThreshold": 2,
    });
    let input = json!({ "inServiceStrategy": { "batchSize": 1, "intervalMillis": 100, "launchConfig": config } });
    world.api.action(&service, "upgrade", input);
    wait_images(&world, "ailing", 1, 1, 1, 0);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        tally(&world.docker.containers("ailing")),
        (1, 1, 1, 0),
        "the second batch waits for the first"
    );
    assert_eq!(world.api.reload(&service)["state"], "upgrading");

    world.api.action(&service, "rollback", json!({}));
    world.api.wait_state(&service, "active");
    assert_eq!(ids(&wait_images(&world, "ailing", 2, 0, 0, 0)), ids(&before));
}

#[test]
fn an_upgrade_of_one_sidekick_leaves_the_primary_alone() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("riding");
    let sidekick = |image: &str| {
        let mut config = launch(image);
        config["name"] = json!("side");
        config
    };
    let more = json!({ "launchConfig": launch("busybox:1"), "secondaryLaunchConfigs": [sidekick("web:1")] });
    let service = world.active_service(&stack, "web", more);
    let before = world.wait_running("riding", &["riding-web-1", "riding-web-side-1"]);

    let input = json!({ "inServiceStrategy": {
        "batchSize": 1, "intervalMillis": 100, "secondaryLaunchConfigs": [sidekick("web:2")],
    } });
    world.api.action(&service, "upgrade", input);
    world.api.wait_state(&service, "upgraded");
    let all = wait_images(&world, "riding", 0, 1, 1, 0);
    let primary: Vec<&Container> = all.iter().filter(|c| c.image == "drover-test/busybox:1").collect();
    assert_eq!(primary, [&before[0]], "neither replaced nor restarted");

    world.api.action(&service, "finishupgrade", json!({}));
    world.api.wait_state(&service, "active");
    wait_images(&world, "riding", 0, 0, 1, 0);
}
