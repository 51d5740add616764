//! A server that is killed every few seconds, for minutes, while services come, change, crash and go on a real engine. At the
//! end nothing may be lost, left over, stuck, or called healthy that is not.
//!
//! It takes `DROVER_TEST_CHAOS` seconds; without that it is skipped. `members` has the same done to several servers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{World, launch, merge, wait_until};

/// Between two kills.
const KILL_EVERY: Duration = Duration::from_secs(5);
/// How long everything may take to come to rest once nobody kills any more.
const REST: Duration = Duration::from_secs(180);
const STACK: &str = "chaos";

/// What is counted.
#[derive(Debug, Default)]
struct Figures {
    kills: usize,
    accepted: usize,
    upgrades: usize,
    rollbacks: usize,
    lost: Vec<String>,
    orphans: Vec<String>,
    stuck: Vec<String>,
    falsely_healthy: Vec<String>,
}

fn shell(script: &str) -> Value {
    let mut config = launch("busybox:1");
    config["command"] = json!(["sh", "-c", script]);
    config
}

fn generation(n: usize) -> Value {
    let mut config = launch(if n.is_multiple_of(2) { "web:1" } else { "web:2" });
    config["environment"] = json!({"GENERATION": n.to_string()});
    config
}

/// The services: name, and what they are made of.
fn services() -> Vec<(&'static str, Value)> {
    let deaf = "trap 'sleep 2; exit 0' TERM; while true; do sleep 0.2; done";
    let mut slow = shell(deaf);
    slow["stopTimeout"] = json!(4);
    let mut once = shell("sleep 1");
    once["labels"] = json!({"io.rancher.container.start_once": "true"});
    let mut checked = launch("web:1");
    checked["healthCheck"] = json!({"port": 80, "requestLine": "GET /health HTTP/1.0", "interval": 500, "responseTimeout": 1000,
        "healthyThreshold": 1, "unhealthyThreshold": 2});
    vec![
        ("slow", json!({"scale": 2, "launchConfig": slow})),
        ("once", json!({"scale": 2, "launchConfig": once})),
        ("checked", json!({"scale": 2, "launchConfig": checked})),
        ("scaled", json!({"scale": 1, "launchConfig": launch("web:1")})),
        ("upgraded", json!({"scale": 3, "launchConfig": generation(0)})),
        (
            "crashing",
            json!({"scale": 1, "launchConfig": shell("sleep 0.3; exit 3")}),
        ),
    ]
}

/// The rows of a list that are not removed.
fn rows(world: &World, path: &str) -> Vec<Value> {
    let list = world.api.get(path);
    let rows = list["data"].as_array().cloned().unwrap_or_default();
    rows.into_iter().filter(|row| row["removed"].is_null()).collect()
}

/// What is going on beside the kills: each turn asks for something new. What cannot be done now is refused, which is no harm.
struct Trouble {
    services: BTreeMap<&'static str, Value>,
    generation: usize,
    alone: Vec<Value>,
    turn: usize,
}

impl Trouble {
    fn go_on(&mut self, world: &World, figures: &mut Figures) {
        self.turn += 1;
        let ask = |row: &Value, action: &str, body: Value| -> bool {
            let now = world.api.reload(row);
            let url = now["actions"][action].as_str().map(str::to_owned);
            url.is_some_and(|url| world.api.send("POST", &url, Some(body)).0 < 300)
        };
        let upgraded = &self.services["upgraded"];
        let state = world.api.reload(upgraded)["state"].clone();
        match state.as_str() {
            Some("active") => {
                let input = json!({"inServiceStrategy": {"batchSize": 1, "intervalMillis": 300, "launchConfig": generation(self.generation + 1)}});
                if ask(upgraded, "upgrade", input) {
                    self.generation += 1;
                    figures.upgrades += 1;
                }
            }
            Some("upgraded" | "upgrading") if self.turn.is_multiple_of(3) => {
                figures.rollbacks += usize::from(ask(upgraded, "rollback", json!({})));
            }
            Some("upgraded") => {
                ask(upgraded, "finishupgrade", json!({}));
            }
            _ => {}
        }
        let scale = json!({"scale": 1 + self.turn % 4});
        let url = self.services["scaled"]["links"]["self"].as_str().unwrap().to_owned();
        world.api.send("PUT", &url, Some(scale));
        let mut body = launch("busybox:1");
        body["name"] = json!(format!("alone-{}", self.turn));
        let (status, made) = world.api.send("POST", "/containers", Some(body));
        if status == 201 {
            figures.accepted += 1;
            self.alone.push(made);
        }
        if self.alone.len() > 3 {
            let oldest = self.alone.remove(0);
            let url = oldest["links"]["self"].as_str().unwrap().to_owned();
            world.api.send("DELETE", &url, None);
        }
        // One of the slow ones is killed behind the server's back.
        if let Some(victim) = world
            .docker
            .containers(STACK)
            .iter()
            .find(|c| c.running && c.name.contains("slow"))
        {
            world.docker.output(&["kill", &victim.id]);
        }
    }
}

/// Whether a service has come to rest, as far as it ever will: what keeps crashing does not.
fn rests(service: &Value) -> bool {
    match service["name"].as_str() {
        Some("crashing") => service["transitioningMessage"]
            .as_str()
            .is_some_and(|m| m.contains("exited")),
        _ => service["state"] == "active" && service["transitioning"] == "no",
    }
}

fn name_of(row: &Value) -> String {
    format!(
        "{} {} {}: {}",
        row["id"], row["name"], row["state"], row["transitioningMessage"]
    )
}

