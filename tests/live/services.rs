//! A service's life on a real engine: scale, stop, repair, remove, trouble with images; on both versions of the API.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{World, ids, launch, names, wait_until};

#[test]
fn a_job_runs_by_its_schedule() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("nightly");
    let mut config = launch("busybox:1");
    config["command"] = json!(["sh", "-c", "sleep 1; exit 4"]);
    config["labels"] = json!({ "io.rancher.container.start_once": "true", "io.drover.schedule": "* * * * *" });
    let job = world.active_service(&stack, "job", json!({ "launchConfig": config }));
    let path = format!(
        "/servicelogs?serviceId={}&eventType=service.schedule",
        job["id"].as_str().unwrap()
    );
    wait_until("a run by the schedule", Duration::from_secs(100), || {
        let log = world.api.get(&path);
        let is_done = log["data"].as_array().is_some_and(|rows| {
            rows.iter().any(|row| {
                row["description"]
                    .as_str()
                    .is_some_and(|said| said.ends_with(": nightly-job-1 exited with code 4"))
            })
        });
        if is_done { Ok(()) } else { Err(log) }
    });
    let row = world.api.reload(&job);
    assert_eq!(
        (&row["state"], &row["healthState"]),
        (&json!("active"), &json!("started-once")),
        "{row:#}"
    );
    assert_eq!(
        world.docker.containers("nightly").len(),
        1,
        "the same container ran again"
    );
}

#[test]
fn a_service_waits_until_what_it_is_linked_to_is_healthy() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("waiting");
    let mut config = launch("web:1");
    config["healthCheck"] = json!({
        "port": 80, "requestLine": "GET / HTTP/1.0", "interval": 1_000, "responseTimeout": 1_000,
        "healthyThreshold": 4, "unhealthyThreshold": 3,
    });
    let db = world.service(&stack, "db", json!({ "launchConfig": config }));
    let mut config = launch("web:2");
    config["labels"] = json!({ "io.drover.depends_on": "healthy" });
    let web = world.service(&stack, "web", json!({ "launchConfig": config }));
    world.api.action(
        &web,
        "addservicelink",
        json!({ "serviceLink": { "serviceId": db["id"] } }),
    );
    world.api.action(&web, "activate", json!({}));
    world.api.action(&db, "activate", json!({}));
    world.api.wait(&db, "up, and not healthy yet", |row| {
        row["state"] == "active" && row["healthState"] == "initializing"
    });
    let row = world.api.reload(&web);
    assert_eq!(row["transitioningMessage"], "Waiting for db to be healthy", "{row:#}");
    assert_eq!(world.docker.containers("waiting").len(), 1);
    world.api.wait_state(&web, "active");
    assert_eq!(world.api.reload(&db)["healthState"], "healthy");
    world.wait_running("waiting", &["waiting-db-1", "waiting-web-1"]);
}

#[test]
fn scaling_a_service_starts_and_removes_the_highest_containers() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("scaling");
    let service = world.service(&stack, "web", json!({ "scale": 2, "launchConfig": launch("web:1") }));
    assert!(
        world.docker.containers("scaling").is_empty(),
        "an inactive service has no containers"
    );

    let service = world.activate(&service);
    let two = world.wait_running("scaling", &["scaling-web-1", "scaling-web-2"]);
    assert_eq!(service["currentScale"], 2, "{service:#}");
    assert_eq!(service["healthState"], "healthy", "{service:#}");
    assert_eq!(service["instanceIds"].as_array().map(Vec::len), Some(2), "{service:#}");
    for id in service["instanceIds"].as_array().into_iter().flatten() {
        let instance = world.api.get(&format!("/containers/{}", id.as_str().unwrap()));
        let real = two.iter().find(|c| instance["externalId"] == c.id.as_str());
        assert_eq!(instance["name"].as_str(), real.map(|c| c.name.as_str()), "{instance:#}");
        assert_eq!(instance["state"], "running", "{instance:#}");
    }

    let answer = world.api.put(&service, json!({ "scale": 3 }));
    assert_eq!(answer["state"], "updating-active", "{answer:#}");
    world.api.wait_state(&service, "active");
    let three = world.wait_running("scaling", &["scaling-web-1", "scaling-web-2", "scaling-web-3"]);
    assert!(
        ids(&two).iter().all(|id| ids(&three).contains(id)),
        "scaling up leaves the others alone"
    );

    world.api.put(&service, json!({ "scale": 1 }));
    world.api.wait_state(&service, "active");
    let one = world.wait_running("scaling", &["scaling-web-1"]);
    assert_eq!(one[0], two[0], "the lowest survives untouched");
    wait_until("the surplus to be gone", Duration::from_secs(20), || {
        match world.docker.containers("scaling") {
            all if all.len() == 1 => Ok(()),
            all => Err(all),
        }
    });
}

