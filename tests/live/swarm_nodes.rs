//! A real swarm as hosts: containers of all nodes on one network, nodes that are cut off, drained and left without a manager.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::several::wait_host;
use crate::support::{PATIENCE, launch, wait_until};
use crate::swarm::{SWARMS_PATIENCE, Swarm, begin, containers, wait_spread};

#[test]
fn containers_of_all_nodes_meet_by_address_and_by_name() {
    let Some((_swarm, world)) = begin(1) else { return };
    let stack = world.stack("meeting");
    let service = world.active_service(&stack, "web", json!({"scale": 6, "launchConfig": launch("web:1")}));
    wait_spread("meeting", [2, 2, 2]);
    let before = containers(&world, &service);
    Swarm::addresses();

    // Each from another node.
    let asking = world.active_service(
        &stack,
        "asking",
        json!({"scale": 3, "launchConfig": launch("busybox:1")}),
    );
    wait_spread("meeting", [3, 3, 3]);
    for number in 1..=3 {
        let node = Swarm::node(number);
        let here = node.containers("meeting");
        let from = here.iter().find(|c| c.name.contains("asking")).unwrap();
        for (name, address, _) in &before {
            let answer = wait_until(&format!("{name} from node {number}"), PATIENCE, || {
                node.fetch(&from.id, &format!("http://{address}/")).ok_or("no answer")
            });
            assert_eq!(answer, "1");
        }
        wait_until("the service's name", PATIENCE, || {
            node.fetch(&from.id, "http://web/")
                .filter(|answer| answer == "1")
                .ok_or("no answer")
        });
        wait_until("the service's name to be all addresses", PATIENCE, || {
            let found = node.run(&["exec", &from.id, "nslookup", "web.meeting.rancher.internal"]);
            let knows = before
                .iter()
                .all(|(_, address, _)| found.lines().any(|line| line.ends_with(address.as_str())));
            if knows { Ok(()) } else { Err((found, before.clone())) }
        });
    }
    world.api.delete(&asking);

    // An upgrade that goes back has the same containers again, with their addresses.
    let mut launch = launch("web:2");
    launch["startOnCreate"] = json!(true);
    let strategy = json!({"inServiceStrategy": {"batchSize": 2, "intervalMillis": 100, "launchConfig": launch}});
    world.api.action(&service, "upgrade", strategy);
    world.api.wait_state(&service, "upgraded");
    Swarm::addresses();
    world.api.action(&service, "rollback", json!({}));
    world.api.wait_state(&service, "active");
    assert_eq!(containers(&world, &service), before);
    Swarm::addresses();

    // The network goes with the last host.
    let networks = || Swarm::node(1).run(&["network", "ls", "--quiet", "--filter", "label=io.drover.server"]);
    assert_eq!(networks().lines().count(), 1);
    for number in 1..=3 {
        let host = wait_host(&world, &format!("node{number}"), "active");
        world.api.action(&host, "deactivate", json!({}));
        let host = wait_host(&world, &format!("node{number}"), "inactive");
        world.api.delete(&host);
    }
    wait_until("the overlay to go", SWARMS_PATIENCE, || {
        let left = networks();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    assert_eq!(Swarm::spread("meeting"), [0, 0, 0]);
}

#[test]
fn one_balancer_leads_to_the_containers_of_all_nodes() {
    let Some((_swarm, world)) = begin(1) else { return };
    world.set("lb.instance.image", "drover-test/haproxy:1");
    let stack = world.stack("fronted");
    let service = world.active_service(&stack, "web", json!({"scale": 6, "launchConfig": launch("web:1")}));
    let port = 8081;
    let rule = json!({"sourcePort": port, "targetPort": 80, "protocol": "http", "serviceId": service["id"]});
    let body = json!({"name": "front", "stackId": stack["id"], "scale": 1, "lbConfig": {"portRules": [rule]}, "startOnCreate": true,
        "launchConfig": {"imageUuid": "docker:drover-test/haproxy:1", "ports": [format!("{port}:{port}/tcp")]}});
    let front = world.api.post("/loadbalancerservices", body);
    let front = world.api.wait_state(&front, "active");
    let host = containers(&world, &front)[0].2.clone();
    let host = world.api.get(&format!("/hosts/{host}"));
    let url = format!("http://{}:{port}/hostname", host["agentIpAddress"].as_str().unwrap());
    let mut seen = BTreeSet::new();
    wait_until("the balancer to lead to all", PATIENCE, || {
        let asked = Command::new("curl").args(["-sf", "-m", "5", &url]).output().unwrap();
        if asked.status.success() {
            seen.insert(String::from_utf8_lossy(&asked.stdout).trim().to_owned());
        }
        if seen.len() == 6 { Ok(()) } else { Err(seen.clone()) }
    });
}

#[test]
fn a_server_that_dies_while_a_start_hangs_finds_its_containers_again() {
    let Some((_swarm, mut world)) = begin(1) else { return };
    let stack = world.stack("hanging");
    let sidekick = json!({"name": "helper", "imageUuid": "docker:drover-test/busybox:1", "networkMode": "container", "networkLaunchConfig": "web"});
    let service = world.active_service(
        &stack,
        "web",
        json!({"scale": 3, "launchConfig": launch("web:1"), "secondaryLaunchConfigs": [sidekick]}),
    );
    wait_spread("hanging", [2, 2, 2]);
    // The server does not know yet that the manager is away when it starts the next ones: these hang.
    Swarm::signal(1, "-STOP");
    world.api.put(&service, json!({"scale": 6}));
    let made = || {
        let there = [2, 3].map(|number| Swarm::node(number).containers("hanging").len());
        if there.iter().sum::<usize>() > 4 {
            Ok(())
        } else {
            Err(there)
        }
    };
    wait_until("new containers to be made", SWARMS_PATIENCE, made);
    world.kill_server();
    Swarm::signal(1, "-CONT");
    world.restart_server();
    world.api.wait(&service, "to be whole", |row| {
        row["state"] == "active" && row["currentScale"] == 6
    });
    wait_until("all to run", SWARMS_PATIENCE, || {
        let now = Swarm::spread("hanging");
        if now.iter().sum::<usize>() == 12 {
            Ok(())
        } else {
            Err(now)
        }
    });
    let all: usize = (1..=3)
        .map(|number| Swarm::node(number).containers("hanging").len())
        .sum();
    assert_eq!(all, 12, "nothing is left over");
    Swarm::addresses();
}

#[test]
fn a_node_that_is_cut_off_keeps_its_addresses_until_it_is_back() {
    let Some((_swarm, world)) = begin(1) else { return };
    let stack = world.stack("cut");
    let service = world.active_service(&stack, "web", json!({"scale": 3, "launchConfig": launch("web:1")}));
    wait_spread("cut", [1, 1, 1]);
    Swarm::link(3, false);
    wait_until("the host to be away", SWARMS_PATIENCE, || {
        let all = world.api.get("/hosts");
        let away = all["data"].as_array().into_iter().flatten();
        let mut away = away.filter(|host| host["name"] == "node3");
        away.next()
            .filter(|host| host["state"] == "disconnected")
            .cloned()
            .ok_or(all.clone())
    });
    let cut = Swarm::addresses();
    let scaled = world.api.put(&service, json!({"scale": 7}));
    wait_spread("cut", [3, 3, 1]);
    assert_eq!(scaled["scale"], 7);
    let all = Swarm::addresses();
    assert!(cut.keys().all(|address| all.contains_key(address)), "{cut:?} {all:?}");
    Swarm::link(3, true);
    wait_until("the host to be back", SWARMS_PATIENCE, || {
        let all = world.api.get("/hosts");
        let hosts = all["data"].as_array().into_iter().flatten();
        let active = hosts.filter(|host| host["state"] == "active").count();
        if active == 3 { Ok(()) } else { Err(all) }
    });
    world.api.wait(&service, "to be whole", |row| {
        row["state"] == "active" && row["currentScale"] == 7
    });
    assert_eq!(Swarm::spread("cut").iter().sum::<usize>(), 7);
    Swarm::addresses();
}

#[test]
fn while_no_manager_answers_starts_wait_and_say_why() {
    let Some((_swarm, world)) = begin(1) else { return };
    let stack = world.stack("parked");
    let config = launch("web:1");
    let service = world.active_service(&stack, "web", json!({"scale": 3, "launchConfig": config}));
    wait_spread("parked", [1, 1, 1]);
    let rows = world
        .api
        .get(&format!("/services/{}/instances", service["id"].as_str().unwrap()));
    let second = wait_host(&world, "node2", "active");
    let on_second = |row: &&Value| row["hostId"] == second["id"];
    let container = rows["data"].as_array().unwrap().iter().find(on_second).unwrap().clone();
    Swarm::signal(1, "-STOP");
    wait_until("the server to see that no manager answers", SWARMS_PATIENCE, || {
        let log = world.log();
        if log.contains("no manager of the swarm answers") {
            Ok(())
        } else {
            Err(log)
        }
    });
    // Docker leaves one down that died now, whatever its policy.
    let third = wait_host(&world, "node3", "active");
    let on_third = |row: &&Value| row["hostId"] == third["id"];
    let died = rows["data"].as_array().unwrap().iter().find(on_third).unwrap().clone();
    Swarm::node(3).run(&["kill", died["externalId"].as_str().unwrap()]);
    world.api.action(&container, "restart", json!({}));
    let waiting = world.api.wait(&container, "to say why it waits", |row| {
        let why = row["transitioningMessage"].as_str().unwrap_or_default();
        why.contains("no manager of the swarm answers")
    });
    assert_eq!(waiting["transitioning"], "yes", "{waiting:#}");
    Swarm::signal(1, "-CONT");
    for each in [&container, &died] {
        wait_until("it to run again", SWARMS_PATIENCE, || {
            let row = world.api.reload(each);
            if row["state"] == "running" { Ok(()) } else { Err(row) }
        });
    }
    wait_spread("parked", [1, 1, 1]);
    let after = world.api.reload(&container);
    assert_eq!(after["primaryIpAddress"], container["primaryIpAddress"]);
    Swarm::addresses();
}

#[test]
fn another_manager_leads_on_when_the_leader_stops() {
    let Some((_swarm, world)) = begin(3) else { return };
    let stack = world.stack("led");
    let service = world.active_service(&stack, "web", json!({"scale": 3, "launchConfig": launch("web:1")}));
    wait_spread("led", [1, 1, 1]);
    Swarm::signal(1, "-STOP");
    wait_until("the first host to be away", SWARMS_PATIENCE, || {
        let all = world.api.get("/hosts");
        let mut hosts = all["data"].as_array().into_iter().flatten();
        let is_away = hosts.any(|host| host["name"] == "node1" && host["state"] == "disconnected");
        if is_away { Ok(()) } else { Err(all) }
    });
    world.api.put(&service, json!({"scale": 5}));
    wait_until("the others to have the new ones", SWARMS_PATIENCE, || {
        let now = [2, 3].map(|number| {
            Swarm::node(number)
                .containers("led")
                .iter()
                .filter(|c| c.running)
                .count()
        });
        if now == [2, 2] { Ok(()) } else { Err(now) }
    });
    Swarm::signal(1, "-CONT");
    wait_host(&world, "node1", "active");
    world.api.wait(&service, "to be whole", |row| {
        row["state"] == "active" && row["currentScale"] == 5
    });
    wait_spread("led", [1, 2, 2]);
    Swarm::addresses();
}

#[test]
fn a_drained_node_is_an_inactive_host_until_it_is_active_again() {
    let Some((_swarm, world)) = begin(3) else { return };
    let stack = world.stack("drained");
    Swarm::availability(2, "drain");
    wait_host(&world, "node2", "inactive");
    let service = world.active_service(&stack, "web", json!({"scale": 4, "launchConfig": launch("web:1")}));
    assert_eq!(Swarm::spread("drained"), [2, 0, 2]);
    Swarm::availability(2, "active");
    let host = wait_host(&world, "node2", "active");
    // Who was made inactive by hand stays so.
    world.api.action(&host, "deactivate", json!({}));
    wait_host(&world, "node2", "inactive");
    Swarm::availability(2, "pause");
    Swarm::availability(2, "active");
    Swarm::node(1).run(&["node", "update", "--label-add", "disk=ssd", "node2"]);
    wait_until("the node's label", PATIENCE, || {
        let row = world.api.reload(&host);
        if row["labels"]["disk"] == "ssd" {
            Ok(())
        } else {
            Err(row)
        }
    });
    assert_eq!(world.api.reload(&host)["state"], "inactive");
    world.api.action(&host, "activate", json!({}));
    wait_host(&world, "node2", "active");
    world.api.put(&service, json!({"scale": 6}));
    wait_spread("drained", [2, 2, 2]);
    Swarm::addresses();
}
