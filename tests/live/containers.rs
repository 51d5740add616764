//! What a launch configuration becomes on a real container: fields, ports, health checks, containers of their own.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PATIENCE, World, free_port, launch, merge, wait_until};

/// Part of what the engine says about a container: a JSON pointer, and what stands there.
type Expectation = (&'static str, Value);

/// Runs a service of one container with these fields, and compares.
fn check_fields(stack: &str, fields: Value, expected: &[Expectation]) {
    let Some(world) = World::start() else { return };
    check_fields_in(&world, stack, fields, expected);
}

/// The same in a world that is there.
fn check_fields_in(world: &World, stack: &str, fields: Value, expected: &[Expectation]) {
    let resource = world.stack(stack);
    let mut config = launch("busybox:1");
    merge(&mut config, fields);
    world.active_service(&resource, "box", json!({ "launchConfig": config }));
    let name = format!("{stack}-box-1");
    let container = &world.wait_running(stack, &[name.as_str()])[0];
    let found = world.docker.inspect(&container.id);
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(pointer, wanted)| !holds(found.pointer(pointer).unwrap_or(&Value::Null), wanted))
        .map(|(pointer, wanted)| format!("{pointer}: {:?}, not {wanted}", found.pointer(pointer)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether the engine's value is the wanted one. Of objects and arrays the wanted part must be there, so that what
/// the engine and the server add of their own does not matter.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| found.get(key).is_some_and(|found| holds(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => wanted.iter().all(|w| found.iter().any(|f| holds(f, w))),
        // Engines differ in whether they name capabilities with the kernel's prefix.
        (Value::String(found), Value::String(wanted)) => found == wanted || found.strip_prefix("CAP_") == Some(wanted),
        _ => found == wanted,
    }
}

#[test]
fn process_fields_reach_the_container() {
    check_fields(
        "process",
        json!({
            "command": ["exec wait-for-term"],
            "entryPoint": ["/bin/sh", "-c"],
            "environment": { "COLOUR": "blue", "EMPTY": "" },
            "workingDir": "/tmp",
            "user": "worker",
            "groupAdd": ["2000"],
            "hostname": "box",
            "domainName": "example.test",
            "tty": true,
            "stdinOpen": true,
            "labels": { "Mixed.Case": "Kept" },
            "stopSignal": "SIGINT",
            "healthCmd": ["CMD", "true"],
        }),
        &[
            ("/Config/Cmd", json!(["exec wait-for-term"])),
            ("/Config/Entrypoint", json!(["/bin/sh", "-c"])),
            ("/Config/Env", json!(["COLOUR=blue", "EMPTY="])),
            ("/Config/WorkingDir", json!("/tmp")),
            ("/Config/User", json!("worker")),
            ("/HostConfig/GroupAdd", json!(["2000"])),
            ("/Config/Hostname", json!("box")),
            ("/Config/Domainname", json!("example.test")),
            ("/Config/Tty", json!(true)),
            ("/Config/OpenStdin", json!(true)),
            ("/Config/Labels/Mixed.Case", json!("Kept")),
            ("/Config/Labels/io.rancher.stack.name", json!("process")),
            ("/Config/Labels/io.rancher.stack_service.name", json!("process/box")),
            (
                "/Config/Labels/io.rancher.service.launch.config",
                json!("io.rancher.service.primary.launch.config"),
            ),
            ("/Config/StopSignal", json!("SIGINT")),
            ("/Config/Healthcheck/Test", json!(["CMD", "true"])),
        ],
    );
}

#[test]
fn limits_reach_the_container() {
    check_fields(
        "limits",
        json!({
            "memory": 67_108_864,
            "memorySwap": 134_217_728,
            "memoryReservation": 33_554_432,
            "cpuShares": 512,
            "cpuSet": "0",
            "cpuPeriod": 50_000,
            "cpuQuota": 25_000,
            "pidsLimit": 64,
            "oomScoreAdj": 100,
            "shmSize": 8_388_608,
            "ulimits": [{ "name": "nofile", "soft": 256, "hard": 512 }],
        }),
        &[
            ("/HostConfig/Memory", json!(67_108_864)),
            ("/HostConfig/MemorySwap", json!(134_217_728)),
            ("/HostConfig/MemoryReservation", json!(33_554_432)),
            ("/HostConfig/CpuShares", json!(512)),
            ("/HostConfig/CpusetCpus", json!("0")),
            ("/HostConfig/CpuPeriod", json!(50_000)),
            ("/HostConfig/CpuQuota", json!(25_000)),
            ("/HostConfig/PidsLimit", json!(64)),
            ("/HostConfig/OomScoreAdj", json!(100)),
            ("/HostConfig/ShmSize", json!(8_388_608)),
            (
                "/HostConfig/Ulimits",
                json!([{ "Name": "nofile", "Soft": 256, "Hard": 512 }]),
            ),
        ],
    );
}

#[test]
fn rights_and_files_reach_the_container() {
    check_fields(
        "rights",
        json!({
            "capAdd": ["NET_ADMIN"],
            "capDrop": ["MKNOD"],
            "securityOpt": ["no-new-privileges"],
            "readOnly": true,
            "tmpfs": { "/scratch": "size=1m" },
            "devices": ["/dev/null:/dev/nothing:rw", "/dev/zero"],
            "dataVolumes": ["/anonymous", "rights-named:/named", "/tmp:/from-host:ro"],
            "logConfig": { "driver": "json-file", "config": { "max-size": "1m" } },
            "sysctls": { "net.ipv4.ip_unprivileged_port_start": "80" },
        }),
        &[
            ("/HostConfig/CapAdd", json!(["NET_ADMIN"])),
            ("/HostConfig/CapDrop", json!(["MKNOD"])),
            ("/HostConfig/SecurityOpt", json!(["no-new-privileges"])),
            ("/HostConfig/ReadonlyRootfs", json!(true)),
            ("/HostConfig/Tmpfs", json!({ "/scratch": "size=1m" })),
            (
                "/HostConfig/Devices",
                json!([
                    { "PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rw" },
                    { "PathOnHost": "/dev/zero", "PathInContainer": "/dev/zero", "CgroupPermissions": "rwm" },
                ]),
            ),
            (
                "/Mounts",
                json!([
                    { "Type": "volume", "Destination": "/anonymous", "RW": true },
                    { "Type": "volume", "Name": "rights-named", "Destination": "/named", "RW": true },
                    { "Type": "bind", "Source": "/tmp", "Destination": "/from-host", "RW": false },
                ]),
            ),
            (
                "/HostConfig/LogConfig",
                json!({ "Type": "json-file", "Config": { "max-size": "1m" } }),
            ),
            (
                "/HostConfig/Sysctls",
                json!({ "net.ipv4.ip_unprivileged_port_start": "80" }),
            ),
        ],
    );
}

#[test]
fn network_fields_reach_the_container() {
    let Some(world) = World::start() else { return };
    world.set("network.services", "off");
    let fields = json!({
        "dns": ["192.0.2.9"],
        "dnsSearch": ["corp.example"],
        "extraHosts": ["printer:192.0.2.10"],
        "expose": ["9090", "9091/udp"],
    });
    let others = [
        ("/HostConfig/ExtraHosts", json!(["printer:192.0.2.10"])),
        ("/Config/ExposedPorts", json!({ "9090/tcp": {}, "9091/udp": {} })),
    ];
    let domains = json!(["corp.example", "wires.rancher.internal", "box.wires.rancher.internal"]);
    let by_aliases = [
        ("/HostConfig/Dns", json!(["192.0.2.9"])),
        ("/HostConfig/DnsSearch", domains),
    ];
    check_fields_in(&world, "wires", fields.clone(), &[&by_aliases[..], &others].concat());

    // A name server asks those that its client would have asked.
    world.set("network.services", "on");
    check_fields_in(&world, "cables", fields, &others);
    let found = world.docker.inspect("cables-box-1")["HostConfig"].clone();
    let domains = json!([
        "cables.rancher.internal",
        "box.cables.rancher.internal",
        "rancher.internal",
        "corp.example"
    ]);
    assert_eq!(found["DnsSearch"], domains);
    let server = world
        .docker
        .run(&["ps", "--quiet", "--filter", "label=io.drover.names"]);
    let server = world.docker.inspect(&server)["NetworkSettings"]["Networks"].clone();
    let server = server.as_object().unwrap().values().next().unwrap()["IPAddress"].clone();
    assert_eq!(found["Dns"], json!([server]));
    assert!(found["DnsOptions"].is_null(), "{found:#}");
}

#[test]
fn shared_namespaces_reach_the_container() {
    check_fields(
        "spaces",
        // `privileged` is left to the unit tests: a machine that is a container itself may not give what it asks.
        json!({ "pidMode": "host", "ipcMode": "host", "networkMode": "host" }),
        &[
            ("/HostConfig/PidMode", json!("host")),
            ("/HostConfig/IpcMode", json!("host")),
            ("/HostConfig/NetworkMode", json!("host")),
        ],
    );
}

#[test]
fn a_published_port_is_reachable_and_listed_as_an_endpoint() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("public");
    let port = free_port();
    let mut config = launch("web:2");
    config["ports"] = json!([format!("{port}:80")]);
    let service = world.active_service(&stack, "web", json!({ "launchConfig": config }));
    assert_eq!(
        service["launchConfig"]["ports"],
        json!([format!("{port}:80/tcp")]),
        "{service:#}"
    );
    let container = &world.wait_running("public", &["public-web-1"])[0];

    let endpoint = |service: &Value| {
        service["publicEndpoints"]
            .as_array()
            .and_then(|all| all.first())
            .cloned()
    };
    let service = world.api.wait(&service, "the endpoint", |now| endpoint(now).is_some());
    let found = endpoint(&service).unwrap();
    assert_eq!(found["port"], port, "{found:#}");
    assert_eq!(found["serviceId"], service["id"], "{found:#}");
    assert_eq!(found["instanceId"], service["instanceIds"][0], "{found:#}");
    assert!(
        found["hostId"].is_string() && found["ipAddress"].is_string(),
        "{found:#}"
    );

    wait_until("the port to answer", Duration::from_secs(10), || {
        // Not through `Api`, which panics while nobody listens.
        let answer = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        let answer = answer
            .get(format!("http://127.0.0.1:{port}/"))
            .send()
            .and_then(reqwest::blocking::Response::text);
        match answer {
            Ok(text) if text.trim() == "2" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let bound = world.docker.inspect(&container.id);
    assert_eq!(
        bound["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"],
        port.to_string()
    );

    world.api.action(&service, "deactivate", json!({}));
    world.api.wait_state(&service, "inactive");
    world
        .api
        .wait(&service, "the endpoint to vanish", |now| endpoint(now).is_none());
}

#[test]
fn a_random_public_port_is_drawn_once_and_kept() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("drawn");
    let mut config = launch("web:1");
    config["ports"] = json!(["80"]);
    let service = world.active_service(&stack, "web", json!({ "launchConfig": config }));
    let text = service["launchConfig"]["ports"][0]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let port: u16 = text
        .split(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or_default();
    assert!(port >= 49_153 && text == format!("{port}:80/tcp"), "{service:#}");

    let first = world.wait_running("drawn", &["drawn-web-1"]).remove(0);
    world.docker.run(&["rm", "--force", &first.id]);
    let next = wait_until("a new container", PATIENCE, || {
        let now = world.docker.containers("drawn");
        now.iter().find(|c| c.running && c.id != first.id).cloned().ok_or(now)
    });
    let bound = world.docker.inspect(&next.id);
    assert_eq!(
        bound["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"],
        port.to_string()
    );
}

#[test]
fn a_port_in_use_is_reported_in_dockers_words() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("crowded");
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut config = launch("web:1");
    config["ports"] = json!([format!("{port}:80")]);
    let service = world.service(&stack, "web", json!({ "launchConfig": config }));
    world.api.action(&service, "activate", json!({}));
    let now = world.api.wait(&service, "Docker's message", |now| {
        now["transitioningMessage"]
            .as_str()
            .unwrap_or_default()
            .contains(&port.to_string())
    });
    assert_eq!(now["state"], "activating", "{now:#}");
    // Once the port is free the next attempt succeeds, without anybody's help.
    drop(taken);
    world.api.wait_state(&service, "active");
    world.wait_running("crowded", &["crowded-web-1"]);
}

/// An HTTP health check that notices soon.
fn health_check(strategy: &str) -> Value {
    json!({
        "port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 500, "responseTimeout": 1_000,
        "healthyThreshold": 1, "unhealthyThreshold": 2, "strategy": strategy,
    })
}

#[test]
fn an_unhealthy_container_is_replaced() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("healing");
    let mut config = launch("web:1");
    config["healthCheck"] = health_check("recreate");
    let service = world.active_service(&stack, "web", json!({ "launchConfig": config }));
    world.api.wait(&service, "the service to be healthy", |now| {
        now["healthState"] == "healthy"
    });
    let first = world.wait_running("healing", &["healing-web-1"]).remove(0);

    world.docker.run(&["exec", &first.id, "rm", "/www/health"]);
    wait_until("the unhealthy container to be replaced", PATIENCE, || {
        let now = world.docker.containers("healing");
        let replaced = now.len() == 1 && now.iter().all(|c| c.running && c.id != first.id);
        if replaced { Ok(()) } else { Err(now) }
    });
    world.api.wait(&service, "the service to be healthy again", |now| {
        now["healthState"] == "healthy" && now["state"] == "active"
    });
}

#[test]
fn with_strategy_none_an_unhealthy_container_is_only_reported() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("enduring");
    let mut config = launch("web:1");
    config["healthCheck"] = health_check("none");
    let service = world.active_service(&stack, "web", json!({ "launchConfig": config }));
    world.api.wait(&service, "the service to be healthy", |now| {
        now["healthState"] == "healthy"
    });
    let before = world.wait_running("enduring", &["enduring-web-1"]);

    world
        .docker
        .run(&["exec", &before[0].id, "mv", "/www/health", "/www/ill"]);
    world.api.wait(&service, "the service to be unhealthy", |now| {
        now["healthState"] == "unhealthy"
    });
    assert_eq!(world.docker.containers("enduring"), before);
    world
        .docker
        .run(&["exec", &before[0].id, "mv", "/www/ill", "/www/health"]);
    world.api.wait(&service, "the service to recover", |now| {
        now["healthState"] == "healthy"
    });
}

