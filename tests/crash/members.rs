//! Several servers on one database: any of them answers, one leads, and another one does when it is gone.
//!
//! Each test needs the PostgreSQL that `DROVER_TEST_DATABASE` names, and is passed over without one.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::members_world::{Load, Members, TAKEN_OVER, check_nothing_lost, free_port, leader, leads, wait};
use crate::process::{PATIENCE, Server};
use crate::secured::{ask, flag, signed, text};

/// One that is told to stop says so, and nobody waits until it is missed.
const HANDED_OVER: Duration = Duration::from_secs(4);

#[test]
fn any_of_several_servers_answers_and_one_leads() {
    let Some(members) = Members::new() else { return };
    let servers = members.three();
    assert_eq!(servers.each_ref().map(leads), [true, false, false]);
    let made = servers[1].post("stacks", &json!({"name": "front"}));
    let link = made["links"]["self"].as_str().expect("a link");
    assert!(
        link.starts_with(&format!("http://{}/", servers[1].address)),
        "links are of the server that was asked: {link}"
    );
    for server in &servers {
        let list = server.get("stacks?name=front");
        assert_eq!(list["data"][0]["id"], made["id"]);
        assert_eq!(server.status_of("/ping"), 200);
        assert_eq!(server.status_of("/readyz"), 200);
        assert_eq!(
            server.status_of("/v2-beta/nonsense"),
            404,
            "a refusal is passed on as it is"
        );
    }
    let url = format!("http://{}/v2-beta/clustermemberships", servers[2].address);
    let mut list = Value::Null;
    wait(PATIENCE, "it has heard of all", || {
        let answer = servers[2].client.get(&url).send();
        list = answer.and_then(reqwest::blocking::Response::json).expect("JSON");
        list["data"].as_array().map(Vec::len) == Some(servers.len())
    });
    let port_of = |row: &Value| -> String {
        assert_eq!(row["clustered"], true);
        let config: Value = serde_json::from_str(row["config"].as_str().expect("a text")).expect("JSON");
        format!(
            "{}:{}",
            config["advertiseAddress"].as_str().expect("a host"),
            config["httpPort"]
        )
    };
    let told: BTreeSet<String> = list["data"].as_array().expect("a list").iter().map(port_of).collect();
    assert_eq!(told, servers.iter().map(|server| server.address.clone()).collect());
}

#[test]
fn an_upgrade_goes_on_when_the_server_that_leads_is_killed() {
    let Some(members) = Members::new() else { return };
    let [first, second, third] = members.three();
    let path = second.active_service(8);
    let strategy = json!({"batchSize": 1, "intervalMillis": 300, "launchConfig": {"imageUuid": "sim:two"}});
    third.post(
        &format!("{path}?action=upgrade"),
        &json!({"inServiceStrategy": strategy}),
    );
    second.wait("containers?limit=1000", PATIENCE, |_| second.running("sim:two") >= 2);
    let ids = |server: &Server, image: &str| -> BTreeSet<String> {
        let list = server.get("containers?limit=1000");
        let all = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|c| c["imageUuid"] == image);
        all.map(|c| c["uuid"].as_str().expect("a uuid").to_owned()).collect()
    };
    let before = ids(&second, "sim:one");
    first.kill();
    let killed = Instant::now();
    assert_eq!(second.get(&path)["state"], "upgrading", "it is waited for");
    assert!(killed.elapsed() < TAKEN_OVER, "{:?}", killed.elapsed());
    third.wait(&path, PATIENCE, |s| s["state"] == "upgraded");
    assert_eq!(ids(&third, "sim:one"), before);
    assert_eq!((third.running("sim:one"), third.running("sim:two")), (0, 8));
    assert_eq!(ids(&third, "sim:two").len(), 8, "none too many");
    second.post(&format!("{path}?action=rollback"), &json!({}));
    third.wait(&path, PATIENCE, |s| s["state"] == "active");
    assert_eq!(ids(&second, "sim:one"), before);
    assert_eq!((third.running("sim:one"), third.running("sim:two")), (8, 0));
}

#[test]
fn a_server_that_is_told_to_stop_hands_over_at_once() {
    let Some(members) = Members::new() else { return };
    let [first, second, third] = members.three();
    third.post("stacks", &json!({"name": "front"}));
    let status = first.terminate();
    assert!(status.success(), "{status}");
    let stopped = Instant::now();
    assert_eq!(
        second.get("stacks?name=front")["data"].as_array().map(Vec::len),
        Some(1)
    );
    assert!(stopped.elapsed() < HANDED_OVER, "{:?}", stopped.elapsed());
    assert!(third.terminate().success(), "one that follows stops, too");
    assert_eq!(second.status_of("/readyz"), 200);
}

