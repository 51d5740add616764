//! What is around a service: stacks made of files, balancers that follow, logs that are followed.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::http::drover;
use super::life::{Client, IMAGE, skipped};
use super::load;
use super::machine::{Cores, Server, free_address, median};
use super::report::{Figure, Limit};
use super::subscribers::{connect, frame};

/// Services of a stack that is made of its files.
const SERVICES: usize = 100;
/// The same, so much larger: what grows with the square of the number shows here.
const TIMES: usize = 4;
/// Each is linked to the one before it.
fn files(services: usize) -> String {
    let mut text = String::from("version: '2'\nservices:\n");
    for n in 0..services {
        let link = if n == 0 {
            String::new()
        } else {
            format!(", links: [s{}]", n - 1)
        };
        let _ = writeln!(
            text,
            "  s{n}: {{image: 'sim:web', environment: {{N: '{n}'}}, labels: {{tier: 't{n}'}}{link}}}"
        );
    }
    text
}

/// Milliseconds until a stack's services are there, and until all are active; and processor seconds.
fn import_of(folder: &Path, services: usize) -> (f64, f64, f64) {
    std::fs::create_dir_all(folder).expect("a writable folder");
    let server = drover(folder, Cores::All);
    let client = Client(server.address);
    let id = |row: &Value| row["id"].as_str().expect("an id").to_owned();
    let pause = Duration::from_millis(2);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    // What a first request costs is not the stack's.
    let small = client.post(
        "stacks",
        &json!({"name": "small", "dockerCompose": files(2), "startOnCreate": true}),
    );
    client.wait(&format!("stacks/{}", id(&small)), "active", pause);
    let mut made = Vec::new();
    for round in 0..3 {
        let began = Instant::now();
        let stack = client.post(
            "stacks",
            &json!({"name": format!("made-{round}"), "dockerCompose": files(services)}),
        );
        client.wait(&format!("stacks/{}", id(&stack)), "active", pause);
        made.push(ms(began.elapsed()));
    }
    let mut started = Vec::new();
    let cpu = server.cpu();
    for round in 0..3 {
        let began = Instant::now();
        let body = json!({"name": format!("started-{round}"), "dockerCompose": files(services), "startOnCreate": true});
        let stack = id(&client.post("stacks", &body));
        client.wait(&format!("stacks/{stack}"), "active", pause);
        loop {
            let left = client.get(&format!("services?stackId={stack}&state_ne=active&limit=1"));
            if left["data"].as_array().expect("rows").is_empty() {
                break;
            }
            std::thread::sleep(pause);
        }
        started.push(ms(began.elapsed()));
    }
    (median(&mut made), median(&mut started), (server.cpu() - cpu) / 3.0)
}

/// A stack of a hundred services, and one of four hundred.
pub fn import(folder: &Path) -> Vec<Figure> {
    let (made, started, cpu) = import_of(&folder.join("import-100"), SERVICES);
    let (many_made, many_started, many_cpu) = import_of(&folder.join("import-400"), SERVICES * TIMES);
    let times = TIMES as f64;
    vec![
        Figure {
            name: format!("a stack of {SERVICES} services made of its files"),
            value: Some(made),
            unit: " ms",
            limit: Limit::AtMost(300.0, 150.0),
            from: "from the request to the stack's being active; none started, median of 3".into(),
        },
        Figure {
            name: format!("the same with {SERVICES} simulated containers started"),
            value: Some(started),
            unit: " ms",
            limit: Limit::None,
            from: format!("until all services are active, {cpu:.2} CPU seconds, median of 3"),
        },
        Figure {
            name: format!("{} services / {TIMES} times {SERVICES}, made", SERVICES * TIMES),
            value: Some(many_made / made / times),
            unit: "x",
            limit: Limit::AtMost(1.5, 1.1),
            from: format!("{many_made:.0} ms"),
        },
        Figure {
            name: format!("{} services / {TIMES} times {SERVICES}, started", SERVICES * TIMES),
            value: Some(many_started / started / times),
            unit: "x",
            limit: Limit::None,
            from: format!("{many_started:.0} ms, {many_cpu:.2} CPU seconds"),
        },
    ]
}

/// Changes of a balancer's target.
const CHANGES: usize = 9;
/// Those who follow a log in which nothing is written.
const FOLLOWERS: usize = 200;
/// A log that grows by about ten megabytes each second, in lines of a thousand bytes.
const TALKER: &str = "while :; do head -c 1000000 /dev/zero | tr '\\0' x | fold -w 999; sleep 0.1; done";
/// How long it is followed.
const FOLLOWED: Duration = Duration::from_secs(10);

/// What of this needs an engine.
pub fn real(folder: &Path) -> Vec<Figure> {
    let names = [
        "a balancer's new target answers",
        "memory of each who follows a log",
        "following a log of 10 MB/s",
    ];
    let limits = [
        Limit::AtMost(1000.0, 300.0),
        Limit::AtMost(50.0, 25.0),
        Limit::AtMost(5.0, 3.0),
    ];
    let units = [" ms", " KiB", " % of a core"];
    let Some(url) = std::env::var("DROVER_TEST_DOCKER").ok().filter(|u| !u.is_empty()) else {
        return (0..3).map(|n| skipped(names[n], units[n], limits[n])).collect();
    };
    std::fs::create_dir_all(folder).expect("a writable folder");
    let data = folder.display().to_string();
    let arguments = [
        "serve",
        "--listen",
        "{address}",
        "--data-dir",
        &data,
        "--docker",
        &url,
        "--log",
        "error",
    ];
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_drover")), &arguments, Cores::All);
    let client = Client(server.address);
    let stack = client.post("stacks", &json!({"name": "bench-around"}));
    let values = [
        balancer(&client, &stack["id"]),
        followers(&server, &client),
        talker(&server, &client),
    ];
    let stack = stack["id"].as_str().expect("an id");
    let _ = load::once(
        server.address,
        &delete(&format!("/v2-beta/projects/1a5/stacks/{stack}")),
    );
    let figure = |(n, (value, from)): (usize, (f64, String))| Figure {
        name: names[n].into(),
        value: Some(value),
        unit: units[n],
        limit: limits[n],
        from,
    };
    values.into_iter().enumerate().map(figure).collect()
}

