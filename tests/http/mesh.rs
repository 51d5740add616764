//! Ports of the mesh: a balancer on each host that comes, changes and goes with the service whose ports it publishes.

use std::time::Duration;

use actix_web::http::Method;
use drover::engine::BalancerKeeper;
use drover::model::balancer_table::Table;
use serde_json::{Value, json};

use crate::docker_services::{delete, get, made, native, post, show, update, web};
use crate::project_isolation::{scene, send};
use crate::support::{World, has, text};

/// A service of Docker's with so many replicas and these ports.
fn meshed(replicas: u64, ports: Value) -> Value {
    web(json!({"Mode": {"Replicated": {"Replicas": replicas}}, "EndpointSpec": {"Ports": ports}}))
}

/// `[port on hosts, port in containers]` as Docker's clients publish it.
fn port(published: u16, target: u16) -> Value {
    json!({"PublishedPort": published, "TargetPort": target})
}

/// Lets everything come to rest.
async fn rest(w: &World) {
    w.advance(Duration::from_secs(30)).await;
}

/// The balancers of the project.
async fn companions(w: &World) -> Vec<Value> {
    w.list("loadbalancerservices").await
}

/// The only one, at rest.
async fn companion(w: &World) -> Value {
    let all = companions(w).await;
    let [row] = all.as_slice() else {
        panic!("not one balancer: {all:#?}")
    };
    row.clone()
}

/// What the only one publishes, and where that leads.
async fn publishes(w: &World) -> String {
    let row = companion(w).await;
    let rules = row["lbConfig"]["portRules"].as_array().cloned().unwrap_or_default();
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| {
            format!(
                "{}>{} {}",
                rule["sourcePort"],
                rule["targetPort"],
                text(rule, "protocol")
            )
        })
        .collect();
    let own: Vec<String> = row["launchConfig"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|port| port.as_str().map(str::to_owned))
        .collect();
    format!("{} | {} | {}", text(&row, "state"), own.join(" "), rules.join(" "))
}

#[actix_web::test]
async fn many_containers_with_one_port_run_on_one_host() {
    let w = World::new().await;
    let id = made(&w, meshed(3, json!([port(8080, 80)]))).await;
    rest(&w).await;
    let service = native(&w).await;
    assert_eq!(
        w.picture(text(&service, "id")).await,
        [
            "default-web-1 running",
            "default-web-2 running",
            "default-web-3 running"
        ]
    );
    let launch = &service["launchConfig"];
    let label = json!({"ports": null, "labels": {"io.drover.mesh.ports": "8080:80"}});
    has(launch, &label, "ports of the mesh are said by a label");
    let balancer = companion(&w).await;
    let rule = json!({"sourcePort": 8080, "targetPort": 80, "protocol": "tcp", "serviceId": service["id"]});
    has(
        &balancer,
        &json!({"name": "web-mesh", "description": "Publishes ports of the service web", "state": "active", "stackId": service["stackId"],
            "healthState": "healthy", "lbConfig": {"portRules": [rule]},
            "launchConfig": {"ports": ["8080:8080/tcp"], "imageUuid": "sim:balancer", "labels": {"io.rancher.scheduler.global": "true"}}}),
        "what publishes it",
    );
    assert_eq!(balancer.get("meshOf"), None, "no view shows whose it is");
    let own = w.containers(text(&balancer, "id")).await;
    assert_eq!(own.len(), 1, "one on each host: {own:#?}");

    // To Docker's clients it is a port of the service, and nothing else.
    let shown = show(&w, &id).await;
    let published = json!({"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"});
    assert_eq!(shown["Endpoint"]["Ports"], json!([published]));
    assert_eq!(
        shown["Spec"]["EndpointSpec"],
        json!({"Mode": "vip", "Ports": [published]})
    );
    let count = async |path: &str| get(&w, path).await.ok().as_array().map(Vec::len);
    assert_eq!(count("/services").await, Some(1));
    assert_eq!(count("/tasks").await, Some(3));
    assert_eq!(count("/containers/json?all=1").await, Some(3));
    let info = get(&w, "/info").await.ok();
    assert_eq!(
        (&info["Containers"], &info["ContainersRunning"]),
        (&json!(3), &json!(3))
    );
    let (name, engine_id) = (text(&own[0], "name"), text(&own[0], "externalId"));
    for path in [name, engine_id] {
        for what in ["json", "logs?stdout=1", "stats?stream=0"] {
            let answer = get(&w, &format!("/containers/{path}/{what}")).await;
            assert_eq!(answer.status, 404, "{path}/{what}: {}", answer.body);
        }
        let exec = post(&w, &format!("/containers/{path}/exec"), json!({"Cmd": ["true"]})).await;
        assert_eq!(exec.status, 404, "{path}: {}", exec.body);
    }
    for path in ["/services/web-mesh", &format!("/services/{}", text(&balancer, "id"))] {
        assert_eq!(get(&w, path).await.status, 404, "{path}");
    }

    delete(&w, "/services/web").await;
    rest(&w).await;
    assert!(w.list("services").await.is_empty());
    assert!(w.sim().containers().is_empty(), "no container is left");
}