#[test]
fn containers_serve_what_their_image_holds() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("serving");
    let mut config = launch("web:3");
    config["environment"] = json!({ "WHO": "the one", "PORT": "8000" });
    world.active_service(&stack, "web", json!({ "launchConfig": config }));
    let container = &world.wait_running("serving", &["serving-web-1"])[0];
    let fetch = |path: &str| {
        world
            .docker
            .fetch(&container.id, &format!("http://127.0.0.1:8000/{path}"))
    };
    assert_eq!(fetch("").as_deref(), Some("3"));
    assert_eq!(fetch("who").as_deref(), Some("the one"));
}

#[test]
fn deactivating_stops_containers_and_activating_starts_the_same_ones() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("resting");
    let service = world.active_service(&stack, "web", json!({ "scale": 2, "launchConfig": launch("web:1") }));
    let before = world.wait_running("resting", &["resting-web-1", "resting-web-2"]);

    let answer = world.api.action(&service, "deactivate", json!({}));
    assert_eq!(answer["state"], "deactivating", "{answer:#}");
    world.api.wait_state(&service, "inactive");
    world.wait_running("resting", &[]);
    assert_eq!(ids(&world.docker.containers("resting")), ids(&before), "they are kept");

    world.activate(&service);
    let after = world.wait_running("resting", &["resting-web-1", "resting-web-2"]);
    assert_eq!(ids(&after), ids(&before));

    let answer = world.api.delete(&service);
    assert_eq!(answer["state"], "removing", "{answer:#}");
    world.wait_gone("resting");
    world.api.wait_state(&service, "removed");
}

#[test]
fn removing_a_stack_removes_its_services_and_containers() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("leaving");
    let web = world.active_service(&stack, "web", json!({ "launchConfig": launch("web:1") }));
    let idle = world.active_service(&stack, "idle", json!({ "launchConfig": launch("busybox:1") }));
    world.wait_running("leaving", &["leaving-idle-1", "leaving-web-1"]);

    let answer = world.api.delete(&stack);
    assert_eq!(answer["state"], "removing", "{answer:#}");
    world.wait_gone("leaving");
    for resource in [&web, &idle, &stack] {
        world.api.wait_state(resource, "removed");
    }
}

#[test]
fn a_killed_container_is_started_again_and_a_removed_one_is_replaced() {
    let Some(world) = World::start() else { return };
    world
        .docker
        .run(&["run", "--detach", "--name", "stranger", "drover-test/busybox:1"]);
    let stranger = world.docker.inspect("stranger");

    let stack = world.stack("mending");
    let service = world.active_service(&stack, "web", json!({ "launchConfig": launch("web:1") }));
    let first = world.wait_running("mending", &["mending-web-1"]).remove(0);

    let quickly = Duration::from_secs(5);
    let started = Instant::now();
    world.docker.run(&["kill", &first.id]);
    let again = wait_until("the killed container to run again", quickly, || {
        let now = world.docker.containers("mending");
        if now.iter().any(|c| c.running && c.started_at != first.started_at) {
            Ok(now)
        } else {
            Err(now)
        }
    });
    eprintln!("started again after {:?}", started.elapsed());
    assert_eq!(
        ids(&again),
        std::slice::from_ref(&first.id),
        "the same container, not another one"
    );

    let started = Instant::now();
    world.docker.run(&["rm", "--force", &first.id]);
    let replaced = wait_until("the removed container to be replaced", quickly, || {
        let now = world.docker.containers("mending");
        if now.iter().any(|c| c.running && c.id != first.id) {
            Ok(now)
        } else {
            Err(now)
        }
    });
    eprintln!("replaced after {:?}", started.elapsed());
    assert_eq!(names(&replaced), ["mending-web-1"]);
    world.api.wait_state(&service, "active");

    world.api.delete(&service);
    world.wait_gone("mending");
    let after = world.docker.inspect("stranger");
    let removed = world.docker.output(&["rm", "--force", "stranger"]);
    assert!(removed.status.success());
    assert_eq!(
        after["State"], stranger["State"],
        "a container of somebody else's is none of our business"
    );
}

#[test]
fn restarting_a_service_restarts_each_container_in_turn() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("turning");
    let service = world.active_service(&stack, "web", json!({ "scale": 2, "launchConfig": launch("web:1") }));
    let before = world.wait_running("turning", &["turning-web-1", "turning-web-2"]);

    let input = json!({ "rollingRestartStrategy": { "batchSize": 1, "intervalMillis": 100 } });
    let answer = world.api.action(&service, "restart", input);
    assert_eq!(answer["state"], "restarting", "{answer:#}");
    world.api.wait_state(&service, "active");
    let after = world.wait_running("turning", &["turning-web-1", "turning-web-2"]);
    assert_eq!(ids(&after), ids(&before));
    for (old, new) in before.iter().zip(&after) {
        assert_ne!(old.started_at, new.started_at, "{} was not restarted", new.name);
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_reported_in_dockers_words() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("waiting");
    let service = world.service(&stack, "web", json!({ "launchConfig": launch("missing:1") }));
    world.api.action(&service, "activate", json!({}));
    let now = world.api.wait(&service, "Docker's message", |now| {
        let message = now["transitioningMessage"].as_str().unwrap_or_default();
        // The name of the registry where there is none, the name of the image where there is one.
        message.contains("registry-1.docker.io") || message.contains("drover-test/missing")
    });
    assert_eq!(now["state"], "activating", "{now:#}");
    assert_eq!(
        now["transitioning"], "yes",
        "clients give up at `error`, and this is retried: {now:#}"
    );
    assert!(world.docker.containers("waiting").is_empty());

    world.api.action(&service, "deactivate", json!({}));
    world.api.wait_state(&service, "inactive");
    world.api.delete(&service);
    world.api.wait_state(&service, "removed");
}

