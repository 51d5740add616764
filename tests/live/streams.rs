//! Logs and shells of real containers, over WebSockets.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{PATIENCE, World, launch};

/// A stream that is open, asked from where nothing else is asynchronous.
struct Stream<'r> {
    runtime: &'r Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl<'r> Stream<'r> {
    fn open(runtime: &'r Runtime, access: &Value) -> Self {
        let (url, token) = (access["url"].as_str().unwrap(), access["token"].as_str().unwrap());
        let (socket, _) = runtime.block_on(connect_async(format!("{url}?token={token}"))).unwrap();
        Self { runtime, socket }
    }

    /// The next frame's text; none at the end.
    fn frame(&mut self) -> Option<String> {
        loop {
            let next = async { tokio::time::timeout(PATIENCE, self.socket.next()).await };
            match self.runtime.block_on(next).expect("a frame in time")?.unwrap() {
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    fn send(&mut self, text: &str) {
        self.runtime.block_on(self.socket.send(Message::text(text))).unwrap();
    }

    fn type_in(&mut self, text: &str) {
        self.send(&STANDARD.encode(text));
    }

    /// Reads what a command writes until these words have come.
    fn read_until(&mut self, words: &str) -> String {
        let mut said = String::new();
        while !said.contains(words) {
            let frame = self
                .frame()
                .unwrap_or_else(|| panic!("{words:?} before the end of {said:?}"));
            let bytes = STANDARD.decode(&frame).unwrap_or_else(|e| panic!("{e}: {frame}"));
            assert!(bytes.len() <= 4096, "{} bytes in a frame", bytes.len());
            said.push_str(&String::from_utf8_lossy(&bytes));
        }
        said
    }
}

#[test]
fn logs_come_as_they_are_written_and_shells_do_what_is_typed() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("streams");
    let mut config = launch("busybox:1");
    let script = "echo to out; echo to err >&2; trap 'echo at last; exit 0' TERM; while :; do sleep 1; done";
    config["command"] = json!(["sh", "-c", script]);
    let service = world.active_service(&stack, "web", json!({"launchConfig": config}));
    let instances = world.api.get(service["links"]["instances"].as_str().unwrap());
    let container = instances["data"][0].clone();

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let open = |access: &Value| Stream::open(&runtime, access);
    let logs = world
        .api
        .action(&container, "logs", json!({"follow": true, "lines": 100}));
    let mut log = open(&logs);
    let mut lines = [log.frame().unwrap(), log.frame().unwrap()];
    lines.sort_unstable();
    let ends: Vec<_> = lines
        .iter()
        .map(|line| (&line[..3], line.split_once("Z ").unwrap().1))
        .collect();
    assert_eq!(ends, [("01 ", "to out"), ("02 ", "to err")]);

    let wanted = json!({"attachStdin": true, "attachStdout": true, "tty": true, "command": ["/bin/sh"]});
    let access = world.api.action(&container, "execute", wanted);
    let mut shell = open(&access);
    shell.type_in("echo $((40 + 2))\r");
    shell.read_until("\n42\r");
    shell.send(":resizeTTY:123,45");
    shell.type_in("stty size\r");
    shell.read_until("45 123");
    shell.type_in("seq 1 20000; echo do''ne\r");
    let all = shell.read_until("done");
    assert!(
        all.contains("\n19999\r\n20000\r\n"),
        "nothing is lost: {} characters",
        all.len()
    );
    shell.type_in("exit\r");
    while shell.frame().is_some() {}

    // Without a terminal, and without anything to read.
    let wanted = json!({"attachStdin": false, "tty": false, "command": ["sh", "-c", "echo one; echo two >&2"]});
    let mut command = open(&world.api.action(&container, "execute", wanted));
    let mut said = String::new();
    while let Some(frame) = command.frame() {
        said.push_str(&String::from_utf8(STANDARD.decode(frame).unwrap()).unwrap());
    }
    let mut words: Vec<_> = said.lines().collect();
    words.sort_unstable();
    assert_eq!(words, ["one", "two"]);

    // A shell whose client goes away ends.
    let wanted = json!({"command": ["/bin/sh", "-s", "left-alone"]});
    let mut left = open(&world.api.action(&container, "execute", wanted));
    left.type_in("echo here\r");
    left.read_until("\nhere");
    drop(left);
    let id = container["externalId"].as_str().unwrap();
    let shells = || {
        let table = world.docker.run(&["exec", id, "ps"]);
        table.lines().filter(|line| line.contains("left-alone")).count()
    };
    crate::support::wait_until("the shell to end", Duration::from_secs(30), || match shells() {
        0 => Ok(()),
        left => Err(left),
    });

    // The log ends with the container, and its last words are in it.
    world.api.action(&service, "deactivate", json!({}));
    let mut last = String::new();
    while let Some(line) = log.frame() {
        last = line;
    }
    assert!(last.ends_with(" at last"), "{last}");
}

#[test]
fn many_lines_at_once_are_a_frame_each_in_their_order() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("loud");
    let mut config = launch("busybox:1");
    let script = "seq 1 20000; echo é; printf 'no end'; trap 'exit 0' TERM; while :; do sleep 0.2; done";
    config["command"] = json!(["sh", "-c", script]);
    let service = world.active_service(&stack, "loud", json!({"launchConfig": config}));
    let instances = world.api.get(service["links"]["instances"].as_str().unwrap());
    let container = instances["data"][0].clone();
    let runtime = Runtime::new().unwrap();
    let wanted = json!({"follow": true, "lines": null, "timestamps": false});
    let mut log = Stream::open(&runtime, &world.api.action(&container, "logs", wanted));
    for n in 1..=20_000 {
        assert_eq!(log.frame(), Some(format!("01 {n}")));
    }
    assert_eq!(log.frame().as_deref(), Some("01 é"));
    // The engine writes down a line without an end when the container ends, and does not always tell it to who follows.
    world.api.action(&service, "deactivate", json!({}));
    while log.frame().is_some() {}
    let wanted = json!({"follow": false, "lines": 1, "timestamps": false});
    let mut log = Stream::open(&runtime, &world.api.action(&container, "logs", wanted));
    assert_eq!(log.frame().as_deref(), Some("01 no end"));
    assert_eq!(log.frame(), None);
}