#[actix_web::test]
async fn each_host_has_one_also_a_host_that_comes_later() {
    let mut w = World::with_hosts(&["a", "b"]).await;
    made(&w, meshed(1, json!([port(8080, 80)]))).await;
    rest(&w).await;
    let hosts = async |w: &World| -> std::collections::BTreeSet<String> {
        let own = w.containers(text(&companion(w).await, "id")).await;
        let running = own.iter().filter(|row| row["state"] == "running");
        running.map(|row| text(row, "hostId").to_owned()).collect()
    };
    assert_eq!(hosts(&w).await.len(), 2);
    w.add_host("c").await;
    rest(&w).await;
    assert_eq!(hosts(&w).await.len(), 3);
    assert_eq!(w.containers(text(&native(&w).await, "id")).await.len(), 1);
    assert_eq!(
        get(&w, "/containers/json?all=1").await.ok().as_array().map(Vec::len),
        Some(1)
    );
}

#[actix_web::test]
async fn what_is_published_follows_updates_and_rollbacks() {
    let w = World::new().await;
    let id = made(&w, meshed(2, json!([port(8080, 80)]))).await;
    rest(&w).await;
    let first = companion(&w).await["id"].clone();
    // One more, and one that leads elsewhere.
    for (ports, expected) in [
        (
            json!([port(9090, 90), port(8080, 80)]),
            "active | 8080:8080/tcp 9090:9090/tcp | 8080>80 tcp 9090>90 tcp",
        ),
        (
            json!([port(9090, 91), port(8080, 80)]),
            "active | 8080:8080/tcp 9090:9090/tcp | 8080>80 tcp 9090>91 tcp",
        ),
        (json!([port(9090, 91)]), "active | 9090:9090/tcp | 9090>91 tcp"),
    ] {
        update(&w, &id, meshed(2, ports)).await.expect(200, json!({}));
        rest(&w).await;
        assert_eq!(publishes(&w).await, expected);
    }
    assert_eq!(companion(&w).await["id"], first, "it is the same one");
    // Back, as Docker's clients ask for it.
    let index = show(&w, &id).await["Version"]["Index"].to_string();
    let spec = show(&w, &id).await["Spec"].clone();
    let back = post(
        &w,
        &format!("/services/{id}/update?version={index}&rollback=previous"),
        spec,
    )
    .await;
    back.expect(200, json!({}));
    rest(&w).await;
    assert_eq!(
        publishes(&w).await,
        "active | 8080:8080/tcp 9090:9090/tcp | 8080>80 tcp 9090>91 tcp"
    );
    // Back by itself, as the new containers fail.
    let mut bad = meshed(2, json!([port(7070, 70)]));
    bad["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:fail");
    bad["UpdateConfig"] = json!({"FailureAction": "rollback", "Monitor": 1_000_000_000_i64, "Parallelism": 1});
    update(&w, &id, bad).await.expect(200, json!({}));
    crate::docker_services::until(&w, &id, "rollback_completed").await;
    rest(&w).await;
    assert_eq!(
        publishes(&w).await,
        "active | 8080:8080/tcp 9090:9090/tcp | 8080>80 tcp 9090>91 tcp"
    );
    // None any more, and one again.
    update(&w, &id, meshed(2, json!([]))).await.expect(200, json!({}));
    rest(&w).await;
    assert_eq!(companions(&w).await, Vec::<Value>::new());
    update(&w, &id, meshed(2, json!([port(8080, 80)])))
        .await
        .expect(200, json!({}));
    rest(&w).await;
    assert_eq!(publishes(&w).await, "active | 8080:8080/tcp | 8080>80 tcp");
    assert_eq!(companion(&w).await["name"], "web-mesh");
}

