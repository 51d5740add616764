//! Balancers: real HAProxy in containers, asked from outside, while what is behind it comes and goes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::support::{PATIENCE, World, free_port, launch, merge, wait_until};

/// In this time a server that has become healthy gets requests, and one that is to go gets none.
const SOON: Duration = Duration::from_secs(1);

/// A world whose balancers are of the test image.
pub fn world() -> Option<World> {
    let world = World::start()?;
    world.set("lb.instance.image", "drover-test/haproxy:1");
    Some(world)
}

/// A web server that says who it is.
fn web(who: &str, more: Value) -> Value {
    let mut config = launch("web:1");
    config["environment"] = json!({ "WHO": who });
    config["healthCheck"] = json!({"port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 200, "responseTimeout": 1000,
        "healthyThreshold": 1, "unhealthyThreshold": 2, "initializingTimeout": 60000});
    merge(&mut config, more);
    json!({ "launchConfig": config })
}

/// A balancer with these rules, active and healthy. Its image is the one that Rancher's clients name.
fn balancer(world: &World, stack: &Value, name: &str, ports: &[u16], config: Value) -> Value {
    let ports: Vec<String> = ports.iter().map(|port| format!("{port}:{port}/tcp")).collect();
    let body = json!({"name": name, "stackId": stack["id"], "lbConfig": config, "startOnCreate": true,
        "launchConfig": {"imageUuid": "docker:rancher/lb-service-haproxy:v0.9.14", "ports": ports}});
    let made = world.api.post("/loadbalancerservices", body);
    world.api.wait(&made, "a healthy balancer", |row| {
        row["state"] == "active" && row["healthState"] == "healthy"
    })
}

fn rule(port: u16, service: &Value, more: Value) -> Value {
    let mut rule = json!({"sourcePort": port, "protocol": "http", "serviceId": service["id"], "targetPort": 80});
    merge(&mut rule, more);
    rule
}

/// What an answer to a request is: its status and its body, or what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    status: u16,
    head: String,
    body: String,
}

fn exchange(mut stream: impl Read + Write, host: &str, path: &str, more: &str) -> std::io::Result<Got> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // Not everybody says good-bye.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
        Err(error) => return Err(error),
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    Ok(Got {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.trim().to_owned(),
    })
}

fn get_with(port: u16, host: &str, path: &str, more: &str) -> std::io::Result<Got> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    exchange(stream, host, path, more)
}

pub fn get(port: u16, host: &str, path: &str) -> (u16, String) {
    match get_with(port, host, path, "") {
        Ok(got) => (got.status, got.body),
        Err(error) => (0, error.to_string()),
    }
}

pub fn wait_get(port: u16, host: &str, path: &str, expected: (u16, &str), patience: Duration) {
    wait_until(&format!("{host}:{port}{path} to be {expected:?}"), patience, || {
        let got = get(port, host, path);
        if (got.0, got.1.as_str()) == expected {
            Ok(())
        } else {
            Err(got)
        }
    });
}

/// Who answers, asked so often.
pub fn who(port: u16, times: usize) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for _ in 0..times {
        let (status, body) = get(port, "any", "/hostname");
        *all.entry(if status == 200 {
            body
        } else {
            format!("{status} {body}")
        })
        .or_default() += 1;
    }
    all
}

/// Asks without end, several at a time, and counts what fails.
pub struct Load {
    is_over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Begins to ask for this path at a port of this machine.
    pub fn begin(port: u16, path: &'static str) -> Self {
        let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let ask = |is_over: Arc<AtomicBool>, asked: Arc<AtomicU64>| {
            move || {
                let mut failures = Vec::new();
                while !is_over.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    match get_with(port, "any", path, "") {
                        Ok(got) if got.status == 200 => {}
                        other => failures.push(format!("after {:?}: {other:?}", began.elapsed())),
                    }
                    asked.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                }
                failures
            }
        };
        let threads = (0..4)
            .map(|_| std::thread::spawn(ask(is_over.clone(), asked.clone())))
            .collect();
        Self {
            is_over,
            asked,
            threads,
        }
    }

    /// How many were asked, and what became of those that failed.
    pub fn end(self) -> (u64, Vec<String>) {
        self.is_over.store(true, Ordering::SeqCst);
        let failures = self
            .threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        (self.asked.load(Ordering::SeqCst), failures)
    }
}