fn count(world: &World, trouble: &Trouble, figures: &mut Figures) {
    let containers = rows(world, "/containers?limit=1000");
    let ours: Vec<&Value> = containers.iter().filter(|c| c["nativeContainer"] != true).collect();
    let one = ours.iter().find_map(|c| c["externalId"].as_str()).unwrap();
    let server = world.docker.inspect(one)["Config"]["Labels"]["io.drover.server"]
        .as_str()
        .unwrap()
        .to_owned();
    let filter = format!("label=io.drover.server={server}");
    let on_engine = world
        .docker
        .run(&["ps", "--all", "--no-trunc", "--quiet", "--filter", &filter]);
    let mut on_engine: BTreeSet<&str> = on_engine.lines().collect();
    // Name servers are no containers of anybody's.
    let names = world.docker.run(&[
        "ps",
        "--all",
        "--no-trunc",
        "--quiet",
        "--filter",
        "label=io.drover.names",
    ]);
    on_engine.retain(|id| !names.lines().any(|name| name == *id));
    let running = world.docker.run(&["ps", "--no-trunc", "--quiet", "--filter", &filter]);
    let running: BTreeSet<&str> = running.lines().collect();
    let known: BTreeSet<&str> = ours.iter().filter_map(|c| c["externalId"].as_str()).collect();
    let orphans = on_engine.difference(&known);
    figures.orphans = orphans
        .map(|id| format!("{id} {}", world.docker.inspect(id)["Name"]))
        .collect();
    for row in &ours {
        let id = row["externalId"].as_str().unwrap_or_default();
        let is_crashing = row["name"].as_str().is_some_and(|name| name.contains("crashing"));
        let is_up = row["state"] == "running";
        if !on_engine.contains(id) || is_up && !running.contains(id) && !is_crashing {
            figures.lost.push(name_of(row));
        }
        if row["transitioning"] == "yes" && !is_crashing {
            figures.stuck.push(name_of(row));
        }
        if row["healthState"] == "healthy" && !running.contains(id) && !is_crashing {
            figures.falsely_healthy.push(name_of(row));
        }
    }
    let services = rows(world, "/services?limit=1000");
    for (name, wanted) in &trouble.services {
        let Some(now) = services.iter().find(|s| s["id"] == wanted["id"]) else {
            figures.lost.push((*name).to_owned());
            continue;
        };
        let own: Vec<&&Value> = ours
            .iter()
            .filter(|c| c["serviceIds"].as_array().is_some_and(|ids| ids.contains(&now["id"])))
            .collect();
        let up = own.iter().filter(|c| c["state"] == "running").count() as u64;
        let is_enough = *name == "once" || Some(up) >= now["scale"].as_u64();
        if !rests(now) {
            figures.stuck.push(name_of(now));
        }
        if now["healthState"] == "healthy" && (!is_enough || *name == "crashing") {
            figures.falsely_healthy.push(name_of(now));
        }
    }
    for made in &trouble.alone {
        if !ours.iter().any(|c| c["id"] == made["id"] && c["state"] == "running") {
            figures.lost.push(name_of(made));
        }
    }
}

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing() {
    let Some(seconds) = std::env::var("DROVER_TEST_CHAOS").ok().and_then(|s| s.parse().ok()) else {
        return;
    };
    let Some(mut world) = World::start() else { return };
    live_through(&mut world, seconds, |world| {
        world.kill_server();
        world.restart_server();
    });
}

/// Services live for so many seconds while something is done to the server every few of them; then nothing may be wrong.
pub fn live_through(world: &mut World, seconds: u64, mut disturb: impl FnMut(&mut World)) {
    let stack = world.stack(STACK);
    let mut figures = Figures::default();
    let mut trouble = Trouble {
        services: BTreeMap::new(),
        generation: 0,
        alone: Vec::new(),
        turn: 0,
    };
    for (name, more) in services() {
        let mut body = json!({"name": name, "stackId": stack["id"], "startOnCreate": true});
        merge(&mut body, more);
        trouble.services.insert(name, world.api.post("/services", body));
        figures.accepted += 1;
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let next = Instant::now() + KILL_EVERY;
        while Instant::now() < next {
            trouble.go_on(world, &mut figures);
            std::thread::sleep(KILL_EVERY / 4);
        }
        disturb(world);
        figures.kills += 1;
    }
    // The last upgrade is brought to its end, and then everything has to come to rest.
    wait_until("everything to rest", REST, || {
        let services = rows(world, "/services?limit=1000");
        if let Some(upgraded) = services
            .iter()
            .find(|s| s["name"] == "upgraded" && s["state"] == "upgraded")
        {
            let url = upgraded["actions"]["finishupgrade"].as_str().unwrap_or_default();
            world.api.send("POST", url, Some(json!({})));
        }
        let awake: Vec<String> = services.iter().filter(|s| !rests(s)).map(name_of).collect();
        let alone = rows(world, "/containers?limit=1000");
        let busy = alone
            .iter()
            .filter(|c| c["serviceIds"].as_array().is_none_or(Vec::is_empty) && c["transitioning"] == "yes");
        let awake: Vec<String> = awake.into_iter().chain(busy.map(name_of)).collect();
        // What does not rest is counted below.
        if awake.is_empty() || Instant::now() > end + REST - Duration::from_secs(5) {
            Ok(())
        } else {
            Err(awake)
        }
    });
    count(world, &trouble, &mut figures);
    println!("{figures:#?}");
    let wrong = [
        &figures.lost,
        &figures.orphans,
        &figures.stuck,
        &figures.falsely_healthy,
    ];
    assert!(wrong.iter().all(|list| list.is_empty()), "{figures:#?}");
}
