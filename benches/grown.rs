//! One server as projects grow: simulated containers of services of ten, a hundred of them on each host. docs/scaling.md says what
//! came out of it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::http::start_drover;
use super::life::Client;
use super::load;
use super::machine::{Cores, Server, load_average, median};
use super::report::{Figure, Limit};

/// Containers of one service.
const SCALE: u32 = 10;
/// Containers of one host.
const PER_HOST: u32 = 100;
/// Services of one stack.
const PER_STACK: u32 = 100;
/// The service that is upgraded among all others.
const LARGE: u32 = 1000;
/// For how long it is watched at rest: every engine is compared with its rows once in this time.
const REST: Duration = Duration::from_secs(60);
/// It rests when it has used less than this in a second, in seconds of processor time.
const QUIET: f64 = 0.15;
/// How long that is waited for.
const UNTIL_QUIET: Duration = Duration::from_secs(900);
/// So often a request is made for its median.
const ASKED: usize = 100;

/// A line for one size; told at once, as the largest take a while.
fn line(containers: u32, name: &str, (value, unit): (f64, &'static str), limit: Limit, from: String) -> Figure {
    eprintln!(
        "{containers} containers: {name}: {value:.3}{unit} ({from}); load {}",
        load_average()
    );
    Figure {
        name: format!("{containers} containers: {name}"),
        value: Some(value),
        unit,
        limit,
        from,
    }
}

/// The figures of one size.
pub fn grown(folder: &Path, containers: u32) -> Vec<Figure> {
    std::fs::create_dir_all(folder).expect("a writable folder");
    let server = start(folder);
    let client = Client(server.address);
    let mut figures = filled(containers, &server, &client);
    figures.extend(asked(containers, &client));
    figures.extend(upgraded(containers, &server, &client));
    quiet(&server);
    figures.extend(rested(containers, "", &server));
    drop(server);
    figures.extend(started(containers, folder));
    figures
}

/// Addresses for all of them in one project.
fn start(folder: &Path) -> Server {
    start_drover(folder, Cores::All, &["--network-pool", "10.0.0.0/8"])
}

/// Hosts that join, and the first start of all containers.
fn filled(containers: u32, server: &Server, client: &Client) -> Vec<Figure> {
    let hosts = containers.div_ceil(PER_HOST);
    let began = Instant::now();
    for number in 2..=hosts {
        let body =
            json!({"hostname": format!("h{number}"), "dockerUrl": format!("sim://h{number}"), "accountId": "1a5"});
        client.post_to("/v2-beta/hosts", &body);
    }
    wait_none(client, "hosts?state_ne=active");
    let joined = began.elapsed().as_secs_f64();

    let (began, cpu) = (Instant::now(), server.cpu());
    let mut stack = json!(null);
    for number in 0..containers / SCALE {
        if number % PER_STACK == 0 {
            stack = client.post("stacks", &json!({"name": format!("s{}", number / PER_STACK)}));
        }
        let launch = json!({"imageUuid": "sim:web", "command": ["sleep", "1000"]});
        let body = json!({"name": format!("web{number}"), "stackId": stack["id"], "scale": SCALE, "startOnCreate": true, "launchConfig": launch});
        client.post("services", &body);
    }
    wait_none(client, "services?state_ne=active");
    let (took, used) = (began.elapsed().as_secs_f64(), server.cpu() - cpu);
    let each = format!(
        "{:.0} a second, {:.2} CPU ms each",
        f64::from(containers) / took,
        used * 1000.0 / f64::from(containers)
    );
    let from = format!("{hosts} simulated engines");
    vec![
        line(containers, "hosts that join", (joined, " s"), Limit::None, from),
        line(containers, "first start of all", (took, " s"), Limit::None, each),
    ]
}

/// What it takes to look.
fn asked(containers: u32, client: &Client) -> Vec<Figure> {
    let one = client.get("services?limit=1")["data"][0]["id"].clone();
    let one = format!("services/{}", one.as_str().expect("a service"));
    let lists = [
        ("GET of a service", one.as_str()),
        ("list of 100 services", "services?limit=100"),
        ("list of 100 containers by state", "containers?state=running&limit=100"),
        ("list of 100 hosts", "hosts?limit=100"),
    ];
    let figure = |(name, path): (&str, &str)| {
        let ask = |_| {
            let began = Instant::now();
            client.get(path);
            began.elapsed().as_secs_f64() * 1000.0
        };
        let mut took: Vec<f64> = (0..ASKED).map(ask).collect();
        let value = (median(&mut took), " ms");
        line(
            containers,
            name,
            value,
            Limit::None,
            format!("median of {ASKED}, one after the other"),
        )
    };
    lists.map(figure).into()
}

/// Waits until a list is empty.
fn wait_none(client: &Client, list: &str) {
    let began = Instant::now();
    while client.get(&format!("{list}&limit=1"))["data"] != json!([]) {
        assert!(began.elapsed() < Duration::from_secs(7_200), "{list} is not empty");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until what is left to do is done; how long that took, in seconds.
fn quiet(server: &Server) -> f64 {
    let began = Instant::now();
    loop {
        let (cpu, at) = (server.cpu(), began.elapsed());
        std::thread::sleep(Duration::from_secs(1));
        if server.cpu() - cpu < QUIET {
            return at.as_secs_f64();
        }
        if at > UNTIL_QUIET {
            eprintln!("it does not come to rest");
            return f64::NAN;
        }
    }
}

/// How long one large service takes to another version.
fn upgraded(containers: u32, server: &Server, client: &Client) -> Vec<Figure> {
    let pause = Duration::from_millis(50);
    let service = client.service(LARGE, "sim:web");
    client.wait(&service, "active", pause);
    let (mut took, mut used) = (Vec::new(), Vec::new());
    for round in 1..=3 {
        quiet(server);
        let (began, cpu) = (Instant::now(), server.cpu());
        let launch = json!({"imageUuid": format!("sim:web:{round}")});
        let strategy = json!({"batchSize": LARGE, "intervalMillis": 100, "launchConfig": launch});
        client.post(
            &format!("{service}?action=upgrade"),
            &json!({ "inServiceStrategy": strategy }),
        );
        client.wait(&service, "upgraded", pause);
        took.push(began.elapsed().as_secs_f64());
        used.push(server.cpu() - cpu);
        client.post(&format!("{service}?action=finishupgrade"), &json!({}));
        client.wait(&service, "active", pause);
    }
    let longest = took.iter().copied().fold(0.0, f64::max);
    let from = format!(
        "in one batch; median of {}, longest {longest:.2} s; {:.2} CPU seconds",
        took.len(),
        median(&mut used)
    );
    let name = format!("upgrade of {LARGE} among them");
    vec![line(
        containers,
        &name,
        (median(&mut took), " s"),
        Limit::AtMost(3.0, 1.5),
        from,
    )]
}

/// What it costs to do nothing.
fn rested(containers: u32, when: &str, server: &Server) -> Vec<Figure> {
    let (cpu, rested) = (server.cpu(), Instant::now());
    std::thread::sleep(REST);
    let idle = (server.cpu() - cpu) / rested.elapsed().as_secs_f64() * 100.0;
    let memory = server.own_memory();
    let over = format!("over {} s", REST.as_secs());
    let own = "RssAnon, the simulated engines' own included".to_owned();
    vec![
        line(
            containers,
            &format!("at rest{when}"),
            (idle, " % of a core"),
            Limit::AtMost(5.0, 2.0),
            over,
        ),
        line(
            containers,
            &format!("memory at rest{when}"),
            (memory, " MiB"),
            Limit::AtMost(400.0, 200.0),
            own,
        ),
    ]
}

/// From the start of the program to its first answer, and on until it has looked at everything.
fn started(containers: u32, folder: &Path) -> Vec<Figure> {
    let (mut took, mut used) = (Vec::new(), Vec::new());
    let mut rests = Vec::new();
    for round in 0..3 {
        let began = Instant::now();
        let server = start(folder);
        let request = load::get("/v2-beta/projects/1a5/services?limit=1&sort=id&order=desc");
        let (status, text) = load::once(server.address, &request);
        assert_eq!(status, 200, "{text}");
        took.push(began.elapsed().as_secs_f64());
        used.push(server.cpu());
        if round == 2 {
            let until = quiet(&server);
            rests.push(line(
                containers,
                "start to rest",
                (until, " s"),
                Limit::None,
                format!("after the first answer; {:.1} CPU seconds", server.cpu()),
            ));
            rests.extend(rested(containers, " after a start", &server));
        }
    }
    let from = format!(
        "the last of all services; median of {}, {:.2} CPU seconds",
        took.len(),
        median(&mut used)
    );
    let first = line(
        containers,
        "start to first answer",
        (median(&mut took), " s"),
        Limit::AtMost(3.0, 1.0),
        from,
    );
    std::iter::once(first).chain(rests).collect()
}