#[test]
fn a_server_that_stood_still_does_nothing_more_and_follows() {
    let Some(members) = Members::new() else { return };
    let [first, second, third] = members.three();
    second.post("stacks", &json!({"name": "front"}));
    first.signal("STOP");
    let stood = Instant::now();
    // Changes nothing, so that it is asked again of whoever leads then.
    assert_eq!(
        second.get("stacks?name=front")["data"].as_array().map(Vec::len),
        Some(1)
    );
    assert!(stood.elapsed() < TAKEN_OVER, "{:?}", stood.elapsed());
    third.post("stacks", &json!({"name": "later"}));
    first.signal("CONT");
    // What it answers until it follows is that it does not lead.
    wait(PATIENCE, "it follows", || {
        let answer = first
            .client
            .post(first.url("stacks"))
            .json(&json!({"name": "last"}))
            .send();
        match answer.map(|answer| answer.status().as_u16()) {
            Ok(201) => true,
            Ok(status) => {
                assert_eq!(status, 503);
                false
            }
            // It begins anew in its place.
            Err(_) => false,
        }
    });
    assert!(!leads(&first));
    for server in [&first, &second, &third] {
        let names = crate::members_world::stacks(server);
        let expected = ["front", "later", "last"];
        let own: Vec<_> = names.iter().filter(|name| expected.contains(&name.as_str())).collect();
        assert_eq!(own, expected);
    }
}

#[test]
fn whatever_becomes_of_the_one_that_leads_nothing_acknowledged_is_lost() {
    let Some(members) = Members::new() else { return };
    let mut servers: Vec<Server> = members.three().into();
    let addresses = || servers_of(&servers);
    let shared = Arc::new(Mutex::new(addresses()));
    let path = servers[0].active_service(3);
    let load = Load::begin(shared.clone());
    for round in 0..4 {
        let at = leader(&servers);
        let before = load.done();
        match round % 2 {
            0 => {
                let gone = servers.remove(at);
                *shared.lock().expect("no panic") = servers_of(&servers);
                gone.kill();
                wait(TAKEN_OVER, "it is gone on", || load.done() > before + 20);
                servers.push(members.start(&format!("m{round}")));
            }
            _ => {
                servers[at].signal("STOP");
                let others: Vec<String> = servers_of(&servers)
                    .into_iter()
                    .enumerate()
                    .filter(|(nth, _)| *nth != at)
                    .map(|(_, a)| a)
                    .collect();
                *shared.lock().expect("no panic") = others;
                let before = load.done();
                wait(TAKEN_OVER, "it is gone on", || load.done() > before + 20);
                servers[at].signal("CONT");
                let still = &servers[at];
                wait(PATIENCE, "it follows", || {
                    !leads(still)
                        && still
                            .client
                            .get(still.url("stacks?limit=1"))
                            .send()
                            .is_ok_and(|a| a.status() == 200)
                });
            }
        }
        *shared.lock().expect("no panic") = servers_of(&servers);
    }
    let told = load.end();
    assert!(told.len() > 80, "{}", told.len());
    for server in &servers {
        check_nothing_lost(server, &told);
        assert_eq!(server.get(&path)["state"], "active");
        assert_eq!(server.running("sim:one"), 3);
    }
}

fn servers_of(servers: &[Server]) -> Vec<String> {
    servers.iter().map(|server| server.address.clone()).collect()
}

/// Takes frames until one tells of a stack; its name, and the frame's id. None at the end of the connection.
fn next_stack(socket: &mut WebSocket<TcpStream>) -> Option<(String, String)> {
    loop {
        let Message::Text(text) = socket.read().ok()? else {
            continue;
        };
        let event: Value = serde_json::from_str(&text).expect("JSON");
        if event["name"] == "resource.change" {
            let name = event["data"]["resource"]["name"].as_str().expect("a name").to_owned();
            return Some((name, event["id"].as_str().expect("an id").to_owned()));
        }
    }
}

