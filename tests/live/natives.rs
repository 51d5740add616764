//! Containers that are run by hand, beside the server: they get rows, and are left alone.

use serde_json::{Value, json};

use crate::support::{PATIENCE, World, free_port, wait_until};

/// The row of a container that was found on the engine.
fn wait_row(world: &World, id: &str, state: &str) -> Value {
    wait_until(&format!("{id} to be {state}"), PATIENCE, || {
        let found = world.api.get(&format!("/containers?externalId={id}"));
        let row = found["data"][0].clone();
        if row["state"] == state { Ok(row) } else { Err(found) }
    })
}

fn is_up(world: &World, id: &str) -> bool {
    world.docker.inspect(id)["State"]["Running"] == true
}

#[test]
fn a_container_run_by_hand_shows_and_lives_as_its_maker_wants() {
    let Some(mut world) = World::start() else { return };
    let label = "io.rancher.stack.name=by-hand";
    world.remember_stack("by-hand");
    let stack = world.stack("by-hand");
    let selecting = json!({"name": "selecting", "stackId": stack["id"], "startOnCreate": true, "selectorContainer": "colour=blue",
        "launchConfig": {"imageUuid": "docker:rancher/none"}});
    let selecting = world.api.post("/services", selecting);
    world.api.wait_state(&selecting, "active");
    let port = free_port();
    let published = format!("{port}:80");
    let run = [
        "run",
        "--detach",
        "--label",
        label,
        "--label",
        "colour=blue",
        "--name",
        "by-hand",
        "--publish",
        &published,
    ];
    let id = world.docker.run(&[&run[..], &["drover-test/web:1"]].concat());
    let row = wait_row(&world, &id, "running");
    for (field, expected) in [
        ("nativeContainer", json!(true)),
        ("name", json!("by-hand")),
        ("imageUuid", json!("docker:drover-test/web:1")),
        ("ports", json!([format!("{port}:80/tcp")])),
    ] {
        assert_eq!(row[field], expected, "{row:#}");
    }
    assert_eq!(row["labels"]["colour"], "blue");
    world.api.wait(&selecting, "to adopt it", |now| {
        now["instanceIds"]
            .as_array()
            .is_some_and(|ids| ids.contains(&row["id"]))
    });

    // Its maker stops it and starts it, and nobody else does.
    world.docker.run(&["stop", &id]);
    wait_row(&world, &id, "stopped");
    world.kill_server();
    world.restart_server();
    wait_row(&world, &id, "stopped");
    assert!(!is_up(&world, &id));
    world.docker.run(&["start", &id]);
    wait_row(&world, &id, "running");
    // By the API, too.
    let row = wait_row(&world, &id, "running");
    world.api.action(&row, "stop", json!({"timeout": 1}));
    world.api.wait_state(&row, "stopped");
    assert!(!is_up(&world, &id));
    world.api.action(&row, "start", json!({}));
    world.api.wait_state(&row, "running");
    assert!(is_up(&world, &id));

    // While the server is away, it goes.
    world.kill_server();
    world.docker.run(&["rm", "--force", &id]);
    world.restart_server();
    world.api.wait(&row, "to go", |now| now["state"] == "removed");
}

#[test]
fn what_another_server_made_is_not_seen_and_a_host_goes_without_those_made_by_hand() {
    let Some(world) = World::start() else { return };
    let label = "io.rancher.stack.name=left-alone";
    world.remember_stack("left-alone");
    let run = |more: &[&str]| {
        let arguments = [&["run", "--detach", "--label", label], more, &["drover-test/web:1"]].concat();
        world.docker.run(&arguments)
    };
    let theirs = run(&[
        "--label",
        "io.drover.server=another",
        "--label",
        "io.rancher.container.uuid=u",
    ]);
    let system = run(&["--label", "io.rancher.container.system=rancher-agent"]);
    let native = run(&[]);
    let row = wait_row(&world, &native, "running");
    for id in [&theirs, &system] {
        assert_eq!(
            world.api.get(&format!("/containers?externalId={id}"))["data"],
            json!([])
        );
    }
    // Off by the setting.
    let setting = world.api_at("v2-beta");
    let (status, answer) = setting.send(
        "PUT",
        "/settings/manage.nonrancher.containers",
        Some(json!({"value": "false"})),
    );
    assert_eq!(status, 200, "{answer:#}");
    let ignored = run(&["--label", "nth=2"]);
    // What happens later is seen later: when this is known, the other one was looked at.
    world.docker.run(&["stop", &native]);
    wait_row(&world, &native, "stopped");
    assert_eq!(
        world.api.get(&format!("/containers?externalId={ignored}"))["data"],
        json!([])
    );
    world.docker.run(&["start", &native]);
    wait_row(&world, &native, "running");
    let (status, answer) = setting.send(
        "PUT",
        "/settings/manage.nonrancher.containers",
        Some(json!({"value": "true"})),
    );
    assert_eq!(status, 200, "{answer:#}");
    let seen = run(&["--label", "nth=3"]);
    wait_row(&world, &seen, "running");

    let host = world.wait_host();
    world.api.action(&host, "deactivate", json!({}));
    world.api.wait_state(&host, "inactive");
    world.api.delete(&host);
    world.api.wait(&host, "to go", |now| now["state"] == "removed");
    world
        .api
        .wait(&row, "to go with its host", |now| now["state"] == "removed");
    for id in [&theirs, &system, &native, &ignored, &seen] {
        assert!(is_up(&world, id), "nothing happened to {id}");
    }
}
