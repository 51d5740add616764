//! Several engines behind one server: containers spread over them, engines that go away and come back, and engines that are
//! not what they are taken for.

use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::support::{Container, Docker, PATIENCE, World, held_script, launch, real_part, wait_until};

/// One more engine, in a network of its own, until it is dropped.
pub struct Another {
    /// Asked by the tests.
    pub docker: Docker,
    number: u8,
    child: Child,
}

impl Another {
    /// Starts it and waits for it.
    pub fn start(number: u8) -> Self {
        let child = held_script("another-engine", &[&number.to_string()]);
        let url = format!("unix:///run/drover-live/{number}/docker.sock");
        Self {
            docker: Docker { url },
            number,
            child,
        }
    }

    fn place(&self, file: &str) -> String {
        format!("/run/drover-live/{}/{file}", self.number)
    }

    /// Its address with TLS, as a flag of the server.
    pub fn with_tls(&self) -> String {
        format!("tcp://10.250.{}.2:2376,cert-path={}", self.number, self.place("client"))
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.place("pid")).unwrap();
        let sent = Command::new("kill").args([signal, pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    /// How many containers of a stack run there.
    pub fn running(&self, stack: &str) -> usize {
        running(&self.docker, stack)
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn running(docker: &Docker, stack: &str) -> usize {
    let containers: Vec<Container> = docker.containers(stack);
    containers.iter().filter(|c| c.running).count()
}

/// All hosts.
pub fn hosts(world: &World) -> Vec<Value> {
    world.api.get("/hosts")["data"].as_array().cloned().unwrap_or_default()
}

/// Waits for a host to be in a state.
pub fn wait_host(world: &World, name: &str, state: &str) -> Value {
    wait_until(&format!("host {name} to be {state}"), PATIENCE, || {
        let all = hosts(world);
        let found = all.iter().find(|host| host["name"] == name && host["state"] == state);
        found.cloned().ok_or(all)
    })
}

fn wait_spread(what: &str, expected: &[usize], count: impl Fn() -> Vec<usize>) {
    wait_until(what, PATIENCE, || {
        let now = count();
        if now == expected { Ok(()) } else { Err(now) }
    });
}

#[test]
fn a_service_spreads_over_engines_that_go_away_and_come_back() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let (second, third) = (Another::start(1), Another::start(2));
    let named_second = format!("second={},label.disk=ssd", second.docker.url);
    let named_third = format!("third={}", third.with_tls());
    let flags = ["--docker", named_second.as_str(), "--docker", named_third.as_str()];
    let Some(mut world) = World::begin(None, &flags) else {
        return;
    };
    world.wait_host();
    let host = wait_host(&world, "second", "active");
    assert_eq!(host["labels"]["disk"], "ssd", "{host:#}");
    assert_eq!(host["hostname"], "engine1", "what the engine calls itself");
    let by_tls = wait_host(&world, "third", "active");
    assert_eq!(
        by_tls["agentIpAddress"], "10.250.2.2",
        "the address by which it is asked"
    );

    let stack = world.stack("spread");
    let service = world.active_service(&stack, "web", json!({"scale": 6, "launchConfig": launch("web:1")}));
    let first = Docker {
        url: world.docker.url.clone(),
    };
    let spread = || {
        vec![
            running(&first, "spread"),
            second.running("spread"),
            third.running("spread"),
        ]
    };
    assert_eq!(spread(), [2, 2, 2]);

    let mut config = launch("busybox:1");
    config["labels"] = json!({"io.rancher.scheduler.affinity:host_label": "disk=ssd"});
    let choosy = world.active_service(&stack, "choosy", json!({"scale": 2, "launchConfig": config}));
    assert_eq!(spread(), [2, 4, 2], "only where the label is");
    world.api.delete(&choosy);
    wait_spread("the choosy ones to go", &[2, 2, 2], spread);

    // One that hangs: its containers are still its own, new ones go elsewhere, and nothing is lost when it is back.
    second.signal("-STOP");
    wait_host(&world, "second", "disconnected");
    world.api.put(&service, json!({"scale": 8}));
    wait_until("new ones on the others", PATIENCE, || {
        let now = (running(&first, "spread"), third.running("spread"));
        if now == (3, 3) { Ok(()) } else { Err(now) }
    });
    second.signal("-CONT");
    wait_host(&world, "second", "active");
    world.api.wait_state(&service, "active");
    assert_eq!(spread(), [3, 2, 3]);

    // A server that dies in the middle goes on after its restart.
    world.api.put(&service, json!({"scale": 12}));
    world.kill_server();
    world.restart_server();
    world.api.wait_state(&service, "active");
    wait_spread("four on each", &[4, 4, 4], spread);

    // Upgraded everywhere.
    let upgrade =
        json!({"inServiceStrategy": {"batchSize": 4, "intervalMillis": 100, "launchConfig": launch("web:2")}});
    world.api.action(&service, "upgrade", upgrade);
    world.api.wait_state(&service, "upgraded");
    world.api.action(&service, "finishupgrade", json!({}));
    world.api.wait_state(&service, "active");
    wait_spread("only the new ones", &[4, 4, 4], spread);
    for docker in [&first, &second.docker, &third.docker] {
        let images: Vec<String> = docker.containers("spread").into_iter().map(|c| c.image).collect();
        assert!(images.iter().all(|image| image.contains("web:2")), "{images:?}");
    }

    // Evacuated: what was there runs elsewhere.
    let leaving = wait_host(&world, "third", "active");
    world.api.action(&leaving, "evacuate", json!({}));
    wait_spread("none on the third", &[6, 6, 0], spread);

    world.api.delete(&service);
    wait_spread("all to be gone", &[0, 0, 0], spread);
    assert!(first.containers("spread").is_empty() && second.docker.containers("spread").is_empty());
}

#[test]
fn an_engine_is_added_by_the_api_while_the_server_runs() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let second = Another::start(1);
    let Some(mut world) = World::start() else { return };
    world.wait_host();
    let all = world.api_at("v2-beta");
    let file = |name: &str| std::fs::read_to_string(second.place(&format!("client/{name}"))).unwrap();
    let body = json!({"hostname": "east", "dockerUrl": "tcp://10.250.1.2:2376", "labels": {"disk": "ssd"},
        "tlsCaCert": file("ca.pem"), "tlsCert": file("cert.pem"), "tlsKey": file("key.pem")});
    let (status, added) = all.send("POST", "/hosts", Some(body.clone()));
    assert_eq!((status, &added["state"]), (201, &json!("registering")), "{added:#}");
    // A server that dies while it asks the engine for the first time goes on with that.
    world.kill_server();
    world.restart_server();
    let host = wait_host(&world, "east", "active");
    assert_eq!(host["hostname"], "engine1", "{host:#}");
    assert_eq!(host["agentIpAddress"], "10.250.1.2");
    let stack = world.stack("added");
    let mut config = launch("web:1");
    config["labels"] = json!({"io.rancher.scheduler.affinity:host_label": "disk=ssd"});
    let service = world.active_service(&stack, "web", json!({"scale": 2, "launchConfig": config}));
    assert_eq!(second.running("added"), 2);

    // Another host with the same engine is none.
    let again = all.post("/hosts", body);
    wait_until("to be told whose the engine is", PATIENCE, || {
        let now = all.reload(&again);
        let said = now["transitioningMessage"].as_str().unwrap_or_default();
        let is_told = now["state"] == "registering" && said.contains("that of host east already");
        if is_told { Ok(()) } else { Err(now) }
    });
    all.delete(&again);

    // After a start it is there again, by what was sealed.
    world.stop_server();
    world.restart_server();
    assert!(
        world
            .log()
            .contains("east: Docker Engine at tcp://10.250.1.2:2376, added by the API"),
        "{}",
        world.log()
    );
    wait_host(&world, "east", "active");
    world.api.put(&service, json!({"scale": 3}));
    world.api.wait_state(&service, "active");
    assert_eq!(second.running("added"), 3);
    world.api.delete(&service);
    world.wait_gone("added");
    let host = wait_host(&world, "east", "active");
    world.api.action(&host, "deactivate", json!({}));
    let host = wait_host(&world, "east", "inactive");
    world.api.delete(&host);
    wait_until("nothing of ours to be on the engine", PATIENCE, || {
        let left = second
            .docker
            .run(&["ps", "--all", "--quiet", "--filter", "label=io.drover.server"]);
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
}

#[test]
fn an_engine_in_the_place_of_another_is_left_alone() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let second = Another::start(1);
    let named_second = format!("second={}", second.docker.url);
    let Some(mut world) = World::begin(None, &["--docker", &named_second]) else {
        return;
    };
    wait_host(&world, "second", "active");
    let stack = world.stack("pinned");
    let service = world.active_service(&stack, "web", json!({"scale": 2, "launchConfig": launch("web:1")}));
    assert_eq!((running(&world.docker, "pinned"), second.running("pinned")), (1, 1));

    // The same name, another engine; and one engine by two names.
    let third = Another::start(2);
    world.stop_server();
    let swapped = format!("second={}", third.docker.url);
    let twice = format!("twice={}", second.with_tls());
    world.restart_server_with(&["--docker", &swapped, "--docker", &twice]);
    let log = world.log();
    assert!(
        log.contains("second: NOT USED") && log.contains("is not the one that host second had"),
        "{log}"
    );
    assert!(
        log.contains("twice: NOT USED") && log.contains("is that of host second already"),
        "{log}"
    );
    wait_host(&world, "second", "disconnected");
    assert!(!hosts(&world).iter().any(|host| host["name"] == "twice"));
    world.api.put(&service, json!({"scale": 4}));
    wait_until("new ones on the first", PATIENCE, || {
        let now = running(&world.docker, "pinned");
        if now == 3 { Ok(()) } else { Err(now) }
    });
    assert_eq!(
        (third.running("pinned"), second.running("pinned")),
        (0, 1),
        "nothing is touched"
    );

    world.stop_server();
    world.restart_server_with(&["--docker", &named_second]);
    wait_host(&world, "second", "active");
    world.api.wait_state(&service, "active");
    assert_eq!((running(&world.docker, "pinned"), second.running("pinned")), (3, 1));
}

#[test]
fn containers_of_another_machine_are_probed_from_beside_them() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let second = Another::start(1);
    // By TLS: nothing that the server could probe by itself.
    let named_second = format!("second={},label.disk=ssd", second.with_tls());
    let Some(mut world) = World::begin(None, &["--docker", &named_second]) else {
        return;
    };
    wait_host(&world, "second", "active");
    let stack = world.stack("far");
    let mut config = launch("web:1");
    config["labels"] = json!({"io.rancher.scheduler.affinity:host_label": "disk=ssd"});
    config["healthCheck"] = json!({ "port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 500,
        "responseTimeout": 1000, "healthyThreshold": 1, "unhealthyThreshold": 2 });
    let service = world.active_service(&stack, "web", json!({"scale": 2, "launchConfig": config}));
    assert_eq!(second.running("far"), 2);
    let health = |world: &World, expected: &str| {
        wait_until(&format!("the service to be {expected}"), PATIENCE, || {
            let now = world.api.reload(&service);
            if now["healthState"] == expected {
                Ok(())
            } else {
                Err(now)
            }
        });
    };
    health(&world, "healthy");

    // One that answers no longer is made anew.
    let ids = || {
        let mut all = second.docker.containers("far");
        all.retain(|c| c.running);
        all.into_iter()
            .map(|c| (c.name, c.id))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = ids();
    second
        .docker
        .run(&["exec", "far-web-1", "mv", "/www/health", "/www/ill"]);
    let after = wait_until("another one in its place", PATIENCE, || {
        let now = ids();
        let is_new = now
            .get("far-web-1")
            .is_some_and(|id| Some(id) != before.get("far-web-1"));
        if is_new && now.len() == 2 { Ok(now) } else { Err(now) }
    });
    assert_eq!(after["far-web-2"], before["far-web-2"]);
    health(&world, "healthy");

    // Without whoever probes nothing is said of them; after both are back it goes on.
    let listed = second
        .docker
        .run(&["ps", "--quiet", "--filter", "label=io.drover.names"]);
    second.docker.run(&["kill", listed.trim()]);
    world.kill_server();
    world.restart_server();
    wait_host(&world, "second", "active");
    health(&world, "healthy");
    second
        .docker
        .run(&["exec", "far-web-2", "mv", "/www/health", "/www/ill"]);
    wait_until("the other one to be made anew", PATIENCE, || {
        let now = ids();
        let is_new = now.get("far-web-2").is_some_and(|id| *id != before["far-web-2"]);
        if is_new && now.len() == 2 { Ok(()) } else { Err(now) }
    });
    health(&world, "healthy");
}
