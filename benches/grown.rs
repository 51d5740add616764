//! One server as projects grow: simulated containers of services of ten, a hundred of them on each host.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::http::start_drover;
use super::life::Client;
use super::load;
use super::machine::{Cores, Server};
use super::report::{Figure, Limit};

/// Containers of one service.
const SCALE: u32 = 10;
/// Containers of one host.
const PER_HOST: u32 = 100;
/// Services of one stack.
const PER_STACK: u32 = 100;
/// The service that is upgraded among all others.
const LARGE: u32 = 1000;
/// For how long it is watched at rest.
const REST: Duration = Duration::from_secs(20);

/// The figures of one size.
pub fn grown(folder: &Path, containers: u32) -> Vec<Figure> {
    std::fs::create_dir_all(folder).expect("a writable folder");
    let server = start_drover(folder, Cores::All, &[]);
    let client = Client(server.address);
    let figure = |name: String, value: f64, unit: &'static str, limit: Limit, from: String| Figure {
        name: format!("{containers} containers: {name}"),
        value: Some(value),
        unit,
        limit,
        from,
    };
    let hosts = containers.div_ceil(PER_HOST);
    let began = Instant::now();
    for number in 2..=hosts {
        let body =
            json!({"hostname": format!("h{number}"), "dockerUrl": format!("sim://h{number}"), "accountId": "1a5"});
        client.post_to("/v2-beta/hosts", &body);
    }
    wait_none(&client, "hosts?state_ne=active");
    let joined = began.elapsed();

    let (began, cpu) = (Instant::now(), server.cpu());
    let services = containers / SCALE;
    let mut stack = json!(null);
    let mut last = String::new();
    for number in 0..services {
        if number % PER_STACK == 0 {
            stack = client.post("stacks", &json!({"name": format!("s{}", number / PER_STACK)}));
        }
        let launch = json!({"imageUuid": "sim:web", "command": ["sleep", "1000"]});
        let body = json!({"name": format!("web{number}"), "stackId": stack["id"], "scale": SCALE, "startOnCreate": true, "launchConfig": launch});
        last = format!(
            "services/{}",
            client.post("services", &body)["id"].as_str().expect("an id")
        );
    }
    wait_none(&client, "services?state_ne=active");
    let (filled, used) = (began.elapsed().as_secs_f64(), server.cpu() - cpu);
    eprintln!("{containers} containers of {services} services on {hosts} hosts in {filled:.0} s");

    let upgrade = upgraded(&client);
    let (cpu, rested) = (server.cpu(), Instant::now());
    std::thread::sleep(REST);
    let idle = (server.cpu() - cpu) / rested.elapsed().as_secs_f64() * 100.0;
    let memory = server.own_memory();
    drop(server);
    let (start, server) = started(folder, &last);
    drop(server);
    vec![
        figure(
            "hosts that join".into(),
            joined.as_secs_f64(),
            " s",
            Limit::None,
            format!("{hosts} simulated engines"),
        ),
        figure(
            "first start of all".into(),
            filled,
            " s",
            Limit::None,
            format!(
                "{:.0} a second, {:.2} CPU ms each",
                f64::from(containers) / filled,
                used * 1000.0 / f64::from(containers)
            ),
        ),
        figure(
            format!("upgrade of {LARGE} among them"),
            upgrade,
            " s",
            Limit::AtMost(3.0, 1.5),
            "in one batch".into(),
        ),
        figure(
            "at rest".into(),
            idle,
            " % of a core",
            Limit::AtMost(5.0, 2.0),
            format!("over {} s", REST.as_secs()),
        ),
        figure(
            "memory at rest".into(),
            memory,
            " MiB",
            Limit::AtMost(400.0, 200.0),
            "RssAnon, the simulated engines' own included".into(),
        ),
        figure(
            "start to first answer".into(),
            start,
            " s",
            Limit::AtMost(3.0, 1.0),
            "a service by its id".into(),
        ),
    ]
}

/// Waits until a list is empty.
fn wait_none(client: &Client, list: &str) {
    let began = Instant::now();
    while client.get(&format!("{list}&limit=1"))["data"] != json!([]) {
        assert!(began.elapsed() < Duration::from_secs(3_600), "{list} is not empty");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How long one large service takes to another version, in seconds.
fn upgraded(client: &Client) -> f64 {
    let pause = Duration::from_millis(20);
    let service = client.service(LARGE, "sim:web");
    client.wait(&service, "active", pause);
    let began = Instant::now();
    let strategy = json!({"batchSize": LARGE, "intervalMillis": 100, "launchConfig": {"imageUuid": "sim:web:1"}});
    client.post(
        &format!("{service}?action=upgrade"),
        &json!({ "inServiceStrategy": strategy }),
    );
    client.wait(&service, "upgraded", pause);
    began.elapsed().as_secs_f64()
}

/// From the start of the program to its first answer, in seconds.
fn started(folder: &Path, row: &str) -> (f64, Server) {
    let began = Instant::now();
    let server = start_drover(folder, Cores::All, &[]);
    let (status, text) = load::once(server.address, &load::get(&format!("/v2-beta/projects/1a5/{row}")));
    assert_eq!(status, 200, "{text}");
    (began.elapsed().as_secs_f64(), server)
}
