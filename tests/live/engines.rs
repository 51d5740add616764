//! The engine and its host: an engine that comes late, the address of the machine, what containers of no service get.

use serde_json::{Value, json};

use crate::support::{PATIENCE, World, free_port, launch, real_part, wait_until};

#[test]
fn an_engine_that_comes_late_gets_the_work_that_waited_for_it() {
    let Some(real) = real_part("DROVER_TEST_DOCKER") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("late.sock");
    let Some(world) = World::begin(Some(&format!("unix://{}", socket.display())), &[]) else {
        return;
    };
    assert!(world.log().contains("does not answer"), "{}", world.log());
    let stack = world.stack("late");
    let body = json!({"name": "web", "stackId": stack["id"], "startOnCreate": true, "scale": 2, "launchConfig": launch("web:1")});
    let service = world.api.post("/services", body);
    let mut alone = launch("web:1");
    alone["labels"] = json!({"io.rancher.stack.name": "late"});
    let alone = world.api.post("/containers", alone);
    for row in [&service, &alone] {
        world.api.wait(row, "to wait for its host", |now| {
            let message = now["transitioningMessage"].as_str().unwrap_or_default();
            now["transitioning"] == "yes" && message.starts_with("Waiting for")
        });
    }
    let ready = world.api_at("readyz?verbose");
    let (_, text) = ready.send("GET", "", None);
    assert!(
        text.as_str()
            .is_some_and(|t| t.contains("[-] engine of host") && t.contains("late.sock")),
        "{text}"
    );

    std::os::unix::fs::symlink(real.trim_start_matches("unix://"), &socket).unwrap();
    world.wait_host();
    world.api.wait_state(&service, "active");
    world.api.wait_state(&alone, "running");
    wait_until("the watch to be well", PATIENCE, || {
        let (_, text) = ready.send("GET", "", None);
        let is_well = text.as_str().is_some_and(|t| t.contains("[+] engine of host"));
        if is_well { Ok(()) } else { Err(text) }
    });
    let host = world.wait_host();
    assert!(
        host["hostname"].as_str().is_some_and(|name| !name.is_empty()),
        "{host:#}"
    );
}

#[test]
fn a_host_has_the_address_that_was_given_and_says_what_it_has() {
    let Some(world) = World::begin(None, &["--host-address", "10.98.7.6"]) else {
        return;
    };
    let host = world.wait_host();
    assert_eq!(host["agentIpAddress"], "10.98.7.6", "{host:#}");
    assert!(host["memory"].as_i64().is_some_and(|bytes| bytes > 1 << 26), "{host:#}");
    let cores = host["info"]["cpuInfo"]["count"].as_i64().unwrap();
    assert_eq!(host["milliCpu"], cores * 1_000);
    let addresses = world.api.get(host["links"]["ipAddresses"].as_str().unwrap());
    assert_eq!(addresses["data"][0]["address"], "10.98.7.6");
    let stack = world.stack("address");
    let port = free_port();
    let mut config = launch("web:1");
    config["ports"] = json!([format!("{port}:80")]);
    let service = world.active_service(&stack, "web", json!({"launchConfig": config}));
    let expected = json!({"ipAddress": "10.98.7.6", "port": port, "hostId": host["id"], "serviceId": service["id"]});
    let is_there = |points: &Value| {
        let points = points.as_array().cloned().unwrap_or_default();
        points.iter().any(|p| {
            expected
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, value)| p[key] == *value)
        })
    };
    world.api.wait(&service, "to show its endpoint", |now| {
        is_there(&now["publicEndpoints"])
    });
    world
        .api
        .wait(&host, "to show its endpoint", |now| is_there(&now["publicEndpoints"]));
    let project = world.api_at("v2-beta").get("/projects/1a5");
    assert_eq!(project["uuid"], "adminProject");
}

#[test]
fn a_host_is_never_known_by_loopback() {
    let Some(world) = World::start() else { return };
    let host = world.wait_host();
    let address = host["agentIpAddress"].as_str().unwrap();
    assert!(!address.starts_with("127."), "{host:#}");
}

#[test]
fn a_container_of_no_service_is_like_those_of_services() {
    let Some(world) = World::start() else { return };
    // With a name server our domains come first; see `name_servers`.
    world.set("network.services", "off");
    let mut body = launch("busybox:1");
    body["labels"] = json!({"io.rancher.stack.name": "alone", "io.rancher.container.display_name": "shown"});
    body["expose"] = json!(["81", "53/udp"]);
    body["dnsSearch"] = json!(["own.example"]);
    body["runInit"] = json!(true);
    body["stopTimeout"] = json!(7);
    world.remember_stack("alone");
    let made = world.api.post("/containers", body.clone());
    let row = world.api.wait_state(&made, "running");
    assert_eq!(row["name"], "shown");
    assert_eq!(row["labels"]["io.rancher.environment.uuid"], "adminProject", "{row:#}");
    let id = row["externalId"].as_str().unwrap();
    let found = world.docker.inspect(id);
    let config = &found["Config"];
    assert_eq!(config["Hostname"], id[..12], "the engine's own short id");
    assert_eq!(config["StopTimeout"], 7);
    assert_eq!(found["HostConfig"]["Init"], true);
    assert_eq!(config["Labels"]["io.rancher.environment.uuid"], "adminProject");
    let search = found["HostConfig"]["DnsSearch"].as_array().cloned().unwrap_or_default();
    assert_eq!(search.first(), Some(&json!("own.example")), "{search:?}");
    assert!(search.contains(&json!("rancher.internal")), "{search:?}");
    let ports = world.api.get(row["links"]["ports"].as_str().unwrap());
    let mut ports: Vec<(&str, i64, &str)> = ports["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (
                p["kind"].as_str().unwrap(),
                p["privatePort"].as_i64().unwrap(),
                p["protocol"].as_str().unwrap(),
            )
        })
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [("imagePort", 53, "udp"), ("imagePort", 81, "tcp")]);
    body["labels"]["io.rancher.container.hostname_override"] = json!("container_name");
    body["labels"]["io.rancher.container.display_name"] = json!("another");
    let other = world.api.post("/containers", body);
    let other = world.api.wait_state(&other, "running");
    let found = world.docker.inspect(other["externalId"].as_str().unwrap());
    assert_eq!(found["Config"]["Hostname"], "another");
}