#[actix_web::test]
async fn a_port_that_is_left_out_is_drawn_once() {
    let w = World::new().await;
    let any =
        json!([{"TargetPort": 80, "Name": "http"}, {"TargetPort": 81, "PublishedPort": 8081, "PublishMode": "host"}]);
    let id = made(&w, meshed(1, any.clone())).await;
    rest(&w).await;
    let shown = show(&w, &id).await;
    let ports = json!([
        {"Name": "http", "Protocol": "tcp", "TargetPort": 80, "PublishedPort": 30000, "PublishMode": "ingress"},
        {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 8081, "PublishMode": "host"},
    ]);
    assert_eq!(shown["Endpoint"]["Ports"], ports);
    assert_eq!(shown["Spec"]["EndpointSpec"]["Ports"][0]["PublishedPort"], Value::Null);
    assert_eq!(native(&w).await["launchConfig"]["ports"], json!(["8081:81/tcp"]));
    let mut other = meshed(1, any);
    other["TaskTemplate"]["ContainerSpec"]["Image"] = json!("sim:two");
    update(&w, &id, other).await.expect(200, json!({}));
    rest(&w).await;
    assert_eq!(show(&w, &id).await["Endpoint"]["Ports"], ports, "it stays");
    // Another service gets another one.
    let mut second = meshed(1, json!([{"TargetPort": 80}]));
    second["Name"] = json!("second");
    let second = made(&w, second).await;
    rest(&w).await;
    assert_eq!(show(&w, &second).await["Endpoint"]["Ports"][0]["PublishedPort"], 30001);
}

#[actix_web::test]
async fn what_is_no_tcp_and_what_hosts_publish_is_a_port_of_the_container() {
    let w = World::new().await;
    let ports = json!([
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 5353},
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"},
    ]);
    let id = made(&w, meshed(1, ports)).await;
    rest(&w).await;
    let launch = native(&w).await["launchConfig"].clone();
    assert_eq!(launch["ports"], json!(["5353:53/udp", "8080:80/tcp"]));
    assert_eq!(launch["labels"], json!({}));
    assert!(companions(&w).await.is_empty());
    let modes = |service: &Value| -> Vec<String> {
        let ports = service["Endpoint"]["Ports"].as_array().into_iter().flatten();
        ports.map(|port| text(port, "PublishMode").to_owned()).collect()
    };
    assert_eq!(modes(&show(&w, &id).await), ["ingress", "host"]);
    for (sent, status, said) in [
        (
            json!([port(42, 80)]),
            501,
            "EndpointSpec.Ports: port 42 is where balancers are asked how they are",
        ),
        (
            json!([port(81, 80)]),
            400,
            "rpc error: code = InvalidArgument desc = EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
        ),
    ] {
        let mut spec = meshed(1, sent);
        spec["Name"] = json!("other");
        if status == 400 {
            spec["EndpointSpec"]["Mode"] = json!("dnsrr");
        }
        let refused = post(&w, "/services/create", spec).await.expect(status, json!({}));
        assert_eq!(refused["message"], said);
    }
    // What Rancher's clients publish is a port of the hosts that have a container.
    let stack = w.stack("s").await;
    let own = w
        .running(&stack, "own", json!({"launchConfig": {"ports": ["8085:80"]}}))
        .await;
    let _ = own;
    assert_eq!(modes(&show(&w, "s_own").await), ["host"]);
}

