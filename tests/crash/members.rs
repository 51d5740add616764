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
fn what_does_not_go_together_is_refused() {
    let Some(members) = Members::new() else { return };
    let first = members.start("a");
    wait(PATIENCE, "it leads", || leads(&first));
    let ends = |mut command: std::process::Command| -> (Option<i32>, String) {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut told = String::new();
        child
            .stderr
            .take()
            .expect("its errors")
            .read_to_string(&mut told)
            .expect("UTF-8");
        (child.wait().expect("it ends").code(), told)
    };
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
