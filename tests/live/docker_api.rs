//! Docker's own clients, unmodified, against the service API: its command line, and PyPI's `docker`, on real containers.

use serde_json::Value;

use crate::support::{Docker, PATIENCE, World, beside, real_part, run_script, wait_until};

const COMPOSE: &str = r#"
version: "3.7"
services:
  db:
    image: drover-test/busybox:1
    command: ["sh", "-c", "echo stored > /d/file; exec sleep 100000"]
    volumes: ["data:/d"]
  front:
    image: drover-test/busybox:1
    command: ["sh", "-c", "cat /run/secrets/key; exec sleep 100000"]
    environment: {STEP: "1"}
    secrets: [key]
    deploy: {replicas: 2, update_config: {order: start-first, failure_action: continue, monitor: 1s}}
volumes: {data: {}}
secrets: {key: {file: ./key.txt}}
"#;

/// Docker's command line, pointed at the server.
pub(crate) fn client(world: &World) -> Docker {
    let url = world.url("docker").replace("http://", "tcp://");
    Docker { url }
}

fn object(client: &Docker, arguments: &[&str]) -> Value {
    let mut found: Value = serde_json::from_str(&client.run(arguments)).expect("JSON");
    found[0].take()
}

/// The images of a stack's running containers, as the engine has them.
fn images(world: &World, stack: &str) -> Vec<String> {
    let all = world.docker.containers(stack);
    all.into_iter().filter(|one| one.running).map(|one| one.image).collect()
}

fn all_are(world: &World, image: &str) -> Result<(), Vec<String>> {
    let now = images(world, "default");
    match now.len() == 3 && now.iter().all(|one| one == image) {
        true => Ok(()),
        false => Err(now),
    }
}

#[test]
fn the_command_line_of_docker_makes_updates_and_removes_services() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    let script = "trap 'exit 0' TERM; echo begun; while :; do sleep 1; done";
    let create = [
        "service",
        "create",
        "--quiet",
        "--name",
        "cli",
        "--replicas",
        "2",
        "--env",
        "A=1",
        "--label",
        "x=y",
    ];
    let policy = [
        "--update-monitor",
        "1s",
        "--update-failure-action",
        "rollback",
        "--health-cmd",
        "true",
        "--health-interval",
        "1s",
    ];
    client.run(&[&create[..], &policy, &["drover-test/web:1", "sh", "-c", script]].concat());
    assert_eq!(images(&world, "default"), ["drover-test/web:1"; 2]);
    assert_eq!(
        client.run(&["service", "ls", "--format", "{{.Name}} {{.Replicas}} {{.Image}}"]),
        "cli 2/2 drover-test/web:1"
    );
    let found = object(&client, &["service", "inspect", "cli"]);
    assert_eq!(found["Spec"]["Labels"]["x"], "y");
    assert_eq!(found["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"][2], script);
    // The same service, seen by Rancher's clients.
    let services = world.api.get("/services?name=cli");
    let native = &services["data"][0];
    assert_eq!(
        (&native["state"], &native["scale"]),
        (&"active".into(), &2.into()),
        "{native:#}"
    );
    wait_until("both to have written", PATIENCE, || {
        let log = client.run(&["service", "logs", "cli"]);
        match log.matches("| begun").count() {
            2 => Ok(()),
            _ => Err(log),
        }
    });
    client.run(&["service", "scale", "--detach=false", "cli=3"]);
    assert_eq!(images(&world, "default").len(), 3);

    client.run(&[
        "service",
        "update",
        "--quiet",
        "--update-order",
        "start-first",
        "--image",
        "drover-test/web:2",
        "cli",
    ]);
    wait_until("the old ones to go", PATIENCE, || all_are(&world, "drover-test/web:2"));
    let ps = client.run(&["service", "ps", "--format", "{{.Name}} {{.DesiredState}}", "cli"]);
    assert_eq!(ps.matches("Running").count(), 3, "{ps}");
    assert!(ps.contains("Shutdown"), "what was there before is remembered: {ps}");
    client.run(&["service", "rollback", "--quiet", "cli"]);
    wait_until("the way back", PATIENCE, || all_are(&world, "drover-test/web:1"));
    client.run(&["service", "rm", "cli"]);
    assert_eq!(client.run(&["service", "ls", "-q"]), "");
    wait_until("no container to be left", PATIENCE, || {
        match images(&world, "default") {
            images if images.is_empty() => Ok(()),
            images => Err(images),
        }
    });
}