#[actix_web::test]
async fn a_port_of_the_mesh_is_one_services_alone() {
    let w = World::new().await;
    let id = made(&w, meshed(1, json!([port(8080, 80)]))).await;
    rest(&w).await;
    for (mode, how) in [("ingress", "an ingress port"), ("host", "an ingress port")] {
        let ports = json!([{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": mode}]);
        let mut taken = meshed(1, ports);
        taken["Name"] = json!("taken");
        let refused = post(&w, "/services/create", taken).await.expect(400, json!({}));
        let said = format!(
            "rpc error: code = InvalidArgument desc = port '8080' is already in use by service 'web' ({id}) as {how}"
        );
        assert_eq!(refused["message"], said);
    }
    let stack = w.stack("s").await;
    let labelled = |ports: &str| {
        json!({"name": "other", "stackId": stack, "startOnCreate": true,
            "launchConfig": {"imageUuid": "sim:web", "labels": {"io.drover.mesh.ports": ports}}})
    };
    let unique = json!({"code": "NotUnique", "fieldName": "launchConfig.labels"});
    w.post("services", labelled("8080:81"))
        .await
        .expect(422, unique.clone());
    for bad in ["8080:80/udp", "42:80", "x", "81:80,81:81"] {
        w.post("services", labelled(bad)).await.expect(
            422,
            json!({"code": "InvalidOption", "fieldName": "launchConfig.labels"}),
        );
    }
    let mut balancer = labelled("8081:80");
    balancer["lbConfig"] = json!({"portRules": []});
    w.post("loadbalancerservices", balancer).await.expect(
        422,
        json!({"code": "InvalidOption", "fieldName": "launchConfig.labels"}),
    );
    let mut sidekick = labelled("8081:80");
    sidekick["secondaryLaunchConfigs"] =
        json!([{"name": "side", "imageUuid": "sim:log", "labels": {"io.drover.mesh.ports": "8082:80"}}]);
    w.post("services", sidekick).await.expect(
        422,
        json!({"code": "InvalidOption", "fieldName": "launchConfig.labels"}),
    );
    assert_eq!(w.list("services").await.len(), 2, "nothing was made");
    // An upgrade is refused as well.
    let other = w.post("services", labelled("8081:80")).await.ok();
    rest(&w).await;
    let to = json!({"inServiceStrategy": {"launchConfig": labelled("8080:80")["launchConfig"]}});
    w.act(text(&other, "id"), "upgrade", to).await.expect(422, unique);
    assert_eq!(w.show(text(&other, "id")).await["state"], "active");
    assert_eq!(companions(&w).await.len(), 2);
}

#[actix_web::test]
async fn a_port_that_a_container_has_is_waited_for() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let holder = w
        .running(&stack, "holder", json!({"launchConfig": {"ports": ["8080:80"]}}))
        .await;
    let labels = json!({"launchConfig": {"labels": {"io.drover.mesh.ports": "8080:80"}}});
    let web = w.running(&stack, "web", labels).await;
    rest(&w).await;
    assert_eq!(w.show(&web).await["state"], "active", "its containers need no port");
    let waits = companion(&w).await;
    assert_eq!(waits["state"], "activating", "{waits:#}");
    assert!(text(&waits, "transitioningMessage").contains("8080"), "{waits:#}");
    w.delete(&holder).await.ok();
    w.advance(Duration::from_secs(150)).await;
    assert_eq!(publishes(&w).await, "active | 8080:8080/tcp | 8080>80 tcp");
}

#[actix_web::test]
async fn what_publishes_a_port_stands_and_falls_with_its_service() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let labels = json!({"launchConfig": {"labels": {"io.drover.mesh.ports": "8080:80"}}});
    let web = w.service(&stack, "web", labels).await;
    rest(&w).await;
    assert_eq!(publishes(&w).await, "inactive | 8080:8080/tcp | 8080>80 tcp");
    w.act(&web, "activate", json!({})).await.ok();
    rest(&w).await;
    assert_eq!(publishes(&w).await, "active | 8080:8080/tcp | 8080>80 tcp");
    let first = text(&companion(&w).await, "id").to_owned();
    // What is done to it by hand is undone.
    w.act(&first, "deactivate", json!({})).await.ok();
    rest(&w).await;
    assert_eq!(publishes(&w).await, "active | 8080:8080/tcp | 8080>80 tcp");
    let rule = json!({"sourcePort": 8080, "targetPort": 99, "protocol": "tcp", "serviceId": web});
    let own = json!({"lbConfig": {"portRules": [rule], "config": "global\n  maxconn 7"}});
    w.put(&first, own).await.ok();
    rest(&w).await;
    let now = companion(&w).await;
    assert_eq!(publishes(&w).await, "active | 8080:8080/tcp | 8080>80 tcp");
    assert_eq!(
        now["lbConfig"]["config"], "global\n  maxconn 7",
        "the rest is its user's"
    );
    w.delete(&first).await.ok();
    rest(&w).await;
    let second = companion(&w).await;
    assert_ne!(second["id"], json!(first));
    assert_eq!(publishes(&w).await, "active | 8080:8080/tcp | 8080>80 tcp");
    assert_eq!(w.show(&web).await["state"], "active");
    // A new name of the service is told.
    w.put(&web, json!({"name": "shop"})).await.ok();
    rest(&w).await;
    assert_eq!(
        companion(&w).await["description"],
        "Publishes ports of the service shop"
    );
    // It is no part of what the stack is as files.
    let files = w.act(&stack, "exportconfig", json!({})).await.ok();
    let compose = text(&files, "dockerComposeConfig");
    assert!(
        compose.contains("io.drover.mesh.ports") && !compose.contains("mesh:\n"),
        "{compose}"
    );
    w.act(&web, "deactivate", json!({})).await.ok();
    rest(&w).await;
    assert_eq!(publishes(&w).await, "inactive | 8080:8080/tcp | 8080>80 tcp");
    w.act(&web, "activate", json!({})).await.ok();
    rest(&w).await;
    w.delete(&stack).await.ok();
    rest(&w).await;
    assert!(w.list("services").await.is_empty());
    assert!(w.sim().containers().is_empty());
}

#[actix_web::test]
async fn a_name_that_is_taken_gets_a_number() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.service(&stack, "web-mesh", json!({})).await;
    let labels = json!({"launchConfig": {"labels": {"io.drover.mesh.ports": "8080:80"}}});
    w.running(&stack, "web", labels).await;
    let long = "a".repeat(63);
    let labels = json!({"launchConfig": {"labels": {"io.drover.mesh.ports": "8081:80"}}});
    w.running(&stack, &long, labels).await;
    rest(&w).await;
    let names: Vec<String> = companions(&w)
        .await
        .iter()
        .map(|row| text(row, "name").to_owned())
        .collect();
    assert_eq!(names, ["web-mesh-2".to_owned(), format!("{}-mesh", "a".repeat(54))]);
}

