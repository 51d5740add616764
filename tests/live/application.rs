//! An application as somebody would run it: two stacks from compose files, with a sidekick, a link across stacks, volumes, a
//! secret and a balancer; upgraded while it is asked without end, rolled back, written, and made again elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::balancers::{Load, get, wait_get, world};
use crate::support::{Container, PATIENCE, World, free_port, merge, wait_until};

const STORE: &str = "
version: '2'
services:
  store:
    image: drover-test/web:1
    environment: {WHO: store}
    volumes: ['data:/data', 'own:/own']
volumes:
  data: {driver: local}
  own: {per_container: true}
";

const SHOP: &str = "
version: '3.1'
services:
  web:
    image: drover-test/web:1
    environment: {WHO: '${WHO}'}
    external_links: ['whole-store/store:store']
    labels: {io.rancher.sidekicks: log}
    secrets: [{source: password, target: word, uid: 1000, mode: 0400}]
  log:
    image: drover-test/busybox:1
    network_mode: 'container:web'
  lb:
    image: rancher/lb-service-haproxy
    ports: ['${PORT}:${PORT}/tcp']
secrets:
  password: {external: true}
";

const SHOP_RANCHER: &str = "
version: '2'
services:
  web:
    scale: 2
    upgrade_strategy: {batch_size: 1, interval_millis: 200, start_first: true}
    health_check: {port: 80, request_line: 'GET /health HTTP/1.0', interval: 200, response_timeout: 1000, healthy_threshold: 1, unhealthy_threshold: 2}
  lb:
    lb_config:
      port_rules: [{source_port: '${PORT}', protocol: http, service: web, target_port: 80}]
";

fn make(world: &World, name: &str, body: Value) -> Value {
    world.remember_stack(name);
    let mut all = json!({"name": name, "startOnCreate": true});
    merge(&mut all, body);
    let stack = world.api.post("/stacks", all);
    world.api.wait(&stack, "an active, healthy stack", |row| {
        row["state"] == "active" && row["healthState"] == "healthy"
    })
}

fn running(world: &World, stack: &str, image: &str) -> Vec<Container> {
    let mut all = world.docker.containers(stack);
    all.retain(|c| c.running && c.image == image);
    all
}

/// Works on the stack while it is asked without end: no request fails.
fn under_load(port: u16, what: &str, work: impl FnOnce()) {
    let load = Load::begin(port, "/");
    work();
    let (asked, failures) = load.end();
    assert!(
        failures.is_empty(),
        "{what}: {} of {asked}: {failures:#?}",
        failures.len()
    );
    assert!(asked > 20, "{what}: {asked} requests are no load");
}

#[test]
fn an_application_serves_while_it_is_upgraded_and_rolled_back() {
    let Some(world) = world() else { return };
    let body = json!({"name": "password", "value": STANDARD.encode("open sesame")});
    let secret = world.api.post("/secrets", body);
    world.api.wait_state(&secret, "active");
    make(&world, "whole-store", json!({"dockerCompose": STORE}));
    let port = free_port();
    let files = |image: &str| {
        json!({"dockerCompose": SHOP.replace("drover-test/web:1", image), "rancherCompose": SHOP_RANCHER,
            "environment": {"WHO": "shop", "PORT": port.to_string()}})
    };
    let shop = make(&world, "whole-shop", files("drover-test/web:1"));
    wait_get(port, "any", "/", (200, "1"), PATIENCE);
    assert_eq!(get(port, "any", "/who"), (200, "shop".to_owned()));

    // What the files ask for is there.
    let store = &running(&world, "whole-store", "drover-test/web:1")[0];
    let mounts = world.docker.inspect(&store.id)["Mounts"].clone();
    let mut names: Vec<&str> = mounts
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|m| m["Name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names[0], "whole-store_data", "{names:?}");
    let own = names[1].to_owned();
    assert!(own.starts_with("whole-store_own_1_"), "{names:?}");
    for web in running(&world, "whole-shop", "drover-test/web:1") {
        let exec = |command: &[&str]| world.docker.run(&[&["exec", &web.id], command].concat());
        assert_eq!(exec(&["cat", "/run/secrets/word"]), "open sesame");
        assert_eq!(exec(&["stat", "-c", "%u %a", "/run/secrets/word"]).trim(), "1000 400");
        let linked = wait_until("the link to lead to the other stack", PATIENCE, || {
            world.docker.fetch(&web.id, "http://store/who").ok_or(())
        });
        assert_eq!(linked, "store");
    }
    // A container of the store that is made anew has what the one before it wrote.
    world
        .docker
        .run(&["exec", &store.id, "sh", "-c", "echo kept > /own/word"]);
    world.docker.run(&["rm", "--force", &store.id]);
    let next = wait_until("the store to be back", PATIENCE, || {
        let now = running(&world, "whole-store", "drover-test/web:1");
        now.into_iter().find(|c| c.id != store.id).ok_or(())
    });
    assert_eq!(world.docker.run(&["exec", &next.id, "cat", "/own/word"]), "kept");

    under_load(port, "an upgrade", || {
        world.api.action(&shop, "upgrade", files("drover-test/web:2"));
        world.api.wait_state(&shop, "upgraded");
        wait_get(port, "any", "/", (200, "2"), PATIENCE);
    });
    assert_eq!(running(&world, "whole-shop", "drover-test/web:2").len(), 2);
    world.api.action(&shop, "rollback", json!({}));
    world.api.wait_state(&shop, "active");
    wait_get(port, "any", "/", (200, "1"), PATIENCE);
    wait_until("the first containers to be back", PATIENCE, || {
        let (old, new) = (
            running(&world, "whole-shop", "drover-test/web:1"),
            running(&world, "whole-shop", "drover-test/web:2"),
        );
        if old.len() == 2 && new.is_empty() {
            Ok(())
        } else {
            Err((old, new))
        }
    });

    // Written, and made again under another name and at another port.
    let written = world.api.action(&shop, "exportconfig", json!({}));
    let text = |file: &str| written[file].as_str().unwrap().to_owned();
    assert!(
        !text("dockerComposeConfig").contains("sesame"),
        "no value of a secret is written"
    );
    let other = free_port();
    let moved = |text: String| text.replace(&port.to_string(), &other.to_string());
    let again = json!({"dockerCompose": moved(text("dockerComposeConfig")), "rancherCompose": moved(text("rancherComposeConfig"))});
    let again = make(&world, "whole-again", again);
    wait_get(other, "any", "/who", (200, "shop"), PATIENCE);
    let rewritten = world.api.action(&again, "exportconfig", json!({}));
    for file in ["dockerComposeConfig", "rancherComposeConfig"] {
        assert_eq!(rewritten[file].as_str().unwrap(), moved(text(file)), "{file}");
    }
    for name in ["whole-again", "whole-shop", "whole-store"] {
        let stacks = world.api.get(&format!("/stacks?name={name}"));
        world.api.delete(&stacks["data"][0]);
        world.wait_gone(name);
    }
    // The unit's own volume is gone with it; what all share stays.
    wait_until("the unit's volume to be gone", PATIENCE, || {
        let volumes = world.docker.run(&["volume", "ls", "--quiet"]);
        if volumes.lines().any(|name| name == own) {
            Err(volumes)
        } else {
            Ok(())
        }
    });
    world.docker.run(&["volume", "rm", "whole-store_data"]);
}