#[test]
fn subscribers_come_back_to_another_server_and_miss_nothing() {
    let Some(members) = Members::new() else { return };
    let [first, second, third] = members.three();
    let subscribe = |server: &Server, since: &str| {
        let stream = TcpStream::connect(&server.address).expect("a server that listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let path = format!("subscribe?eventNames=resource.change&resourceType=stack{since}");
        let url = format!("ws://{}/v2-beta/projects/1a5/{path}", server.address);
        client(url, stream).expect("a handshake").0
    };
    let mut socket = subscribe(&second, "");
    third.post("stacks", &json!({"name": "one"}));
    let (name, id) = next_stack(&mut socket).expect("it is told of");
    assert_eq!(name, "one");
    first.kill();
    while next_stack(&mut socket).is_some() {}
    third.post("stacks", &json!({"name": "two"}));
    let mut socket = subscribe(&third, &format!("&since={id}"));
    let told = std::iter::from_fn(|| next_stack(&mut socket)).find(|(name, _)| name != "one");
    assert_eq!(told.expect("it is told of").0, "two");
}

#[test]
fn who_asked_is_known_although_it_was_passed_on() {
    let Some(members) = Members::new() else { return };
    let trusting = ["--trusted-proxy", "127.0.0.1"];
    let first = members.start_with("a", &trusting);
    wait(PATIENCE, "it leads", || leads(&first));
    let second = members.start_with("b", &trusting);
    let make = |server: &Server, name: &str, headers: &[(&'static str, &str)]| {
        let mut request = server.client.post(server.url("stacks")).json(&json!({"name": name}));
        for (header, value) in headers {
            request = request.header(*header, *value);
        }
        let made: Value = request
            .send()
            .and_then(reqwest::blocking::Response::json)
            .expect("JSON");
        let id = made["id"].as_str().expect("an id");
        let url = format!(
            "http://{}/v2-beta/auditlogs?resourceType=stack&limit=100",
            server.address
        );
        let log: Value = server.client.get(url).send().and_then(|a| a.json()).expect("JSON");
        let rows = log["data"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["resourceId"].as_str() == Some(id));
        row.unwrap_or_else(|| panic!("{log:#}"))["clientIp"]
            .as_str()
            .expect("an address")
            .to_owned()
    };
    let by_proxy = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(make(&first, "one", &by_proxy), "203.0.113.9");
    assert_eq!(make(&second, "two", &by_proxy), "203.0.113.9");
    assert_eq!(make(&second, "three", &[]), "127.0.0.1");
    // Nobody but the others can say so.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a time")
        .as_millis();
    let told = format!("203.0.113.9 http inward {now} AAAA");
    let forged = [("x-drover-passed-on", told.as_str())];
    assert_eq!(make(&first, "four", &forged), "127.0.0.1");
    assert_eq!(make(&second, "five", &forged), "127.0.0.1");
}

#[test]
fn between_servers_all_is_said_in_tls_also_to_dockers_door() {
    let Some(members) = Members::new() else { return };
    let place = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (signed(place.path(), "ours"), signed(place.path(), "theirs"));
    let [ca, cert, key] = [&ours.ca, &ours.cert, &ours.key].map(|path| flag(path));
    // Where each listens: in plain text, in TLS, and for Docker's clients.
    let start = |name: &str, pair: [&str; 2]| {
        let ports: [u16; 3] = std::array::from_fn(|_| free_port());
        let [plain, tls, docker] = ports.map(|port| format!("127.0.0.1:{port}"));
        let advertised = format!("https://{tls}");
        let mut command = members.command(name, ports[0], &["--advertise-address", &advertised]);
        command
            .args(["--tls-listen", &tls, "--docker-api-listen", &docker])
            .args(["--tls-cert", pair[0], "--tls-key", pair[1], "--tls-client-ca", &ca])
            .env("SSL_CERT_FILE", &ca)
            .stderr(Stdio::inherit());
        let server = Server::of(command.spawn().expect("it starts"));
        assert_eq!(server.address, plain);
        (server, tls, docker)
    };
    let (first, ..) = start("a", [&cert, &key]);
    wait(PATIENCE, "it leads", || leads(&first));
    let (second, tls, docker) = start("b", [&cert, &key]);
    let authority = text(&ours.ca);
    let own = [text(&ours.cert), text(&ours.key)];
    let made = second.post("stacks", &json!({"name": "front"}));
    let asked = |path: &str| ask(&tls, path, authority.as_bytes(), None).expect("an answer");
    let by_docker = |pair: Option<(&str, &str)>| ask(&docker, "/v1.41/services", authority.as_bytes(), pair);
    let all_is_there = || {
        let answer = asked("/v2-beta/projects/1a5/stacks?name=front");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        let link = format!(
            "\"self\":\"https://{tls}/v2-beta/projects/1a5/stacks/{}\"",
            made["id"].as_str().expect("an id")
        );
        assert!(answer.contains(&link), "{answer}");
        let answer = by_docker(Some((&own[0], &own[1]))).expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("[]\n"),
            "{answer}"
        );
        by_docker(None).expect_err("no certificate");
        let foreign = [text(&theirs.cert), text(&theirs.key)];
        by_docker(Some((&foreign[0], &foreign[1]))).expect_err("another authority's certificate");
    };
    all_is_there();
    first.kill();
    wait(TAKEN_OVER, "it leads", || leads(&second));
    all_is_there();
    // To a server that shows a certificate of nobody it knows nothing is said.
    let [cert, key] = [&theirs.cert, &theirs.key].map(|path| flag(path));
    let (third, ..) = start("c", [&cert, &key]);
    second.terminate();
    wait(TAKEN_OVER, "it leads", || leads(&third));
    let (fourth, ..) = start("d", [&flag(&ours.cert), &flag(&ours.key)]);
    let answer = fourth.client.get(fourth.url("stacks")).send().expect("an answer");
    assert_eq!(answer.status(), 503);
}

/// What servers say that are older than the tables.
const OLDER: i32 = 76;

#[test]
fn servers_that_are_older_than_the_tables_end_and_never_write() {
    let Some(members) = Members::new() else { return };
    let [first, second, third] = members.three();
    first.post("stacks", &json!({"name": "front"}));
    // As if one of a newer version had led: it brings the tables up to date when it does.
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    members.execute(newer);
    second.post("stacks", &json!({"name": "meanwhile"}));
    let late = ends(members.command("d", free_port(), &["--advertise-address", "127.0.0.1"]));
    assert_eq!(late.0, Some(OLDER), "{}", late.1);
    assert!(late.1.contains("29990101000000"), "{}", late.1);
    assert!(first.terminate().success());
    assert_eq!(second.ended().code(), Some(OLDER));
    assert_eq!(third.ended().code(), Some(OLDER));
    // Once the tables are again such as this version knows, one of it leads, and nothing is missing.
    members.execute("DELETE FROM __diesel_schema_migrations WHERE version = '29990101000000'");
    let newest = members.start("e");
    wait(PATIENCE, "it leads", || leads(&newest));
    assert_eq!(crate::members_world::stacks(&newest), ["front", "meanwhile"]);
}

/// How a server ends that is not to serve, and what it says.
fn ends(mut command: std::process::Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut told = String::new();
    let mut errors = child.stderr.take().expect("its errors");
    errors.read_to_string(&mut told).expect("UTF-8");
    (child.wait().expect("it ends").code(), told)
}

#[test]
fn what_does_not_go_together_is_refused() {
    let Some(members) = Members::new() else { return };
    let first = members.start("a");
    wait(PATIENCE, "it leads", || leads(&first));
    let shared = |name: &str, more: &[&str]| members.command(name, free_port(), more);
    let own = ["--advertise-address", "127.0.0.1"];
    let mut other_key = shared("b", &own);
    other_key.env("DROVER_SECRET_KEY", "OTEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    let mut no_key = shared("c", &own);
    no_key.env_remove("DROVER_SECRET_KEY");
    let mut file = shared("d", &own);
    file.env_remove("DROVER_DATABASE_URL");
    for (command, status, words) in [
        (shared("e", &[]), 75, "another drover uses"),
        (other_key, 78, "another key"),
        (no_key, 78, "DROVER_SECRET_KEY"),
        (file, 78, "PostgreSQL"),
        (shared("f", &["--advertise-address", "http://a/b"]), 78, "HOST[:PORT]"),
        (
            shared("g", &["--advertise-address", "127.0.0.1", "--docker-api-socket", "/s"]),
            78,
            "--docker-api-listen",
        ),
    ] {
        let (code, told) = ends(command);
        assert_eq!(code, Some(status), "{told}");
        assert!(told.contains(words), "{told}");
    }
    first.terminate();
    // The other way round: who shares with nobody has it to itself.
    let alone = Server::of(members.command("h", free_port(), &[]).spawn().expect("it starts"));
    let (code, told) = ends(shared("i", &own));
    assert_eq!(code, Some(75), "{told}");
    drop(alone);
}