/// The next look at each of these, by their members' paths.
fn look(stream: &mut Stream<'_>, id: &str) -> Value {
    loop {
        let frame = stream.frame().expect("it goes on");
        let all: Vec<Value> = serde_json::from_str(&frame).unwrap_or_else(|e| panic!("{e}: {frame}"));
        if let Some(found) = all.into_iter().find(|look| look["id"] == id) {
            return found;
        }
    }
}

fn number(look: &Value, member: &str) -> u64 {
    look.pointer(member)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{member} in {look}"))
}

#[test]
fn what_containers_and_their_host_use_is_told_each_second() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("stats");
    let mut config = launch("busybox:1");
    config["command"] = json!(["sh", "-c", "trap 'exit 0' TERM; while :; do :; done"]);
    config["memory"] = json!(64 << 20);
    let service = world.active_service(&stack, "busy", json!({"launchConfig": config}));
    let service = service["id"].as_str().unwrap();
    let api = world.api_at("v2-beta/projects/1a5");
    let containers = api.get(&format!("/services/{service}/instances"));
    let id = containers["data"][0]["id"].as_str().unwrap().to_owned();
    let runtime = Runtime::new().unwrap();
    let access = |address: &str| api.get(address);

    let mut stream = Stream::open(&runtime, &access(&format!("/services/{service}/containerStats")));
    let first = look(&mut stream, &id);
    let second = look(&mut stream, &id);
    let worked = number(&second, "/cpu/usage/total").saturating_sub(number(&first, "/cpu/usage/total"));
    assert!(worked > 1_000_000, "a loop works: {worked} ns");
    assert!(second["timestamp"].as_str() > first["timestamp"].as_str());
    assert_eq!(number(&second, "/memory/limit"), 64 << 20);
    assert!(number(&second, "/memory/usage") > 0);
    assert!(
        !second
            .pointer("/cpu/usage/per_cpu_usage")
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(
        !second
            .pointer("/network/interfaces")
            .unwrap()
            .as_array()
            .unwrap()
            .is_empty()
    );

    let host = api.get("/hosts")["data"][0]["id"].as_str().unwrap().to_owned();
    let mut stream = Stream::open(&runtime, &access(&format!("/hosts/{host}/hostStats")));
    let first = look(&mut stream, &host);
    let second = look(&mut stream, &host);
    assert!(
        number(&second, "/cpu/usage/user") > number(&first, "/cpu/usage/user"),
        "the loop is in programs"
    );
    assert!(number(&second, "/memory/usage") < number(&second, "/memory/limit"));
}