#[test]
fn requests_go_by_host_and_path_and_whoever_comes_or_goes_is_followed() {
    let Some(world) = world() else { return };
    let stack = world.stack("routes");
    let a = world.active_service(&stack, "a", web("a", json!({})));
    let b = world.active_service(&stack, "b", web("b", json!({})));
    let (http, tcp) = (free_port(), free_port());
    let config = json!({"portRules": [
        rule(http, &a, json!({"hostname": "a.example"})), rule(http, &b, json!({"hostname": "*.b.example"})),
        rule(http, &b, json!({"hostname": "a.example", "path": "/who"})), rule(tcp, &a, json!({"protocol": "tcp"}))]});
    let lb = balancer(&world, &stack, "lb", &[http, tcp], config);
    assert_eq!(
        lb["launchConfig"]["imageUuid"],
        "docker:rancher/lb-service-haproxy:v0.9.14"
    );
    for (port, host, path, expected) in [
        (http, "a.example", "/", (200, "1")),
        (http, "A.example:1", "/health", (200, "ok")),
        (http, "a.example", "/who", (200, "b")),
        (http, "x.b.example", "/who", (200, "b")),
        (tcp, "whatever", "/who", (200, "a")),
    ] {
        let (status, body) = get(port, host, path);
        assert_eq!((status, body.as_str()), expected, "{host}{path}");
    }
    assert_eq!(get(http, "nobody.example", "/").0, 503);
    let started = world.docker.containers("routes");
    let started = &started
        .iter()
        .find(|c| c.name == "routes-lb-1")
        .expect("it is there")
        .started_at;

    // One more behind it, and none: HAProxy itself goes on.
    world.api.put(&a, json!({"scale": 3}));
    world.api.wait(&a, "three", |row| {
        row["state"] == "active" && row["healthState"] == "healthy"
    });
    wait_until("three to answer", SOON, || {
        let found = who(tcp, 12);
        if found.len() == 3 { Ok(()) } else { Err(found) }
    });
    world.api.action(&a, "deactivate", json!({}));
    world.api.wait_state(&a, "inactive");
    wait_get(http, "a.example", "/", (503, &get(http, "nobody.example", "/").1), SOON);
    assert_eq!(get(http, "a.example", "/who"), (200, "b".into()));
    world.api.action(&a, "activate", json!({}));
    world.api.wait_state(&a, "active");
    wait_get(http, "a.example", "/", (200, "1"), PATIENCE);

    // Another rule, and lines of the user's own.
    let rules = json!([rule(http, &a, json!({"hostname": "new.example"}))]);
    let own = format!("frontend {http}\n  http-request return status 418 if {{ path /tea }}\n");
    world
        .api
        .put(&lb, json!({"lbConfig": {"portRules": rules, "config": own}}));
    wait_get(http, "new.example", "/tea", (418, ""), PATIENCE);
    assert_eq!(get(http, "new.example", "/"), (200, "1".into()));
    assert_eq!(get(http, "a.example", "/").0, 503);
    // What HAProxy does not take changes nothing, and the service says why.
    let bad = json!({"lbConfig": {"portRules": rules, "config": "global\n no-such-word 1\n"}});
    world.api.put(&lb, bad);
    let told = world.api.wait(&lb, "what is wrong", |row| {
        row["state"] == "active"
            && row["transitioningMessage"]
                .as_str()
                .is_some_and(|m| m.contains("no-such-word"))
    });
    assert!(
        told["transitioningMessage"]
            .as_str()
            .unwrap()
            .starts_with("The balancer says: it goes on as before"),
        "{told:#}"
    );
    assert_eq!(get(http, "new.example", "/tea").0, 418);
    world.api.put(&a, json!({"scale": 1}));
    wait_until("one to answer", PATIENCE, || {
        let found = world
            .docker
            .containers("routes")
            .iter()
            .filter(|c| c.running && c.name.contains("-a-"))
            .count();
        if found == 1 { Ok(()) } else { Err(found) }
    });
    assert_eq!(
        get(http, "new.example", "/"),
        (200, "1".into()),
        "servers are followed all the same"
    );
    world
        .api
        .put(&lb, json!({"lbConfig": {"portRules": rules, "config": ""}}));
    wait_get(
        http,
        "new.example",
        "/tea",
        (404, &get(http, "new.example", "/no").1),
        PATIENCE,
    );
    world.api.wait(&lb, "no complaint", |row| {
        row["transitioningMessage"].as_str().unwrap_or_default().is_empty()
    });
    let now = world.docker.containers("routes");
    let now = &now
        .iter()
        .find(|c| c.name == "routes-lb-1")
        .expect("it is there")
        .started_at;
    assert_eq!(now, started, "the balancer's container was never started again");
}