#[test]
fn a_stack_of_a_compose_file_is_deployed_changed_and_removed() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("shop");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yml");
    std::fs::write(&file, COMPOSE).unwrap();
    std::fs::write(folder.path().join("key.txt"), "hush").unwrap();
    let deploy = ["stack", "deploy", "--compose-file", file.to_str().unwrap(), "shop"];
    client.run(&deploy);
    let running = world.wait_running("shop", &["shop-db-1", "shop-front-1", "shop-front-2"]);
    let db = &running[0];
    wait_until("the volume to be written", PATIENCE, || {
        let read = world.docker.output(&["exec", &db.id, "cat", "/d/file"]);
        if read.stdout == b"stored\n" { Ok(()) } else { Err(read) }
    });
    assert_eq!(
        world.docker.run(&["exec", &running[1].id, "cat", "/run/secrets/key"]),
        "hush"
    );
    let mut services: Vec<String> = client
        .run(&["stack", "services", "--format", "{{.Name}} {{.Replicas}}", "shop"])
        .lines()
        .map(str::to_owned)
        .collect();
    services.sort();
    assert_eq!(services, ["shop_db 1/1", "shop_front 2/2"]);

    std::fs::write(&file, COMPOSE.replace("STEP: \"1\"", "STEP: \"2\"")).unwrap();
    client.run(&deploy);
    wait_until("the change to be everywhere", PATIENCE, || {
        let now = world.docker.containers("shop");
        let front: Vec<_> = now
            .iter()
            .filter(|one| one.running && one.name.contains("front"))
            .collect();
        let is_new = |one: &&&crate::support::Container| {
            world.docker.inspect(&one.id)["Config"]["Env"]
                .to_string()
                .contains("STEP=2")
        };
        let done = front.len() == 2 && front.iter().filter(is_new).count() == 2;
        if done { Ok(()) } else { Err(now.clone()) }
    });
    assert!(
        world.docker.containers("shop").contains(db),
        "what did not change stays"
    );
    client.run(&["stack", "rm", "shop"]);
    wait_until("nothing to be left", PATIENCE, || {
        match world.docker.containers("shop") {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    });
    assert_eq!(client.run(&["secret", "ls", "-q"]), "");
}

#[test]
fn the_command_line_of_docker_looks_into_containers() {
    let Some(world) = World::start() else { return };
    let client = client(&world);
    world.remember_stack("default");
    let script = "echo begun; trap 'exit 0' TERM; while :; do sleep 1; done";
    let mut events = std::process::Command::new("docker");
    events.args(["--host", &client.url, "events", "--format", "{{.Type}} {{.Action}}"]);
    let mut events = events.stdout(std::process::Stdio::piped()).spawn().unwrap();
    client.run(&[
        "service",
        "create",
        "--quiet",
        "--name",
        "seen",
        "drover-test/web:1",
        "sh",
        "-c",
        script,
    ]);
    let id = world.docker.containers("default")[0].id.clone();
    let said = client.output(&[
        "exec",
        "-e",
        "A=b",
        "-w",
        "/tmp",
        "-u",
        "worker",
        &id,
        "sh",
        "-c",
        "echo $A; pwd; id -un; exit 5",
    ]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "b\n/tmp\nworker\n", "{said:?}");
    assert_eq!(said.status.code(), Some(5));
    // What is typed, and no less of it than all.
    let much = "x".repeat(3_000_000);
    let mut cat = std::process::Command::new("docker");
    cat.args([
        "--host",
        &client.url,
        "exec",
        "-i",
        &id,
        "sh",
        "-c",
        "wc -c; echo done >&2",
    ]);
    cat.stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut cat = cat.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut typed = cat.stdin.take().unwrap();
    std::io::Write::write_all(&mut typed, much.as_bytes()).unwrap();
    drop(typed);
    let read = cat.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), "3000000", "{read:?}");
    assert_eq!(String::from_utf8_lossy(&read.stderr), "done\n");
    let refused = client.output(&["exec", "--privileged", &id, "true"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("Privileged"),
        "{refused:?}"
    );

    wait_until("the log", PATIENCE, || match client.run(&["logs", &id]) {
        log if log == "begun" => Ok(()),
        log => Err(log),
    });
    let stats = client.run(&[
        "stats",
        "--no-stream",
        "--format",
        "{{.Name}} {{.MemUsage}} {{.CPUPerc}}",
        &id,
    ]);
    assert!(stats.starts_with("default-seen-1 ") && stats.ends_with('%'), "{stats}");
    client.run(&["service", "rm", "seen"]);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(events.stdout.take().unwrap()));
    let mut told = Vec::new();
    while !told.contains(&"container destroy".to_owned()) {
        told.push(lines.next().expect("it goes on").unwrap());
    }
    for expected in [
        "service create",
        "container create",
        "container start",
        "service remove",
        "container die",
    ] {
        assert!(told.iter().any(|one| one == expected), "{expected}: {told:?}");
    }
    events.kill().unwrap();
    events.wait().unwrap();
}

#[test]
fn the_docker_library_of_python_drives_services() {
    let Some(world) = crate::balancers::world() else { return };
    world.remember_stack("default");
    let url = world.url("docker").replace("http://", "tcp://");
    run_script("docker_client.py", &[&url, "drover-test/web:1", "drover-test/web:2"]);
}

#[test]
fn the_suites_of_dockers_library_pass_but_for_what_is_left_out_with_a_reason() {
    let Some(world) = World::start() else { return };
    let Some(python) = real_part("DROVER_TEST_PYTHON") else {
        return;
    };
    world.remember_stack("default");
    // What the suites run in is beside the environment of the other clients.
    let target = std::path::Path::new(&python)
        .ancestors()
        .nth(3)
        .expect("target/venv/bin/python");
    let suites = target.join("suites");
    let folder = suites.join("docker-6.1.3");
    let its_python = suites.join("venv/bin/python");
    for name in ["alpine:3.10", "busybox:latest"] {
        world.docker.run(&["tag", "drover-test/busybox:1", name]);
    }
    let url = world.url("docker").replace("http://", "tcp://");
    let left_out = beside("docker_suites_left_out.txt");
    let arguments = [
        folder.to_str().unwrap(),
        its_python.to_str().unwrap(),
        &url,
        left_out.to_str().unwrap(),
    ];
    run_script("docker_suites.py", &arguments);
}
