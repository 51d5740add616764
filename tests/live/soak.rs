//! One project works while another does all that starves a server, for as long as an evening in a shared house: the first one's
//! writes stay quick. Only with `DROVER_TEST_SOAK=1`, for half an hour, or so many seconds as `DROVER_TEST_SOAK_SECONDS` says.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::fuzz::number_in;
use crate::support::{PATIENCE, Server, wait_until};

/// How long it takes if nothing is said.
const SECONDS: u32 = 1_800;

/// Of a hundred writes ninety-nine are answered within this.
const MOST: Duration = Duration::from_secs(1);

/// Connections that send a byte now and then.
const DRIBBLING: usize = 40;

/// Containers that the other project has at a time.
const CROWD: u64 = 2_000;

struct House {
    server: Server,
    client: Client,
    is_over: AtomicBool,
    refused: AtomicU64,
    taken: AtomicU64,
}

impl House {
    /// The status and the answer to a request of a project.
    fn ask(&self, project: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let url = self.server.url(&format!("/v2-beta/projects/{project}/{path}"));
        let answer = self.client.request(method, url).json(body).send().expect("an answer");
        (answer.status().as_u16(), answer.json().unwrap_or_default())
    }

    fn made(&self, project: &str, path: &str, body: &Value) -> String {
        let (status, row) = self.ask(project, Method::POST, path, body);
        assert!(status < 300, "{path}: {status} {row}");
        row["id"].as_str().unwrap_or_default().to_owned()
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// What a team does all day; how long each of its writes and reads took.
    fn work(&self, until: Instant) -> (Vec<Duration>, Vec<Duration>) {
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        let stack = self.made("1a5", "stacks", &json!({"name": "work"}));
        let launch = json!({"imageUuid": "sim:web"});
        let body = json!({"name": "web", "stackId": stack, "scale": 1, "startOnCreate": true, "launchConfig": launch});
        let service = format!("services/{}", self.made("1a5", "services", &body));
        let timed = |of: &mut Vec<Duration>, method: Method, path: &str, body: Value| {
            let started = Instant::now();
            let (status, row) = self.ask("1a5", method, path, &body);
            of.push(started.elapsed());
            assert!(status < 500 && status != 429, "{path}: {status} {row}");
            row["id"].as_str().unwrap_or_default().to_owned()
        };
        let mut nth = 0;
        while Instant::now() < until {
            nth += 1;
            timed(&mut writes, Method::PUT, &service, json!({"scale": 1 + nth % 3}));
            let body = json!({"name": format!("o{nth}"), "kind": "note", "key": "k", "resourceData": {"n": nth}});
            let object = timed(&mut writes, Method::POST, "genericobjects", body);
            let body = json!({"name": format!("c{nth}"), "imageUuid": "sim:web"});
            let container = timed(&mut writes, Method::POST, "containers", body);
            timed(&mut reads, Method::GET, "services", json!({}));
            timed(&mut reads, Method::GET, "containers?limit=50", json!({}));
            timed(
                &mut writes,
                Method::DELETE,
                &format!("containers/{container}"),
                json!({}),
            );
            timed(
                &mut writes,
                Method::DELETE,
                &format!("genericobjects/{object}"),
                json!({}),
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        (writes, reads)
    }

    fn count(&self, status: u16) {
        let counter = if status < 300 { &self.taken } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that would take everything, were they taken.
    fn ask_for_too_much(&self, project: &str) {
        let volumes = |count: usize| (0..count).map(|n| format!("/v{n}")).collect::<Vec<_>>();
        let stack = self.made(project, "stacks", &json!({"name": "greed"}));
        let launch = json!({"imageUuid": "sim:web"});
        let huge = json!({"name": "huge", "stackId": stack, "scale": 2_000_000_000, "launchConfig": launch});
        let wide = json!({"imageUuid": "sim:web", "dataVolumes": volumes(200)});
        let full = json!({"imageUuid": "sim:web", "dataVolumes": volumes(100)});
        let long = json!({"name": "long", "kind": "x", "key": "k", "resourceData": {"x": vec![0; 400_000]}});
        while self.goes_on() {
            for (path, body) in [("services", &huge), ("containers", &wide), ("genericobjects", &long)] {
                let (status, row) = self.ask(project, Method::POST, path, body);
                assert_eq!(status, 422, "{path}: {row}");
                self.count(status);
            }
            let (status, row) = self.ask(project, Method::POST, "containers", &full);
            self.count(status);
            let id = row["id"].as_str().unwrap_or_default().to_owned();
            self.ask(project, Method::DELETE, &format!("containers/{id}"), &json!({}));
            self.ask(
                project,
                Method::GET,
                "containers?limit=3000&name_like=%25a%25&sort=name",
                &json!({}),
            );
        }
    }

    /// Thousands of containers come and go.
    fn crowd(&self, project: &str) {
        let stack = self.made(project, "stacks", &json!({"name": "crowd"}));
        let launch = json!({"imageUuid": "sim:web", "labels": {"a": "b", "c": "d"}});
        let body = json!({"name": "many", "stackId": stack, "scale": 0, "startOnCreate": true, "launchConfig": launch});
        let service = format!("services/{}", self.made(project, "services", &body));
        let mut scale = CROWD;
        while self.goes_on() {
            let (status, _) = self.ask(project, Method::PUT, &service, &json!({"scale": scale}));
            self.count(status);
            let started = Instant::now();
            while self.goes_on() && started.elapsed() < Duration::from_secs(60) {
                let (_, row) = self.ask(project, Method::GET, &service, &json!({}));
                if row["currentScale"] == scale && row["state"] == "active" {
                    break;
                }
                std::thread::sleep(Duration::from_millis(250));
            }
            scale = CROWD - scale;
        }
    }

    /// Bodies that never end.
    fn dribble(&self, project: &str) {
        let address = self.server.url("").replace("http://", "");
        let head = format!(
            "POST /v2-beta/projects/{project}/stacks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{"
        );
        let open = || {
            let mut stream = TcpStream::connect(&address).ok()?;
            stream.write_all(head.as_bytes()).ok()?;
            Some(stream)
        };
        let mut streams: Vec<Option<TcpStream>> = (0..DRIBBLING).map(|_| open()).collect();
        while self.goes_on() {
            for stream in &mut streams {
                let is_open = stream.as_mut().is_some_and(|stream| stream.write_all(b" ").is_ok());
                if !is_open {
                    *stream = open();
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// So many of a thousand took no longer.
fn within(sorted: &[Duration], of_thousand: usize) -> Duration {
    sorted[(sorted.len() * of_thousand / 1_000).min(sorted.len() - 1)]
}

#[test]
fn a_project_works_while_another_starves_the_server() {
    if number_in("DROVER_TEST_SOAK").unwrap_or(0) == 0 {
        let _ = writeln!(std::io::stderr(), "skipped the soak: DROVER_TEST_SOAK is not set");
        return;
    }
    let seconds = number_in("DROVER_TEST_SOAK_SECONDS").unwrap_or(SECONDS);
    let house = House {
        server: Server::start_with("none", &[]),
        client: Client::builder().no_proxy().timeout(PATIENCE).build().unwrap(),
        is_over: AtomicBool::new(false),
        refused: AtomicU64::new(0),
        taken: AtomicU64::new(0),
    };
    let url = house.server.url("/v2-beta/projects");
    let made: Value = house
        .client
        .post(url)
        .json(&json!({"name": "greedy"}))
        .send()
        .and_then(|answer| answer.json())
        .expect("a project");
    let greedy = made["id"].as_str().expect("an id").to_owned();
    let uri = json!({"uri": "sim://soak", "agentResourcesAccountId": greedy});
    let made = house.client.post(house.server.url("/v2-beta/agents")).json(&uri).send();
    assert!(made.expect("an answer").status().is_success());
    wait_until("a host of the greedy project", PATIENCE, || {
        let (_, hosts) = house.ask(&greedy, Method::GET, "hosts", &json!({}));
        let is_active = hosts["data"]
            .as_array()
            .is_some_and(|all| all.iter().any(|h| h["state"] == "active"));
        if is_active { Ok(()) } else { Err(hosts) }
    });
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let (mut writes, mut reads) = std::thread::scope(|scope| {
        scope.spawn(|| house.ask_for_too_much(&greedy));
        scope.spawn(|| house.crowd(&greedy));
        scope.spawn(|| house.dribble(&greedy));
        let worked = scope.spawn(|| house.work(until)).join();
        house.is_over.store(true, Ordering::Relaxed);
        worked.expect("the work is done")
    });
    writes.sort_unstable();
    reads.sort_unstable();
    let told = |sorted: &[Duration]| {
        let (p50, p99, p999) = (within(sorted, 500), within(sorted, 990), within(sorted, 999));
        format!(
            "{} p50 {p50:.1?} p99 {p99:.1?} p99.9 {p999:.1?} most {:.1?}",
            sorted.len(),
            sorted[sorted.len() - 1]
        )
    };
    let (taken, refused) = (
        house.taken.load(Ordering::Relaxed),
        house.refused.load(Ordering::Relaxed),
    );
    let _ = writeln!(
        std::io::stderr(),
        "{seconds} s; writes {}; reads {}; of the other {taken} taken, {refused} refused",
        told(&writes),
        told(&reads)
    );
    let ready = house.client.get(house.server.url("/readyz")).send().expect("an answer");
    assert_eq!(ready.status().as_u16(), 200);
    let log = house.server.log();
    assert_eq!(log.lines().find(|line| line.contains("panicked at")), None);
    assert!(within(&writes, 990) < MOST, "writes {}", told(&writes));
}