#[test]
fn a_client_stays_with_its_server_by_a_cookie() {
    let Some(world) = world() else { return };
    let stack = world.stack("sticky");
    // A slow machine is no reason to be left out: this is about cookies.
    let patient = json!({"port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 200, "responseTimeout": 10_000,
        "healthyThreshold": 1, "unhealthyThreshold": 5, "initializingTimeout": 60000});
    let mut body = web("a", json!({ "healthCheck": patient }));
    body["scale"] = json!(3);
    let a = world.active_service(&stack, "a", body);
    world.api.wait(&a, "healthy", |row| row["healthState"] == "healthy");
    let port = free_port();
    let policy = json!({"name": "p", "cookie": "STAY", "mode": "insert", "indirect": true, "nocache": true});
    let config = json!({"portRules": [rule(port, &a, json!({}))], "stickinessPolicy": policy});
    balancer(&world, &stack, "lb", &[port], config);
    let found = who(port, 12);
    let rows = || {
        world
            .api
            .get(&format!("/services/{}/instances", a["id"].as_str().unwrap()))
    };
    assert_eq!(found.len(), 3, "{found:?} of {:#}", rows());
    let first = get_with(port, "any", "/hostname", "").unwrap();
    let cookie = first.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie
        .and_then(|line| line.split(';').next())
        .expect("a cookie")
        .to_owned();
    for _ in 0..12 {
        let next = get_with(port, "any", "/hostname", &format!("Cookie: {cookie}\r\n")).unwrap();
        assert_eq!(next.body, first.body);
    }
}

/// An authority, and a certificate of its own for a name.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    cert: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self { params, key, cert }
    }

    fn sign(&self, name: &str) -> Value {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = params
            .signed_by(&key, &Issuer::from_params(&self.params, &self.key))
            .unwrap();
        json!({"name": name.replace('.', "-"), "cert": cert.pem(), "key": key.serialize_pem(), "certChain": self.cert.pem()})
    }

    /// Asks over TLS for a name, and checks that the certificate is good for it.
    fn get(&self, port: u16, name: &str) -> std::io::Result<Got> {
        let mut roots = RootCertStore::empty();
        roots.add(self.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let host = name.to_str().into_owned();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        exchange(StreamOwned::new(session, stream), &host, "/who", "")
    }
}

#[test]
fn tls_ends_at_the_balancer_with_the_certificate_of_the_name_that_was_asked_for() {
    let Some(world) = world() else { return };
    let stack = world.stack("secure");
    let authority = Authority::new();
    let a = world.active_service(&stack, "a", web("a", json!({})));
    let one = world.api.post("/certificates", authority.sign("one.example"));
    let two = world.api.post("/certificates", authority.sign("two.example"));
    assert_eq!(
        (&one["CN"], &two["subjectAlternativeNames"]),
        (&json!("rcgen self signed cert"), &json!(["two.example"]))
    );
    let (one, two) = (
        world.api.wait_state(&one, "active"),
        world.api.wait_state(&two, "active"),
    );
    assert_eq!(one["key"], Value::Null);
    let port = free_port();
    let config = json!({"portRules": [rule(port, &a, json!({"protocol": "https"}))],
        "defaultCertificateId": one["id"], "certificateIds": [two["id"]]});
    let lb = balancer(&world, &stack, "lb", &[port], config);
    // By way of the server, too, which asks nobody who that is.
    let containers = world.api.get(lb["links"]["instances"].as_str().unwrap());
    let way = world.api.action(
        &containers["data"][0],
        "proxy",
        json!({"port": port, "scheme": "https"}),
    );
    let url = format!(
        "{}who?token={}",
        way["url"].as_str().unwrap(),
        way["token"].as_str().unwrap()
    );
    let client = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
    let carried = client.get(url).send().unwrap();
    assert_eq!((carried.status().as_u16(), carried.text().unwrap().trim()), (200, "a"));
    for name in ["one.example", "two.example"] {
        let got = authority.get(port, name).unwrap();
        assert_eq!((got.status, got.body.as_str()), (200, "a"), "{name}");
    }
    assert!(authority.get(port, "three.example").is_err());
    // The same row, for another name: it is there at once.
    let mut other = authority.sign("three.example");
    other.as_object_mut().unwrap().remove("name");
    world.api.put(&two, other);
    wait_until("the new certificate", PATIENCE, || authority.get(port, "three.example"));
    assert!(authority.get(port, "two.example").is_err());
    let id = two["id"].as_str().unwrap();
    let (status, answer) = world.api.send("DELETE", &format!("/certificates/{id}"), None);
    assert_eq!((status, &answer["code"]), (405, &json!("InvalidAction")), "{answer:#}");
}