#[test]
fn a_service_of_the_first_version_runs_the_same_containers() {
    let Some(world) = World::start() else { return };
    let v1 = world.api_at("v1/projects/1a5");
    world.remember_stack("older");
    let environment = v1.post("/environments", json!({ "name": "older" }));
    assert_eq!(environment["type"], "environment");
    let environment = v1.wait_state(&environment, "active");

    let body = json!({
        "name": "web", "environmentId": environment["id"], "scale": 2, "launchConfig": launch("web:1"),
    });
    let service = v1.post("/services", body);
    let service = v1.wait_state(&service, "inactive");
    assert_eq!(service["environmentId"], environment["id"], "{service:#}");
    // Quirk: v2's field stays beside it (cattle: `CompatibilityOutputFilter`).
    let number = environment["id"].as_str().unwrap_or_default().trim_start_matches("1e");
    assert_eq!(service["stackId"], format!("1st{number}"), "{service:#}");
    assert!(service["links"]["environment"].is_string(), "{service:#}");

    v1.action(&service, "activate", json!({}));
    v1.wait_state(&service, "active");
    world.wait_running("older", &["older-web-1", "older-web-2"]);

    let input =
        json!({ "inServiceStrategy": { "batchSize": 2, "intervalMillis": 100, "launchConfig": launch("web:2") } });
    v1.action(&service, "upgrade", input);
    v1.wait_state(&service, "upgraded");
    v1.action(&service, "rollback", json!({}));
    v1.wait_state(&service, "active");
    world.wait_running("older", &["older-web-1", "older-web-2"]);

    // The other version shows the very same service.
    let id = service["id"].as_str().unwrap();
    let newer = world.api.get(&format!("/services/{id}"));
    assert_eq!(newer["uuid"], service["uuid"]);
    assert!(
        newer["stackId"].as_str().is_some_and(|id| id.starts_with("1st")),
        "{newer:#}"
    );

    v1.delete(&service);
    world.wait_gone("older");
}

#[test]
fn a_stopped_server_leaves_its_containers_running() {
    let Some(mut world) = World::start() else { return };
    let stack = world.stack("staying");
    let service = world.active_service(&stack, "web", json!({ "scale": 2, "launchConfig": launch("web:1") }));
    let before = world.wait_running("staying", &["staying-web-1", "staying-web-2"]);

    world.stop_server();
    assert_eq!(world.docker.containers("staying"), before);
    world.docker.run(&["rm", "--force", &before[1].id]);

    world.restart_server();
    let after = world.wait_running("staying", &["staying-web-1", "staying-web-2"]);
    assert_eq!(after[0], before[0], "untouched by the restart");
    assert_ne!(after[1].id, before[1].id, "what happened meanwhile is mended");
    world.api.wait_state(&service, "active");
}

#[test]
fn a_command_in_the_container_says_how_it_is() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("said");
    let mut config = launch("busybox:1");
    config["command"] = json!(["sh", "-c", "while :; do sleep 1; done"]);
    config["healthCheck"] = json!({
        "port": 1, "interval": 500, "responseTimeout": 1_000, "healthyThreshold": 2, "unhealthyThreshold": 2, "strategy": "none",
    });
    config["labels"] =
        json!({ "io.drover.health.command": "test -f /well || { test -p /never && cat /never; echo ill; false; }" });
    let service = world.active_service(&stack, "web", json!({ "launchConfig": config }));
    let container = world.wait_running("said", &["said-web-1"]).remove(0);
    let inside = |script: &str| world.docker.run(&["exec", &container.id, "sh", "-c", script]);
    let is_well = |row: &serde_json::Value| row["healthState"] == "healthy";
    assert_eq!(world.api.reload(&service)["healthState"], "initializing");
    inside("touch /well");
    world.api.wait(&service, "well", is_well);
    // It does not end from now on: that is a failure, and none is begun beside it.
    inside("mkfifo /never; rm /well");
    world.api.wait(&service, "ill", |row| !is_well(row));
    assert_eq!(inside("ps | grep -c ' cat /never$'"), "1");
    inside("touch /well; echo > /never");
    world.api.wait(&service, "well again", is_well);
    assert_eq!(world.wait_running("said", &["said-web-1"]).remove(0), container);
}
