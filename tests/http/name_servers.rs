//! Name servers: when they are made, what they are told, and what becomes of containers where there is none. The engine is
//! simulated; what a name server answers is not asked here.

use std::time::Duration;

use drover::engine::NameKeeper;
use drover::model::network_table::Table;
use serde_json::{Value, json};

use crate::support::{World, text};

/// The uuid of the Default project.
const PROJECT: &str = "adminProject";

/// A world whose engine can have name servers, and what keeps them.
async fn world() -> (World, NameKeeper) {
    let world = World::new().await;
    world.sim().allow_name_servers();
    let names = world.engine.names();
    (world, names)
}

/// Lets everything happen that is due, names included, until the containers that wait for a name server have it.
async fn rest(world: &World, names: &mut NameKeeper) {
    for _ in 0..4 {
        world.settle().await;
        let _ = names.turn().await;
        world.advance(Duration::from_millis(200)).await;
    }
    names.turn().await.expect("nothing is in the way");
}

fn table(world: &World) -> Table {
    world.sim().name_table(PROJECT).expect("there is a name server")
}

fn sim_service(name: &str, stack: &str, more: Value) -> Value {
    let mut body =
        json!({"name": name, "stackId": stack, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    crate::support::lay_over(&mut body, more);
    body
}

/// The state of what the server noted of a container, by which others find it.
fn noted(world: &World, container: &str) -> Value {
    let id = container.trim_start_matches("1i");
    let lines = world.stored();
    let line = lines
        .iter()
        .find(|line| line.starts_with(&format!("resource {id} ")))
        .expect("the row");
    let notes = &line[line.find("{\"index\"").expect("notes begin so")..];
    serde_json::from_str::<Value>(notes).expect("they are JSON")["names"].clone()
}

#[actix_web::test]
async fn the_first_container_of_a_project_waits_for_its_name_server_and_uses_it() {
    let (world, mut names) = world().await;
    let stack = world.stack("app").await;
    let service = world.post("services", sim_service("web", &stack, json!({}))).await.ok();
    world.settle().await;
    let waiting = world.containers(text(&service, "id")).await;
    assert_eq!(
        waiting[0]["transitioningMessage"], "Waiting for the name server",
        "{waiting:#?}"
    );
    assert!(world.sim().name_server_addresses().is_empty());

    rest(&world, &mut names).await;
    let calls = world.sim().calls();
    let place = |what: &str| {
        calls
            .iter()
            .position(|call| call.starts_with(what))
            .expect("it was called")
    };
    assert!(place("ensure_name_server") < place("create "), "{calls:#?}");
    let servers = world.sim().name_server_addresses();
    // The last address of the simulated network, which is the whole pool.
    assert_eq!(servers, [(PROJECT.to_owned(), "10.42.255.254".to_owned())]);
    let containers = world.containers(text(&service, "id")).await;
    assert_eq!(containers[0]["state"], "running");
    assert_eq!(
        noted(&world, text(&containers[0], "id")),
        json!({"server": "10.42.255.254"})
    );
    let table = table(&world);
    let shown = table.containers.values().next().expect("the container is told of");
    assert_eq!(
        (shown.name.as_str(), shown.state.as_str(), shown.primary_ip.as_deref()),
        ("app-web-1", "running", containers[0]["primaryIpAddress"].as_str())
    );
    assert_eq!(
        (table.subnet.as_str(), table.gateway.as_str()),
        ("10.42.0.0/16", "10.42.0.1")
    );

    // A second one does not wait, and nothing is made again.
    world.put(text(&service, "id"), json!({"scale": 2})).await.ok();
    world.settle().await;
    assert_eq!(world.sim().count("ensure_name_server"), 1);
    assert_eq!(world.containers(text(&service, "id")).await.len(), 2);
}

#[actix_web::test]
async fn a_link_set_on_a_running_service_is_told_and_its_containers_stay() {
    let (world, mut names) = world().await;
    let (near, far) = (world.stack("near").await, world.stack("far").await);
    let web = world.post("services", sim_service("web", &near, json!({}))).await.ok();
    let db = world.post("services", sim_service("db", &far, json!({}))).await.ok();
    rest(&world, &mut names).await;
    let links = |world: &World| {
        let table = table(world);
        let web = table.services.values().find(|service| service.name == "web").cloned();
        web.expect("it is told of").links
    };
    assert!(links(&world).is_empty());
    let before = world.picture(text(&web, "id")).await;
    let (snapshots, number) = (world.sim().count("feed_name_server"), table(&world).number);

    let link = json!({"serviceLink": {"serviceId": db["id"], "name": "mysql"}});
    world.act(text(&web, "id"), "addservicelink", link.clone()).await.ok();
    names.turn().await.expect("it is told");
    assert_eq!(links(&world), [("far/db".to_owned(), "mysql".to_owned())].into());
    assert!(table(&world).number > number);
    world.act(text(&web, "id"), "removeservicelink", link).await.ok();
    names.turn().await.expect("it is told");
    assert!(links(&world).is_empty());
    assert_eq!(world.picture(text(&web, "id")).await, before);
    assert_eq!(
        world.sim().count("feed_name_server"),
        snapshots,
        "by the way that was open"
    );

    // By its name, before there is such a service.
    let named = json!({"serviceLinks": [{"service": "far/later"}]});
    world.act(text(&web, "id"), "setservicelinks", named).await.ok();
    names.turn().await.expect("it is told");
    assert!(links(&world).is_empty());
    world
        .post("services", sim_service("later", &far, json!({"startOnCreate": false})))
        .await
        .ok();
    names.turn().await.expect("it is told");
    assert_eq!(links(&world), [("far/later".to_owned(), String::new())].into());
}

#[actix_web::test]
async fn a_table_tells_of_everything_in_a_project() {
    let (world, mut names) = world().await;
    let stack = world.stack("app").await;
    let side = json!({"name": "side", "imageUuid": "sim:side", "labels": {"of": "side"}, "expose": ["99"]});
    let web = sim_service(
        "Web",
        &stack,
        json!({
            "scale": 1, "metadata": {"answer": 42, "Deep": {"b": [1, "2"]}}, "secondaryLaunchConfigs": [side],
            "launchConfig": {"ports": ["8080:80/tcp"], "labels": {"of": "web"}, "dns": ["192.0.2.1"], "dnsSearch": ["own.example"],
                "memoryReservation": 64_000_000, "milliCpuReservation": 100,
                "healthCheck": {"port": 80, "requestLine": "GET / HTTP/1.0", "interval": 2000, "responseTimeout": 1000,
                    "healthyThreshold": 2, "unhealthyThreshold": 3}},
        }),
    );
    let web = world.post("services", web).await.ok();
    let outside = json!({"name": "outside", "stackId": stack, "externalIpAddresses": ["192.0.2.7", "192.0.2.8"]});
    let outside = world.post("externalServices", outside).await.ok();
    let named = json!({"name": "named", "stackId": stack, "hostname": "www.example.com"});
    world.post("externalServices", named).await.ok();
    let alias = json!({"name": "alias", "stackId": stack});
    let alias = world.post("dnsServices", alias).await.ok();
    let links = json!({"serviceLinks": [{"serviceId": web["id"]}, {"serviceId": outside["id"], "name": "it"}]});
    world.act(text(&alias, "id"), "setservicelinks", links).await.ok();
    let adopting = json!({"name": "adopting", "stackId": stack, "startOnCreate": true, "selectorContainer": "colour=blue",
        "launchConfig": {"imageUuid": "docker:rancher/none"}});
    world.post("services", adopting).await.ok();
    rest(&world, &mut names).await;
    let alone = json!({"name": "alone", "imageUuid": "sim:web", "labels": {"colour": "blue"}});
    let alone = world.post("containers", alone).await.ok();
    let linked = json!({"name": "linked", "imageUuid": "sim:web", "instanceLinks": {"friend": alone["id"]}});
    world.post("containers", linked).await.ok();
    let sharing = json!({"name": "sharing", "imageUuid": "sim:web", "networkMode": "container", "networkContainerId": alone["id"]});
    world.post("containers", sharing).await.ok();
    for (name, mode) in [("on-host", "host"), ("shut-off", "none")] {
        let body = json!({"name": name, "imageUuid": "sim:web", "networkMode": mode});
        world.post("containers", body).await.ok();
    }
    rest(&world, &mut names).await;
    world.advance(Duration::from_secs(10)).await;
    rest(&world, &mut names).await;
    check_golden("table.json", &masked(&table(&world)));
}

/// A table without what differs from run to run.
fn masked(table: &Table) -> String {
    let mut text = serde_json::to_string_pretty(&Table {
        number: 0,
        ..table.clone()
    })
    .expect("a table is text");
    let containers = table
        .containers
        .values()
        .map(|c| (&c.uuid, format!("container {}", c.name)));
    let services = table
        .services
        .values()
        .filter(|s| s.primary_service_name.is_empty() || s.primary_service_name == s.name)
        .map(|s| (&s.uuid, format!("service {}", s.name)));
    let stacks = table.stacks.values().map(|s| (&s.uuid, format!("stack {}", s.name)));
    let hosts = table.hosts.values().map(|h| (&h.uuid, format!("host {}", h.name)));
    let networks = table
        .networks
        .values()
        .map(|n| (&n.uuid, format!("network {}", n.name)));
    for (uuid, name) in containers.chain(services).chain(stacks).chain(hosts).chain(networks) {
        text = text.replace(uuid.as_str(), &format!("<{name}>"));
    }
    // Which container is made first, and has the lower address, is nobody's business.
    for container in table.containers.values().filter(|c| c.managed) {
        let address = container.primary_ip.as_deref().expect("one on the network has one");
        text = text.replace(
            &format!("\"{address}\""),
            &format!("\"<address of {}>\"", container.name),
        );
    }
    for container in table.containers.values() {
        let unit = container.labels.get("io.rancher.service.deployment.unit");
        let unit = unit.map(|unit| (unit.as_str(), "<unit>"));
        for (what, mask) in unit.into_iter().chain([(container.external_id.as_str(), "<id>")]) {
            if !what.is_empty() {
                text = text.replace(what, mask);
            }
        }
    }
    for service in table.services.values() {
        text = text.replace(service.token.as_deref().expect("each has one"), "<token>");
    }
    text + "\n"
}

fn check_golden(name: &str, found: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/names")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().expect("it has one")).expect("the folder can be made");
        std::fs::write(&file, found).expect("it can be written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(expected == found, "{name} is not what was reviewed; found\n{found}");
}

#[actix_web::test]
async fn with_the_setting_off_there_is_no_name_server_and_nobody_waits() {
    let (world, mut names) = world().await;
    world
        .put("/v2-beta/settings/network.services", json!({"value": "maybe"}))
        .await
        .refused(422, "InvalidOption");
    world
        .put("/v2-beta/settings/network.services", json!({"value": "off"}))
        .await
        .ok();
    let stack = world.stack("app").await;
    let service = world.running(&stack, "web", json!({})).await;
    assert!(world.sim().name_server_addresses().is_empty());
    let container = world.containers(&service).await.remove(0);
    assert_eq!(noted(&world, text(&container, "id")), json!("aliases"));

    // What is made later follows the setting of its time; what was made stays as it is.
    world.delete("/v2-beta/settings/network.services").await.ok();
    world.put(&service, json!({"scale": 2})).await.ok();
    rest(&world, &mut names).await;
    let containers = world.containers(&service).await;
    let by: Vec<Value> = containers.iter().map(|c| noted(&world, text(c, "id"))).collect();
    assert_eq!(by, [json!("aliases"), json!({"server": "10.42.255.254"})]);
    assert_eq!(table(&world).containers.len(), 2);

    // Off again: it stays for as long as somebody asks it.
    world
        .put("/v2-beta/settings/network.services", json!({"value": "off"}))
        .await
        .ok();
    names.look();
    names.turn().await.expect("it is looked at");
    assert_eq!(world.sim().name_server_addresses().len(), 1);
    world.put(&service, json!({"scale": 1})).await.ok();
    world.advance(Duration::from_secs(2)).await;
    names.look();
    names.turn().await.expect("it is looked at");
    assert!(
        world.sim().name_server_addresses().is_empty(),
        "nobody asks it any more"
    );
}

#[actix_web::test]
async fn where_a_name_server_cannot_run_containers_do_without() {
    let (world, mut names) = world().await;
    world.sim().refuse_name_servers(Some("another architecture"));
    let stack = world.stack("app").await;
    let service = world.post("services", sim_service("web", &stack, json!({}))).await.ok();
    rest(&world, &mut names).await;
    let container = world.containers(text(&service, "id")).await.remove(0);
    assert_eq!(container["state"], "running");
    assert_eq!(noted(&world, text(&container, "id")), json!("aliases"));
    world.sim().refuse_name_servers(None);
    names.look();
    names.turn().await.expect("it can be made");
    assert_eq!(world.sim().name_server_addresses().len(), 1);
}

#[actix_web::test]
async fn a_name_server_that_is_lost_comes_back_where_its_clients_ask_it() {
    let (mut world, mut names) = world().await;
    let stack = world.stack("app").await;
    let service = world.post("services", sim_service("web", &stack, json!({}))).await.ok();
    rest(&world, &mut names).await;
    let before = world.sim().name_server_addresses();
    world.sim().forget_name_server(PROJECT);
    names.look();
    names.turn().await.expect("it is made again");
    assert_eq!(world.sim().name_server_addresses(), before);

    // A way that breaks is opened again, and all is told again.
    world.sim().cut_feeds();
    let opened = world.sim().count("feed_name_server");
    world.put(text(&service, "id"), json!({"scale": 2})).await.ok();
    world.settle().await;
    names.turn().await.expect("it is told");
    assert_eq!(world.sim().count("feed_name_server"), opened + 1);
    assert_eq!(table(&world).containers.len(), 2);

    // Another server takes it over, and makes it anew from the rows if it went meanwhile.
    world.restart().await;
    let mut names = world.engine.names();
    world.sim().forget_name_server(PROJECT);
    names.look();
    for _ in 0..2 {
        names.turn().await.expect("it is made again");
    }
    assert_eq!(world.sim().name_server_addresses(), before);
    assert_eq!(table(&world).containers.len(), 2);
}

#[actix_web::test]
async fn no_container_gets_the_address_of_the_name_server() {
    let (world, mut names) = world().await;
    let body = |name: &str, ip: &str| json!({"name": name, "imageUuid": "sim:web", "labels": {"io.rancher.container.requested_ip": ip}});
    // The last one is taken before there is a name server.
    world
        .put("/v2-beta/settings/network.services", json!({"value": "off"}))
        .await
        .ok();
    let first = world.post("containers", body("first", "10.42.255.254")).await.ok();
    let first = world.wait(text(&first, "id"), "running").await;
    assert_eq!(first["primaryIpAddress"], "10.42.255.254");
    world.delete("/v2-beta/settings/network.services").await.ok();
    let second = world.post("containers", body("second", "10.42.255.253")).await.ok();
    rest(&world, &mut names).await;
    assert_eq!(
        world.sim().name_server_addresses(),
        [(PROJECT.to_owned(), "10.42.255.253".to_owned())]
    );
    let second = world.show(text(&second, "id")).await;
    assert_eq!(
        (&second["state"], &second["primaryIpAddress"]),
        (&json!("running"), &json!("10.42.0.2"))
    );
}

#[actix_web::test]
async fn a_host_that_goes_takes_its_name_server_along() {
    let (world, mut names) = world().await;
    let stack = world.stack("app").await;
    world.post("services", sim_service("web", &stack, json!({}))).await.ok();
    rest(&world, &mut names).await;
    let host = world.list("hosts").await.remove(0);
    world.act(text(&host, "id"), "deactivate", json!({})).await.ok();
    world.settle().await;
    world.delete(text(&host, "id")).await.ok();
    for _ in 0..3 {
        world.advance(Duration::from_secs(2)).await;
        let _ = names.turn().await;
    }
    assert!(world.sim().name_server_addresses().is_empty());
    assert_eq!(world.sim().count("remove_network"), 1);
}

#[actix_web::test]
async fn a_name_server_probes_the_containers_beside_it_and_what_it_cannot_ask_stays_as_it_is() {
    use drover::runtime::sim::Health::Unhealthy;
    let (world, mut names) = world().await;
    let stack = world.stack("app").await;
    let check = json!({"port": 80, "interval": 1000, "responseTimeout": 1000, "healthyThreshold": 1, "unhealthyThreshold": 2,
        "strategy": "none"});
    let config = |mode: &str| json!({"launchConfig": {"healthCheck": check, "networkMode": mode}});
    let web = world
        .post("services", sim_service("web", &stack, config("managed")))
        .await
        .ok();
    rest(&world, &mut names).await;
    let asked = || world.sim().probes_beside(PROJECT);
    let probe = async || {
        world.advance(Duration::from_secs(2)).await;
        world.engine.probe().await.expect("it probes");
        world.settle().await;
    };
    probe().await;
    assert_eq!(world.show(text(&web, "id")).await["healthState"], "healthy");
    assert!(asked() > 0, "the name server was asked");

    // One that is not on the project's network is asked by the server.
    let before = world.sim().count("probe");
    let outside = world
        .post("services", sim_service("out", &stack, config("bridge")))
        .await
        .ok();
    rest(&world, &mut names).await;
    let (all, beside) = (world.sim().count("probe"), asked());
    probe().await;
    assert_eq!(world.show(text(&outside, "id")).await["healthState"], "healthy");
    assert!(all >= before && world.sim().count("probe") - all > asked() - beside);

    // Nobody can ask: it says nothing about the container. Asked again, the way is opened anew.
    let uuid = world.uuid("app-web-1").await;
    world.sim().set_health(&uuid, Unhealthy);
    world.sim().cut_feeds();
    for _ in 0..3 {
        let beside = asked();
        probe().await;
        assert_eq!(asked(), beside);
    }
    assert_eq!(world.show(text(&web, "id")).await["healthState"], "healthy");
    names.turn().await.expect("the way is opened again");
    for _ in 0..3 {
        probe().await;
    }
    assert_eq!(world.show(text(&web, "id")).await["healthState"], "unhealthy");
}

#[actix_web::test]
async fn what_is_renamed_is_found_by_its_new_name() {
    let (world, mut names) = world().await;
    let stack = world.stack("app").await;
    let service = world.post("services", sim_service("web", &stack, json!({}))).await.ok();
    rest(&world, &mut names).await;
    let lone = world
        .post("containers", json!({"name": "lone", "imageUuid": "sim:x"}))
        .await
        .ok();
    rest(&world, &mut names).await;
    let host = text(&world.list("hosts").await[0], "id").to_owned();
    let said = || serde_json::to_string(&table(&world)).expect("a table is JSON");
    for (path, old, new) in [
        (format!("services/{}", text(&service, "id")), "web", "shop"),
        (format!("stacks/{stack}"), "app", "market"),
        (format!("containers/{}", text(&lone, "id")), "lone", "alone"),
        (format!("hosts/{host}"), "", "tower"),
        ("/v2-beta/projects/1a5".to_owned(), "Default", "house"),
    ] {
        let has = |name: &str| said().contains(&format!("\"name\":\"{name}\""));
        assert!((old.is_empty() || has(old)) && !has(new), "{path}: {}", said());
        world
            .put(&path, json!({"name": new}))
            .await
            .expect(200, json!({"name": new}));
        rest(&world, &mut names).await;
        assert!(!has(old) && has(new), "{path}: {}", said());
    }
    // What runs keeps its name; what is made from now on has the new one.
    assert_eq!(world.containers(text(&service, "id")).await[0]["name"], "app-web-1");
    world
        .put(&format!("services/{}", text(&service, "id")), json!({"scale": 2}))
        .await
        .ok();
    rest(&world, &mut names).await;
    let both = world.containers(text(&service, "id")).await;
    assert!(both.iter().any(|row| row["name"] == "market-shop-2"), "{both:#?}");
}