#[test]
fn a_port_of_a_container_is_reached_through_the_server() {
    let Some(world) = World::start() else { return };
    let stack = world.stack("ports");
    let mut config = launch("busybox:1");
    let script = "mkdir -p /tmp/www/sub; head -c 3000000 /dev/zero > /tmp/www/large; echo hello > /tmp/www/sub/said; \
        exec httpd -f -p 8099 -h /tmp/www";
    config["command"] = json!(["sh", "-c", script]);
    let service = world.active_service(&stack, "web", json!({"launchConfig": config}));
    let instances = world.api.get(service["links"]["instances"].as_str().unwrap());
    let container = instances["data"][0].clone();
    let access = world
        .api
        .action(&container, "proxy", json!({"port": 8099, "scheme": "http"}));
    let (url, token) = (access["url"].as_str().unwrap(), access["token"].as_str().unwrap());
    let client = reqwest::blocking::Client::new();
    let get = |path: &str| client.get(format!("{url}{path}?token={token}")).send().unwrap();
    let said = crate::support::wait_until("the container to answer", PATIENCE, || {
        let answer = get("sub/said");
        let status = answer.status().as_u16();
        if status == 200 { Ok(answer) } else { Err(status) }
    });
    assert_eq!(
        said.headers()["content-security-policy"],
        "sandbox; frame-ancestors 'none'"
    );
    assert_eq!(said.text().unwrap(), "hello\n");
    assert_eq!(get("none").status().as_u16(), 404, "the container's own word");
    assert_eq!(get("large").bytes().unwrap().len(), 3_000_000);

    // A port where nobody listens, and no way to another one by this token.
    let closed = world.api.action(&container, "proxy", json!({"port": 8098}));
    let closed = closed["token"].as_str().unwrap();
    let refused = client.get(format!("{url}?token={closed}")).send().unwrap();
    assert_eq!(refused.status().as_u16(), 409);
    let why: Value = refused.json().unwrap();
    let why = why["message"].as_str().unwrap().to_owned();
    assert!(why.contains("nothing answers at port 8098"), "{why}");

    // The host's own network is nobody's.
    let mut config = launch("busybox:1");
    config["command"] = json!(["sleep", "3600"]);
    config["networkMode"] = json!("host");
    let service = world.active_service(&stack, "hosts", json!({"launchConfig": config}));
    let instances = world.api.get(service["links"]["instances"].as_str().unwrap());
    let url = instances["data"][0]["actions"]["proxy"].as_str().unwrap();
    let refused = client.post(url).json(&json!({"port": 80})).send().unwrap();
    assert_eq!(refused.status().as_u16(), 409);
    assert!(refused.text().unwrap().contains("no address of its own"));
}

#[test]
fn an_engines_socket_is_carried_byte_by_byte() {
    let Some(world) = World::start() else { return };
    world.set("drover.docker.socket", "on");
    let host = world.api.get("/hosts")["data"][0].clone();
    let runtime = Runtime::new().unwrap();
    let access = world.api.action(&host, "dockersocket", json!({}));
    let url = access["url"].as_str().unwrap();
    assert!(url.ends_with("/v1/dockersocket/"), "{url}");
    let mut socket = Stream::open(&runtime, &access);
    socket.type_in("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n");
    socket.read_until("\r\n\r\nOK");
    // The same connection again, and an answer of more than one frame.
    socket.type_in("GET /info HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n");
    let mut said = String::new();
    while let Some(frame) = socket.frame() {
        said.push_str(&String::from_utf8_lossy(&STANDARD.decode(frame).unwrap()));
    }
    assert!(said.contains("\"ServerVersion\""), "{said}");

    // A token is nothing once the setting is off again.
    let access = world.api.action(&host, "dockersocket", json!({}));
    world.set("drover.docker.socket", "off");
    let (url, token) = (access["url"].as_str().unwrap(), access["token"].as_str().unwrap());
    let refused = runtime.block_on(connect_async(format!("{url}?token={token}")));
    match refused {
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => assert_eq!(answer.status().as_u16(), 501),
        other => panic!("{other:?}"),
    }
}