#[test]
fn no_request_fails_while_what_is_behind_the_balancer_is_upgraded_and_the_server_dies() {
    let Some(mut world) = world() else { return };
    let stack = world.stack("rolling");
    let mut body = web("a", json!({"drainTimeoutMs": 3000}));
    body["scale"] = json!(5);
    let a = world.active_service(&stack, "a", body);
    world.api.wait(&a, "healthy", |row| row["healthState"] == "healthy");
    let port = free_port();
    balancer(
        &world,
        &stack,
        "lb",
        &[port],
        json!({"portRules": [rule(port, &a, json!({}))]}),
    );
    wait_until("all five to answer", PATIENCE, || {
        let found = who(port, 20);
        if found.len() == 5 { Ok(()) } else { Err(found) }
    });
    let load = Load::begin(port, "/");
    let upgrade = |image: &str| {
        let mut config = web("a", json!({"drainTimeoutMs": 3000}))["launchConfig"].clone();
        config["imageUuid"] = json!(format!("docker:drover-test/{image}"));
        json!({"inServiceStrategy": {"batchSize": 2, "intervalMillis": 100, "startFirst": false, "launchConfig": config}})
    };
    world.api.action(&a, "upgrade", upgrade("web:2"));
    world.api.wait_state(&a, "upgraded");
    world.api.action(&a, "finishupgrade", json!({}));
    world.api.wait_state(&a, "active");
    assert_eq!(get(port, "any", "/"), (200, "2".into()));
    // The same again, and the server is killed in the middle of it, twice.
    world.api.action(&a, "upgrade", upgrade("web:3"));
    for wait in [700, 1900] {
        std::thread::sleep(Duration::from_millis(wait));
        world.kill_server();
        world.restart_server();
    }
    world.api.wait_state(&a, "upgraded");
    assert_eq!(get(port, "any", "/"), (200, "3".into()));
    let (asked, failures) = load.end();
    assert!(asked > 500, "{asked}");
    assert!(
        failures.is_empty(),
        "{} of {asked}: {:#?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
}

#[test]
fn connections_may_end_before_their_server_is_stopped_but_not_for_ever() {
    let Some(world) = world() else { return };
    let stack = world.stack("drained");
    let a = world.active_service(&stack, "a", web("a", json!({"drainTimeoutMs": 4000})));
    let port = free_port();
    let config = json!({"portRules": [rule(port, &a, json!({"protocol": "tcp"}))]});
    balancer(&world, &stack, "lb", &[port], config);
    wait_get(port, "any", "/who", (200, "a"), PATIENCE);
    // Somebody who is connected and says nothing: the server is kept for him, as long as was said.
    let idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    world.api.action(&a, "deactivate", json!({}));
    wait_until("nobody else to get there", SOON + SOON, || {
        let got = get_with(port, "any", "/who", "");
        if got.as_ref().is_ok_and(|got| got.status == 200) {
            Err(got)
        } else {
            Ok(())
        }
    });
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    world.api.wait_state(&a, "inactive");
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(4) && took < Duration::from_secs(9),
        "{took:?}"
    );
    drop(idle);
    // Nobody is connected: nobody is waited for.
    world.api.action(&a, "activate", json!({}));
    world.api.wait_state(&a, "active");
    wait_get(port, "any", "/who", (200, "a"), PATIENCE);
    let began = Instant::now();
    world.api.action(&a, "deactivate", json!({}));
    world.api.wait_state(&a, "inactive");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
