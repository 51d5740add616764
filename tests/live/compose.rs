//! An application of two stacks from compose files on a real engine: made, upgraded, rolled back, written, and made again.

use serde_json::{Value, json};

use crate::support::{Container, PATIENCE, World, wait_until};

const STORE: &str = "
version: '2'
services:
  store:
    image: drover-test/web:1
    volumes: ['data:/data']
volumes: {data: {}}
";

const SHOP: &str = "
version: '2'
services:
  web:
    image: drover-test/web:1
    external_links: ['filed-store/store:store']
    labels: {io.rancher.sidekicks: log}
    environment: {PORT: '${PORT}'}
  log:
    image: drover-test/busybox:1
    network_mode: 'container:web'
";

fn make(world: &World, name: &str, body: Value) -> Value {
    world.remember_stack(name);
    let mut all = json!({"name": name, "startOnCreate": true});
    crate::support::merge(&mut all, body);
    let stack = world.api.post("/stacks", all);
    assert_eq!(stack["state"], "activating", "{stack:#}");
    world.api.wait_state(&stack, "active")
}

fn images(world: &World, stack: &str) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = world
        .docker
        .containers(stack)
        .into_iter()
        .map(|c: Container| (c.image, c.running))
        .collect();
    found.sort();
    found
}

fn wait_images(world: &World, stack: &str, wanted: &[(&str, bool)]) {
    wait_until(&format!("{wanted:?} of {stack}"), PATIENCE, || {
        let found = images(world, stack);
        let is_it = found
            .iter()
            .map(|(image, runs)| (image.as_str(), *runs))
            .eq(wanted.iter().copied());
        if is_it { Ok(()) } else { Err(found) }
    });
}

#[test]
fn an_application_is_made_of_files_upgraded_rolled_back_and_made_again() {
    let Some(world) = World::start() else { return };
    let (log, one, two) = ("drover-test/busybox:1", "drover-test/web:1", "drover-test/web:2");
    make(&world, "filed-store", json!({"dockerCompose": STORE}));
    let shop = make(
        &world,
        "filed-shop",
        json!({"dockerCompose": SHOP, "environment": {"PORT": "8080"}}),
    );
    wait_images(&world, "filed-store", &[(one, true)]);
    wait_images(&world, "filed-shop", &[(log, true), (one, true)]);
    // The volume is the stack's own, and the sidekick is in the network of its service.
    let store = &world.docker.containers("filed-store")[0];
    let mounts = world.docker.inspect(&store.id)["Mounts"].clone();
    assert_eq!(mounts[0]["Name"], "filed-store_data", "{mounts:#}");
    let find = |image: &str| {
        let all = world.docker.containers("filed-shop");
        all.into_iter()
            .find(|c| c.image == image && c.running)
            .expect("it runs")
    };
    let mode = world.docker.inspect(&find(log).id)["HostConfig"]["NetworkMode"].clone();
    assert_eq!(mode, format!("container:{}", find(one).id));
    let environment = world.docker.inspect(&find(one).id)["Config"]["Env"].clone();
    assert!(
        environment.as_array().expect("a list").contains(&json!("PORT=8080")),
        "{environment}"
    );
    // The sidekick shares the network of its service, and the link leads from there to the other stack.
    wait_until("the link to lead to the store", PATIENCE, || {
        let fetched = world.docker.fetch(&find(log).id, "http://store/");
        if fetched.as_deref().is_some_and(|text| text.contains('1')) {
            Ok(())
        } else {
            Err(fetched)
        }
    });

    let upgraded = SHOP.replace("drover-test/web:1", "drover-test/web:2");
    let answer = world.api.action(&shop, "upgrade", json!({"dockerCompose": upgraded}));
    assert_eq!(answer["state"], "upgrading", "{answer:#}");
    world.api.wait_state(&shop, "upgraded");
    // What joins the network of the service is made anew with it.
    wait_images(
        &world,
        "filed-shop",
        &[(log, false), (log, true), (one, false), (two, true)],
    );
    world.api.action(&shop, "rollback", json!({}));
    let back = world.api.wait_state(&shop, "active");
    assert_eq!(back["dockerCompose"], SHOP, "{back:#}");
    wait_images(&world, "filed-shop", &[(log, true), (one, true)]);

    let files = world.api.action(&shop, "exportconfig", json!({}));
    let body = json!({"dockerCompose": files["dockerComposeConfig"], "rancherCompose": files["rancherComposeConfig"]});
    let again = make(&world, "filed-again", body);
    wait_images(&world, "filed-again", &[(log, true), (one, true)]);
    let written = world.api.action(&again, "exportconfig", json!({}));
    assert_eq!(written["dockerComposeConfig"], files["dockerComposeConfig"]);
    for name in ["filed-again", "filed-shop", "filed-store"] {
        let stacks = world.api.get(&format!("/stacks?name={name}"));
        world.api.delete(&stacks["data"][0]);
        world.wait_gone(name);
    }
    world.docker.run(&["volume", "rm", "filed-store_data"]);
}