fn delete(path: &str) -> Vec<u8> {
    format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn put(path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Who answers at a port.
fn who(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /who HTTP/1.0\r\nHost: any\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.trim().to_owned())
}

fn wait_who(port: u16, expected: &str) -> Duration {
    let began = Instant::now();
    while who(port).as_deref() != Some(expected) {
        assert!(began.elapsed() < Duration::from_secs(60), "{expected} never answers");
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

/// A rule is led to another service and back, again and again.
fn balancer(client: &Client, stack: &Value) -> (f64, String) {
    client.ask(&put(
        "/v2-beta/settings/lb.instance.image",
        &json!({"value": "drover-test/haproxy:1"}),
    ));
    let web = |name: &str| {
        let launch = json!({"imageUuid": "docker:drover-test/web:1", "environment": {"WHO": name}});
        let body = json!({"name": name, "stackId": stack, "startOnCreate": true, "launchConfig": launch});
        client.post("services", &body)["id"].as_str().expect("an id").to_owned()
    };
    let both = [web("a"), web("b")];
    let pause = Duration::from_millis(20);
    for id in &both {
        client.wait(&format!("services/{id}"), "active", pause);
    }
    let port = free_address().port();
    let config = |service: &str| json!({"portRules": [{"sourcePort": port, "protocol": "http", "serviceId": service, "targetPort": 80}]});
    let launch =
        json!({"imageUuid": "docker:rancher/lb-service-haproxy:v0.9.14", "ports": [format!("{port}:{port}/tcp")]});
    let body = json!({"name": "lb", "stackId": stack, "startOnCreate": true, "lbConfig": config(&both[0]), "launchConfig": launch});
    let lb = client.post("loadbalancerservices", &body)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    wait_who(port, "a");
    let mut took = Vec::new();
    for change in 1..=CHANGES {
        let (target, name) = (&both[change % 2], ["a", "b"][change % 2]);
        let path = format!("/v2-beta/projects/1a5/loadbalancerservices/{lb}");
        client.wait(&format!("loadbalancerservices/{lb}"), "active", pause);
        let began = Instant::now();
        client.ask(&put(&path, &json!({"lbConfig": config(target)})));
        wait_who(port, name);
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let middle = median(&mut took);
    let longest = took.last().copied().unwrap_or_default();
    (
        middle,
        format!(
            "from the PUT to the first answer of the other service, asked each 5 ms; median of {CHANGES}, longest {longest:.0} ms"
        ),
    )
}

/// A running container with this script, and the path of the stream of its log.
fn logged(client: &Client, name: &str, script: &str) -> (String, String) {
    let body = json!({"name": name, "imageUuid": format!("docker:{IMAGE}"), "command": ["sh", "-c", script], "networkMode": "none"});
    let id = client.post("containers", &body)["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    client.wait(&format!("containers/{id}"), "running", Duration::from_millis(10));
    let access = client.post(
        &format!("containers/{id}?action=logs"),
        &json!({"follow": true, "lines": 1}),
    );
    (
        id,
        format!("/v1/logs/?token={}", access["token"].as_str().expect("a token")),
    )
}

fn local<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn followers(server: &Server, client: &Client) -> (f64, String) {
    let (id, path) = logged(client, "bench-quiet", "sleep 1000");
    let each = local(async {
        let quiet = || tokio::time::sleep(Duration::from_secs(1));
        drop(connect(server.address, &path, 16).await);
        quiet().await;
        let before = server.own_memory();
        let streams = connect(server.address, &path, FOLLOWERS).await;
        quiet().await;
        let each = (server.own_memory() - before) * 1024.0 / FOLLOWERS as f64;
        drop(streams);
        each
    });
    let _ = load::once(
        server.address,
        &delete(&format!("/v2-beta/projects/1a5/containers/{id}")),
    );
    (each, format!("{FOLLOWERS} of one log in which nothing is written"))
}

fn talker(server: &Server, client: &Client) -> (f64, String) {
    let (id, path) = logged(client, "bench-talker", TALKER);
    let (bytes, cpu, seconds) = local(async {
        let mut stream = connect(server.address, &path, 1).await.remove(0);
        let (mut buffer, mut bytes) = (Vec::with_capacity(1 << 20), 0_usize);
        let (began, cpu) = (Instant::now(), server.cpu());
        while began.elapsed() < FOLLOWED {
            assert!(stream.read_buf(&mut buffer).await.expect("the log goes on") > 0);
            let mut at = 0;
            while let Some((start, end)) = frame(&buffer[at..]) {
                bytes += end - start;
                at += end;
            }
            buffer.drain(..at);
        }
        (bytes, server.cpu() - cpu, began.elapsed().as_secs_f64())
    });
    let _ = load::once(
        server.address,
        &delete(&format!("/v2-beta/projects/1a5/containers/{id}")),
    );
    let rate = bytes as f64 / 1e6 / seconds;
    let share = cpu / seconds * 100.0 / rate * 10.0;
    (
        share,
        format!(
            "{rate:.1} MB/s in lines of 1000 bytes, a frame each; {:.1} % of a core for these",
            cpu / seconds * 100.0
        ),
    )
}
