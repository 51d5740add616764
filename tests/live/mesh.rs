//! Ports that are published through the mesh, asked from outside: real HAProxy before real containers of Docker's services.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::balancers::{Load, wait_get, who, world};
use crate::docker_api::client;
use crate::several::{Another, wait_host};
use crate::support::{PATIENCE, World, free_port, real_part, wait_until};

/// So many containers answer at a port, each with its name, and nothing else comes.
fn wait_answers(port: u16, expected: usize) {
    wait_until(&format!("{expected} to answer at {port}"), PATIENCE, || {
        let found = who(port, 20);
        let is_failure = |answer: &String| answer.contains(' ');
        match found.len() == expected && !found.keys().any(is_failure) {
            true => Ok(()),
            false => Err(found),
        }
    });
}

/// The images of the running containers of a stack, and how many there are of each.
fn images(world: &World, stack: &str) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for one in world.docker.containers(stack).into_iter().filter(|one| one.running) {
        *all.entry(one.image).or_insert(0) += 1;
    }
    all
}

fn wait_images(world: &World, stack: &str, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> = expected.iter().map(|(image, n)| ((*image).to_owned(), *n)).collect();
    wait_until(&format!("{expected:?} to run"), PATIENCE, || {
        match images(world, stack) {
            now if now == expected => Ok(()),
            now => Err(now),
        }
    });
}

fn wait_empty(world: &World, stack: &str) {
    wait_until("no container to be left", PATIENCE, || {
        match world.docker.containers(stack) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    });
}

#[test]
fn containers_behind_one_published_port_share_what_comes() {
    let Some(world) = world() else { return };
    let client = client(&world);
    world.remember_stack("default");
    let (port, other) = (free_port(), free_port());
    let (publish, one_more) = (format!("{port}:80"), format!("{other}:80"));
    let create = [
        "service",
        "create",
        "--quiet",
        "--name",
        "web",
        "--replicas",
        "2",
        "--publish",
        &publish,
    ];
    let health = [
        "--health-cmd",
        "wget -q -O /dev/null http://127.0.0.1/health",
        "--health-interval",
        "500ms",
    ];
    client.run(&[&create[..], &health, &["drover-test/web:1"]].concat());
    wait_answers(port, 2);
    client.run(&["service", "scale", "--detach=false", "web=3"]);
    wait_answers(port, 3);
    wait_images(
        &world,
        "default",
        &[("drover-test/web:1", 3), ("drover-test/haproxy:1", 1)],
    );
    // To the client there are three containers, and one port.
    assert_eq!(client.run(&["ps", "--quiet"]).lines().count(), 3);
    assert_eq!(
        client.run(&["service", "ls", "--format", "{{.Name}} {{.Replicas}} {{.Ports}}"]),
        format!("web 3/3 *:{port}->80/tcp")
    );

    // All are made anew while requests go on, the old ones first and then the new ones first.
    for (image, order) in [
        ("drover-test/web:2", "stop-first"),
        ("drover-test/web:3", "start-first"),
    ] {
        let load = Load::begin(port, "/health");
        client.run(&[
            "service",
            "update",
            "--detach",
            "--update-order",
            order,
            "--image",
            image,
            "web",
        ]);
        wait_images(&world, "default", &[(image, 3), ("drover-test/haproxy:1", 1)]);
        let (asked, failures) = load.end();
        assert!(
            asked > 100 && failures.is_empty(),
            "{order}: {asked} were asked: {failures:#?}"
        );
    }
    wait_get(port, "any", "/", (200, "3"), PATIENCE);

    // A port more, and one less.
    client.run(&["service", "update", "--detach", "--publish-add", &one_more, "web"]);
    wait_answers(other, 3);
    wait_answers(port, 3);
    let third = free_port();
    let instead = format!("{third}:80");
    let update = [
        "service",
        "update",
        "--detach",
        "--publish-rm",
        "80",
        "--publish-add",
        &instead,
        "web",
    ];
    client.run(&update);
    wait_until("the first ports to be closed", PATIENCE, || {
        let is_open = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
        match [port, other].into_iter().filter(is_open).collect::<Vec<u16>>() {
            open if open.is_empty() => Ok(()),
            open => Err(open),
        }
    });
    wait_answers(third, 3);

    client.run(&["service", "rm", "web"]);
    wait_empty(&world, "default");
    assert!(TcpStream::connect(("127.0.0.1", third)).is_err(), "nobody listens");
}

const COMPOSE: &str = r#"
version: "3.7"
services:
  web:
    image: drover-test/web:1
    ports: ["PORT:80"]
    deploy: {replicas: 2}
"#;

#[test]
fn a_stack_publishes_a_port_for_two_replicas_on_one_host() {
    let Some(mut world) = world() else { return };
    let client = client(&world);
    world.remember_stack("shop");
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yml");
    std::fs::write(&file, COMPOSE.replace("PORT", &port.to_string())).unwrap();
    client.run(&["stack", "deploy", "--compose-file", file.to_str().unwrap(), "shop"]);
    wait_answers(port, 2);
    let services = client.run(&["stack", "services", "--format", "{{.Name}} {{.Replicas}}", "shop"]);
    assert_eq!(services, "shop_web 2/2");
    assert_eq!(client.run(&["stack", "ps", "--quiet", "shop"]).lines().count(), 2);
    // Without the server it goes on, and with it again as well.
    world.kill_server();
    wait_answers(port, 2);
    world.restart_server();
    world.wait_host();
    wait_answers(port, 2);
    client.run(&["stack", "rm", "shop"]);
    wait_empty(&world, "shop");
    assert_eq!(client.run(&["stack", "ls", "--format", "{{.Name}}"]), "");
}

/// What is answered at an address of another machine.
fn ask(address: &str, port: u16) -> Result<String, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((address, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET /hostname HTTP/1.0\r\nHost: any\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = ask().map_err(|error| error.to_string())?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.trim().to_owned()),
        _ => Err(text),
    }
}

#[test]
fn each_host_has_the_port_whoever_has_the_containers() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let second = Another::start(1);
    let named_second = format!("second={},label.disk=ssd", second.with_tls());
    let Some(world) = World::begin(None, &["--docker", &named_second]) else {
        return;
    };
    world.set("lb.instance.image", "drover-test/haproxy:1");
    let host = wait_host(&world, "second", "active");
    assert_eq!(host["agentIpAddress"], "10.250.1.2", "{host:#}");
    let client = client(&world);
    world.remember_stack("default");
    let port = free_port();
    let publish = format!("{port}:80");
    let create = [
        "service",
        "create",
        "--quiet",
        "--name",
        "far",
        "--replicas",
        "2",
        "--publish",
        &publish,
    ];
    client.run(
        &[
            &create[..],
            &["--constraint", "node.labels.disk==ssd", "drover-test/web:1"],
        ]
        .concat(),
    );
    // Each engine has a balancer, and all containers are on the second.
    for address in ["10.250.1.2", "10.250.1.1"] {
        wait_until(&format!("both to answer at {address}"), PATIENCE, || {
            let answers: Result<BTreeSet<String>, String> = (0..12).map(|_| ask(address, port)).collect();
            match answers {
                Ok(answers) if answers.len() == 2 => Ok(()),
                other => Err(other),
            }
        });
    }
    assert_eq!(
        (world.docker.containers("default").len(), second.running("default")),
        (1, 3)
    );
    client.run(&["service", "rm", "far"]);
    wait_empty(&world, "default");
}