#[actix_web::test]
async fn a_stack_goes_with_its_last_service_whatever_publishes_its_ports() {
    let w = World::new().await;
    let mut spec = meshed(1, json!([port(8080, 80)]));
    spec["Name"] = json!("shop_web");
    spec["Labels"] = json!({"com.docker.stack.namespace": "shop"});
    made(&w, spec).await;
    rest(&w).await;
    assert_eq!(companion(&w).await["name"], "web-mesh");
    delete(&w, "/services/shop_web").await;
    rest(&w).await;
    let stacks = w.list("stacks").await;
    assert!(stacks.iter().all(|stack| stack["name"] != "shop"), "{stacks:#?}");
    assert!(w.list("services").await.is_empty());
}

#[actix_web::test]
async fn what_publishes_the_ports_of_another_project_does_not_exist() {
    let scene = scene().await;
    let w = &scene.world;
    let stack = send(
        w,
        "superadmin",
        Method::POST,
        "/v2-beta/projects/1a5/stacks",
        Some(json!({"name": "m"})),
    )
    .await;
    let body = json!({"name": "web", "stackId": stack.ok()["id"], "startOnCreate": true,
        "launchConfig": {"imageUuid": "sim:web", "labels": {"io.drover.mesh.ports": "8080:80"}}});
    send(
        w,
        "superadmin",
        Method::POST,
        "/v2-beta/projects/1a5/services",
        Some(body),
    )
    .await
    .ok();
    w.advance(Duration::from_secs(30)).await;
    let path = "/v2-beta/projects/1a5/loadbalancerservices";
    let listed = send(w, "superadmin", Method::GET, path, None).await.ok();
    let id = text(&listed["data"][0], "id").to_owned();
    for (key, prefix, _) in &scene.strangers {
        let read = send(
            w,
            key,
            Method::GET,
            &format!("{prefix}/loadbalancerservices/{id}"),
            None,
        )
        .await;
        assert!(matches!(read.status, 404 | 405), "{key} {prefix}: {}", read.body);
        let gone = send(
            w,
            key,
            Method::DELETE,
            &format!("{prefix}/loadbalancerservices/{id}"),
            None,
        )
        .await;
        assert!(matches!(gone.status, 404 | 405), "{key} {prefix}: {}", gone.body);
    }
}

