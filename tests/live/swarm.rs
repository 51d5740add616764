//! A swarm for live tests: three engines, each on a machine of its own as far as networks go.

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::Value;

use crate::several::wait_host;
use crate::support::{Docker, World, held_script, real_part, wait_until};

/// How long a swarm may take to see that a node is gone, and a start on it to fail: 20 seconds each, and some more.
pub const SWARMS_PATIENCE: Duration = Duration::from_secs(90);

/// A swarm of three nodes until it is dropped.
pub struct Swarm {
    child: Child,
}

impl Swarm {
    pub fn start(managers: u8) -> Self {
        let managers = managers.to_string();
        Self {
            child: held_script("swarm-env", &["3", &managers]),
        }
    }

    /// As a flag of the server.
    pub fn flag(managers: u8) -> String {
        let urls: Vec<String> = (1..=managers)
            .map(|number| format!("tcp://10.77.0.{number}:2376"))
            .collect();
        format!("swarm={},cert-path=/run/drover-live/swarm/client", urls.join(","))
    }

    /// The engine of a node, asked beside the server.
    pub fn node(number: u8) -> Docker {
        Docker {
            url: format!("unix:///run/drover-live/swarm/{number}.sock"),
        }
    }

    /// Sends a signal to the engine of a node.
    pub fn signal(number: u8, signal: &str) {
        let pid = std::fs::read_to_string(format!("/run/drover-live/swarm/{number}.pid")).unwrap();
        let sent = Command::new("kill").args([signal, pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    /// Cuts a node off, or connects it again.
    pub fn link(number: u8, is_up: bool) {
        let state = if is_up { "up" } else { "down" };
        let set = Command::new("ip")
            .args(["link", "set", &format!("node{number}"), state])
            .status()
            .unwrap();
        assert!(set.success());
    }

    /// Says whether a node takes what is new.
    pub fn availability(number: u8, word: &str) {
        Self::node(1).run(&["node", "update", "--availability", word, &format!("node{number}")]);
    }

    /// The running containers of a stack on each node.
    pub fn spread(stack: &str) -> [usize; 3] {
        [1, 2, 3].map(|number| {
            let containers = Self::node(number).containers(stack);
            containers.iter().filter(|c| c.running).count()
        })
    }

    /// The addresses of all that run, and that nobody has one of them twice.
    pub fn addresses() -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for number in 1..=3 {
            let node = Self::node(number);
            let ids = node.run(&["ps", "--quiet", "--filter", "label=io.drover.server"]);
            for id in ids.lines() {
                let found = node.inspect(id);
                let networks = found["NetworkSettings"]["Networks"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default();
                for address in networks.values().filter_map(|network| network["IPAddress"].as_str()) {
                    let name = format!("{} on {number}", found["Name"]);
                    if let Some(other) = all.insert(address.to_owned(), name.clone()) {
                        panic!("{address} is that of {other} and of {name}");
                    }
                }
            }
        }
        all
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A swarm of three nodes, the first of them managers, and a server that follows it.
pub fn begin(managers: u8) -> Option<(Swarm, World)> {
    begin_after(managers, || ()).inspect(|(_, world)| {
        ["node1", "node2", "node3"]
            .iter()
            .for_each(|node| drop(wait_host(world, node, "active")))
    })
}

/// The same after something was done to the swarm; which hosts there are is not waited for.
pub fn begin_after(managers: u8, prepare: impl FnOnce()) -> Option<(Swarm, World)> {
    real_part("DROVER_TEST_DOCKER")?;
    let swarm = Swarm::start(managers);
    prepare();
    let world = World::begin(Some(&Swarm::flag(managers)), &[])?;
    Some((swarm, world))
}

/// Waits until so many containers of a stack run on each node.
pub fn wait_spread(stack: &str, expected: [usize; 3]) {
    wait_until(&format!("{stack} to be spread {expected:?}"), SWARMS_PATIENCE, || {
        let now = Swarm::spread(stack);
        if now == expected { Ok(()) } else { Err(now) }
    });
}

/// Name, address and host of each container of a service.
pub fn containers(world: &World, service: &Value) -> Vec<(String, String, String)> {
    let path = format!("/services/{}/instances", service["id"].as_str().unwrap());
    let all = world.api.get(&path);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = all["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| (text(&row["name"]), text(&row["primaryIpAddress"]), text(&row["hostId"])))
        .collect();
    all.sort();
    all
}