#[test]
fn a_run_once_container_stays_stopped_when_it_is_done() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("once");
    let mut config = launch("busybox:1");
    config["command"] = json!(["true"]);
    config["labels"] = json!({ "io.rancher.container.start_once": "true" });
    let service = world.active_service(&stack, "job", json!({ "launchConfig": config }));
    let service = world.api.wait(&service, "the job to have run", |now| {
        now["healthState"] == "started-once"
    });
    assert_eq!(service["state"], "active", "{service:#}");
    let done = world.docker.containers("once");
    assert_eq!(done.len(), 1, "{done:#?}");
    assert!(!done[0].running, "{done:#?}");
}

#[test]
fn a_container_without_a_service_lives_by_its_own_actions() {
    let Some(world) = World::start() else { return };
    let mut body = launch("web:1");
    merge(
        &mut body,
        json!({ "name": "alone", "labels": { "io.rancher.stack.name": "no-stack" } }),
    );
    // Only so that the cleaning up finds it.
    world.remember_stack("no-stack");
    let container = world.api.post("/containers", body);
    let container = world.api.wait_state(&container, "running");
    let id = container["externalId"].as_str().unwrap().to_owned();
    assert_eq!(world.docker.inspect(&id)["Name"], "/alone");
    assert!(container["primaryIpAddress"].is_string(), "{container:#}");

    world.api.action(&container, "stop", json!({ "timeout": 5 }));
    world.api.wait_state(&container, "stopped");
    assert_eq!(world.docker.inspect(&id)["State"]["Running"], false);

    world.api.action(&container, "start", json!({}));
    world.api.wait_state(&container, "running");
    let started_at = world.docker.inspect(&id)["State"]["StartedAt"].clone();

    world.api.action(&container, "restart", json!({}));
    world.api.wait(&container, "the restart", |now| {
        now["state"] == "running" && world.docker.inspect(&id)["State"]["StartedAt"] != started_at
    });

    world.api.delete(&container);
    world.api.wait_state(&container, "removed");
    wait_until("the engine to have let it go", PATIENCE, || {
        if world.docker.output(&["inspect", &id]).status.success() {
            Err("still there")
        } else {
            Ok(())
        }
    });
}

