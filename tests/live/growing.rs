//! One machine with a file, then two servers on PostgreSQL, then a swarm beside the first engine: the containers that were there
//! stay as they are, and run on.

use std::process::Command;

use serde_json::json;

use crate::members::{Postgres, leads};
use crate::support::{Container, Docker, PATIENCE, Server, World, launch, real_part, wait_until};
use crate::swarm::Swarm;

/// The containers of a stack, by what tells them apart and when they were started.
fn known(containers: &[Container]) -> Vec<(String, String)> {
    let mut known: Vec<_> = containers
        .iter()
        .map(|c| (c.id.clone(), c.started_at.clone()))
        .collect();
    known.sort();
    known
}

#[test]
fn a_server_grows_to_several_and_to_a_swarm_and_no_container_is_lost() {
    let Some(url) = real_part("DROVER_TEST_DOCKER") else {
        return;
    };
    let Some(mut alone) = World::start() else { return };
    let stack = alone.stack("grows");
    alone.active_service(&stack, "web", json!({"scale": 2, "launchConfig": launch("web:1")}));
    let names = ["grows-web-1", "grows-web-2"];
    let before = known(&alone.wait_running("grows", &names));
    alone.stop_server();

    // Two servers, on what the file holds.
    let postgres = Postgres::start();
    let data = alone.server().data();
    let moved = Command::new(env!("CARGO_BIN_EXE_drover"))
        .arg("migrate-database")
        .args([data.join("drover.db").as_os_str(), postgres.url.as_ref()])
        .output()
        .unwrap();
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let key = std::fs::read_to_string(data.join("secret.key")).unwrap();
    let env = [
        ("DROVER_SECRET_KEY", key.trim().to_owned()),
        ("DROVER_DATABASE_URL", postgres.url.clone()),
    ];
    let own = ["--advertise-address", "127.0.0.1"];
    let mut first = Server::start_in(&url, &own, &env);
    wait_until("it leads", PATIENCE, || {
        leads(&first).then_some(()).ok_or("it does not")
    });
    let world = World::of(
        Docker { url: url.clone() },
        url.clone(),
        Server::start_in(&url, &own, &env),
    );
    world.wait_host();
    assert_eq!(known(&world.wait_running("grows", &names)), before);
    let web = &world.api.get("/services?name=web")["data"][0];
    assert_eq!(web["state"], "active");

    // A swarm beside the engine, for a project of its own: each server is started anew with it, and the other one leads meanwhile.
    let project = world.api_at("v2-beta").post("/projects", json!({"name": "swarm"}));
    let _swarm = Swarm::start(1);
    let swarm = format!("{},project={}", Swarm::flag(1), project["id"].as_str().unwrap());
    let flags = ["--advertise-address", "127.0.0.1", "--docker", &swarm];
    first.stop();
    first.set_flags(&flags);
    first.launch(&url);
    let mut world = world;
    world.stop_server();
    wait_until("the other one leads", PATIENCE, || {
        leads(&first).then_some(()).ok_or("it does not")
    });
    world.restart_server_with(&flags);
    let api = world.api_at(&format!("v2-beta/projects/{}", project["id"].as_str().unwrap()));
    wait_until("its nodes to be hosts", PATIENCE, || {
        let hosts = api.get("/hosts?state=active");
        let nodes = hosts["data"].as_array().map_or(0, Vec::len);
        if nodes == 3 { Ok(()) } else { Err(hosts) }
    });
    assert_eq!(known(&world.wait_running("grows", &names)), before);
    let stack = api.post("/stacks", json!({"name": "spread"}));
    api.wait_state(&stack, "active");
    let labels = json!({"io.rancher.scheduler.global": "true"});
    let launch_config = json!({"imageUuid": "docker:drover-test/web:1", "labels": labels});
    let body = json!({"name": "all", "stackId": stack["id"], "startOnCreate": true, "launchConfig": launch_config});
    let all = api.post("/services", body);
    api.wait_state(&all, "active");
    assert_eq!(Swarm::spread("spread"), [1, 1, 1]);
    assert_eq!(known(&world.wait_running("grows", &names)), before);
    let web = world.api.get("/services?name=web")["data"][0].clone();
    world.api.action(
        &web,
        "upgrade",
        json!({"inServiceStrategy": {"launchConfig": launch("web:2")}}),
    );
    world.api.wait_state(&web, "upgraded");
    world.api.action(&web, "rollback", json!({}));
    world.api.wait_state(&web, "active");
    let ids = |all: &[(String, String)]| -> Vec<String> { all.iter().map(|(id, _)| id.clone()).collect() };
    assert_eq!(ids(&known(&world.wait_running("grows", &names))), ids(&before));
}
