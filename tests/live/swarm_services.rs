//! Services over the nodes of a real swarm: on every node, behind one port, with sidekicks and links; nodes that only an agent
//! leads to, and nodes that stay away; and many projects with an overlay each.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use drover::runtime::docker::{Owner, Swarm as Cluster};
use drover::runtime::{Cluster as _, NetworkSpec, Runtime};
use serde_json::{Value, json};

use crate::agents::{Agent, token};
use crate::several::{hosts, wait_host};
use crate::support::{PATIENCE, World, ids, launch, real_part, wait_until};
use crate::swarm::{SWARMS_PATIENCE, Swarm, begin, begin_after, containers, wait_spread};

/// What is answered at a port of a node, from outside of the swarm.
fn get(node: u8, port: u16, path: &str) -> Option<String> {
    let url = format!("http://10.77.0.{node}:{port}{path}");
    let asked = Command::new("curl").args(["-sf", "-m", "5", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    asked.status.success().then_some(said)
}

/// The container of this part of its name that runs on a node.
fn on_node(number: u8, stack: &str, part: &str) -> String {
    let all = Swarm::node(number).containers(stack);
    let mut fitting = all.iter().filter(|one| one.running && one.name.contains(part));
    fitting
        .next()
        .unwrap_or_else(|| panic!("no {part}: {all:?}"))
        .id
        .clone()
}

/// Waits until a container of a node is answered so.
fn wait_fetch(number: u8, container: &str, url: &str, expected: &str) {
    wait_until(&format!("{url} from node {number}"), PATIENCE, || {
        match Swarm::node(number).fetch(container, url) {
            Some(answer) if answer == expected => Ok(()),
            other => Err(other),
        }
    });
}

#[test]
fn a_service_for_every_node_comes_to_those_that_join_in_and_a_port_of_the_mesh_is_open_on_all() {
    let Some((_swarm, world)) = begin(1) else { return };
    Swarm::availability(2, "drain");
    wait_host(&world, "node2", "inactive");
    let everywhere = world.stack("everywhere");
    let mut config = launch("web:1");
    config["labels"] = json!({"io.rancher.scheduler.global": "true"});
    world.active_service(&everywhere, "each", json!({ "launchConfig": config }));
    wait_spread("everywhere", [1, 0, 1]);
    Swarm::availability(2, "active");
    wait_spread("everywhere", [1, 1, 1]);

    // Two containers, and three nodes at which they are asked.
    world.set("lb.instance.image", "drover-test/haproxy:1");
    let meshed = world.stack("meshed");
    let mut config = launch("web:2");
    config["labels"] = json!({"io.drover.mesh.ports": "8085:80"});
    let service = world.active_service(&meshed, "web", json!({"scale": 2, "launchConfig": config}));
    let homes: BTreeSet<String> = containers(&world, &service)
        .into_iter()
        .map(|(_, _, host)| host)
        .collect();
    assert_eq!(homes.len(), 2);
    for number in 1..=3 {
        let host = wait_host(&world, &format!("node{number}"), "active");
        let expected = if homes.contains(host["id"].as_str().unwrap()) {
            1
        } else {
            2
        };
        let mut seen = BTreeSet::new();
        wait_until(&format!("node {number} to lead to {expected}"), PATIENCE, || {
            assert!(seen.len() <= expected, "{seen:?}");
            seen.extend(get(number, 8085, "/hostname"));
            if seen.len() == expected {
                Ok(())
            } else {
                Err(seen.clone())
            }
        });
        assert_eq!(get(number, 8085, "/").as_deref(), Some("2"));
    }
    Swarm::addresses();
}

#[test]
fn sidekicks_are_with_their_primaries_and_links_lead_to_other_nodes() {
    let Some((_swarm, world)) = begin(1) else { return };
    let stack = world.stack("linked");
    let first = wait_host(&world, "node1", "active");
    let mut config = launch("web:2");
    config["requestedHostId"] = first["id"].clone();
    let store = world.active_service(&stack, "db", json!({ "launchConfig": config }));
    let sidekick = json!({"name": "helper", "imageUuid": "docker:drover-test/busybox:1", "networkMode": "container",
        "networkLaunchConfig": "web"});
    let web = json!({"scale": 3, "launchConfig": launch("web:1"), "secondaryLaunchConfigs": [sidekick]});
    let web = world.service(&stack, "web", web);
    let links = json!({"serviceLinks": [{"serviceId": store["id"], "name": "store"}]});
    world.api.action(&web, "setservicelinks", links);
    world.activate(&web);
    wait_until("a unit on each node", SWARMS_PATIENCE, || {
        let now = Swarm::spread("linked");
        if now == [3, 2, 2] || now.iter().sum::<usize>() == 7 {
            Ok(())
        } else {
            Err(now)
        }
    });
    let units: Vec<(String, String, String)> = containers(&world, &web);
    let units: Vec<_> = units
        .into_iter()
        .filter(|(name, ..)| !name.contains("helper"))
        .collect();
    assert_eq!(units.len(), 3);
    let mut asked = 0;
    for number in 1..=3 {
        let all = Swarm::node(number).containers("linked");
        let helpers = all.iter().filter(|one| one.running && one.name.contains("helper"));
        for helper in helpers {
            asked += 1;
            wait_fetch(number, &helper.id, "http://127.0.0.1/", "1");
            wait_fetch(number, &helper.id, "http://store/", "2");
            for (_, address, _) in &units {
                wait_fetch(number, &helper.id, &format!("http://{address}/"), "1");
            }
        }
    }
    assert_eq!(asked, 3, "each has its sidekick, on its own node");
    Swarm::addresses();
}

#[test]
fn a_node_that_only_an_agent_leads_to_is_one_host_on_the_same_network() {
    let elsewhere = || {
        let nowhere = "drover.engine=tcp://10.77.0.3:1";
        Swarm::node(1).run(&[
            "node",
            "update",
            "--label-add",
            nowhere,
            "--label-add",
            "disk=node",
            "node3",
        ]);
    };
    let Some((_swarm, mut world)) = begin_after(1, elsewhere) else {
        return;
    };
    for node in ["node1", "node2"] {
        wait_host(&world, node, "active");
    }
    let before = wait_host(&world, "node3", "disconnected");
    let joining = token(&world);
    let engine = Swarm::node(3).url;
    let mut agent = Agent::start(&engine, joining["registrationUrl"].as_str().unwrap());
    let host = wait_host(&world, "node3", "active");
    assert_eq!((hosts(&world).len(), &host["id"]), (3, &before["id"]));
    let agents = world.api_at("v2-beta").get("/agents");
    let seen = world
        .api_at("v2-beta")
        .get(&format!("/hosts/{}", host["id"].as_str().unwrap()));
    assert_eq!(seen["agentId"], agents["data"][0]["id"], "{seen:#}");
    wait_until("the labels of the node and of the agent", PATIENCE, || {
        let row = world.api.reload(&host);
        let labels = (&row["labels"]["where"], &row["labels"]["disk"]);
        if labels == (&json!("far"), &json!("node")) {
            Ok(())
        } else {
            Err(row.clone())
        }
    });

    // Containers of all three meet.
    let stack = world.stack("far");
    let service = world.active_service(&stack, "web", json!({"scale": 3, "launchConfig": launch("web:1")}));
    wait_spread("far", [1, 1, 1]);
    for number in 1..=3 {
        let from = on_node(number, "far", "web");
        for (_, address, _) in containers(&world, &service) {
            wait_fetch(number, &from, &format!("http://{address}/"), "1");
        }
        wait_fetch(number, &from, "http://web/", "1");
    }

    // The agent dies, and comes back; so does the server.
    let running = ids(&Swarm::node(3).containers("far"));
    agent.kill();
    wait_host(&world, "node3", "disconnected");
    agent.again();
    wait_host(&world, "node3", "active");
    world.kill_server();
    world.restart_server();
    let host = wait_host(&world, "node3", "active");
    assert_eq!((hosts(&world).len(), &host["id"]), (3, &before["id"]));
    assert_eq!(ids(&Swarm::node(3).containers("far")), running, "nothing was made anew");
    world.api.put(&service, json!({"scale": 6}));
    wait_spread("far", [2, 2, 2]);
    Swarm::addresses();

    // Its host goes, and the agent with it.
    world.api.action(&host, "deactivate", json!({}));
    let host = wait_host(&world, "node3", "inactive");
    world.api.delete(&host);
    wait_spread("far", [3, 3, 0]);
    assert_eq!(agent.wait_end().code(), Some(78));
    assert_eq!(hosts(&world).len(), 2);
}

#[test]
fn a_node_whose_engine_is_said_to_be_elsewhere_is_watched_there_from_then_on() {
    let nowhere = || {
        drop(Swarm::node(1).run(&[
            "node",
            "update",
            "--label-add",
            "drover.engine=tcp://10.77.0.3:1",
            "node3",
        ]))
    };
    let Some((_swarm, world)) = begin_after(1, nowhere) else {
        return;
    };
    let before = wait_host(&world, "node3", "disconnected");
    Swarm::node(1).run(&["node", "update", "--label-rm", "drover.engine", "node3"]);
    let host = wait_host(&world, "node3", "active");
    assert_eq!(host["id"], before["id"]);
    let stack = world.stack("moved");
    world.active_service(&stack, "web", json!({"scale": 3, "launchConfig": launch("web:1")}));
    wait_spread("moved", [1, 1, 1]);
    let container = on_node(3, "moved", "web");
    let started = Swarm::node(3).inspect(&container)["State"]["StartedAt"].clone();
    Swarm::node(3).run(&["kill", &container]);
    wait_until("it to be started again", PATIENCE, || {
        let now = Swarm::node(3).inspect(&container)["State"].clone();
        if now["Running"] == true && now["StartedAt"] != started {
            Ok(())
        } else {
            Err(now)
        }
    });
}

/// The running containers of a service whose host is not this one.
fn elsewhere(world: &World, service: &Value, host: &Value) -> usize {
    let path = format!("/services/{}/instances", service["id"].as_str().unwrap());
    let all = world.api.get(&path);
    let rows = all["data"].as_array().into_iter().flatten();
    rows.filter(|row| row["state"] == "running" && row["hostId"] != host["id"])
        .count()
}

#[test]
fn what_ran_on_a_node_that_stays_away_comes_elsewhere_and_goes_there_before_anything_new_comes() {
    let Some((_swarm, mut world)) = begin(1) else { return };
    world.set("host.remove.delay.seconds", "5");
    world.set("host.remove.delay.startup.seconds", "0");
    let stack = world.stack("lost");
    let service = world.active_service(
        &stack,
        "web",
        json!({"scale": 3, "retainIp": true, "launchConfig": launch("web:1")}),
    );
    wait_spread("lost", [1, 1, 1]);
    let lost = wait_host(&world, "node3", "active");
    let old = ids(&Swarm::node(3).containers("lost"));
    Swarm::link(3, false);
    wait_until("another one to run in its place", SWARMS_PATIENCE, || {
        Swarm::addresses();
        match elsewhere(&world, &service, &lost) {
            3 => Ok(()),
            other => Err((other, world.api.reload(&service))),
        }
    });
    assert_eq!(Swarm::spread("lost").iter().sum::<usize>(), 4, "the old one runs on");
    // Another start of the server does not forget whose the addresses there are.
    world.kill_server();
    world.restart_server();
    world.api.put(&service, json!({"scale": 5}));
    wait_until("two more", SWARMS_PATIENCE, || {
        Swarm::addresses();
        match elsewhere(&world, &service, &lost) {
            5 => Ok(()),
            other => Err(other),
        }
    });
    Swarm::link(3, true);
    let back = wait_until("the node to be a host again", SWARMS_PATIENCE, || {
        Swarm::addresses();
        let all = hosts(&world);
        let found = all
            .iter()
            .find(|host| host["name"] == "node3" && host["id"] != lost["id"]);
        let left = ids(&Swarm::node(3).containers("lost"));
        match found {
            Some(_) if left.iter().any(|id| old.contains(id)) => panic!("{left:?} were there before the host"),
            Some(host) => Ok(host.clone()),
            None => Err((all, left)),
        }
    });
    world.api.wait_state(&back, "active");
    world.api.put(&service, json!({"scale": 8}));
    wait_until("the node to be used again", SWARMS_PATIENCE, || {
        Swarm::addresses();
        match Swarm::spread("lost") {
            now if now[2] >= 2 && now.iter().sum::<usize>() == 8 => Ok(()),
            now => Err(now),
        }
    });
}

/// 60 subnets of a `/20` for a project, beginning with its own place, as the server has them for a pool of a `/14`.
fn candidates(first: u32) -> Vec<String> {
    let place = |n: u32| (first + n) % 64;
    (0..64)
        .map(|n| format!("10.{}.{}.0/20", 40 + place(n) / 16, place(n) % 16 * 16))
        .collect()
}

#[test]
fn sixty_projects_have_an_overlay_each_and_leave_none_behind() {
    if real_part("DROVER_TEST_DOCKER").is_none() {
        return;
    }
    let _swarm = Swarm::start(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let certificates = Path::new("/run/drover-live/swarm/client");
        let cluster = Cluster::connect(
            &["tcp://10.77.0.1:2376".to_owned()],
            Some(certificates),
            Owner::alone("sixty"),
        )
        .unwrap();
        let nodes = cluster.nodes().await.unwrap();
        let engines: Vec<Arc<dyn Runtime>> = nodes
            .iter()
            .map(|node| cluster.engine(&node.id, &node.engine).unwrap())
            .collect();
        let spec = |project: usize| NetworkSpec {
            project_uuid: format!("project-{project}"),
            name: format!("drover-{project}"),
            // Each place is that of four projects: most of them find their own taken.
            candidates: candidates(u32::try_from(project).unwrap() / 4 * 4),
        };
        let began = Instant::now();
        let made = (0..60).map(|project| {
            let (engine, spec) = (engines[project % 3].clone(), spec(project));
            async move { engine.ensure_network(&spec).await.unwrap() }
        });
        let made = futures_util::future::join_all(made).await;
        println!("60 overlays in {:?}", began.elapsed());
        let subnets: BTreeSet<&String> = made.iter().map(|network| &network.subnet).collect();
        assert_eq!(subnets.len(), 60, "no two have one");
        for (project, network) in made.iter().enumerate() {
            let again = engines[(project + 1) % 3].ensure_network(&spec(project)).await.unwrap();
            assert_eq!(&again, network, "it is the same one for all nodes");
        }
        // Four more fit.
        for project in 60..64 {
            engines[0].ensure_network(&spec(project)).await.unwrap();
        }
        let refused = engines[1].ensure_network(&spec(64)).await.unwrap_err();
        assert_eq!(refused.to_string(), "no subnet is left for network drover-64");

        // They carry what is between nodes, and are removed when nobody is on them.
        for network in made.iter().step_by(20) {
            let third = network.subnet.rsplit('.').nth(1).unwrap().parse::<u8>().unwrap() + 1;
            let address = format!(
                "{}.{third}.7",
                network.subnet.split('.').take(2).collect::<Vec<_>>().join(".")
            );
            let run = ["run", "--detach", "--rm", "--network", &network.id];
            let server = Swarm::node(2).run(&[&run[..], &["--ip", &address, "drover-test/web:1"]].concat());
            let client = Swarm::node(3).run(&[&run[..], &["drover-test/busybox:1"]].concat());
            wait_fetch(3, &client, &format!("http://{address}/"), "1");
            Swarm::node(2).run(&["rm", "--force", &server]);
            Swarm::node(3).run(&["rm", "--force", &client]);
        }
        let began = Instant::now();
        for project in 0..64 {
            engines[project % 3]
                .remove_network(&format!("project-{project}"))
                .await
                .unwrap();
        }
        println!("64 overlays removed in {:?}", began.elapsed());
        let listed = ["network", "ls", "--quiet", "--filter", "label=io.drover.server"];
        assert_eq!(Swarm::node(1).run(&listed), "");
    });
}
