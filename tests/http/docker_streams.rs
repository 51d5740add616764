//! What Docker's clients follow and carry: commands in containers, their logs, what they use, and what happens.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use drover::dialects::docker;
use drover::schema::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::project_isolation::{login, scene, send};
use crate::support::{World, text};

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(20);
/// What a client says that wants both ways.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
/// What one says that wants the end.
const CLOSE: &str = "Connection: close\r\n";

/// Docker's interface, listening.
struct Daemon {
    address: SocketAddr,
    handle: ServerHandle,
}

/// A connection on which a request was answered.
struct Open {
    status: u16,
    head: String,
    rest: Vec<u8>,
    stream: TcpStream,
}

impl Daemon {
    fn of(w: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = w.docker();
        let server = HttpServer::new(move || App::new().configure(|c| docker::configure(c, state.clone())))
            .workers(1)
            .on_connect(docker::keep_spare)
            .disable_signals()
            .shutdown_timeout(1)
            .listen(listener)
            .expect("a listener")
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { address, handle }
    }

    async fn open(&self, method: &str, path: &str, headers: &str, body: &str) -> Open {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let length = body.len();
        let path = match path.starts_with("/docker/") {
            true => path.to_owned(),
            false => format!("/docker/v1.41{path}"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("it is taken");
        let mut open = Open {
            status: 0,
            head: String::new(),
            rest: Vec::new(),
            stream,
        };
        let end = open.until(b"\r\n\r\n").await;
        open.head = String::from_utf8(end).expect("a head");
        open.status = open.head[9..12].parse().expect("a status");
        open
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask_with("", method, path, body).await
    }

    async fn ask_with(&self, headers: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let headers = format!("{CLOSE}{headers}");
        let mut open = self.open(method, path, &headers, &body.to_string()).await;
        let body = String::from_utf8(open.all_that_comes().await).expect("text");
        (open.status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Makes a command and gives its id.
    async fn exec(&self, container: &str, body: Value) -> String {
        let (status, made) = self.ask("POST", &format!("/containers/{container}/exec"), body).await;
        assert_eq!(status, 201, "{made}");
        text(&made, "Id").to_owned()
    }

    async fn start(&self, id: &str, headers: &str) -> Open {
        let body = json!({"Detach": false}).to_string();
        self.open("POST", &format!("/exec/{id}/start"), headers, &body).await
    }

    async fn look(&self, id: &str) -> Value {
        let (status, found) = self.ask("GET", &format!("/exec/{id}/json"), json!({})).await;
        assert_eq!(status, 200, "{found}");
        found
    }
}

impl Open {
    /// Everything up to and with these bytes.
    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|part| part == end) {
                return self.rest.drain(..at + end.len()).collect();
            }
            let read = tokio::time::timeout(DEADLINE, self.stream.read_buf(&mut self.rest)).await;
            let read = read.expect("an answer in time").expect("an answer");
            assert!(read > 0, "the end after {:?}", String::from_utf8_lossy(&self.rest));
        }
    }

    async fn all_that_comes(&mut self) -> Vec<u8> {
        let read = tokio::time::timeout(DEADLINE, self.stream.read_to_end(&mut self.rest)).await;
        read.expect("an end in time").expect("an end");
        std::mem::take(&mut self.rest)
    }
}

/// A running container, by the id of its engine.
async fn container(w: &World, name: &str) -> String {
    let made = w
        .post("containers", json!({"imageUuid": "sim:one", "name": name}))
        .await
        .ok();
    let row = w.wait(text(&made, "id"), "running").await;
    text(&row, "externalId").to_owned()
}

fn frame(stream: u8, words: &str) -> Vec<u8> {
    [
        &[stream, 0, 0, 0, 0, 0, 0, u8::try_from(words.len()).expect("few")],
        words.as_bytes(),
    ]
    .concat()
}

#[actix_web::test]
async fn a_command_is_made_started_and_looked_at() {
    let w = World::new().await;
    let container = container(&w, "worker").await;
    let daemon = Daemon::of(&w);
    let body = json!({"AttachStdout": true, "AttachStderr": true, "Cmd": ["exit", "3"], "User": "nobody"});
    let id = daemon.exec(&container, body).await;
    let before = daemon.look(&id).await;
    assert_eq!(
        (&before["Running"], &before["ExitCode"]),
        (&json!(false), &Value::Null),
        "{before}"
    );
    assert_eq!(before["ProcessConfig"]["entrypoint"], "exit");
    assert_eq!(before["ProcessConfig"]["arguments"], json!(["3"]));
    let mut open = daemon.start(&id, "").await;
    assert_eq!(open.status, 200, "{}", open.head);
    assert!(
        open.head
            .contains("Content-Type: application/vnd.docker.raw-stream\r\n"),
        "{}",
        open.head
    );
    assert_eq!(open.all_that_comes().await, frame(1, "exit 3\n"));
    let after = daemon.look(&id).await;
    assert_eq!(
        (&after["Running"], &after["ExitCode"]),
        (&json!(false), &json!(3)),
        "{after}"
    );
    assert_eq!(after["ContainerID"], container);
    let again = daemon.start(&id, "").await;
    assert_eq!(again.status, 409, "a command runs once");

    // Where nobody attaches.
    let id = daemon.exec("worker", json!({"Cmd": ["exit", "4"]})).await;
    let (status, _) = daemon
        .ask("POST", &format!("/exec/{id}/start"), json!({"Detach": true}))
        .await;
    assert_eq!(status, 200);
    let ended = async {
        while daemon.look(&id).await["ExitCode"] != 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.expect("it ends");
    let log = w.get("auditlogs?resourceType=container&limit=100").await.ok();
    let rows = log["data"].as_array().expect("rows");
    assert_eq!(
        rows.iter()
            .filter(|row| row["eventType"] == "api.container.execute")
            .count(),
        2,
        "{log}"
    );
    daemon.handle.stop(false).await;
}

#[actix_web::test]
async fn a_connection_carries_what_is_typed_from_when_it_was_upgraded() {
    let w = World::new().await;
    let container = container(&w, "shell").await;
    let daemon = Daemon::of(&w);
    let both = json!({"AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": true, "Cmd": ["sh"]});
    let id = daemon.exec(&container, both).await;
    let mut open = daemon.start(&id, UPGRADE).await;
    assert!(open.head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{}", open.head);
    assert!(
        open.head.contains("\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"),
        "{}",
        open.head
    );
    // A terminal's output is as it is.
    open.until(b"sh\n").await;
    // It could be the head of a request, and is none.
    for typed in ["GET / HTTP/1.1\r\n\r\n", "\u{0}é"] {
        open.stream.write_all(typed.as_bytes()).await.expect("it is taken");
        open.until(typed.as_bytes()).await;
    }
    let (status, _) = daemon
        .ask("POST", &format!("/exec/{id}/resize?h=40&w=120"), json!({}))
        .await;
    assert_eq!(status, 200);
    assert_eq!(daemon.look(&id).await["Running"], true);
    // Who leaves is the end of a terminal's transmission.
    open.stream.shutdown().await.expect("it is open");
    assert_eq!(open.all_that_comes().await, b"");
    assert_eq!(daemon.look(&id).await["ExitCode"], 0);

    // More than all between a client and a command can keep, both ways.
    let piped = json!({"AttachStdin": true, "AttachStdout": true, "Cmd": ["cat"]});
    let id = daemon.exec(&container, piped).await;
    let mut open = daemon.start(&id, UPGRADE).await;
    open.until(&frame(1, "cat\n")).await;
    let much = vec![b'x'; 8 << 20];
    let (mut from, mut to) = open.stream.split();
    let typing = async {
        to.write_all(&much).await.expect("it is taken");
        to.shutdown().await.expect("it is open");
    };
    let mut came = Vec::new();
    let reading = from.read_to_end(&mut came);
    let both = tokio::time::timeout(DEADLINE, futures_util::future::join(typing, reading));
    let (_, read) = both.await.expect("neither waits for the other");
    read.expect("an end");
    assert_eq!(came.iter().filter(|byte| **byte == b'x').count(), much.len());
    daemon.handle.stop(false).await;
}

#[actix_web::test]
async fn commands_that_cannot_be_are_refused_as_docker_does() {
    let w = World::new().await;
    let container = container(&w, "strict").await;
    let daemon = Daemon::of(&w);
    let path = format!("/containers/{container}/exec");
    for (body, status, words) in [
        (json!({}), 400, "No exec command specified"),
        (json!({"Cmd": []}), 400, "No exec command specified"),
        (json!({"Cmd": "sh"}), 400, "invalid JSON"),
        (json!({"Cmd": ["a\u{0}b"]}), 400, "NUL"),
        (json!({"Cmd": ["sh"], "Privileged": true}), 501, "Privileged"),
        // Whatever the case of a name.
        (json!({"cmd": ["sh"], "privileged": true}), 501, "Privileged"),
        (json!({"Cmd": ["sh"], "DetachKeys": "ctrl-x"}), 501, "DetachKeys"),
    ] {
        let (found, refusal) = daemon.ask("POST", &path, body.clone()).await;
        assert_eq!(found, status, "{body}: {refusal}");
        assert!(text(&refusal, "message").contains(words), "{body}: {refusal}");
    }
    let (status, refusal) = daemon
        .ask("POST", "/containers/none/exec", json!({"Cmd": ["sh"]}))
        .await;
    assert_eq!((status, &refusal["message"]), (404, &json!("No such container: none")));
    for (method, path) in [
        ("GET", "/exec/none/json"),
        ("POST", "/exec/none/start"),
        ("POST", "/exec/none/resize?h=1&w=1"),
    ] {
        let (status, refusal) = daemon.ask(method, path, json!({})).await;
        assert_eq!(
            (status, &refusal["message"]),
            (404, &json!("No such exec instance: none")),
            "{path}"
        );
    }
    let id = daemon.exec(&container, json!({"Cmd": ["sh"]})).await;
    let (status, _) = daemon
        .ask("POST", &format!("/exec/{id}/resize?h=40&w=120"), json!({}))
        .await;
    assert_eq!(status, 409, "it does not run yet");
    w.clock.advance(Duration::from_secs(301));
    assert_eq!(daemon.start(&id, "").await.status, 409, "what opens it is too old");
    let row = w.get("containers?name=strict").await.ok();
    w.act(text(&row["data"][0], "id"), "stop", json!({})).await.ok();
    w.settle().await;
    let (status, refusal) = daemon.ask("POST", &path, json!({"Cmd": ["sh"]})).await;
    assert_eq!(status, 409, "{refusal}");
    assert!(text(&refusal, "message").ends_with("is not running"), "{refusal}");
    daemon.handle.stop(false).await;
}

#[actix_web::test]
async fn commands_are_a_projects_and_a_roles_own() {
    let scene = scene().await;
    let w = &scene.world;
    let daemon = Daemon::of(w);
    let header_of = |account: &str| format!("Authorization: {}\r\n", login(account));
    let exec = json!({"Cmd": ["exit", "0"], "AttachStdout": true});
    let owners = header_of("1a5");
    let (status, made) = daemon
        .ask_with(&owners, "POST", "/containers/front-web-1/exec", exec.clone())
        .await;
    assert_eq!(status, 201, "{made}");
    let foreign = format!("/exec/{}/json", text(&made, "Id"));
    assert_eq!(daemon.ask("GET", &foreign, json!({})).await.0, 401, "a stranger");
    assert_eq!(daemon.ask_with(&owners, "GET", &foreign, json!({})).await.0, 200);
    let other = format!("/v2-beta/projects/{}/containers", scene.project);
    let body = json!({"imageUuid": "sim:one", "name": "own"});
    let made = send(w, "superadmin", actix_web::http::Method::POST, &other, Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    for _ in 0..8 {
        w.advance(Duration::from_millis(500)).await;
    }
    for (account, prefix, role) in &scene.strangers {
        let (headers, base) = match prefix.contains("/projects/") {
            true => (header_of(account), format!("/docker/projects/{}/v1.41", scene.project)),
            false if *role == Role::Project => (header_of(account), "/docker/v1.41".to_owned()),
            false => continue,
        };
        let ask = async |method: &str, path: &str| {
            daemon
                .ask_with(&headers, method, &format!("{base}{path}"), exec.clone())
                .await
        };
        // No host of that project runs it.
        let (status, made) = ask("POST", "/containers/own/exec").await;
        assert_eq!(
            status,
            if *role == Role::Readonly { 403 } else { 409 },
            "{role:?}: {made}"
        );
        let (status, _) = ask("POST", "/containers/front-web-1/exec").await;
        assert_eq!(status, 404, "{role:?}");
        let (status, _) = ask("GET", &foreign).await;
        assert_eq!(status, if *role == Role::Readonly { 403 } else { 404 }, "{role:?}");
        for path in ["logs?stdout=1", "stats?stream=false"] {
            let (status, _) = ask("GET", &format!("/containers/front-web-1/{path}")).await;
            assert!(matches!(status, 403 | 404), "{role:?}: {path}");
        }
    }
    daemon.handle.stop(false).await;
}

#[actix_web::test]
async fn the_log_of_a_container_and_what_it_uses() {
    let w = World::new().await;
    let container = container(&w, "teller").await;
    let daemon = Daemon::of(&w);
    let path = format!("/containers/{container}");
    let mut log = daemon
        .open("GET", &format!("{path}/logs?stdout=1&stderr=1&tail=all"), CLOSE, "")
        .await;
    assert_eq!(log.status, 200, "{}", log.head);
    let all = log.all_that_comes().await;
    let framed = frame(1, "teller started\n");
    assert!(all.windows(framed.len()).any(|part| part == framed), "{all:?}");
    let mut log = daemon.open("GET", &format!("{path}/logs?stderr=1"), CLOSE, "").await;
    assert!(!String::from_utf8_lossy(&log.all_that_comes().await).contains("started"));
    let (status, refusal) = daemon.ask("GET", &format!("{path}/logs"), json!({})).await;
    assert_eq!(status, 400, "{refusal}");
    // One that is followed goes on.
    let mut log = daemon
        .open("GET", "/containers/teller/logs?stdout=1&follow=1", "", "")
        .await;
    log.until(b"teller started\n").await;

    let (status, used) = daemon
        .ask("GET", &format!("{path}/stats?stream=false"), json!({}))
        .await;
    assert_eq!(
        (status, &used["name"], &used["id"]),
        (200, &json!("/teller"), &json!(container)),
        "{used}"
    );
    assert!(
        used["cpu_stats"]["cpu_usage"]["total_usage"].is_u64() && used["precpu_stats"].is_object(),
        "{used}"
    );
    let mut stats = daemon.open("GET", &format!("{path}/stats"), "", "").await;
    for _ in 0..2 {
        stats.until(b"\"name\":\"/teller\"").await;
    }
    let row = w.get("containers?name=teller").await.ok();
    w.act(text(&row["data"][0], "id"), "stop", json!({})).await.ok();
    w.settle().await;
    log.until(b"0\r\n\r\n").await;
    let (status, used) = daemon.ask("GET", &format!("{path}/stats"), json!({})).await;
    assert_eq!(
        (status, &used["read"]),
        (200, &json!("0001-01-01T00:00:00Z")),
        "it uses nothing"
    );
    daemon.handle.stop(false).await;
}

/// Reads events until one that is this, and gives all that came, `type action name` each.
async fn events_until(w: &World, open: &mut Open, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..400 {
        w.advance(Duration::from_millis(500)).await;
        w.engine.tell();
        let _ = tokio::time::timeout(Duration::from_millis(20), open.stream.read_buf(&mut open.rest)).await;
        while let Some(end) = open.rest.windows(2).position(|part| part == b"}\n") {
            let line: Vec<u8> = open.rest.drain(..end + 2).collect();
            let begin = line.iter().position(|byte| *byte == b'{').expect("an object");
            let event: Value = serde_json::from_slice(&line[begin..]).expect("JSON");
            let name = event["Actor"]["Attributes"]["name"].as_str().unwrap_or_default();
            told.push(format!("{} {} {name}", text(&event, "Type"), text(&event, "Action")));
        }
        if told.iter().any(|one| one == last) {
            return told;
        }
    }
    panic!("{last} is not among {told:#?}");
}

#[actix_web::test]
async fn what_happens_is_told_to_who_listens() {
    let w = World::new().await;
    let daemon = Daemon::of(&w);
    let (status, _) = daemon.ask("GET", "/events?since=yesterday", json!({})).await;
    assert_eq!(status, 400);
    let mut past = daemon.open("GET", "/events?until=1000000000", CLOSE, "").await;
    assert_eq!(
        (past.status, past.all_that_comes().await.as_slice()),
        (200, &b"0\r\n\r\n"[..]),
        "nobody asked for what was"
    );
    let mut all = daemon.open("GET", "/events", "", "").await;
    assert_eq!(all.status, 200);
    let filters = "%7B%22type%22%3A%5B%22service%22%5D%2C%22service%22%3A%5B%22web%22%5D%7D";
    let mut services = daemon.open("GET", &format!("/events?filters={filters}"), "", "").await;

    let post = async |path: &str, body: Value| {
        let answer = w.post(&format!("/docker/v1.41{path}"), body).await;
        assert!(answer.status < 300, "{path}: {}", answer.body);
        answer.body
    };
    post("/secrets/create", json!({"Name": "hush", "Data": "aGk="})).await;
    post("/configs/create", json!({"Name": "conf", "Data": "aGk="})).await;
    post("/networks/create", json!({"Name": "net", "Driver": "overlay"})).await;
    events_until(&w, &mut all, "network create net").await;
    // What publishes its port is nobody's affair.
    let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest"}},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}});
    let made = post("/services/create", spec.clone()).await;
    let id = text(&made, "ID");
    let mut told_of_all = events_until(&w, &mut all, "container start default-web-1").await;
    let told = told_of_all.clone();
    assert!(told.iter().any(|one| one == "service create web"), "{told:?}");
    let mut wider = spec;
    wider["Mode"] = json!({"Replicated": {"Replicas": 2}});
    let index = w.get(&format!("/docker/v1.41/services/{id}")).await.ok()["Version"]["Index"].to_string();
    post(&format!("/services/{id}/update?version={index}"), wider).await;
    told_of_all.extend(events_until(&w, &mut all, "container start default-web-2").await);
    w.send(
        actix_web::http::Method::DELETE,
        &format!("/docker/v1.41/services/{id}"),
        None,
    )
    .await;
    let told = events_until(&w, &mut all, "container destroy default-web-2").await;
    assert!(told.iter().any(|one| one == "service remove web"), "{told:?}");
    told_of_all.extend(told);
    assert!(told_of_all.iter().all(|one| !one.contains("mesh")), "{told_of_all:?}");
    let told = events_until(&w, &mut services, "service remove web").await;
    let kinds: std::collections::BTreeSet<&str> = told.iter().map(String::as_str).collect();
    let expected = ["service create web", "service remove web", "service update web"];
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        expected,
        "nothing else was asked for"
    );
    // Who comes later is told what was first, and then what happens.
    let mut later = daemon.open("GET", "/events?since=1", "", "").await;
    post("/configs/create", json!({"Name": "late", "Data": "aGk="})).await;
    let told = events_until(&w, &mut later, "config create late").await;
    let place = |wanted: &str| told.iter().position(|one| one == wanted);
    assert!(
        place("service create web") < place("service remove web") && place("service create web").is_some(),
        "{told:#?}"
    );
    daemon.handle.stop(false).await;
}