/// Lets everything happen that is due, balancers included.
async fn told(w: &World, keeper: &mut BalancerKeeper) {
    for _ in 0..40 {
        w.advance(Duration::from_millis(500)).await;
        keeper.turn().await.expect("nothing is in the way");
    }
}

/// `name@port` of the servers of each port, with `host` for another host.
fn servers(table: &Table, containers: &[Value]) -> Vec<String> {
    let mut all = Vec::new();
    for listener in &table.listeners {
        for (key, target) in listener.rules.iter().flat_map(|rule| &rule.targets) {
            let row = containers.iter().find(|row| row["uuid"] == json!(key));
            let who = row.map_or(format!("{key} {}", target.address), |row| text(row, "name").to_owned());
            let leaves = if target.is_draining { " leaving" } else { "" };
            all.push(format!("{}: {who}@{}{leaves}", listener.port, target.port));
        }
    }
    all.sort();
    all
}

#[actix_web::test]
async fn each_container_is_asked_at_the_port_that_it_was_made_with() {
    let w = World::new().await;
    w.sim().allow_balancers();
    let mut keeper = w.engine.balancers();
    let id = made(&w, meshed(2, json!([port(8080, 80)]))).await;
    told(&w, &mut keeper).await;
    let uuid = w.uuid("default-web-mesh-1").await;
    let now = async || {
        let containers = w.list("containers").await;
        servers(&w.sim().balancer_table(&uuid).expect("it was told"), &containers)
    };
    assert_eq!(now().await, ["8080: default-web-1@80", "8080: default-web-2@80"]);
    // Half way through an update, which waits long between two containers.
    let mut slow = meshed(2, json!([port(8080, 81)]));
    slow["UpdateConfig"] = json!({"Parallelism": 1, "Delay": 60_000_000_000_i64});
    update(&w, &id, slow).await.expect(200, json!({}));
    told(&w, &mut keeper).await;
    assert_eq!(now().await, ["8080: default-web-1@81", "8080: default-web-2@80"]);
    for _ in 0..4 {
        told(&w, &mut keeper).await;
    }
    assert_eq!(now().await, ["8080: default-web-1@81", "8080: default-web-2@81"]);
}