#[test]
fn a_container_asks_the_api_by_a_key_of_its_own_until_it_is_removed() {
    let Some(world) = World::start() else { return };
    let mut config = launch("busybox:1");
    // The server of a test is reached by loopback alone.
    config["networkMode"] = json!("host");
    config["labels"] =
        json!({ "io.rancher.container.create_agent": "true", "io.rancher.container.agent.role": "environment" });
    let stack = world.stack("asks");
    let service = world.service(&stack, "client", json!({ "launchConfig": config }));
    world.api.action(&service, "activate", json!({}));
    wait_until("it to say what it waits for", PATIENCE, || {
        let found = world.api.get("/containers?name=asks-client-1");
        let why = found["data"][0]["transitioningMessage"].as_str().unwrap_or_default();
        if why.contains("api.host") { Ok(()) } else { Err(found) }
    });
    let host = world.url("");
    world.set("api.host", host.trim_end_matches('/'));
    world.api.wait_state(&service, "active");
    let ask = |path: &str| {
        let script = format!(
            "wget -q -O - --header X-ENFORCE-AUTHENTICATION:true --header \"Authorization: Basic $(printf %s:%s $CATTLE_ACCESS_KEY \
             $CATTLE_SECRET_KEY | base64 | tr -d '\\n')\" $CATTLE_URL/{path}"
        );
        let said = world.docker.output(&["exec", "asks-client-1", "sh", "-c", &script]);
        serde_json::from_slice::<Value>(&said.stdout).unwrap_or_default()
    };
    let services = ask("services");
    assert_eq!(services["data"][0]["id"], service["id"], "{services:#}");
    let others = ask("projects");
    let seen: Vec<&Value> = others["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| &row["id"])
        .collect();
    assert_eq!(seen, [&json!("1a5")], "its own project alone");

    let inspected = world.docker.inspect("asks-client-1")["Config"]["Env"].clone();
    let of = |name: &str| {
        let all = inspected.as_array().into_iter().flatten();
        let mut all = all.filter_map(Value::as_str);
        all.find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .to_owned()
    };
    let (access, secret) = (of("CATTLE_ACCESS_KEY="), of("CATTLE_SECRET_KEY="));
    assert!(access.len() > 10 && secret.len() > 30);
    let row = world.api.get("/containers?name=asks-client-1").to_string();
    assert!(!row.contains(&secret) && !row.contains(&access), "{row}");

    world.api.delete(&service);
    world.wait_gone("asks");
    let client = reqwest::blocking::Client::new();
    let answer = client.get(world.url("v2-beta/stacks")).basic_auth(access, Some(secret));
    let answer = answer.header("X-ENFORCE-AUTHENTICATION", "true").send().unwrap();
    assert_eq!(answer.status().as_u16(), 401, "its key has gone with it");
}

#[test]
fn a_container_that_is_held_still_says_so() {
    let Some(world) = World::start() else {
        return;
    };
    let stack = world.stack("still");
    let service = world.active_service(&stack, "web", json!({"launchConfig": launch("web:1")}));
    let container = world.wait_running("still", &["still-web-1"]).remove(0);
    let row = world.api.get("/containers?name=still-web-1")["data"][0].clone();
    world.docker.run(&["pause", &container.id]);
    let held = world.api.wait(&row, "to say that it is paused", |row| {
        row["transitioningMessage"] == "Paused on its engine"
    });
    // What is at rest and has something to say is shown as Rancher shows it.
    assert_eq!(
        (&held["state"], &held["transitioning"]),
        (&json!("running"), &json!("error"))
    );
    world.docker.run(&["unpause", &container.id]);
    world.api.wait(&row, "to say nothing any more", |row| {
        row["transitioningMessage"].is_null()
    });
    assert_eq!(world.api.reload(&service)["state"], "active");
    assert_eq!(
        world.docker.inspect(&container.id)["Id"],
        json!(container.id),
        "it is the same one"
    );
}
