//! `drover agent`: an engine that the server cannot reach joins by dialling in, is driven by the tunnel, dies, comes back, and is
//! let go.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::several::{Another, hosts, wait_host};
use crate::support::{PATIENCE, World, launch, real_part, wait_until};

/// The agent of an engine, with a folder of its own.
pub struct Agent {
    folder: tempfile::TempDir,
    engine: String,
    child: Child,
}

impl Agent {
    /// Starts it with the address to join at.
    pub fn start(engine: &str, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = dial(engine, folder.path(), &["--url", url, "--labels", "disk=ssd&where=far"]);
        let engine = engine.to_owned();
        Self { folder, engine, child }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub fn wait_end(&mut self) -> ExitStatus {
        wait_until("the agent to end", PATIENCE, || {
            self.child.try_wait().unwrap().ok_or("it runs")
        })
    }

    /// Without a URL: it has joined.
    pub fn again(&mut self) {
        self.child = dial(&self.engine, self.folder.path(), &["--labels", "disk=ssd&where=far"]);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dial(engine: &str, folder: &Path, more: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_drover"))
        .arg("agent")
        .args([
            "--docker",
            engine,
            "--state-dir",
            folder.to_str().unwrap(),
            "--ip",
            "10.250.1.2",
        ])
        .args(more)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// A token with which agents join.
pub fn token(world: &World) -> Value {
    let made = world.api.post("/registrationTokens", json!({}));
    world.api.wait_state(&made, "active")
}

fn only_far() -> Value {
    let mut config = launch("web:1");
    config["labels"] = json!({"io.rancher.scheduler.affinity:host_label": "where=far"});
    config
}

/// The first line of a container's log, over the WebSocket.
fn first_line(world: &World, container: &Value) -> String {
    let access = world
        .api
        .action(container, "logs", json!({"follow": true, "lines": 100}));
    first_frame(&access)
}

/// What a stream says first.
fn first_frame(access: &Value) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (url, token) = (access["url"].as_str().unwrap(), access["token"].as_str().unwrap());
    runtime.block_on(async {
        let opened = tokio_tungstenite::connect_async(format!("{url}?token={token}")).await;
        let (mut socket, _) = opened.unwrap();
        loop {
            let next = tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time");
            if let Message::Text(text) = next.expect("a frame").unwrap() {
                return text.to_string();
            }
        }
    })
}

#[test]
fn an_engine_joins_by_dialling_in_and_goes_when_its_host_is_removed() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let second = Another::start(1);
    let Some(mut world) = World::start() else { return };
    let joining = token(&world);
    let url = joining["registrationUrl"].as_str().unwrap();
    assert!(joining["command"].as_str().unwrap().ends_with(url));
    let mut agent = Agent::start(&second.docker.url, url);
    wait_host(&world, "engine1", "active");
    let host = wait_until("the host to say where it is", PATIENCE, || {
        let all = hosts(&world);
        let found = all.iter().find(|host| host["agentIpAddress"] == "10.250.1.2").cloned();
        found.ok_or(all)
    });
    assert_eq!((&host["kind"], &host["name"]), (&json!("docker"), &json!("engine1")));
    assert_eq!(host["labels"]["disk"], "ssd", "{host:#}");

    let stack = world.stack("far");
    let mut config = only_far();
    config["command"] = json!(["sh", "-c", "echo hello from afar; exec httpd -f -p 80 -h /www"]);
    config["healthCheck"] = json!({ "port": 80, "interval": 500, "responseTimeout": 1000, "healthyThreshold": 1,
        "unhealthyThreshold": 2 });
    let service = world.active_service(&stack, "web", json!({"scale": 2, "launchConfig": config}));
    assert_eq!(second.running("far"), 2);
    let healthy = |world: &World| {
        world
            .api
            .wait(&service, "healthy", |now| now["healthState"] == "healthy");
    };
    healthy(&world);
    let container = world.api.get("/containers?name=far-web-1")["data"][0].clone();
    let said = first_line(&world, &container);
    assert!(said.ends_with("hello from afar"), "{said}");

    let proxy = container["actions"]["proxy"].as_str().unwrap();
    let refused = reqwest::blocking::Client::new().post(proxy).json(&json!({})).send();
    let refused = refused.unwrap();
    assert_eq!(refused.status().as_u16(), 409);
    assert!(refused.text().unwrap().contains("on another machine"));

    // Nobody reads the kernel's files there: the engine tells what its containers use.
    let stats = world.api.get(host["links"]["hostStats"].as_str().unwrap());
    let looks: Value = serde_json::from_str(&first_frame(&stats)).unwrap();
    let look = &looks[0];
    assert_eq!((&look["id"], &look["resourceType"]), (&host["id"], &json!("host")));
    let number = |member: &str| look.pointer(member).and_then(Value::as_u64).unwrap_or_default();
    assert!(
        number("/cpu/usage/total") > 0 && number("/network/rx_bytes") > 0,
        "{look:#}"
    );
    let used = number("/memory/usage");
    assert!(used > 0 && used < number("/memory/limit"), "{look:#}");
    assert_eq!(look["network"]["interfaces"], Value::Null, "they are containers'");

    // The agent dies: what runs goes on, and the host is away until the agent is back.
    let before = second.docker.containers("far");
    agent.kill();
    wait_host(&world, "engine1", "disconnected");
    assert_eq!(second.running("far"), 2);
    agent.again();
    wait_host(&world, "engine1", "active");
    world.api.put(&service, json!({"scale": 3}));
    wait_until("a third one", PATIENCE, || match second.running("far") {
        3 => Ok(()),
        other => Err(other),
    });
    world.api.wait_state(&service, "active");

    // The server dies: the agent dials again by itself, and the host is the one that it was.
    world.kill_server();
    world.restart_server();
    assert_eq!(wait_host(&world, "engine1", "active")["id"], host["id"]);
    healthy(&world);
    let after = second.docker.containers("far");
    assert!(
        before.iter().all(|old| after.iter().any(|new| new.id == old.id)),
        "nothing was made anew"
    );

    // A second agent for the same engine is another host of nobody: the first keeps it.
    let twice = Agent::start(&second.docker.url, token(&world)["registrationUrl"].as_str().unwrap());
    wait_until("the second agent to be told why it waits", PATIENCE, || {
        let agents = world.api_at("v2-beta").get("/agents");
        let waits = agents["data"].as_array().into_iter().flatten().any(|agent| {
            let why = agent["transitioningMessage"].as_str().unwrap_or_default();
            agent["state"] == "activating" && why.contains("is that of host engine1 already")
        });
        if waits { Ok(()) } else { Err(agents) }
    });
    assert_eq!(hosts(&world).iter().filter(|host| host["name"] == "engine1").count(), 1);
    drop(twice);

    // Removed: its containers and its key go, and the agent ends.
    let host = world.api.reload(&host);
    world.api.action(&host, "deactivate", json!({}));
    let host = world.api.wait_state(&host, "inactive");
    world.api.delete(&host);
    assert_eq!(agent.wait_end().code(), Some(78));
    assert!(second.docker.containers("far").is_empty());
    let left = second
        .docker
        .run(&["ps", "--all", "--quiet", "--filter", "label=io.drover.names"]);
    assert_eq!(left, "", "nor is its name server left behind");
}
